"""What became of measurements that were brought into a store, or taken out of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["DatasetReport", "ImportReport"]


@dataclass(frozen=True, slots=True)
class ImportReport:
    """What :meth:`TiraStore.ingest` and :meth:`TiraStore.merge` did.

    Attributes
    ----------
    read : int
        Measurements that were found.
    written : int
        How many of them are new in the store.
    already_there : int
        Those that were recorded before, or twice in the file. What is recorded stays.
    skipped : int
        Those that cannot be recorded, with ``on_error="skip"``, and damaged records.
    errors : tuple of str
        What is wrong with the first 100 of those, each with file, line and column, or key.

    Examples
    --------
    >>> print(ImportReport(3, 2, 1))
    3 measurements read: 2 written, 1 already there
    """

    read: int
    written: int
    already_there: int
    skipped: int = 0
    errors: tuple[str, ...] = ()

    def __str__(self) -> str:
        """Return the numbers in one line."""
        parts = [f"{self.written:,} written", f"{self.already_there:,} already there"]
        if self.skipped:
            parts.append(f"{self.skipped:,} skipped")
        return f"{self.read:,} measurements read: {', '.join(parts)}"


@dataclass(frozen=True, slots=True)
class DatasetReport:
    """What :meth:`TiraStore.export_dataset` wrote.

    Attributes
    ----------
    path : Path
        The directory.
    rows, programs : dict of str to int
        Numbers of rows and of programs in each part of the split.
    dropped : dict of str to int
        Records that were left out, by the reason.
    content_hash : str
        SHA-256 of the content, 64 hexadecimal digits: equal for equal data sets.

    Examples
    --------
    >>> report = DatasetReport("d", {"train": 8, "test": 2}, {"train": 4, "test": 1}, {}, "0")
    >>> print(report)
    10 rows of 5 programs: train 8, test 2
    """

    path: Path
    rows: dict[str, int]
    programs: dict[str, int]
    dropped: dict[str, int]
    content_hash: str

    def __str__(self) -> str:
        """Return the numbers in one line."""
        parts = ", ".join(f"{name} {rows:,}" for name, rows in self.rows.items())
        rows, programs = sum(self.rows.values()), sum(self.programs.values())
        return f"{rows:,} rows of {programs:,} programs: {parts}"
