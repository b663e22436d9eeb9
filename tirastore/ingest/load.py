"""Reading a file of measurements into a store."""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

from tirastore.errors import IngestError
from tirastore.ingest.entry import Entry, NamedProgram, Place, Problem, Unreadable
from tirastore.ingest.formats import FORMATS, guess, read
from tirastore.ingest.sources import sources_of
from tirastore.progress import progress
from tirastore.reports import ImportReport
from tirastore.schedules import make_program_hash

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from tirastore import _core
    from tirastore.ingest.entry import Event, Field
    from tirastore.ingest.formats import Format

__all__ = ["ingest"]

#: Measurements that are written in one transaction: few enough that a lock is held for a moment.
_CHUNK = 1000
#: Problems that a report describes; all are counted.
_DESCRIBED = 100
#: What a cause begins with, and which part of a measurement it is about.
_ABOUT: tuple[tuple[str, Field], ...] = (
    ("Invalid schedule", "schedule"),
    ("tiralib_schedule_string", "schedule"),
    ("is_legal", "is_legal"),
    ("execution_times", "execution_times"),
    ("program_source_code", "source"),
    ("status", "status"),
)


def ingest(
    core: _core.Store,
    path: Path,
    format: Format | None,  # noqa: A002 -- the parameter of TiraStore.ingest
    on_error: str,
    sources: Mapping[str, str] | str | Path | None,
) -> ImportReport:
    """Read `path` into the store; see :meth:`tirastore.TiraStore.ingest`."""
    if format is not None and format not in FORMATS:
        raise ValueError(f"format must be one of {', '.join(FORMATS)}, got {format!r}")
    if on_error not in ("raise", "skip"):
        raise ValueError(f"on_error must be 'raise' or 'skip', got {on_error!r}")
    loading = _Loading(core, path, stops=on_error == "raise")
    kind = format or guess(path)
    with (
        read(path, kind, sources_of(sources)) as (events, file),
        progress(f"reading {path.name}", path.stat().st_size) as done,
    ):
        loading.take_in(events, lambda: done(file.tell()))
    return loading.report()


class _Loading:
    """One file on its way into a store."""

    def __init__(self, core: _core.Store, path: Path, *, stops: bool) -> None:
        self.core = core
        self.path = path
        self.stops = stops
        self.waiting: list[Entry] = []
        self.programs: set[NamedProgram] = set()
        self.read = self.written = self.skipped = 0
        self.errors: list[str] = []

    def take_in(self, events: Iterator[Event], show: Callable[[], None]) -> None:
        """Write what is read, in chunks."""
        try:
            for event in events:
                match event:
                    case Entry():
                        self.read += 1
                        self.waiting.append(event)
                        if len(self.waiting) >= _CHUNK:
                            self.write()
                            show()
                    case NamedProgram():
                        self.programs.add(event)
                    case Problem(place, cause):
                        self.read += 1
                        self.write()
                        self.refuse(place, cause)
        except Unreadable as error:
            # Nothing behind it can be read: no matter of skipping.
            self.write()
            self.fail(error.place, str(error))
        self.write()
        show()

    def write(self) -> None:
        """Write what waits, then the names that programs have besides."""
        waiting, self.waiting = self.waiting, []
        if waiting:
            written, refused = self.core.adopt(
                [entry.measurement for entry in waiting], [entry.origin for entry in waiting]
            )
            self.written += written
            for index, cause in refused:
                about = next((field for start, field in _ABOUT if cause.startswith(start)), None)
                self.refuse(waiting[index].place(about), cause)
        programs, self.programs = self.programs, set()
        for name, source in sorted(programs):
            program_hash = make_program_hash(source)
            known = self.core.get_program_source(name)
            if all(program_hash != of_known for of_known, *_ in known):
                self.core.put_program(program_hash, name, source)

    def refuse(self, place: Place, cause: str) -> None:
        if self.stops:
            self.fail(place, cause)
        self.skipped += 1
        if len(self.errors) < _DESCRIBED:
            self.errors.append(f"{place.in_file(self.path)}: {cause}")

    def fail(self, place: Place, cause: str) -> NoReturn:
        message = f"{place.in_file(self.path)}: {cause}"
        raise IngestError(message, self.path, place.line, place.column)

    def report(self) -> ImportReport:
        there = self.read - self.written - self.skipped
        return ImportReport(self.read, self.written, there, self.skipped, tuple(self.errors))
