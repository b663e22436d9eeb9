"""What the bench asks of every store, and the key that all of them compute."""

from __future__ import annotations

import functools
import json
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, ClassVar, Self

from tirastore import make_key, make_program_hash

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path
    from types import TracebackType

    from benches.peers.rows import Row

__all__ = ["UNSYNCED_REMOVAL", "Peer", "decoded", "encoded", "key_of", "program_hash"]

#: SQLite's FULL does not sync the directory after a journal was removed from it.
UNSYNCED_REMOVAL = "yes, but the removal of its journal is not synced"

#: A source that was seen before is not hashed again: what is compared is stores.
program_hash = functools.lru_cache(maxsize=1024)(make_program_hash)


def key_of(source: str, schedule: str) -> str:
    """Return the key of a record, as TiraStore computes it."""
    return make_key(program_hash(source), schedule)


def encoded(is_legal: bool, times: list[float]) -> str:
    """Return a result as JSON."""
    result = {"is_legal": is_legal, "execution_times": times}
    return json.dumps(result, separators=(",", ":"))


def decoded(result: str | bytes | None) -> list[float] | None:
    """Return the execution times of a result, in milliseconds."""
    return None if result is None else json.loads(result)["execution_times"]


class Peer(ABC):
    """A store that is open in this process.

    Parameters
    ----------
    directory : Path
        The store's directory, which :meth:`create` has filled.
    patience : float
        Seconds to wait for a lock before the call ends in one of `timeouts`.
    """

    name: ClassVar[str]
    #: Distribution on PyPI, if it is not part of Python.
    package: ClassVar[str | None] = None
    #: What a record holds, for the table.
    holds: ClassVar[str] = "all columns"
    #: Is a record durable when ``record`` returns?
    durable: ClassVar[str] = "yes"
    #: May processes of several nodes use it?
    nodes: ClassVar[str]
    #: Errors that say that a lock was not to be had.
    timeouts: ClassVar[tuple[type[Exception], ...]] = (TimeoutError,)
    #: Which of several records under one key stays.
    keeps: ClassVar[str] = "first"
    #: Is it a yardstick of the single process only?
    alone: ClassVar[bool] = False

    def __init__(self, directory: Path, patience: float) -> None:
        self.directory = directory
        self.patience = patience

    @classmethod
    def create(cls, directory: Path, patience: float) -> None:
        """Make an empty store, so that workers do not race for its birth."""
        cls(directory, patience).close()

    @abstractmethod
    def record(
        self, name: str, source: str, schedule: str, is_legal: bool, times: list[float]
    ) -> bool:
        """Record a measurement, durably; tell whether it was written."""

    @abstractmethod
    def lookup(self, name: str, source: str, schedule: str) -> list[float] | None:
        """Return the execution times, in milliseconds, or ``None``."""

    @abstractmethod
    def record_batch(self, rows: Sequence[Row]) -> None:
        """Record many in one transaction, or whatever comes nearest."""

    @abstractmethod
    def close(self) -> None:
        """End the use of the store."""

    def is_timeout(self, error: Exception) -> bool:
        """Tell whether an error says that a lock was not to be had."""
        return isinstance(error, self.timeouts)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()
