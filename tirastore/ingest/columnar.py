"""Tables in columns: Parquet and Arrow files."""

from __future__ import annotations

import itertools
from functools import partial
from typing import TYPE_CHECKING, Any

from tirastore.extras import needed
from tirastore.ingest.entry import Place, Unreadable
from tirastore.ingest.tables import Table

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tirastore.ingest.entry import Event
    from tirastore.ingest.sources import Sources

__all__ = ["batches", "read"]

_ROWS = 1000


def read(path: Path, sources: Sources, kind: str) -> Iterator[Event]:
    """Read a Parquet or Arrow file, such as one of what ``store.search`` answers.

    Raises
    ------
    Unreadable
        The file is cut off or damaged.
    """
    arrow = needed("pyarrow", f"reading {kind}")
    table = Table(sources)
    rows = (row for batch in batches(path, kind) for row in batch.to_pylist())
    for number in itertools.count(1):
        place = partial(Place, number, unit="row")
        try:
            row = next(rows, None)
        except (arrow.ArrowException, OSError, ValueError) as error:
            if isinstance(error, OSError) and error.errno is not None:
                raise  # the file system's own
            raise Unreadable(place(), f"the file is cut off or damaged: {error}") from error
        if row is None:
            return
        yield from table.entry(row, place)


def batches(path: Path, kind: str) -> Iterator[Any]:
    """Read record batches of at most 1,000 rows; `kind` is ``"parquet"`` or ``"arrow"``."""
    needed("pyarrow", f"reading {kind}")
    if kind == "parquet":
        import pyarrow.parquet as pq  # noqa: PLC0415 -- an extra

        with pq.ParquetFile(path) as file:
            yield from file.iter_batches(_ROWS)
        return
    import pyarrow as pa  # noqa: PLC0415

    with pa.memory_map(str(path)) as mapped:
        is_file = mapped.read(6) == b"ARROW1"
        mapped.seek(0)
        if is_file:
            reader = pa.ipc.open_file(mapped)
            whole = (reader.get_batch(index) for index in range(reader.num_record_batches))
        else:
            whole = iter(pa.ipc.open_stream(mapped))
        for batch in whole:
            for start in range(0, batch.num_rows, _ROWS):
                yield batch.slice(start, _ROWS)
