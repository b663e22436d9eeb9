"""A measurement says what became of it, and older programs go on reading it."""

import contextlib
import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from support import SOURCE, old_store, open_store, query, schedule

import tirastore
from tirastore import InvalidMeasurementError, LookupResult, Measurement, TiraStore

#: What `record` is told, and the status that a lookup then has.
KINDS: list[tuple[dict[str, Any], str]] = [
    ({"is_legal": True, "execution_times": [1.5, 1.25]}, "measured"),
    ({"is_legal": True, "execution_times": [1.5], "status": "measured"}, "measured"),
    ({"is_legal": False}, "illegal"),
    ({"is_legal": False, "status": "illegal", "details": {"by": "isl"}}, "illegal"),
    ({"is_legal": True, "status": "unmeasured"}, "unmeasured"),
    ({"is_legal": True, "status": "timeout", "details": {"bound": 60.5}}, "timeout"),
    ({"is_legal": True, "status": "failed", "details": {"message": "é\n\"}'"}}, "failed"),
]


@pytest.mark.parametrize(("told", "status"), KINDS)
@pytest.mark.parametrize("way", ["record", "record_many", "record_batch", "buffer"])
def test_what_is_said_is_found(
    store: TiraStore, told: dict[str, Any], status: str, way: str
) -> None:
    named = {"tiralib_schedule_string": schedule(1), **told}
    if way == "record":
        assert store.record("p", SOURCE, **named)
    elif way == "record_many":
        assert store.record_many("p", SOURCE, [named]) == 1
    elif way == "record_batch":
        assert store.record_batch([Measurement("p", SOURCE, **named)]) == 1
    else:
        with store.buffered() as buffer:
            buffer.record("p", SOURCE, **named)
            waiting = buffer.lookup("p", SOURCE, schedule(1))
            assert waiting is not None
            assert (waiting.status, waiting.details) == (status, told.get("details"))
    (listed,) = store.get_program_records("p", SOURCE)
    for found in [store.lookup("p", SOURCE, schedule(1)), listed]:
        assert found is not None
        assert (found.status, found.details) == (status, told.get("details"))
        assert found.is_legal is told["is_legal"]
        assert found.execution_times == told.get("execution_times")
    counts = store.stats()["statuses"]
    assert counts == dict.fromkeys(counts, 0) | {status: 1}
    assert store.verify().ok


@pytest.mark.parametrize(("told", "status"), KINDS)
def test_the_original_reads_every_row(
    store: TiraStore, told: dict[str, Any], status: str, tmp_path: Path
) -> None:
    store.record("p", SOURCE, schedule(1), **told)
    ((text,),) = query(store.db_path, "SELECT result_json FROM records")
    read = json.loads(text)
    assert list(read)[:2] == ["is_legal", "execution_times"]
    assert read["is_legal"] is told["is_legal"]
    assert read.get("execution_times") == told.get("execution_times")
    # Only what does not follow from the two takes room.
    assert read.get("status") == (status if status in {"timeout", "failed"} else None)
    exported = json.loads(store.export(tmp_path / "all.json").read_text())
    (entry,) = exported["p"]["schedules_list"]
    assert entry["is_legal"] is told["is_legal"]
    assert entry["execution_times"] == told.get("execution_times")
    assert entry.get("status") == read.get("status")
    assert entry.get("details") == told.get("details")


def test_without_a_status_the_rules_of_the_original_hold(store: TiraStore) -> None:
    for times in (None, []):
        with pytest.raises(InvalidMeasurementError) as raised:
            store.record("p", SOURCE, schedule(1), True, times)
        expected = "execution_times must be provided (non-empty list) when is_legal is True."
        assert str(raised.value) == expected
    assert store.count() == 0


@pytest.mark.parametrize(
    ("told", "why"),
    [
        ({"is_legal": True, "status": "measured"}, "has no execution_times"),
        ({"is_legal": True, "execution_times": [], "status": "measured"}, "has no execution_times"),
        ({"is_legal": True, "execution_times": [1.0], "status": "illegal"}, "is_legal is True"),
        ({"is_legal": True, "execution_times": [1.0], "status": "unmeasured"}, "has execution_t"),
        ({"is_legal": False, "status": "measured"}, "is_legal is False"),
        ({"is_legal": False, "status": "timeout", "details": {"bound": 1}}, "is_legal is False"),
        ({"is_legal": True, "status": "timeout"}, "bound"),
        ({"is_legal": True, "status": "timeout", "details": {"bound": -1}}, "bound"),
        ({"is_legal": True, "status": "failed", "details": {"bound": 1}}, "message"),
        ({"is_legal": True, "status": "sleeping"}, "there are measured, illegal"),
        ({"is_legal": False, "details": {"time": float("nan")}}, "details is not JSON"),
        ({"is_legal": False, "details": {"what": object()}}, "details is not JSON"),
    ],
)
def test_contradictions_are_refused(store: TiraStore, told: dict[str, Any], why: str) -> None:
    with pytest.raises(InvalidMeasurementError, match=why):
        store.record("p", SOURCE, schedule(1), **told)
    entry = {"tiralib_schedule_string": schedule(1), **told}
    with pytest.raises(InvalidMeasurementError, match=r"^schedules\[0\]: .*" + why):
        store.record_many("p", SOURCE, [entry])
    with pytest.raises(InvalidMeasurementError, match=why), store.buffered() as buffer:
        buffer.record("p", SOURCE, schedule(1), **told)
    assert store.count() == 0


@pytest.mark.parametrize("wrong", [{"status": 1}, {"details": [1]}, {"details": "bound"}])
def test_another_type_is_a_type_error(store: TiraStore, wrong: dict[str, Any]) -> None:
    with pytest.raises(TypeError, match=next(iter(wrong))):
        store.record("p", SOURCE, schedule(1), False, **wrong)


def test_rows_of_the_original_have_the_status_that_follows(tmp_path: Path) -> None:
    path = tmp_path / "old.db"
    rows = {
        "": '{"is_legal": true, "execution_times": [NaN, 1.0]}',
        schedule(1): '{"is_legal": true, "execution_times": null}',
        schedule(2): '{"is_legal": false}',
    }
    old_store(path, list(rows.items()))
    with open_store(path) as store:
        found = [store.lookup("blur", SOURCE, text) for text in rows]
        statuses = [result.status for result in found if result is not None]
    assert statuses == ["measured", "unmeasured", "illegal"]


def test_a_lookup_result_can_be_made_as_the_originals(store: TiraStore) -> None:
    fields = ("", "host", "user", "", "", "project")
    assert LookupResult(True, [1.0], *fields).status == "measured"
    assert LookupResult(True, None, *fields).status == "unmeasured"
    assert LookupResult(False, None, *fields).status == "illegal"
    assert LookupResult(True, None, *fields, status="failed").status == "failed"
    store.record("p", SOURCE, "", True, [1.0])
    found = store.lookup("p", SOURCE, "")
    assert found is not None
    assert found.to_dict()["status"] == "measured"


def test_rows_are_put_by_key_with_what_they_say(store: TiraStore) -> None:
    store.record("p", SOURCE, "", True, [1.0])
    program = tirastore.make_program_hash(SOURCE)
    key = tirastore.make_key(program, schedule(1))
    text = '{"is_legal":true,"execution_times":null,"status":"timeout","details":{"bound":5}}'
    assert store.put(key, program, schedule(1), text)
    found = store.lookup("p", SOURCE, schedule(1))
    assert found is not None
    assert (found.status, found.details) == ("timeout", {"bound": 5})
    row = store.get(key)
    assert row is not None
    assert row["result_json"] == text
    for bad in ['{"is_legal":true,"status":"timeout"}', '{"is_legal":true,"status":"?"}']:
        with pytest.raises(InvalidMeasurementError):
            store.put(key, program, schedule(1), bad, overwrite=True)


def test_an_unknown_status_in_a_file_is_reported_as_damage(store: TiraStore) -> None:
    store.record("p", SOURCE, "", True, [1.0])
    store.close()
    with contextlib.closing(sqlite3.connect(store.db_path)) as connection, connection:
        connection.execute(
            "UPDATE records SET result_json = ?", ('{"is_legal":true,"status":"sleeping"}',)
        )
    with open_store(store.db_path) as damaged:
        with pytest.raises(tirastore.CorruptRecordError, match="sleeping"):
            damaged.lookup("p", SOURCE, "")
        (finding,) = damaged.verify().findings
        assert "sleeping" in finding.cause
