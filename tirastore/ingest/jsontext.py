"""JSON with places: which line and column a value stands in, and large objects in small memory."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

from tirastore.ingest.entry import Place, Unreadable

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import TextIO

__all__ = ["Fragment", "JsonError", "find", "members"]

_DECODER = json.JSONDecoder()
_SPACE = re.compile(r"[ \t\n\r]*")
_PIECE = 1 << 20
#: No string or number is longer: an error this far before the end of what was read is no matter
#: of reading on.
_LONGEST = 1 << 24


class JsonError(Unreadable):
    """Text that is no JSON, or not the JSON that was expected."""


class Fragment(NamedTuple):
    """The text of a value, and where it begins."""

    text: str
    line: int = 1
    column: int = 1

    def position(self, offset: int) -> tuple[int, int]:
        """Return line and column of a character."""
        newlines = self.text.count("\n", 0, offset)
        if newlines:
            return self.line + newlines, offset - self.text.rindex("\n", 0, offset)
        return self.line, self.column + offset

    def at(self, offset: int) -> Place:
        """Return the place of a character."""
        return Place(*self.position(offset))

    def place(self, path: Sequence[str | int]) -> Place:
        """Return the place of the value that `path` leads to, or of the last one on the way."""
        return self.at(find(self.text, path))


def find(text: str, path: Sequence[str | int]) -> int:
    """Find a value in JSON text that could be decoded.

    Parameters
    ----------
    text : str
        The JSON text.
    path : sequence of str and int
        Names of members and positions of items on the way to the value.

    Returns
    -------
    int
        Offset of the value, or of the last value on the way that exists.

    Examples
    --------
    >>> text = '{"a": [1, {"b": 2}]}'
    >>> text[find(text, ["a", 1, "b"]):]
    '2}]}'
    """
    at = _space(text, 0)
    for step in path:
        inner = _child(text, at, step)
        if inner is None:
            break
        at = inner
    return at


def _child(text: str, at: int, step: str | int) -> int | None:
    if text[at] not in "[{" or (text[at] == "{") != isinstance(step, str):
        return None
    index, at = 0, _space(text, at + 1)
    while text[at] not in "]}":
        name: str | int = index
        if isinstance(step, str):
            name, at = _DECODER.raw_decode(text, at)
            at = _space(text, _space(text, at) + 1)
        if name == step:
            return at
        _, at = _DECODER.raw_decode(text, at)
        at = _space(text, at)
        if text[at] == ",":
            at = _space(text, at + 1)
        index += 1
    return None


def _space(text: str, at: int) -> int:
    match = _SPACE.match(text, at)
    return at if match is None else match.end()


def members(file: TextIO) -> Iterator[tuple[str, Any, Fragment]]:
    """Read one JSON object member by member; memory grows with the largest member only.

    Parameters
    ----------
    file : text file
        Holds one JSON object and nothing else.

    Yields
    ------
    tuple of (str, object, Fragment)
        Name and value of a member, and the value's text.

    Raises
    ------
    JsonError
        With the place.

    Examples
    --------
    >>> import io
    >>> [(name, value) for name, value, _ in members(io.StringIO('{"a": 1, "b": [2]}'))]
    [('a', 1), ('b', [2])]
    """
    window = _Window(file)
    window.expect("{", "a JSON object: '{'")
    if window.character() == "}":
        window.expect("}", "'}'")
        return window.expect_end()
    while True:
        if window.character() != '"':
            window.fail("the name of a program in double quotes")
        name, _ = window.value()
        window.expect(":", "':'")
        value, fragment = window.value()
        yield name, value, fragment
        if window.character() == "}":
            break
        window.expect(",", "',' or '}'")
    window.expect("}", "'}'")
    return window.expect_end()


class _Window:
    """The part of a file that is being decoded."""

    def __init__(self, file: TextIO) -> None:
        self.file = file
        self.text = ""
        self.at = 0
        #: An offset whose line and column are known: lines are counted once.
        self.known = 0
        self.line, self.column = 1, 1
        self.ended = False

    def position(self, offset: int) -> tuple[int, int]:
        """Return line and column of a character that is not before the known one."""
        between = Fragment(self.text[self.known : offset], self.line, self.column)
        return between.position(len(between.text))

    def advance(self, offset: int) -> None:
        """Make the place of a character known."""
        self.line, self.column = self.position(offset)
        self.known = offset

    def read_on(self) -> bool:
        """Take more of the file in, and forget what was decoded. ``False`` at its end."""
        rest = self.text[self.at :]
        # As much again as there is: a member is tried a logarithmic number of times.
        piece = "" if self.ended else self.file.read(max(_PIECE, len(rest)))
        if not piece:
            self.ended = True
            return False
        self.advance(self.at)
        self.text, self.at, self.known = rest + piece, 0, 0
        return True

    def character(self) -> str:
        """Return the next character that is no white space; nothing at the end of the file."""
        while True:
            self.at = _space(self.text, self.at)
            if self.at < len(self.text):
                return self.text[self.at]
            if not self.read_on():
                return ""

    def expect(self, character: str, name: str) -> None:
        if self.character() != character:
            self.fail(name)
        self.at += 1

    def expect_end(self) -> None:
        if self.character():
            self.fail("the end of the file")

    def fail(self, expected: str) -> NoReturn:
        found = repr(self.character()) if self.character() else "the end of the file"
        raise JsonError(Place(*self.position(self.at)), f"expected {expected}, got {found}")

    def value(self) -> tuple[Any, Fragment]:
        """Decode the next value."""
        while True:
            self.character()
            try:
                value, end = _DECODER.raw_decode(self.text, self.at)
            except json.JSONDecodeError as error:
                is_whole = error.pos < len(self.text) - _LONGEST
                if is_whole or not self.read_on():
                    raise JsonError(Place(*self.position(error.pos)), error.msg) from error
                continue
            except RecursionError as error:
                raise JsonError(Place(*self.position(self.at)), "nested too deeply") from error
            # A number may go on behind what was read; nothing else can.
            if end == len(self.text) and self.read_on():
                continue
            self.advance(self.at)
            fragment = Fragment(self.text[self.at : end], self.line, self.column)
            self.at = end
            return value, fragment
