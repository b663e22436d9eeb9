"""What a store's calls cost so far, in this process."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from tirastore import _core

__all__ = ["CacheInfo", "Measured", "Metrics"]


class CacheInfo(NamedTuple):
    """The memory for records that were looked up.

    Attributes
    ----------
    hits, misses : int
        Records that lookups found in it, and that they did not.
    entries : int
        Records in it.
    current_bytes, max_bytes : int
        What it takes, about, and what it may take.

    Examples
    --------
    >>> CacheInfo(3, 1, 1, 700, 64_000_000).hits
    3
    """

    hits: int
    misses: int
    entries: int
    current_bytes: int
    max_bytes: int


@dataclass(frozen=True, slots=True)
class Metrics:
    """Counts since a store was opened in this process.

    Attributes
    ----------
    lock_acquisitions : int
        Turns at the store; reads without the lock need none.
    lock_wait_p50, lock_wait_p99, lock_wait_max : float
        Seconds waited for them: median, 99th percentile (each at most a fifth too long), longest.
    batches_combined : int
        Batches of other processes and threads that turns of this one committed.
    batches_posted : int
        Batches of this process that were left for whoever held the lock.
    batches_committed_by_others : int
        Batches of this process that another one, or another thread, committed.
    reads_accepted, reads_retried, reads_locked : int
        Reads without the lock, attempts that a writer spoilt, and reads that took the lock.
    cache_hits : int
        Records that were found in memory, see :class:`CacheInfo`.
    bytes_recorded : int
        Bytes of text of all rows that were to be recorded.

    Examples
    --------
    >>> store.metrics().reads_locked
    0
    """

    lock_acquisitions: int
    lock_wait_p50: float
    lock_wait_p99: float
    lock_wait_max: float
    batches_combined: int
    batches_posted: int
    batches_committed_by_others: int
    reads_accepted: int
    reads_retried: int
    reads_locked: int
    cache_hits: int
    bytes_recorded: int


class Measured:
    """The methods of :class:`~tirastore.TiraStore` that tell what its calls cost."""

    _core: _core.Store

    def metrics(self) -> Metrics:
        """Return what the calls of this process cost since the store was opened.

        Returns
        -------
        Metrics
            Counts of locks, waits (seconds), commits and reads.

        Examples
        --------
        >>> _ = store.record("mm", "void mm() {}", "", True, [1.5])
        >>> store.metrics().batches_posted
        0
        """
        return Metrics(**self._core.metrics())

    def cache_info(self) -> CacheInfo:
        """Return what is in the memory for records, and how often it helped.

        Returns
        -------
        CacheInfo
            Counts of records, and bytes.

        Examples
        --------
        >>> _ = store.record("mm", "void mm() {}", "", True, [1.5])
        >>> for _ in range(3):
        ...     _ = store.lookup("mm", "void mm() {}", "")
        >>> store.cache_info().hits
        2
        """
        return CacheInfo(*self._core.cache_info())
