"""``tirastore verify``: whether a store is what it was when it was written."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003
from typing import TYPE_CHECKING

import click

from tirastore import TiraStore
from tirastore.cli.output import format_option, print_rows
from tirastore.cli.shared import STORE, Command

if TYPE_CHECKING:
    from tirastore.cli.output import Format

_COLUMNS = ("kind", "key", "cause")


@click.command(
    cls=Command,
    short_help="Look for damage in a store.",
    examples=("tirastore verify measurements.db",),
)
@STORE
@format_option
def verify(path: Path, fmt: Format) -> None:
    """Look for damage in the store PATH.

    Computes every hash and key again, decodes every result, and has SQLite check its pages.
    Writers wait meanwhile. The status is 0 where nothing is wrong, else 1.
    """
    with TiraStore(path, read_only=True) as store:
        report = store.verify()
    findings = [{name: getattr(finding, name) for name in _COLUMNS} for finding in report.findings]
    if findings or fmt != "table":
        print_rows(_COLUMNS, findings, fmt)
    if fmt == "table":
        click.echo(str(report).partition("\n")[0])
    if not report.ok:
        raise SystemExit(1)
