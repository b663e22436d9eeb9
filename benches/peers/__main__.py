"""The command line of the bench."""

from __future__ import annotations

import shlex
import sys
import tempfile
from pathlib import Path

import click

from benches.peers import tables
from benches.peers.adapters import PEERS, Peer, is_installed
from benches.peers.bench import WORKLOADS, Bench
from benches.peers.delay import restart_delayed


def _chosen(names: tuple[str, ...]) -> list[type[Peer]]:
    for name in names:
        if name not in {peer.__name__ for peer in PEERS}:
            known = ", ".join(peer.__name__ for peer in PEERS)
            raise click.BadParameter(f"{name} is none of {known}")
    chosen = [peer for peer in PEERS if not names or peer.__name__ in names]
    for peer in chosen:
        if not is_installed(peer):
            print(f"left out: {peer.name}, pip install {peer.package}", file=sys.stderr)
    return [peer for peer in chosen if is_installed(peer)]


@click.command(context_settings={"show_default": True})
@click.option("--peers", multiple=True, help="A peer by its class; all that are installed.")
@click.option("--workloads", multiple=True, type=click.Choice(WORKLOADS), default=WORKLOADS)
@click.option("--quick", is_flag=True, help="Less of everything: to try the bench out.")
@click.option("--repeat", type=click.IntRange(1), help="Runs; 3, or 1 with --quick.")
@click.option("--limit", default=20.0, help="Seconds for one run of many processes.")
@click.option("--delay", default=0.0, help="Milliseconds added to every metadata operation.")
@click.option("--delayed", is_flag=True, hidden=True, help="They are being added.")
@click.option("--seed", default=1)
@click.option("--directory", type=click.Path(path_type=Path), help="Where stores are made.")
@click.option("--write", type=click.Path(path_type=Path), help="Markdown file for the report.")
def main(
    peers: tuple[str, ...],
    workloads: tuple[str, ...],
    quick: bool,
    repeat: int | None,
    limit: float,
    delay: float,
    delayed: bool,
    seed: int,
    directory: Path | None,
    write: Path | None,
) -> None:
    """Time TiraStore beside its peers; end with status 1 if acknowledged records are lost."""
    if delay and not delayed:
        module = [sys.executable, "-m", "benches.peers"]
        restart_delayed(delay, [*module, *sys.argv[1:], "--delayed"])
    if delay and "metadata" in workloads:  # a traced process cannot be traced again
        workloads = tuple(name for name in workloads if name != "metadata")
    chosen = _chosen(peers)
    with tempfile.TemporaryDirectory(dir=directory) as place:
        bench = Bench(chosen, Path(place), seed, quick, repeat or (1 if quick else 3), limit)
        bench.run(workloads)
        report = bench.report(_command(), delay)
    if write:
        tables.write(write, f"delay of {delay:g} ms" if delay else "peers", report)
    else:
        print(report)
    for failure in bench.failures:
        print(failure, file=sys.stderr)
    raise SystemExit(1 if bench.failures else 0)


def _command() -> str:
    """Return the command without what tells of a place."""
    kept = []
    arguments = iter(sys.argv[1:])
    for argument in arguments:
        if argument in {"--directory", "--write"}:
            next(arguments)
        elif argument != "--delayed" and not argument.startswith(("--directory=", "--write=")):
            kept.append(argument)
    return shlex.join(["python", "-m", "benches.peers", *kept])


if __name__ == "__main__":
    main()
