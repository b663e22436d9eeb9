"""``tirastore export``, ``backup`` and ``restore``: a store in other files, and back."""

from pathlib import Path
from typing import Literal

import click

from tirastore import TiraStore
from tirastore.cli.shared import PATH, STORE, Command


@click.command(cls=Command, examples=("tirastore export measurements.db measurements.jsonl",))
@click.argument("path", type=PATH)
@click.argument("out", type=PATH)
@click.option(
    "--fmt",
    type=click.Choice(["json", "jsonl"]),
    help="One JSON object, or one line for each program; default: by the ending of OUT.",
)
def export(path: Path, out: Path, fmt: Literal["json", "jsonl"] | None) -> None:
    """Write everything in the store PATH to the file OUT, which is replaced; no database is."""
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
@STORE
@click.argument("out", type=PATH, required=False)
@click.option("--verify", is_flag=True, help="Write no copy that has damage, see tirastore verify.")
def backup(path: Path, out: Path | None, *, verify: bool) -> None:
    """Copy one consistent state of the store PATH, by default to a file beside it.

    What is at OUT is replaced, unless it is a store with a lock beside it. What a worker has handed
    over at SIGTERM comes into the store, and into copies of it, when a client that may write opens
    it.
    """
    with TiraStore(path, read_only=True) as store:
        click.echo(store.backup(out, verify=verify))


@click.command(
    cls=Command,
    short_help="Replace all of a store by a backup.",
    examples=("tirastore restore measurements_20260221T153012Z.db measurements.db --yes",),
)
@click.argument("backup_path", metavar="BACKUP", type=PATH)
@click.argument("path", type=PATH)
@click.option("--yes", is_flag=True, help="Do not ask.")
def restore(backup_path: Path, path: Path, *, yes: bool) -> None:
    """Replace all records of the store PATH by those of BACKUP, which stays as it is.

    Workers may go on: they see the restored records from their next call on. A backup with damage
    is refused, see tirastore verify.
    """
    if path.exists() and path.samefile(backup_path):
        raise click.ClickException(f"{path} is the backup itself")
    with TiraStore(backup_path, read_only=True) as backup:
        report = backup.verify()
        if not report.ok:
            raise click.ClickException(str(report).partition("\n")[0])
        replacement = backup.count()
    if not path.exists() and not yes:
        click.confirm(f"There is no {path}. Make it, of {replacement:,} records?", abort=True)
        yes = True
    with TiraStore(path, allow_cpu_mismatch=True) as store:
        if not yes:
            click.confirm(
                f"Replace {store.count():,} records of {path} by {replacement:,}?", abort=True
            )
        store.restore(backup_path)
        click.echo(f"restored {store.count():,} records")
