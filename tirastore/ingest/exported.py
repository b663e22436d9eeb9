"""The export of the original and of this library: programs by name, each with its schedules."""

from __future__ import annotations

import json
from functools import partial
from typing import TYPE_CHECKING, Any

from tirastore.ingest.entry import Entry, NamedProgram, Origin, Place, Problem, measured
from tirastore.ingest.jsontext import Fragment, members
from tirastore.ingest.tables import Table, no_source

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import TextIO

    from tirastore.ingest.entry import Event, Field
    from tirastore.ingest.sources import Sources

__all__ = ["read_json", "read_lines"]

_NAMES: dict[Field | None, str] = {
    "schedule": "schedule_str",
    "is_legal": "is_legal",
    "execution_times": "execution_times",
    "status": "status",
}


def read_json(file: TextIO, sources: Sources) -> Iterator[Event]:
    """Read an export as one object; memory grows with the largest program only."""
    for name, program, text in members(file):
        yield from _program(name, program, text, (), sources)


def read_lines(file: TextIO, sources: Sources) -> Iterator[Event]:
    """Read JSON lines: an export with a program in each, or a measurement in each."""
    table = Table(sources)
    for number, ended in enumerate(file, 1):
        line = ended.rstrip("\n")
        if not line.strip():
            continue
        text = Fragment(line, number)
        try:
            value = json.loads(line)
        except json.JSONDecodeError as error:
            yield Problem(text.at(error.pos), error.msg)
            continue
        except RecursionError:
            yield Problem(Place(number), "nested too deeply")
            continue
        if not isinstance(value, dict):
            yield Problem(Place(number), "expected a JSON object in each line")
        elif all(isinstance(program, dict) for program in value.values()):
            for name, program in value.items():
                yield from _program(name, program, text, (name,), sources)
        else:
            yield from table.entry(value, partial(_place_of_column, text))


def _program(
    key: str, program: Any, text: Fragment, path: tuple[str, ...], sources: Sources
) -> Iterator[Event]:
    """Read one program, which `path` leads to in `text`."""
    if not isinstance(program, dict):
        yield Problem(text.place(path), f"the program {key!r} is not a JSON object")
        return
    name = program.get("program_name", key)
    source = program.get("Tiramisu_cpp", sources(str(name)))
    schedules = program.get("schedules_list")
    if source is None:
        yield Problem(text.place(path), no_source(key, "Tiramisu_cpp"))
        return
    if not isinstance(schedules, list):
        yield Problem(
            text.place((*path, "schedules_list")), f"the program {key!r} has no schedules_list"
        )
        return
    for index, schedule in enumerate(schedules):
        place = partial(_place, text, (*path, "schedules_list", index))
        if not isinstance(schedule, dict):
            yield Problem(place(None), "expected a JSON object")
            continue
        missing = [field for field in ("schedule_str", "is_legal") if field not in schedule]
        if missing:
            yield Problem(place(None), f"there is no {missing[0]}")
            continue
        yield Entry(
            measured(
                name,
                source,
                schedule["schedule_str"],
                schedule["is_legal"],
                schedule.get("execution_times"),
                schedule.get("status"),
                schedule.get("details"),
            ),
            place,
            Origin(),
        )
    further = program.get("further_names", [])
    names = further if isinstance(further, list) else []
    for other in names if schedules else [name, *names]:
        if isinstance(other, str) and isinstance(source, str):
            yield NamedProgram(other, source)


def _place_of_column(text: Fragment, column: str | None) -> Place:
    return text.place(() if column is None else (column,))


def _place(text: Fragment, path: tuple[str | int, ...], field: Field | None) -> Place:
    return text.place((*path, _NAMES[field]) if field in _NAMES else path)
