"""All runs of a schedule, and where they were made."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tirastore.errors import CorruptRecordWarning

if TYPE_CHECKING:
    from tirastore import _core

__all__ = ["Historical", "Run"]


@dataclass(frozen=True, slots=True)
class Run:
    """One run of a schedule, as :meth:`TiraStore.runs` lists it.

    Attributes
    ----------
    is_legal : bool
        Does the schedule keep the program's meaning?
    execution_times : list of float or None
        Every time in order, in milliseconds.
    status : str
        As in :class:`~tirastore.LookupResult`.
    details : dict or None
        What was said beside it: ``bound`` of a timeout (seconds), ``message`` of a failure.
    hostname, username : str
        Where and by whom it was recorded.
    date : str
        When it was recorded: UTC, ISO 8601, by that host's clock.
    source_project : str
        The project it was recorded for.
    environment : dict or None
        What its times depend on, see :attr:`TiraStore.environment`; ``None`` where nobody has
        said, as in rows that the original TiraStore wrote.
    is_current : bool
        Is it the record, which a lookup returns?

    Examples
    --------
    >>> _ = store.record("mm", "void mm() {}", "", True, [1.5])
    >>> [run] = store.runs("mm", "void mm() {}", "")
    >>> run.execution_times, run.is_current, run.environment["unit"]
    ([1.5], True, 'ms')
    """

    is_legal: bool
    execution_times: list[float] | None
    status: str
    details: dict[str, Any] | None
    hostname: str
    username: str
    date: str
    source_project: str
    environment: dict[str, Any] | None
    is_current: bool


class Historical:
    """The methods of :class:`~tirastore.TiraStore` that tell how often and where it was run."""

    _core: _core.Store

    def runs(
        self, program_name: str, program_source_code: str, tiralib_schedule_string: str
    ) -> list[Run]:
        """Return all runs of a schedule, oldest first; parameters as :meth:`lookup`.

        They are the record, what it has superseded, and what was recorded beside it with
        ``if_exists="append"``. They are ordered by their dates, which are of the clocks of their
        hosts. What a client of the original TiraStore overwrites is lost.

        Returns
        -------
        list of Run
            Empty if it was never recorded, or was deleted.

        Warns
        -----
        CorruptRecordWarning
            Runs that cannot be decoded are left out.

        Examples
        --------
        >>> for time in [1.5, 1.4]:
        ...     _ = store.record("mm", "void mm() {}", "", True, [time], if_exists="overwrite")
        >>> [(run.execution_times, run.is_current) for run in store.runs("mm", "void mm() {}", "")]
        [([1.5], False), ([1.4], True)]
        """
        del program_name
        found, damaged = self._core.runs(program_source_code, tiralib_schedule_string)
        if damaged:
            causes = "; ".join(f"{key}: {cause}" for key, cause in damaged)
            message = f"{len(damaged)} damaged runs were left out: {causes}"
            warnings.warn(message, CorruptRecordWarning, stacklevel=2)
        return [Run(*fields) for fields in found]

    @property
    def environment(self) -> dict[str, Any]:
        """What the times that this store records depend on; every run names it.

        ``cpu_model``; ``cores`` that this process may use, by its affinity, its control group and
        ``SLURM_CPUS_PER_TASK``; ``threads``, from ``OMP_NUM_THREADS`` where it is set; ``kernel``;
        ``unit``, always ``"ms"``; and what the constructor's `environment` says, which counts
        where it says otherwise. It is what was true when the store was opened.

        ``lookup(..., environment="this")`` takes two environments for the same if `cpu_model`,
        `cores`, `threads`, `compiler` and `tiramisu` are equal, or missing in both.
        """
        return self._core.environment
