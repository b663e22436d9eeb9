"""``tirastore claims``: who measures what just now."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path  # noqa: TC003
from typing import TYPE_CHECKING, Any

import click

from tirastore import TiraStore
from tirastore.cli.output import format_option, print_rows
from tirastore.cli.shared import STORE, Command

if TYPE_CHECKING:
    from tirastore.cli.output import Format

CLAIM_COLUMNS = (
    *("program_name", "schedule", "state", "hostname", "username", "pid", "lease", "silent_for"),
    "message",
)


@click.command(
    cls=Command,
    short_help="List what is being measured, and what failed.",
    examples=("tirastore claims measurements.db", "tirastore claims measurements.db --format csv"),
)
@STORE
@format_option
def claims(path: Path, fmt: Format) -> None:
    """List the claims of the store PATH: what is being measured, by whom, and what failed.

    Seconds: lease, after how long without a sign of life a claim is given up; silent for, how long
    this node has seen none.
    """
    with TiraStore(path, read_only=True) as store:
        rows = claim_rows(store)
    print_rows(CLAIM_COLUMNS, rows, fmt)


def claim_rows(store: TiraStore) -> list[dict[str, Any]]:
    """Return the claims of a store as rows of `CLAIM_COLUMNS`."""
    return [asdict(info) for info in store.claims()]
