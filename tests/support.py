"""What several test files share: files of the original, other processes and other users."""

import contextlib
import hashlib
import json
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tirastore import TiraStore

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
