"""Two mounts of one directory are compared."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from broken import CACHED, NOTE, OK, PROBLEM, RENAME_FOR_ALL, CachingFileSystem, call, verdicts
from support import contents

from tirastore import doctor
from tirastore.doctor import examine, visibility


@pytest.fixture
def second_path(tmp_path: Path) -> Iterator[tuple[Path, Path]]:
    """Return a directory, and another path to it."""
    (tmp_path / "first").mkdir()
    (tmp_path / "second").symlink_to("first")
    yield tmp_path / "first", tmp_path / "second"
    assert contents(tmp_path / "first") == {}


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
