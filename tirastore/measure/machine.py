"""Sharing one machine between workers that prepare and workers that time."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from multiprocessing.context import BaseContext

__all__ = ["SharedMachine"]


class SharedMachine:
    """Lets several processes analyse and compile at a time, but only one run timed code.

    While one of them times, the others neither compile nor analyse: a busy neighbour would be
    measured with it. Whoever wants to time waits for the work under way, not for new work.

    Parameters
    ----------
    workers : int
        How many processes share the machine.
    context : BaseContext
        The multiprocessing context that starts them; hand the object over when they start.
    """

    def __init__(self, workers: int, context: BaseContext) -> None:
        self._workers = workers
        self._entrance = context.Lock()
        self._places = context.Semaphore(workers)

    @contextmanager
    def busy(self) -> Iterator[None]:
        """Use the processor, beside others that do."""
        with self._entrance:
            self._places.acquire()
        try:
            yield
        finally:
            self._places.release()

    @contextmanager
    def quiet(self) -> Iterator[None]:
        """Have the machine to oneself."""
        taken = 0
        with self._entrance:
            try:
                while taken < self._workers:
                    self._places.acquire()
                    taken += 1
                yield
            finally:
                for _ in range(taken):
                    self._places.release()
