"""``tirastore init``: a new, empty store."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003
from typing import Literal

import click

from tirastore.cli.shared import STORE, Command


@click.command(
    cls=Command,
    short_help="Create an empty store.",
    examples=(
        "tirastore init measurements.db",
        "tirastore init measurements.db --cpu-model 'AMD EPYC 7543' --slurm-cpus 28",
    ),
)
@STORE
@click.option("--cpu-model", help="The CPU that may write it; default: this machine's.")
@click.option("--slurm-cpus", help="CPUs of a task that may write it; default: this job's, or any.")
@click.option(
    "--lock",
    "protocol",
    type=click.Choice(["token", "hardlink"]),
    default="token",
    show_default=True,
    help="token: sealed. hardlink: clients of the original TiraStore can use it, too.",
)
@click.option("--private", is_flag=True, help="Let nobody else write it.")
def init(
    *,
    path: Path,
    cpu_model: str | None,
    slurm_cpus: str | None,
    protocol: Literal["token", "hardlink"],
    private: bool,
) -> None:
    """Create an empty store at PATH, for the kind of node that this command runs on.

    Run it within a job: a store belongs to one CPU model and one number of CPUs.
    """
    from tirastore import TiraStore  # noqa: PLC0415 -- help needs no store

    if path.exists():
        raise click.ClickException(f"{path} exists already and was left as it is")
    share = False if private else None
    with TiraStore(
        path, cpu_model=cpu_model, slurm_cpus=slurm_cpus, lock=protocol, share=share
    ) as store:
        click.echo(f"{path}: for {store.cpu_model}, {store.slurm_cpus} CPUs of a task")
