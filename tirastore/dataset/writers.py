"""Rows of a data set in files: Parquet, JSON lines and CSV."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Literal, Protocol, get_args

import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

__all__ = ["FORMATS", "Format", "Writer", "open_writer"]

Format = Literal["parquet", "jsonl", "csv"]
FORMATS: tuple[Format, ...] = get_args(Format)


class Writer(Protocol):
    """A file that rows are added to."""

    def write(self, table: Any) -> None:
        """Add the rows of a table."""

    def close(self) -> None:
        """Finish the file."""


def open_writer(path: Path, kind: Format, schema: Any) -> Writer:
    """Begin a file of rows with this schema."""
    match kind:
        case "parquet":
            return _Parquet(path, schema)
        case "jsonl":
            return _JsonLines(path)
        case "csv":
            return _Csv(path, schema)


class _Parquet:
    def __init__(self, path: Path, schema: Any) -> None:
        self._writer = pq.ParquetWriter(path, schema)

    def write(self, table: Any) -> None:
        self._writer.write_table(table)

    def close(self) -> None:
        self._writer.close()


class _JsonLines:
    def __init__(self, path: Path) -> None:
        self._file = path.open("w", encoding="utf-8")

    def write(self, table: Any) -> None:
        for row in table.to_pylist():
            self._file.write(_json(row) + "\n")

    def close(self) -> None:
        self._file.close()


class _Csv:
    """Lists and structures are JSON in their fields."""

    def __init__(self, path: Path, schema: Any) -> None:
        self._nested = [field.name for field in schema if pa.types.is_nested(field.type)]
        self._writer = pa_csv.CSVWriter(path, self._flat(schema.empty_table()).schema)

    def write(self, table: Any) -> None:
        self._writer.write_table(self._flat(table))

    def _flat(self, table: Any) -> Any:
        for name in self._nested:
            texts = [None if value is None else _json(value) for value in table[name].to_pylist()]
            index = table.column_names.index(name)
            table = table.set_column(index, name, pa.array(texts, pa.string()))
        for index, field in enumerate(table.schema):
            if pa.types.is_dictionary(field.type):
                plain = table.column(index).cast(field.type.value_type)
                table = table.set_column(index, field.name, plain)
        return table

    def close(self) -> None:
        self._writer.close()


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=_date)


def _date(value: datetime) -> str:
    return value.isoformat()
