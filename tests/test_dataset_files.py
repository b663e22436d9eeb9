"""The files of a data set: every format, partitions, and what they may replace."""

import csv
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from support import MACHINE, open_store, run_python, schedule

from tirastore import TiraStore
from tirastore.cli import main

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")

from datasets import measurements, rows_of, source  # noqa: E402 -- these need pyarrow


@pytest.fixture
def filled(tmp_path: Path) -> Any:
    with open_store(tmp_path / "filled.db") as opened:
        opened.record_batch(measurements(0))
        yield opened


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


def test_a_column_partitions_once(filled: TiraStore, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="the column 'hostname' is given twice"):
        filled.export_dataset(tmp_path / "d", partition_by=["hostname", "key", "hostname"])


@pytest.mark.parametrize("value", ["n" * 243, "é" * 41])
def test_a_value_too_long_for_a_folder_names_its_column(tmp_path: Path, value: str) -> None:
    with open_store(tmp_path / "s.db") as store:
        store.record(value[:-1], source(0), "", True, [1.0])
        store.export_dataset(tmp_path / "fits", partition_by="program_name")
        store.record(value, source(1), "", True, [1.0])
        with pytest.raises(ValueError, match="the column 'program_name' has a value that is too"):
            store.export_dataset(tmp_path / "d", partition_by="program_name")
    assert not (tmp_path / "d").exists()


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


@pytest.mark.parametrize("absent", ["pyarrow", "numpy"])
def test_without_a_package_the_error_names_the_extra(tmp_path: Path, absent: str) -> None:
    code = f"""
sys.modules[{absent!r}] = None
try:
    TiraStore(sys.argv[1]).export_dataset(sys.argv[2])
except ImportError as error:
    print(error)
"""
    shown = run_python(code, tmp_path / "s.db", tmp_path / "d")
    assert f"needs {absent}, which is not installed: pip install 'tirastore[analysis]'" in shown


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
