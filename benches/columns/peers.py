"""The ways to get a store's records into columns: from its path to a number of rows."""

from __future__ import annotations

import importlib.util
import json
import sqlite3
from typing import TYPE_CHECKING, Any

from tirastore import TiraStore

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

__all__ = ["OURS", "PEERS", "is_installed"]

#: What the others are compared with.
OURS = "TiraStore search().to_arrow()"

SQL = """
    SELECT r.key, p.program_name, r.program_hash, r.schedule, r.result_json, r.hostname, r.username,
           r.creation_date, r.update_date, r.source_project
    FROM records r JOIN programs p ON p.program_hash = r.program_hash
"""


def ours(path: Path) -> int:
    """Search, and hand over to Arrow."""
    with TiraStore(path, read_only=True, allow_cpu_mismatch=True) as store:
        table = store.search().to_arrow()
    return int(table.num_rows)


def ours_scan(path: Path) -> int:
    """Go through batches, each dropped before the next."""
    with TiraStore(path, read_only=True, allow_cpu_mismatch=True) as store:
        return sum(batch.num_rows for batch in store.scan())


def sqlite_pandas(path: Path) -> int:
    """What a user of the original writes: read rows, decode JSON, make a frame."""
    import pandas as pd

    connection = sqlite3.connect(f"file:{path}?mode=ro&immutable=1", uri=True)
    rows = connection.execute(SQL)
    names = [column[0] for column in rows.description]
    frame = pd.DataFrame(rows.fetchall(), columns=names)
    frame = _decoded(frame, frame.pop("result_json"))
    return len(frame)


def adbc(path: Path) -> int:
    """Read rows as Arrow, decode JSON."""
    import adbc_driver_sqlite.dbapi as driver
    import pyarrow as pa

    uri = f"file:{path}?mode=ro&immutable=1"
    with driver.connect(uri) as connection, connection.cursor() as cursor:
        cursor.execute(SQL)
        table = cursor.fetch_arrow_table()
    outcomes = [json.loads(text) for text in table["result_json"].to_pylist()]
    times = pa.array([o["execution_times"] for o in outcomes], pa.list_(pa.float64()))
    legal = pa.array([o["is_legal"] for o in outcomes], pa.bool_())
    table = table.drop_columns("result_json")
    table = table.append_column("is_legal", legal).append_column("execution_times", times)
    return int(table.num_rows)


def polars(path: Path) -> int:
    """Read rows into Polars, let it decode JSON."""
    import polars as pl

    connection = sqlite3.connect(f"file:{path}?mode=ro&immutable=1", uri=True)
    frame = pl.read_database(SQL, connection)
    kind = pl.Struct({"is_legal": pl.Boolean, "execution_times": pl.List(pl.Float64)})
    frame = frame.with_columns(pl.col("result_json").str.json_decode(kind)).unnest("result_json")
    return len(frame)


def _decoded(frame: Any, results: Any) -> Any:
    import pandas as pd

    outcomes = [json.loads(text) for text in results]
    frame["is_legal"] = [outcome["is_legal"] for outcome in outcomes]
    frame["execution_times"] = [outcome["execution_times"] for outcome in outcomes]
    frame["min_time"] = [min(o["execution_times"] or [float("nan")]) for o in outcomes]
    for name in ("creation_date", "update_date"):
        frame[name] = pd.to_datetime(frame[name], format="ISO8601")
    return frame


#: Name, the packages that it needs, and what to run.
PEERS: dict[str, tuple[tuple[str, ...], Callable[[Path], int]]] = {
    OURS: (("pyarrow",), ours),
    "TiraStore scan()": (("pyarrow",), ours_scan),
    "sqlite3 + json + pandas": (("pandas",), sqlite_pandas),
    "ADBC SQLite + json": (("adbc_driver_sqlite", "pyarrow"), adbc),
    "Polars read_database + json_decode": (("polars",), polars),
}


def is_installed(packages: tuple[str, ...]) -> bool:
    """Tell whether a peer can run."""
    return all(importlib.util.find_spec(package) for package in packages)
