"""What the commands share: a command with examples, paths, tables, and the status of Ctrl-C."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import click

from tirastore import _defaults

INTERRUPTED = 130
PATH = click.Path(path_type=Path)
#: The store, where it is the only argument that must be given.
STORE = click.argument("path", type=PATH, envvar=_defaults.DB)


class Command(click.Command):
    """A command whose help ends in examples, which a test parses."""

    def __init__(self, *args: Any, examples: tuple[str, ...], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.examples = examples

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the examples below the options."""
        with formatter.section("Examples" if len(self.examples) > 1 else "Example"):
            for example in self.examples:
                formatter.write(f"{'':{formatter.current_indent}}{example}\n")
        super().format_epilog(ctx, formatter)


def printable(text: str) -> str:
    """Escape what is no character to look at: text of a damaged file must not steer a terminal."""
    return "".join(
        character if character.isprintable() else ascii(character)[1:-1] for character in text
    )


def print_pairs(pairs: Iterable[tuple[str, object]]) -> None:
    """Print names and values as a table that shortens neither."""
    from rich.console import Console  # noqa: PLC0415 -- help needs no tables

    Console().print(pairs_table(pairs), highlight=False)


def pairs_table(pairs: Iterable[tuple[str, object]]) -> Any:
    """Return a `rich.table.Table` of names and values that shortens neither."""
    from rich.table import Table  # noqa: PLC0415 -- help needs no tables
    from rich.text import Text  # noqa: PLC0415

    table = Table(show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in pairs:
        table.add_row(name.replace("_", " "), Text(printable(str(value))))
    return table
