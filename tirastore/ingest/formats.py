"""The formats that can be read, and which one a file has."""

from __future__ import annotations

import contextlib
import io
import json
import re
from typing import TYPE_CHECKING, Any, Literal, get_args

from tirastore.ingest import columnar, delimited, explored, exported

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tirastore.ingest.entry import Event
    from tirastore.ingest.sources import Sources

__all__ = ["FORMATS", "Format", "guess", "read"]

Format = Literal["json", "jsonl", "explored", "csv", "tsv", "parquet", "arrow"]
FORMATS: tuple[Format, ...] = get_args(Format)

_ENDINGS: dict[str, Format] = {
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".csv": "csv",
    ".tsv": "tsv",
    ".parquet": "parquet",
    ".arrow": "arrow",
    ".feather": "arrow",
}
_MAGIC: dict[bytes, Format] = {
    b"PAR1": "parquet",
    b"ARROW1": "arrow",
    b"\xff\xff\xff\xff": "arrow",
}
_STORE = b"SQLite format 3\0"
_BEGINNING = 1 << 16
#: A JSON object whose first member is an object is an export: programs by name.
_OBJECT_OF_OBJECTS = re.compile(r'\s*\{\s*(\}|"(?:[^"\\]|\\.)*"\s*:\s*\{)')


def guess(path: Path) -> Format:
    """Return the format of a file, by its beginning and its name.

    Raises
    ------
    ValueError
        It is a store, or no format fits; the text says what to do.
    """
    with path.open("rb") as file:
        beginning = file.read(_BEGINNING)
    if beginning.startswith(_STORE):
        raise ValueError(f"{path} is a store, not a file of measurements: use merge()")
    for magic, name in _MAGIC.items():
        if beginning.startswith(magic):
            return name
    if path.suffix.lower() in _ENDINGS:
        return _ENDINGS[path.suffix.lower()]
    text = beginning.decode("utf-8-sig", "replace")
    if text.lstrip().startswith("{"):
        return _guess_json(path, text)
    raise ValueError(
        f"{path}: cannot tell its format by its name or content; name it: format= one of "
        f"{', '.join(FORMATS)}"
    )


def _guess_json(path: Path, beginning: str) -> Format:
    line, newline, rest = beginning.partition("\n")
    if newline and rest.strip():
        # More text behind a first line that is an object of its own.
        with contextlib.suppress(ValueError, RecursionError):
            json.loads(line)
            return "jsonl"
    if path.stem.endswith(explored.ENDING) or not _OBJECT_OF_OBJECTS.match(beginning):
        return "explored"
    return "json"


@contextlib.contextmanager
def read(path: Path, kind: Format, sources: Sources) -> Iterator[tuple[Iterator[Event], Any]]:
    """Open a file; answer what is in it, and a file object that tells how far it is read."""
    # Bytes that are no UTF-8 become lone surrogates: the measurement that holds them is refused
    # with its place, and the others are read.
    with path.open("rb") as file:
        newline = "" if kind in ("csv", "tsv") else None
        text = io.TextIOWrapper(file, "utf-8-sig", "surrogateescape", newline)
        match kind:
            case "json":
                events = exported.read_json(text, sources)
            case "jsonl":
                events = exported.read_lines(text, sources)
            case "explored":
                events = explored.read(text, path, sources)
            case "csv" | "tsv":
                events = delimited.read(text, sources, "," if kind == "csv" else "\t")
            case "parquet" | "arrow":
                events = columnar.read(path, sources, kind)
        yield events, file
        text.detach()
