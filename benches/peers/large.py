"""What becomes slower in a large store, and how large its file is."""

from __future__ import annotations

import contextlib
import functools
import os
import shutil
import sqlite3
import subprocess
import sys
import time
from statistics import median
from typing import TYPE_CHECKING

from benches.peers.adapters import Ours, OursWithoutHitCache
from benches.peers.rows import PROGRAMS, Row, programs, row

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from benches.peers.adapters import Peer
    from tirastore import TiraStore

__all__ = ["SMALL", "bytes_a_record", "imports", "sizes"]

#: Records of the store beside which a large one is held.
SMALL = 10_000
#: Schedules of a program in the largest public data set of the field.
SCHEDULES = 127
CHUNK = 10_000
PAGE = 1000
CALLS = 200


def sizes(place: Path, seed: int, counts: tuple[int, ...]) -> dict[int, dict[str, float]]:
    """Return medians in ms of what TiraStore does in stores of `counts` records."""
    found = {}
    for count in counts:
        directory = place / f"{count}"
        filled(OursWithoutHitCache, directory, seed, count)
        started = time.perf_counter()
        with OursWithoutHitCache(directory, 60.0) as peer:
            opened = 1e3 * (time.perf_counter() - started)
            found[count] = {"opening": opened, **calls(peer.store, seed, count)}
        shutil.rmtree(directory)
    return found


def calls(store: TiraStore, seed: int, count: int) -> dict[str, float]:
    """Return medians in ms of single calls."""
    step = max(count // CALLS, 1)
    known = [large_row(seed, number)[:3] for number in range(0, count, step)]
    unknown = [large_row(seed, count + number)[:3] for number in range(CALLS)]
    after = store.keys(limit=1, offset=count // 2)[0]
    return {
        "lookup hit": median(timed(store.lookup, *item) for item in known),
        "lookup miss": median(timed(store.lookup, *item) for item in unknown),
        "count": several(store.count),
        "stats": several(store.stats),
        f"keys(limit={PAGE}, after=...)": several(lambda: store.keys(limit=PAGE, after=after)),
        f"get_program_records, {SCHEDULES} of them": median(
            timed(store.get_program_records, *item[:2]) for item in known[:20]
        ),
    }


def bytes_a_record(place: Path, seed: int) -> dict[str, float]:
    """Return bytes of the file for a record, sources left out: ours, the original's tables."""
    directory = place / "weighed"
    filled(Ours, directory, seed, SMALL)
    ours, theirs = directory / "store.db", directory / "original.db"
    with contextlib.closing(sqlite3.connect(theirs)) as copy:
        copy.execute("ATTACH ? AS ours", (str(ours),))
        of_original = "name IN ('db_meta', 'programs', 'records') AND type = 'table'"
        tables = f"SELECT name, sql FROM ours.sqlite_schema WHERE {of_original}"
        for name, sql in copy.execute(tables).fetchall():
            copy.execute(sql)
            copy.execute(f"INSERT INTO main.{name} SELECT * FROM ours.{name} ORDER BY rowid")
        copy.commit()
        (sources,) = copy.execute("SELECT sum(length(source_code)) FROM main.programs").fetchone()
    sizes = {"TiraStore": ours.stat().st_size, "the original's tables": theirs.stat().st_size}
    shutil.rmtree(directory)
    return {name: (size - sources) / SMALL for name, size in sizes.items()}


def imports() -> float:
    """Return ms that ``import tirastore`` takes, beyond starting Python; compiled, as pip does."""
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}

    def process(code: str) -> float:
        run = functools.partial(
            subprocess.run, [sys.executable, "-c", code], env=environment, check=True
        )
        run()
        return median(timed(run) for _ in range(20))

    return process("import tirastore") - process("pass")


def filled(peer: type[Peer], directory: Path, seed: int, count: int) -> None:
    """Make a store of `count` records."""
    directory.mkdir(parents=True)
    peer.create(directory, 60.0)
    with peer(directory, 60.0) as store:
        for first in range(0, count, CHUNK):
            store.record_batch(list(large_rows(seed, first, min(first + CHUNK, count))))


def large_rows(seed: int, first: int, end: int) -> Iterator[Row]:
    """Yield the rows from `first` up to `end`."""
    return (large_row(seed, number) for number in range(first, end))


def large_row(seed: int, number: int) -> Row:
    """Return a row; so many as a program has schedules are of one program."""
    name, source = program(seed, number // SCHEDULES)
    _, _, schedule, is_legal, times = row(seed, number)
    return Row(name, source, schedule, is_legal, times)


@functools.lru_cache(maxsize=100)
def program(seed: int, number: int) -> tuple[str, str]:
    """Return name and source of a program."""
    like, source = programs(seed)[number % PROGRAMS]
    name = f"{like}_{number}"
    return name, source.replace(like, name)


def several(call: Callable[[], object]) -> float:
    """Return the median of several calls, in ms."""
    return median(timed(call) for _ in range(5))


def timed(call: Callable[..., object], *arguments: object, **options: object) -> float:
    """Return how long a call takes, in ms."""
    started = time.perf_counter()
    call(*arguments, **options)
    return 1e3 * (time.perf_counter() - started)
