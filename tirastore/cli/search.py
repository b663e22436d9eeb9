"""``tirastore search``, ``programs`` and ``best``: records as rows."""

from __future__ import annotations

import json
import re
from pathlib import Path  # noqa: TC003
from typing import TYPE_CHECKING, Any, Literal

import click

from tirastore import TiraStore
from tirastore.cli.output import format_option, print_rows
from tirastore.cli.shared import STORE, Command

if TYPE_CHECKING:
    from tirastore.cli.output import Format

_COLUMNS = ("program_name", "schedule", "is_legal", "n_runs", "min_time", "speedup", "hostname")
_CONDITION = re.compile(
    r"\s*(?P<field>\w+)\s*(?P<operator>(?:==|!=|<=|>=|=|<|>)(?![=!<>])|\b(?:not\s+in|in|match|is\s+null|not\s+null)\b)"
    r"\s*(?P<value>.*?)\s*",
    re.DOTALL,
)


def _conditions(
    ctx: click.Context, param: click.Parameter, texts: tuple[str, ...]
) -> list[tuple[str, str, Any]]:
    """Return filters for conditions such as ``min_time < 3``."""
    filters = []
    for text in texts:
        parts = _CONDITION.fullmatch(text)
        if parts is None:
            raise click.BadParameter(f"{text!r} is no condition such as 'min_time < 3'", ctx, param)
        operator = " ".join(parts["operator"].split())
        needs_value = operator not in ("is null", "not null")
        value = _value(parts["value"], listed=operator.endswith("in")) if needs_value else None
        filters.append((parts["field"], operator, value))
    return filters


def _value(text: str, *, listed: bool) -> Any:
    """Return JSON as what it means, and anything else as text; or a list of such values."""
    try:
        return json.loads(text)
    except ValueError:
        if listed:
            return [_value(item.strip(), listed=False) for item in text.split(",")]
        return text


@click.command(
    cls=Command,
    short_help="List the records that meet some conditions.",
    examples=(
        "tirastore search measurements.db",
        "tirastore search measurements.db --where 'program_name in blur,mm' --where 'min_time < 3'",
        "tirastore search measurements.db --where 'schedule match *T2*' --sort-by min_time",
        "tirastore search measurements.db --columns key,execution_times --limit 0 --format json",
    ),
)
@STORE
@click.option(
    "--where",
    "filters",
    callback=_conditions,
    multiple=True,
    help="FIELD OPERATOR VALUE, with == (or =) != < <= > >= in, not in, match (a glob), is null, "
    "not null. May be repeated: all have to hold.",
)
@click.option("--sort-by", help="A column; default: the order of creation.")
@click.option("--descending", is_flag=True, help="The largest first.")
@click.option(
    "--limit", type=click.IntRange(min=0), default=20, show_default=True, help="0: no limit."
)
@click.option("--offset", type=click.IntRange(min=0), default=0, help="Records to leave out first.")
@click.option(
    "--columns",
    default=",".join(_COLUMNS),
    show_default=True,
    help="What to show, separated by commas.",
)
@format_option
def search(
    *,
    path: Path,
    filters: list[tuple[str, str, Any]],
    sort_by: str | None,
    descending: bool,
    limit: int,
    offset: int,
    columns: str,
    fmt: Format,
) -> None:
    """List the records of the store PATH that meet all conditions.

    Times are milliseconds. A wrong name is answered by those that exist.
    """
    chosen = [name.strip() for name in columns.split(",")]
    with TiraStore(path, read_only=True) as store:
        found = store.search(
            filters or None,
            sort_by=sort_by,
            descending=descending,
            limit=limit or None,
            offset=offset,
            columns=chosen,
        )
    print_rows(chosen, found, fmt)


@click.command(cls=Command, examples=("tirastore programs measurements.db",))
@STORE
@format_option
def programs(path: Path, fmt: Format) -> None:
    """List the programs of the store PATH, and what is known of each."""
    with TiraStore(path, read_only=True) as store:
        found = store.programs()
    print_rows(found.column_names, found, fmt)


@click.command(
    cls=Command,
    short_help="List the fastest schedules of programs.",
    examples=(
        "tirastore best measurements.db",
        "tirastore best measurements.db blur --k 5 --stat median",
    ),
)
@STORE
@click.argument("program", required=False)
@click.option(
    "--k", type=click.IntRange(min=1), default=1, show_default=True, help="How many of each."
)
@click.option(
    "--stat",
    type=click.Choice(["min", "median", "mean"]),
    default="min",
    show_default=True,
    help="What stands for all runs.",
)
@format_option
def best(
    path: Path,
    program: str | None,
    k: int,
    stat: Literal["min", "median", "mean"],
    fmt: Format,
) -> None:
    """List the fastest schedules of PROGRAM in the store PATH, or of every program."""
    with TiraStore(path, read_only=True) as store:
        found = store.best(program, k=k, stat=stat)
    columns = ("program_name", f"{stat}_time", "speedup", "n_runs", "schedule")
    print_rows(columns, found, fmt)
