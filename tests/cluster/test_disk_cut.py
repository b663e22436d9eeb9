"""The server's disk loses power under two live hosts: what was acknowledged is there afterwards."""

from __future__ import annotations

import shutil
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

import pytest
from clients import Client, missing
from clusters import LONG, only_own_hosts
from disk import Disk
from filesystems import FaultFs
from hosts import hosts

pytestmark = only_own_hosts

ROUNDS = 5 if LONG else 2


@pytest.mark.parametrize("kind", ["ext4", "xfs"])
def test_what_was_acknowledged_is_there_after_the_disk_was_cut(kind: str, tmp_path: Path) -> None:
    if shutil.which(f"mkfs.{kind}") is None:
        pytest.skip(f"mkfs.{kind} not found")
    promised: dict[str, list[int]] = {}
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(dir="/tmp")))
        disk = Disk(kind, directory)
        stack.callback(disk.close)
        up = stack.enter_context(hosts(2, directory))
        files = FaultFs(directory, "coherent", disk.mount)
        nodes = up[2:]
        store = files.point / "store.db"
        for round_ in range(ROUNDS):
            for node in nodes:
                files.mount(node)
            stop = tmp_path / f"stop{round_}"
            clients = [Client(node, f"{node.name}r{round_}", store, stop) for node in nodes]
            for client in clients:
                client.goes_on(30.0)
            time.sleep(1.0)
            disk.cut(nodes[0])
            told = {client.name: list(client.acknowledged) for client in clients}
            time.sleep(0.5)
            for client in clients:
                client.host.lose_power()
                client.listener.join()
                # A reply may have been on its way; after that, nobody is told anything.
                assert len(client.acknowledged) - len(told[client.name]) <= 2
                promised[client.name] = client.acknowledged
                client.host.boot()
        files.mount(nodes[0])
        assert missing(nodes[0], store, promised) == []
        for node in up:
            node.lose_power()
    count = sum(map(len, promised.values()))
    print(f"cluster: {kind} cut {ROUNDS} times under 2 hosts: {count} records acknowledged, 0 lost")
