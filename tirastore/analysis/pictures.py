"""Pictures of a store: distributions, warm-up, noise, drift, predictions, activity."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axis import Axis, XAxis
from matplotlib.ticker import (
    FuncFormatter,
    LogLocator,
    MaxNLocator,
    NullFormatter,
    PercentFormatter,
)

from tirastore.analysis.comparison import drift
from tirastore.analysis.fastest import best
from tirastore.analysis.fleet import activity, fitting_period
from tirastore.analysis.spread import KS, min_of_k_error
from tirastore.analysis.tables import need, statistic, times

if TYPE_CHECKING:
    from collections.abc import Iterable

    import numpy.typing as npt
    from matplotlib.axes import Axes


__all__ = [
    "draw_activity",
    "draw_distributions",
    "draw_drift",
    "draw_min_of_k",
    "draw_predictions",
    "draw_warm_up",
]


def draw_distributions(table: pd.DataFrame, ax: Axes | None = None, programs: int = 12) -> Axes:
    """Draw the best times of all schedules, a line of points for each program.

    Parameters
    ----------
    table : pandas.DataFrame
        Records, with ``program_name``, ``program_hash``, ``schedule`` and ``execution_times``.
    ax : matplotlib.axes.Axes, optional
        Where to; default: a new figure.
    programs : int, default 12
        Only those with the most schedules.

    Returns
    -------
    matplotlib.axes.Axes
        What was drawn on. The unscheduled program is a diamond, the fastest schedule a star.

    Examples
    --------
    >>> import pandas as pd
    >>> table = pd.DataFrame({
    ...     "program_name": "mm", "program_hash": "a1", "schedule": ["", "R(L0,comps=['c'])"],
    ...     "execution_times": [[4.0, 4.1], [2.0]],
    ... })
    >>> draw_distributions(table).get_xlabel()
    'best execution time (ms, logarithmic)'
    """
    need(table, "program_name", "program_hash", "schedule")
    timed = table.assign(time=statistic(table)).dropna(subset="time")
    names = timed["program_name"].astype(str).value_counts().index[:programs]
    ax = ax or _new_axes(height=1.2 + 0.5 * len(names))
    shown = timed[timed["program_name"].isin(names)]
    rows = shown["program_name"].map({name: row for row, name in enumerate(names)}).astype(int)
    jitter = np.random.default_rng(0).uniform(-0.28, 0.28, len(shown))
    ax.scatter(shown["time"], rows + jitter, s=14, alpha=0.5, lw=0, label="a schedule")
    marks = {
        "unscheduled": (shown[shown["schedule"] == ""], "D", 46, "black"),
        "fastest": (best(shown), "*", 170, "tab:orange"),
    }
    for label, (marked, marker, size, colour) in marks.items():
        style: dict[str, Any] = {"marker": marker, "s": size, "color": colour}
        ax.scatter(marked["time"], rows[marked.index], label=label, ec="white", zorder=3, **style)
    ax.set_yticks(range(len(names)), names)
    ax.invert_yaxis()
    if len(shown):
        _logarithmic(ax.xaxis, (1.0, 2.0, 5.0))
    ax.set_xlabel("best execution time (ms, logarithmic)")
    ax.legend(ncols=3, loc="lower left", bbox_to_anchor=(0, 1), frameon=False)
    return _tidied(ax, "x")


def draw_warm_up(table: pd.DataFrame, ax: Axes | None = None, most_runs: int = 30) -> Axes:
    """Draw how much slower the first runs are than the best one.

    Parameters
    ----------
    table : pandas.DataFrame
        Records, with ``execution_times``.
    ax : matplotlib.axes.Axes, optional
        Where to; default: a new figure.
    most_runs : int, default 30
        Later runs are left out.

    Returns
    -------
    matplotlib.axes.Axes
        What was drawn on: the median of all records by run, and the middle half of them.

    Examples
    --------
    >>> import pandas as pd
    >>> table = pd.DataFrame({"execution_times": [[3.0, 2.0, 2.1], [1.5, 1.0]]})
    >>> draw_warm_up(table).get_xlabel()
    'run'
    """
    array = times(table)[:, :most_runs]
    array = array[(~np.isnan(array)).sum(axis=1) > 1]
    slower = pd.DataFrame(array).div(pd.DataFrame(array).min(axis="columns"), axis="index") - 1
    low, middle, high = (slower.quantile(q) for q in (0.25, 0.5, 0.75))
    ax = ax or _new_axes()
    runs = np.arange(len(middle)) + 1
    ax.fill_between(runs, low, high, alpha=0.25, lw=0, label="the middle half of all records")
    ax.plot(runs, middle, marker="o", ms=4, label="median record")
    ax.set_xlabel("run")
    ax.set_xlim(left=0.5)
    ax.set_ylabel("slower than the record's best run")
    ax.set_ylim(bottom=0)
    ax.yaxis.set_major_formatter(PercentFormatter(1.0))
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.legend(frameon=False)
    return _tidied(ax, "y")


def draw_min_of_k(table: pd.DataFrame, ax: Axes | None = None, ks: Iterable[int] = KS) -> Axes:
    """Draw how far off the best of the first k runs is.

    Parameters
    ----------
    table : pandas.DataFrame
        Records, with ``execution_times``.
    ax : matplotlib.axes.Axes, optional
        Where to; default: a new figure.
    ks : iterable of int, default (1, 2, 3, 5, 10, 20)
        Numbers of first runs.

    Returns
    -------
    matplotlib.axes.Axes
        What was drawn on: median and 90th percentile of :func:`min_of_k_error`.

    Examples
    --------
    >>> import pandas as pd
    >>> table = pd.DataFrame({"execution_times": [[3.0, 2.0, 2.1], [1.5, 1.0]]})
    >>> draw_min_of_k(table, ks=(1, 2)).get_xlabel()
    'first runs'
    """
    errors = min_of_k_error(table, ks).dropna(axis="columns", how="all")
    ax = ax or _new_axes()
    for quantile, label in ((0.9, "90th percentile"), (0.5, "median")):
        ax.plot(errors.columns, errors.quantile(quantile), marker="o", label=label)
    ax.set_xlabel("first runs")
    ax.set_ylabel("their best is slower than that of all runs")
    ax.set_ylim(bottom=0)
    ax.set_xticks(errors.columns)
    ax.yaxis.set_major_formatter(PercentFormatter(1.0))
    ax.legend(frameon=False)
    return _tidied(ax, "y")


def draw_drift(table: pd.DataFrame, ax: Axes | None = None, by: str = "hostname") -> Axes:
    """Draw how much slower some hosts are than another one.

    Parameters
    ----------
    table : pandas.DataFrame
        Records as :func:`drift` takes them.
    ax : matplotlib.axes.Axes, optional
        Where to; default: a new figure.
    by : str, default "hostname"
        What to compare.

    Returns
    -------
    matplotlib.axes.Axes
        What was drawn on: the ratio of each host, and its 95 % confidence interval.

    Examples
    --------
    >>> import pandas as pd
    >>> table = pd.DataFrame({
    ...     "program_hash": "a1", "schedule": "", "hostname": ["n1", "n2"],
    ...     "execution_times": [[4.0, 4.1], [5.0]],
    ... })
    >>> draw_drift(table).get_xlabel()
    'times relative to n1'
    """
    ratios = drift(table, by)
    reference = (ratios["ratio"] == 1.0).idxmax() if len(ratios) else "nobody"
    ax = ax or _new_axes(height=1.4 + 0.4 * len(ratios))
    rows = np.arange(len(ratios))
    half = np.abs(ratios[["low", "high"]].sub(ratios["ratio"], axis="index")).fillna(0.0)
    ax.errorbar(ratios["ratio"], rows, xerr=half.to_numpy().T, fmt="o", capsize=4)
    ax.axvline(1.0, color="0.6", lw=1)
    labels = [f"{name}\n{int(row.n_pairs)} pairs" for name, row in ratios.iterrows()]
    ax.set_yticks(rows, labels)
    ax.set_ylim(max(len(ratios), 1) - 0.5, -0.5)
    ax.set_xlabel(f"times relative to {reference}")
    return _tidied(ax, "x")


def draw_predictions(
    measured: npt.ArrayLike,
    predicted: npt.ArrayLike,
    program: npt.ArrayLike,
    ax: Axes | None = None,
) -> Axes:
    """Draw predicted speed-ups over measured ones.

    Parameters
    ----------
    measured, predicted : array-like
        Speed-ups of the same records, positive.
    program : array-like
        The program of each: one colour each.
    ax : matplotlib.axes.Axes, optional
        Where to; default: a new figure.

    Returns
    -------
    matplotlib.axes.Axes
        What was drawn on. On the diagonal, a prediction is right.

    Examples
    --------
    >>> draw_predictions([1.0, 2.0], [1.5, 1.9], ["mm", "mv"]).get_ylabel()
    'predicted speed-up'
    """
    table = pd.DataFrame({"x": np.asarray(measured), "y": np.asarray(predicted)})
    ax = ax or _new_axes(width=5.4, height=5)
    for name, rows in table.groupby(np.asarray(program)):
        ax.scatter(rows["x"], rows["y"], s=22, alpha=0.7, lw=0, label=name)
    low, high = table.min(axis=None) / 1.2, table.max(axis=None) * 1.2
    ax.plot([low, high], [low, high], color="0.6", lw=1, zorder=0)
    for axis in (ax.xaxis, ax.yaxis):
        _logarithmic(axis, (1.0, 3.0))
    ax.set(xlim=(low, high), ylim=(low, high))
    ax.set_aspect("equal")
    ax.set_xlabel("measured speed-up")
    ax.set_ylabel("predicted speed-up")
    ax.legend(frameon=False, bbox_to_anchor=(1, 1), loc="upper left")
    return _tidied(ax, "both")


def draw_activity(
    table: pd.DataFrame, ax: Axes | None = None, freq: str | None = None, by: str = "hostname"
) -> Axes:
    """Draw how many records were made in each period, and by whom.

    Parameters
    ----------
    table : pandas.DataFrame
        Records, with ``creation_date`` and the column `by`.
    ax : matplotlib.axes.Axes, optional
        Where to; default: a new figure.
    freq : str, optional
        Length of a period, as pandas names it; default: one that fits.
    by : str, default "hostname"
        Who.

    Returns
    -------
    matplotlib.axes.Axes
        What was drawn on: stacked steps, UTC.

    Examples
    --------
    >>> import pandas as pd
    >>> dates = pd.to_datetime(["2026-02-21 15:30", "2026-02-21 17:10"], utc=True)
    >>> table = pd.DataFrame({"creation_date": dates, "hostname": ["n1", "n2"]})
    >>> draw_activity(table, freq="1h").get_ylabel()
    'new records in 1h'
    """
    need(table, "creation_date")
    freq = freq or fitting_period(table["creation_date"])
    counts, width = activity(table, freq, by), pd.Timedelta(freq)
    ax = ax or _new_axes()
    bottom = np.zeros(len(counts))
    for name in counts.columns:
        ax.bar(counts.index, counts[name], width, bottom, align="edge", label=name)
        bottom += counts[name].to_numpy()
    ax.set_ylabel(f"new records in {freq}")
    ax.set_xlabel("UTC")
    if len(counts.columns):
        ax.legend(frameon=False, bbox_to_anchor=(1, 1), loc="upper left")
    ax.figure.autofmt_xdate()
    return _tidied(ax, "y")


def _new_axes(width: float = 8.0, height: float = 3.4) -> Axes:
    return plt.subplots(figsize=(width, height), layout="constrained")[1]


def _logarithmic(axis: Axis, labels: tuple[float, ...]) -> None:
    (axis.axes.set_xscale if isinstance(axis, XAxis) else axis.axes.set_yscale)("log")
    axis.set_major_locator(LogLocator(subs=labels))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


def _tidied(ax: Axes, grid: Literal["both", "x", "y"]) -> Axes:
    ax.grid(axis=grid, color="0.9")
    ax.set_axisbelow(True)
    ax.spines[["top", "right"]].set_visible(False)
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_minor_formatter(NullFormatter())
    return ax
