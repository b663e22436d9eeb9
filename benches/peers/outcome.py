"""Figures of a run of many processes, and what the store holds afterwards."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from benches.peers.rows import row

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from benches.peers.adapters import Peer
    from benches.peers.rows import Row
    from benches.peers.workers import Report

__all__ = ["FAILURES", "figures", "percentile"]

#: Figures that have to be zero in every run.
FAILURES = ("lost", "wrong", "broken keys", "timeouts", "errors")


def percentile(samples: Sequence[float], part: float) -> float:
    """Return the sample that `part` of all do not exceed; NaN without samples."""
    ordered = sorted(samples)
    return ordered[min(int(part * len(ordered)), len(ordered) - 1)] if ordered else float("nan")


def figures(
    peer: type[Peer], directory: Path, patience: float, seed: int, reports: Sequence[Report]
) -> tuple[dict[str, float], Counter[str]]:
    """Return the figures of one run, latencies in ms, and its errors."""
    began = min((report.began for report in reports if report.began), default=0.0)
    wall = max(report.ended for report in reports) - began
    records = [1e3 * seconds for report in reports for seconds in report.records]
    lookups = [1e3 * seconds for report in reports for seconds in report.lookups]
    shares = [report.done for report in reports]
    errors = sum((report.errors for report in reports), Counter[str]())
    contested = any(report.second_look for report in reports)
    with peer(directory, patience) as store:
        lost = 0 if contested else count_lost(store, seed, reports)
        broken = count_broken(store, seed, reports) if contested else 0
    numbers = {
        "operations": float(sum(shares)),
        "ops/s": sum(shares) / wall if wall > 0 else 0.0,
        "record p50": percentile(records, 0.5),
        "record p99": percentile(records, 0.99),
        "record max": max(records, default=float("nan")),
        "lookup p50": percentile(lookups, 0.5),
        "lookup p99": percentile(lookups, 0.99),
        "fewest": float(min(shares)),
        "most": float(max(shares)),
        "most/fewest": max(shares) / min(shares) if min(shares) else float("inf"),
        "lost": lost,
        "wrong": sum(report.wrong for report in reports),
        "broken keys": broken,
        "timeouts": sum(report.timeouts for report in reports),
        "errors": errors.total(),
    }
    return numbers, errors


def count_lost(store: Peer, seed: int, reports: Iterable[Report]) -> int:
    """Count records that were acknowledged and cannot be read back as they were recorded."""
    lost = 0
    for report in reports:
        for number in report.acknowledged:
            expected = row(seed, number)
            lost += _read_back(store, expected) != expected.times
    return lost


def count_broken(store: Peer, seed: int, reports: Sequence[Report]) -> int:
    """Count contested keys without one winner whose value everybody reads.

    Where the first record stays, one worker has to be told that it was the first, and its value
    has to be there. Where the last one stays, it has to be anybody's value.
    """
    broken = 0
    for number in set().union(*(report.acknowledged for report in reports)):
        winners = [report.worker for report in reports if report.acknowledged.get(number)]
        stored = _read_back(store, row(seed, number))
        theirs = [row(seed, number, winner + 1).times for winner in winners]
        looks = [report.second_look[number] for report in reports if number in report.second_look]
        one_winner = len(winners) == 1 or store.keeps == "last"
        broken += not (one_winner and stored in theirs and all(look == stored for look in looks))
    return broken


def _read_back(store: Peer, expected: Row) -> list[float] | None:
    """Return what a store has; what it cannot read it has not."""
    try:
        return store.lookup(*expected[:3])
    except Exception:  # noqa: BLE001 -- every peer has its own
        return None
