"""Hosts that lose power, are cut off or freeze: nothing acknowledged is lost, the others go on."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest
from client import PATIENCE
from clients import Client, holder, missing, takes_the_claim_of
from clusters import OwnCluster, cluster_on, kinds, only_own_hosts
from hosts import wait_until

if TYPE_CHECKING:
    from pathlib import Path

    from hosts import Host

pytestmark = only_own_hosts

# Silence, then as long again for what a stopped writer may have on its way; on two busy cores.
TAKEOVER = 2 * PATIENCE + 10.0
# MooseFS lets nobody read what a dead client was writing for two minutes.
NEXT_IN = {"moosefs": 150.0, "glusterfs": 150.0, "coherent": TAKEOVER, "cached": TAKEOVER}
OUTAGE = 8.0


def die_holding_the_lock(cluster: OwnCluster, host: Host, stop: Path) -> Client:
    """Let a host record until it has lost power while it held the lock."""
    for attempt in range(20):
        victim = Client(host, f"victim{attempt}", cluster.store, stop)
        victim.goes_on(NEXT_IN["moosefs"])
        time.sleep(0.1)
        host.lose_power()
        victim.listener.join()
        if holder(cluster.nodes[1], cluster.store) == host.name:
            return victim
        cluster.boot(host)
    raise AssertionError("it never held the lock when its power went")


def freeze_holding_the_lock(host: Host, witness: Host, store: Path) -> None:
    """Freeze a host while it holds the lock, as another one sees it."""
    for _ in range(40):
        host.freeze()
        if holder(witness, store) == host.name:
            return
        host.thaw()
        time.sleep(0.1)
    raise AssertionError("it never held the lock when it was frozen")


def end(clients: list[Client], stop: Path) -> dict[str, list[int]]:
    """Let clients come to an end; return what they were told."""
    stop.touch()
    for client in clients:
        assert client.process.wait(120) == 0
        client.listener.join()
    return {client.name: client.acknowledged for client in clients}


@pytest.mark.parametrize("kind", kinds("coherent", "cached", "moosefs", "glusterfs", short=1))
def test_a_host_that_lost_power_holding_lock_and_claim_lost_nothing_and_stops_nobody(
    kind: str, tmp_path: Path
) -> None:
    stop = tmp_path / "stop"
    with cluster_on(kind, 3) as cluster:
        dead, *alive = cluster.nodes
        victim = die_holding_the_lock(cluster, dead, stop)
        died = time.monotonic()
        clients = [Client(host, host.name, cluster.store, stop) for host in alive]
        for client in clients:
            client.goes_on(NEXT_IN[kind])
        after = time.monotonic() - died
        promised = {victim.name: victim.acknowledged, **end(clients, stop)}
        assert victim.said == ["claimed True"]
        assert missing(alive[0], cluster.store, promised) == []
        wait_until(
            "the claim is free",
            lambda: takes_the_claim_of(victim.name, alive[0], cluster.store),
            2 * PATIENCE,
        )
    told = sum(map(len, promised.values()))
    print(
        f"cluster: power of a holder lost, {kind}: {told} records acknowledged, 0 lost; "
        f"all others in after {after:.1f} s"
    )


@pytest.mark.parametrize("kind", kinds("moosefs", "glusterfs", short=1))
def test_hosts_that_are_cut_off_or_frozen_lose_nothing_and_go_on_afterwards(
    kind: str, tmp_path: Path
) -> None:
    stop = tmp_path / "stop"
    with cluster_on(kind, 3) as cluster:
        cut_off, frozen, healthy = cluster.nodes
        clients = [Client(host, host.name, cluster.store, stop) for host in cluster.nodes]
        for client in clients:
            client.goes_on(60.0)
        freeze_holding_the_lock(frozen, healthy, cluster.store)
        cut_off.unplug()
        began = time.monotonic()
        after = clients[-1].goes_on(NEXT_IN[kind])
        time.sleep(max(0.0, OUTAGE - (time.monotonic() - began)))
        cut_off.plug_in()
        frozen.thaw()
        for client in clients:
            client.goes_on(NEXT_IN[kind])
        promised = end(clients, stop)
        assert missing(healthy, cluster.store, promised) == []
    told = sum(map(len, promised.values()))
    errors = sum(line.startswith("error") for client in clients for line in client.said)
    print(
        f"cluster: one frozen holding the lock, one cut off, {kind}: {told} records acknowledged, "
        f"0 lost, {errors} errors; the third in after {after:.1f} s"
    )
