"""Records to search, and what Python finds among them."""

import contextlib
import json
import sqlite3
import statistics
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from support import open_store, reference_key

from tirastore import (
    Records,
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
                    "environment": None,
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


def change(path: Path, sql: str, *arguments: object) -> int:
    """Change rows of a database file that nobody else uses; answer how many."""
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        return connection.execute(sql, arguments).rowcount


def keys(found: Records) -> list[str]:
    """Return the keys of records, in their order."""
    return [record["key"] for record in found]


def fill(path: Path) -> None:
    """Make a store that holds `ROWS`, in their order."""
    with open_store(path) as store:
        environment = json.dumps(store.environment, sort_keys=True, separators=(",", ":"))
        for row in ROWS:
            row["environment"] = environment
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
