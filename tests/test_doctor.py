"""What `tirastore doctor` promises: it sees what is broken, says so, and leaves nothing behind."""

import dataclasses
import errno
import os
import re
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from support import (
    NOBODY,
    contents,
    environment,
    needs_root,
    old_store,
    public_directory,
    run_python,
)

from tirastore import _core, doctor
from tirastore.cli import main
from tirastore.doctor import (
    Finding,
    Report,
    Verdict,
    examine,
    exclusion,
    mailbox,
    peer,
    surroundings,
    visibility,
)
from tirastore.doctor.mailbox import Task

OK, NOTE, PROBLEM = Verdict.OK, Verdict.NOTE, Verdict.PROBLEM
CLI = "import sys; from tirastore.cli import main; main(sys.argv[1:])"

# Broken primitives, as code that runs in the processes that race.
EVERYBODY_WINS = """
from pathlib import Path
def swallowing(operation):
    def broken(self, target):
        try:
            operation(self, target)
        except OSError:
            pass
    return broken
"""
RENAME_FOR_ALL = EVERYBODY_WINS + "Path.rename = swallowing(Path.rename)"
LINK_FOR_ALL = EVERYBODY_WINS + "Path.hardlink_to = swallowing(Path.hardlink_to)"
REFUSED = """
from pathlib import Path
def refused(self, target):
    raise OSError({errno}, "refused")
Path.{operation} = refused
"""
SLOW_REMOVAL = """
import os, time
rmdir = os.rmdir
os.rmdir = lambda *path, **options: (time.sleep(0.02), rmdir(*path, **options))
"""
# What a client with a cache of half a second answers.
CACHED = """
import os, time
from pathlib import Path
def cached(ask):
    answers = {}
    def remembered(key, *more):
        when, answer = answers.get((key, *more), (0, None))
        if time.monotonic() - when > 0.5:
            when, answer = time.monotonic(), ask(key, *more)
            answers[key, *more] = when, answer
        return answer
    return remembered
"""


@pytest.fixture
def broken(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Let code run in the processes of the checks before they begin."""

    def breaks(code: str) -> None:
        serving = f"{code}\nfrom tirastore.doctor.side import serve; serve()"
        monkeypatch.setattr(peer, "COMMAND", [sys.executable, "-P", "-c", serving])

    return breaks


@pytest.fixture
def second_path(tmp_path: Path) -> Iterator[tuple[Path, Path]]:
    """Return a directory, and another path to it."""
    (tmp_path / "first").mkdir()
    (tmp_path / "second").symlink_to("first")
    yield tmp_path / "first", tmp_path / "second"
    assert contents(tmp_path / "first") == {}


@pytest.fixture(autouse=True)
def few_rounds(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    """Race in few rounds where the races are not what is tested."""
    if request.function is not test_a_good_directory_is_safe_and_left_as_it_was_within_15_s:
        few = tuple(dataclasses.replace(race, rounds=12) for race in exclusion.RACES)
        monkeypatch.setattr(exclusion, "RACES", few)
        monkeypatch.setattr(doctor, "_PROCESSES", 2)


@pytest.fixture(autouse=True)
def no_job(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith("SLURM_"):
            monkeypatch.delenv(name)


class CachingFileSystem:
    """A file system that is not taken for coherent."""

    kind, magic, coherent, local, reason = "fuse", 0x65735546, False, False, "fuse may cache"


def call(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["doctor", *map(str, arguments)], env={"COLUMNS": "200"})


def verdicts(report: Report) -> dict[str, Verdict]:
    return {finding.check: finding.verdict for finding in report.findings}


def test_a_good_directory_is_safe_and_left_as_it_was_within_15_s(tmp_path: Path) -> None:
    (tmp_path / "other").write_text("mine")
    began = time.monotonic()
    shown = call(tmp_path)
    assert time.monotonic() - began < 15
    assert shown.exit_code == 0, shown.output
    assert "A store can be used here" in shown.output
    assert "problem" not in shown.output.replace("no problem", "")
    assert contents(tmp_path) == {"other": b"mine"}


def test_every_check_reports(tmp_path: Path) -> None:
    report = examine(tmp_path / "store.db")
    assert report.safe
    assert report.directory == tmp_path
    assert set(verdicts(report)) == {
        *("file system", "how it is read", "sharing", "room", "clock", "fsync()", "speed"),
        *("rename() excludes", "one lock directory is born", "link() excludes"),
        *("flock and fcntl locks", "rename() replaces", "inodes and link counts"),
        "file server's clock",
    }
    assert all(finding.seen for finding in report.findings)


def test_a_file_system_in_memory_is_named() -> None:
    with tempfile.TemporaryDirectory(dir="/dev/shm") as name:
        directory = Path(name)
        report = examine(directory)
        assert report.safe, report.problems
        assert "tmpfs (0x01021994)" in report["file system"].seen
        assert contents(directory) == {}


@pytest.mark.parametrize(
    ("code", "check"),
    [
        (RENAME_FOR_ALL, "rename() excludes"),
        (RENAME_FOR_ALL, "one lock directory is born"),
        (LINK_FOR_ALL, "link() excludes"),
    ],
)
def test_an_operation_that_two_win_is_a_problem(
    tmp_path: Path, broken: Any, code: str, check: str
) -> None:
    broken(code)
    found = examine(tmp_path)[check]
    assert found.verdict is PROBLEM
    assert "several winners" in found.seen
    assert found.advice
    shown = call(tmp_path)
    assert shown.exit_code == 1
    assert "Do not use a store here" in shown.output
    assert check in shown.output.splitlines()[-1]
    assert contents(tmp_path) == {}


def test_an_operation_that_nobody_ever_wins_is_a_problem(tmp_path: Path, broken: Any) -> None:
    broken(REFUSED.format(operation="rename", errno=errno.ENOENT))
    assert examine(tmp_path)["rename() excludes"].verdict is PROBLEM


def test_lost_replies_are_noted(tmp_path: Path, broken: Any) -> None:
    broken(
        "from pathlib import Path\nrename = Path.rename\ncalls = 0\n"
        "def lossy(self, target):\n"
        "    global calls\n    calls += 1\n    rename(self, target)\n"
        "    if calls % 7 == 0: raise FileNotFoundError(2, 'retransmitted')\n"
        "Path.rename = lossy"
    )
    found = examine(tmp_path)["rename() excludes"]
    assert found.verdict is NOTE
    assert "nobody won" in found.seen


def test_errors_now_and_then_are_named(tmp_path: Path, broken: Any) -> None:
    broken(
        "from pathlib import Path\nrename = Path.rename\n"
        "def full(self, target):\n"
        "    if self.name.endswith('.7'): raise OSError(28, 'full')\n"
        "    rename(self, target)\n"
        "Path.rename = full"
    )
    found = examine(tmp_path)["rename() excludes"]
    assert found.verdict is NOTE
    assert found.seen == "nobody won 1 of 12 rounds (ENOSPC: 2 times)"


def test_without_hard_links_only_a_store_that_needs_them_is_in_trouble(
    tmp_path: Path, broken: Any
) -> None:
    broken(REFUSED.format(operation="hardlink_to", errno=errno.EPERM))
    report = examine(tmp_path)
    assert report["link() excludes"].verdict is NOTE
    assert "EPERM" in report["link() excludes"].seen
    old_store(tmp_path / "store.db", [])
    report = examine(tmp_path / "store.db")
    assert report["link() excludes"].verdict is PROBLEM
    (tmp_path / "store.db.lock").mkdir()
    (tmp_path / "store.db").with_suffix(".db.lock").mkdir(exist_ok=True)
    assert examine(tmp_path / "store.db")["link() excludes"].verdict is NOTE


def test_a_rename_that_is_refused_is_a_problem(tmp_path: Path, broken: Any) -> None:
    broken(REFUSED.format(operation="rename", errno=errno.EPERM))
    report = examine(tmp_path)
    assert report["rename() excludes"].verdict is PROBLEM
    assert report["one lock directory is born"].verdict is PROBLEM


@pytest.mark.parametrize(
    ("body", "seen"),
    [
        ("return None", "flock: excludes nobody; fcntl: excludes"),
        (f"raise OSError({errno.ENOSYS}, '')", "flock: refused (ENOSYS); fcntl: excludes"),
    ],
)
def test_locks_of_the_system_are_not_needed(
    tmp_path: Path, broken: Any, body: str, seen: str
) -> None:
    broken(f"import fcntl\ndef flock(descriptor, how): {body}\nfcntl.flock = flock")
    report = examine(tmp_path)
    found = report["flock and fcntl locks"]
    assert (found.verdict, found.seen) == (NOTE, seen)
    assert report.safe


def test_a_process_that_dies_is_a_problem_and_not_a_wait(tmp_path: Path, broken: Any) -> None:
    broken("raise SystemExit")
    began = time.monotonic()
    report = examine(tmp_path)
    assert time.monotonic() - began < 10
    assert report["rename() excludes"].verdict is PROBLEM
    assert "has ended" in report["rename() excludes"].seen


def test_a_file_system_that_hangs_is_a_problem(
    tmp_path: Path, broken: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken(
        "import time\nfrom pathlib import Path\n"
        "Path.hardlink_to = lambda self, target: time.sleep(100)"
    )
    monkeypatch.setattr(peer.Process.receive, "__defaults__", (1.5,))
    found = examine(tmp_path)["link() excludes"]
    assert found.verdict is PROBLEM
    assert "within 1.5 s" in found.seen


def test_a_rename_that_copies_is_a_problem(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rename = Path.rename

    def copying(self: Path, target: Path) -> Path:
        if self.is_dir():
            return rename(self, target)
        Path(target).write_bytes(self.read_bytes())
        return target

    monkeypatch.setattr(Path, "rename", copying)
    found = examine(tmp_path)["rename() replaces"]
    assert found.verdict is PROBLEM
    assert "an open file changed its contents" in found.seen
    assert "kept its old name" in found.seen


def test_a_directory_renamed_onto_a_full_one_is_a_problem(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rename = Path.rename
    monkeypatch.setattr(
        Path, "rename", lambda self, target: None if self.is_dir() else rename(self, target)
    )
    assert "not empty" in examine(tmp_path)["rename() replaces"].seen
    assert call(tmp_path).exit_code == 1


def stat_with(monkeypatch: pytest.MonkeyPatch, field: int, value: int) -> None:
    real = Path.stat

    def patched(self: Path, **options: Any) -> os.stat_result:
        fields = list(real(self, **options))
        if self.name in ("one", "two", "third"):
            fields[field] = value
        return os.stat_result(fields)

    monkeypatch.setattr(Path, "stat", patched)


def test_link_counts_that_lie_are_a_problem_for_the_hard_link_lock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old_store(tmp_path / "store.db", [])
    stat_with(monkeypatch, 3, 1)
    assert examine(tmp_path)["inodes and link counts"].verdict is NOTE
    assert examine(tmp_path / "store.db")["inodes and link counts"].verdict is PROBLEM


def test_inode_numbers_that_lie_are_a_problem(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stat_with(monkeypatch, 1, 4711)
    assert examine(tmp_path)["inodes and link counts"].verdict is PROBLEM


@pytest.mark.parametrize(("of_files", "verdict"), [(True, PROBLEM), (False, NOTE)])
def test_fsync_that_is_refused_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, of_files: bool, verdict: Verdict
) -> None:
    real = os.fsync

    def refusing(descriptor: int) -> None:
        if of_files or os.path.isdir(f"/proc/self/fd/{descriptor}"):  # noqa: PTH112
            raise OSError(errno.EINVAL, "refused")
        real(descriptor)

    monkeypatch.setattr(os, "fsync", refusing)
    found = examine(tmp_path)["fsync()"]
    assert found.verdict is verdict
    assert "EINVAL" in found.seen


def test_slow_operations_and_a_server_whose_clock_is_wrong_are_noted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rename = Path.rename

    def slow(self: Path, target: Path) -> Path:
        time.sleep(0.06)
        return rename(self, target)

    real = Path.stat

    def skewed(self: Path, **options: Any) -> os.stat_result:
        status = real(self, **options)
        if self.name != "stamped":
            return status
        fields = list(status)
        fields[8] -= 300
        return os.stat_result(fields)

    monkeypatch.setattr(Path, "rename", slow)
    monkeypatch.setattr(Path, "stat", skewed)
    report = examine(tmp_path)
    assert report["speed"].verdict is NOTE
    found = report["file server's clock"]
    assert found.verdict is NOTE
    assert "300" in found.seen or "301" in found.seen
    assert "behind" in found.seen
    assert report.safe


def test_no_room_is_a_problem_and_little_room_a_note(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def having(**fields: int) -> None:
        real = {"f_bavail": 1 << 30, "f_frsize": 4096, "f_blocks": 1 << 31, "f_files": 1 << 30}
        status = type("Status", (), {**real, "f_favail": 1 << 29, **fields})()
        monkeypatch.setattr(os, "statvfs", lambda _: status)

    having()
    assert surroundings.room(tmp_path, None).verdict is OK
    having(f_bavail=1000)
    assert surroundings.room(tmp_path, None).verdict is NOTE
    having(f_bavail=0)
    assert surroundings.room(tmp_path, None).verdict is PROBLEM
    having(f_favail=10)
    assert "inodes" in surroundings.room(tmp_path, None).advice
    having(f_files=0, f_favail=0)
    assert surroundings.room(tmp_path, None).verdict is OK


def test_a_limit_on_the_size_of_files_is_noted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old_store(tmp_path / "store.db", [])
    monkeypatch.setattr(resource, "getrlimit", lambda _: (1 << 30, 1 << 30))
    assert "ulimit -f" in surroundings.room(tmp_path, tmp_path / "store.db").advice
    monkeypatch.setattr(resource, "getrlimit", lambda _: (1 << 10, 1 << 10))
    assert surroundings.room(tmp_path, tmp_path / "store.db").verdict is PROBLEM


def test_an_exceeded_quota_is_noted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commands = tmp_path / "bin"
    commands.mkdir()
    (commands / "quota").write_text("#!/bin/sh\necho over quota on /lustre\nexit 1\n")
    (commands / "quota").chmod(0o755)
    monkeypatch.setenv("PATH", f"{commands}:{os.environ['PATH']}")
    assert "over quota on /lustre" in surroundings.room(tmp_path, None).advice


def test_an_unreadable_clock_is_a_problem(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unreadable(_: int) -> float:
        raise OSError(errno.EINVAL, "Invalid argument")

    monkeypatch.setattr(time, "clock_gettime", unreadable)
    assert examine(tmp_path)["clock"].verdict is PROBLEM


def test_a_sticky_directory_is_noted_with_its_remedy(tmp_path: Path) -> None:
    tmp_path.chmod(0o1777)
    found = surroundings.sharing(tmp_path, None)
    assert found.verdict is NOTE
    assert found.advice.endswith(f"chmod -t {tmp_path}")
    tmp_path.chmod(0o755)
    assert surroundings.sharing(tmp_path, None).verdict is OK


def test_a_set_group_id_directory_is_named(tmp_path: Path) -> None:
    tmp_path.chmod(0o2775)
    assert "get the directory's group" in surroundings.sharing(tmp_path, None).seen


@needs_root
def test_a_directory_that_cannot_be_written_gets_the_checks_that_only_read() -> None:
    with public_directory() as directory:
        before = contents(directory)
        code = f"""
from tirastore.doctor import examine
os.setgroups([]); os.setgid({NOBODY}); os.setuid({NOBODY})
report = examine(sys.argv[1])
assert report.safe
print(report["directory"].seen, report["how it is read"].seen)
"""
        shown = run_python(code, directory)
        assert "may not be written" in shown
        assert "validated copies" in shown
        assert contents(directory) == before


def test_it_says_how_a_store_is_read_and_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = tmp_path / "store.db"
    assert "kept connections" in examine(store)["how it is read"].seen
    old_store(store, [])
    assert "open to original clients" in examine(store)["how it is read"].seen
    store.with_suffix(".db.lock").mkdir()
    assert "kept connections" in examine(store)["how it is read"].seen
    monkeypatch.setattr(doctor, "file_system", lambda _: CachingFileSystem)
    report = examine(store)
    assert "nothing kept" in report["how it is read"].seen
    assert report["file system"].verdict is NOTE
    assert report.safe, report.problems


def test_a_directory_of_one_node_is_noted_within_a_job(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    found = examine(tmp_path)["file system"]
    assert _core.file_system(tmp_path).local
    assert found.verdict is NOTE
    assert "Only processes of this node" in found.advice


def test_no_such_directory_is_one_line(tmp_path: Path) -> None:
    shown = call(tmp_path / "missing" / "store.db")
    assert shown.exit_code == 1
    assert shown.output == f"Error: there is no directory {tmp_path}/missing\n"


# Two paths.


def test_two_paths_to_one_directory_are_compared(second_path: tuple[Path, Path]) -> None:
    report = examine(*second_path)
    assert report.safe, report.problems
    between = [name for name in verdicts(report) if name.endswith("between paths")]
    assert len(between) == 5
    assert "all 8 kinds" in report["changes are seen between paths"].seen
    assert report["second path"].verdict is OK


def test_two_directories_are_told_from_two_paths(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(visibility, "LIMIT", 0.2)
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
    shown = call(tmp_path / "first", tmp_path / "second")
    assert shown.exit_code == 1
    assert "second path" in shown.output.splitlines()[-1]
    assert contents(tmp_path / "first") == contents(tmp_path / "second") == {}


def test_a_race_that_both_paths_win_is_a_problem(
    second_path: tuple[Path, Path], broken: Any
) -> None:
    broken(RENAME_FOR_ALL)
    assert examine(*second_path)["rename() excludes between paths"].verdict is PROBLEM


@pytest.mark.parametrize(
    ("patch", "late"),
    [
        ("os.pread = cached(os.pread)", "new contents of an open file"),
        ("Path.read_bytes = cached(Path.read_bytes)", "new contents, opened again"),
        ("Path.read_bytes = cached(Path.read_bytes)", "a file replaced by rename"),
    ],
)
def test_contents_that_are_old_for_a_while_are_a_problem_where_coherence_is_relied_on(
    second_path: tuple[Path, Path],
    broken: Any,
    monkeypatch: pytest.MonkeyPatch,
    patch: str,
    late: str,
) -> None:
    broken(CACHED + patch)
    found = examine(*second_path)["changes are seen between paths"]
    assert found.verdict is PROBLEM
    assert re.search(f"{late}: after [0-9]{{3}} ms", found.seen)
    monkeypatch.setattr(doctor, "file_system", lambda _: CachingFileSystem)
    report = examine(*second_path)
    assert report["changes are seen between paths"].verdict is NOTE
    assert report.safe


@pytest.mark.parametrize(
    ("name", "late"),
    [
        ("create", "a new file"),
        ("list", "a new name in a listing"),
        ("unlink", "a removed file"),
        ("append", "a new size"),
        ("link", "a new link count"),
    ],
)
def test_changes_that_are_never_seen_are_a_problem(
    second_path: tuple[Path, Path],
    broken: Any,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    late: str,
) -> None:
    monkeypatch.setattr(visibility, "LIMIT", 0.4)
    broken(
        "from tirastore.doctor.side import Side\nsees = Side.sees\n"
        f"Side.sees = lambda side, name, tag: name != {name!r} and sees(side, name, tag)"
    )
    found = examine(*second_path)["changes are seen between paths"]
    assert found.verdict is PROBLEM
    assert found.seen == f"{late}: not within 0.4 s\nother kinds of change at once: 7"


# Two nodes, played by two processes.


def two_tasks(directory: Path, second: str = CLI) -> list[tuple[int, str]]:
    """Run two tasks of one Slurm step; answer their status and output."""
    tasks = [
        subprocess.Popen(
            [sys.executable, "-c", code, "doctor", str(directory)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=environment(
                SLURM_JOB_ID="7",
                SLURM_STEP_ID="0",
                SLURM_NTASKS="2",
                SLURM_PROCID=str(rank),
                COLUMNS="200",
            ),
        )
        for rank, code in enumerate([CLI, second])
    ]
    outputs = [task.communicate(timeout=100)[0] for task in tasks]
    return [(task.returncode, output) for task, output in zip(tasks, outputs, strict=True)]


def test_two_tasks_examine_what_is_between_them(tmp_path: Path) -> None:
    (first, shown), second = two_tasks(tmp_path)
    assert first == 0, shown
    assert second == (0, "")
    assert "second node" in shown
    assert shown.count("between nodes") == 5
    assert "all 8 kinds of change at once" in shown
    assert contents(tmp_path) == {}


def test_what_a_killed_run_has_left_does_not_stop_the_next_one(tmp_path: Path) -> None:
    place = Task(0, "7.0").meeting_point(tmp_path)
    (place / "pair").mkdir(parents=True)
    (place / "hello.node9.1.abc").write_text('"node9"')
    (first, shown), second = two_tasks(tmp_path)
    assert first == 0, shown
    assert second[0] == 0
    assert contents(tmp_path) == {}


def test_a_race_that_both_nodes_win_is_a_problem(tmp_path: Path) -> None:
    (first, shown), second = two_tasks(tmp_path, f"{LINK_FOR_ALL}\n{CLI}")
    assert first == 1
    assert "link() excludes between nodes" in shown.splitlines()[-1]
    assert second[0] == 0
    assert contents(tmp_path) == {}


def test_a_second_node_that_does_not_come_is_a_problem(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mailbox.Remote.meet, "__defaults__", (0.5,))
    report = examine(tmp_path, task=Task(0, "7.0"))
    assert report["second node"].verdict is PROBLEM
    assert "has not come" in report["second node"].seen
    assert contents(tmp_path) == {}


def test_only_a_step_of_two_tasks_is_examined_between_nodes() -> None:
    step = {"SLURM_JOB_ID": "7", "SLURM_NTASKS": "2", "SLURM_PROCID": "1", "SLURM_STEP_ID": "3"}
    assert Task.of(step) == Task(1, "7.3")
    assert Task.of({**step, "SLURM_NTASKS": "1"}) is None
    assert Task.of({**step, "SLURM_STEP_ID": "../x"}) is None
    assert Task.of({**step, "SLURM_PROCID": "x"}) is None
    assert Task.of({}) is None
    del step["SLURM_STEP_ID"]  # a batch script
    assert Task.of(step) is None


# How it ends.


@pytest.mark.parametrize(
    "signals", [[signal.SIGINT], [signal.SIGTERM], [signal.SIGINT, signal.SIGTERM, signal.SIGINT]]
)
def test_interrupted_it_leaves_nothing(tmp_path: Path, signals: list[int]) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", SLOW_REMOVAL + CLI, "doctor", str(tmp_path)],
        stdout=subprocess.DEVNULL,
    ) as started:
        deadline = time.monotonic() + 20
        while not list(tmp_path.glob(".tirastore-doctor-*/alone/*")):
            assert time.monotonic() < deadline
            time.sleep(0.005)
        for number in signals:
            started.send_signal(number)
            time.sleep(0.3)
        assert started.wait(20) == 128 + signals[0]
    assert contents(tmp_path) == {}


def test_nothing_is_cut_off_at_80_columns(tmp_path: Path) -> None:
    shown = CliRunner().invoke(main, ["doctor", str(tmp_path)], env={"COLUMNS": "80"})
    assert "…" not in shown.output
    assert all(len(line) <= 80 for line in shown.output.splitlines()[3:])


def test_a_report_finds_its_checks_by_name() -> None:
    report = Report(Path("/"), (Finding("a", OK, "seen"), Finding("b", NOTE, "seen")))
    assert report["b"].verdict is NOTE
    assert report.safe
    assert [finding.check for finding in report.notes] == ["b"]
    with pytest.raises(KeyError):
        report["c"]
