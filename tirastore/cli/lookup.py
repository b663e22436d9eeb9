"""``tirastore stats`` and ``tirastore lookup``: what a store holds."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003
from typing import TYPE_CHECKING

import click

from tirastore import TiraStore
from tirastore.cli.output import format_option, print_fields
from tirastore.cli.shared import PATH, STORE, Command

if TYPE_CHECKING:
    from tirastore.cli.output import Format


@click.command(
    cls=Command,
    examples=("tirastore stats measurements.db", "tirastore stats measurements.db --format json"),
)
@STORE
@format_option
def stats(path: Path, fmt: Format) -> None:
    """Count what the store PATH holds."""
    with TiraStore(path, read_only=True) as store:
        counts = store.stats()
    print_fields(counts, fmt)


@click.command(
    cls=Command,
    examples=(
        "tirastore lookup measurements.db blur blur.cpp",
        """tirastore lookup measurements.db blur blur.cpp "P(L0,comps=['blurx'])\"""",
    ),
)
@click.argument("path", type=PATH)
@click.argument("program")
@click.argument("source", type=PATH)
@click.argument("schedule", default="")
@format_option
def lookup(path: Path, program: str, source: Path, schedule: str, fmt: Format) -> None:
    """Print what the store PATH knows about one schedule of PROGRAM.

    SOURCE is the file with the program's Tiramisu generator. Without SCHEDULE: the unscheduled
    program.
    """
    with TiraStore(path, read_only=True) as store:
        found = store.lookup(program, source.read_text(encoding="utf-8"), schedule)
    if found is None:
        raise click.ClickException(f"{path} has no record of this schedule of {program}")
    print_fields(found.to_dict(), fmt)
