"""The command line: ``tirastore COMMAND``."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from tirastore.errors import TiraStoreError

__all__ = ["main"]

_INTERRUPTED = 130
_PATH = click.Path(path_type=Path)


class _OneLineErrors(click.Group):
    """Shows every error that a person can do something about as one line, with status 1."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except (TiraStoreError, OSError, ValueError) as error:
            message = " ".join(str(error).split()) or type(error).__name__
            raise click.ClickException(message) from error


@click.group(cls=_OneLineErrors)
@click.version_option(package_name="tirastore")
def main() -> None:
    """Use a store of program measurements for compiler autoschedulers."""


@main.command(short_help="Measure real schedules of small programs.")
@click.option(
    "--dir",
    "directory",
    type=_PATH,
    default="demo",
    show_default=True,
    help="Where the store and the results go.",
)
@click.option(
    "--pairs",
    type=click.IntRange(min=1),
    default=280,
    show_default=True,
    help="How many (program, schedule) pairs to explore.",
)
@click.option(
    "--workers",
    type=click.IntRange(min=1),
    default=4,
    show_default=True,
    help="Number of worker processes.",
)
@click.option("--seed", default=0, show_default=True, help="Seed of the schedules.")
@click.option("--fresh", is_flag=True, help="Remove what an earlier demo has left there.")
def demo(*, directory: Path, pairs: int, workers: int, seed: int, fresh: bool) -> None:
    """Measure real schedules of small programs on this machine, through one store.

    Needs a C compiler with OpenMP and the packages of tirastore[demo]. A second call in the same
    directory goes on with the store that is there.
    """
    from tirastore.demo import run_demo  # noqa: PLC0415 -- the other commands need no measurer

    try:
        succeeded = run_demo(directory, pairs=pairs, workers=workers, seed=seed, fresh=fresh)
    except KeyboardInterrupt:
        message = "Interrupted. The store keeps what was measured: the same command goes on."
        click.echo(f"\n{message}", err=True)
        raise SystemExit(_INTERRUPTED) from None
    if not succeeded:
        raise SystemExit(1)


@main.command()
@click.argument("path", type=_PATH)
def stats(path: Path) -> None:
    """Count what the store PATH holds."""
    from tirastore import TiraStore  # noqa: PLC0415 -- help needs no extension module

    with TiraStore(path, read_only=True) as store:
        counts = store.stats()
    table = Table(show_header=False)
    for name, value in counts.items():
        items = value if isinstance(value, (list, tuple, set)) else [value]
        # A project without a name is one, too.
        shown = ", ".join(str(item) if item != "" else "(none)" for item in items)
        table.add_row(name.replace("_", " "), shown)
    Console().print(table, highlight=False)


@main.command()
@click.argument("path", type=_PATH)
@click.argument("program")
@click.argument("source", type=_PATH)
@click.argument("schedule", default="")
def lookup(path: Path, program: str, source: Path, schedule: str) -> None:
    """Print what the store PATH knows about one schedule of PROGRAM.

    SOURCE is the file with the program's Tiramisu generator. Without SCHEDULE: the unscheduled
    program.
    """
    from tirastore import TiraStore  # noqa: PLC0415

    with TiraStore(path, read_only=True) as store:
        found = store.lookup(program, source.read_text(encoding="utf-8"), schedule)
    if found is None:
        raise click.ClickException(f"{path} has no record of this schedule of {program}")
    table = Table(show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in found.to_dict().items():
        table.add_row(name.replace("_", " "), Text(str(value)))
    Console().print(table, highlight=False)


@main.command()
@click.argument("path", type=_PATH)
@click.argument("out", type=_PATH)
@click.option(
    "--fmt",
    type=click.Choice(["json", "jsonl"]),
    help="One JSON object, or one line for each program; default: by the ending of OUT.",
)
def export(path: Path, out: Path, fmt: Literal["json", "jsonl"] | None) -> None:
    """Write everything in the store PATH to the file OUT."""
    from tirastore import TiraStore  # noqa: PLC0415

    with TiraStore(path, read_only=True) as store:
        click.echo(store.export(out, fmt or ("jsonl" if out.suffix == ".jsonl" else "json")))


@main.command(short_help="Copy one consistent state of a store.")
@click.argument("path", type=_PATH)
@click.argument("out", type=_PATH, required=False)
def backup(path: Path, out: Path | None) -> None:
    """Copy one consistent state of the store PATH, by default to a file beside it."""
    from tirastore import TiraStore  # noqa: PLC0415

    with TiraStore(path, read_only=True) as store:
        click.echo(store.backup(out))


if __name__ == "__main__":
    main()
