"""The part of the store for those who analyse what is in it."""

from __future__ import annotations

import operator
import warnings
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from tirastore.columns import Records
from tirastore.errors import CorruptRecordWarning
from tirastore.extras import needed

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import pyarrow as pa

    from tirastore import _core

    _Test: TypeAlias = tuple[str, str, Any] | tuple[str, str]
    #: Tests that all have to hold, or lists of tests of which one has to hold.
    Filters: TypeAlias = Sequence[_Test] | Sequence[Sequence[_Test]]

__all__ = ["Searched"]

#: Damaged records that a warning names.
_NAMED = 20


class Searched:
    """The part of :class:`~tirastore.TiraStore` that answers with records as columns."""

    _core: _core.Store

    def search(
        self,
        filters: Filters | None = None,
        sort_by: str | Sequence[str] | None = None,
        descending: bool = False,
        limit: int | None = None,
        offset: int = 0,
        columns: Sequence[str] | None = None,
    ) -> Records:
        """Find records: all of one state of the store.

        Parameters
        ----------
        filters : list of (field, operator, value), or list of such lists, optional
            A list of tests lets pass what passes all of them; a list of lists what passes all of
            one list. Operators are ``==`` (or ``=``), ``!=``, ``<``, ``<=``, ``>``, ``>=``, ``in``,
            ``not in``, ``match`` (a shell pattern), ``is null`` and ``not null``. A record without
            a value passes ``is null`` alone. Fields are all columns; see the notes.
        sort_by : str or list of str, optional
            Fields to sort by; those without a value come last. Default: as they were recorded.
        descending : bool
            The largest first.
        limit : int, optional
            At most so many records.
        offset : int
            Leave so many out first.
        columns : list of str, optional
            Which columns to answer, in this order. Default: all but ``features`` and
            ``source_code``.

        Returns
        -------
        Records
            The records as columns.

        Raises
        ------
        ValueError
            An unknown field or operator, or a value of another type than the field's; the text
            lists what exists.

        Warns
        -----
        CorruptRecordWarning
            Damaged records, and such with times that are NaN or infinite, were left out; the text
            has their keys.

        Notes
        -----
        ``key``, ``program_name`` (the first under which it was recorded), ``program_hash``,
        ``schedule``, ``is_legal``, ``status`` (``measured``, ``illegal``, ``unmeasured``,
        ``timeout``, ``failed``), ``details`` (JSON), ``execution_times`` (milliseconds),
        ``n_runs``, ``min_time``, ``median_time``, ``mean_time``, ``std_time`` (of a sample: none of
        fewer than two runs),
        ``speedup`` (the best time of the unscheduled program over ``min_time``),
        ``transformations`` (names in order, such as ``["I", "T2"]``; ``in`` asks whether one of
        them is among the values, ``==`` for the whole list), ``n_transformations``, ``features``,
        ``environment`` (JSON), ``hostname``, ``username``, ``creation_date``, ``update_date``
        (``datetime``, or text of ISO 8601), ``source_project``, ``source_code``. Schedules of
        other dialects than TiraLib's have no transformations.

        Examples
        --------
        >>> _ = store.record("mm", "void mm() {}", "", True, [1.5, 1.4])
        >>> _ = store.record("mm", "void mm() {}", "P(L0,comps=['c'])", True, [0.7])
        >>> found = store.search([("program_name", "in", ["mm", "mv"]), ("min_time", "<", 1.0)])
        >>> [record["transformations"] for record in found]
        [['P']]
        >>> len(store.search([[("schedule", "==", "")], [("is_legal", "==", False)]]))
        1
        >>> store.search(sort_by="min_time", limit=1, columns=["min_time", "speedup"])[0]
        {'min_time': 0.7, 'speedup': 2.0}
        """
        by = [] if sort_by is None else [sort_by] if isinstance(sort_by, str) else list(sort_by)
        found = self._core.search(
            filters,
            by,
            bool(descending),
            None if limit is None else _count("limit", limit),
            _count("offset", offset),
            _names(columns),
        )
        return _records(found, stacklevel=3)

    def scan(
        self,
        batch_size: int = 65536,
        filters: Filters | None = None,
        columns: Sequence[str] | None = None,
    ) -> pa.RecordBatchReader:
        """Read all records in parts, for stores larger than memory.

        Each part is of one state of the store; between the parts nobody waits for the reader. What
        is recorded meanwhile comes last.

        Parameters
        ----------
        batch_size : int
            Records that are read at a time; with `filters`, batches have fewer.
        filters, columns
            As :meth:`search`.

        Returns
        -------
        pyarrow.RecordBatchReader
            The batches, in the order in which records were recorded. To be read once.

        Raises
        ------
        ImportError
            pyarrow is not installed.
        ValueError
            As :meth:`search`.

        Warns
        -----
        CorruptRecordWarning
            As :meth:`search`, while it is read.

        Examples
        --------
        >>> _ = store.record("mm", "void mm() {}", "", True, [1.5, 1.4])
        >>> sum(batch.num_rows for batch in store.scan())
        1
        """
        pyarrow = needed("pyarrow", "scan()")
        rows, names = _count("batch_size", batch_size), _names(columns)
        if rows == 0:
            raise ValueError("batch_size must be 1 or more, got 0")
        # Of no row at all: bad arguments are refused here, not where the reader is used.
        schema = pyarrow.schema(self._core.scan(filters, names, None, 0)[0])

        def batches() -> Iterator[pa.RecordBatch]:
            start = None
            while True:
                found, start = self._core.scan(filters, names, start, rows)
                yield from pyarrow.RecordBatchReader.from_stream(_records(found, stacklevel=2))
                if start is None:
                    return

        return pyarrow.RecordBatchReader.from_batches(schema, batches())

    def programs(self) -> Records:
        """Return every program with what was measured of it.

        Returns
        -------
        Records
            Ordered by name: ``program_name``, ``program_hash``, ``n_records``, ``n_legal``,
            ``initial_time`` (best without a schedule), ``min_time`` (best of a legal schedule;
            both in milliseconds), and ``speedup``, which is their ratio.

        Warns
        -----
        CorruptRecordWarning
            As :meth:`search`.

        Examples
        --------
        >>> _ = store.record("mm", "void mm() {}", "", True, [1.5, 1.4])
        >>> store.programs()[0]["initial_time"]
        1.4
        """
        return _records(self._core.programs(), stacklevel=3)

    def best(
        self,
        program: str | None = None,
        k: int = 1,
        stat: Literal["min", "median", "mean"] = "min",
    ) -> Records:
        """Return the fastest legal schedules of each program.

        Parameters
        ----------
        program : str, optional
            Only of the programs recorded under this name, first or further.
        k : int
            So many of each program.
        stat : {"min", "median", "mean"}
            What of its runs makes a record fast.

        Returns
        -------
        Records
            Ordered by program, the fastest first; columns as :meth:`search`.

        Warns
        -----
        CorruptRecordWarning
            As :meth:`search`.

        Examples
        --------
        >>> _ = store.record("mm", "void mm() {}", "", True, [1.5, 1.4])
        >>> _ = store.record("mm", "void mm() {}", "P(L0,comps=['c'])", True, [0.7])
        >>> store.best("mm")[0]["schedule"]
        "P(L0,comps=['c'])"
        """
        return _records(self._core.best(program, _count("k", k), stat), stacklevel=3)

    def explain(self, filters: Filters | None = None) -> str:
        """Tell how a search finds its records, and with which index.

        Parameters
        ----------
        filters
            As :meth:`search`.

        Returns
        -------
        str
            A line for each step of SQLite; the last has what is decided on decoded records.

        Examples
        --------
        >>> print(store.explain([("program_hash", "==", "0" * 64), ("min_time", "<", 3)]))
        SEARCH records USING COVERING INDEX records_by_program (program_hash=?)
        then of the decoded records: program_hash == "000..." and min_time < 3
        """
        return self._core.explain(filters)


def _records(found: _core.Records, stacklevel: int) -> Records:
    damaged = found.damaged
    if damaged:
        causes = "; ".join(f"{key}: {cause}" for key, cause in damaged[:_NAMED])
        more = f"; and {len(damaged) - _NAMED} more" if len(damaged) > _NAMED else ""
        message = f"{len(damaged)} damaged records were left out: {causes}{more}"
        warnings.warn(message, CorruptRecordWarning, stacklevel=stacklevel)
    return Records(found)


def _count(name: str, value: int) -> int:
    number = operator.index(value)
    if not 0 <= number < 2**63:
        raise ValueError(f"{name} must be 0 or more, got {number}")
    return number


def _names(columns: Sequence[str] | None) -> list[str] | None:
    if isinstance(columns, str):
        raise ValueError(f"columns must be a list of names, got the string {columns!r}")  # noqa: TRY004 -- as every bad filter
    return None if columns is None else list(columns)
