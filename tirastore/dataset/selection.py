"""Which records become rows of a data set, and their label."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tirastore.dataset.noise import best_two, is_noisy

if TYPE_CHECKING:
    import numpy.typing as npt

__all__ = ["REASONS", "SMALLEST_SPEEDUP", "Selection"]

#: Why records are left out, in the order in which it is asked.
REASONS = ("illegal", "without_times", "bad_times", "too_few_runs", "noisy", "without_initial")
#: The label's floor: how slow a schedule is beyond that teaches nothing.
SMALLEST_SPEEDUP = 0.01


@dataclass(frozen=True, slots=True)
class Selection:
    """The rules by which records become rows.

    Attributes
    ----------
    min_runs : int
        Records with fewer runs are left out.
    noise_filter : bool
        Leave out records whose best time cannot be believed.

    Examples
    --------
    >>> table = pa.table({
    ...     "program_hash": ["a", "a", "a"],
    ...     "schedule": ["", "P", "R"],
    ...     "is_legal": [True, True, False],
    ...     "execution_times": pa.array([[4.0], [2.0, 2.1], None], pa.list_(pa.float64())),
    ... })
    >>> rows, dropped = Selection(1, True).apply(table)
    >>> rows["speedup"].to_pylist(), dropped["illegal"]
    ([1.0, 2.0], 1)
    """

    min_runs: int
    noise_filter: bool

    def apply(self, records: Any) -> tuple[Any, dict[str, int]]:
        """Choose and label records.

        Parameters
        ----------
        records : pyarrow.Table
            All records of some programs, sorted by ``program_hash``, with ``schedule``,
            ``is_legal`` and ``execution_times``.

        Returns
        -------
        tuple of (pyarrow.Table, dict of str to int)
            The rows, with ``n_runs``, ``min_time``, ``initial_time`` (milliseconds) and
            ``speedup`` behind the columns of `records`; and how many records were left out, by
            each of `REASONS`.
        """
        times = best_two(_one(records["execution_times"]))
        why_not = np.full(len(records), -1, dtype=np.int8)

        def leave_out(where: npt.NDArray[np.bool_], reason: str) -> None:
            why_not[(why_not < 0) & where] = REASONS.index(reason)

        leave_out(~_numpy(records["is_legal"]), "illegal")
        leave_out(times.runs == 0, "without_times")
        leave_out(~(np.isfinite(times.best) & (times.best > 0)), "bad_times")
        leave_out(times.runs < self.min_runs, "too_few_runs")
        if self.noise_filter:
            leave_out(is_noisy(times), "noisy")
        # An initial time that is not good enough for a row is none to compare others with.
        is_initial = _numpy(pc.equal(records["schedule"], "")) & (why_not < 0)
        initial = _spread(times.best, is_initial, _segments(records["program_hash"]))
        leave_out(np.isnan(initial), "without_initial")
        counts = np.bincount(why_not[why_not >= 0], minlength=len(REASONS))
        kept = np.flatnonzero(why_not < 0)
        best = times.best[kept]
        speedup = np.maximum(initial[kept] / best, SMALLEST_SPEEDUP)
        rows = records.take(pa.array(kept))
        for name, values in (
            ("n_runs", times.runs[kept]),
            ("min_time", best),
            ("initial_time", initial[kept]),
            ("speedup", speedup),
        ):
            rows = rows.append_column(name, pa.array(values))
        return rows, dict(zip(REASONS, counts.tolist(), strict=True))


def _one(column: Any) -> Any:
    """Return a chunked column as one array."""
    combined = column.combine_chunks()
    return combined if isinstance(combined, pa.Array) else pa.concat_arrays(combined.chunks)


def _numpy(column: Any) -> npt.NDArray[np.bool_]:
    return np.asarray(_one(column).cast(pa.uint8())).astype(np.bool_)


def _segments(hashes: Any) -> npt.NDArray[np.int64]:
    """Return the number of each row's program, from 0 on; rows are sorted."""
    codes = np.asarray(_one(hashes).dictionary_encode().indices)
    changes = np.ones(len(codes), dtype=np.int64)
    changes[1:] = codes[1:] != codes[:-1]
    return np.cumsum(changes) - 1


def _spread(
    values: npt.NDArray[np.float64],
    where: npt.NDArray[np.bool_],
    segments: npt.NDArray[np.int64],
) -> npt.NDArray[np.float64]:
    """Give every row the value that its segment has `where` it holds; NaN if nowhere."""
    of_segment = np.full(int(segments[-1]) + 1 if len(segments) else 0, np.nan)
    of_segment[segments[where]] = values[where]
    return of_segment[segments]
