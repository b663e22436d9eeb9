"""``tirastore ingest`` and ``merge``: measurements from files and other stores."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path  # noqa: TC003
from typing import TYPE_CHECKING, Any, Literal

import click

from tirastore import TiraStore
from tirastore.cli.output import format_option, print_rows
from tirastore.cli.shared import PATH, Command, printable

if TYPE_CHECKING:
    from tirastore import ImportReport
    from tirastore.cli.output import Format

#: As in :mod:`tirastore.ingest.formats`, which help does not load.
_FORMATS = ("json", "jsonl", "explored", "csv", "tsv", "parquet", "arrow")
_MERGED = ("store", "read", "written", "already_there", "skipped", "errors")
_DIALECTS = ("tiralib", "percomp", "rl1", "looper", "master")


@click.command(
    cls=Command,
    short_help="Record the measurements in files.",
    examples=(
        "tirastore ingest measurements.db measurements.jsonl",
        "tirastore ingest measurements.db *_explored_schedules.json --dialect looper",
        "tirastore ingest measurements.db runs.csv --sources generators/ --on-error skip",
    ),
)
@click.argument("path", type=PATH)
@click.argument("files", metavar="FILE...", type=PATH, nargs=-1, required=True)
@click.option(
    "--format",
    "kind",
    type=click.Choice(_FORMATS),
    help="What the files are; default: by name and content.",
)
@click.option(
    "--on-error",
    type=click.Choice(["raise", "skip"]),
    default="raise",
    help="Stop at what cannot be recorded (default), or leave it out and say so.",
)
@click.option("--sources", type=PATH, help="Directory of <name>_generator.cpp or <name>.cpp.")
@click.option(
    "--project",
    help="Project of measurements whose file names none; default: TIRASTORE_PROJECT.",
)
@click.option(
    "--dialect",
    "dialects",
    type=click.Choice(_DIALECTS),
    multiple=True,
    help="A further dialect of schedules to record; may be repeated.",
)
def ingest(
    path: Path,
    files: tuple[Path, ...],
    kind: Any,
    on_error: Literal["raise", "skip"],
    sources: Path | None,
    project: str | None,
    dialects: tuple[str, ...],
) -> None:
    """Record the measurements in each FILE in the store PATH, which is created if it is missing.

    What is recorded already stays as it is: a run that was stopped is repeated. The formats are
    in docs/datasets.md.
    """
    accepted = tuple(dict.fromkeys(("tiralib", *dialects)))
    with TiraStore(path, source_project=project, dialects=accepted) as store:
        for file in files:
            report = store.ingest(file, kind, on_error=on_error, sources=sources)
            _print(file, report)


@click.command(
    cls=Command,
    short_help="Record everything that other stores hold.",
    examples=(
        "tirastore merge measurements.db of_ada.db of_bob.db",
        "tirastore merge all.db other_node.db --allow-cpu-mismatch",
    ),
)
@click.argument("path", type=PATH)
@click.argument("others", metavar="OTHER...", type=PATH, nargs=-1, required=True)
@click.option(
    "--allow-cpu-mismatch",
    is_flag=True,
    help="Merge although their times cannot be compared: they are of different CPUs.",
)
@format_option
def merge(path: Path, others: tuple[Path, ...], *, allow_cpu_mismatch: bool, fmt: Format) -> None:
    """Record everything that each store OTHER holds in the store PATH.

    OTHER is left as it is; it may be in use, and of the original TiraStore. What is recorded in
    PATH already stays.
    """
    merged = []
    with TiraStore(path, allow_cpu_mismatch=allow_cpu_mismatch) as store:
        for other in others:
            report = store.merge(other)
            merged.append({"store": str(other), **asdict(report)})
            if fmt == "table":
                _print(other, report)
    if fmt != "table":
        print_rows(_MERGED, merged, fmt)


def _print(path: Path, report: ImportReport) -> None:
    click.echo(f"{printable(str(path))}: {report}")
    for error in report.errors:
        click.echo(printable(error), err=True)
    if report.skipped > len(report.errors):
        click.echo(f"and {report.skipped - len(report.errors):,} more", err=True)
