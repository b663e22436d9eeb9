"""The hard-link lock on its own, for scripts written against the original's internals."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Self

from tirastore import _core

if TYPE_CHECKING:
    from types import TracebackType

__all__ = ["HardLinkLock"]


class HardLinkLock:
    """A lock between processes and nodes, made of one hard link.

    It excludes the original's ``HardLinkLock``, and the tenures of any store at that path: a
    :class:`~tirastore.TiraStore` used inside would wait for it in vain.

    Parameters
    ----------
    lock_path : str or Path
        The lock file.
    stale_timeout : float
        Seconds: a lock that was watched unchanged for this long is broken.
    retry_limit, base_delay, max_delay : int, float, float
        The original's back-off. Only its sum is used, as the time to wait: polls are every 2 to
        100 ms. A lock that claims to be older than `stale_timeout` is waited out in any case.
    """

    def __init__(
        self,
        lock_path: str | Path,
        stale_timeout: float = 600.0,
        retry_limit: int = 120,
        base_delay: float = 0.05,
        max_delay: float = 5.0,
    ) -> None:
        self.lock_path = Path(lock_path)
        self.stale_timeout = stale_timeout
        self.retry_limit = retry_limit
        self.base_delay = base_delay
        self.max_delay = max_delay
        # Each of the original's delays is 25 % longer on average than its base: its jitter.
        delays = (min(base_delay * 2.0**i, max_delay) for i in range(min(retry_limit, 1000)))
        timeout = max(1.25 * sum(delays), 1e-3)
        self._core = _core.HardLinkLock(self.lock_path, stale_timeout, timeout)

    @property
    def _held(self) -> bool:
        return self._core.held

    def acquire(self) -> None:
        """Take the lock; raises :class:`TimeoutError` if nobody lets go of it in time."""
        self._core.acquire()

    def release(self) -> None:
        """Give the lock back; does nothing if it is not held."""
        self._core.release()

    def __enter__(self) -> Self:
        """Take the lock."""
        self.acquire()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Give the lock back."""
        self.release()
