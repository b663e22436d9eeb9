"""The command line: ``python -m benches.columns --records 1000000``."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import click

from benches.columns.exports import DATASETS, LINES, PROGRAMS_TIMED
from benches.columns.peers import OURS, PEERS, is_installed
from benches.columns.store import PROGRAM, SCHEDULES, fill
from benches.peers import tables
from tirastore import TiraStore


@click.command(context_settings={"show_default": True})
@click.option("--records", type=click.IntRange(1), default=1_000_000)
@click.option("--repeat", type=click.IntRange(1), default=3)
@click.option("--seed", default=1)
@click.option("--directory", type=click.Path(path_type=Path), help="Where the store is made.")
@click.option("--write", type=click.Path(path_type=Path), help="Markdown file for the report.")
@click.option("--one", hidden=True, help="Only this peer, on the store in --directory.")
def main(
    records: int,
    repeat: int,
    seed: int,
    directory: Path | None,
    write: Path | None,
    one: str | None,
) -> None:
    """Time searches and exports of a large store beside what one would write without TiraStore."""
    if one is not None and directory is not None:
        print(json.dumps(_run(one, directory)))
        return
    missing = {
        name: packages for name, (packages, _) in PEERS.items() if not is_installed(packages)
    }
    if OURS in missing:
        raise click.ClickException("the searches need pyarrow: pip install 'tirastore[bench]'")
    with tempfile.TemporaryDirectory(dir=directory) as place:
        path = Path(place) / "store.db"
        fill(path, records, seed)
        report = _report(path, records, repeat, missing)
    if write:
        tables.write(write, "columns", report)
    else:
        print(report)


def _run(name: str, path: Path) -> dict[str, float]:
    """Run one peer in this process: seconds, and megabytes at most beside those of the imports."""
    packages, peer = (PEERS | DATASETS | LINES)[name]
    for package in packages:
        __import__(package)
    before = _peak()
    began = time.perf_counter()
    rows = peer(path)
    return {"seconds": time.perf_counter() - began, "MB": _peak() - before, "rows": rows}


def _peak() -> float:
    """Return the peak of this program's memory; getrusage's is that of its parent, if larger."""
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


def _report(path: Path, records: int, repeat: int, missing: dict[str, tuple[str, ...]]) -> str:
    found = {name: _best(name, path, repeat) for name in PEERS if name not in missing}
    first = found[OURS]["seconds"]
    head = (
        f"{records:,} records, the best of {repeat} runs, each in a process of its own; MB is what "
        "its peak of memory grew by."
    )
    lines = ["| all records | s | times TiraStore's | MB |", "| --- | --- | --- | --- |"]
    for name, run in found.items():
        if run["rows"] != records:
            raise SystemExit(f"{name} found {run['rows']} of {records} records")
        lines.append(
            f"| {name} | {run['seconds']:.2f} | {run['seconds'] / first:.1f} | {run['MB']:,.0f} |"
        )
    for name, packages in missing.items():
        lines += ["", f"Left out: {name}, which needs {', '.join(packages)}."]
    lines += ["", *_datasets(path, records, repeat), "", *_lines(path, records, repeat)]
    lines += ["", "| a search of TiraStore | ms | records |", "| --- | --- | --- |"]
    with TiraStore(path, read_only=True, allow_cpu_mismatch=True) as store:
        size = store.search().nbytes / 2**20
        searches = {
            "by program": {"filters": [("program_name", "==", PROGRAM)]},
            "by key": {"filters": [("key", "==", store.keys(1)[0])]},
            "min_time < 0.5": {"filters": [("min_time", "<", 0.5)]},
            "min_time between 1 and 1.001": {
                "filters": [("min_time", ">", 1.0), ("min_time", "<", 1.001)]
            },
            "the ten fastest": {"sort_by": "min_time", "limit": 10},
            "the best of every program": None,
        }
        for name, arguments in searches.items():
            seconds, rows = _search(store, arguments, repeat)
            lines.append(f"| {name} | {seconds * 1000:,.1f} | {rows:,} |")
        seconds, rows = _first_of_a_scan(store, searches["min_time between 1 and 1.001"], repeat)
        lines.append(f"| the same, first batch of a scan | {seconds * 1000:,.1f} | {rows:,} |")
    return "\n".join([f"{head} The columns are {size:,.0f} MB.", "", *lines, ""])


def _search(
    store: TiraStore, arguments: dict[str, object] | None, repeat: int
) -> tuple[float, int]:
    best, rows = float("inf"), 0
    for _ in range(repeat):
        began = time.perf_counter()
        found = store.best() if arguments is None else store.search(**arguments)  # type: ignore[arg-type]
        best, rows = min(best, time.perf_counter() - began), len(found)
    return best, rows


def _first_of_a_scan(store: TiraStore, arguments: Any, repeat: int) -> tuple[float, int]:
    best, rows = float("inf"), 0
    for _ in range(repeat):
        began = time.perf_counter()
        first = next(iter(store.scan(**arguments)), None)
        best, rows = min(best, time.perf_counter() - began), first.num_rows if first else 0
    return best, rows


def _datasets(path: Path, records: int, repeat: int) -> list[str]:
    """Compare a data set with what reading and writing take."""
    runs = {name: _best(name, path, repeat) for name in DATASETS}
    *_, plain = runs.values()
    lines = [
        "| a data set in Parquet | s | times reading and writing | MB |",
        "| --- | --- | --- | --- |",
    ]
    for name, run in runs.items():
        if run["rows"] != records:
            raise SystemExit(f"{name} read {run['rows']} of {records} records")
        times = run["seconds"] / plain["seconds"]
        lines.append(f"| {name} | {run['seconds']:.2f} | {times:.2f} | {run['MB']:,.0f} |")
    return lines


def _lines(path: Path, records: int, repeat: int) -> list[str]:
    """Compare JSON lines with what the original would need for all programs."""
    ours, original = (_best(name, path, repeat) for name in LINES)
    programs = -(-records // SCHEDULES)
    if (ours["rows"], original["rows"]) != (programs, min(PROGRAMS_TIMED, programs)):
        raise SystemExit(f"{ours['rows']} and {original['rows']} programs were exported")
    needed = original["seconds"] / original["rows"] * programs
    name, other = LINES
    extent = f", a look at all records for each program: {PROGRAMS_TIMED} of {programs:,} timed"
    return [
        "| JSON lines | s | times TiraStore's |",
        "| --- | --- | --- |",
        f"| {name} | {ours['seconds']:.2f} | 1.0 |",
        f"| {other}{extent} | {needed:,.0f} | {needed / ours['seconds']:,.0f} |",
    ]


def _best(name: str, path: Path, repeat: int) -> dict[str, float]:
    return min((_apart(name, path) for _ in range(repeat)), key=lambda run: run["seconds"])


def _apart(name: str, path: Path) -> dict[str, float]:
    command = [sys.executable, "-m", "benches.columns", "--one", name, "--directory", str(path)]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    result: dict[str, float] = json.loads(run.stdout)
    return result


if __name__ == "__main__":
    main()
