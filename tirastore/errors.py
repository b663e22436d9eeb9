"""Exceptions and warnings of TiraStore.

Every exception is a :class:`TiraStoreError` and also the builtin that fits it, so that
``except TimeoutError`` and ``except TiraStoreError`` both work.

Examples
--------
>>> from tirastore import TiraStore, TiraStoreError
>>> try:
...     TiraStore("missing.db", read_only=True)
... except TiraStoreError as error:
...     print(type(error).__name__, isinstance(error, FileNotFoundError))
StoreNotFoundError True
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

__all__ = [
    "ClaimLostError",
    "CorruptRecordError",
    "CorruptRecordWarning",
    "CpuMismatchWarning",
    "DamagedCopyError",
    "DebugBuildWarning",
    "IngestError",
    "InvalidMeasurementError",
    "InvalidScheduleError",
    "LockError",
    "LockTimeoutError",
    "MeasurementFailed",
    "NotAStoreError",
    "StorageError",
    "StoreBusyError",
    "StoreClosedError",
    "StoreFileError",
    "StoreNotFoundError",
    "StoreWarning",
    "TiraStoreError",
    "UnknownProgramError",
    "WaitTimeoutError",
    "WriteNotAllowedError",
]


class TiraStoreError(Exception):
    """Base class of all exceptions of this package."""


class InvalidScheduleError(TiraStoreError, ValueError):
    """A schedule string that the grammar does not allow; the text says where and why."""


class InvalidMeasurementError(TiraStoreError, ValueError):
    """A measurement that cannot be true: missing, negative or non-finite execution times."""


class CorruptRecordError(TiraStoreError, ValueError):
    """A stored record that cannot be read, or is not what its key names; the text has its key."""


class DamagedCopyError(TiraStoreError, ValueError):
    """A backup that was to be verified is damaged and was not written; the text says how."""


class IngestError(TiraStoreError, ValueError):
    """A file of measurements that cannot be read, or holds what cannot be recorded.

    What stands before that place is in the store: mend the file and ingest it again, or pass
    ``on_error="skip"``.

    Attributes
    ----------
    path : Path
        The file.
    line : int
        Line, or row of a file that has no lines, from 1.
    column : int, str or None
        Character in the line, from 1, or the name of a column.
    """

    def __init__(
        self,
        message: str,
        path: Path | None = None,
        line: int = 0,
        column: int | str | None = None,
    ) -> None:
        super().__init__(message)
        self.path = path
        self.line = line
        self.column = column


class NotAStoreError(TiraStoreError, ValueError):
    """The file is no store, is half-made, or has an unknown schema; it was left untouched."""


class UnknownProgramError(TiraStoreError, ValueError):
    """A record that names a program which the store does not hold."""


class StoreClosedError(TiraStoreError, ValueError):
    """A call on a store after ``close()``."""


class WriteNotAllowedError(TiraStoreError, PermissionError):
    """The store may not be written: another CPU, ``read_only=True``, or missing permissions."""


class LockTimeoutError(TiraStoreError, TimeoutError):
    """Nobody let go of the lock within ``lock_timeout``; the text names the holder."""


class StoreBusyError(TiraStoreError, TimeoutError):
    """A reader that may not lock met writers for as long as ``lock_timeout``."""


class LockError(TiraStoreError, OSError):
    """The file system refused what the lock is made of; waiting would not help."""


class StoreFileError(TiraStoreError, OSError):
    """An operation on a file or directory failed."""


class StoreNotFoundError(TiraStoreError, FileNotFoundError):
    """There is no store at this path, and this call may not create one."""


class ClaimLostError(TiraStoreError, RuntimeError):
    """A claim that has ended, that another one has taken over, or that is another process's."""


class MeasurementFailed(TiraStoreError, RuntimeError):  # noqa: N818 -- another one's error
    """Whoever measured what this call waits for says why it failed, or is gone."""


class WaitTimeoutError(TiraStoreError, TimeoutError):
    """What this call waits for was not recorded in time; the text names who measures it."""


class StorageError(TiraStoreError):
    """SQLite reported an error."""


class CpuMismatchWarning(UserWarning):
    """The store belongs to another kind of node; writes are disabled."""


class StoreWarning(UserWarning):
    """Nothing failed, but the store's users should know; the text says what to do."""


class CorruptRecordWarning(UserWarning):
    """Damaged records were left out or exported as null."""


class DebugBuildWarning(UserWarning):
    """The extension module was built without optimisation; it is slow."""
