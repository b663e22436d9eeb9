"""``tirastore lock``, ``seal`` and ``unseal``: who may write a store."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from tirastore.cli.output import format_option, print_fields
from tirastore.cli.shared import STORE, Command, print_pairs

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tirastore import LockInfo
    from tirastore.cli.output import Format


@click.command(
    cls=Command,
    short_help="Show who holds a store's lock; break or repair it.",
    examples=(
        "tirastore lock measurements.db",
        "tirastore lock measurements.db --break",
        "tirastore lock measurements.db --repair",
    ),
)
@STORE
@click.option("--break", "by_force", is_flag=True, help="Take the lock from whoever holds it.")
@click.option(
    "--repair",
    is_flag=True,
    help="Give a lock directory that lost its token a new one. Stop all clients first.",
)
@format_option
def lock(path: Path, *, by_force: bool, repair: bool, fmt: Format) -> None:
    """Show who holds the lock of the store PATH, since when, and who waits.

    Holders that died are replaced by themselves: --break is for one that hangs, and shuts it out
    of a sealed store before anybody else writes.
    """
    from tirastore import break_lock, lock_info, repair_lock  # noqa: PLC0415 -- help needs no store

    if by_force and repair:
        raise click.UsageError("--break and --repair exclude each other")
    if not path.exists() and not lock_info(path).path.exists():
        raise click.ClickException(f"no such store: {path}")
    if repair:
        found = repair_lock(path)
        click.echo("nothing to repair" if found is None else f"repaired: {found}")
    elif by_force:
        break_lock(path)
        click.echo("the lock is free")
    elif fmt == "table":
        print_pairs(lock_rows(lock_info(path)))
    else:
        print_fields(asdict(lock_info(path)), fmt)


def lock_rows(info: LockInfo) -> Iterator[tuple[str, object]]:
    """Say in words what is known about a lock."""
    sealed = info.protocol == "token"
    yield "lock", info.path
    yield "protocol", "token (sealed)" if sealed else "hard link (open to original clients)"
    if info.damage is not None:
        yield "damage", f"{info.damage}; stop all clients and run: tirastore lock --repair"
        return
    if info.held:
        who = f"process {info.pid} on {info.hostname}" if info.hostname else "unknown"
        user = f", user {info.user}" if info.user else ""
        yield "held by", f"{who}{user}"
        if info.since is not None:
            yield "since", f"{info.since:%Y-%m-%d %H:%M:%S} UTC, by its own clock"
        if info.holder_is_dead:
            yield "holder", "has ended: the next call takes over at once"
    else:
        yield "held by", "nobody"
    if info.must_fence:
        yield "state", "a silent holder was taken over; the next one shuts it out first"
    elif info.writing:
        yield "state", "writing"
    for who, seconds in info.waiting:
        yield "waiting", f"{who}, for {seconds:.1f} s"
    yield "taken over", f"after {info.takeover_seconds:g} s of silence"


@click.command(
    cls=Command,
    short_help="Keep clients of the original TiraStore out of a store.",
    examples=("tirastore seal measurements.db",),
)
@STORE
def seal(path: Path) -> None:
    """Seal the store PATH: from here on no client of the original TiraStore can enter it.

    Whoever of them is inside finishes first; those that wait time out.
    """
    from tirastore import TiraStore  # noqa: PLC0415 -- help needs no store

    _must_exist(path)
    with TiraStore(path, allow_cpu_mismatch=True) as store:
        click.echo("sealed" if store.seal() else "it was sealed already")


@click.command(
    cls=Command,
    short_help="Open a sealed store to clients of the original TiraStore.",
    examples=("tirastore unseal measurements.db --yes",),
)
@STORE
@click.option("--yes", is_flag=True, help="Do not ask: all clients are stopped.")
def unseal(path: Path, *, yes: bool) -> None:
    """Open the sealed store PATH to clients of the original TiraStore.

    Stop all clients first: one that goes on with the old protocol excludes nobody who uses the new
    one, and two writers at once destroy the store.
    """
    from tirastore import TiraStore  # noqa: PLC0415 -- help needs no store

    _must_exist(path)
    if not yes:
        click.confirm("Have all clients of this store been stopped, on every node?", abort=True)
        click.confirm("Two writers at once destroy it. Really unseal?", abort=True)
    with TiraStore(path, allow_cpu_mismatch=True) as store:
        click.echo("unsealed" if store.unseal() else "it was not sealed")


def _must_exist(path: Path) -> None:
    if not path.exists():
        raise click.ClickException(f"no such store: {path}")
