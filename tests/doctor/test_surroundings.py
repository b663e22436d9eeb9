"""What is around a store: room, clocks, modes, and how it would be read."""

import errno
import os
import resource
import time
from pathlib import Path
from typing import Any

import pytest
from broken import NOTE, OK, PROBLEM, CachingFileSystem
from support import NOBODY, contents, needs_root, old_store, public_directory, run_python

from tirastore import _core, doctor
from tirastore.doctor import Verdict, examine, surroundings


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


def command_that_says(directory: Path, name: str, line: str) -> None:
    directory.mkdir(exist_ok=True)
    (directory / name).write_text(f"#!/bin/sh\necho {line!r}\nexit 1\n", encoding="utf-8")
    (directory / name).chmod(0o755)


@pytest.mark.parametrize(
    ("command", "line", "is_noted"),
    [
        ("quota", "over quota on /home", True),
        # Lustre prints what is used, allowed at first and at last, of space and of files.
        ("lfs", "/scratch 1048580* 1000000 1048576 6d 12 0 0 -", True),
        ("lfs", "/scratch 4 1000000 1048576 - 12 0 0 -", False),
    ],
)
def test_an_exceeded_quota_is_noted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str, line: str, is_noted: bool
) -> None:
    commands = tmp_path / "bin"
    for name in ("quota", "lfs"):
        command_that_says(commands, name, line if name == command else "")
    monkeypatch.setenv("PATH", f"{commands}:{os.environ['PATH']}")
    found = surroundings.room(tmp_path, None)
    assert (f"quota: {line}" in found.advice) == is_noted


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
# There is no store, and none can be made.
assert not report.safe
assert examine(os.path.join(sys.argv[1], "s.db")).safe is (sys.argv[2] == "there")
print(report["directory"].seen, report["how it is read"].seen)
"""
        shown = run_python(code, directory, "missing")
        old_store(directory / "s.db", [])
        run_python(code, directory, "there")
        (directory / "s.db").unlink()
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
