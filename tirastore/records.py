"""What goes into a store and what comes out of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Literal

    import numpy as np
    import numpy.typing as npt

    #: Execution times in milliseconds: a list, a tuple or a one-dimensional array of numbers.
    ExecutionTimes = Sequence[float] | npt.NDArray[np.number[Any]]

    #: What became of measuring a schedule, see :class:`LookupResult`.
    Status = Literal["measured", "illegal", "unmeasured", "timeout", "failed"]

    #: What recording does with a record that is there, see :meth:`TiraStore.record`.
    IfExists = Literal["keep", "overwrite", "append"]

__all__ = ["LookupResult", "Measurement"]


@dataclass(slots=True)
class LookupResult:
    """A recorded measurement, as :meth:`TiraStore.lookup` returns it.

    Attributes
    ----------
    is_legal : bool
        Does the schedule keep the program's meaning?
    execution_times : list of float or None
        Every run in order, in milliseconds. Rows that the original TiraStore wrote may hold NaN.
    schedule : str
        Normal form of the schedule.
    hostname, username : str
        Where and by whom it was recorded.
    creation_date, update_date : str
        When it was first recorded and last overwritten: UTC, ISO 8601.
    source_project : str
        The project it was recorded for.
    status : {"measured", "illegal", "unmeasured", "timeout", "failed"}
        What became of it: it was timed; it is illegal; it is legal, and was never timed, ran for
        longer than a bound, or could not be compiled or run. Where nobody has said, it follows
        from `is_legal` and `execution_times`.
    details : dict or None
        What was said beside it: ``bound`` of a timeout (seconds), ``message`` of a failure, and
        whatever else the measurer knew.

    Examples
    --------
    >>> result = LookupResult(
    ...     True, [0.042], "", "node01", "ada", "2026-02-21T15:30:12+00:00",
    ...     "2026-02-21T15:30:12+00:00", "",
    ... )
    >>> min(result.execution_times), result.status
    (0.042, 'measured')
    """

    is_legal: bool
    execution_times: list[float] | None
    schedule: str
    hostname: str
    username: str
    creation_date: str
    update_date: str
    source_project: str
    status: str = ""
    details: dict[str, Any] | None = None

    def __post_init__(self) -> None:
        """Derive the status where none is given."""
        if not self.status:
            self.status = (
                ("measured" if self.execution_times else "unmeasured")
                if self.is_legal
                else "illegal"
            )

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as a dict, in their order.

        Returns
        -------
        dict
            Field name to value.

        Examples
        --------
        >>> LookupResult(False, None, "", "n", "u", "", "", "p").to_dict()["is_legal"]
        False
        """
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass(frozen=True, slots=True)
class Measurement:
    """One measurement for :meth:`TiraStore.record_batch`.

    Attributes
    ----------
    program_name : str
        Name of the program.
    program_source_code : str
        Its Tiramisu C++ generator.
    tiralib_schedule_string : str
        The schedule, in any spelling; ``""`` is the unscheduled program.
    is_legal : bool
        Does the schedule keep the program's meaning?
    execution_times : sequence of float or None
        Every run in order, in milliseconds; required where `is_legal`, unless `status` says why
        there are none.
    status : {"measured", "illegal", "unmeasured", "timeout", "failed"}, optional
        As :meth:`TiraStore.record`.
    details : dict, optional
        As :meth:`TiraStore.record`.

    Examples
    --------
    >>> Measurement("blur", "void blur() {}", "R(L0,comps=['c1'])", False)
    Measurement(program_name='blur', ..., is_legal=False, execution_times=None, ...)
    """

    program_name: str
    program_source_code: str
    tiralib_schedule_string: str
    is_legal: bool
    execution_times: ExecutionTimes | None = None
    status: Status | None = None
    details: dict[str, Any] | None = None


def choose_if_exists(overwrite: bool, if_exists: IfExists | None) -> str:
    """Return what to do with a record that is there, from the original's parameter and ours."""
    if if_exists is None:
        return "overwrite" if overwrite else "keep"
    if overwrite and if_exists != "overwrite":
        raise ValueError(f"overwrite=True contradicts if_exists={if_exists!r}; give one of them")
    return if_exists
