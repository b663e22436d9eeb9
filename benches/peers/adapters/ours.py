"""TiraStore on a sealed store, which new ones are."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, ClassVar

from benches.peers.adapters.base import Peer
from tirastore import Measurement, TiraStore

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from benches.peers.rows import Row

__all__ = ["HAS_HIT_CACHE", "MACHINE", "Ours", "OursWithoutHitCache"]

#: Every store of the bench is made for the same kind of node.
MACHINE: dict[str, Any] = {"cpu_model": "bench", "slurm_cpus": "1"}
HAS_HIT_CACHE = "memory_cache_mb" in inspect.signature(TiraStore).parameters


class Ours(Peer):
    """TiraStore with its defaults."""

    name = "TiraStore"
    nodes = "yes"
    options: ClassVar[dict[str, Any]] = {}

    def __init__(self, directory: Path, patience: float) -> None:
        super().__init__(directory, patience)
        path = directory / "store.db"
        self.store = TiraStore(path, lock_timeout=patience, **MACHINE, **self.options)

    def record(
        self, name: str, source: str, schedule: str, is_legal: bool, times: list[float]
    ) -> bool:
        return self.store.record(name, source, schedule, is_legal, times)

    def lookup(self, name: str, source: str, schedule: str) -> list[float] | None:
        found = self.store.lookup(name, source, schedule)
        return None if found is None else found.execution_times

    def record_batch(self, rows: Sequence[Row]) -> None:
        self.store.record_batch([Measurement(*row) for row in rows])

    def close(self) -> None:
        self.store.close()


class OursWithoutHitCache(Ours):
    """TiraStore, every lookup through SQLite."""

    name = "TiraStore, no hit cache"
    alone = True
    options: ClassVar[dict[str, Any]] = {"memory_cache_mb": 0}
