"""The pandas accessor ``df.tira``: the functions of this package as methods of a table."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from tirastore.analysis import comparison, fastest, features, fleet, spread, tables, verdicts

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import numpy as np
    import numpy.typing as npt

__all__ = ["TiraAccessor"]


@pd.api.extensions.register_dataframe_accessor("tira")
class TiraAccessor:
    """The functions of :mod:`tirastore.analysis` on one table, as ``df.tira``.

    Each method takes the parameters of the function of its name, without the table, and returns
    what that returns.

    Parameters
    ----------
    table : pandas.DataFrame
        Records, from ``store.search().to_pandas()``.

    Examples
    --------
    >>> import pandas as pd
    >>> import tirastore.analysis
    >>> table = pd.DataFrame({"execution_times": [[3.0, 2.0, 2.5]]})
    >>> table.tira.statistic("median").tolist()
    [2.5]
    """

    def __init__(self, table: pd.DataFrame) -> None:
        self._table = table

    def times(self) -> npt.NDArray[np.float64]:
        """Return all times as one array, see :func:`tirastore.analysis.times`."""
        return tables.times(self._table)

    def runs(self) -> pd.DataFrame:
        """Return a row for each run, see :func:`tirastore.analysis.runs`."""
        return tables.runs(self._table)

    def statistic(self, stat: tables.Statistic = "min") -> pd.Series:
        """Return one time for each record, see :func:`tirastore.analysis.statistic`."""
        return tables.statistic(self._table, stat)

    def speedups(self, stat: tables.Statistic = "min") -> pd.Series:
        """Return speed-ups, see :func:`tirastore.analysis.speedups`."""
        return fastest.speedups(self._table, stat)

    def best(self, k: int = 1, stat: tables.Statistic = "min") -> pd.DataFrame:
        """Return the fastest of each program, see :func:`tirastore.analysis.best`."""
        return fastest.best(self._table, k, stat)

    def noise(self) -> pd.DataFrame:
        """Describe how runs differ, see :func:`tirastore.analysis.noise`."""
        return spread.noise(self._table)

    def min_of_k_error(self, ks: Iterable[int] = spread.KS) -> pd.DataFrame:
        """Tell what few runs miss, see :func:`tirastore.analysis.min_of_k_error`."""
        return spread.min_of_k_error(self._table, ks)

    def outliers(self, threshold: float = 3.5, min_runs: int = 5) -> pd.DataFrame:
        """Return runs far from the others, see :func:`tirastore.analysis.outliers`."""
        return spread.outliers(self._table, threshold, min_runs)

    def compare(self, other: pd.DataFrame, stat: tables.Statistic = "min") -> pd.DataFrame:
        """Compare with another table, see :func:`tirastore.analysis.compare`."""
        return comparison.compare(self._table, other, stat)

    def drift(
        self, by: str = "hostname", reference: str | None = None, stat: tables.Statistic = "min"
    ) -> pd.DataFrame:
        """Compare hosts on what both measured, see :func:`tirastore.analysis.drift`."""
        return comparison.drift(self._table, by, reference, stat)

    def legality(self, by: str | Sequence[str] = "transformations") -> pd.DataFrame:
        """Count legal schedules, see :func:`tirastore.analysis.legality`."""
        return verdicts.legality(self._table, by)

    def cost_model_features(self) -> pd.DataFrame:
        """Describe schedules by numbers, see :func:`tirastore.analysis.cost_model_features`."""
        return features.cost_model_features(self._table)

    def activity(self, freq: str | None = None, by: str = "hostname") -> pd.DataFrame:
        """Count new records by time, see :func:`tirastore.analysis.activity`."""
        return fleet.activity(self._table, freq, by)

    def contributors(self, by: str | Sequence[str] = ("hostname", "username")) -> pd.DataFrame:
        """Sum up what everybody measured, see :func:`tirastore.analysis.contributors`."""
        return fleet.contributors(self._table, by)
