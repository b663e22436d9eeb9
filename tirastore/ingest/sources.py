"""Sources of programs that a file of measurements names but does not hold."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

__all__ = ["Sources", "sources_of"]

#: Answers the source of a program by its name, or ``None``.
Sources = Callable[[str], str | None]
_ENDINGS = ("_generator.cpp", ".cpp")


def sources_of(given: Mapping[str, str] | str | Path | None) -> Sources:
    """Make a lookup of a mapping from names to sources, or of a directory of generators.

    Parameters
    ----------
    given : mapping of str to str, str, Path or None
        Sources by name, or a directory that holds ``<name>_generator.cpp`` or ``<name>.cpp``.

    Returns
    -------
    callable
        From a name to a source or ``None``.

    Raises
    ------
    NotADirectoryError
        The path is no directory.

    Examples
    --------
    >>> sources_of({"mm": "void mm() {}"})("mm")
    'void mm() {}'
    >>> sources_of(None)("mm") is None
    True
    """
    if given is None:
        return lambda _name: None
    if isinstance(given, Mapping):
        return given.get
    directory = Path(given).expanduser()
    if not directory.is_dir():
        raise NotADirectoryError(f"sources: {directory} is no directory")
    known: dict[str, str | None] = {}

    def read(name: str) -> str | None:
        if name not in known:
            # The name of a program is no path: one with a slash must not lead out of the directory.
            files = [] if "/" in name else [directory / f"{name}{end}" for end in _ENDINGS]
            found = next((file for file in files if file.is_file()), None)
            known[name] = None if found is None else found.read_text("utf-8")
        return known[name]

    return read
