"""``tirastore export`` and ``tirastore backup``: a store in other files."""

from pathlib import Path
from typing import Literal

import click

from tirastore import TiraStore
from tirastore.cli.shared import PATH, Command


@click.command(cls=Command, examples=("tirastore export measurements.db measurements.jsonl",))
@click.argument("path", type=PATH)
@click.argument("out", type=PATH)
@click.option(
    "--fmt",
    type=click.Choice(["json", "jsonl"]),
    help="One JSON object, or one line for each program; default: by the ending of OUT.",
)
def export(path: Path, out: Path, fmt: Literal["json", "jsonl"] | None) -> None:
    """Write everything in the store PATH to the file OUT."""
    with TiraStore(path, read_only=True) as store:
        click.echo(store.export(out, fmt or ("jsonl" if out.suffix == ".jsonl" else "json")))


@click.command(
    cls=Command,
    short_help="Copy one consistent state of a store.",
    examples=(
        "tirastore backup measurements.db",
        "tirastore backup measurements.db copy.db --verify",
    ),
)
@click.argument("path", type=PATH)
@click.argument("out", type=PATH, required=False)
@click.option("--verify", is_flag=True, help="Write no copy that has damage, see tirastore verify.")
def backup(path: Path, out: Path | None, *, verify: bool) -> None:
    """Copy one consistent state of the store PATH, by default to a file beside it."""
    with TiraStore(path, read_only=True) as store:
        click.echo(store.backup(out, verify=verify))
