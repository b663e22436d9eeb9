"""What several test files share: files of the original, other processes and other users."""

import contextlib
import hashlib
import json
import os
import re
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tirastore import Claim, LockTimeoutError, TiraStore

MACHINE: dict[str, Any] = {"cpu_model": "TestCPU", "slurm_cpus": "4"}
SOURCE = "void blur() {}"
NOBODY = 65534
SHARED = Path(__file__).resolve().parents[2] / "shared"

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")

ORIGINAL_SCHEMA = """
CREATE TABLE db_meta (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE programs (
    program_hash TEXT PRIMARY KEY, program_name TEXT NOT NULL, source_code TEXT NOT NULL);
CREATE TABLE records (
    key TEXT PRIMARY KEY, program_hash TEXT NOT NULL REFERENCES programs(program_hash),
    schedule TEXT NOT NULL, result_json TEXT NOT NULL, hostname TEXT NOT NULL,
    username TEXT NOT NULL, creation_date TEXT NOT NULL, update_date TEXT NOT NULL,
    source_project TEXT NOT NULL DEFAULT '');
"""


def open_store(path: Path, **options: Any) -> TiraStore:
    """Open a store for the machine that all tests pretend to be."""
    return TiraStore(path, **{**MACHINE, "source_project": "tests", **options})


def schedule(number: int) -> str:
    """Return one of any number of different valid schedules, in normal form."""
    return f"U(L{number % 3},{number},comps=['c'])"


def reference_normal_program(source: str) -> str:
    """Return the normal form that the facts of schedule-grammar.md describe."""
    source = re.sub(r"/\*.*?\*/", "", source, flags=re.DOTALL)
    source = re.sub(r"//[^\n]*", "", source)
    source = re.sub(r'^\s*#\s*include\s*[<"][^>"]*[>"]\s*$', "", source, flags=re.MULTILINE)
    return re.sub(r"\s+", "", source)


def reference_normal_schedule(text: str) -> str:
    """Return the normal form that the facts of schedule-grammar.md describe."""

    def requoted(match: re.Match[str]) -> str:
        items = (item.strip("'\"") for item in match[1].split(","))
        return "comps=[" + ",".join(f"'{item}'" for item in items) + "]"

    return re.sub(r"comps=\[([^\]]*)\]", requoted, re.sub(r"\s+", "", text))


def reference_program_hash(source: str) -> str:
    """Return the hash of a program by the original's formula."""
    return hashlib.sha256(reference_normal_program(source).encode()).hexdigest()


def reference_key(program_hash: str, text: str) -> str:
    """Return the key of a record by the original's formula."""
    fields = {
        "program_hash": program_hash,
        "tiralib_schedule_string": reference_normal_schedule(text),
    }
    written = json.dumps(fields, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(written.encode()).hexdigest()


def old_store(path: Path, rows: list[tuple[str, str]], *, schema_version: str | None = "2") -> None:
    """Make a file as the original does, with (schedule, result_json) rows of `SOURCE`."""
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.executescript(ORIGINAL_SCHEMA)
        meta = {"cpu_model": "TestCPU", "slurm_cpus": "4", "created_at": "2025-01-01T00:00:00"}
        if schema_version is not None:
            meta["schema_version"] = schema_version
        connection.executemany("INSERT INTO db_meta VALUES (?, ?)", meta.items())
        program_hash = reference_program_hash(SOURCE)
        connection.execute("INSERT INTO programs VALUES (?, 'blur', ?)", (program_hash, SOURCE))
        for second, (text, result_json) in enumerate(rows):
            date = f"2025-01-01T00:00:{second:02}.000001+00:00"
            key = reference_key(program_hash, text)
            connection.execute(
                "INSERT INTO records VALUES (?, ?, ?, ?, 'node01', 'ada', ?, ?, 'old')",
                (key, program_hash, text, result_json, date, date),
            )
        connection.commit()


def query(path: Path, sql: str, *arguments: object) -> list[tuple[Any, ...]]:
    """Ask a database file that nobody else uses."""
    with contextlib.closing(sqlite3.connect(path)) as connection:
        return connection.execute(sql, arguments).fetchall()


def contents(directory: Path) -> dict[str, bytes | None]:
    """Return every name in a directory, with its bytes where it is a file."""
    return {
        entry.name: entry.read_bytes() if entry.is_file() else None
        for entry in sorted(directory.iterdir())
    }


def mode(path: Path) -> int:
    """Return the permission bits of a path, the sticky bit among them."""
    return path.stat().st_mode & 0o7777


def environment(**changes: str) -> dict[str, str]:
    """Return this environment with changes."""
    return {**os.environ, **changes}


def run_python(
    code: str, *arguments: object, user: int | None = None, umask: int = 0o022, **changes: str
) -> str:
    """Run Python code in a process of its own, as another user if need be; answer its output."""
    finished = subprocess.run(
        [sys.executable, "-W", "error", "-c", as_user(user, code), *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        umask=umask,
        cwd="/",
        env=environment(**changes),
    )
    assert finished.returncode == 0, finished.stdout + finished.stderr
    return finished.stdout


def as_user(user: int | None, code: str) -> str:
    """Return code that becomes another user after its imports: Python may lie in a home."""
    imports = "import linecache, os, sys, time, tokenize, traceback, warnings, pathlib, pwd\n"
    package = "import tirastore, tirastore._lock\nfrom tirastore import TiraStore\n"
    change = f"os.setgroups([]); os.setgid({user}); os.setuid({user})\n"
    return imports + package + ("" if user is None else change) + code


@contextlib.contextmanager
def process(code: str, *arguments: object, user: int | None = None) -> Iterator[subprocess.Popen]:
    """Start Python code beside the test, wait for its first line, and kill it in the end."""
    with subprocess.Popen(
        [sys.executable, "-c", as_user(user, code), *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd="/",
    ) as started:
        try:
            assert started.stdout is not None
            line = started.stdout.readline()
            assert line == "ready\n", line + (started.stderr.read() if started.stderr else "")
            yield started
        finally:
            if started.poll() is None:
                started.send_signal(signal.SIGKILL)


HOLD_LOCK = """
import sys
from tirastore._lock import HardLinkLock
with HardLinkLock(sys.argv[1]):
    print("ready", flush=True)
    sys.stdin.read()
"""


def lock_of(path: Path) -> Path:
    """Return where the lock of a database stands."""
    return path.with_suffix(".db.lock")


def tokens_in(lock: Path) -> list[str]:
    """Return the tokens of a lock directory: one, unless it is damaged."""
    return sorted(entry.name for entry in lock.iterdir() if entry.name[:2] in ("f.", "h."))


def owner(pid: int, *, uid: int | None = None, elsewhere: bool = False) -> str:
    """Return a process as a token names it; `elsewhere`, it is of a node that nobody can ask."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
        start = stat.rpartition(")")[2].split()[19]
    except FileNotFoundError:
        start = ""
    namespaces = (Path(f"/proc/self/ns/{kind}") for kind in ("pid", "time"))
    links = [str(link.readlink()) if link.is_symlink() else "" for link in namespaces]
    host = "elsewhere" if elsewhere else socket.gethostname()
    fields = [
        os.urandom(8).hex(),
        str(os.geteuid() if uid is None else uid),
        os.fsencode(host)[:36].hex(),
        Path("/proc/sys/kernel/random/boot_id").read_text().strip(),
        *(re.sub(r"\D", "", link) for link in links),
        *(str(pid), start, str(int(time.time()))),
    ]
    return ".".join(fields)


def hold_token(lock: Path, pid: int, *, flags: str = "", **who: Any) -> str:
    """Take the free token of a lock directory in the name of process `pid`; return its name."""
    (free,) = tokens_in(lock)
    kind, fence, generation = free.split(".")
    assert kind == "f"
    held = f"h.{fence}.{int(generation) + 1}.0.{flags}.{owner(pid, **who)}"
    (lock / free).rename(lock / held)
    return held


def free_token(lock: Path) -> None:
    """Release the token of a lock directory, whoever holds it."""
    (token,) = tokens_in(lock)
    _, fence, generation, *_ = token.split(".")
    (lock / token).rename(lock / f"f.{fence}.{generation}")


class Holder:
    """A process that holds the lock of a store, by whichever protocol."""

    def __init__(self, path: Path, process: subprocess.Popen) -> None:
        self.lock = lock_of(path)
        self.process = process
        self.pid = process.pid

    def release(self) -> None:
        """Give the lock back."""
        if self.lock.is_dir():
            free_token(self.lock)
        elif self.process.poll() is None:
            assert self.process.stdin is not None
            self.process.stdin.close()
            self.process.wait(10)

    def kill(self) -> None:
        """End the process; its lock stays behind."""
        self.process.kill()
        self.process.wait(10)


@contextlib.contextmanager
def held(path: Path, flags: str = "") -> Iterator[Holder]:
    """Let another process hold the lock of the store at `path`, and give it back in the end.

    `flags` are those of a token: W, it writes; D, somebody has to be shut out.
    """
    if not lock_of(path).is_dir():
        with process(HOLD_LOCK, lock_of(path)) as started:
            holder = Holder(path, started)
            yield holder
            holder.release()
        return
    # A token is held by whom its name says, so that any living process will do.
    with subprocess.Popen(["sleep", "1000"]) as started:
        token = hold_token(lock_of(path), started.pid, flags=flags)
        try:
            yield Holder(path, started)
            if (lock_of(path) / token).exists():
                free_token(lock_of(path))
        finally:
            started.kill()


def at_rest(directory: Path) -> list[str]:
    """Return the names in a directory that nobody uses just now.

    What belongs to a sealed store, its lock and its journal, is left out once it is seen to be at
    rest: the token free, nobody waiting or asking, nothing to roll back.
    """
    names = {entry.name for entry in directory.iterdir()}
    locks = {name for name in names if name.endswith(".db.lock") and (directory / name).is_dir()}
    for lock in locks:
        inside = sorted(entry.name for entry in (directory / lock).iterdir())
        assert [name[:2] for name in inside] == ["f.", "p.", "t."], inside
    of_sealed = {name for name in names if lock_of(directory / name).name in locks}
    journals = {f"{name}-journal" for name in of_sealed} & names
    for journal in journals:
        assert not (directory / journal).read_bytes()[:1].strip(b"\0"), "a journal to roll back"
    return sorted(names - locks - journals)


def wait_until_gone(path: Path, seconds: float = 10.0) -> bool:
    """Wait for a file to be removed; tell whether it was."""
    deadline = time.monotonic() + seconds
    while path.exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    return not path.exists()


@contextlib.contextmanager
def public_directory(permissions: int = 0o755) -> Iterator[Path]:
    """Make a directory that other users can reach, which pytest's own are not."""
    directory = Path(tempfile.mkdtemp(prefix="tirastore-test-"))
    directory.chmod(permissions)
    try:
        yield directory
    finally:
        shutil.rmtree(directory)


def record_from_another_process(store: TiraStore, number: int) -> tuple[int, bool, str]:
    """Record through a store that arrived pickled; answer who did it, and how it was opened."""
    written = store.record("p", SOURCE, schedule(number), True, [float(number)])
    return os.getpid(), written, store.source_project


class LateCompletion:
    """Completing a claim has an error for once, before or after it has written."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, writes_first: bool) -> None:
        self.errors = 0
        complete = Claim.complete

        def late(*arguments: Any, **options: Any) -> bool:
            if self.errors:
                return complete(*arguments, **options)
            self.errors += 1
            if writes_first:
                complete(*arguments, **options)
            raise LockTimeoutError("held")

        monkeypatch.setattr(Claim, "complete", late)
