"""Tables as text: CSV and TSV, the first line naming the columns."""

from __future__ import annotations

import csv
from functools import partial
from typing import TYPE_CHECKING

from tirastore.ingest.entry import Place, Problem
from tirastore.ingest.tables import Table

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import TextIO

    from tirastore.ingest.entry import Event
    from tirastore.ingest.sources import Sources

__all__ = ["read"]

#: Characters of a field: no source is as long, and a quote that is never closed ends there.
_LONGEST = 1 << 26


def read(file: TextIO, sources: Sources, delimiter: str) -> Iterator[Event]:
    """Read a table as text; a row may go over several lines."""
    # One for the process. Python's own default, 128 Ki, is less than the source of some programs.
    csv.field_size_limit(max(csv.field_size_limit(), _LONGEST))
    table = Table(sources, text=True)
    rows = csv.reader(file, delimiter=delimiter, strict=True)
    header: list[str] | None = None
    while True:
        line = rows.line_num + 1
        try:
            fields = next(rows)
        except StopIteration:
            return
        except csv.Error as error:
            yield Problem(Place(line), str(error))
            continue
        if not fields:
            continue
        if header is None:
            header = fields
        elif len(fields) != len(header):
            yield Problem(Place(line), f"expected {len(header)} fields, got {len(fields)}")
        else:
            row = dict(zip(header, fields, strict=True))
            yield from table.entry(row, partial(Place, line))
