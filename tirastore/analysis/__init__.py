"""What a store's measurements say: functions on tables of records, and pictures of them.

A table is a pandas DataFrame with a row for each record and the columns of ``store.search()``.
Importing this package also registers the accessor ``df.tira``. It needs the packages of
``pip install 'tirastore[analysis]'``. Times are milliseconds.

Examples
--------
>>> import pandas as pd
>>> import tirastore.analysis
>>> table = pd.DataFrame({
...     "program_hash": ["a1", "a1"],
...     "schedule": ["", "P(L0,comps=['c'])"],
...     "execution_times": [[4.0, 4.4], [2.0, 2.1]],
... })
>>> table.tira.speedups().tolist()
[1.0, 2.0]
"""

from __future__ import annotations

import importlib.util

_NEEDED = ("pandas", "scipy", "sklearn", "matplotlib")
_missing = [name for name in _NEEDED if importlib.util.find_spec(name) is None]
if _missing:
    raise ImportError(
        f"tirastore.analysis needs {', '.join(_missing)}: pip install 'tirastore[analysis]'"
    )

from tirastore.analysis.accessor import TiraAccessor  # noqa: E402 -- says first what is missing
from tirastore.analysis.accuracy import scores  # noqa: E402
from tirastore.analysis.all_runs import history  # noqa: E402
from tirastore.analysis.comparison import compare, drift  # noqa: E402
from tirastore.analysis.fastest import best, speedups  # noqa: E402
from tirastore.analysis.features import cost_model_features  # noqa: E402
from tirastore.analysis.fleet import activity, contributors  # noqa: E402
from tirastore.analysis.pictures import (  # noqa: E402
    draw_activity,
    draw_distributions,
    draw_drift,
    draw_min_of_k,
    draw_predictions,
    draw_warm_up,
)
from tirastore.analysis.spread import min_of_k_error, noise, outliers  # noqa: E402
from tirastore.analysis.tables import runs, statistic, times  # noqa: E402
from tirastore.analysis.verdicts import legality  # noqa: E402

__all__ = [
    "TiraAccessor",
    "activity",
    "best",
    "compare",
    "contributors",
    "cost_model_features",
    "draw_activity",
    "draw_distributions",
    "draw_drift",
    "draw_min_of_k",
    "draw_predictions",
    "draw_warm_up",
    "drift",
    "history",
    "legality",
    "min_of_k_error",
    "noise",
    "outliers",
    "runs",
    "scores",
    "speedups",
    "statistic",
    "times",
]
