"""The command line: ``tirastore COMMAND``. One file holds one group of commands."""

from __future__ import annotations

from typing import Any

import click

from tirastore.cli import (
    claims,
    dataset,
    demo,
    doctor,
    export,
    ingest,
    init,
    lock,
    lookup,
    search,
    top,
    verify,
)
from tirastore.cli.shared import INTERRUPTED, printable
from tirastore.errors import TiraStoreError

__all__ = ["main"]


class _OneLineErrors(click.Group):
    """Shows every error that a person can do something about as one line, with status 1.

    After Ctrl-C the status is that of shells, which click would make 1.
    """

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            raise  # click ends quietly: `tirastore search ... | head` has what it wanted
        except (TiraStoreError, OSError, ValueError, ImportError) as error:
            message = " ".join(str(error).split()) or type(error).__name__
            raise click.ClickException(printable(message)) from error
        except KeyboardInterrupt:
            click.echo(err=True)  # a terminal shows ^C
            raise SystemExit(INTERRUPTED) from None


@click.group(cls=_OneLineErrors)
@click.version_option(package_name="tirastore")
def main() -> None:
    """Use a store of program measurements for compiler autoschedulers."""


for _command in (
    demo.demo,
    doctor.doctor,
    init.init,
    lookup.stats,
    lookup.lookup,
    search.search,
    search.programs,
    search.best,
    claims.claims,
    top.top,
    export.export,
    export.backup,
    export.restore,
    dataset.export_dataset,
    ingest.ingest,
    ingest.merge,
    verify.verify,
    lock.lock,
    lock.seal,
    lock.unseal,
):
    main.add_command(_command)
