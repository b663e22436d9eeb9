"""How commands print what they found: as a table for people, as JSON or CSV for programs."""

from __future__ import annotations

import csv
import datetime as dt
import json
import math
import sys
from typing import TYPE_CHECKING, Literal, TypeAlias

import click

from tirastore.cli.shared import print_pairs, printable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from rich.console import Console
    from rich.table import Table

    Format: TypeAlias = Literal["table", "json", "csv"]

#: Columns where nobody looks at a terminal.
_WIDE = 200


def format_option(command: Callable[..., None]) -> Callable[..., None]:
    """Add the option ``--format``, whose value arrives as ``fmt``."""
    return click.option(
        "--format",
        "fmt",
        type=click.Choice(["table", "json", "csv"]),
        default="table",
        show_default=True,
        help="How to print it.",
    )(command)


def print_fields(fields: Mapping[str, object], fmt: Format) -> None:
    """Print one thing: a line for each field, one JSON object, or a CSV file of one row."""
    if fmt == "table":
        print_pairs((name, _text(value)) for name, value in fields.items())
    elif fmt == "json":
        click.echo(_json(fields))
    else:
        _print_csv(list(fields), [fields])


def print_rows(columns: Sequence[str], rows: Iterable[Mapping[str, object]], fmt: Format) -> None:
    """Print many things: a table, one JSON array of objects, or a CSV file."""
    if fmt == "table":
        wide_console().print(table_of(columns, rows), highlight=False)
    elif fmt == "json":
        click.echo(_json([{name: row[name] for name in columns} for row in rows]))
    else:
        _print_csv(columns, rows)


def wide_console() -> Console:
    """Return a console in which rows of a table stay lines, where it is no terminal."""
    from rich.console import Console  # noqa: PLC0415 -- help needs no tables

    console = Console()
    if not console.is_terminal:
        console.width = _WIDE
    return console


def table_of(columns: Sequence[str], rows: Iterable[Mapping[str, object]]) -> Table:
    """Return a `rich.table.Table` that shortens nothing; numbers stand at the right."""
    from rich.table import Table  # noqa: PLC0415 -- help needs no tables
    from rich.text import Text  # noqa: PLC0415

    listed = list(rows)
    table = Table()
    for name in columns:
        numeric = all(_is_number(row[name]) for row in listed)
        table.add_column(
            name.replace("_", " "), overflow="fold", justify="right" if numeric else "left"
        )
    for row in listed:
        table.add_row(*(Text(printable(_text(row[name]))) for name in columns))
    return table


def _is_number(value: object) -> bool:
    return isinstance(value, int | float | None) and not isinstance(value, bool)


def _text(value: object) -> str:
    """Return a value as a person reads it."""
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, dt.datetime):
        return f"{value:%Y-%m-%d %H:%M:%S}"
    if isinstance(value, dict):
        return ", ".join(f"{name} {_text(item)}" for name, item in value.items())
    if isinstance(value, list | tuple | set):
        # A project without a name is one, too.
        return ", ".join(_text(item) if item != "" else "(none)" for item in value)
    return str(value)


def _json(value: object) -> str:
    return json.dumps(_plain(value), indent=2)


def _plain(value: object) -> object:
    """Return a value as JSON has it: it knows neither dates nor NaN."""
    if isinstance(value, dt.datetime):
        return value.isoformat()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value if isinstance(value, str | int | float | bool | None) else str(value)


def _print_csv(columns: Sequence[str], rows: Iterable[Mapping[str, object]]) -> None:
    """Print a CSV file; lists are JSON in their cell."""
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(columns)
    for row in rows:
        plain = (_plain(row[name]) for name in columns)
        writer.writerow(
            json.dumps(cell) if isinstance(cell, list | dict) else cell for cell in plain
        )
