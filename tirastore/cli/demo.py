"""``tirastore demo``: real measurements without Tiramisu."""

from pathlib import Path

import click

from tirastore.cli.shared import INTERRUPTED, PATH, Command


@click.command(
    cls=Command,
    short_help="Measure real schedules of small programs.",
    examples=("tirastore demo --dir demo", "tirastore demo --dir demo --workers 8 --fresh"),
)
@click.option(
    "--dir",
    "directory",
    type=PATH,
    default="demo",
    show_default=True,
    help="Where the store and the results go.",
)
@click.option(
    "--pairs",
    type=click.IntRange(min=1),
    default=280,
    show_default=True,
    help="How many (program, schedule) pairs to explore.",
)
@click.option(
    "--workers",
    type=click.IntRange(min=1),
    default=4,
    show_default=True,
    help="Number of worker processes.",
)
@click.option("--seed", default=0, show_default=True, help="Seed of the schedules.")
@click.option("--fresh", is_flag=True, help="Remove what an earlier demo has left there.")
def demo(*, directory: Path, pairs: int, workers: int, seed: int, fresh: bool) -> None:
    """Measure real schedules of small programs on this machine, through one store.

    Needs a C compiler with OpenMP and the packages of tirastore[demo]. A second call in the same
    directory goes on with the store that is there.
    """
    from tirastore.demo import run_demo  # noqa: PLC0415 -- the other commands need no measurer

    try:
        succeeded = run_demo(directory, pairs=pairs, workers=workers, seed=seed, fresh=fresh)
    except KeyboardInterrupt:
        message = "Interrupted. The store keeps what was measured: the same command goes on."
        click.echo(f"\n{message}", err=True)
        raise SystemExit(INTERRUPTED) from None
    if not succeeded:
        raise SystemExit(1)
