"""Schedules as numbers, for a cost model."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from tirastore.analysis.fastest import unscheduled_times
from tirastore.analysis.tables import need

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["cost_model_features"]

#: Every kind of transformation, tilings of any size as one: the same columns for every store.
_KINDS = ("I", "R", "P", "S", "T", "U", "F", "D", "E", "M", "Sh")
_TILINGS = ("T1", "T2", "T3", "TG")


def cost_model_features(table: pd.DataFrame) -> pd.DataFrame:
    """Describe each schedule by numbers that are known before it is measured.

    Parameters
    ----------
    table : pandas.DataFrame
        Records, with ``features`` (the transformations of the schedule, which
        ``store.search(columns=...)`` returns on request), ``program_hash``, ``schedule`` and
        ``execution_times``.

    Returns
    -------
    pandas.DataFrame
        Floats, with the index of `table`; NaN for schedules in another notation than TiraLib's.

        ``unscheduled``
            Base-2 logarithm of the unscheduled program's best time in milliseconds; NaN where it
            was not measured.
        ``n_I``, ``n_R``, ... ``n_Sh``
            How often each kind of transformation occurs; ``n_T`` counts tilings of any size.
        ``n_comps``
            How many computations the schedule names.
        ``parallel_level``
            Outermost parallel loop; -1 where none is.
        ``tiled_levels``, ``tile_volume``
            How many loops are tiled, and the base-2 logarithm of the product of the tile sizes.
        ``unroll``
            Base-2 logarithm of the product of the unrolling factors.
        ``skew``
            Sum of the absolute skewing factors.

    Examples
    --------
    >>> import pandas as pd
    >>> step = {"kind": "P", "levels": [1], "factors": [], "comps": ["c"]}
    >>> table = pd.DataFrame({
    ...     "program_hash": ["a1", "a1"], "schedule": ["", "P(L1,comps=['c'])"],
    ...     "execution_times": [[4.0], [2.0]], "features": [[], [step]],
    ... })
    >>> cost_model_features(table)[["unscheduled", "n_P", "parallel_level"]]
       unscheduled  n_P  parallel_level
    0          2.0  0.0            -1.0
    1          2.0  1.0             1.0
    """
    need(table, "features")
    described = pd.DataFrame([_described(steps) for steps in table["features"]], index=table.index)
    described.insert(0, "unscheduled", np.log2(unscheduled_times(table)))
    return described.astype(float)


def _described(steps: Iterable[Mapping[str, Any]] | None) -> dict[str, float]:
    if steps is None:
        return dict.fromkeys(_described([]), np.nan)
    kinds = [("T" if step["kind"] in _TILINGS else step["kind"], step) for step in steps]
    levels, factors = defaultdict[str, list[int]](list), defaultdict[str, list[int]](list)
    for kind, step in kinds:
        levels[kind].extend(step["levels"])
        factors[kind].extend(step["factors"])
    counts = Counter(kind for kind, _ in kinds)
    return {
        **{f"n_{kind}": counts[kind] for kind in _KINDS},
        "n_comps": len({comp for _, step in kinds for comp in step["comps"]}),
        "parallel_level": min(levels["P"], default=-1),
        "tiled_levels": len(levels["T"]),
        "tile_volume": np.log2(np.maximum(factors["T"], 1)).sum(),
        "unroll": np.log2(np.maximum(factors["U"], 1)).sum(),
        "skew": np.abs(factors["S"]).sum(),
    }
