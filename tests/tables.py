"""Files of measurements: tables in every format, and one of LOOPer's."""

import csv
import json
from pathlib import Path
from typing import Any

import pytest
from support import schedule

from tirastore import ImportReport, TiraStore

ROW: dict[str, Any] = {
    "program_name": "mm",
    "source_code": "void mm() {}",
    "schedule": "",
    "is_legal": True,
    "execution_times": [1.5, 1.25],
}


TABLES = ["csv", "tsv", "jsonl", "parquet", "arrow", "stream"]


def table(directory: Path, kind: str, rows: list[dict[str, Any]]) -> Path:
    """Write rows as a table; CSV holds times as JSON."""
    path = directory / f"rows.{kind}"
    if kind in ("csv", "tsv"):
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, list(rows[0]), delimiter="\t" if kind == "tsv" else ",")
            writer.writeheader()
            writer.writerows(
                {**row, "execution_times": json.dumps(row["execution_times"] or [])} for row in rows
            )
    elif kind == "jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    else:
        pa = pytest.importorskip("pyarrow")
        columns = pa.Table.from_pylist(rows)
        if kind == "parquet":
            pytest.importorskip("pyarrow.parquet").write_table(columns, path)
        else:
            make = pa.ipc.new_file if kind == "arrow" else pa.ipc.new_stream
            with make(path, columns.schema) as writer:
                writer.write_table(columns)
    return path


def rows(count: int) -> list[dict[str, Any]]:
    return [
        {
            **ROW,
            "program_name": f"p{number % 7}",
            "source_code": f'void p{number % 7}() {{\n  // é, "quoted"\n}}',
            "schedule": schedule(number),
            "is_legal": number % 3 > 0,
            "execution_times": [0.5 * number, 1e-5] if number % 3 else None,
        }
        for number in range(count)
    ]


def held(store: TiraStore, row: dict[str, Any]) -> tuple[bool, Any]:
    found = store.lookup("", row["source_code"], row["schedule"])
    assert found is not None
    return found.is_legal, found.execution_times


def numbers(report: ImportReport) -> tuple[int, int, int, int]:
    return (report.read, report.written, report.already_there, report.skipped)


def explored(directory: Path, **changes: Any) -> Path:
    """Write a small file as LOOPer writes them."""
    content = {
        "filename": "./function_x_explored_schedules.json",
        "node_name": "lanka01",
        "parameters": {"beam_size": 1},
        "program_annotation": {"memory_size": "0.1", "iterators": {}},
        "initial_execution_time": 0.021,
        "schedules_list": [
            {"sched_str": "", "legality_check": True, "execution_times": [0.021, 0.022]},
            {"sched_str": "P({C0},L1)", "legality_check": True, "execution_times": [0.01]},
            {"sched_str": "P({C0},L2)", "legality_check": False},
            {"sched_str": "P({C0},L3)", "execution_times": [-1.0]},
            {"sched_str": "P({C0},L4)", "execution_times": [21.000001]},
            {"sched_str": "P({C0},L5)", "legality_check": True, "execution_times": None},
            {"sched_str": "P({C0},L6)", "legality_check": True, "execution_times": []},
        ],
        **changes,
    }
    path = directory / "function_x_explored_schedules.json"
    path.write_text(json.dumps(content))
    return path
