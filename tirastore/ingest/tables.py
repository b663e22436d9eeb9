"""Tables with a measurement in each row: which column is which part of a measurement."""

from __future__ import annotations

import datetime as dt
import json
from typing import TYPE_CHECKING, Any

from tirastore.ingest.entry import Entry, Origin, Place, Problem, measured

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from tirastore.ingest.entry import Event
    from tirastore.ingest.sources import Sources

__all__ = ["Table", "columns_of", "no_source"]

#: Names of columns, the usual one first: those of ``store.search`` and of the API.
_COLUMNS = {
    "program_name": ("program_name",),
    "source": ("source_code", "program_source_code", "Tiramisu_cpp"),
    "schedule": ("schedule", "tiralib_schedule_string", "schedule_str"),
    "is_legal": ("is_legal",),
    "execution_times": ("execution_times",),
    "hostname": ("hostname",),
    "username": ("username",),
    "source_project": ("source_project",),
    "creation_date": ("creation_date",),
    "update_date": ("update_date",),
    "status": ("status",),
    "details": ("details",),
    "environment": ("environment",),
}
_REQUIRED = ("program_name", "schedule", "is_legal")


def columns_of(names: Iterable[str]) -> dict[str, str]:
    """Return which of the columns called `names` holds which part of a measurement.

    Raises
    ------
    ValueError
        One that is needed is missing; the text says which there are.

    Examples
    --------
    >>> columns_of(["program_name", "schedule_str", "is_legal"])["schedule"]
    'schedule_str'
    """
    there = list(names)
    found = {
        part: name for part, known in _COLUMNS.items() for name in known[::-1] if name in there
    }
    missing = [_COLUMNS[part][0] for part in _REQUIRED if part not in found]
    if missing:
        raise ValueError(
            f"there is no column {' and no column '.join(missing)}; "
            f"the columns are: {', '.join(there) or 'none'}"
        )
    return found


def no_source(program: str, column: str) -> str:
    """Return what to do about a program without its source."""
    return (
        f"the program {program!r} has no {column}; give the sources by name or a directory of "
        "them: sources="
    )


class Table:
    """Makes measurements of rows.

    Parameters
    ----------
    sources : callable
        Source by name, for rows that have none.
    text : bool
        All values are text, as in CSV.
    """

    def __init__(self, sources: Sources, *, text: bool = False) -> None:
        self._sources = sources
        self._text = text
        self._names: tuple[str, ...] = ()
        self._columns: dict[str, str] = {}

    def entry(
        self, row: Mapping[str, Any], place: Callable[[str | None], Place]
    ) -> Iterator[Event]:
        """Make a measurement of a row; `place` tells where a column of it stands."""
        names = tuple(row)
        if names != self._names:
            try:
                self._names, self._columns = names, columns_of(names)
            except ValueError as error:
                self._names = ()
                yield Problem(place(None), str(error))
                return
        columns = self._columns

        def value(part: str) -> Any:
            return row[columns[part]] if part in columns else None

        name, source = value("program_name"), value("source")
        if not source and (source := self._sources(str(name))) is None:
            yield Problem(place(columns.get("source")), no_source(str(name), "source_code"))
            return
        is_legal, times = value("is_legal"), value("execution_times")
        part = "is_legal"
        try:
            if self._text:
                is_legal = _verdict(is_legal)
                part = "execution_times"
                times = _times(times)
            part = "creation_date"
            created = _date(value(part))
            part = "update_date"
            updated = _date(value(part))
            part = "details"
            details = _object(value(part))
            part = "environment"
            environment = _object(value(part))
        except ValueError as error:
            yield Problem(place(columns[part]), str(error))
            return
        host, user, project = (
            None if (found := value(part)) is None else str(found)
            for part in ("hostname", "username", "source_project")
        )
        where = None if environment is None else json.dumps(environment)
        yield Entry(
            measured(
                name, source, value("schedule") or "", is_legal, times, value("status"), details
            ),
            lambda field: place(columns.get(field or "")),
            Origin(host, user, project, created, updated, where),
        )


def _verdict(text: str) -> bool:
    known = {"true": True, "1": True, "false": False, "0": False}
    if (verdict := known.get(text.strip().lower())) is None:
        raise ValueError(f"is_legal must be true, false, 1 or 0, got {text!r}")
    return verdict


def _times(text: str | None) -> list[float] | None:
    """Read ``[0.1, 0.2]``, ``0.1;0.2`` or ``0.1 0.2``; nothing means that there are none."""
    numbers = (text or "").strip().removeprefix("[").removesuffix("]")
    for separator in ",;":
        numbers = numbers.replace(separator, " ")
    try:
        return [float(number) for number in numbers.split()] or None
    except ValueError:
        raise ValueError(
            f"execution_times must be numbers of milliseconds such as [0.1, 0.2], got {text!r}"
        ) from None


def _date(value: Any) -> str | None:
    """Return a date as stores hold it; one without a zone is UTC."""
    if value is None or value == "":
        return None
    if isinstance(value, str):
        try:
            value = dt.datetime.fromisoformat(value)
        except ValueError:
            raise ValueError(f"expected a date of ISO 8601, got {value!r}") from None
    if not isinstance(value, dt.datetime):
        raise ValueError(f"expected a date, got {value!r}")  # noqa: TRY004 -- of a file
    zoned = value if value.tzinfo is not None else value.replace(tzinfo=dt.UTC)
    return zoned.astimezone(dt.UTC).isoformat()


def _object(value: Any) -> dict[str, Any] | None:
    """Return a JSON object, which may be given as its text."""
    if value is None or value == "":
        return None
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError as error:
            raise ValueError(f"expected a JSON object, got {value!r}: {error}") from None
    if not isinstance(value, dict):
        raise ValueError(f"expected a JSON object, got {value!r}")  # noqa: TRY004 -- of a file
    return value
