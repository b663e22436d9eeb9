"""An operation that locks are made of and that does not work is a problem; a lost reply is not."""

import errno
import os
import time
from pathlib import Path
from typing import Any

import pytest
from broken import LINK_FOR_ALL, NOTE, PROBLEM, REFUSED, RENAME_FOR_ALL, call
from support import contents, old_store

from tirastore.doctor import examine, peer


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
