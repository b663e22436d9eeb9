"""Whether the best time of a schedule can be believed."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt
    import pyarrow as pa

__all__ = ["BestTwo", "best_two", "is_noisy"]

#: With fewer runs, a best time far below the others may well be the true one.
FEWEST_RUNS = 4
#: The best time may be smaller than the second best by this factor.
LARGEST_RATIO = 1.10


class BestTwo(NamedTuple):
    """The two smallest of the times of each row, in milliseconds; NaN where there are fewer."""

    best: npt.NDArray[np.float64]
    second: npt.NDArray[np.float64]
    runs: npt.NDArray[np.int64]


def best_two(times: pa.ListArray) -> BestTwo:
    """Find the best and the second best time of each row.

    Parameters
    ----------
    times : pyarrow.ListArray
        Lists of milliseconds, one for each row; null is an empty list.

    Returns
    -------
    BestTwo
        Three arrays, each as long as `times`.

    Examples
    --------
    >>> import pyarrow as pa
    >>> best, second, runs = best_two(pa.array([[3.0, 1.0, 2.0], [5.0], None]))
    >>> best.tolist(), second.tolist(), runs.tolist()
    ([1.0, 5.0, nan], [2.0, nan, nan], [3, 1, 0])
    """
    runs = np.asarray(times.value_lengths().fill_null(0)).astype(np.int64)
    values = np.array(times.flatten(), dtype=np.float64)
    best, second = np.full(len(runs), np.nan), np.full(len(runs), np.nan)
    filled = np.flatnonzero(runs)
    if len(filled) == 0:
        return BestTwo(best, second, runs)
    starts = (np.cumsum(runs) - runs)[filled]
    best[filled] = np.minimum.reduceat(values, starts)
    # The first of the smallest of each row is taken out; where another equals it, that is second.
    row_of = np.repeat(np.arange(len(runs)), runs)
    smallest = np.flatnonzero(values == best[row_of])
    _, first = np.unique(row_of[smallest], return_index=True)
    values[smallest[first]] = np.inf
    second[filled] = np.minimum.reduceat(values, starts)
    second[runs < 2] = np.nan  # noqa: PLR2004 -- a second one
    return BestTwo(best, second, runs)


def is_noisy(times: BestTwo) -> npt.NDArray[np.bool_]:
    """Tell where the best of four runs or more beats the second best by more than 10 %.

    That is the field's rule: so far below all others, a time is one of a clock or of a run that
    did not do its work, not of the schedule.

    Parameters
    ----------
    times : BestTwo
        Of each row.

    Returns
    -------
    array of bool
        One for each row.

    Examples
    --------
    >>> import pyarrow as pa
    >>> is_noisy(best_two(pa.array([[1.0, 1.2, 1.3, 1.3], [1.0, 1.05, 1.3, 1.3], [1.0, 9.0]])))
    array([ True, False, False])
    """
    return (times.runs >= FEWEST_RUNS) & (times.second > LARGEST_RATIO * times.best)
