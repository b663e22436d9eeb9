"""How good a cost model is: errors and ranks, program by program."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from scipy.stats import spearmanr
from sklearn.metrics import mean_absolute_percentage_error, ndcg_score

if TYPE_CHECKING:
    import numpy.typing as npt

__all__ = ["scores"]


def scores(
    measured: npt.ArrayLike, predicted: npt.ArrayLike, program: npt.ArrayLike
) -> pd.DataFrame:
    """Compare predicted speed-ups with measured ones.

    Parameters
    ----------
    measured, predicted : array-like
        Speed-ups of the same records, positive.
    program : array-like
        The program of each.

    Returns
    -------
    pandas.DataFrame
        A row for each program.

        ``n_schedules``
            Number of records.
        ``mape``
            Mean absolute percentage error, as a fraction: 0.1 is 10 %.
        ``spearman``
            Rank correlation; NaN where either side has one value only.
        ``ndcg``
            Normalised discounted cumulative gain of the predicted order, the measured speed-ups
            being the gains; NaN below two records.
        ``top_1``
            The measured speed-up of what the model likes best, relative to the best there is.

    Examples
    --------
    >>> table = scores([1.0, 2.0, 4.0], [1.0, 3.0, 4.0], ["mm", "mm", "mm"])
    >>> table.round(3)
             n_schedules   mape  spearman  ndcg  top_1
    program
    mm                 3  0.167       1.0   1.0    1.0
    """
    table = pd.DataFrame(
        {
            "program": np.asarray(program),
            "measured": np.asarray(measured),
            "predicted": np.asarray(predicted),
        }
    )
    rows = {name: _of_a_program(rows) for name, rows in table.groupby("program", observed=True)}
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("program")


def _of_a_program(rows: pd.DataFrame) -> dict[str, float]:
    measured, predicted = rows["measured"].to_numpy(), rows["predicted"].to_numpy()
    ranked = np.ptp(measured) > 0 and np.ptp(predicted) > 0
    several = len(rows) > 1
    return {
        "n_schedules": len(rows),
        "mape": mean_absolute_percentage_error(measured, predicted),
        "spearman": spearmanr(measured, predicted).statistic if ranked else float("nan"),
        "ndcg": ndcg_score([measured], [predicted]) if several else float("nan"),
        "top_1": measured[predicted.argmax()] / measured.max(),
    }
