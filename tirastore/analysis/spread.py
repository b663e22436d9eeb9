"""How far measurements can be trusted: warm-up, spread, what few runs miss, outliers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from scipy.stats import norm

from tirastore.analysis.tables import rows_of_runs, times

if TYPE_CHECKING:
    from collections.abc import Iterable

    import numpy.typing as npt

__all__ = ["KS", "min_of_k_error", "noise", "outliers"]

#: Numbers of runs to ask about, where nobody says.
KS = (1, 2, 3, 5, 10, 20)

#: The standard deviation of normally distributed values whose median absolute deviation is 1.
_DEVIATION_OF_MAD = 1 / norm.ppf(0.75)


def noise(table: pd.DataFrame) -> pd.DataFrame:
    """Describe how the runs of each record differ.

    Parameters
    ----------
    table : pandas.DataFrame
        Records, with ``execution_times``.

    Returns
    -------
    pandas.DataFrame
        With the index of `table`; NaN where a record has too few runs.

        ``n_runs``
            Number of runs.
        ``best``
            The fastest, milliseconds.
        ``warm_up``
            The first run relative to the best of the others: 0.5 is 50 % slower.
        ``mad``
            Median absolute deviation from the median, relative to the median.
        ``gap``
            How much slower the second best run is than the best: 0.1 is 10 %. A large gap makes
            the best run doubtful.

    Examples
    --------
    >>> import pandas as pd
    >>> noise(pd.DataFrame({"execution_times": [[3.0, 2.0, 2.5], [1.0], None]}))
       n_runs  best  warm_up  mad   gap
    0       3   2.0      0.5  0.2  0.25
    1       1   1.0      NaN  0.0   NaN
    2       0   NaN      NaN  NaN   NaN
    """
    # Two columns more than runs: every record has a first and a second one, if only NaN.
    array = np.pad(times(table), ((0, 0), (0, 2)), constant_values=np.nan)
    ordered = np.sort(array, axis=1)  # NaN last
    frame = pd.DataFrame(array)
    middle, deviation = _middle_and_mad(array)
    return pd.DataFrame(
        {
            "n_runs": frame.count(axis="columns").to_numpy(),
            "best": ordered[:, 0],
            "warm_up": array[:, 0] / frame.iloc[:, 1:].min(axis="columns").to_numpy() - 1,
            "mad": deviation / middle,
            "gap": ordered[:, 1] / ordered[:, 0] - 1,
        },
        index=table.index,
    )


def _middle_and_mad(
    array: npt.NDArray[np.float64],
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return the median of each row, and the median absolute deviation from it."""
    # Of pandas: SciPy's function takes a Python call for each row as soon as NaN is left out.
    frame = pd.DataFrame(array)
    middle = frame.median(axis="columns")
    mad = frame.sub(middle, axis="index").abs().median(axis="columns")
    return middle.to_numpy(), mad.to_numpy()


def min_of_k_error(table: pd.DataFrame, ks: Iterable[int] = KS) -> pd.DataFrame:
    """Tell how far off the best of the first runs is.

    Parameters
    ----------
    table : pandas.DataFrame
        Records, with ``execution_times``.
    ks : iterable of int, default (1, 2, 3, 5, 10, 20)
        Numbers of first runs.

    Returns
    -------
    pandas.DataFrame
        A column for each k, with the index of `table`: the best of the first k runs relative to the
        best of all; 0.05 is 5 % too slow. NaN where a record has no more than k runs: nothing is
        known then of what the first k have missed.

    Raises
    ------
    ValueError
        A k is not positive.

    Examples
    --------
    >>> import pandas as pd
    >>> table = pd.DataFrame({"execution_times": [[3.0, 2.5, 2.0, 2.2], [1.0, 1.0]]})
    >>> min_of_k_error(table, (1, 2, 3))
         1     2    3
    0  0.5  0.25  0.0
    1  0.0   NaN  NaN
    """
    wanted = list(ks)
    if min(wanted, default=1) < 1:
        raise ValueError(f"ks are numbers of runs and at least 1, got {wanted}")
    behind = max(wanted, default=0) + 1
    array = np.pad(times(table), ((0, 0), (0, behind)), constant_values=np.nan)
    best = np.fmin.accumulate(array, axis=1)
    known = ~np.isnan(array)
    errors = {k: np.where(known[:, k], best[:, k - 1] / best[:, -1] - 1, np.nan) for k in wanted}
    return pd.DataFrame(errors, index=table.index, columns=wanted)


def outliers(table: pd.DataFrame, threshold: float = 3.5, min_runs: int = 5) -> pd.DataFrame:
    """Return the runs that are far from the others of their record.

    Parameters
    ----------
    table : pandas.DataFrame
        Records, with ``execution_times``.
    threshold : float, default 3.5
        Distance from the record's median, in standard deviations as its median absolute deviation
        estimates them.
    min_runs : int, default 5
        Records with fewer runs are left out.

    Returns
    -------
    pandas.DataFrame
        A row for each outlier, as `runs` makes them, with ``score``: its distance, positive where
        the run was slow. The farthest come first.

    Examples
    --------
    >>> import pandas as pd
    >>> table = pd.DataFrame({"execution_times": [[9.0, 2.0, 2.1, 2.2, 1.9, 2.0]]})
    >>> outliers(table)[["run", "time"]]
       run  time
    0    0   9.0
    """
    array = times(table)
    middle, mad = _middle_and_mad(array)
    with np.errstate(divide="ignore", invalid="ignore"):  # among equal runs all others are far
        score = (array - middle[:, None]) / (_DEVIATION_OF_MAD * mad[:, None])
        chosen = np.abs(score) > threshold
    chosen &= (~np.isnan(array)).sum(axis=1, keepdims=True) >= min_runs
    far = rows_of_runs(table, chosen, time=array, score=score)
    return far.sort_values("score", key=abs, ascending=False, kind="stable")
