"""``tirastore stats`` and ``tirastore lookup``: what a store holds."""

from pathlib import Path

import click

from tirastore import TiraStore
from tirastore.cli.shared import PATH, STORE, Command, print_pairs


@click.command(cls=Command, examples=("tirastore stats measurements.db",))
@STORE
def stats(path: Path) -> None:
    """Count what the store PATH holds."""
    with TiraStore(path, read_only=True) as store:
        counts = store.stats()
    print_pairs((name, _listed(value)) for name, value in counts.items())


def _listed(value: object) -> str:
    items = value if isinstance(value, (list, tuple, set)) else [value]
    # A project without a name is one, too.
    return ", ".join(str(item) if item != "" else "(none)" for item in items)


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
def lookup(path: Path, program: str, source: Path, schedule: str) -> None:
    """Print what the store PATH knows about one schedule of PROGRAM.

    SOURCE is the file with the program's Tiramisu generator. Without SCHEDULE: the unscheduled
    program.
    """
    with TiraStore(path, read_only=True) as store:
        found = store.lookup(program, source.read_text(encoding="utf-8"), schedule)
    if found is None:
        raise click.ClickException(f"{path} has no record of this schedule of {program}")
    print_pairs(found.to_dict().items())
