"""One process: each call alone, the peers in turns; and what only TiraStore has."""

from __future__ import annotations

import contextlib
import shutil
import time
from dataclasses import dataclass
from itertools import count, starmap
from statistics import median
from typing import TYPE_CHECKING

from benches.peers.adapters import Ours
from benches.peers.adapters.base import key_of
from benches.peers.rows import row

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from benches.peers.adapters import Peer

__all__ = ["FULL", "QUICK", "Size", "calls", "extras"]

PREPARED = 1000
TURN = 20
MANY = 100


@dataclass(frozen=True)
class Size:
    """How much is timed."""

    turns: int
    records_a_turn: int
    batches: int
    batch: int
    buffered: int


FULL = Size(turns=20, records_a_turn=20, batches=5, batch=1000, buffered=20_000)
QUICK = Size(turns=4, records_a_turn=5, batches=1, batch=1000, buffered=2000)


@contextlib.contextmanager
def opened(peers: Sequence[type[Peer]], place: Path, seed: int) -> Iterator[dict[str, Peer]]:
    """Open a store of each peer, with some records in it."""
    with contextlib.ExitStack() as stack:
        stores = {}
        for peer in peers:
            directory = place / peer.__name__
            directory.mkdir(parents=True)
            peer.create(directory, 60.0)
            stores[peer.name] = stack.enter_context(peer(directory, 60.0))
            stores[peer.name].record_batch([row(seed, number) for number in range(PREPARED)])
        yield stores
    shutil.rmtree(place)


def timed(call: Callable[..., object], *arguments: object) -> float:
    """Return how long a call takes, in ms."""
    started = time.perf_counter()
    call(*arguments)
    return 1e3 * (time.perf_counter() - started)


def calls(
    peers: Sequence[type[Peer]], place: Path, seed: int, size: Size
) -> dict[str, dict[str, float]]:
    """Return medians of single calls in ms, by peer: all peers in turns."""
    samples: dict[str, dict[str, list[float]]] = {peer.name: {} for peer in peers}
    fresh = count(PREPARED)
    with opened(peers, place, seed) as stores:
        for turn in range(size.turns):
            known = [row(seed, (turn * TURN + number) % PREPARED) for number in range(TURN)]
            unknown = [row(seed, 10**8 + number) for number in range(TURN)]
            new = [row(seed, next(fresh)) for _ in range(size.records_a_turn)]
            for name, store in stores.items():
                notes = samples[name]
                for values in new:
                    took = timed(store.record, *values)
                    notes.setdefault("durable record", []).append(took)
                for values in known:
                    took = timed(store.lookup, *values[:3])
                    notes.setdefault("lookup hit", []).append(took)
                    took = timed(store.lookup, *values[:3])
                    notes.setdefault("lookup hit again", []).append(took)
                for values in unknown:
                    took = timed(store.lookup, *values[:3])
                    notes.setdefault("lookup miss", []).append(took)
        for _ in range(size.batches):
            batch = [row(seed, next(fresh)) for _ in range(size.batch)]
            for name, store in stores.items():
                took = timed(store.record_batch, batch)
                samples[name].setdefault(f"batch of {size.batch:,}", []).append(took)
    return {
        name: {figure: median(values) for figure, values in notes.items()}
        for name, notes in samples.items()
    }


def extras(place: Path, seed: int, size: Size) -> dict[str, float | None]:
    """Return figures in us of what only TiraStore has; ``None``: this build does not have it."""
    known = [row(seed, number) for number in range(PREPARED)]
    fresh = [row(seed, PREPARED + number) for number in range(size.buffered)]
    with opened([Ours], place, seed) as stores:
        ours = stores[Ours.name]
        assert isinstance(ours, Ours)
        store = ours.store
        keys, first, again = [], [], []
        for begin in range(0, PREPARED, MANY):
            items = [values[:3] for values in known[begin : begin + MANY]]
            keys.append(timed(list, starmap(key_of, [item[1:] for item in items])))
            first.append(timed(store.lookup_many, items))
            again.append(timed(store.lookup_many, items))
        many = f"lookup within lookup_many of {MANY}"
        figures: dict[str, float | None] = {
            "key computation, source seen before": 1e3 * median(keys) / MANY,
            f"{many}, key included": 1e3 * median(first) / MANY,
            f"{many}, again, key included": 1e3 * median(again) / MANY,
            "buffered record, flush included": None,
        }
        if hasattr(store, "buffered"):

            def record_all() -> None:
                with store.buffered() as buffer:
                    for values in fresh:
                        buffer.record(*values)

            figures["buffered record, flush included"] = 1e3 * timed(record_all) / len(fresh)
            lost = sum(found is None for found in store.lookup_many([r[:3] for r in fresh]))
            if lost:
                raise RuntimeError(f"the buffer lost {lost} of {len(fresh)} records")
    return figures
