"""Who measured what, and when."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from tirastore.analysis.tables import need, times

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["activity", "contributors", "fitting_period"]


#: Lengths of periods to choose from, and how many periods are enough.
_PERIODS = ("1s", "10s", "1min", "10min", "1h", "6h", "1D", "7D", "30D")
_MOST_PERIODS = 60


def activity(table: pd.DataFrame, freq: str | None = None, by: str = "hostname") -> pd.DataFrame:
    """Count new records by time.

    Parameters
    ----------
    table : pandas.DataFrame
        Records, with ``creation_date`` and the column `by`.
    freq : str, optional
        Length of a period, as pandas names it: ``"1min"``, ``"1h"``, ``"1D"``. Default: the
        shortest that gives about 60 periods at most.
    by : str, default "hostname"
        Who: ``"hostname"``, ``"username"``, ``"source_project"``, ``"program_name"``.

    Returns
    -------
    pandas.DataFrame
        A row for each period from the first record to the last, a column for each value of `by`.

    Examples
    --------
    >>> import pandas as pd
    >>> dates = pd.to_datetime(["2026-02-21 15:30", "2026-02-21 17:10"], utc=True)
    >>> table = pd.DataFrame({"creation_date": dates, "hostname": ["n1", "n2"]})
    >>> activity(table, "1h").to_numpy()
    array([[1, 0],
           [0, 0],
           [0, 1]])
    """
    need(table, "creation_date", by)
    freq = freq or fitting_period(table["creation_date"])
    columns = pd.get_dummies(table[by], dtype=int).set_index(
        pd.DatetimeIndex(table["creation_date"])
    )
    return columns.sort_index().resample(freq).sum().rename_axis(columns=by)


def fitting_period(dates: pd.Series) -> str:
    """Choose a period of which about 60 at most hold all dates.

    Parameters
    ----------
    dates : pandas.Series
        Timestamps.

    Returns
    -------
    str
        Its length, as pandas names it.

    Examples
    --------
    >>> import pandas as pd
    >>> fitting_period(pd.to_datetime(pd.Series(["2026-02-21 15:30", "2026-02-21 17:10"])))
    '10min'
    """
    shortest = (dates.max() - dates.min()) / _MOST_PERIODS
    return next((freq for freq in _PERIODS if pd.Timedelta(freq) >= shortest), _PERIODS[-1])


def contributors(
    table: pd.DataFrame, by: str | Sequence[str] = ("hostname", "username")
) -> pd.DataFrame:
    """Sum up what everybody measured.

    Parameters
    ----------
    table : pandas.DataFrame
        Records, with ``is_legal``, ``execution_times``, ``creation_date`` and the columns of `by`.
    by : str or sequence of str, default ("hostname", "username")
        Who.

    Returns
    -------
    pandas.DataFrame
        A row for each, the busiest first.

        ``n_records``, ``n_legal``, ``n_runs``
            Counts.
        ``run_time``
            Milliseconds that all recorded runs took together.
        ``first``, ``last``
            When the first and the last record were made.

    Examples
    --------
    >>> import pandas as pd
    >>> table = pd.DataFrame({
    ...     "hostname": "n1", "username": "ada", "is_legal": [True, False],
    ...     "execution_times": [[1.5, 1.25], None],
    ...     "creation_date": pd.to_datetime(["2026-02-21", "2026-02-22"], utc=True),
    ... })
    >>> contributors(table, "username")[["n_records", "n_legal", "n_runs", "run_time"]]
              n_records  n_legal  n_runs  run_time
    username
    ada               2        1       2      2.75
    """
    columns = by if isinstance(by, str) else list(by)
    need(table, "is_legal", "creation_date", *([by] if isinstance(by, str) else by))
    frame = pd.DataFrame(times(table), index=table.index)
    counted = table.assign(
        n_runs=frame.count(axis="columns"), run_time=frame.sum(axis="columns", min_count=0)
    )
    return (
        counted.groupby(columns, observed=True)
        .agg(
            n_records=("is_legal", "size"),
            n_legal=("is_legal", "sum"),
            n_runs=("n_runs", "sum"),
            run_time=("run_time", "sum"),
            first=("creation_date", "min"),
            last=("creation_date", "max"),
        )
        .sort_values("n_records", ascending=False, kind="stable")
    )
