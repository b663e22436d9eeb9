"""The workloads of many processes."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING

from benches.peers.outcome import figures
from benches.peers.rows import row
from benches.peers.workers import Task, run

if TYPE_CHECKING:
    from collections import Counter
    from pathlib import Path

    from benches.peers.adapters import Peer

__all__ = ["FULL", "QUICK", "Crowd", "crowds"]

CHUNK = 10_000


@dataclass(frozen=True)
class Crowd:
    """Many processes that record and look up: how many, and how much altogether."""

    title: str
    processes: int
    operations: int
    #: Part of the operations that are records.
    writes: float
    #: Rows that are in the store before the start.
    prepared: int
    contested: bool = False
    #: May repetitions go on with one store, which costs long to prepare?
    reuse: bool = False

    def tasks(self, seed: int, repetition: int, limit: float) -> list[Task]:
        """Return what each process does."""
        # A worker may take all operations, each of which may be a record.
        first = self.prepared + repetition * self.processes * self.operations
        return [
            Task(
                seed,
                worker,
                self.processes,
                self.operations,
                self.writes,
                range(self.prepared),
                first,
                self.contested,
                limit,
            )
            for worker in range(self.processes)
        ]

    def run(
        self,
        peer: type[Peer],
        place: Path,
        seed: int,
        repetition: int,
        limit: float,
        patience: float,
    ) -> tuple[dict[str, float], Counter[str]]:
        """Run once on a store of its own below `place`."""
        directory = place / peer.__name__
        if not directory.exists():
            directory.mkdir(parents=True)
            peer.create(directory, patience)
            with peer(directory, patience) as store:
                for first in range(0, self.prepared, CHUNK):
                    numbers = range(first, min(first + CHUNK, self.prepared))
                    store.record_batch([row(seed, number) for number in numbers])
        reports = run(peer, directory, patience, self.tasks(seed, repetition, limit))
        result = figures(peer, directory, patience, seed, reports)
        if not self.reuse:
            shutil.rmtree(directory)
        return result


def crowds(processes: int, operations: int, reads: int, rows: int) -> dict[str, Crowd]:
    """Return the workloads by name, in a size."""
    few = max(processes // 2, 2)
    return {
        "mixed": Crowd(
            f"{processes} processes, half record, half lookup", processes, operations, 0.5, 1000
        ),
        "contested": Crowd(
            f"{processes} processes, all recording the same keys",
            processes,
            operations,
            1.0,
            0,
            contested=True,
        ),
        "reads": Crowd(
            f"{few} processes, 95 % lookups, store of {rows:,} records",
            few,
            reads,
            0.05,
            rows,
            reuse=True,
        ),
    }


FULL = crowds(processes=64, operations=6400, reads=64_000, rows=100_000)
QUICK = crowds(processes=8, operations=160, reads=800, rows=1000)
