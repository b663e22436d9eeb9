"""``tirastore top``: a store at work, refreshed until Ctrl-C."""

from __future__ import annotations

import datetime as dt
import itertools
import time
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path  # noqa: TC003
from typing import TYPE_CHECKING, Any

import click

from tirastore import TiraStore
from tirastore.cli.claims import CLAIM_COLUMNS, claim_rows
from tirastore.cli.lock import lock_rows
from tirastore.cli.output import table_of, wide_console
from tirastore.cli.shared import STORE, Command, pairs_table

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

_RECENT = ("creation_date", "hostname", "program_name", "schedule", "status", "min_time")


@click.command(
    cls=Command,
    short_help="Watch a store while workers write it.",
    examples=("tirastore top measurements.db", "tirastore top measurements.db --once"),
)
@STORE
@click.option(
    "--interval",
    type=click.FloatRange(min=0.1),
    default=2.0,
    show_default=True,
    help="Seconds between two looks.",
)
@click.option("--count", type=click.IntRange(min=1), help="Look so many times, then end.")
@click.option("--once", is_flag=True, help="Look once, the same as --count 1.")
@click.option("--rows", type=click.IntRange(min=1), default=8, show_default=True, help="Of a list.")
def top(path: Path, *, interval: float, count: int | None, once: bool, rows: int) -> None:
    """Watch the store PATH: how many records, who holds the lock, who measures what, what is new.

    Ends with Ctrl-C, which is no error here.
    """
    from rich.live import Live  # noqa: PLC0415 -- help needs no tables

    console = wide_console()
    with (
        TiraStore(path, read_only=True) as store,
        # A file gets one look below the other: there is nothing to draw over.
        Live(console=console, auto_refresh=False) if console.is_terminal else nullcontext() as live,
        suppress(KeyboardInterrupt),
    ):
        for view in _views(store, interval, 1 if once else count, rows):
            if live is None:
                console.print(view, highlight=False)
            else:
                live.update(view, refresh=True)


def _views(store: TiraStore, interval: float, count: int | None, rows: int) -> Iterator[Any]:
    """Yield what there is to see, again and again."""
    before = _Look.at(store)
    for number in itertools.count(1):
        now = _Look.at(store)
        yield _view(store, before, now, rows)
        if number == count:
            return
        time.sleep(interval)
        before = now


@dataclass(frozen=True, slots=True)
class _Look:
    """Counts at one moment of this process's clock."""

    seconds: float
    records: int
    programs: int

    @classmethod
    def at(cls, store: TiraStore) -> _Look:
        return cls(time.monotonic(), store.count(), store.program_count())

    def rate_since(self, before: _Look) -> float:
        """Return new records a second."""
        seconds = self.seconds - before.seconds
        return (self.records - before.records) / seconds if seconds else 0.0


def _view(store: TiraStore, before: _Look, now: _Look, rows: int) -> Any:
    """Return everything that is shown at one moment."""
    from rich.console import Group  # noqa: PLC0415 -- help needs no tables

    state = (
        ("store", store.db_path),
        ("records", f"{now.records:,} of {now.programs:,} programs"),
        ("new", f"{now.rate_since(before):.1f} records/s"),
        *lock_rows(store.lock_info()),
    )
    claims = claim_rows(store)
    # An index finds these, however large the store is.
    hour_ago = dt.datetime.now(dt.UTC) - dt.timedelta(hours=1)
    recent = store.search(
        [("creation_date", ">=", hour_ago)],
        sort_by="creation_date",
        descending=True,
        limit=rows,
        columns=list(_RECENT),
    )
    return Group(
        pairs_table(state),
        _titled(f"{len(claims)} claims", CLAIM_COLUMNS, claims[:rows]),
        _titled("newest records of the last hour", _RECENT, list(recent)),
    )


def _titled(title: str, columns: Sequence[str], rows: Sequence[Mapping[str, object]]) -> Any:
    table = table_of(columns, rows)
    table.title, table.title_justify = title, "left"
    return table
