"""What workers on many nodes are told is true: `slurm/multinode.sh` on hosts of this machine."""

from __future__ import annotations

import pytest
from clusters import LONG, ROOT, cluster_on

EVERYWHERE = ["moosefs", "coherent", "cached", "glusterfs"]
HOSTS = 8


def multinode(kind: str, workers: int, records: int, contested: int) -> str:
    with cluster_on(kind, HOSTS) as cluster:
        said = cluster.submit(ROOT / "slurm/multinode.sh", workers, records, contested, timeout=900)
    print(said)
    return said


@pytest.mark.parametrize("kind", EVERYWHERE if LONG else EVERYWHERE[:3])
def test_eight_workers_on_eight_hosts_are_told_the_truth(kind: str) -> None:
    size = (50, 20) if LONG else (10, 5)
    said = multinode(kind, HOSTS, *size)
    assert f"unique: {HOSTS} workers on {HOSTS} hosts" in said
    assert "FAILED" not in said


@pytest.mark.skipif(not LONG, reason="takes minutes: make cluster-test CLUSTER=long")
@pytest.mark.parametrize("kind", EVERYWHERE[:3])
def test_sixty_four_workers_on_eight_hosts_are_told_the_truth(kind: str) -> None:
    said = multinode(kind, 64, 10, 5)
    assert f"unique: 64 workers on {HOSTS} hosts" in said
    assert "FAILED" not in said
