"""Which schedules are fast: speed-ups, and the best of each program."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tirastore.analysis.tables import Statistic, need, statistic

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["best", "speedups", "unscheduled_times"]


def speedups(table: pd.DataFrame, stat: Statistic = "min") -> pd.Series:
    """Return how many times faster each record is than its program without a schedule.

    Parameters
    ----------
    table : pandas.DataFrame
        Records, with ``program_hash``, ``schedule`` and ``execution_times``. The unscheduled
        program, whose schedule is ``""``, has to be among them.
    stat : {"min", "median", "mean"}, default "min"
        What stands for all runs of a record.

    Returns
    -------
    pandas.Series
        Ratios, with the index of `table`; NaN where either time is missing.

    Examples
    --------
    >>> import pandas as pd
    >>> table = pd.DataFrame({
    ...     "program_hash": ["a1", "a1", "b2"],
    ...     "schedule": ["", "R(L0,comps=['c'])", "R(L0,comps=['c'])"],
    ...     "execution_times": [[4.0, 5.0], [2.0], [1.0]],
    ... })
    >>> speedups(table).tolist()
    [1.0, 2.0, nan]
    """
    return (unscheduled_times(table, stat) / statistic(table, stat)).rename("speedup")


def unscheduled_times(table: pd.DataFrame, stat: Statistic = "min") -> pd.Series:
    """Return for each record the time of its program without a schedule.

    Parameters
    ----------
    table : pandas.DataFrame
        Records, with ``program_hash``, ``schedule`` and ``execution_times``.
    stat : {"min", "median", "mean"}, default "min"
        What stands for all runs of a record.

    Returns
    -------
    pandas.Series
        Milliseconds, with the index of `table`; NaN where it was not measured.

    Examples
    --------
    >>> import pandas as pd
    >>> unscheduled_times(pd.DataFrame({
    ...     "program_hash": ["a1", "a1", "b2"],
    ...     "schedule": ["", "R(L0,comps=['c'])", "R(L0,comps=['c'])"],
    ...     "execution_times": [[4.0, 5.0], [2.0], [1.0]],
    ... })).tolist()
    [4.0, 4.0, nan]
    """
    need(table, "program_hash", "schedule")
    unscheduled = table["schedule"] == ""
    program = table["program_hash"]
    time = statistic(table[unscheduled], stat)
    base = time.groupby(program[unscheduled], observed=True).min()
    return program.map(base).astype(float).rename("unscheduled")


def best(table: pd.DataFrame, k: int = 1, stat: Statistic = "min") -> pd.DataFrame:
    """Return the fastest records of each program.

    Parameters
    ----------
    table : pandas.DataFrame
        Records, with ``program_hash``, ``schedule`` and ``execution_times``.
    k : int, default 1
        How many of each program.
    stat : {"min", "median", "mean"}, default "min"
        What stands for all runs of a record.

    Returns
    -------
    pandas.DataFrame
        At most `k` rows of `table` for each program, the fastest first, with ``time`` (the
        statistic, milliseconds) and ``speedup``. Programs are in the order of `table`.

    Examples
    --------
    >>> import pandas as pd
    >>> table = pd.DataFrame({
    ...     "program_hash": ["a1", "a1", "b2"],
    ...     "schedule": ["", "R(L0,comps=['c'])", ""],
    ...     "execution_times": [[4.0], [2.0], [1.0]],
    ... })
    >>> best(table)[["program_hash", "schedule", "time", "speedup"]]
      program_hash           schedule  time  speedup
    1           a1  R(L0,comps=['c'])   2.0      2.0
    2           b2                      1.0      1.0
    """
    timed = table.assign(time=statistic(table, stat), speedup=speedups(table, stat))
    timed = timed.dropna(subset="time").sort_values("time", kind="stable")
    programs = {program: place for place, program in enumerate(table["program_hash"].unique())}
    fastest = timed.groupby("program_hash", observed=True, sort=False).head(k)
    order = fastest["program_hash"].map(programs).astype(int)
    return fastest.loc[order.sort_values(kind="stable").index]
