"""A data set has the rows and labels that its rules say, whole programs in each part, once."""

import hashlib
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support import old_store, open_store, schedule

from tirastore import CorruptRecordWarning, Measurement, TiraStore

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")

from datasets import measurements, reference, rows_of  # noqa: E402 -- these need pyarrow

from tirastore.dataset.noise import best_two, is_noisy  # noqa: E402
from tirastore.dataset.selection import Selection  # noqa: E402
from tirastore.dataset.split import Split  # noqa: E402

TIMES = st.one_of(
    st.just(0.0), st.floats(1e-3, 1e3), st.sampled_from([1.0, 1.1, 1.2]), st.just(1.0)
)


@pytest.fixture
def filled(tmp_path: Path) -> Any:
    with open_store(tmp_path / "filled.db") as opened:
        opened.record_batch(measurements(0))
        yield opened


@pytest.mark.parametrize("min_runs", [1, 3])
@pytest.mark.parametrize("noise_filter", [True, False])
def test_rows_and_labels_are_those_of_the_rules(
    filled: TiraStore, tmp_path: Path, min_runs: int, noise_filter: bool
) -> None:
    report = filled.export_dataset(tmp_path / "d", min_runs=min_runs, noise_filter=noise_filter)
    labels, dropped = reference(measurements(0), min_runs, noise_filter=noise_filter)
    rows = [row for part in rows_of(tmp_path / "d").values() for row in part]
    assert {(row["program_name"], row["schedule"]): row["speedup"] for row in rows} == labels
    assert len(rows) == len(labels) == sum(report.rows.values()) > 5
    assert report.dropped == dropped
    assert sum(count > 0 for count in dropped.values()) >= 4
    for row in rows:
        assert row["min_time"] == min(row["execution_times"])
        assert row["n_runs"] == len(row["execution_times"])
        assert row["initial_time"] / row["min_time"] == row["speedup"]
        kinds = [feature["kind"] for feature in row["features"]]
        assert len(kinds) == (row["schedule"] != "")


def test_a_program_is_in_one_part_only(filled: TiraStore, tmp_path: Path) -> None:
    report = filled.export_dataset(tmp_path / "d", split=(0.5, 0.25, 0.25))
    parts = rows_of(tmp_path / "d")
    assert set(parts) == {"train", "validation", "test"} == set(report.rows)
    programs = {name: {row["program_hash"] for row in rows} for name, rows in parts.items()}
    assert sum(map(len, programs.values())) == len(set().union(*programs.values())) >= 6
    assert {name: len(of_part) for name, of_part in programs.items()} == report.programs
    for name, rows in parts.items():
        assert {row["split"] for row in rows} <= {name}
    for row in pq.read_table(tmp_path / "d" / "programs.parquet").to_pylist():
        assert row["program_hash"] in programs[row["split"]]
        assert row["source_code"] == f"void {row['program_name']}() {{}}"
        of_program = [
            r for rs in parts.values() for r in rs if r["program_hash"] == row["program_hash"]
        ]
        assert row["n_rows"] == len(of_program)
        assert {r["initial_time"] for r in of_program} == {row["initial_time"]}


@settings(max_examples=200, deadline=None)
@given(
    st.sets(st.integers(0, 10**6), min_size=1, max_size=50),
    st.integers(-5, 5),
    st.sampled_from([(0.8, 0.2), (0.5, 0.5), (0.7, 0.1, 0.2), (1 / 3, 1 / 3, 1 / 3)]),
)
def test_a_part_depends_on_hash_and_seed_alone(
    programs: set[int], seed: int, fractions: tuple[float, ...]
) -> None:
    hashes = [hashlib.sha256(str(program).encode()).hexdigest() for program in programs]
    parts = {of: Split(fractions, seed).part_of(of) for of in hashes}
    again = Split(fractions, seed)
    assert {of: again.part_of(of) for of in sorted(hashes)} == parts
    assert set(parts.values()) <= set(again.names)


@pytest.mark.parametrize("fractions", [(0.8, 0.2), (0.7, 0.1, 0.2)])
def test_parts_have_about_the_sizes_that_are_asked_for(fractions: Any) -> None:
    split = Split(fractions, 42)
    hashes = [hashlib.sha256(str(program).encode()).hexdigest() for program in range(20_000)]
    parts = [split.part_of(of) for of in hashes]
    for name, fraction in zip(split.names, fractions, strict=True):
        assert abs(parts.count(name) / len(parts) - fraction) < 0.015
    other = Split(fractions, 43)
    assert [other.part_of(of) for of in hashes] != parts


@pytest.mark.parametrize(
    "fractions", [(), (1.0,), (0.8, 0.3), (1.0, 0.0), (1.2, -0.2), (0.25,) * 4, (math.nan, 1.0)]
)
def test_what_is_no_split_is_refused(
    filled: TiraStore, tmp_path: Path, fractions: tuple[float, ...]
) -> None:
    with pytest.raises(ValueError, match="split must be fractions"):
        filled.export_dataset(tmp_path / "d", split=fractions)
    assert not (tmp_path / "d").exists()


@settings(max_examples=300, deadline=None)
@given(st.lists(st.one_of(st.none(), st.lists(TIMES, max_size=6)), max_size=20))
def test_the_two_best_times_and_the_noise_rule_are_those_of_each_row(
    times: list[list[float] | None],
) -> None:
    found = best_two(pa.array(times, pa.list_(pa.float64())))
    noisy = is_noisy(found)
    for row, values in enumerate(times):
        ordered = sorted(values or [])
        assert found.runs[row] == len(ordered)
        for column, index in ((found.best, 0), (found.second, 1)):
            expected = ordered[index] if index < len(ordered) else math.nan
            assert column[row] == expected or (math.isnan(expected) and math.isnan(column[row]))
        assert noisy[row] == (len(ordered) >= 4 and ordered[1] > 1.1 * ordered[0])


def test_slices_of_batches_are_read_as_what_they_are() -> None:
    times = pa.array([[9.0], [2.0, 1.0], None, [], [4.0]], pa.list_(pa.float64())).slice(1)
    found = best_two(times)
    assert found.best[[0, 3]].tolist() == [1.0, 4.0]
    assert found.runs.tolist() == [2, 0, 0, 1]


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 4), st.booleans())
def test_every_record_becomes_a_row_or_is_counted(
    seed: int, min_runs: int, noise_filter: bool
) -> None:
    given_ = sorted(measurements(seed), key=lambda measured: measured.program_name)
    table = pa.table(
        {
            "program_hash": [measured.program_name for measured in given_],
            "schedule": [measured.tiralib_schedule_string for measured in given_],
            "is_legal": [measured.is_legal for measured in given_],
            "execution_times": pa.array(
                [measured.execution_times for measured in given_], pa.list_(pa.float64())
            ),
        }
    )
    rows, dropped = Selection(min_runs, noise_filter).apply(table)
    labels, expected = reference(given_, min_runs, noise_filter=noise_filter)
    assert dropped == expected
    assert rows["speedup"].to_pylist() == list(labels.values())


def test_the_label_has_a_floor() -> None:
    table = pa.table(
        {
            "program_hash": ["a", "a"],
            "schedule": ["", "P"],
            "is_legal": [True, True],
            "execution_times": [[1.0], [1e6]],
        }
    )
    rows, _ = Selection(1, noise_filter=True).apply(table)
    assert rows["speedup"].to_pylist() == [1.0, 0.01]


def test_an_empty_store_gives_an_empty_data_set(store: TiraStore, tmp_path: Path) -> None:
    report = store.export_dataset(tmp_path / "d")
    assert report.rows == {"train": 0, "test": 0}
    store.record("p", "void p() {}", "", True, [1.0])
    store.export_dataset(tmp_path / "one")
    for name in ("train", "test", "programs"):
        empty = pq.read_table(tmp_path / "d" / f"{name}.parquet")
        assert len(empty) == 0
        assert empty.schema == pq.read_schema(tmp_path / "one" / f"{name}.parquet")
    assert (tmp_path / "d" / "manifest.json").is_file()


def test_filters_choose_records(filled: TiraStore, tmp_path: Path) -> None:
    everything = filled.export_dataset(tmp_path / "a")
    names = ["p0", "p1", "p2"]
    some = filled.export_dataset(tmp_path / "b", filters=[("program_name", "in", names)])
    assert 0 < sum(some.rows.values()) < sum(everything.rows.values())
    either = [[("program_name", "==", "p0")], [("program_name", "in", ["p1", "p2"])]]
    same = filled.export_dataset(tmp_path / "c", filters=either)
    assert same.content_hash == some.content_hash
    rows = [row for part in rows_of(tmp_path / "b").values() for row in part]
    assert {row["program_name"] for row in rows} <= set(names)


@pytest.mark.parametrize(
    "filters",
    [
        [("program_name", "==", "p1")],
        [["program_name", "==", "p1"]],
        (("program_name", "==", "p1"),),
        [(("program_name", "==", "p1"),)],
        [[["program_name", "==", "p1"]], [("program_name", "==", "p1"), ("n_runs", ">", 1)]],
        [],
        [[]],
    ],
)
def test_filters_are_those_of_a_search(filled: TiraStore, tmp_path: Path, filters: Any) -> None:
    report = filled.export_dataset(tmp_path / "d", filters=filters)
    read = sum(report.rows.values()) + sum(report.dropped.values())
    assert read == len(filled.search(filters)) > 0


@pytest.mark.parametrize(
    "filters",
    ["program_name", [("name", "==", "p1")], [[("n_runs", ">", "1")], "x"], [("n_runs",)]],
)
def test_what_is_no_filter_is_refused_as_a_search_refuses_it(
    filled: TiraStore, tmp_path: Path, filters: Any
) -> None:
    with pytest.raises(ValueError, match=r"filter|field|expected int") as expected:
        filled.search(filters)
    with pytest.raises(ValueError, match=r"filter|field|expected int") as found:
        filled.export_dataset(tmp_path / "d", filters=filters)
    assert str(found.value) == str(expected.value)
    assert not (tmp_path / "d").exists()


def test_every_part_of_a_store_of_many_programs_is_found_by_an_index(
    store: TiraStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that is not would be a look at every record, for every part."""
    programs = [Measurement(f"p{n}", f"void p{n}() {{}}", "", True, [1.0]) for n in range(2500)]
    store.record_batch(programs)
    asked = []
    search = TiraStore.search

    def spy(self: TiraStore, filters: Any, **more: Any) -> Any:
        asked.append(filters)
        return search(self, filters, **more)

    monkeypatch.setattr(TiraStore, "search", spy)
    some = [[("n_runs", "==", 1)], [("is_legal", "==", True), ("hostname", "!=", "")]]
    for filters in (None, some):
        report = store.export_dataset(tmp_path / "d", filters=filters)
        assert sum(report.rows.values()) == 2500
    assert len(asked) == 6
    for filters in asked:
        assert "INDEX records_by_program" in store.explain(filters)


def test_damaged_records_are_left_out_with_a_warning(tmp_path: Path) -> None:
    rows = [
        ("", '{"is_legal":true,"execution_times":[2.0]}'),
        (schedule(1), '{"is_legal":true,"execution_times":[NaN]}'),
        (schedule(2), '{"is_legal":true,"execution_times":[1.0]}'),
    ]
    old_store(tmp_path / "old.db", rows)
    with open_store(tmp_path / "old.db") as store:
        with pytest.warns(CorruptRecordWarning):
            report = store.export_dataset(tmp_path / "d")
        assert sum(report.rows.values()) == 2


@pytest.mark.parametrize("setting", [{"format": "xml"}, {"min_runs": 0}])
def test_settings_without_meaning_are_refused(
    filled: TiraStore, tmp_path: Path, setting: Any
) -> None:
    (name,) = setting
    with pytest.raises(ValueError, match=f"{name} must be"):
        filled.export_dataset(tmp_path / "d", **setting)


@settings(
    max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.integers(0, 10**6), st.integers(0, 100))
def test_the_parts_of_any_store_have_no_program_in_common(
    tmp_path: Path, content: int, seed: int
) -> None:
    path = tmp_path / f"{content}.db"
    with open_store(path) as store:
        store.record_batch(measurements(content))
        store.export_dataset(tmp_path / "d", seed=seed, noise_filter=False)
    parts = rows_of(tmp_path / "d")
    hashes = [{row["program_hash"] for row in rows} for rows in parts.values()]
    assert not set.intersection(*hashes) or len(hashes) < 2
