"""A hash of the content of a table that does not depend on how it is cut into batches."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["ContentHash"]


class ContentHash:
    """SHA-256 of rows in their order: of the values, not of a file format's bytes.

    Each column is hashed in parts of its own (which values there are, how long they are, and
    their bytes), so that batches are hashed as they come, without a copy for each row.

    Examples
    --------
    >>> whole, cut = ContentHash(), ContentHash()
    >>> table = pa.table({"a": ["x", None, "yz"], "b": [[1.0], [], [2.0, 3.0]]})
    >>> whole.update(table)
    >>> for row in range(3):
    ...     cut.update(table.slice(row, 1))
    >>> whole.hexdigest() == cut.hexdigest()
    True
    """

    def __init__(self) -> None:
        self._parts: dict[str, Any] = {}

    def update(self, table: Any) -> None:
        """Take the rows of a table in; all tables have the same columns."""
        for name in table.column_names:
            for chunk in table[name].chunks:
                self._array(f"{name}:{table.schema.field(name).type}", chunk)

    def _array(self, name: str, array: Any) -> None:
        if pa.types.is_dictionary(array.type):
            array = array.dictionary_decode()
        self._feed(f"{name}?", np.asarray(array.is_valid().cast(pa.uint8())))
        kind = array.type
        if pa.types.is_list(kind) or pa.types.is_large_list(kind):
            self._feed(f"{name}#", np.asarray(pc.list_value_length(array).fill_null(0)))
            self._array(f"{name}[]", array.flatten())
        elif pa.types.is_struct(kind):
            for index, child in enumerate(array.flatten()):
                self._array(f"{name}.{kind.field(index).name}", child)
        elif pa.types.is_string(kind) or pa.types.is_large_string(kind):
            array = array.cast(pa.large_string()).fill_null("")
            self._feed(f"{name}#", np.asarray(pc.binary_length(array)))
            _, offsets, data = array.buffers()
            ends = np.frombuffer(offsets, np.int64)[array.offset : array.offset + len(array) + 1]
            self._feed(name, np.frombuffer(data or b"", np.uint8)[ends[0] : ends[-1]])
        else:
            if pa.types.is_timestamp(kind):
                array = array.cast(pa.int64())
            elif pa.types.is_boolean(kind):
                array = array.cast(pa.uint8())
            self._feed(name, np.asarray(array.fill_null(0)))

    def _feed(self, part: str, values: Any) -> None:
        # As a little-endian machine holds them.
        data = np.ascontiguousarray(values, dtype=values.dtype.newbyteorder("<"))
        self._parts.setdefault(part, hashlib.sha256()).update(data)

    def hexdigest(self) -> str:
        """Return 64 hexadecimal digits."""
        return _of(f"{part}={digest.hexdigest()}" for part, digest in sorted(self._parts.items()))


def _of(lines: Iterable[str]) -> str:
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()
