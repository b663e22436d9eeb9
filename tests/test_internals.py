"""Names that scripts written against the original's internals use."""

import json
import os
from pathlib import Path

import pytest
from support import (
    SOURCE,
    contents,
    lock_of,
    open_store,
    query,
)

import tirastore
from tirastore import (
    TiraStore,
    _keys,
    _schedule,
)
from tirastore._lock import HardLinkLock
from tirastore._store import Store

P = "P(L0,comps=['c'])"
R = "R(L0,comps=['c'])"


@pytest.fixture
def protocol() -> str:
    """The original's internals are about the original's lock."""
    return "hardlink"


def test_the_originals_internal_names_keep_their_meaning() -> None:
    assert _keys.make_program_hash(SOURCE) == tirastore.make_program_hash(SOURCE)
    assert _keys.make_key("0", P) == tirastore.make_key("0", P)
    assert _keys.canonical_json({"b": 1, "a": "é"}) == '{"a":"\\u00e9","b":1}'
    assert _schedule.normalize_schedule(" R") == "R"
    assert _schedule.validate_schedule(P) == (True, "")
    assert _schedule.normalize_program("a // b") == "a"


def test_a_lock_of_the_originals_kind_can_be_held_by_hand(store: TiraStore) -> None:
    path = lock_of(store.db_path)
    lock = HardLinkLock(path)
    assert lock.lock_path == path
    assert not lock._held
    lock.acquire()
    assert lock._held
    assert path.stat().st_nlink >= 1
    held = json.loads(path.read_text())
    assert held["pid"] == os.getpid()
    assert {"hostname", "timestamp"} <= held.keys()
    impatient = HardLinkLock(path, retry_limit=2, base_delay=0.01)
    with pytest.raises(TimeoutError):
        impatient.acquire()
    assert not impatient._held
    impatient.release()
    assert path.exists(), "only the holder gives a lock back"
    lock.release()
    lock.release()
    assert not path.exists()
    with lock as entered:
        assert entered is lock
        assert path.exists()
    assert sorted(contents(path.parent)) == ["store.db"]


def test_the_internal_store_works_under_a_lock_held_by_hand(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    program, key = tirastore.make_program_hash(SOURCE), "0" * 64
    result = '{"is_legal":true,"execution_times":[1.0]}'
    who = {"hostname": "node07", "username": "ada", "source_project": "scripts"}
    with HardLinkLock(lock_of(path)):
        store = Store(path)
        store.init_db("TestCPU", "4")
        assert (store.get_cpu_model(), store.get_slurm_cpus()) == ("TestCPU", "4")
        assert store.get_meta("schema_version") == "2"
        assert store.get_meta("nothing") is None
        store.set_meta("note", "mine")
        assert store.get_meta("note") == "mine"
        assert store.put_program(program, "blur", SOURCE) is True
        assert store.put_program(program, "blur", SOURCE) is False
        fields = {"program_hash": program, "program_name": "blur", "source_code": SOURCE}
        assert store.get_program(program) == fields
        assert store.get_programs_by_name("blur") == [fields]
        assert store.get_program("f" * 64) is None
        assert store.put(key, program, P, result, **who) is True
        assert store.put(key, program, P, result, **who) is False
        assert store.put(key, program, P, result, **who, overwrite=True) is True
        assert store.put_many([("1" * 64, R, result)], program, **who) == 1
        assert store.contains(key)
        assert not store.contains("f" * 64)
        row = store.get(key)
        assert row is not None
        assert {name: row[name] for name in who} == who
        assert row["program_name"] == "blur"
        rows = store.get_records_by_program_hash(program)
        assert [found["schedule"] for found in rows] == [P, R]
        (everything,) = store.get_all_programs_with_records()
        assert [found["schedule"] for found in everything["records"]] == [P, R]
        assert everything["program_name"] == "blur"
        assert store.keys() == [key, "1" * 64]
        assert store.keys(1, 1) == ["1" * 64]
        assert (store.count(), store.program_count()) == (2, 1)
        assert store.stats()["total_records"] == 2
        assert store.delete(key) is True
        assert store.delete(key) is False
    with open_store(path) as whole:
        found = whole.lookup("blur", SOURCE, R)
        assert found is None, "the key was made up"
        assert whole.count() == 1
    assert query(path, "SELECT value FROM db_meta WHERE key = 'note'") == [("mine",)]


def test_ensure_tables_makes_a_store_for_this_machine(tmp_path: Path) -> None:
    with HardLinkLock(lock_of(tmp_path / "s.db")):
        store = Store(tmp_path / "s.db")
        store.ensure_tables()
        assert store.count() == 0
    assert TiraStore(tmp_path / "s.db").writes_allowed
