"""The lock of sealed stores: what its directory may say, and what is done about it."""

import os
import re
import threading
import time
from collections.abc import Callable
from pathlib import Path

import fleet
import pytest
from support import (
    SOURCE,
    at_rest,
    free_token,
    held,
    hold_token,
    lock_of,
    old_store,
    open_store,
    owner,
    process,
    run_python,
    schedule,
    tokens_in,
)

from tirastore import LockError, LockTimeoutError, TiraStore, lock_info, repair_lock
from tirastore._lock import HardLinkLock

P = "P(L0,comps=['c'])"


@pytest.fixture
def protocol() -> str:
    """All of this is about sealed stores."""
    return "token"


def owners_waiting(lock: Path, count: int) -> list[str]:
    """Wait until `count` waiters have left a mark, and return how they name themselves."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        marks = [entry.name for entry in lock.iterdir() if entry.name.startswith("w.")]
        if len(marks) >= count:
            return [mark.split(".", 2)[2] for mark in marks]
        time.sleep(0.002)
    raise AssertionError("too few wait")


def test_a_new_store_is_sealed_and_its_lock_says_all_by_names(tmp_path: Path) -> None:
    with open_store(tmp_path / "s.db", stale_lock_timeout=2.5) as store:
        lock = lock_of(store.db_path)
        names = sorted(entry.name for entry in lock.iterdir())
        assert re.fullmatch(r"f\.\d+\.\d+", names[0])
        assert names[1:] == ["p.1", "t.2.5"]
        assert store.record("p", SOURCE, P, True, [1.0])
        assert {entry.stat().st_size for entry in lock.iterdir() if entry.is_file()} == {0}
    assert at_rest(tmp_path) == ["s.db"]


@pytest.mark.parametrize(
    ("given", "kept"), [(600.0, "t.30"), (30.0, "t.30"), (0.75, "t.0.75"), (0.01, "t.0.5")]
)
def test_the_takeover_time_is_that_of_the_creator_within_bounds(
    tmp_path: Path, given: float, kept: str
) -> None:
    # Fixed for good: two clients that differ about it would differ about who is dead.
    for timeout in (given, 7.0):
        with open_store(tmp_path / "s.db", stale_lock_timeout=timeout) as store:
            assert (lock_of(store.db_path) / kept).exists()
            assert lock_info(store.db_path).takeover_seconds == float(kept[2:])


def test_children_of_one_process_are_told_apart(store: TiraStore) -> None:
    # Whoever takes its sibling's token for its own enters beside it.
    code = """
store = TiraStore(sys.argv[1], cpu_model="TestCPU", slurm_cpus="4", lock_timeout=30)
def record():
    store.record("p", "void blur() {}", f"U(L0,{os.getpid()},comps=['c'])", True, [1.0])
record()
print("ready", flush=True)
sys.stdin.readline()
for _ in range(2):
    if os.fork() == 0:
        record()
        os._exit(0)
for _ in range(2):
    assert os.wait()[1] == 0
print("done", flush=True)
"""
    with process(code, store.db_path) as parent:
        with held(store.db_path):
            parent.stdin.write("go\n")
            parent.stdin.flush()
            owners = owners_waiting(lock_of(store.db_path), 2)
            assert len({name.split(".")[0] for name in owners}) == 2, owners
        assert parent.stdout.readline() == "done\n", parent.stderr.read()
    assert store.count() == 3


def test_a_token_that_a_lost_release_left_is_taken_back_at_once(store: TiraStore) -> None:
    lock = lock_of(store.db_path)
    waiter = threading.Thread(target=store.record, args=("p", SOURCE, schedule(1), True, [1.0]))
    with held(store.db_path):
        waiter.start()
        (me,) = owners_waiting(lock, 1)
    waiter.join()
    (free,) = tokens_in(lock)
    for flags in ("", "W", "WD"):
        _, fence, generation = tokens_in(lock)[0].split(".")
        mine = f"h.{fence}.{int(generation) + 1}.3.{flags}.{me}"
        (lock / tokens_in(lock)[0]).rename(lock / mine)
        began = time.monotonic()
        store.record("p", SOURCE, schedule(2), True, [2.0], overwrite=True)
        assert time.monotonic() - began < 5, "its takeover time is 30 s"
    assert tokens_in(lock) != [free]
    assert store.count() == 2
    assert at_rest(store.db_path.parent) == ["store.db"]


def test_a_silent_holder_is_taken_over_after_the_takeover_time_and_shut_out(
    tmp_path: Path,
) -> None:
    path = tmp_path / "s.db"
    with open_store(path, stale_lock_timeout=0.5) as store:
        store.record("p", SOURCE, P, True, [1.0])
    for flags in ("", "W"):
        before, fence = path.stat().st_ino, lock_info(path).fence
        with open_store(path, lock_timeout=20.0) as store:
            hold_token(lock_of(path), 4711, flags=flags, elsewhere=True)
            began = time.monotonic()
            assert store.record("p", SOURCE, schedule(len(flags)), False)
            assert time.monotonic() - began >= 0.5
            assert store.count() == 2 + len(flags)
        # One that had not begun to write has nothing on its way, and finds its token gone.
        assert (path.stat().st_ino != before) == bool(flags)
        assert (lock_info(path).fence != fence) == bool(flags)
    assert at_rest(tmp_path) == ["s.db"]


def test_a_call_that_waits_less_than_the_takeover_time_says_so(store: TiraStore) -> None:
    hold_token(lock_of(store.db_path), 4711, elsewhere=True)
    impatient = open_store(store.db_path, lock_timeout=0.3)
    with pytest.raises(LockTimeoutError, match=r"4711 on elsewhere.*after 30 s of silence"):
        impatient.record("p", SOURCE, P, True, [1.0])
    free_token(lock_of(store.db_path))
    assert store.record("p", SOURCE, P, True, [1.0])


def lose(lock: Path) -> None:
    (lock / tokens_in(lock)[0]).unlink()


def double(lock: Path) -> None:
    (lock / "f.1.2").touch()


def double_as_if_held(lock: Path) -> None:
    (lock / f"h.1.2.0.W.{owner(os.getppid())}").touch()


def garble(lock: Path) -> None:
    (lock / tokens_in(lock)[0]).rename(lock / "f.of.another.kind")


DAMAGES: list[Callable[[Path], None]] = [lose, double, double_as_if_held, garble]


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
def test_a_damaged_lock_is_an_error_that_names_the_repair(
    tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    path = tmp_path / "s.db"
    with open_store(path, stale_lock_timeout=0.5, lock_timeout=20.0) as store:
        store.record("p", SOURCE, P, True, [1.0])
        assert repair_lock(path) is None, "nothing is wrong yet"
        damage(lock_of(path))
        remedy = rf"{re.escape(str(lock_of(path)))}.*tirastore lock .*--repair"
        for call in (
            lambda: store.record("p", SOURCE, schedule(1), False),
            lambda: store.lookup("p", SOURCE, P),
            lambda: open_store(path),
        ):
            with pytest.raises(LockError, match=remedy):
                call()
        damaged = lock_info(path)
        assert damaged.damage, damaged
        assert not damaged.held
        before = lock_info(path).fence
        assert repair_lock(path)
        assert lock_info(path).fence != before, "whoever had the store open opens it again"
        assert repair_lock(path) is None
        assert store.lookup("p", SOURCE, P)
        assert store.record("p", SOURCE, schedule(1), False)
    assert at_rest(tmp_path) == ["s.db"]


def test_a_token_that_is_lost_for_a_moment_is_no_damage(store: TiraStore) -> None:
    lock = lock_of(store.db_path)
    (token,) = tokens_in(lock)
    (lock / token).rename(store.db_path.with_name("aside"))
    waiter = threading.Thread(target=store.record, args=("p", SOURCE, P, True, [1.0]))
    waiter.start()
    time.sleep(0.3)
    store.db_path.with_name("aside").rename(lock / token)
    waiter.join()
    assert store.count() == 1


@pytest.mark.parametrize("version", ["2", "10", "new"])
def test_a_newer_protocol_is_an_error_and_nothing_is_touched(
    store: TiraStore, version: str
) -> None:
    lock = lock_of(store.db_path)
    # Whoever changes the protocol holds the token meanwhile.
    hold_token(lock, os.getpid())
    (lock / "p.1").rename(lock / f"p.{version}")
    free_token(lock)
    before = sorted(entry.name for entry in lock.iterdir())
    for call in (
        lambda: store.record("p", SOURCE, P, True, [1.0]),
        store.count,
        lambda: open_store(store.db_path),
        lambda: open_store(store.db_path, read_only=True),
        lambda: lock_info(store.db_path),
        lambda: repair_lock(store.db_path),
    ):
        with pytest.raises(LockError, match=re.escape(str(lock))):
            call()
    assert sorted(entry.name for entry in lock.iterdir()) == before


def test_other_files_in_the_lock_directory_are_left_alone(store: TiraStore) -> None:
    lock = lock_of(store.db_path)
    others = {".nfs0000001", "README", "x.1.2", "w.of nobody"}
    for name in others:
        (lock / name).write_text("mine")
    assert store.record("p", SOURCE, P, True, [1.0])
    assert lock_info(store.db_path).damage is None
    assert {name for name in others if (lock / name).exists()} >= others - {"w.of nobody"}


def test_a_token_older_than_a_day_is_touched_before_a_purge_takes_it(store: TiraStore) -> None:
    lock = lock_of(store.db_path)
    week_ago = time.time() - 7 * 24 * 3600
    for entry in lock.iterdir():
        os.utime(entry, (week_ago, week_ago))
    code = """
store = TiraStore(sys.argv[1], cpu_model="TestCPU", slurm_cpus="4")
store.record("p", "void blur() {}", "", False)
"""
    run_python(code, store.db_path)
    ages = {entry.name: time.time() - entry.stat().st_mtime for entry in lock.iterdir()}
    assert max(ages.values()) < 3600, ages


def test_an_original_client_never_enters_a_sealed_store(store: TiraStore) -> None:
    store.record("p", SOURCE, P, True, [1.0])
    original = fleet.start("original", store.db_path, "o", 3)
    try:
        for number in range(20):
            store.record("p", SOURCE, schedule(number), False)
            time.sleep(0.05)
        assert original.poll() is None, "it waits, and would time out"
    finally:
        original.kill()
    assert original.communicate()[0] == "", "it recorded nothing"
    assert store.count() == 21
    with pytest.raises(LockError, match=rf"{re.escape(str(lock_of(store.db_path)))}.*sealed"):
        HardLinkLock(lock_of(store.db_path)).acquire()


def test_a_store_of_the_other_protocol_is_an_error_that_names_the_remedy(tmp_path: Path) -> None:
    with (
        open_store(tmp_path / "sealed.db") as sealed,
        open_store(tmp_path / "open.db", lock="hardlink") as opened,
    ):
        old_store(tmp_path / "old.db", [])
        for path in (opened.db_path, tmp_path / "old.db"):
            with pytest.raises(ValueError, match=rf"tirastore seal {path}.*lock=\"auto\""):
                open_store(path, lock="token")
            assert open_store(path).lock_info().protocol == "hardlink"
        with pytest.raises(LockError, match=r"tirastore unseal|lock=\"auto\""):
            open_store(sealed.db_path, lock="hardlink")
        for lock in ("auto", "token"):
            assert open_store(sealed.db_path, lock=lock).lock_info().protocol == "token"


def test_a_killed_creator_leaves_a_lock_without_a_store_that_the_next_one_fills(
    tmp_path: Path,
) -> None:
    with open_store(tmp_path / "s.db"):
        pass
    (tmp_path / "s.db").unlink()
    with open_store(tmp_path / "s.db") as store:
        assert store.record("p", SOURCE, P, True, [1.0])
    assert at_rest(tmp_path) == ["s.db"]


def test_who_has_a_store_open_that_was_removed_and_made_again_uses_the_new_one(
    store: TiraStore,
) -> None:
    store.record("p", SOURCE, P, True, [1.0])
    store.db_path.unlink()
    with open_store(store.db_path) as other:
        assert other.count() == 0
        assert store.count() == 0
        assert store.record("p", SOURCE, P, True, [2.0])
        assert other.count() == 1
