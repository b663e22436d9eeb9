"""What a search says of a record is what is stored, and nothing that is damaged."""

import operator
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest
from searched import PROGRAMS, ROWS, change, fill, keys
from support import MACHINE, SOURCE, old_store, open_store, query, schedule

from tirastore import (
    CorruptRecordWarning,
    Measurement,
    TiraStore,
)


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TiraStore]:
    """Open a store that holds `ROWS`, in their order."""
    path = tmp_path_factory.mktemp("search") / "store.db"
    fill(path)
    with open_store(path) as store:
        yield store


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
