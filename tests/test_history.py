"""Overwriting never destroys: every run of a schedule can be listed."""

import contextlib
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from support import SOURCE, old_store, open_store, query, schedule

import tirastore
from tirastore import CorruptRecordWarning, Measurement, TiraStore

S = schedule(1)


def times(store: TiraStore) -> list[tuple[list[float] | None, bool]]:
    return [(run.execution_times, run.is_current) for run in store.runs("p", SOURCE, S)]


def test_what_is_overwritten_goes_into_the_history(store: TiraStore) -> None:
    assert store.runs("p", SOURCE, S) == []
    store.record("p", SOURCE, S, True, [1.0])
    first = store.lookup("p", SOURCE, S)
    store.record("p", SOURCE, S, True, [2.0], overwrite=True)
    store.source_project = "another"
    store.record("p", SOURCE, S, False, if_exists="overwrite")
    assert times(store) == [([1.0], False), ([2.0], False), (None, True)]
    runs = store.runs("p", SOURCE, S)
    assert [run.status for run in runs] == ["measured", "measured", "illegal"]
    assert first is not None
    assert runs[0].date == first.creation_date
    assert (runs[0].hostname, runs[0].username) == (first.hostname, first.username)
    assert [run.source_project for run in runs] == ["test_project", "test_project", "another"]
    assert [run.date for run in runs] == sorted(run.date for run in runs)
    assert store.verify().ok


def test_an_appended_run_changes_no_lookup(store: TiraStore) -> None:
    assert store.record("p", SOURCE, S, True, [1.0], if_exists="append")
    assert times(store) == [([1.0], True)]
    assert store.record("p", SOURCE, S, True, [2.0], if_exists="append")
    found = store.lookup("p", SOURCE, S)
    assert found is not None
    assert found.execution_times == [1.0]
    assert times(store) == [([1.0], True), ([2.0], False)]
    assert store.count() == 1


def test_keep_leaves_everything(store: TiraStore) -> None:
    store.record("p", SOURCE, S, True, [1.0])
    assert not store.record("p", SOURCE, S, True, [2.0], if_exists="keep")
    assert times(store) == [([1.0], True)]


@pytest.mark.parametrize("way", ["record_many", "record_batch", "buffer", "put"])
def test_every_way_of_recording_keeps_history(store: TiraStore, way: str) -> None:
    store.record("p", SOURCE, S, True, [1.0])
    if way == "record_many":
        entry = {"tiralib_schedule_string": S, "is_legal": True, "execution_times": [2.0]}
        assert store.record_many("p", SOURCE, [entry], if_exists="overwrite") == 1
    elif way == "record_batch":
        measurement = Measurement("p", SOURCE, S, True, [2.0])
        assert store.record_batch([measurement], overwrite=True) == 1
    elif way == "buffer":
        with store.buffered() as buffer:
            buffer.record("p", SOURCE, S, True, [2.0], if_exists="overwrite")
    else:
        program = tirastore.make_program_hash(SOURCE)
        key = tirastore.make_key(program, S)
        text = '{"is_legal":true,"execution_times":[2.0]}'
        assert store.put(key, program, S, text, overwrite=True)
    assert times(store) == [([1.0], False), ([2.0], True)]


def test_a_buffer_appends_each_of_its_runs(store: TiraStore) -> None:
    with store.buffered() as buffer:
        for time in (1.0, 2.0, 3.0):
            buffer.record("p", SOURCE, S, True, [time], if_exists="append")
        seen = buffer.lookup("p", SOURCE, S)
        assert seen is not None
        assert seen.execution_times == [1.0]
        buffer.post()
    store.record("p", SOURCE, schedule(2), False)
    assert times(store) == [([1.0], True), ([2.0], False), ([3.0], False)]


def test_two_wishes_that_contradict_are_refused(store: TiraStore) -> None:
    with pytest.raises(ValueError, match="contradicts if_exists='append'"):
        store.record("p", SOURCE, S, True, [1.0], True, if_exists="append")
    with pytest.raises(ValueError, match='if_exists must be "keep", "overwrite" or "append"'):
        store.record("p", SOURCE, S, True, [1.0], if_exists="replace")  # type: ignore[arg-type]
    assert store.count() == 0


def test_deleting_a_record_deletes_its_history(store: TiraStore) -> None:
    for time in (1.0, 2.0):
        store.record("p", SOURCE, S, True, [time], overwrite=True)
    store.record("p", SOURCE, schedule(2), True, [1.0])
    store.record("p", SOURCE, schedule(2), True, [2.0], if_exists="append")
    assert store.delete(tirastore.make_key(tirastore.make_program_hash(SOURCE), S))
    assert times(store) == []
    store.record("p", SOURCE, S, True, [3.0])
    assert times(store) == [([3.0], True)]
    assert len(store.runs("p", SOURCE, schedule(2))) == 2


def test_a_store_of_the_original_has_runs_and_gets_a_history(tmp_path: Path) -> None:
    path = tmp_path / "old.db"
    old_store(path, [(S, '{"is_legal": true, "execution_times": [NaN]}')])
    with open_store(path) as store:
        (run,) = store.runs("blur", SOURCE, S)
        assert run.is_current
        assert run.environment is None
        store.record("blur", SOURCE, S, True, [1.0], overwrite=True)
        assert [run.is_current for run in store.runs("blur", SOURCE, S)] == [False, True]


def test_a_damaged_run_is_left_out_with_a_warning(store: TiraStore) -> None:
    for time in (1.0, 2.0):
        store.record("p", SOURCE, S, True, [time], overwrite=True)
    store.close()
    with contextlib.closing(sqlite3.connect(store.db_path)) as connection, connection:
        connection.execute("UPDATE runs SET result_json = 'torn'")
    with open_store(store.db_path) as damaged:
        with pytest.warns(CorruptRecordWarning, match="1 damaged runs were left out"):
            assert times(damaged) == [([2.0], True)]
        (finding,) = damaged.verify().findings
        assert (finding.kind, finding.key) == ("run", damaged.keys()[0])
        assert "cannot be decoded" in finding.cause


def test_damage_that_is_measured_again_is_no_history(store: TiraStore) -> None:
    store.record("p", SOURCE, S, True, [1.0])
    store.close()
    with contextlib.closing(sqlite3.connect(store.db_path)) as connection, connection:
        connection.execute("UPDATE records SET result_json = 'torn'")
    with open_store(store.db_path) as damaged:
        damaged.record("p", SOURCE, S, True, [2.0], overwrite=True)
        assert times(damaged) == [([2.0], True)]
        assert damaged.verify().ok


APPEND = """
import sys
from tirastore import TiraStore
path, worker = sys.argv[1], int(sys.argv[2])
with TiraStore(path, cpu_model="TestCPU", slurm_cpus="4") as store:
    for number in range(25):
        time = float(1000 * worker + number)
        assert store.record("p", "void blur() {}", sys.argv[3], True, [time], if_exists="append")
"""


def test_appending_from_many_processes_loses_no_run(store: TiraStore) -> None:
    command = [sys.executable, "-c", APPEND, str(store.db_path)]
    workers = [subprocess.Popen([*command, str(worker), S]) for worker in range(6)]
    assert [worker.wait(timeout=120) for worker in workers] == [0] * 6
    found = sorted(
        run.execution_times[0] for run in store.runs("p", SOURCE, S) if run.execution_times
    )
    assert found == [float(1000 * worker + number) for worker in range(6) for number in range(25)]
    assert sum(run.is_current for run in store.runs("p", SOURCE, S)) == 1
    assert query(store.db_path, "SELECT count(*) FROM environments") == [(1,)]
