"""The original's complete API, and what stands beside it: same names, defaults and answers."""

import contextlib
import inspect
import json
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from support import (
    SOURCE,
    open_store,
    run_python,
    schedule,
)

import tirastore
from tirastore import (
    LookupResult,
    Measurement,
    TiraStore,
    UnknownProgramError,
)
from tirastore._lock import HardLinkLock

P = "P(L0,comps=['c'])"
R = "R(L0,comps=['c'])"
NO_DEFAULT = inspect.Parameter.empty


def entry(number: int, times: list[float] | None = None) -> dict[str, Any]:
    times = [float(number)] if times is None else times
    return {
        "tiralib_schedule_string": schedule(number),
        "is_legal": True,
        "execution_times": times,
    }


@pytest.mark.parametrize(
    ("function", "positional", "keyword_only"),
    [
        (
            TiraStore,
            {
                # None: the environment's, or the original's (test_environment_variables.py).
                "db_path": None,
                "source_project": None,
                "cpu_model": None,
                "slurm_cpus": None,
                "allow_cpu_mismatch": False,
                "stale_lock_timeout": 600.0,
            },
            {
                "lock_timeout": None,
                "lock": "auto",
                "read_only": False,
                "share": None,
                "dialects": ("tiralib",),
            },
        ),
        (TiraStore.lookup, ["program_name", "program_source_code", "tiralib_schedule_string"], {}),
        (
            TiraStore.contains,
            ["program_name", "program_source_code", "tiralib_schedule_string"],
            {},
        ),
        (
            TiraStore.record,
            {
                "program_name": NO_DEFAULT,
                "program_source_code": NO_DEFAULT,
                "tiralib_schedule_string": NO_DEFAULT,
                "is_legal": NO_DEFAULT,
                "execution_times": None,
                "overwrite": False,
            },
            {},
        ),
        (
            TiraStore.record_many,
            {
                "program_name": NO_DEFAULT,
                "program_source_code": NO_DEFAULT,
                "schedules": NO_DEFAULT,
                "overwrite": False,
            },
            {},
        ),
        (TiraStore.get_program_source, ["program_name"], {}),
        (TiraStore.get_program_records, ["program_name", "program_source_code"], {}),
        (TiraStore.get, ["key"], {}),
        (
            TiraStore.put,
            {
                "key": NO_DEFAULT,
                "program_hash": NO_DEFAULT,
                "schedule": NO_DEFAULT,
                "result_json": NO_DEFAULT,
                "overwrite": False,
            },
            {},
        ),
        (TiraStore.delete, ["key"], {}),
        (TiraStore.count, [], {}),
        (TiraStore.program_count, [], {}),
        (TiraStore.stats, [], {}),
        (TiraStore.keys, {"limit": 0, "offset": 0}, {"after": None}),
        (TiraStore.backup, {"backup_path": None}, {}),
        (TiraStore.export, {"output_path": NO_DEFAULT, "fmt": "json"}, {}),
        (
            HardLinkLock,
            {
                "lock_path": NO_DEFAULT,
                "stale_timeout": 600.0,
                "retry_limit": 120,
                "base_delay": 0.05,
                "max_delay": 5.0,
            },
            {},
        ),
        (tirastore.make_key, ["program_hash", "tiralib_schedule_string"], {}),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_signatures_are_the_originals_with_additions_by_keyword_only(
    function: Callable[..., Any],
    positional: dict[str, Any] | list[str],
    keyword_only: dict[str, Any],
) -> None:
    parameters = inspect.signature(function).parameters
    by_position = {
        name: parameter.default
        for name, parameter in parameters.items()
        if parameter.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD and name != "self"
    }
    by_keyword = {
        name: parameter.default
        for name, parameter in parameters.items()
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY
    }
    if isinstance(positional, list):
        positional = dict.fromkeys(positional, NO_DEFAULT)
    assert list(by_position.items()) == list(positional.items())
    assert keyword_only.items() <= by_keyword.items()
    assert NO_DEFAULT not in by_keyword.values()


def test_what_was_recorded_is_found_under_every_spelling(store: TiraStore) -> None:
    source = "#include <tiramisu.h>\nvoid blur() { /* nothing */ }\n"
    assert store.lookup("blur", source, P) is None
    assert store.contains("blur", source, P) is False
    assert store.record("blur", source, P, True, [0.25, 1e-5, 3.0]) is True
    for other_source in (source, "void  blur(){} // the same", "void blur() {}"):
        for spelling in (P, 'P( L0, comps = ["c"] )', "P(L0,comps=[c])"):
            assert store.contains("any name", other_source, spelling) is True
            found = store.lookup("any name", other_source, spelling)
            assert isinstance(found, LookupResult)
            assert found.execution_times == [0.25, 1e-5, 3.0]
    assert store.lookup("blur", source, R) is None
    assert store.lookup("blur", "void other() {}", P) is None


def test_a_lookup_tells_everything_that_was_recorded(store: TiraStore) -> None:
    before = datetime.now(UTC)
    store.record("blur", SOURCE, " " + P, False)
    found = store.lookup("blur", SOURCE, P)
    assert found is not None
    assert list(found.to_dict()) == [
        "is_legal",
        "execution_times",
        "schedule",
        "hostname",
        "username",
        "creation_date",
        "update_date",
        "source_project",
        "status",
        "details",
    ]
    assert found.to_dict() == {name: getattr(found, name) for name in found.to_dict()}
    assert (found.is_legal, found.execution_times) == (False, None)
    assert (found.schedule, found.source_project) == (P, "test_project")
    assert found.hostname
    assert found.username
    assert found.creation_date == found.update_date
    created = datetime.fromisoformat(found.creation_date)
    assert created.utcoffset() == timedelta(0)
    assert before - timedelta(seconds=1) <= created <= datetime.now(UTC) + timedelta(seconds=1)


def test_a_record_is_replaced_only_on_request_and_keeps_its_creation_date(store: TiraStore) -> None:
    assert store.record("blur", SOURCE, P, True, [1.0])
    first = store.lookup("blur", SOURCE, P)
    assert store.record("blur", SOURCE, P, True, [2.0]) is False
    assert store.lookup("blur", SOURCE, P) == first
    time.sleep(0.002)
    assert store.record("blur", SOURCE, P, False, None, overwrite=True) is True
    second = store.lookup("blur", SOURCE, P)
    assert first is not None
    assert second is not None
    assert (second.is_legal, second.execution_times) == (False, None)
    assert second.creation_date == first.creation_date
    assert second.update_date > first.update_date
    assert store.count() == 1


def test_a_source_is_found_under_every_name_it_was_recorded_with(store: TiraStore) -> None:
    program = {"program_hash": tirastore.make_program_hash(SOURCE), "source_code": SOURCE}
    assert store.record("first", SOURCE, P, True, [1.0])
    assert store.record("second", SOURCE, P, True, [1.0]) is False
    assert store.record_many("third", SOURCE, [entry(1)]) == 1
    assert store.record("first", "void other() {}", P, True, [1.0])
    assert store.get_program_source("second") == store.get_program_source("third") == [program]
    of_first = store.get_program_source("first")
    assert len(of_first) == 2
    assert program in of_first
    assert of_first == sorted(of_first, key=lambda found: found["program_hash"])
    assert store.get_program_source("fourth") == []
    assert store.program_count() == 2


def test_record_many_counts_what_it_wrote_and_the_first_of_duplicates_stands(
    store: TiraStore,
) -> None:
    twice = [
        entry(1, [1.0]),
        entry(2),
        {**entry(1, [9.0]), "tiralib_schedule_string": " U(L1, 1,comps=[c])"},
    ]
    assert store.record_many("p", SOURCE, twice) == 2
    assert store.record_many("p", SOURCE, [entry(2, [5.0]), entry(3)]) == 1
    times = {
        result.schedule: result.execution_times for result in store.get_program_records("p", SOURCE)
    }
    assert times == {schedule(1): [1.0], schedule(2): [2.0], schedule(3): [3.0]}


def test_the_last_of_duplicates_stands_where_records_are_overwritten(store: TiraStore) -> None:
    store.record_many("p", SOURCE, [entry(1, [1.0])])
    assert store.record_many("p", SOURCE, [entry(1, [2.0]), entry(1, [3.0])], overwrite=True) >= 1
    found = store.lookup("p", SOURCE, schedule(1))
    assert found is not None
    assert found.execution_times == [3.0]
    assert store.count() == 1


def test_record_many_takes_any_iterable_and_none_at_all(store: TiraStore) -> None:
    assert store.record_many("p", SOURCE, (entry(number) for number in range(3))) == 3
    assert store.record_many("q", "void q() {}", []) == 0
    assert store.count() == 3
    assert store.record_batch(iter([])) == 0


def test_record_batch_records_across_programs_in_one_transaction(store: TiraStore) -> None:
    batch = [
        Measurement(f"p{number % 3}", f"void p{number % 3}() {{}}", schedule(number), True, [1.0])
        for number in range(9)
    ]
    assert store.record_batch(iter(batch)) == 9
    assert store.record_batch(batch) == 0
    assert store.record_batch(batch[:4], overwrite=True) == 4
    assert (store.count(), store.program_count()) == (9, 3)
    bad = Measurement("new", "void new() {}", schedule(1), True)
    with pytest.raises(ValueError, match=r"^measurements\[1\]: "):
        store.record_batch([Measurement("new", "void new() {}", P, False), bad])
    assert (store.count(), store.program_count()) == (9, 3)


def test_many_lookups_answer_in_the_order_asked(store: TiraStore) -> None:
    store.record_many("p", SOURCE, [entry(number) for number in range(5)])
    asked = [("p", SOURCE, schedule(number)) for number in (4, 77, 0, 4)]
    found = store.lookup_many(iter(asked))
    times = [None if result is None else result.execution_times for result in found]
    assert times == [[4.0], None, [0.0], [4.0]]
    assert store.contains_many(iter(asked)) == [True, False, True, True]
    assert store.lookup_many([]) == []
    assert store.contains_many([]) == []


def test_records_of_a_program_come_in_the_order_of_creation(store: TiraStore) -> None:
    order = [3, 1, 2, 9, 4]
    for number in order:
        store.record("p", SOURCE, schedule(number), True, [float(number)])
    store.record("p", SOURCE, schedule(3), False, None, overwrite=True)
    store.record("q", "void q() {}", P, True, [1.0])
    schedules = [result.schedule for result in store.get_program_records("p", SOURCE)]
    assert schedules == [schedule(number) for number in order]
    assert store.get_program_records("p", "void unknown() {}") == []


def test_pages_of_keys_hold_every_key_once_in_creation_order_even_where_dates_tie(
    store: TiraStore,
) -> None:
    store.record_many("p", SOURCE, [entry(number) for number in range(23)])
    in_order = [
        tirastore.make_key(tirastore.make_program_hash(SOURCE), schedule(number))
        for number in range(23)
    ]
    assert store.keys() == in_order
    query_all = "UPDATE records SET creation_date = '2025-01-01T00:00:00+00:00'"
    for tie in (False, True):
        if tie:
            run_python(
                "import sqlite3\nc = sqlite3.connect(sys.argv[1])\n"
                "c.execute(sys.argv[2]); c.commit(); c.close()",
                store.db_path,
                query_all,
            )
        assert sorted(store.keys()) == sorted(in_order)
        everything = store.keys()
        pages = [store.keys(5, offset) for offset in range(0, 30, 5)]
        assert [key for page in pages for key in page] == everything
        paged: list[str] = []
        while page := store.keys(4, after=paged[-1] if paged else None):
            paged += page
        assert paged == everything
        assert store.keys(after=everything[-3]) == everything[-2:]
        assert store.keys(limit=2, offset=21) == everything[21:]
    with pytest.raises(ValueError, match="after"):
        store.keys(after="0" * 64)


@pytest.mark.parametrize("large", [2**31, 2**32, sys.maxsize])
def test_a_page_may_be_larger_than_any_store(store: TiraStore, large: int) -> None:
    store.record("p", SOURCE, P, True, [1.0])
    assert store.keys(limit=large) == store.keys()
    assert store.keys(limit=1, offset=large) == []


def test_stats_count_everything(store: TiraStore) -> None:
    store.record("p", SOURCE, P, True, [1.0])
    store.record("p", SOURCE, R, False)
    with open_store(store.db_path, source_project="another") as other:
        other.record("q", "void q() {}", P, False)
    stats = store.stats()
    assert {name: stats[name] for name in stats if name != "users"} == {
        "total_records": 3,
        "legal_records": 1,
        "illegal_records": 2,
        "statuses": {"measured": 1, "illegal": 2, "unmeasured": 0, "timeout": 0, "failed": 0},
        "damaged_records": 0,
        "total_programs": 2,
        "source_projects": ["another", "test_project"],
        "cpu_model": "TestCPU",
        "slurm_cpus": "4",
    }
    assert len(stats["users"]) == 1
    assert json.loads(json.dumps(stats)) == stats


def test_records_are_got_put_and_deleted_by_key(store: TiraStore) -> None:
    store.record("p", SOURCE, P, True, [1.5])
    program = tirastore.make_program_hash(SOURCE)
    row = store.get(tirastore.make_key(program, P))
    assert row is not None
    assert set(row) == {
        *("key", "program_hash", "schedule", "result_json", "hostname", "username"),
        *("creation_date", "update_date", "source_project", "program_name", "source_code"),
    }
    assert (row["program_name"], row["source_code"], row["schedule"]) == ("p", SOURCE, P)
    result = json.loads(row["result_json"])
    assert (result["is_legal"], result["execution_times"]) == (True, [1.5])
    key = tirastore.make_key(program, R)
    assert store.get(key) is None
    assert store.put(key, program, R, '{"is_legal":false}') is True
    assert store.put(key, program, R, '{"is_legal":true,"execution_times":[1]}') is False
    assert store.put(key, program, R, '{"is_legal":true,"execution_times":[2]}', overwrite=True)
    found = store.lookup("p", SOURCE, R)
    assert found is not None
    assert found.execution_times == [2.0]
    assert store.delete(key) is True
    assert store.delete(key) is False
    assert store.get(key) is None
    assert (store.count(), store.program_count()) == (1, 1)


def test_a_record_of_an_unknown_program_is_refused(store: TiraStore) -> None:
    with pytest.raises(UnknownProgramError, match="f" * 64) as caught:
        store.put("0" * 64, "f" * 64, P, '{"is_legal":false}')
    assert isinstance(caught.value, ValueError)
    assert store.count() == 0


@pytest.mark.parametrize(
    "result", ["", "[]", "{}", '{"is_legal":true}', '{"is_legal":true,"execution_times":[NaN]}']
)
def test_put_refuses_what_is_no_result(store: TiraStore, result: str) -> None:
    store.record("p", SOURCE, P, True, [1.0])
    with pytest.raises(ValueError, match=r"result_json|execution_times"):
        store.put("0" * 64, tirastore.make_program_hash(SOURCE), R, result)
    assert store.count() == 1


def test_a_store_has_a_length_and_is_true_even_where_empty(store: TiraStore) -> None:
    assert (len(store), bool(store)) == (0, True)
    store.record("p", SOURCE, P, True, [1.0])
    assert (len(store), store.count(), bool(store)) == (1, 1, True)


def test_a_store_shows_itself(tmp_path: Path) -> None:
    directory = tmp_path / "<b>&'x"
    with open_store(directory / "s.db", source_project="<script>") as store:
        assert repr(store) == (
            f"TiraStore(db_path={str(store.db_path)!r}, source_project='<script>', "
            "writes_allowed=True)"
        )
        shown = store._repr_html_()
        assert "<script>" not in shown
        assert "<b>" not in shown
        assert "&lt;script&gt;" in shown
        assert "&lt;b&gt;&amp;" in shown
        assert "0 records, 0 programs" in shown
    assert "closed" in store._repr_html_()
    assert repr(store).startswith("TiraStore(")


def test_properties_tell_how_the_store_was_made(tmp_path: Path) -> None:
    link = tmp_path / "link.db"
    link.symlink_to(tmp_path / "real.db")
    with open_store(tmp_path / "real.db") as store:
        assert (store.writes_allowed, store.cpu_model, store.slurm_cpus) == (True, "TestCPU", "4")
        assert store.db_path == (tmp_path / "real.db").resolve()
    with open_store(link) as store:
        assert store.db_path == (tmp_path / "real.db").resolve()
    for name in ("writes_allowed", "cpu_model", "slurm_cpus", "db_path"):
        with pytest.raises(AttributeError):
            setattr(store, name, None)


def test_the_project_that_is_shown_is_the_one_that_is_recorded(store: TiraStore) -> None:
    with contextlib.suppress(AttributeError):
        store.source_project = "another"
    store.record("p", SOURCE, P, True, [1.0])
    found = store.lookup("p", SOURCE, P)
    assert found is not None
    assert found.source_project == store.source_project
