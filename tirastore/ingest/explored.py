"""``<function>_explored_schedules.json``: what Tiramisu's autoscheduler LOOPer tried of a program.

The file holds no source. Where none is given, the program's annotation as JSON in a fixed order
stands in for it: the same program is the same in every file, and no worker's lookup meets it.
"""

from __future__ import annotations

import json
from functools import partial
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from tirastore.ingest.entry import Entry, Origin, Place, Problem, measured
from tirastore.ingest.jsontext import Fragment, JsonError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import TextIO

    from tirastore.ingest.entry import Event, Field
    from tirastore.ingest.sources import Sources
    from tirastore.records import Measurement

__all__ = ["ENDING", "read"]

ENDING = "_explored_schedules"
#: A run that took too long is written as one time: this many times that of the unscheduled
#: program, rounded to single precision.
_LIMIT = 1000.0
_SINGLE_PRECISION = 1e-6

_NAMES: dict[Field | None, str] = {
    "schedule": "sched_str",
    "is_legal": "legality_check",
    "execution_times": "execution_times",
}


def read(file: TextIO, path: Path, sources: Sources) -> Iterator[Event]:
    """Read a file of LOOPer."""
    text = Fragment(file.read())
    try:
        explored = json.loads(text.text)
    except json.JSONDecodeError as error:
        raise JsonError(text.at(error.pos), error.msg) from error
    schedules = explored.get("schedules_list") if isinstance(explored, dict) else None
    if not isinstance(schedules, list):
        raise JsonError(text.place(["schedules_list"]), "there is no schedules_list")
    name = _program_name(explored, path)
    source = sources(name)
    if source is None:
        if "program_annotation" not in explored:
            raise JsonError(text.place([]), "there is no program_annotation")
        source = json.dumps(explored["program_annotation"], sort_keys=True, separators=(",", ":"))
    # A node that the file does not name is not the one that reads it.
    origin = Origin(hostname=str(explored.get("node_name") or ""))
    initial = explored.get("initial_execution_time")
    for index, entry in enumerate(schedules):
        place = partial(_place, text, index)
        if not isinstance(entry, dict) or "sched_str" not in entry:
            yield Problem(place(None), "expected a JSON object with a sched_str")
            continue
        is_legal = entry.get("legality_check", True)
        times = entry.get("execution_times")
        yield Entry(_measurement(name, source, entry, is_legal, times, initial), place, origin)


def _program_name(explored: dict[str, Any], path: Path) -> str:
    filename = explored.get("filename")
    stem = PurePosixPath(filename).stem if isinstance(filename, str) else path.stem
    return stem.removesuffix(ENDING)


def _measurement(
    name: str, source: str, entry: dict[str, Any], is_legal: Any, times: Any, initial: Any
) -> Measurement:
    """Make a measurement of an entry, in whose times other things may stand."""
    status, details = (None, None) if not is_legal else _no_time(times, initial)
    kept = times if status is None else None
    return measured(name, source, entry["sched_str"], is_legal, kept, status, details)


def _no_time(times: Any, initial: Any) -> tuple[str | None, dict[str, Any] | None]:
    """Return the status and details of a run that gave no times; ``None`` if it gave some."""
    if times is None:
        return "failed", {"message": "LOOPer wrote no times"}
    if not isinstance(times, list) or not all(isinstance(time, int | float) for time in times):
        return None, None
    if times and all(time < 0 for time in times):
        return "failed", {"message": f"LOOPer wrote {times} for times"}
    limit = _LIMIT * initial if isinstance(initial, int | float) else 0.0
    if len(times) == 1 and abs(times[0] - limit) < _SINGLE_PRECISION * limit:
        return "timeout", {"bound": limit / 1000}
    return None, None


def _place(text: Fragment, index: int, field: Field | None) -> Place:
    path: list[str | int] = ["schedules_list", index]
    return text.place([*path, _NAMES[field]] if field in _NAMES else path)
