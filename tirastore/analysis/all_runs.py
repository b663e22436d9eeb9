"""All runs of schedules: what their records have superseded, and what was appended to them."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import pandas as pd

if TYPE_CHECKING:
    from tirastore import TiraStore

__all__ = ["history"]

_COLUMNS = ["program_name", "program_hash", "schedule"]


def history(store: TiraStore, filters: Any = None) -> pd.DataFrame:
    """Read all runs of all schedules, or of some: what a search finds is the current run only.

    Every schedule is one call of :meth:`TiraStore.runs`, so that a large store wants `filters`.

    Parameters
    ----------
    store : TiraStore
        An open store.
    filters : list, optional
        Which records, as :meth:`TiraStore.search` takes them.

    Returns
    -------
    pandas.DataFrame
        A row for each run, oldest first: ``program_name``, ``program_hash``, ``schedule``, and the
        attributes of :class:`tirastore.Run`; ``date`` is a timestamp, ``environment`` JSON. It can
        be asked what a table of records can, such as :func:`drift` between hosts.

    Examples
    --------
    >>> for time in [1.5, 1.4]:
    ...     _ = store.record("mm", "void mm() {}", "", True, [time], overwrite=True)
    >>> history(store)[["program_name", "execution_times", "is_current"]]
      program_name execution_times  is_current
    0           mm           [1.5]       False
    1           mm           [1.4]        True
    """
    rows = [
        {**{name: pair[name] for name in _COLUMNS}, **asdict(run)}
        for pair in store.search(filters, columns=[*_COLUMNS, "source_code"])
        for run in store.runs(pair["program_name"], pair["source_code"], pair["schedule"])
    ]
    if not rows:
        return pd.DataFrame(columns=[*_COLUMNS, "execution_times", "hostname", "environment"])
    table = pd.DataFrame(rows)
    texts = [known and json.dumps(known, sort_keys=True) for known in table["environment"]]
    return table.assign(
        date=pd.to_datetime(table["date"], utc=True, format="ISO8601"),
        environment=pd.Series(texts, index=table.index, dtype=object),
    ).sort_values("date", ignore_index=True, kind="stable")
