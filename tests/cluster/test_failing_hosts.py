"""Hosts that lose power, are cut off or freeze: nothing acknowledged is lost, the others go on."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import client
import pytest
from clusters import LONG, ROOT, Cluster, cluster_on
from hosts import wait_until

if TYPE_CHECKING:
    from hosts import Host

CLIENT = Path(client.__file__)
#: What a takeover costs beside the time that it waits, on two busy cores.
MARGIN = 10.0
OUTAGE = 8.0
LOOK = """
import sys, tirastore
info = tirastore.lock_info(sys.argv[1])
print(info.hostname if info.held else "nobody")
"""
MISSING = """
import json, pathlib, sys, client
print(json.dumps(client.missing(pathlib.Path(sys.argv[1]), json.load(sys.stdin))))
"""
TAKE = """
import pathlib, sys, client
with client.open_store(pathlib.Path(sys.argv[1])) as store:
    print(store.claim(*client.claim_of(sys.argv[2]), lease=client.PATIENCE) is not None)
"""


class Client:
    """A client on a host, and what it was told."""

    def __init__(self, host: Host, name: str, store: Path, stop: Path) -> None:
        self.host, self.name = host, name
        self.acknowledged: list[int] = []
        self.said: list[str] = []
        self.process = python(host, CLIENT, name, store, stop, stdout=subprocess.PIPE)
        self.listener = threading.Thread(target=self._listen)
        self.listener.start()

    def _listen(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if not line.endswith("\n"):
                break
            if line[0].isdigit():
                self.acknowledged.append(int(line))
            else:
                self.said.append(line.strip())

    def goes_on(self, seconds: float) -> float:
        """Wait until it is told something new; return for how long."""
        before, start = len(self.acknowledged), time.monotonic()
        wait_until(
            f"{self.name} goes on, {self.said[-3:]}",
            lambda: len(self.acknowledged) > before,
            seconds,
        )
        return time.monotonic() - start


def python(host: Host, *command: object, **options: object) -> subprocess.Popen[str]:
    path = f"PYTHONPATH={ROOT}:{CLIENT.parent}"
    return host.start("env", path, sys.executable, *command, **options)


def ask(host: Host, code: str, *arguments: object, stdin: str = "") -> str:
    process = python(host, "-c", code, *arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    said, _ = process.communicate(stdin, timeout=120)
    assert process.returncode == 0
    return said.strip()


def die_holding_the_lock(cluster: Cluster, host: Host, store: Path, stop: Path) -> Client:
    """Let a host record until it has lost power while it held the lock."""
    for attempt in range(20):
        victim = Client(host, f"victim{attempt}", store, stop)
        victim.goes_on(60.0)
        time.sleep(0.1)
        host.lose_power()
        victim.listener.join()
        if ask(cluster.nodes[1], LOOK, store) == host.name:
            return victim
        cluster.boot(host)
    raise AssertionError("it never held the lock when its power went")


@pytest.mark.parametrize("kind", ["moosefs", "glusterfs"] if LONG else ["moosefs"])
def test_what_hosts_were_told_before_they_failed_is_true_and_the_others_go_on(
    kind: str, tmp_path: Path
) -> None:
    stop = tmp_path / "stop"
    with cluster_on(kind, 4) as cluster:
        dead, cut_off, frozen, healthy = cluster.nodes
        store = cluster.store
        victim = die_holding_the_lock(cluster, dead, store, stop)

        clients = [Client(host, host.name, store, stop) for host in (cut_off, frozen, healthy)]
        try:
            after_power = clients[-1].goes_on(client.PATIENCE + MARGIN)
            for each in clients:
                each.goes_on(MARGIN)
            cut_off.unplug()
            frozen.freeze()
            after_partition = clients[-1].goes_on(2 * client.PATIENCE + MARGIN)
            time.sleep(OUTAGE)
            cut_off.plug_in()
            frozen.thaw()
            for each in clients:
                each.goes_on(60.0)
        finally:
            stop.touch()
        for each in clients:
            assert each.process.wait(60) == 0
            each.listener.join()

        promised = {each.name: each.acknowledged for each in (victim, *clients)}
        lost = ask(healthy, MISSING, store, stdin=str(promised).replace("'", '"'))
        assert lost == "[]"
        take = [healthy, TAKE, store, victim.name]
        wait_until("its claim is free", lambda: ask(*take) == "True", client.PATIENCE + MARGIN)
        told = sum(map(len, promised.values()))
        errors = [line for each in clients for line in each.said if line.startswith("error")]
        print(
            f"cluster: {kind}: {told} records acknowledged, 0 lost; the next one in after "
            f"{after_power:.1f} s (power), {after_partition:.1f} s (cut off, frozen); {errors}"
        )
