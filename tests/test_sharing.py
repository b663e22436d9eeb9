"""Who else may use what is created, whatever the umask, and nobody's own things are touched."""

import contextlib
import json
import os
import pwd
import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support import (
    HOLD_LOCK,
    NOBODY,
    SOURCE,
    at_rest,
    contents,
    held,
    mode,
    needs_root,
    open_store,
    process,
    public_directory,
    run_python,
    schedule,
)

from tirastore import TiraStore, lock_info

MODES = {None: (0o666, 0o777), True: (0o666, 0o777), False: (0o600, 0o700)}

USE_EVERYTHING = """
share = {"None": None, "True": True, "False": False}[sys.argv[2]]
directory = pathlib.Path(sys.argv[1])
store = TiraStore(
    directory / "new/sub/s.db", cpu_model="TestCPU", slurm_cpus="4", share=share, lock=sys.argv[3]
)
store.record("p", "void blur() {}", "", True, [1.0])
store.backup(directory / "new/backup.db")
store.backup()
store.export(directory / "new/all.json")
store.export(directory / "new/all.jsonl", "jsonl")
"""


@contextlib.contextmanager
def umask(value: int) -> Iterator[None]:
    """Change the umask of this process."""
    before = os.umask(value)
    try:
        yield
    finally:
        os.umask(before)


@pytest.mark.parametrize("mask", [0o000, 0o022, 0o077, 0o777])
@pytest.mark.parametrize("share", [None, True, False])
def test_modes_are_those_of_share_under_every_umask(
    tmp_path: Path, mask: int, protocol: str, *, share: bool | None
) -> None:
    if mask == 0o777 and os.geteuid() != 0:
        mask = 0o277
    run_python(USE_EVERYTHING, tmp_path, share, protocol, umask=mask)
    file_mode, directory_mode = MODES[share]
    found = {path: mode(path) for path in (tmp_path / "new").rglob("*")}
    files = [path for path in found if path.is_file()]
    # A sealed store keeps its journal, and three files in its lock.
    assert len(files) == (9 if protocol == "token" else 5)
    assert {oct(found[path]) for path in files} == {oct(file_mode)}
    directories = [tmp_path / "new", *found.keys() - set(files)]
    assert len(directories) == (3 if protocol == "token" else 2)
    assert {oct(mode(directory)) for directory in directories} == {oct(directory_mode)}


@pytest.mark.parametrize("share", [None, True, False])
@pytest.mark.parametrize("mask", [0o000, 0o077])
def test_the_lock_file_of_a_working_store_has_the_mode_of_the_store(
    tmp_path: Path, mask: int, *, share: bool | None
) -> None:
    store = open_store(tmp_path / "s.db", share=share, lock="hardlink")
    seen: set[int] = set()
    done = threading.Event()

    def watch() -> None:
        while not done.is_set():
            for path in tmp_path.iterdir():
                if path.name != "s.db":
                    with contextlib.suppress(FileNotFoundError):
                        seen.add(mode(path))

    watcher = threading.Thread(target=watch)
    watcher.start()
    with umask(mask):
        entries = [
            {"tiralib_schedule_string": schedule(number), "is_legal": False}
            for number in range(3000)
        ]
        store.record_many("p", SOURCE, entries)
    done.set()
    watcher.join()
    assert MODES[share][0] in seen
    # 0600 while it is being made: nobody can look at it too early.
    assert seen <= {MODES[share][0], 0o600, 0o644, 0o666}
    assert at_rest(tmp_path) == ["s.db"]


def test_a_lock_held_by_hand_can_be_read_by_everybody(tmp_path: Path) -> None:
    with umask(0o077), process(HOLD_LOCK, tmp_path / "s.db.lock") as holder:
        assert mode(tmp_path / "s.db.lock") == 0o666
        assert json.loads((tmp_path / "s.db.lock").read_text())["pid"] == holder.pid


@pytest.mark.parametrize("share", [None, True, False])
def test_the_umask_of_the_process_is_never_changed(tmp_path: Path, *, share: bool | None) -> None:
    """A change, however short, would show in the files that other threads create meanwhile."""
    done = threading.Event()
    seen: set[str] = set()

    def watch() -> None:
        status = Path("/proc/self/status")
        while not done.is_set():
            seen.update(re.findall(r"^Umask:\s*(\d+)$", status.read_text(), re.MULTILINE))

    with umask(0o027):
        watcher = threading.Thread(target=watch)
        watcher.start()
        for number in range(5):
            with open_store(tmp_path / f"{number}" / "s.db", share=share) as store:
                store.record("p", SOURCE, "", True, [1.0])
                store.backup()
                store.export(tmp_path / f"{number}" / "all.json")
        done.set()
        watcher.join()
        assert os.umask(0o027) == 0o027
    assert seen == {"0027"}


@pytest.mark.parametrize("share", [None, False])
@pytest.mark.parametrize("permissions", [0o700, 0o755, 0o1777, 0o2775])
def test_an_existing_parent_is_not_touched(
    tmp_path: Path, permissions: int, protocol: str, *, share: bool | None
) -> None:
    parent = tmp_path / "mine"
    parent.mkdir()
    parent.chmod(permissions)
    changed = parent.stat().st_mode
    with open_store(parent / "s.db", share=share, lock=protocol) as store:
        store.record("p", SOURCE, "", True, [1.0])
    assert parent.stat().st_mode == changed
    assert mode(parent) == permissions


@pytest.mark.parametrize("permissions", [0o700, 0o755])
def test_share_opens_an_existing_parent_of_ones_own_and_not_sticky(
    tmp_path: Path, permissions: int
) -> None:
    parent = tmp_path / "mine"
    parent.mkdir()
    parent.chmod(permissions)
    with open_store(parent / "s.db", share=True):
        pass
    assert oct(mode(parent)) == oct(0o777)
    assert mode(tmp_path) != 0o777, "only the parent itself"


def test_a_store_that_exists_keeps_its_mode(tmp_path: Path, protocol: str) -> None:
    with open_store(tmp_path / "s.db", share=False, lock=protocol) as store:
        store.record("p", SOURCE, "", True, [1.0])
    with open_store(tmp_path / "s.db") as store:
        store.record("p", SOURCE, schedule(1), True, [1.0])
    assert mode(tmp_path / "s.db") == 0o600


def test_share_refuses_the_home_that_the_environment_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"
    home.mkdir(0o750)
    (tmp_path / "link").symlink_to(home)
    for name in (home, tmp_path / "link"):
        monkeypatch.setenv("HOME", str(name))
        for path in (home / "s.db", tmp_path / "link" / "s.db"):
            with pytest.raises(ValueError, match=f"{re.escape(str(home))}.*home directory"):
                open_store(path, share=True)
    assert mode(home) == 0o750
    assert contents(home) == {}
    with open_store(home / "sub" / "s.db", share=True):
        pass
    assert mode(home) == 0o750


def test_share_refuses_the_home_of_the_user_database(tmp_path: Path) -> None:
    home = Path(pwd.getpwuid(os.geteuid()).pw_dir)
    if not home.is_dir() or mode(home) & 0o777 == 0o777:
        pytest.fail(f"no home directory to try: {home}")
    before = mode(home)
    store = home / f".tirastore-test-{os.getpid()}.db"
    code = """
try:
    TiraStore(sys.argv[1], share=True)
except ValueError as refused:
    assert "home directory" in str(refused), refused
else:
    raise SystemExit("opened a home directory to everybody")
"""
    try:
        run_python(code, store, HOME=str(tmp_path))
        assert mode(home) == before
        assert not store.exists()
    finally:
        home.chmod(before)
        store.unlink(missing_ok=True)


@needs_root
def test_share_refuses_a_directory_of_another_user() -> None:
    code = """
try:
    TiraStore(sys.argv[1] + "/s.db", share=True)
except ValueError as refused:
    assert sys.argv[1] in str(refused) and "another user" in str(refused), refused
else:
    raise SystemExit("accepted")
"""
    with public_directory(0o775) as directory:
        run_python(code, directory, user=NOBODY)
        os.chown(directory, NOBODY, NOBODY)
        run_python(code, directory)
        assert mode(directory) == 0o775
        assert contents(directory) == {}


RECORD = """
store = TiraStore(sys.argv[1], cpu_model="TestCPU", slurm_cpus="4", lock_timeout=20,
                  lock=sys.argv[3] if sys.argv[3:] else "auto")
for number in range(int(sys.argv[2]), int(sys.argv[2]) + 5):
    name = f"p{number % 2}"
    assert store.record(name, f"void {name}() {{}}", f"U(L0,{number},comps=['c'])", True, [1.0])
store.delete(store.keys()[-1])
print(store.count())
"""


@needs_root
@pytest.mark.parametrize("mask", [0o022, 0o077])
@pytest.mark.parametrize("creator", [None, NOBODY])
@pytest.mark.parametrize("prepared", [True, False])
def test_users_without_a_common_group_record_into_one_store(
    creator: int | None, mask: int, protocol: str, *, prepared: bool
) -> None:
    other = NOBODY if creator is None else None
    with public_directory(0o777) as directory:
        path = directory / ("s.db" if prepared else "new/s.db")
        assert run_python(RECORD, path, 0, protocol, user=creator, umask=mask) == "4\n"
        assert run_python(RECORD, path, 100, user=other, umask=mask) == "8\n"
        assert run_python(RECORD, path, 200, user=creator, umask=mask) == "12\n"
        assert at_rest(path.parent) == ["s.db"]
        with open_store(path) as store:
            assert store.count() == 12
            assert len(store.stats()["users"]) >= 1


@needs_root
def test_a_lock_that_a_killed_user_left_is_broken_by_another(protocol: str) -> None:
    with public_directory(0o777) as directory:
        path = directory / "s.db"
        with open_store(path, lock=protocol):
            pass
        with held(path) as holder:
            holder.kill()
            assert lock_info(path).holder_is_dead
            assert run_python(RECORD, path, 0, user=NOBODY) == "4\n"
        assert at_rest(directory) == ["s.db"]


@needs_root
def test_a_private_store_is_closed_to_others(protocol: str) -> None:
    code = """
try:
    TiraStore(sys.argv[1], cpu_model="TestCPU", slurm_cpus="4").count()
except OSError as refused:
    assert sys.argv[1] in str(refused), refused
else:
    raise SystemExit("read somebody's private store")
"""
    with public_directory(0o755) as directory:
        with open_store(directory / "s.db", share=False, lock=protocol) as store:
            store.record("p", SOURCE, "", True, [1.0])
        run_python(code, directory / "s.db", user=NOBODY)
        assert at_rest(directory) == ["s.db"]


def test_a_parent_that_cannot_be_made_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    options: dict[str, Any] = {"cpu_model": "TestCPU", "slurm_cpus": "4"}
    with pytest.raises(OSError, match=re.escape(str(tmp_path / "file"))):
        TiraStore(tmp_path / "file" / "s.db", **options)
    assert contents(tmp_path) == {"file": b"x"}
