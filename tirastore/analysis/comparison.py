"""Two stores, or what several hosts or environments measured of the same schedules."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from scipy import stats

from tirastore.analysis.tables import PAIR, Statistic, need, statistic, times

if TYPE_CHECKING:
    import numpy.typing as npt

__all__ = ["compare", "drift"]

_FEWEST_RUNS_OF_A_TEST = 3


def compare(left: pd.DataFrame, right: pd.DataFrame, stat: Statistic = "min") -> pd.DataFrame:
    """Compare what two tables say about the same schedules of the same programs.

    Parameters
    ----------
    left, right : pandas.DataFrame
        Records of two stores, or of two environments: with ``program_hash``, ``schedule``,
        ``is_legal`` and ``execution_times``. Runs of several rows of one pair count together.
    stat : {"min", "median", "mean"}, default "min"
        What stands for all runs.

    Returns
    -------
    pandas.DataFrame
        A row for each pair (program, schedule) of either table.

        ``program_hash``, ``schedule``
            The pair.
        ``found``
            ``"both"``, ``"left_only"`` or ``"right_only"``.
        ``legal_left``, ``legal_right``
            The verdicts; missing where there is none.
        ``left``, ``right``
            The times, milliseconds.
        ``ratio``
            ``right / left``: above 1 where the right one is slower.
        ``p_value``
            Of the two-sided Mann-Whitney U test of their runs; NaN where either has fewer than
            three. Of a thousand pairs without a difference about fifty are below 0.05.

    Examples
    --------
    >>> import pandas as pd
    >>> left = pd.DataFrame({
    ...     "program_hash": ["a1", "a1"], "schedule": ["", "R(L0,comps=['c'])"],
    ...     "is_legal": [True, True], "execution_times": [[4.0], [2.0]],
    ... })
    >>> right = left.assign(execution_times=[[5.0], None])
    >>> compare(left, right)[["found", "left", "right", "ratio"]]
      found  left  right  ratio
    0  both   4.0    5.0   1.25
    1  both   2.0    NaN    NaN
    """
    pairs = _pooled(left, "left").merge(
        _pooled(right, "right"), on=PAIR, how="outer", indicator="found"
    )
    tables = [
        pd.DataFrame({"execution_times": pairs[f"runs_{side}"]}) for side in ("left", "right")
    ]
    times_left, times_right = (statistic(table, stat) for table in tables)
    return pairs[[*PAIR, "found", "legal_left", "legal_right"]].assign(
        left=times_left,
        right=times_right,
        ratio=times_right / times_left,
        p_value=_p_values(*map(times, tables)),
    )


def _pooled(table: pd.DataFrame, side: str) -> pd.DataFrame:
    """Return one row for each pair, with all its runs and its last verdict."""
    need(table, *PAIR, "is_legal", "execution_times")
    chosen = table[[*PAIR, "is_legal", "execution_times"]]
    chosen = chosen.astype({"program_hash": object})  # categories of two stores differ
    if chosen.duplicated(PAIR).any():
        groups = chosen.groupby(PAIR, sort=False)
        chosen = groups.agg({"is_legal": "last", "execution_times": _joined}).reset_index()
    return chosen.rename(columns={"is_legal": f"legal_{side}", "execution_times": f"runs_{side}"})


def _joined(cells: pd.Series) -> list[float]:
    return list(chain.from_iterable(cells.dropna()))


def _p_values(
    left: npt.NDArray[np.float64], right: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    counts = np.minimum((~np.isnan(left)).sum(axis=1), (~np.isnan(right)).sum(axis=1))
    enough = counts >= _FEWEST_RUNS_OF_A_TEST
    p_values = np.full(len(left), np.nan)
    if enough.any():
        test = stats.mannwhitneyu(left[enough], right[enough], axis=1, nan_policy="omit")
        p_values[enough] = test.pvalue
    return p_values


def drift(
    table: pd.DataFrame,
    by: str = "hostname",
    reference: str | None = None,
    stat: Statistic = "min",
) -> pd.DataFrame:
    """Tell how much slower some hosts are than another one, on the schedules that both measured.

    Parameters
    ----------
    table : pandas.DataFrame
        Records, with ``program_hash``, ``schedule``, ``execution_times`` and the column `by`. A
        search finds one run of a pair: rows of several hosts come from several stores, or from
        :func:`history`.
    by : str, default "hostname"
        What to compare: ``"environment"``, ``"username"``, a date, and so on.
    reference : str, optional
        The value of `by` that the others are compared with; default: the one with most pairs.
    stat : {"min", "median", "mean"}, default "min"
        What stands for all runs of a row; of several rows of one pair and host the fastest counts.

    Returns
    -------
    pandas.DataFrame
        A row for each value of `by`, the reference included.

        ``n_pairs``
            Pairs that it shares with the reference.
        ``ratio``
            Geometric mean of its times divided by the reference's.
        ``low``, ``high``
            Bounds of the 95 % confidence interval of ``ratio``; NaN below two pairs.

    Raises
    ------
    ValueError
        A column is missing, or nothing was measured in `reference`.

    Examples
    --------
    >>> import pandas as pd
    >>> table = pd.DataFrame({
    ...     "program_hash": ["a1", "a1"], "schedule": ["", ""], "hostname": ["n1", "n2"],
    ...     "execution_times": [[4.0, 4.1], [5.0]],
    ... })
    >>> drift(table)[["n_pairs", "ratio"]]
              n_pairs  ratio
    hostname
    n1              1   1.00
    n2              1   1.25
    """
    need(table, *PAIR, by)
    timed = table.assign(time=statistic(table, stat)).dropna(subset=["time", by])
    if timed.empty:
        return pd.DataFrame(columns=["n_pairs", "ratio", "low", "high"], dtype=float)
    shared = timed.pivot_table(index=PAIR, columns=by, values="time", aggfunc="min", observed=True)
    if reference is None:
        reference = shared.count().idxmax()
    elif reference not in shared.columns:
        known = ", ".join(map(str, shared.columns))
        raise ValueError(f"nothing was measured where {by} is {reference!r}; there are: {known}")
    logarithms = np.log(shared.div(shared[reference], axis="index"))
    count, mean = logarithms.count(), logarithms.mean()
    half = logarithms.sem() * stats.t.ppf(0.975, count.sub(1).where(count > 1))
    return pd.DataFrame(
        {
            "n_pairs": count,
            "ratio": np.exp(mean),
            "low": np.exp(mean - half),
            "high": np.exp(mean + half),
        }
    )
