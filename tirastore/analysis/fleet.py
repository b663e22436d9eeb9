"""Who measured what, and when."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from tirastore.analysis.tables import need, times

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["activity", "contributors"]


def activity(table: pd.DataFrame, freq: str = "1h", by: str = "hostname") -> pd.DataFrame:
    """Count new records by time.

    Parameters
    ----------
    table : pandas.DataFrame
        Records, with ``creation_date`` and the column `by`.
    freq : str, default "1h"
        Length of a period, as pandas names it: ``"1min"``, ``"1h"``, ``"1D"``.
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
    >>> activity(pd.DataFrame({"creation_date": dates, "hostname": ["n1", "n2"]})).to_numpy()
    array([[1, 0],
           [0, 0],
           [0, 1]])
    """
    need(table, "creation_date", by)
    columns = pd.get_dummies(table[by], dtype=int).set_index(
        pd.DatetimeIndex(table["creation_date"])
    )
    return columns.sort_index().resample(freq).sum().rename_axis(columns=by)


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
