"""A fleet explores a space once: `slurm/worker.sbatch` on hosts of this machine."""

from __future__ import annotations

from collections import Counter

import pytest
from clusters import LONG, cluster_on, kinds

WORKERS = 8
PAIRS = 280 if LONG else 56
KILLS = 3 if LONG else 1


@pytest.mark.parametrize("kind", kinds("moosefs", "cached", short=1))
def test_every_pair_is_measured_once_though_workers_are_killed(kind: str) -> None:
    with cluster_on(kind, WORKERS) as cluster:
        array = f"--array=0-{WORKERS - 1}"
        fleet = cluster.start_workers("--pairs", PAIRS, "--lease", 15, options=[array])
        for task in range(KILLS):
            victim = f"{fleet}_{task}"
            cluster.wait_for_line(victim, "measured", 120.0)
            cluster.submit("scancel", "--full", "--signal=KILL", victim)
        cluster.wait_for(fleet, "", 900.0)

        measured = Counter(cluster.lines(fleet, "measured"))
        assert [pair for pair, times in measured.items() if times > 1] == []
        stored = cluster.ask("len(store)")
        failed = cluster.ask("sum(claim.state == 'failed' for claim in store.claims())")
        # A worker may be killed between its record and the line about it.
        assert stored - KILLS <= measured.total() <= stored
        assert stored + failed == PAIRS
        hosts = cluster.ask("len({store.get(key)['hostname'] for key in store.keys()})")
        assert hosts > 1
        assert cluster.ask("'compiler' in store.scan().read_next_batch()['environment'][0].as_py()")
        print(
            f"cluster: {kind}: {WORKERS} workers on {hosts} hosts, {KILLS} killed: {PAIRS} pairs, "
            f"{measured.total()} measured, {stored} recorded, {failed} failed"
        )
