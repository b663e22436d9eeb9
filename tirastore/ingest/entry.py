"""What a file of measurements is read as: measurements, further names, and what is wrong."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from tirastore.records import Measurement

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "Entry",
    "Event",
    "NamedProgram",
    "Origin",
    "Place",
    "Problem",
    "Unreadable",
    "measured",
]

#: The part of a measurement that a cause is about.
Field = Literal["source", "schedule", "is_legal", "execution_times", "status"]


class Place(NamedTuple):
    """Where something stands in a file."""

    #: Line, or row of a file that has no lines, from 1.
    line: int
    #: Character in the line, from 1, or the name of a column.
    column: int | str | None = None
    unit: Literal["line", "row"] = "line"

    def in_file(self, path: object) -> str:
        """Return the place as editors and compilers write it."""
        where = f"{path}:{self.line}" if self.unit == "line" else f"{path}: row {self.line}"
        match self.column:
            case None:
                return where
            case int():
                return f"{where}:{self.column}"
            case name:
                return f"{where}, column {name}"


class Origin(NamedTuple):
    """Where a measurement comes from; what a file does not say is ``None``."""

    hostname: str | None = None
    username: str | None = None
    source_project: str | None = None
    creation_date: str | None = None
    update_date: str | None = None
    #: A JSON object.
    environment: str | None = None


@dataclass(slots=True)
class Entry:
    """One measurement of a file."""

    measurement: Measurement
    #: Finds the place of a part, or of all of it. Only asked where something is wrong: finding
    #: places costs more than reading.
    place: Callable[[Field | None], Place]
    origin: Origin


class NamedProgram(NamedTuple):
    """A program that has no measurement, or a further name of one that has some."""

    program_name: str
    program_source_code: str


class Problem(NamedTuple):
    """Something in a file that is no measurement."""

    place: Place
    cause: str


class Unreadable(ValueError):  # noqa: N818 -- as users get it, it is an IngestError
    """From some place of a file on nothing can be read."""

    def __init__(self, place: Place, cause: str) -> None:
        super().__init__(cause)
        self.place = place


Event = Entry | NamedProgram | Problem


def measured(
    name: Any,
    source: Any,
    schedule: Any,
    is_legal: Any,
    times: Any,
    status: Any = None,
    details: Any = None,
) -> Measurement:
    """Make a measurement of what a file says, which is checked when it is recorded.

    A legal schedule that a file lists without times was not measured.
    """
    if not status and not times and is_legal in (True, 1):
        status, times = "unmeasured", None
    return Measurement(name, source, schedule, is_legal, times, status or None, details)
