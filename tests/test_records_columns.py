"""Records are columns that every library reads, with the types that were promised."""

import datetime as dt
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from support import SOURCE, open_store, run_python, schedule

from tirastore import Measurement, Records, TiraStore

NAME = pa.dictionary(pa.int32(), pa.string())
DATE = pa.timestamp("us", "UTC")
TYPES = {
    "key": pa.string(),
    "program_name": NAME,
    "program_hash": NAME,
    "schedule": pa.string(),
    "is_legal": pa.bool_(),
    "status": NAME,
    "details": pa.string(),
    "execution_times": pa.list_(pa.float64()),
    "n_runs": pa.int64(),
    "min_time": pa.float64(),
    "median_time": pa.float64(),
    "mean_time": pa.float64(),
    "std_time": pa.float64(),
    "speedup": pa.float64(),
    "transformations": pa.list_(pa.string()),
    "n_transformations": pa.int64(),
    "environment": NAME,
    "hostname": NAME,
    "username": NAME,
    "creation_date": DATE,
    "update_date": DATE,
    "source_project": NAME,
}
FEATURES = pa.list_(
    pa.struct(
        {
            "kind": pa.string(),
            "levels": pa.list_(pa.int64()),
            "factors": pa.list_(pa.int64()),
            "comps": pa.list_(pa.string()),
        }
    )
)
TIMES = [[2.0, 4.0], [1.0], None]


@pytest.fixture
def records(store: TiraStore) -> Records:
    """Return two legal records and an illegal one."""
    store.record("blur", SOURCE, "", True, TIMES[0])
    store.record("blur", SOURCE, "P(L0,comps=['c'])|U(L-1,4,comps=['a','b'])", True, TIMES[1])
    store.record("mm", "void mm() {}", "R(L0,comps=['c'])", False)
    return store.search()


def test_columns_have_the_promised_types(store: TiraStore, records: Records) -> None:
    assert records.column_names == list(TYPES)
    assert dict(zip(TYPES, pa.schema(records).types, strict=True)) == TYPES
    large = store.search(columns=["source_code", "features"])
    assert pa.schema(large).types == [NAME, FEATURES]
    assert large[0]["source_code"] == SOURCE


def test_pyarrow_reads_records_again_and_again(records: Records) -> None:
    first, second = pa.table(records), pa.table(records)
    assert first == second == records.to_arrow()
    assert first.num_rows == len(records) == 3
    first.validate(full=True)
    assert first["execution_times"].to_pylist() == TIMES
    assert pa.RecordBatchReader.from_stream(records).read_all() == first


def test_a_consumer_gets_the_types_that_it_asks_for(records: Records) -> None:
    plain = {"dictionary<values=string, indices=int32, ordered=0>": pa.large_string()}
    wanted = pa.schema(
        [field.with_type(plain.get(str(field.type), field.type)) for field in pa.schema(records)]
    )
    assert wanted != pa.schema(records)
    table = pa.RecordBatchReader.from_stream(records, schema=wanted).read_all()
    assert table.schema == wanted
    assert table.to_pylist() == list(records)
    table.validate(full=True)


def test_pandas_reads_records(records: Records) -> None:
    frame = records.to_pandas()
    assert list(frame.columns) == list(TYPES)
    assert isinstance(frame["program_name"].dtype, pd.CategoricalDtype)
    assert str(frame["creation_date"].dtype) == "datetime64[us, UTC]"
    assert frame["min_time"].tolist()[:2] == [2.0, 1.0]
    assert np.isnan(frame["min_time"][2])
    assert frame["execution_times"][0].tolist() == TIMES[0]
    assert frame.groupby("program_name", observed=True)["speedup"].max()["blur"] == 2.0


def test_polars_reads_records(records: Records) -> None:
    frame = records.to_polars()
    assert frame.columns == list(TYPES)
    assert frame["execution_times"].to_list() == TIMES
    assert frame.schema["creation_date"] == pl.Datetime("us", "UTC")
    assert frame.filter(pl.col("program_name") == "blur")["speedup"].max() == 2.0
    assert pl.DataFrame(records).equals(frame)


def test_duckdb_reads_records(records: Records) -> None:
    found = records  # the name of a variable is the name of a table
    sql = "SELECT program_name, count(*), min(min_time) FROM found GROUP BY ALL ORDER BY ALL"
    for _ in range(2):
        assert duckdb.sql(sql).fetchall() == [("blur", 2, 1.0), ("mm", 1, None)]
    assert len(found) == 3


def test_execution_times_are_an_array_padded_with_nan(store: TiraStore, records: Records) -> None:
    times = records.to_numpy()
    assert times.dtype == np.float64
    expected = [[2.0, 4.0], [1.0, np.nan], [np.nan, np.nan]]
    np.testing.assert_array_equal(times, expected)
    np.testing.assert_array_equal(records[1:].to_numpy(), [[1.0], [np.nan]])
    assert store.search([("key", "==", "")]).to_numpy().shape == (0, 0)
    with pytest.raises(ValueError, match='without the column "execution_times"'):
        store.search(columns=["key"]).to_numpy()


def test_records_are_a_sequence(records: Records) -> None:
    rows = list(records)
    assert rows == pa.table(records).to_pylist()
    assert [records[index] for index in (0, 1, 2)] == rows
    assert records[-1] == rows[-1]
    assert isinstance(rows[0]["creation_date"], dt.datetime)
    for outside in (3, -4):
        with pytest.raises(IndexError, match=f"no record {outside} of 3"):
            records[outside]
    for part in (slice(1, 2), slice(None), slice(-2, None), slice(2, 1), slice(0, 99)):
        assert list(records[part]) == rows[part]
        assert pa.table(records[part]) == pa.table(records)[part]
    with pytest.raises(ValueError, match="without a step"):
        records[::2]


def test_a_size_is_that_of_the_values(store: TiraStore, records: Records) -> None:
    """What was allocated for more records than there are does not count."""
    assert 0 < records.nbytes <= 2 * pa.table(records).nbytes
    assert store.search([("key", "==", "")]).nbytes == 0
    many(store, 3000)
    large = store.search(columns=["schedule", "min_time"])
    text = sum(len(record["schedule"]) + 4 + 8 for record in large)
    assert text <= large.nbytes <= text + len(large)
    assert large[:1000].nbytes < large.nbytes / 2


def test_records_outlive_their_store(store: TiraStore, records: Records) -> None:
    store.close()
    assert records.to_arrow().num_rows == 3


def test_no_records_have_columns_too(store: TiraStore) -> None:
    nothing = store.search()
    assert len(nothing) == 0
    assert pa.table(nothing).schema == pa.schema(nothing)
    assert nothing.to_pandas().shape == (0, len(TYPES))
    assert nothing.to_polars().shape == (0, len(TYPES))
    assert list(nothing) == []
    assert len(store.search(columns=[])) == 0


def test_a_notebook_shows_the_first_rows(store: TiraStore) -> None:
    rows = [Measurement("<b>", SOURCE, schedule(number), True, [1 / 3]) for number in range(12)]
    store.record_batch(rows)
    text = store.search(columns=["program_name", "min_time", "std_time"])._repr_html_()
    caption = (
        "<caption style='text-align:left;white-space:nowrap'>12 records, the first 10</caption>"
    )
    assert text.startswith(f"<table style='white-space:nowrap'>{caption}")
    assert text.count("<tr><td>&lt;b&gt;</td><td>0.333333</td><td></td></tr>") == 10
    assert repr(store.search(columns=["key"])) == "Records(12 records: key)"


def many(store: TiraStore, count: int) -> None:
    """Record so many rows of five programs, one after the other."""
    rows = [
        Measurement(f"p{n % 5}", f"void p{n % 5}() {{}}", schedule(n), True, [1.0 + n])
        for n in range(count)
    ]
    store.record_batch(rows)


def test_more_than_a_batch_is_all_there(tmp_path: Path) -> None:
    """Each batch has names of its own; readers make one column of them."""
    count = 65_536 + 1000
    with open_store(tmp_path / "s.db") as store:
        many(store, count)
        records = store.search(columns=["program_name", "min_time", "schedule"])
        table = records.to_arrow()
        assert table["min_time"].num_chunks == 2
        assert table["min_time"].to_pylist() == [1.0 + n for n in range(count)]
        names = [f"p{n % 5}" for n in range(count)]
        assert records.to_pandas()["program_name"].tolist() == names
        assert records.to_polars()["program_name"].to_list() == names
        assert records[65_530:65_540].to_arrow()["program_name"].to_pylist() == names[65_530:65_540]
        last = store.search(sort_by="min_time", descending=True, limit=3, columns=["min_time"])
        assert [row["min_time"] for row in last] == [count, count - 1.0, count - 2.0]
        ordered = store.search(sort_by=["program_name", "min_time"], columns=["program_name"])
        assert ordered.to_arrow()["program_name"].to_pylist() == sorted(names)


@pytest.mark.parametrize("batch_size", [1, 7, 100, 1000])
def test_a_scan_is_all_records_in_parts(store: TiraStore, batch_size: int) -> None:
    many(store, 100)
    reader = store.scan(batch_size=batch_size)
    assert isinstance(reader, pa.RecordBatchReader)
    batches = list(reader)
    assert all(batch.num_rows <= batch_size for batch in batches)
    assert pa.Table.from_batches(batches, reader.schema).to_pylist() == list(store.search())


def test_a_scan_is_filtered_and_has_the_columns_that_are_asked_for(store: TiraStore) -> None:
    many(store, 100)
    filters = [("program_name", "==", "p3"), ("min_time", ">", 50.0)]
    found = store.scan(batch_size=8, filters=filters, columns=["min_time"]).read_all()
    assert found.column_names == ["min_time"]
    assert found["min_time"].to_pylist() == [float(n) for n in range(54, 100, 5)]
    assert store.scan(filters=[("key", "==", "")]).read_all().num_rows == 0


def test_nobody_waits_for_a_scan_between_its_parts(store: TiraStore) -> None:
    many(store, 20)
    with open_store(store.db_path, lock_timeout=1.0) as writer:
        seen = []
        for number, batch in enumerate(store.scan(batch_size=10)):
            seen += batch["schedule"].to_pylist()
            if number == 0:
                writer.record("new", SOURCE, schedule(500), True, [1.0])
                writer.delete(store.search([("schedule", "==", schedule(15))])[0]["key"])
    assert seen == [schedule(n) for n in range(20) if n != 15] + [schedule(500)]


def test_errors_within_a_scan_are_ours(store: TiraStore) -> None:
    many(store, 20)
    reader = store.scan(batch_size=10)
    reader.read_next_batch()
    store.close()
    with pytest.raises(Exception, match="this store is closed") as raised:
        reader.read_next_batch()
    assert type(raised.value).__name__ == "StoreClosedError"


@pytest.mark.parametrize(
    ("absent", "call", "remedy"),
    [
        ("pyarrow", "records.to_arrow()", r"pip install 'tirastore[analysis]'"),
        ("pyarrow", "records.to_pandas()", r"pip install 'tirastore[analysis]'"),
        ("pandas", "records.to_pandas()", r"pip install 'tirastore[analysis]'"),
        ("pyarrow", "store.scan()", r"pip install 'tirastore[analysis]'"),
        ("numpy", "records.to_numpy()", r"pip install 'tirastore[analysis]'"),
        ("polars", "records.to_polars()", r"pip install 'tirastore[polars]'"),
    ],
)
def test_what_is_not_installed_is_named(
    tmp_path: Path, absent: str, call: str, remedy: str
) -> None:
    code = f"""
sys.modules[{absent!r}] = None
with TiraStore(sys.argv[1], cpu_model="TestCPU", slurm_cpus="4") as store:
    store.record("p", "void p() {{}}", "", True, [1.0])
    records = store.search()
    assert records[0]["min_time"] == 1.0 and len(records._repr_html_()) > 0
    try:
        {call}
    except ImportError as missing:
        print(missing)
"""
    text = run_python(code, tmp_path / "s.db")
    assert f"needs {absent}, which is not installed: {remedy}" in text


def test_searching_needs_none_of_them(tmp_path: Path) -> None:
    code = """
for name in ("numpy", "pandas", "polars", "pyarrow", "duckdb"):
    sys.modules[name] = None
with TiraStore(sys.argv[1], cpu_model="TestCPU", slurm_cpus="4") as store:
    store.record("p", "void p() {}", "", True, [1.0])
    print([row["speedup"] for row in store.search([("min_time", "<", 2), ("n_runs", "in", [1])])])
    print(store.best()[0]["min_time"], store.programs()[0]["n_records"], len(store.explain()) > 0)
"""
    assert run_python(code, tmp_path / "s.db") == "[1.0]\n1.0 1 True\n"
