"""Which transformations keep a program's meaning how often."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd
from scipy.stats import binomtest

from tirastore.analysis.tables import need

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["legality"]


def legality(table: pd.DataFrame, by: str | Sequence[str] = "transformations") -> pd.DataFrame:
    """Count legal schedules by what is in them.

    Parameters
    ----------
    table : pandas.DataFrame
        Records, with ``is_legal`` and the columns of `by`.
    by : str or sequence of str, default "transformations"
        What to group by. A schedule counts once for each kind of transformation in it; other
        columns, such as ``"program_name"`` or ``"n_transformations"``, group as they are.

    Returns
    -------
    pandas.DataFrame
        A row for each group, the most frequent first.

        ``n_schedules``, ``n_legal``
            Counts.
        ``rate``
            Share of legal schedules.
        ``low``, ``high``
            Bounds of Wilson's 95 % confidence interval of ``rate``.

    Examples
    --------
    >>> import pandas as pd
    >>> table = pd.DataFrame({
    ...     "transformations": [["T2", "P"], ["P"], ["P", "P"], []],
    ...     "is_legal": [True, False, False, True],
    ... })
    >>> legality(table)[["n_schedules", "n_legal", "rate"]].round(2)
                     n_schedules  n_legal  rate
    transformations
    P                          3        1  0.33
    T2                         1        1  1.00
    """
    columns = [by] if isinstance(by, str) else list(by)
    need(table, "is_legal", *columns)
    chosen = table[["is_legal", *columns]]
    if "transformations" in columns:
        # None: a schedule in another notation than TiraLib's.
        kinds = [None if cell is None else sorted(set(cell)) for cell in chosen["transformations"]]
        chosen = chosen.assign(transformations=pd.Series(kinds, index=chosen.index, dtype=object))
        chosen = chosen.explode("transformations").dropna(subset="transformations")
    groups = chosen.groupby(by if isinstance(by, str) else columns, observed=True)["is_legal"]
    counts = pd.DataFrame({"n_schedules": groups.size(), "n_legal": groups.sum().astype(int)})
    intervals = [
        binomtest(legal, total).proportion_ci(method="wilson")
        for total, legal in counts.itertuples(index=False)
    ]
    counts["rate"] = counts["n_legal"] / counts["n_schedules"]
    counts["low"] = [interval.low for interval in intervals]
    counts["high"] = [interval.high for interval in intervals]
    return counts.sort_values("n_schedules", ascending=False, kind="stable")
