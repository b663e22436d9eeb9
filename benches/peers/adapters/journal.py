"""Optuna's journal: a log of JSON lines that every process reads into memory."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from benches.peers.adapters.base import Peer, decoded, encoded, key_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from benches.peers.rows import Row

__all__ = ["OptunaJournal"]


class OptunaJournal(Peer):
    """The first line of a key counts; each call reads the lines that are new, as Optuna does."""

    name = "Optuna's journal"
    package = "optuna"
    holds = "result only"
    nodes = "yes; the log is read whole at opening"

    def __init__(self, directory: Path, patience: float) -> None:
        import optuna  # noqa: PLC0415 -- an optional package
        from optuna.storages.journal import JournalFileBackend  # noqa: PLC0415 -- likewise

        optuna.logging.set_verbosity(optuna.logging.ERROR)  # waiting for its lock is no news

        super().__init__(directory, patience)
        self.backend = JournalFileBackend(str(directory / "store.log"))
        self.results: dict[str, tuple[str, str]] = {}
        self.read = 0
        self.own = os.urandom(8).hex()
        self.refresh()

    def refresh(self) -> None:
        """Read what others have appended."""
        for line in self.backend.read_logs(self.read):
            self.results.setdefault(line["key"], (line["result"], line["writer"]))
            self.read += 1

    def line(
        self, source: str, schedule: str, is_legal: bool, times: list[float]
    ) -> dict[str, str]:
        """Return a line of the log."""
        result = encoded(is_legal, times)
        return {"key": key_of(source, schedule), "result": result, "writer": self.own}

    def record(
        self, name: str, source: str, schedule: str, is_legal: bool, times: list[float]
    ) -> bool:
        del name
        line = self.line(source, schedule, is_legal, times)
        self.refresh()
        if line["key"] in self.results:
            return False
        self.backend.append_logs([line])
        self.refresh()
        return self.results[line["key"]][1] == self.own

    def lookup(self, name: str, source: str, schedule: str) -> list[float] | None:
        del name
        key = key_of(source, schedule)
        self.refresh()
        found = self.results.get(key)
        return decoded(found[0] if found else None)

    def record_batch(self, rows: Sequence[Row]) -> None:
        self.backend.append_logs([self.line(*row[1:]) for row in rows])

    def close(self) -> None:
        """Nothing is kept open."""
