"""A search finds exactly the records that its filter asks for, whatever a file holds."""

import fnmatch
import operator
import re
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from searched import LAST, ROWS, Row, change, fill, keys
from support import SOURCE, open_store

from tirastore import (
    StoreClosedError,
    TiraStore,
)


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TiraStore]:
    """Open a store that holds `ROWS`, in their order."""
    path = tmp_path_factory.mktemp("search") / "store.db"
    fill(path)
    with open_store(path) as store:
        yield store


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
        [("environment", "match", "*TestCPU*")],
        [("environment", "==", "{}")],
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


TEXTS = ("program_name", "program_hash", "schedule", "status", "hostname", "username", "key")


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
            [("min_time", "=<", 1.0)],
            'no operator "=<"; there are ==, !=, <, <=, >, >=, in, not in, match',
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


def test_one_equals_sign_is_as_good_as_two(filled: TiraStore) -> None:
    for field, value in (("program_name", "blur"), ("min_time", 2.0), ("transformations", ["P"])):
        one, two = [(field, "=", value)], [(field, "==", value)]
        assert keys(filled.search(one)) == keys(filled.search(two)) != []
        assert filled.explain(one) == filled.explain(two)


def test_details_are_found_as_they_were_recorded(store: TiraStore) -> None:
    store.record("p", SOURCE, "", True, [1.0], details={"note": "é"})
    store.record("p", SOURCE, "P(L0,comps=['c'])", True, status="timeout", details={"bound": 9})
    store.record("p", SOURCE, "R(L0,comps=['c'])", False)
    found = [record["details"] for record in store.search(columns=["details"])]
    assert found == ['{"note":"é"}', '{"bound":9}', None]
    (timeout,) = store.search([("details", "match", "*bound*")])
    assert timeout["status"] == "timeout"
    assert len(store.search([("details", "is null")])) == 1


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
