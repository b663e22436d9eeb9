"""Records as columns: what searches answer, for pandas, Polars, DuckDB, NumPy and Arrow."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast, overload

from tirastore._html import table
from tirastore.extras import needed

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np
    import numpy.typing as npt
    import pandas as pd
    import polars as pl
    import pyarrow as pa

    from tirastore import _core

__all__ = ["Records"]

#: Rows that a notebook shows.
_SHOWN = 10
#: Columns of which a few digits tell one from the others.
_HASHES = ("key", "program_hash")
_HASH_WIDTH = 12
#: Characters of a value that it shows.
_WIDTH = 60


class Records:
    """Records of a store as columns, as :meth:`TiraStore.search` answers them.

    Whatever takes Arrow data takes records, without a copy and as often as it likes:
    ``pyarrow.table(records)``, ``polars.DataFrame(records)``, or the name of a variable in a query
    of DuckDB. They are what the store held when it was searched; nothing of it is held open.

    Attributes
    ----------
    column_names : list of str
        Names of the columns, in order.
    nbytes : int
        Bytes that the values of the columns take. A slice counts all lists and names of the batches
        that it is of.

    Notes
    -----
    Names, hosts, users, projects and states are dictionary-encoded (categories in pandas), dates
    are ``timestamp[us, UTC]``, execution times ``list<double>`` in milliseconds, and ``features``
    ``list<struct<kind, levels, factors, comps>>``, where the level -1 is the innermost. A record
    without a value has null there.

    Examples
    --------
    >>> _ = store.record("mm", "void mm() {}", "", True, [1.5, 1.4])
    >>> _ = store.record("mm", "void mm() {}", "P(L0,comps=['c'])", True, [0.7])
    >>> records = store.search([("speedup", ">", 1)], columns=["schedule", "min_time", "speedup"])
    >>> len(records), records[0]
    (1, {'schedule': "P(L0,comps=['c'])", 'min_time': 0.7, 'speedup': 2.0})
    >>> records.to_pandas()["speedup"].max()
    np.float64(2.0)
    """

    __slots__ = ("_core",)

    def __init__(self, core: _core.Records) -> None:
        self._core = core

    @property
    def column_names(self) -> list[str]:
        """Names of the columns, in order."""
        return self._core.column_names

    @property
    def nbytes(self) -> int:
        """Bytes that the values of the columns take."""
        return self._core.nbytes

    def __len__(self) -> int:
        """Return the number of records."""
        return len(self._core)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """Yield each record as a dict, column name to value; dates are ``datetime`` in UTC."""
        return (self._core.row(index) for index in range(len(self)))

    @overload
    def __getitem__(self, index: int) -> dict[str, Any]: ...
    @overload
    def __getitem__(self, index: slice) -> Records: ...
    def __getitem__(self, index: int | slice) -> dict[str, Any] | Records:
        """Return a record as a dict, or the records of a slice without a copy.

        Raises
        ------
        IndexError
            There is no such record.
        ValueError
            The slice has a step.
        """
        if isinstance(index, slice):
            start, stop, step = index.indices(len(self))
            if step != 1:
                raise ValueError(f"records are sliced without a step, got step {step}")
            return Records(self._core.slice(start, max(stop - start, 0)))
        positive = index + len(self) if index < 0 else index
        if not 0 <= positive < len(self):
            raise IndexError(f"there is no record {index} of {len(self)}")
        return self._core.row(positive)

    def __arrow_c_schema__(self) -> object:
        """Hand the schema out through Arrow's C interface."""
        return self._core.__arrow_c_schema__()

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        """Hand the columns out through Arrow's C interface, anew with every call."""
        return self._core.__arrow_c_stream__(requested_schema)

    def to_arrow(self) -> pa.Table:
        """Return the columns as a ``pyarrow.Table``, without a copy.

        Returns
        -------
        pyarrow.Table
            One row for each record.

        Raises
        ------
        ImportError
            pyarrow is not installed.

        Examples
        --------
        >>> store.search().to_arrow().num_rows
        0
        """
        return needed("pyarrow", "to_arrow()").table(self)

    def to_pandas(self) -> pd.DataFrame:
        """Return the columns as a ``pandas.DataFrame``.

        Returns
        -------
        pandas.DataFrame
            One row for each record; names are categories, execution times NumPy arrays.

        Raises
        ------
        ImportError
            pandas or pyarrow is not installed.

        Examples
        --------
        >>> store.search(columns=["program_name", "min_time"]).to_pandas().shape
        (0, 2)
        """
        needed("pandas", "to_pandas()")
        return needed("pyarrow", "to_pandas()").table(self).to_pandas()

    def to_polars(self) -> pl.DataFrame:
        """Return the columns as a ``polars.DataFrame``.

        Returns
        -------
        polars.DataFrame
            One row for each record.

        Raises
        ------
        ImportError
            Polars is not installed.

        Examples
        --------
        >>> store.search(columns=["program_name", "min_time"]).to_polars().shape
        (0, 2)
        """
        polars = needed("polars", "to_polars()", "pip install 'tirastore[polars]'")
        return cast("pl.DataFrame", polars.DataFrame(self))

    def to_numpy(self) -> npt.NDArray[np.float64]:
        """Return the execution times as an array.

        Returns
        -------
        numpy.ndarray of shape (records, most runs of a record)
            Milliseconds, every run in order; NaN behind the last run of a record.

        Raises
        ------
        ImportError
            NumPy is not installed.
        ValueError
            The column ``execution_times`` was not asked for.

        Examples
        --------
        >>> _ = store.record("mm", "void mm() {}", "", True, [1.5, 1.4])
        >>> _ = store.record("mm", "void mm() {}", "P(L0,comps=['c'])", True, [0.7])
        >>> store.search().to_numpy()
        array([[1.5, 1.4],
               [0.7, nan]])
        """
        needed("numpy", "to_numpy()")
        return self._core.times()

    def __repr__(self) -> str:
        """Return the number of records and the names of the columns."""
        return f"Records({len(self)} records: {', '.join(self.column_names)})"

    def _repr_html_(self) -> str:
        """Return the first rows as a table for notebooks."""
        more = f", the first {_SHOWN}" if len(self) > _SHOWN else ""
        rows = [[_short(name, value) for name, value in row.items()] for row in self[:_SHOWN]]
        return table(f"{len(self):,} records{more}", rows, self.column_names)


def _short(name: str, value: object) -> str:
    if value is None:
        return ""
    if name in _HASHES:
        return str(value)[:_HASH_WIDTH]
    if isinstance(value, list):
        return f"{len(value)} values"
    text = f"{value:.6g}" if isinstance(value, float) else str(value)
    return text if len(text) <= _WIDTH else f"{text[: _WIDTH - 3]}..."
