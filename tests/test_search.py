"""A search finds exactly the records that its filter asks for, whatever a file holds."""

import contextlib
import fnmatch
import operator
import re
import sqlite3
import statistics
import warnings
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import MACHINE, SOURCE, old_store, open_store, query, reference_key, schedule

from tirastore import (
    CorruptRecordWarning,
    Measurement,
    Records,
    StoreClosedError,
    TiraStore,
    make_program_hash,
)

SCHEDULES = {
    "": [],
    "P(L0,comps=['c'])": ["P"],
    "I(L0,L1,comps=['c'])|P(L0,comps=['c'])": ["I", "P"],
    "T2(L0,L1,32,32,comps=['c'])|U(L-1,4,comps=['c'])": ["T2", "U"],
    "R(L2,comps=['c'])|T3(L0,L1,L2,8,8,8,comps=['c'])|P(L0,comps=['c'])": ["R", "T3", "P"],
}
PROGRAMS = ("blur", "gemm", "heat2d", "mvt")
ENVIRONMENT = '{"cc":"gcc"}'
LAST = datetime(2026, 2, 21, 15, 30, 12, tzinfo=UTC)

#: What a search has to find, made without it.
Row = dict[str, Any]


def times_of(program: int, number: int) -> list[float] | None:
    """Return times of 0 to 5 runs, some of them equal between records."""
    runs = (program + number) % 6
    if number == 0:
        return [8.0 / (1 + program), 9.0]
    return [float((program * 7 + number * 5 + run * 3) % 11) for run in range(runs)] or None


def expected_rows() -> list[Row]:
    """Return every record as a dict, computed by Python."""
    rows = []
    for program, name in enumerate(PROGRAMS):
        source = f"void {name}() {{}}"
        program_hash = make_program_hash(source)
        initial = min(times_of(program, 0) or [])
        for number, (text, kinds) in enumerate(SCHEDULES.items()):
            times = times_of(program, number)
            is_legal = times is not None and number != 2
            fastest = min(times) if times else None
            rows.append(
                {
                    "key": reference_key(program_hash, text),
                    "program_name": name,
                    "program_hash": program_hash,
                    "schedule": text,
                    "is_legal": is_legal,
                    "status": "measured" if is_legal else "illegal",
                    "execution_times": times,
                    "n_runs": len(times or []),
                    "min_time": fastest,
                    "median_time": statistics.median(times) if times else None,
                    "mean_time": statistics.fmean(times) if times else None,
                    "std_time": statistics.stdev(times) if len(times or []) > 1 else None,
                    "speedup": initial / fastest if fastest else None,
                    "transformations": kinds,
                    "n_transformations": len(kinds),
                    "environment": ENVIRONMENT if number % 2 else None,
                    "hostname": f"node{number % 3}",
                    "username": "ada" if program % 2 else "bob",
                    "creation_date": LAST - timedelta(days=3 * program, seconds=number),
                    "update_date": LAST,
                    "source_project": "tests",
                    "source_code": source,
                }
            )
    return rows


ROWS = expected_rows()


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TiraStore]:
    """Open a store that holds `ROWS`, in their order."""
    path = tmp_path_factory.mktemp("search") / "store.db"
    with open_store(path) as store:
        for row in ROWS:
            store.record(
                row["program_name"],
                row["source_code"],
                row["schedule"],
                row["is_legal"],
                row["execution_times"],
            )
    for row in ROWS:
        dates = [row["creation_date"].isoformat(), row["update_date"].isoformat()]
        sql = """UPDATE records SET hostname = ?, username = ?, creation_date = ?, update_date = ?
                 WHERE key = ?"""
        assert change(path, sql, row["hostname"], row["username"], *dates, row["key"]) == 1
        named = ',"environment":7}' if row["environment"] else "}"
        sql = "UPDATE records SET result_json = replace(result_json, ?, ?) WHERE key = ?"
        assert change(path, sql, ',"environment":1}', named, row["key"]) == 1
    change(path, "INSERT INTO environments VALUES (7, ?)", ENVIRONMENT)
    with open_store(path) as store:
        yield store


def change(path: Path, sql: str, *arguments: object) -> int:
    """Change rows of a database file that nobody else uses; answer how many."""
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        return connection.execute(sql, arguments).rowcount


def keys(found: Records) -> list[str]:
    """Return the keys of records, in their order."""
    return [record["key"] for record in found]


ORDERINGS: dict[str, Callable[[Any, Any], bool]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


def passes(row: Row, test: tuple[Any, ...]) -> bool:
    """Decide one test as the documentation describes it."""
    field, name, value = (*test, None)[:3]
    own = row[field]
    if name == "is null":
        return own is None
    if own is None:
        return False
    if name == "not null":
        return True
    if isinstance(own, datetime) and isinstance(value, str):
        value = datetime.fromisoformat(value)
    if name in ORDERINGS:
        return ORDERINGS[name](own, value)
    items = own if isinstance(own, list) else [own]
    if name == "match":
        return any(fnmatch.fnmatchcase(item, value) for item in items)
    return any(item in value for item in items) == (name == "in")


def expected(filters: list[Any] | None) -> list[str]:
    """Return the keys of the rows that a filter lets pass."""
    lists = filters or [[]]
    if isinstance(lists[0], tuple):
        lists = [lists]
    return [
        row["key"] for row in ROWS if any(all(passes(row, t) for t in all_of) for all_of in lists)
    ]


@pytest.mark.parametrize(
    "filters",
    [
        None,
        [],
        [[]],
        [("program_name", "==", "blur")],
        [("program_name", "!=", "blur")],
        [("program_name", "in", ["blur", "gemm", "none"])],
        [("program_name", "not in", {"blur", "gemm"})],
        [("program_name", "match", "[bg]*")],
        [("schedule", "match", "*T?(*")],
        [("schedule", "<", "P")],
        [("schedule", "==", "")],
        [("is_legal", "==", True), ("min_time", "<", 4.0)],
        [("is_legal", "!=", np.bool_(True))],
        [("is_legal", "in", [True, False])],
        [("status", "==", "illegal")],
        [("n_runs", ">=", 3)],
        [("n_runs", "==", np.int64(3))],
        [("min_time", "<=", np.float32(2.0))],
        [("min_time", ">", 2)],
        [("min_time", "in", np.array([0.0, 1.0, 2.0]))],
        [("min_time", "is null")],
        [("min_time", "not null", None)],
        [("median_time", ">=", 5.0)],
        [("mean_time", "<", 5.0)],
        [("std_time", "is null")],
        [("speedup", ">", 1.0)],
        [("transformations", "in", ["P"])],
        [("transformations", "not in", ["P", "U"])],
        [("transformations", "==", ["I", "P"])],
        [("transformations", "!=", ["I", "P"])],
        [("transformations", "match", "T?")],
        [("n_transformations", "==", 2)],
        [("environment", "is null")],
        [("environment", "==", ENVIRONMENT)],
        [("hostname", "==", "node1"), ("username", "==", "ada")],
        [("creation_date", "<", LAST - timedelta(days=5))],
        [("creation_date", ">=", "2026-02-18T15:30:10+00:00")],
        [("creation_date", "==", LAST)],
        [("update_date", "==", "2026-02-21T15:30:12+00:00")],
        [("source_code", "match", "void b*")],
        [("execution_times", "is null")],
        [("key", "in", [ROWS[3]["key"], ROWS[9]["key"], "none"])],
        [("program_hash", "==", ROWS[7]["program_hash"]), ("n_runs", ">", 0)],
        [[("program_name", "==", "blur")], [("min_time", "<", 2.0), ("is_legal", "==", True)]],
        [[("program_name", "==", "blur")], [("program_name", "==", "mvt")]],
    ],
)
def test_each_operator_finds_what_python_finds(
    filled: TiraStore, filters: list[Any] | None
) -> None:
    assert keys(filled.search(filters)) == expected(filters)


TEXTS = (
    "program_name",
    "program_hash",
    "schedule",
    "status",
    "environment",
    "hostname",
    "username",
    "key",
)
NUMBERS = (
    "n_runs",
    "min_time",
    "median_time",
    "mean_time",
    "std_time",
    "speedup",
    "n_transformations",
)
DATES = ("creation_date", "update_date")


def values_of(field: str) -> st.SearchStrategy[Any]:
    """Return values that some records have in a field, and some near them."""
    present = sorted({row[field] for row in ROWS if row[field] is not None})
    if field in NUMBERS:
        return st.sampled_from(present) | st.floats(allow_nan=False) | st.integers(-3, 12)
    if field in DATES:
        hours = st.integers(-50, 50)
        return st.tuples(st.sampled_from(present), hours).map(
            lambda p: p[0] + timedelta(hours=p[1])
        )
    return st.sampled_from(present) | st.text(max_size=3)


@st.composite
def any_test(draw: st.DrawFn) -> tuple[Any, ...]:
    """Draw a test of any field with any operator that fits."""
    field = draw(st.sampled_from([*TEXTS, *NUMBERS, *DATES, "is_legal", "transformations"]))
    if draw(st.integers(0, 9)) == 0:
        return (field, draw(st.sampled_from(["is null", "not null"])))
    if field == "is_legal":
        return (field, draw(st.sampled_from(["==", "!="])), draw(st.booleans()))
    if field == "transformations":
        kinds = draw(st.lists(st.sampled_from(["I", "P", "R", "T2", "T3", "U"]), max_size=3))
        return (field, draw(st.sampled_from(["==", "!=", "in", "not in"])), kinds)
    values = values_of(field)
    name = draw(
        st.sampled_from([*ORDERINGS, "in", "not in", *(["match"] if field in TEXTS else [])])
    )
    if name == "match":
        pattern = draw(st.text("abehlmtv*?[]!-(", max_size=6))
        # A set that is not closed, or runs backwards, is spelled differently by fnmatch.
        return (field, name, re.sub(r"[\[\]!-]", "?", pattern))
    return (field, name, draw(st.lists(values, max_size=4) if "in" in name else values))


@settings(max_examples=400, deadline=None)
@given(st.lists(st.lists(any_test(), max_size=3), max_size=3))
def test_any_filter_finds_what_python_finds(filled: TiraStore, filters: list[Any]) -> None:
    assert keys(filled.search(filters)) == expected(filters)


def test_every_column_holds_what_python_computes(filled: TiraStore) -> None:
    found = list(filled.search(columns=list(ROWS[0])))
    assert len(found) == len(ROWS)
    for record, row in zip(found, ROWS, strict=True):
        assert list(record) == list(row)
        for name, value in row.items():
            if isinstance(value, float):
                assert record[name] == pytest.approx(value, rel=1e-12), name
            else:
                assert record[name] == value, name


@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize(
    "field", ["min_time", "program_name", "creation_date", "is_legal", "std_time"]
)
def test_sorting_puts_records_without_a_value_last_and_keeps_ties(
    filled: TiraStore, field: str, descending: bool
) -> None:
    rows = [row for row in ROWS if row[field] is not None]
    rows.sort(key=operator.itemgetter(field), reverse=descending)
    if descending:  # Python keeps ties in their order in both directions
        rows.sort(key=operator.itemgetter(field), reverse=True)
    rows += [row for row in ROWS if row[field] is None]
    found = filled.search(sort_by=field, descending=descending, columns=["key", "schedule"])
    assert keys(found) == [row["key"] for row in rows]
    assert found.column_names == ["key", "schedule"]
    page = filled.search(sort_by=[field], descending=descending, limit=4, offset=3)
    assert keys(page) == [row["key"] for row in rows[3:7]]


def test_pages_are_parts_of_the_whole(filled: TiraStore) -> None:
    whole = keys(filled.search())
    assert keys(filled.search(limit=3)) == whole[:3]
    assert keys(filled.search(limit=3, offset=5)) == whole[5:8]
    assert keys(filled.search(offset=len(whole) - 1)) == whole[-1:]
    assert len(filled.search(limit=0)) == len(filled.search(offset=10**12)) == 0
    assert keys(filled.search([("username", "==", "ada")], limit=1, offset=1)) == [ROWS[6]["key"]]


@pytest.mark.parametrize(
    ("filters", "part"),
    [
        (
            [("time", "<", 1.0)],
            'no field "time"; there are key, program_name, program_hash, schedule',
        ),
        (
            [("min_time", "=", 1.0)],
            'no operator "="; there are ==, !=, <, <=, >, >=, in, not in, match',
        ),
        ([("min_time", "<", "1")], "expected int or float"),
        ([("min_time", "<", True)], "expected int or float"),
        ([("min_time", "==", None)], '"is null"'),
        ([("min_time", "<", float("nan"))], "not NaN"),
        ([("min_time", "match", "1*")], "it can with ==, !=, <, <=, >, >=, in, not in, is null"),
        ([("is_legal", "==", 1)], "expected bool"),
        ([("program_name", "in", "blur")], "expected a list of str"),
        ([("program_name", "in", [1])], "expected a list of str"),
        ([("features", "==", [])], "it can with is null, not null"),
        ([("creation_date", "<", "yesterday")], "datetime or str of ISO 8601"),
        ([("min_time", "<", object())], "cannot compare with object; it can with str, bool, int"),
        ([("min_time",)], "a filter is (field, operator, value)"),
        ([("min_time", "<", 1, 2)], "a filter is (field, operator, value)"),
        ([("min_time", 3, 1)], "are str, got int"),
        (("min_time", "<", 1.0), "filters must be a list"),
        ("min_time < 1", "filters must be a list"),
        ([[("min_time", "<", 1.0)], ("min_time", "<", 1.0)], "filters must be a list"),
        ({"min_time": 1.0}, "filters must be a list"),
    ],
)
def test_what_is_no_filter_says_what_there_is(store: TiraStore, filters: Any, part: str) -> None:
    for call in (store.search, store.explain, lambda bad: store.scan(filters=bad)):
        with pytest.raises(ValueError, match=re.escape(part)):
            call(filters)


def test_bad_arguments_are_refused(store: TiraStore) -> None:
    with pytest.raises(ValueError, match='no field "time"'):
        store.search(columns=["key", "time"])
    with pytest.raises(ValueError, match='"key" is given twice'):
        store.search(columns=["key", "key"])
    with pytest.raises(ValueError, match="a list of names, got the string 'key'"):
        store.search(columns="key")
    with pytest.raises(ValueError, match='"transformations" holds lists'):
        store.search(sort_by="transformations")
    with pytest.raises(ValueError, match="limit must be 0 or more, got -1"):
        store.search(limit=-1)
    with pytest.raises(ValueError, match="batch_size must be 1 or more"):
        store.scan(batch_size=0)
    with pytest.raises(ValueError, match='stat must be "min", "median" or "mean", got "max"'):
        store.best(stat="max")  # type: ignore[arg-type]
    store.close()
    with pytest.raises(StoreClosedError):
        store.search()


def test_dates_of_any_zone_are_compared_as_moments(tmp_path: Path) -> None:
    with open_store(tmp_path / "s.db") as store:
        store.record("p", SOURCE, "", True, [1.0])
    change(
        tmp_path / "s.db",
        "UPDATE records SET creation_date = '2026-02-22T04:00:00+14:00'",
    )
    moment = datetime(2026, 2, 21, 14, 0, tzinfo=UTC)
    with open_store(tmp_path / "s.db") as store:
        for same in (moment, moment.replace(tzinfo=None), "2026-02-21T09:00:00-05:00"):
            assert len(store.search([("creation_date", "==", same)])) == 1
            assert len(store.search([("creation_date", ">", same)])) == 0
        assert len(store.search([("creation_date", ">=", date(2026, 2, 21))])) == 1
        assert len(store.search([("creation_date", "<", np.datetime64("2026-02-21T13:00"))])) == 0
        assert store.search()[0]["creation_date"] == moment


def test_an_index_finds_what_it_can(filled: TiraStore) -> None:
    for filters, index in [
        ([("program_name", "==", "blur")], "programs_by_name"),
        ([("program_hash", "in", ["a", "b"]), ("min_time", "<", 1)], "records_by_program"),
        ([("creation_date", ">", "2026-01-01")], "records_by_creation"),
        ([("key", "==", "a")], "sqlite_autoindex_records_1"),
    ]:
        assert f"INDEX {index}" in filled.explain(filters)
    whole = filled.explain([("min_time", "<", 1), ("status", "==", "measured")])
    assert "INDEX" not in whole.replace("INTEGER PRIMARY KEY", "")
    assert whole.endswith('then of the decoded records: min_time < 1 and status == "measured"')


def test_damaged_rows_are_named_and_left_out(tmp_path: Path) -> None:
    path = tmp_path / "old.db"
    good = '{"is_legal": true, "execution_times": [1.0]}'
    rows = [(schedule(number), good) for number in range(6)]
    rows += [
        (schedule(10), '{"is_legal": true, "execution_times": [NaN]}'),
        (schedule(11), '{"is_legal": true, "execution_times": [1.0, 1e999]}'),
        (schedule(12), "no JSON"),
    ]
    old_store(path, rows)
    for number, changed in enumerate(
        [
            "schedule = 'R(L0,comps=[''c''])'",
            "hostname = X'00'",
            "creation_date = 'once'",
            "program_hash = 'gone'",
        ]
    ):
        sql = f"UPDATE records SET {changed} WHERE schedule = ?"  # noqa: S608 -- of the list above
        assert change(path, sql, schedule(number)) == 1
    causes = [
        "another key",
        "its column hostname holds no text",
        'its creation_date is "once", no date',
        "its program gone is not in the store",
        "execution_times[0] is NaN",
        "execution_times[1] is inf",
        "expected ident",
    ]
    with open_store(path) as store:
        for call in (store.search, store.programs, lambda: list(store.scan()), store.best):
            with pytest.warns(
                CorruptRecordWarning, match="^7 damaged records were left out: "
            ) as seen:
                found = call()
            assert len(seen) == 1
            for cause in causes:
                assert cause in str(seen[0].message)
        with pytest.warns(CorruptRecordWarning):
            assert len(store.search()) == 2
        with pytest.warns(CorruptRecordWarning):
            assert store.programs()[0]["n_records"] == 2
        del found
        # What an index leaves out is not looked at.
        key = query(path, "SELECT key FROM records WHERE schedule = ?", schedule(5))[0][0]
        assert len(store.search([("key", "==", key)])) == 1


def test_a_warning_names_some_of_many(tmp_path: Path) -> None:
    old_store(tmp_path / "old.db", [(schedule(number), "") for number in range(25)])
    with (
        open_store(tmp_path / "old.db") as store,
        pytest.warns(CorruptRecordWarning, match="^25 damaged .*; and 5 more$"),
    ):
        store.search()


def test_states_and_environments_are_read_where_they_are_written(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    rows = [
        ("", '{"is_legal":true,"execution_times":[2.0],"environment":7}'),
        (
            schedule(1),
            '{"is_legal":true,"execution_times":null,"status":"timeout","details":{"s":3}}',
        ),
        (schedule(2), '{"is_legal":true,"execution_times":[]}'),
        (schedule(3), '{"is_legal":false,"execution_times":null,"environment":8}'),
    ]
    old_store(path, rows)
    with open_store(path) as store:
        columns = ["status", "environment"]
        states = [tuple(record.values()) for record in store.search(columns=columns)]
        names = ["measured", "timeout", "unmeasured", "illegal"]
        assert states == [(name, None) for name in names]
        store.record("another", "void another() {}", "", True, [1.0])  # adds our tables
    change(path, 'INSERT INTO environments VALUES (7, \'{"cc":"gcc"}\')')
    with open_store(path) as store:
        found = store.search([("environment", "match", "*gcc*")], columns=["environment"])
        assert list(found) == [{"environment": '{"cc":"gcc"}'}]
        assert len(store.search([("status", "in", ["timeout", "failed"])])) == 1


def test_speedup_is_against_the_unscheduled_program_alone(store: TiraStore) -> None:
    store.record("a", "void a() {}", schedule(1), True, [2.0])
    store.record("b", "void b() {}", "", True, [6.0, 8.0])
    store.record("b", "void b() {}", schedule(1), True, [4.0, 2.0])
    store.record("b", "void b() {}", schedule(2), True, [0.0])
    store.record("c", "void c() {}", "", False)
    store.record("c", "void c() {}", schedule(1), True, [1.0])
    speedups = [record["speedup"] for record in store.search()]
    assert speedups == [None, 1.0, 3.0, None, None, None]


def test_schedules_of_other_dialects_have_no_transformations(tmp_path: Path) -> None:
    with open_store(tmp_path / "s.db", dialects=["tiralib", "percomp"]) as store:
        store.record("p", SOURCE, "{comp00}:P(L0)", True, [1.0])
        fields = ["transformations", "n_transformations", "features"]
        assert list(store.search(columns=fields)[0].values()) == [None, None, None]


def test_features_are_what_the_grammar_says(store: TiraStore) -> None:
    parts = {
        "I(L0,L1,comps=['a'])": ("I", [0, 1], []),
        "S(L1,L2,2,-3,comps=['a'])": ("S", [1, 2], [2, -3]),
        "T3(L0,L1,L2,8,16,32,comps=['a'])": ("T3", [0, 1, 2], [8, 16, 32]),
        "TG(L1,L2,L2,10,5,2,comps=['a'])": ("TG", [1, 2, 2], [10, 5, 2]),
        "U(L-1,4,comps=['a'])": ("U", [-1], [4]),
        "M([1,0,0,-1],comps=['a'])": ("M", [], [1, 0, 0, -1]),
        "Sh(L0,-1,comps=['a'])": ("Sh", [0], [-1]),
        "E(comps=['a'])": ("E", [], []),
        "F(L0,comps=['a','b'])": ("F", [0], []),
        "U(L99999999999999999999,4,comps=['a'])": ("U", [None], [4]),
    }
    text = "|".join(parts)
    store.record("p", SOURCE, text, True, [1.0])
    found = store.search(columns=["features", "transformations"])[0]
    assert [tuple(feature.values())[:3] for feature in found["features"]] == list(parts.values())
    assert [feature["comps"] for feature in found["features"]][-2:] == [["a", "b"], ["a"]]
    assert found["transformations"] == [kind for kind, _, _ in parts.values()]


def test_best_is_the_fastest_legal_schedule_of_each_program(filled: TiraStore) -> None:
    for stat in ("min", "median", "mean"):
        for k in (1, 2, 100):
            wanted = []
            for name in PROGRAMS:
                rows = [r for r in ROWS if r["program_name"] == name and r["is_legal"]]
                rows.sort(key=operator.itemgetter(f"{stat}_time"))
                wanted += [row["key"] for row in rows[:k]]
            assert keys(filled.best(k=k, stat=stat)) == wanted  # type: ignore[arg-type]
    assert filled.best("gemm")[0]["program_name"] == "gemm"
    assert len(filled.best("none")) == len(filled.best(k=0)) == 0


def test_best_finds_a_program_under_a_further_name(store: TiraStore) -> None:
    store.record("first", SOURCE, "", True, [1.0])
    store.record("second", SOURCE, schedule(1), True, [0.5])
    assert store.best("second")[0]["min_time"] == 0.5
    assert store.best("second")[0]["program_name"] == "first"


def test_programs_are_summed_up(filled: TiraStore) -> None:
    found = list(filled.programs())
    assert [program["program_name"] for program in found] == list(PROGRAMS)
    for program in found:
        rows = [row for row in ROWS if row["program_name"] == program["program_name"]]
        legal = [row["min_time"] for row in rows if row["is_legal"]]
        assert program["n_records"] == len(rows)
        assert program["n_legal"] == len(legal)
        assert program["min_time"] == min(legal)
        assert program["initial_time"] == rows[0]["min_time"]
        expected = None if min(legal) == 0 else rows[0]["min_time"] / min(legal)
        assert program["speedup"] == expected


def test_a_program_without_records_is_a_program(store: TiraStore) -> None:
    store.record_many("empty", SOURCE, [])
    assert next(iter(store.programs()))["n_records"] == 0


def test_a_search_sees_one_state(store: TiraStore) -> None:
    """Batches are larger than what SQLite hands out at once: neither half is seen alone."""
    for size in (3, 5000):
        rows = [Measurement("p", SOURCE, schedule(n), True, [1.0 + size]) for n in range(size)]
        store.record_batch(rows, overwrite=True)
        found = store.search([("min_time", "==", 1.0 + size)])
        assert len(found) == size


def test_a_directory_that_may_not_be_written_is_searched(tmp_path: Path) -> None:
    with open_store(tmp_path / "s.db") as store:
        store.record("p", SOURCE, "", True, [1.0])
    with TiraStore(tmp_path / "s.db", read_only=True, **MACHINE) as store:
        assert len(store.search()) == len(store.best()) == len(store.programs()) == 1
        assert [batch.num_rows for batch in store.scan()] == [1]


def test_a_store_that_only_the_original_wrote_is_searched(tmp_path: Path) -> None:
    """It has none of our tables and indexes."""
    old_store(tmp_path / "old.db", [("", '{"is_legal": true, "execution_times": [1.5]}')])
    with open_store(tmp_path / "old.db") as store, warnings.catch_warnings():
        warnings.simplefilter("error")
        assert store.search([("program_name", "==", "blur")])[0]["min_time"] == 1.5
        assert len(store.search([("creation_date", ">", "2024-01-01")])) == 1
        assert len(store.best("blur")) == 1
