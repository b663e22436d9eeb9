"""The ways to get all records into files: from the store's path to a number of rows or programs."""

from __future__ import annotations

import json
import sqlite3
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from tirastore import TiraStore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["DATASETS", "LINES", "PROGRAMS_TIMED"]

#: The original's algorithm looks at all records for each program: so many are timed, not all.
PROGRAMS_TIMED = 5


def dataset(path: Path) -> int:
    """Write a data set: labelled, filtered, and split by program."""
    with TiraStore(path, read_only=True, allow_cpu_mismatch=True) as store, _beside(path) as place:
        report = store.export_dataset(place / "dataset")
    return sum(report.rows.values()) + sum(report.dropped.values())


def read_and_write(path: Path) -> int:
    """Search for the same columns, and let pyarrow write them."""
    import pyarrow.parquet as pq

    from tirastore.dataset.export import COLUMNS

    with TiraStore(path, read_only=True, allow_cpu_mismatch=True) as store, _beside(path) as place:
        table = store.search(columns=list(COLUMNS)).to_arrow()
        pq.write_table(table, place / "records.parquet")
    return int(table.num_rows)


def lines(path: Path) -> int:
    """Export JSON lines; the number of programs."""
    with TiraStore(path, read_only=True, allow_cpu_mismatch=True) as store, _beside(path) as place:
        written = store.export(place / "records.jsonl", fmt="jsonl")
        with written.open("rb") as file:
            return sum(1 for _ in file)


def lines_as_the_original(path: Path) -> int:
    """Export JSON lines of some programs, each found among all records as without an index."""
    connection = sqlite3.connect(f"file:{path}?mode=ro&immutable=1", uri=True)
    programs = connection.execute(
        "SELECT program_hash, program_name, source_code FROM programs LIMIT ?", (PROGRAMS_TIMED,)
    ).fetchall()
    with _beside(path) as place, (place / "records.jsonl").open("w", encoding="utf-8") as file:
        for program_hash, name, source in programs:
            found = connection.execute(
                "SELECT schedule, result_json FROM records NOT INDEXED WHERE program_hash = ?",
                (program_hash,),
            )
            schedules = [
                {
                    "schedule_str": schedule,
                    "is_legal": result["is_legal"],
                    "execution_times": result["execution_times"],
                }
                for schedule, result in ((text, json.loads(result)) for text, result in found)
            ]
            entry = {"Tiramisu_cpp": source, "schedules_list": schedules, "program_name": name}
            file.write(json.dumps({name: entry}) + "\n")
    return len(programs)


@contextmanager
def _beside(path: Path) -> Iterator[Path]:
    """A directory on the store's file system, for a while."""
    with tempfile.TemporaryDirectory(dir=path.parent) as place:
        yield Path(place)


#: Name, the packages that it needs, and what to run; the first is TiraStore's.
DATASETS: dict[str, tuple[tuple[str, ...], Callable[[Path], int]]] = {
    "TiraStore export_dataset()": (("pyarrow",), dataset),
    "search(), then pyarrow's write_table": (("pyarrow",), read_and_write),
}
LINES: dict[str, tuple[tuple[str, ...], Callable[[Path], int]]] = {
    'TiraStore export(fmt="jsonl")': ((), lines),
    "the original's algorithm": ((), lines_as_the_original),
}
