"""Every run says where it was made, and a lookup can leave out the times of other machines."""

import contextlib
import json
import os
import pickle
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from support import MACHINE, SOURCE, old_store, open_store, query, run_python, schedule

from tirastore import TiraStore

S = schedule(1)


def on(path: Path, **environment: Any) -> TiraStore:
    return open_store(path, environment=environment, allow_cpu_mismatch=True)


def test_a_run_names_its_environment(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    with on(path, compiler="g++ 12.2", tiramisu="abc123", flags={"o": ["-O3"]}) as store:
        environment = store.environment
        assert environment["cpu_model"] == MACHINE["cpu_model"]
        assert 1 <= environment["cores"] <= len(os.sched_getaffinity(0))
        assert environment["kernel"] == os.uname().release
        assert environment["unit"] == "ms"
        assert environment["compiler"] == "g++ 12.2"
        assert environment["flags"] == {"o": ["-O3"]}
        store.record("p", SOURCE, S, True, [1.0])
        with store.buffered() as buffer:
            buffer.record("p", SOURCE, S, True, [2.0], if_exists="append")
        assert [run.environment for run in store.runs("p", SOURCE, S)] == [environment] * 2


def test_an_environment_is_stored_once_and_named_by_its_number(store: TiraStore) -> None:
    for number in range(20):
        store.record("p", SOURCE, schedule(number), True, [1.0])
    rows = query(store.db_path, "SELECT id, environment FROM environments")
    assert rows == [(1, json.dumps(store.environment, sort_keys=True, separators=(",", ":")))]
    results = query(store.db_path, "SELECT result_json FROM records")
    assert set(results) == {('{"is_legal":true,"execution_times":[1.0],"environment":1}',)}
    # 16 bytes a record.
    assert len(results[0][0]) - len('{"is_legal":true,"execution_times":[1.0]}') <= 16


def test_a_record_that_is_there_adds_no_environment(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    with on(path) as store:
        store.record("p", SOURCE, S, True, [1.0])
    with on(path, compiler="another") as store:
        assert not store.record("p", SOURCE, S, True, [1.0])
        assert query(path, "SELECT count(*) FROM environments") == [(1,)]


def test_threads_and_cores_are_those_of_the_process(tmp_path: Path) -> None:
    code = (
        "import sys; from tirastore import TiraStore\n"
        "environment = TiraStore(sys.argv[1], cpu_model='C').environment\n"
        "print(environment['cores'], environment.get('threads'))"
    )
    path = str(tmp_path / "s.db")
    variables = {"OMP_NUM_THREADS": "3", "SLURM_CPUS_PER_TASK": "1"}
    assert run_python(code, path, **variables).split() == ["1", "3"]


def test_times_of_other_machines_are_ignored(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    with on(path, cores=28) as ours, on(path, cores=64) as theirs:
        theirs.record("p", SOURCE, S, True, [1.0])
        assert ours.lookup("p", SOURCE, S) is not None
        assert ours.lookup("p", SOURCE, S, environment="this") is None
        ours.record("p", SOURCE, S, True, [2.0], if_exists="append")
        ours.record("p", SOURCE, S, True, [3.0], if_exists="append")
        theirs.record("p", SOURCE, S, True, [4.0], if_exists="append")
        here = ours.lookup("p", SOURCE, S, environment="this")
        there = theirs.lookup("p", SOURCE, S, environment="this")
        assert here is not None
        assert there is not None
        assert (here.execution_times, there.execution_times) == ([3.0], [4.0])
        assert here.schedule == S
        found = ours.lookup("p", SOURCE, S)
        assert found is not None
        assert found.execution_times == [1.0]


@pytest.mark.parametrize(
    ("other", "is_same"),
    [
        ({"cpu_model": "Another CPU"}, False),
        ({"cores": 999}, False),
        ({"threads": 999}, False),
        ({"compiler": "clang"}, False),
        ({"tiramisu": "fff"}, False),
        ({"kernel": "0.1"}, True),
        ({"node": "n01"}, True),
    ],
)
def test_what_makes_another_machine(tmp_path: Path, other: dict[str, Any], is_same: bool) -> None:
    path = tmp_path / "s.db"
    with on(path, **other) as theirs:
        theirs.record("p", SOURCE, S, True, [1.0])
    with on(path) as ours:
        assert (ours.lookup("p", SOURCE, S, environment="this") is not None) is is_same


def test_what_is_illegal_elsewhere_is_illegal_here(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    with on(path, cores=64) as theirs:
        theirs.record("p", SOURCE, S, False)
    with on(path, cores=28) as ours:
        found = ours.lookup("p", SOURCE, S, environment="this")
        assert found is not None
        assert found.status == "illegal"


def test_a_row_may_name_an_environment_that_its_store_does_not_know(tmp_path: Path) -> None:
    path = tmp_path / "old.db"
    old_store(path, [(S, '{"is_legal":true,"execution_times":[1.0],"environment":3}')])
    with open_store(path) as store:
        (run,) = store.runs("blur", SOURCE, S)
        assert run.environment is None
        assert store.lookup("blur", SOURCE, S, environment="this") is None


def test_a_row_that_names_no_environment_is_of_no_machine(tmp_path: Path) -> None:
    path = tmp_path / "old.db"
    old_store(path, [(S, '{"is_legal": true, "execution_times": [1.0]}')])
    with open_store(path) as store:
        assert store.lookup("blur", SOURCE, S, environment="this") is None
        assert store.lookup("blur", SOURCE, S) is not None


def test_an_environment_that_is_lost_is_found_by_a_verification(store: TiraStore) -> None:
    for time in (1.0, 2.0):
        store.record("p", SOURCE, S, True, [time], overwrite=True)
    store.close()
    with contextlib.closing(sqlite3.connect(store.db_path)) as connection, connection:
        connection.execute("DELETE FROM environments")
    with open_store(store.db_path) as damaged:
        findings = damaged.verify().findings
        assert [finding.kind for finding in findings] == ["record", "run"]
        assert {finding.cause for finding in findings} == {"its environment 1 is not in the store"}
        assert [run.environment for run in damaged.runs("p", SOURCE, S)] == [None, None]


def test_what_cannot_be_an_environment_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    with pytest.raises(ValueError, match='the unit of times is "ms"'):
        on(path, unit="s")
    with pytest.raises(ValueError, match="environment is not JSON"):
        on(path, what=object())
    with pytest.raises(TypeError, match="environment must be a dict"):
        open_store(path, environment="g++")
    with open_store(path) as store, pytest.raises(ValueError, match='environment must be "this"'):
        store.lookup("p", SOURCE, S, environment="that")  # type: ignore[arg-type]


def test_a_pickled_store_keeps_what_was_said_of_its_environment(tmp_path: Path) -> None:
    with on(tmp_path / "s.db", compiler="g++") as store:
        other = pickle.loads(pickle.dumps(store))  # noqa: S301 -- ours
        assert other.environment == store.environment
        other.close()
