"""Promises to many processes that use one store at the same time, some of which are killed."""

from __future__ import annotations

import contextlib
import multiprocessing
import random
import sqlite3
import time
from typing import TYPE_CHECKING

import fleet
import pytest
from support import at_rest

from tirastore._lock import HardLinkLock

if TYPE_CHECKING:
    from pathlib import Path

    from tirastore import TiraStore


def acknowledged(client) -> list[int]:
    """Return what a client printed, once it has ended."""
    # The last line of a killed client may be half a line: it acknowledges nothing.
    output, _ = client.communicate(timeout=120)
    return [int(line) for line in output.splitlines(keepends=True) if line.endswith("\n")]


def numbers_in(store: TiraStore, name: str) -> set[int]:
    """Return the numbers of the records of client `name`, whose contents must be its own."""
    prefix = f"comps=['{name}'])"
    found = {}
    for result in store.get_program_records("fleet", fleet.SOURCE):
        if result.schedule.endswith(prefix):
            number = int(result.schedule.split(",")[1])
            assert result.execution_times is not None
            found[number] = result.execution_times
    return set(found)


def assert_sound(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
    connection.close()


def test_everything_that_many_processes_record_is_there(tmp_path: Path, protocol: str) -> None:
    path = tmp_path / "store.db"
    clients = {f"c{i}": fleet.start("own", path, f"c{i}", 25, protocol) for i in range(6)}
    for name, client in clients.items():
        assert acknowledged(client) == list(range(25)), name
        assert client.returncode == 0
    with fleet.open_store(path, "reader") as store:
        for name in clients:
            assert numbers_in(store, name) == set(range(25))
        assert store.count() == 6 * 25
    assert_sound(path)
    assert at_rest(tmp_path) == ["store.db"]


def test_of_many_processes_that_record_one_schedule_exactly_one_wins(
    tmp_path: Path, protocol: str
) -> None:
    path = tmp_path / "store.db"
    clients = [fleet.start("contested", path, f"c{i}", 25, protocol) for i in range(6)]
    winners = [number for client in clients for number in acknowledged(client)]
    assert sorted(winners) == list(range(25))
    with fleet.open_store(path, "reader") as store:
        assert numbers_in(store, "contested") == set(range(25))


def test_a_store_that_many_processes_create_at_once_is_created_once(
    tmp_path: Path, protocol: str
) -> None:
    clients = [fleet.start("create", tmp_path / "s", f"c{i}", 10, protocol) for i in range(6)]
    for client in clients:
        assert acknowledged(client) == list(range(10))
    assert at_rest(tmp_path) == [f"s{i}.db" for i in range(10)]
    for path in tmp_path.glob("*.db"):
        assert_sound(path)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_killed_processes_lose_nothing_acknowledged_and_block_nobody(
    tmp_path: Path, seed: int, protocol: str
) -> None:
    print("seed", seed)
    chance = random.Random(seed)
    path = tmp_path / "store.db"
    fleet.open_store(path, "maker", lock=protocol)
    promised: dict[str, list[int]] = {}
    for round_ in range(12):
        name = f"k{round_}"
        victim = fleet.start("pairs", path, name, 1000)
        assert victim.stdout is not None
        victim.stdout.readline()
        time.sleep(chance.uniform(0.0, 0.05))
        victim.kill()
        promised[name] = [0, *acknowledged(victim)]
        # stale_lock_timeout is 600 s: who gets in now does so because the holder is provably dead.
        with fleet.open_store(path, "next") as store:
            for half in ("left", "right"):
                assert numbers_in(store, name + half) >= set(promised[name])
            assert numbers_in(store, name + "left") == numbers_in(store, name + "right"), "half"
    assert sum(map(len, promised.values())) > len(promised), "the victims lived to record something"
    assert_sound(path)
    # A journal that was created but not begun is no harm; the next write uses or removes it.
    fleet.open_store(path, "last").record("fleet", fleet.SOURCE, "", is_legal=False)
    assert at_rest(tmp_path) == ["store.db"], "nothing is left behind"


@pytest.mark.parametrize("seed", [1, 2])
def test_a_process_killed_while_creating_leaves_a_whole_store_or_none(
    tmp_path: Path, seed: int, protocol: str
) -> None:
    print("seed", seed)
    chance = random.Random(seed)
    for round_ in range(8):
        base = tmp_path / f"r{round_}-"
        victim = fleet.start("create", base, "victim", 1000, protocol)
        assert victim.stdout is not None
        victim.stdout.readline()
        time.sleep(chance.uniform(0.0, 0.02))
        victim.kill()
        victim.communicate(timeout=60)
    started = {entry.name.removesuffix(".lock") for entry in tmp_path.glob("r*")}
    started = {name for name in started if not name.endswith("-journal")}
    assert len(started) > 8
    for name in sorted(started):
        # It is whole before anybody mends it, or it is not there; then the next client gets in.
        if (tmp_path / name).exists():
            assert_sound(tmp_path / name)
        with fleet.open_store(tmp_path / name, "next") as store:
            assert store.count() == 0
            assert store.record("fleet", fleet.SOURCE, "", is_legal=False)
    assert set(at_rest(tmp_path)) == started, "nothing is left behind"


def test_original_clients_and_ours_write_one_store_without_loss(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    fleet.open_store(path, "maker", lock="hardlink")
    clients = {
        name: fleet.start(role, path, name, 40)
        for role, name in [("original", "o1"), ("original", "o2"), ("own", "c1"), ("own", "c2")]
    }
    for name, client in clients.items():
        assert acknowledged(client) == list(range(40)), name
    with fleet.open_store(path, "reader") as store:
        for name in clients:
            assert numbers_in(store, name) == set(range(40))
    assert_sound(path)


def test_a_reader_gets_its_turns_beside_a_writer_that_never_pauses(
    tmp_path: Path, protocol: str
) -> None:
    path = tmp_path / "store.db"
    store = fleet.open_store(path, "reader", lock=protocol)
    writer = fleet.start("overwrite", path, "busy", 1_000_000)
    try:
        assert writer.stdout is not None
        writer.stdout.readline()
        turns = 10
        seen = [store.lookup("fleet", fleet.SOURCE, "") for _ in range(turns)]
    finally:
        writer.kill()
        writer.communicate()
    numbers = [result.execution_times[0] for result in seen if result and result.execution_times]
    assert numbers == sorted(numbers)
    # Left to luck, a reader waits for thousands of turns of the writer.
    assert numbers[-1] < 400 * turns


@pytest.mark.parametrize("seed", [1])
def test_holders_that_die_never_let_two_in(tmp_path: Path, seed: int) -> None:
    # Forked, not started: a new process for each of hundreds of deaths has to be cheap.
    print("seed", seed)
    chance = random.Random(seed)
    context = multiprocessing.get_context("fork")
    lock_path = tmp_path / "s.db.lock"
    output = tmp_path / "output"
    deaths, living = 0, []
    while deaths < 600:
        while len(living) < 10:
            count = chance.randrange(4)
            living.append(context.Process(target=_die, args=(lock_path, count, output)))
            living[-1].start()
        living[0].join(timeout=60)
        assert living.pop(0).exitcode == 0, "a waiter did not get in after the dead"
        deaths += 1
    for process in living:
        process.join(timeout=60)
    assert output.read_text() == ""


def _die(lock_path: Path, count: int, output: Path) -> None:
    with output.open("a") as file, contextlib.redirect_stdout(file):
        fleet.die_holding(lock_path, "somebody", count)


def test_a_lock_older_than_its_timeout_is_outwaited_for_the_originals_scripts(
    tmp_path: Path,
) -> None:
    # The original breaks it at once, by the wall clock; we watch it for stale_timeout, even where
    # the back-off that was asked for ends earlier.
    path = tmp_path / "script.lock"
    path.write_text('{"hostname": "gone", "pid": 1, "timestamp": 1.0}')
    lock = HardLinkLock(path, stale_timeout=1.0, retry_limit=2, base_delay=0.01)
    with lock:
        assert lock._held
        assert path.exists()
    assert not path.exists()


def test_a_young_lock_of_somebody_else_ends_the_back_off_with_a_timeout(tmp_path: Path) -> None:
    path = tmp_path / "script.lock"
    path.write_text(f'{{"hostname": "busy", "pid": 1, "timestamp": {time.time()}}}')
    lock = HardLinkLock(path, stale_timeout=600.0, retry_limit=3, base_delay=0.01)
    with pytest.raises(TimeoutError, match="process 1 on busy"):
        lock.acquire()
    assert not lock._held
    assert path.exists()
