"""A data set has the rows and labels that its rules say, whole programs in each part, once."""

import csv
import hashlib
import json
import math
import random
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support import MACHINE, old_store, open_store, run_python, schedule

from tirastore import CorruptRecordWarning, Measurement, TiraStore
from tirastore.cli import main

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")

from tirastore.dataset.digest import ContentHash  # noqa: E402 -- these need pyarrow
from tirastore.dataset.noise import best_two, is_noisy  # noqa: E402
from tirastore.dataset.selection import REASONS, Selection  # noqa: E402
from tirastore.dataset.split import Split  # noqa: E402

TIMES = st.one_of(
    st.just(0.0), st.floats(1e-3, 1e3), st.sampled_from([1.0, 1.1, 1.2]), st.just(1.0)
)


def source(program: int) -> str:
    return f"void p{program}() {{}}"


def measurements(seed: int, programs: int = 12, each: int = 6) -> list[Measurement]:
    """Return measurements of every kind; a program in four has no unscheduled entry."""
    chance = random.Random(seed)
    found = []
    for program in range(programs):
        for number in range(each):
            text = "" if number == 0 else schedule(number)
            if number == 0 and program % 4 == 3:
                continue
            is_legal = number == 0 or chance.random() < 0.8
            runs = chance.choice([1, 2, 4, 7])
            times = [round(chance.uniform(1, 1.3), 4) for _ in range(runs)]
            if chance.random() < 0.1:
                times[0] = 0.0
            measured = Measurement(f"p{program}", source(program), text, is_legal, times)
            if number and is_legal and chance.random() < 0.1:
                measured = replace(measured, execution_times=None, status="unmeasured")
            found.append(measured)
    return found


def reference(
    given: list[Measurement], min_runs: int, *, noise_filter: bool
) -> tuple[dict[tuple[str, str], float], dict[str, int]]:
    """Return the labels by (name, schedule), and what is left out, as the documentation says."""
    dropped = dict.fromkeys(REASONS, 0)
    good = {}
    for measured in given:
        times = sorted(measured.execution_times or [])
        if not measured.is_legal:
            reason = "illegal"
        elif not times:
            reason = "without_times"
        elif times[0] <= 0:
            reason = "bad_times"
        elif len(times) < min_runs:
            reason = "too_few_runs"
        elif noise_filter and len(times) >= 4 and times[1] > 1.1 * times[0]:
            reason = "noisy"
        else:
            good[measured.program_name, measured.tiralib_schedule_string] = times[0]
            continue
        dropped[reason] += 1
    labels = {}
    for (name, text), best in good.items():
        if (name, "") in good:
            labels[name, text] = max(good[name, ""] / best, 0.01)
        else:
            dropped["without_initial"] += 1
    return labels, dropped


def rows_of(directory: Path) -> dict[str, list[dict[str, Any]]]:
    return {
        path.stem: pq.read_table(path).to_pylist()
        for path in directory.glob("*.parquet")
        if path.stem != "programs"
    }


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


def test_the_same_records_give_the_same_data_set_in_whatever_order_they_came(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hashes, manifests, rows = [], [], []
    given_ = measurements(3)
    origin = {"hostname": "n", "creation_date": "2026-01-01"}
    for name in ("a", "b", "c"):
        random.Random(name).shuffle(given_)
        lines = [
            json.dumps(
                {
                    "program_name": measured.program_name,
                    "source_code": measured.program_source_code,
                    "schedule": measured.tiralib_schedule_string,
                    "is_legal": measured.is_legal,
                    "execution_times": measured.execution_times,
                    **origin,
                }
            )
            for measured in given_
        ]
        (tmp_path / f"{name}.jsonl").write_text("\n".join(lines))
        with open_store(tmp_path / f"{name}.db") as store:
            store.ingest(tmp_path / f"{name}.jsonl")
            # However much is read at once.
            monkeypatch.setattr("tirastore.dataset.export._CHUNK", {"a": 1, "b": 20}.get(name, 500))
            hashes.append(store.export_dataset(tmp_path / name).content_hash)
        manifests.append((tmp_path / name / "manifest.json").read_text())
        rows.append(rows_of(tmp_path / name))
    assert len(set(hashes)) == len(set(manifests)) == 1
    assert rows[0] == rows[1] == rows[2]


def test_the_hash_does_not_depend_on_which_name_of_a_program_came_first(tmp_path: Path) -> None:
    hashes = []
    for names in (("one", "two"), ("two", "one")):
        path = tmp_path / f"{names[0]}.jsonl"
        row = {"source_code": source(0), "schedule": "", "is_legal": True, "execution_times": [1.0]}
        origin = {"hostname": "n", "creation_date": "2026-01-01"}
        lines = [json.dumps({"program_name": name, **row, **origin}) for name in names]
        path.write_text("\n".join(lines))
        with open_store(path.with_suffix(".db")) as store:
            store.ingest(path)
            hashes.append(store.export_dataset(tmp_path / names[0]).content_hash)
        manifest = json.loads((tmp_path / names[0] / "manifest.json").read_text())
        hashes.append(manifest["programs_sha256"])
    assert hashes[:2] == hashes[2:]


def test_other_content_has_another_hash(filled: TiraStore, tmp_path: Path) -> None:
    first = filled.export_dataset(tmp_path / "a")
    assert filled.export_dataset(tmp_path / "b").content_hash == first.content_hash
    assert filled.export_dataset(tmp_path / "c", seed=1).content_hash != first.content_hash
    filled.record("p0", source(0), schedule(99), True, [1.0])
    assert filled.export_dataset(tmp_path / "d").content_hash != first.content_hash


VALUES = st.fixed_dictionaries(
    {
        "text": st.one_of(st.none(), st.text(max_size=4)),
        "number": st.one_of(st.none(), st.floats(allow_nan=False)),
        "times": st.one_of(st.none(), st.lists(st.floats(0, 9), max_size=3)),
        "features": st.lists(
            st.fixed_dictionaries(
                {"kind": st.text(max_size=2), "levels": st.lists(st.integers(0, 9))}
            ),
            max_size=2,
        ),
        "truth": st.booleans(),
    }
)
TYPES = pa.schema(
    [
        ("text", pa.string()),
        ("number", pa.float64()),
        ("times", pa.list_(pa.float64())),
        (
            "features",
            pa.list_(pa.struct([("kind", pa.string()), ("levels", pa.list_(pa.int64()))])),
        ),
        ("truth", pa.bool_()),
    ]
)


@settings(max_examples=200, deadline=None)
@given(st.lists(VALUES, max_size=8), st.lists(VALUES, max_size=8), st.data())
def test_a_content_hash_is_that_of_the_rows_however_they_are_cut(
    rows: list[dict[str, Any]], others: list[dict[str, Any]], data: st.DataObject
) -> None:
    def digest(of: list[dict[str, Any]], *, cut: bool) -> str:
        table = pa.Table.from_pylist(of, TYPES)
        content = ContentHash()
        start = 0
        while cut and start < len(of):
            length = data.draw(st.integers(1, len(of) - start))
            content.update(table.slice(start, length))
            start += length
        if not cut or not of:
            content.update(table)
        return content.hexdigest()

    whole = digest(rows, cut=False)
    assert digest(rows, cut=True) == whole
    # Not by repr: the keys of a row come in any order.
    same = json.dumps(rows, sort_keys=True) == json.dumps(others, sort_keys=True)
    assert (digest(others, cut=True) == whole) == same


def test_every_format_holds_the_same_rows(filled: TiraStore, tmp_path: Path) -> None:
    reports = {
        fmt: filled.export_dataset(tmp_path / fmt, fmt, split=(0.5, 0.5))  # type: ignore[arg-type]
        for fmt in ("parquet", "jsonl", "csv")
    }
    assert len({report.content_hash for report in reports.values()}) == 1
    rows = rows_of(tmp_path / "parquet")
    for part, expected in rows.items():
        text = (tmp_path / "jsonl" / f"{part}.jsonl").read_text("utf-8")
        lines = [json.loads(line) for line in text.splitlines()]
        with (tmp_path / "csv" / f"{part}.csv").open(encoding="utf-8", newline="") as file:
            table = list(csv.DictReader(file))
        assert len(lines) == len(table) == len(expected) > 0
        for row, line, fields in zip(expected, lines, table, strict=True):
            assert line == {**row, "creation_date": row["creation_date"].isoformat()}
            assert float(fields["speedup"]) == row["speedup"]
            assert json.loads(fields["execution_times"]) == row["execution_times"]
            assert json.loads(fields["features"]) == row["features"]
            assert (fields["key"], fields["schedule"]) == (row["key"], row["schedule"])


def with_pyarrow(directory: Path) -> Any:
    return pytest.importorskip("pyarrow.dataset").dataset(directory, partitioning="hive").to_table()


def with_pandas(directory: Path) -> Any:
    frame = pytest.importorskip("pandas").read_parquet(directory)
    assert frame["n_runs"].dtype == "category"  # as its values in paths are
    return pa.Table.from_pandas(frame)


def with_polars(directory: Path) -> Any:
    return pytest.importorskip("polars").read_parquet(directory).to_arrow()


def with_duckdb(directory: Path) -> Any:
    connection = pytest.importorskip("duckdb").connect()
    with connection:
        return connection.read_parquet(
            f"{directory}/**/*.parquet", hive_partitioning=True
        ).to_arrow_table()


@pytest.mark.parametrize("read", [with_pyarrow, with_pandas, with_polars, with_duckdb])
def test_rows_of_different_values_lie_in_different_files_and_are_read_as_one_table(
    filled: TiraStore, tmp_path: Path, read: Callable[[Path], Any]
) -> None:
    by = ["hostname", "program_name", "n_runs"]
    filled.export_dataset(tmp_path / "whole", split=(0.5, 0.5))
    filled.export_dataset(tmp_path / "parts", partition_by=by, split=(0.5, 0.5))
    columns = [*by, "key", "min_time", "speedup"]
    for part, rows in rows_of(tmp_path / "whole").items():
        expected = sorted(tuple(row[name] for name in columns) for row in rows)
        table = read(tmp_path / "parts" / part)
        assert set(table.column_names) == set(rows[0])
        found = zip(*(table[name].to_pylist() for name in columns), strict=True)
        assert sorted(found) == expected
        folders = {tuple(f"{n}={v}" for n, v in zip(by, row, strict=False)) for row in expected}
        paths = (tmp_path / "parts" / part).rglob("rows.parquet")
        assert {path.relative_to(tmp_path / "parts" / part).parts[:-1] for path in paths} == folders


def test_values_of_a_partition_lead_nowhere_else(tmp_path: Path) -> None:
    with open_store(tmp_path / "s.db") as store:
        store.record("../../x/é", source(0), "", True, [1.0])
        store.export_dataset(tmp_path / "d", partition_by="program_name")
    (rows,) = (path for path in (tmp_path / "d").rglob("rows.parquet"))
    assert rows.parent.name == "program_name=..%2F..%2Fx%2F%C3%A9"
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize("columns", [["nothing"], ["features"], "execution_times"])
def test_an_impossible_partition_names_the_columns(
    filled: TiraStore, tmp_path: Path, columns: Any
) -> None:
    with pytest.raises(ValueError, match="there are program_hash, program_name"):
        filled.export_dataset(tmp_path / "d", partition_by=columns)
    assert sorted(path.name for path in tmp_path.iterdir() if "filled" not in path.name) == []


def test_too_many_partitions_are_refused(
    filled: TiraStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tirastore.dataset.export._MOST_PARTITIONS", 5)
    with pytest.raises(ValueError, match="more than 5 files"):
        filled.export_dataset(tmp_path / "d", partition_by="key")


def test_only_a_data_set_is_replaced(filled: TiraStore, tmp_path: Path) -> None:
    target = tmp_path / "d"
    target.mkdir()
    filled.export_dataset(target)
    filled.record("p0", source(0), schedule(99), True, [1.0])
    report = filled.export_dataset(target, "jsonl")
    assert sorted(path.name for path in target.iterdir()) == [
        "manifest.json",
        "programs.jsonl",
        "test.jsonl",
        "train.jsonl",
    ]
    assert (
        json.loads((target / "manifest.json").read_text())["content_sha256"] == report.content_hash
    )
    filled.export_dataset(target, partition_by="hostname")
    filled.export_dataset(target)


@pytest.mark.parametrize(
    "manifest",
    [None, "", "[]", "{}", '{"files": []}', '{"name": "an extension", "files": {"file": 1}}'],
)
def test_what_is_no_data_set_is_left(
    filled: TiraStore, tmp_path: Path, manifest: str | None
) -> None:
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    (foreign / "file").write_text("x")
    if manifest is not None:
        (foreign / "manifest.json").write_text(manifest)
    for path in (foreign, foreign / "file", filled.db_path):
        with pytest.raises(FileExistsError, match="no data set"):
            filled.export_dataset(path)
    assert (foreign / "file").read_text() == "x"


@pytest.mark.parametrize("name", ["notes.txt", "train/model.bin"])
def test_a_data_set_with_a_file_of_somebody_is_left(
    filled: TiraStore, tmp_path: Path, name: str
) -> None:
    filled.export_dataset(tmp_path / "d", partition_by="hostname")
    (tmp_path / "d" / name).write_text("x")
    with pytest.raises(FileExistsError, match=f"{name} is no file of the data set"):
        filled.export_dataset(tmp_path / "d")
    assert (tmp_path / "d" / name).read_text() == "x"
    (tmp_path / "d" / name).unlink()
    filled.export_dataset(tmp_path / "d")


def test_a_failure_leaves_the_old_data_set_and_no_other_file(
    filled: TiraStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "data" / "d"
    target.parent.mkdir()
    filled.export_dataset(target)
    before = {path.name: path.read_bytes() for path in target.iterdir()}

    def fail(*_arguments: object) -> None:
        raise RuntimeError("the disk is full")

    monkeypatch.setattr("tirastore.dataset.digest.ContentHash.update", fail)
    with pytest.raises(RuntimeError):
        filled.export_dataset(target)
    assert {path.name: path.read_bytes() for path in target.iterdir()} == before
    assert [path.name for path in target.parent.iterdir()] == ["d"]


def test_the_manifest_adds_up(filled: TiraStore, tmp_path: Path) -> None:
    report = filled.export_dataset(tmp_path / "d", min_runs=2)
    text = (tmp_path / "d" / "manifest.json").read_text()
    manifest = json.loads(text)
    kept, left_out = sum(manifest["rows"].values()), sum(manifest["dropped"].values())
    assert manifest["records_read"] == filled.count() == kept + left_out
    assert manifest["settings"]["min_runs"] == 2
    assert manifest["settings"]["seed"] == 42
    assert manifest["versions"]["pyarrow"] == pa.__version__
    assert manifest["store"] == MACHINE
    for name, rows in manifest["files"].items():
        assert pq.read_metadata(tmp_path / "d" / name).num_rows == rows
    columns = pq.read_schema(tmp_path / "d" / "train.parquet").names
    assert list(manifest["columns"]) == columns
    assert str(tmp_path) not in text
    assert report.rows == manifest["rows"]


def test_an_empty_store_gives_an_empty_data_set(store: TiraStore, tmp_path: Path) -> None:
    report = store.export_dataset(tmp_path / "d")
    assert report.rows == {"train": 0, "test": 0}
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


def test_without_pyarrow_the_error_names_the_extra(tmp_path: Path) -> None:
    code = """
sys.modules["pyarrow"] = None
try:
    TiraStore(sys.argv[1]).export_dataset(sys.argv[2])
except ImportError as error:
    print(error)
"""
    shown = run_python(code, tmp_path / "s.db", tmp_path / "d")
    assert "pip install 'tirastore[analysis]'" in shown


def test_without_pyarrow_the_command_says_so_in_one_line(
    filled: TiraStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    arguments = ["export-dataset", str(filled.db_path), str(tmp_path / "d")]
    shown = CliRunner().invoke(main, arguments)
    assert shown.exit_code == 1
    assert shown.stderr.startswith("Error: writing a data set needs pyarrow")
    assert shown.stderr.count("\n") == 1


def test_the_command_writes_what_the_method_writes(filled: TiraStore, tmp_path: Path) -> None:
    report = filled.export_dataset(tmp_path / "a", split=(0.5, 0.5), min_runs=2, seed=7)
    arguments = ["--split", "0.5,0.5", "--min-runs", "2", "--seed", "7"]
    paths = [str(filled.db_path), str(tmp_path / "b")]
    shown = CliRunner().invoke(main, ["export-dataset", *paths, *arguments])
    assert shown.exit_code == 0, shown.output
    assert str(report) in shown.output
    assert f"{report.dropped['illegal']} illegal" in shown.output
    written = json.loads((tmp_path / "b" / "manifest.json").read_text())
    assert written["content_sha256"] == report.content_hash
    shown = CliRunner().invoke(main, ["export-dataset", *paths, "--split", "x"])
    assert shown.exit_code == 2
    assert "0.8,0.2" in shown.output


FILL = """
store = TiraStore(sys.argv[1], cpu_model="TestCPU", slurm_cpus="4")
for program in range(int(sys.argv[2])):
    store.record_batch([
        tirastore.Measurement(
            f"p{program}", f"void p{program}() {{}}", f"U(L{n % 3},{n},comps=['c'])" if n else "",
            True, [0.125 + n, 1.5, 2.25] * 3)
        for n in range(500)])
"""

MEASURE = """
import resource
import tirastore.dataset.export as export
export._CHUNK = 1000
store = TiraStore(sys.argv[1], cpu_model="TestCPU", slurm_cpus="4", read_only=True)
store.export_dataset(sys.argv[2])
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def test_the_memory_of_an_export_does_not_grow_with_the_store(tmp_path: Path) -> None:
    peaks = []
    for programs in (10, 120):
        path = tmp_path / f"{programs}.db"
        run_python(FILL, path, programs)
        peaks.append(int(run_python(MEASURE, path, tmp_path / f"d{programs}")))
    # KiB; the larger data set is over 25 MB of Arrow arrays.
    assert peaks[1] - peaks[0] < 12 * 1024, peaks


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
