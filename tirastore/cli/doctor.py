"""``tirastore doctor``: tells whether a store can be kept in a directory."""

from __future__ import annotations

import contextlib
import os
import signal
from dataclasses import asdict
from pathlib import Path  # noqa: TC003
from typing import TYPE_CHECKING, NoReturn

import click

from tirastore.cli.output import format_option, print_rows
from tirastore.cli.shared import PATH, STORE, Command

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tirastore.cli.output import Format
    from tirastore.doctor import Report

_FIELDS = ("check", "verdict", "seen", "advice")
_WIDE = 110
_COLOURS = {"ok": "green", "note": "yellow", "problem": "bold red"}


@click.command(
    cls=Command,
    short_help="Check whether a store can be kept here.",
    examples=(
        "tirastore doctor measurements.db",
        "tirastore doctor /first/mount /second/mount",
        "srun -N2 -n2 tirastore doctor measurements.db",
    ),
)
@STORE
@click.argument("path2", type=PATH, required=False)
@format_option
def doctor(path: Path, path2: Path | None, fmt: Format) -> None:
    """Check whether a store can be kept at PATH, a store or a directory.

    Races processes for the operations that locks are made of, and looks at what else a store needs:
    in a directory of its own beside the store, which is removed again. With PATH2, a second path to
    the same directory (another mount), also between the two. As a Slurm step of two tasks, also
    between their nodes.

    The status is 0 if a store can be used safely, else 1.
    """
    from tirastore.doctor import examine, task_of_this_process  # noqa: PLC0415 -- help needs none
    from tirastore.doctor.mailbox import assist  # noqa: PLC0415

    task = task_of_this_process()
    if task is not None and task.rank > 1:
        return
    with _signals_end_it_once():
        if task is not None and task.rank == 1:
            directory = path.resolve()
            directory = directory if directory.is_dir() else directory.parent
            if os.access(directory, os.W_OK):
                assist(task.meeting_point(directory))
            return
        report = examine(path, path2, task=task)
    if fmt == "table":
        _show(report)
    else:
        print_rows(_FIELDS, map(asdict, report.findings), fmt)
    if not report.safe:
        raise SystemExit(1)


@contextlib.contextmanager
def _signals_end_it_once() -> Iterator[None]:
    """Leave through every `finally`, also when a job is cancelled, so that nothing is left behind.

    Only the first signal counts: srun sends Ctrl-C and then SIGTERM, which must not end the removal
    that the first one began.
    """
    numbers = (signal.SIGINT, signal.SIGTERM)
    ended = False

    def end(number: int, _frame: object) -> NoReturn:
        nonlocal ended
        ended = True
        for other in numbers:
            signal.signal(other, signal.SIG_IGN)
        raise SystemExit(128 + number)

    before = [signal.signal(number, end) for number in numbers]
    try:
        yield
    finally:
        # After a signal the process ends: a second one would change its status.
        if not ended:
            for number, handler in zip(numbers, before, strict=True):
                signal.signal(number, handler)


def _show(report: Report) -> None:
    from rich import box  # noqa: PLC0415
    from rich.console import Console  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    from tirastore.doctor import Verdict  # noqa: PLC0415

    console = Console()
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("check", max_width=26 if console.width < _WIDE else None)
    table.add_column("", no_wrap=True, min_width=len(Verdict.PROBLEM))
    table.add_column("what was seen", ratio=1)
    for finding in report.findings:
        if finding.check.startswith("second "):
            table.add_section()
        seen = Text(finding.seen)
        if finding.advice:
            seen.append(f"\n{finding.advice}", style="italic dim")
        verdict = Text(finding.verdict.value, style=_COLOURS[finding.verdict.value])
        table.add_row(Text(finding.check), verdict, seen)
    console.print(Text.assemble("\nA store in ", (str(report.directory), "bold")))
    console.print(table)
    console.print(_summary(report), highlight=False)


def _summary(report: Report) -> str:
    notes = f", {len(report.notes)} to know about" if report.notes else ""
    checks = f"{len(report.findings)} checks"
    if report.safe:
        return f"[bold green]A store can be used here.[/] {checks}, no problem{notes}."
    named = "; ".join(finding.check for finding in report.problems)
    return f"[bold red]Do not use a store here as it is:[/] {named}."
