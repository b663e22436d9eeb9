"""Tables of records: which columns they need, and their execution times as arrays."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    import numpy.typing as npt

__all__ = ["PAIR", "Statistic", "need", "rows_of_runs", "runs", "statistic", "times"]

#: What is measured: the columns that tell one (program, schedule) from another.
PAIR = ["program_hash", "schedule"]

#: What stands for all runs of a record.
Statistic: TypeAlias = Literal["min", "median", "mean"]


def need(table: pd.DataFrame, *columns: str) -> None:
    """Refuse a table that lacks columns.

    Parameters
    ----------
    table : pandas.DataFrame
        Any table.
    *columns : str
        What it must have.

    Raises
    ------
    ValueError
        Some are missing.

    Examples
    --------
    >>> import pandas as pd
    >>> need(pd.DataFrame({"schedule": [""]}), "schedule", "execution_times")
    Traceback (most recent call last):
    ...
    ValueError: the table has no column 'execution_times'; name it in store.search(columns=...)
    """
    missing = [name for name in columns if name not in table.columns]
    if missing:
        word = "columns" if len(missing) > 1 else "column"
        names = ", ".join(map(repr, missing))
        pronoun = "them" if len(missing) > 1 else "it"
        raise ValueError(
            f"the table has no {word} {names}; name {pronoun} in store.search(columns=...)"
        )


def times(table: pd.DataFrame) -> npt.NDArray[np.float64]:
    """Return the execution times as one array.

    Parameters
    ----------
    table : pandas.DataFrame
        Records, with ``execution_times``.

    Returns
    -------
    numpy.ndarray
        Milliseconds, of shape (records, most runs); NaN behind the last run of a record.

    Examples
    --------
    >>> import pandas as pd
    >>> times(pd.DataFrame({"execution_times": [[1.5, 1.25], None, [2.0]]}))
    array([[1.5 , 1.25],
           [ nan,  nan],
           [2.  ,  nan]])
    """
    need(table, "execution_times")
    # A missing list is None, NaN or pandas.NA: what they share is that they have no length.
    lists = [cell if hasattr(cell, "__len__") else () for cell in table["execution_times"]]
    counts = np.array([len(cell) for cell in lists], dtype=np.intp)
    array = np.full((len(lists), counts.max(initial=0)), np.nan)
    if array.size:
        array[np.arange(array.shape[1]) < counts[:, None]] = np.concatenate(lists)
    return array


def runs(table: pd.DataFrame) -> pd.DataFrame:
    """Return a row for each run instead of one for each record.

    Parameters
    ----------
    table : pandas.DataFrame
        Records, with ``execution_times``.

    Returns
    -------
    pandas.DataFrame
        The other columns, ``run`` (0 is the first) and ``time`` in milliseconds. The index is that
        of the records; records without times have no row.

    Examples
    --------
    >>> import pandas as pd
    >>> table = pd.DataFrame({"schedule": ["a", "b"], "execution_times": [[1.5, 1.25], None]})
    >>> runs(table)
      schedule  run  time
    0        a    0  1.50
    0        a    1  1.25
    """
    array = times(table)
    return rows_of_runs(table, ~np.isnan(array), time=array)


def rows_of_runs(
    table: pd.DataFrame, chosen: npt.NDArray[np.bool_], **values: npt.NDArray[np.float64]
) -> pd.DataFrame:
    """Return a row for each chosen run.

    Parameters
    ----------
    table : pandas.DataFrame
        Records, with ``execution_times``.
    chosen : numpy.ndarray of bool
        Which runs, in the shape of `times`.
    **values : numpy.ndarray
        Columns to add, in that shape, too.

    Returns
    -------
    pandas.DataFrame
        As `runs` returns it, with a column for each of `values`.

    Examples
    --------
    >>> import pandas as pd
    >>> table = pd.DataFrame({"execution_times": [[1.5, 1.25]]})
    >>> rows_of_runs(table, np.array([[False, True]]), time=times(table))
       run  time
    0    1  1.25
    """
    record, run = np.nonzero(chosen)
    columns = {name: value[record, run] for name, value in values.items()}
    return table.drop(columns="execution_times").iloc[record].assign(run=run, **columns)


def statistic(table: pd.DataFrame, stat: Statistic = "min") -> pd.Series:
    """Return one time for each record.

    Parameters
    ----------
    table : pandas.DataFrame
        Records, with ``execution_times``.
    stat : {"min", "median", "mean"}, default "min"
        What stands for all runs of a record.

    Returns
    -------
    pandas.Series
        Milliseconds, with the index of `table`; NaN for a record without times.

    Raises
    ------
    ValueError
        There is no such statistic.

    Examples
    --------
    >>> import pandas as pd
    >>> statistic(pd.DataFrame({"execution_times": [[3.0, 1.0], None]}), "mean").tolist()
    [2.0, nan]
    """
    if stat not in ("min", "median", "mean"):
        raise ValueError(f"no statistic {stat!r}; there are 'min', 'median' and 'mean'")
    frame = pd.DataFrame(times(table), index=table.index)
    return getattr(frame, stat)(axis="columns").rename(stat)
