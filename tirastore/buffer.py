"""A buffer in front of a store: records wait in memory and are written together."""

from __future__ import annotations

import _thread
import atexit
import os
import signal
import threading
import time
import weakref
from typing import TYPE_CHECKING, Any, Self

from tirastore import _core
from tirastore.records import LookupResult, choose_if_exists

if TYPE_CHECKING:
    import logging
    from types import FrameType, TracebackType

    from tirastore.records import ExecutionTimes, IfExists, Status
    from tirastore.store import TiraStore

__all__ = ["WriteBuffer"]


def _log() -> logging.Logger:
    import logging  # noqa: PLC0415 -- a tenth of what importing the package costs

    return logging.getLogger("tirastore")


_open: weakref.WeakSet[WriteBuffer] = weakref.WeakSet()
#: Buffers of a parent process: not even to be dropped here, where their threads are not.
_of_parents: list[_core.Buffer] = []


class WriteBuffer:
    """Records of one process that wait in memory and are written together.

    Made by :meth:`TiraStore.buffered() <tirastore.TiraStore.buffered>`, parameters as there, for
    workers whose measurements take milliseconds. What :meth:`record` took is *not* in the store
    before a flush: it is lost if the process is killed (``kill -9``, a node that fails) before.

    A flush happens

    - when :meth:`flush` is called, and at the end of the ``with`` block, also of one that raises;
    - when `max_records` wait, or 64 MiB of text: :meth:`record` then flushes itself;
    - in the background when the oldest record has waited for `max_seconds`;
    - when the interpreter exits. Workers of :mod:`multiprocessing` do not run what is to be done
      then: use a ``with`` block.

    On SIGTERM, which Slurm sends some seconds before it kills, there may be no time to wait for
    the lock: then what waits is handed over, see :meth:`post`. A store that is not sealed has no
    place for that: the process waits for the lock, and loses what waits if it is killed before.

    Notes
    -----
    Rows come into the store as if they were recorded one after the other: under one key the last
    with ``overwrite=True`` stays, without it the first. Their dates are those of the writing.

    An error of a flush is raised by whoever flushes; one in the background by the next
    :meth:`record` or :meth:`flush`. Nothing is dropped: what could not be written waits for the
    next flush, and comes in once.

    A buffer may be used from threads. In a forked child it is empty: what its parent recorded is
    its parent's to write.

    Examples
    --------
    >>> with store.buffered() as buffer:
    ...     for run in range(3):
    ...         buffer.record("mm", "void mm() {}", f"U(L0,{run + 2},comps=['c'])", True, [1.5])
    ...     buffer.pending, store.count()
    (3, 0)
    >>> store.count()
    3
    """

    def __init__(
        self,
        store: TiraStore,
        *,
        max_records: int = 32768,
        max_seconds: float = 5.0,
        background: bool = True,
        on_sigterm: bool = True,
    ) -> None:
        if max_records < 1:
            raise ValueError(f"max_records must be 1 or more, got {max_records}")
        self._store = store
        self._limits: dict[str, Any] = {
            "max_records": max_records,
            "max_seconds": float(max_seconds),
            "background": bool(background),
        }
        self._core_of_owner = _core.Buffer(store._core, **self._limits)  # noqa: SLF001
        self._handed_over_at_end = weakref.finalize(self, _hand_over_at_end, self._core_of_owner)
        self._handed_over_at_end.atexit = False  # close() is called then
        self._handler: _OnSigterm | None = None
        _open.add(self)
        if on_sigterm and threading.current_thread() is threading.main_thread():
            self._handler = _OnSigterm.install(self)

    @property
    def _core(self) -> _core.Buffer:
        if self._core_of_owner.owner != os.getpid():
            # Before anything that could raise: the parent's records must not be touched here.
            self._handed_over_at_end.detach()
            _of_parents.append(self._core_of_owner)
            self._core_of_owner = _core.Buffer(self._store._core, **self._limits)  # noqa: SLF001
            self._handed_over_at_end = weakref.finalize(
                self, _hand_over_at_end, self._core_of_owner
            )
            self._handed_over_at_end.atexit = False
        return self._core_of_owner

    def record(
        self,
        program_name: str,
        program_source_code: str,
        tiralib_schedule_string: str,
        is_legal: bool,
        execution_times: ExecutionTimes | None = None,
        overwrite: bool = False,
        *,
        status: Status | None = None,
        details: dict[str, Any] | None = None,
        if_exists: IfExists | None = None,
    ) -> None:
        """Take a measurement; parameters as :meth:`TiraStore.record`. It is written by a flush.

        Whether it will replace another record, or be there already, is not known before.

        Raises
        ------
        InvalidScheduleError, InvalidMeasurementError, TypeError
            Bad input.
        WriteNotAllowedError, StoreClosedError
            As :meth:`TiraStore.record`.
        TiraStoreError
            What a flush raises, where the buffer is full, or where the last flush in the background
            has failed. This measurement was not taken then; those before are still there.

        Examples
        --------
        >>> with store.buffered() as buffer:
        ...     buffer.record("mm", "void mm() {}", "", True, [1.5])
        >>> store.lookup("mm", "void mm() {}", "").execution_times
        [1.5]
        """
        # Again, where it goes on after close(): the end of the interpreter writes what waits.
        _open.add(self)
        self._core.record(
            program_name,
            program_source_code,
            tiralib_schedule_string,
            is_legal,
            execution_times,
            choose_if_exists(overwrite, if_exists),
            status,
            details,
        )

    def lookup(
        self, program_name: str, program_source_code: str, tiralib_schedule_string: str
    ) -> LookupResult | None:
        """Return what :meth:`TiraStore.lookup` returns after a flush; parameters as there.

        Dates of a record that waits are those of its recording.

        Examples
        --------
        >>> with store.buffered() as buffer:
        ...     buffer.record("mm", "void mm() {}", "", True, [1.5])
        ...     buffer.lookup("mm", "void mm() {}", "").execution_times
        [1.5]
        """
        del program_name
        found = self._core.lookup(program_source_code, tiralib_schedule_string)
        return None if found is None else LookupResult(*found)

    @property
    def pending(self) -> int:
        """How many records wait: neither written nor handed over."""
        return self._core.pending

    def flush(self) -> int:
        """Write all that waits, durably, in one tenure of the lock.

        What was handed over by :meth:`post` is written before.

        Returns
        -------
        int
            How many records were written: not those that were there and are not to be replaced.

        Raises
        ------
        LockTimeoutError, StorageError, StoreFileError, StoreClosedError
            Nothing was dropped: what could not be written waits.

        Examples
        --------
        >>> buffer = store.buffered()
        >>> buffer.record("mm", "void mm() {}", "", True, [1.5])
        >>> buffer.flush(), buffer.pending
        (1, 0)
        >>> buffer.close()
        """
        return self._core.flush()

    def post(self) -> int:
        """Hand all that waits over, durably, without waiting for the lock.

        It is written to files beside the lock of a sealed store, and synced. Whoever writes to
        the store next, or opens it for writing, puts it into the store, once; until then others do
        not see it. It may be called while another thread flushes, and by a signal handler that
        interrupts a flush. It works after the store was closed, too.

        A store that is not sealed is flushed instead, and so is one that is being unsealed.

        Returns
        -------
        int
            How many records were handed over or written. 0 also where the store would have to be
            flushed, but a signal handler calls within a call that has the lock or waits for it:
            they wait until that is over.

        Raises
        ------
        StoreFileError
            The file could not be written. What was not handed over waits.
        TiraStoreError
            What :meth:`flush` raises, where it flushes.

        Examples
        --------
        >>> buffer = store.buffered()
        >>> buffer.record("mm", "void mm() {}", "", True, [1.5])
        >>> buffer.post(), buffer.pending
        (1, 0)
        >>> buffer.close()
        >>> store.record("mm", "void mm() {}", "", True, [0.1])  # by whoever writes next
        False
        """
        return self._core.post() or 0

    def close(self) -> None:
        """Write what waits, and let go of SIGTERM. May be repeated.

        Raises
        ------
        TiraStoreError
            What :meth:`flush` raises. The buffer is as before then, and tries again when the
            interpreter exits.

        Examples
        --------
        >>> buffer = store.buffered()
        >>> buffer.record("mm", "void mm() {}", "", True, [1.5])
        >>> buffer.close()
        >>> store.count()
        1
        """
        if self.pending:
            self.flush()
        if self._handler is not None:
            self._handler.uninstall()
            self._handler = None
        _open.discard(self)

    def __enter__(self) -> Self:
        """Return the buffer."""
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Write what waits."""
        self.close()

    def __repr__(self) -> str:
        """Return the store's path and how many records wait."""
        return f"WriteBuffer(db_path={str(self._store.db_path)!r}, pending={self.pending})"

    def _save(self) -> bool:
        """Save what waits from a signal that ends the process; tell whether that is over."""
        core = self._core_of_owner
        if core.owner != os.getpid():
            return True
        try:
            return core.post() is not None
        except Exception:  # noqa: BLE001 -- the process ends, whatever it is
            _log().exception("%r could not hand over its records at SIGTERM", self)
        return True


class _OnSigterm:
    """A handler of SIGTERM that saves the records of one buffer, then does what was done before."""

    def __init__(self, buffer: WriteBuffer, previous: Any) -> None:
        self._buffer: weakref.ref[WriteBuffer] | None = weakref.ref(buffer, self._on_end)
        self._previous = previous

    @classmethod
    def install(cls, buffer: WriteBuffer) -> Self | None:
        previous = signal.getsignal(signal.SIGTERM)
        if previous is None:
            # Another library's, in C: it could not be called from here.
            return None
        handler = cls(buffer, previous)
        signal.signal(signal.SIGTERM, handler)
        return handler

    def uninstall(self) -> None:
        self._buffer = None
        in_main_thread = threading.current_thread() is threading.main_thread()
        # One that was installed later calls this one, which does nothing of its own any more.
        current: object = signal.getsignal(signal.SIGTERM)
        if in_main_thread and current is self:
            signal.signal(signal.SIGTERM, self._previous)

    def _on_end(self, _: object) -> None:
        self.uninstall()

    def __call__(self, number: int, frame: FrameType | None) -> None:
        buffer = None if self._buffer is None else self._buffer()
        if buffer is not None and not buffer._save():  # noqa: SLF001
            # The interrupted call has the lock, or is to get it: it goes on, and then this does.
            _thread.start_new_thread(_terminate_again, ())
            return
        if callable(self._previous):
            self._previous(number, frame)
        elif self._previous == signal.SIG_DFL:
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)


def _terminate_again() -> None:
    """Send the main thread SIGTERM once more, in a moment."""
    time.sleep(0.05)
    signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGTERM)


def _hand_over_at_end(core: _core.Buffer) -> None:
    """Save what a buffer held that nobody has closed, without waiting."""
    if core.owner == os.getpid():
        try:
            core.post()
        except Exception:  # noqa: BLE001 -- nobody could catch it
            _log().exception("a buffer that was forgotten could not hand over its records")


@atexit.register
def _close_all() -> None:
    """Write what waits when the interpreter exits."""
    for buffer in list(_open):
        core = buffer._core_of_owner  # noqa: SLF001
        if core.owner == os.getpid():
            try:
                buffer.close()
            except Exception:  # noqa: BLE001 -- the next buffer is to be closed, too
                _log().exception("%r could not be flushed at exit; its records are posted", buffer)
                _hand_over_at_end(core)
