"""``tirastore verify``: whether a store is what it was when it was written."""

from pathlib import Path

import click

from tirastore import TiraStore, VerifyReport
from tirastore.cli.shared import STORE, Command, printable

#: Columns where nobody looks at a terminal: a key and most causes fit in one line.
_WIDE = 200


@click.command(
    cls=Command,
    short_help="Look for damage in a store.",
    examples=("tirastore verify measurements.db",),
)
@STORE
def verify(path: Path) -> None:
    """Look for damage in the store PATH.

    Computes every hash and key again, decodes every result, and has SQLite check its pages.
    Writers wait meanwhile. The status is 0 where nothing is wrong, else 1.
    """
    with TiraStore(path, read_only=True) as store:
        report = store.verify()
    if not report.ok:
        _print_findings(report)
    click.echo(str(report).partition("\n")[0])
    if not report.ok:
        raise SystemExit(1)


def _print_findings(report: VerifyReport) -> None:
    from rich.console import Console  # noqa: PLC0415 -- help needs no tables
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    console = Console()
    table = Table("what", "key", "cause")
    table.columns[0].no_wrap = True
    for column in table.columns[1:]:
        column.overflow = "fold"
    for finding in report.findings:
        fields = (finding.kind, finding.key or "", finding.cause)
        table.add_row(*(Text(printable(field)) for field in fields))
    if not console.is_terminal:
        console.width = _WIDE
    console.print(table, highlight=False)
