"""What :meth:`tirastore.TiraStore.verify` finds."""

from __future__ import annotations

from dataclasses import dataclass

from tirastore._html import table

__all__ = ["Finding", "VerifyReport"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong in a store.

    Attributes
    ----------
    kind : {"record", "run", "program", "further name", "store", "database"}
        What it is about: a row, what ``db_meta`` says of the store, or the file's pages.
    key : str or None
        Key of the record, hash of the program, or the name; ``None`` where it cannot be told.
    cause : str
        What is wrong.

    Examples
    --------
    >>> str(Finding("record", "4f0c", "its program is not in the store"))
    'record 4f0c: its program is not in the store'
    """

    kind: str
    key: str | None
    cause: str

    def __str__(self) -> str:
        """Return it as one line."""
        return ": ".join([" ".join(filter(None, [self.kind, self.key])), self.cause])


@dataclass(frozen=True, slots=True)
class VerifyReport:
    """What a verification looked at, and what is wrong. True where nothing is.

    Attributes
    ----------
    programs : int
        Programs whose source was compared with their hash.
    records : int
        Records that were compared with their key.
    findings : tuple of Finding
        Everything that is wrong.

    Examples
    --------
    >>> report = VerifyReport(programs=1, records=2, findings=())
    >>> print(report)
    2 records and 1 programs verified: nothing is wrong
    >>> bool(report)
    True
    """

    programs: int
    records: int
    findings: tuple[Finding, ...]

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not self.findings

    def __bool__(self) -> bool:
        """Return whether nothing is wrong."""
        return self.ok

    def __str__(self) -> str:
        """Return a line of counts, and one for each finding."""
        return "\n".join([self._counts(), *map(str, self.findings)])

    def _repr_html_(self) -> str:
        """Return a table for notebooks."""
        rows = [(finding.kind, finding.key or "", finding.cause) for finding in self.findings]
        return table(self._counts(), rows)

    def _counts(self) -> str:
        found = f"{len(self.findings):,} findings" if self.findings else "nothing is wrong"
        return f"{self.records:,} records and {self.programs:,} programs verified: {found}"
