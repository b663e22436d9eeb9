"""The server's disk loses power under two live hosts: what was acknowledged is there afterwards."""

from __future__ import annotations

import shutil
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

import disk
import filesystems
import pytest
from clients import Client, missing
from clusters import LONG, only_own_hosts
from hosts import hosts

pytestmark = only_own_hosts

ROUNDS = 5 if LONG else 2


def cut(kind: str, stop: Path, rounds: int, *, forgets: bool = False) -> tuple[int, list[str]]:
    """Cut the disk under two hosts that record; return what they were told, and what is lost."""
    if shutil.which("cargo") is None:
        pytest.skip("cargo not found")
    if reason := disk.reason_to_skip(kind) or filesystems.reason_to_skip():
        pytest.skip(reason)
    promised: dict[str, list[int]] = {}
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        server = disk.Disk(kind, directory)
        stack.callback(server.close)
        up = stack.enter_context(hosts(2, directory))
        files = filesystems.FaultFs(directory, "coherent", server.mount, forgets=forgets)
        nodes = up[2:]
        store = files.point / "store.db"
        for round_ in range(rounds):
            for node in nodes:
                files.mount(node)
            clients = [Client(node, f"{node.name}r{round_}", store, stop) for node in nodes]
            for client in clients:
                client.goes_on(30.0)
            time.sleep(1.0)
            server.cut(nodes[0])
            for client in clients:
                client.host.lose_power()
                client.listener.join()
                promised[client.name] = client.acknowledged
                client.host.boot()
        files.mount(nodes[0])
        lost = missing(nodes[0], store, promised)
        # No host may have the disk mounted when it is given back.
        for node in up:
            node.lose_power()
    return sum(map(len, promised.values())), lost


@pytest.mark.parametrize("kind", ["ext4", "xfs"])
def test_what_was_acknowledged_is_there_after_the_disk_was_cut(kind: str, tmp_path: Path) -> None:
    told, lost = cut(kind, tmp_path / "never", ROUNDS)
    assert lost == []
    print(f"cluster: {kind} cut {ROUNDS} times under 2 hosts: {told} records acknowledged, 0 lost")


def test_a_disk_that_does_not_sync_loses_what_was_acknowledged(tmp_path: Path) -> None:
    _, lost = cut("ext4", tmp_path / "never", 1, forgets=True)
    assert lost, "else the test above could not fail"
