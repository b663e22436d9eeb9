"""``tirastore export-dataset``: rows for training a cost model."""

from pathlib import Path
from typing import Any

import click

from tirastore import TiraStore
from tirastore.cli.shared import PATH, Command


def _fractions(_context: click.Context, _option: click.Parameter, text: str) -> tuple[float, ...]:
    try:
        return tuple(float(fraction) for fraction in text.split(","))
    except ValueError:
        raise click.BadParameter(f"expected fractions such as 0.8,0.2, got {text!r}") from None


@click.command(
    "export-dataset",
    cls=Command,
    short_help="Write a data set for training cost models.",
    examples=(
        "tirastore export-dataset measurements.db dataset/",
        "tirastore export-dataset measurements.db dataset/ --split 0.7,0.1,0.2 --min-runs 3",
        "tirastore export-dataset measurements.db dataset/ --format jsonl --partition-by hostname",
    ),
)
@click.argument("path", type=PATH)
@click.argument("out", type=PATH)
@click.option(
    "--format",
    "kind",
    type=click.Choice(["parquet", "jsonl", "csv"]),
    default="parquet",
    help="Default: parquet.",
)
@click.option("--partition-by", multiple=True, help="A column; may be repeated.")
@click.option(
    "--split",
    default="0.8,0.2",
    callback=_fractions,
    help="Fractions of programs in training and test, or in training, validation and test.",
)
@click.option("--seed", type=int, default=42, help="Another one gives another split.")
@click.option("--min-runs", type=int, default=1, help="Leave out records with fewer runs.")
@click.option("--no-noise-filter", is_flag=True, help="Keep times that cannot be believed.")
def export_dataset(
    path: Path,
    out: Path,
    kind: Any,
    partition_by: tuple[str, ...],
    split: tuple[float, ...],
    seed: int,
    min_runs: int,
    *,
    no_noise_filter: bool,
) -> None:
    """Write a data set of the store PATH into the directory OUT: labelled, and split by program.

    The label is the speedup over the unscheduled program. What is left out is counted; the rules
    are in docs/datasets.md.
    """
    with TiraStore(path, read_only=True, allow_cpu_mismatch=True) as store:
        report = store.export_dataset(
            out,
            kind,
            partition_by,
            split,
            seed,
            min_runs,
            noise_filter=not no_noise_filter,
        )
    click.echo(f"{report.path}: {report}")
    left_out = [
        f"{count:,} {reason.replace('_', ' ')}" for reason, count in report.dropped.items() if count
    ]
    click.echo(f"left out: {', '.join(left_out) or 'nothing'}")
    click.echo(f"content: {report.content_hash}")
