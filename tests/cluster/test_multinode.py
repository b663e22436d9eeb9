"""What workers on many nodes are told is true: `slurm/multinode.sh` on hosts of this machine."""

from __future__ import annotations

import pytest
from clusters import LONG, ROOT, cluster_on, kinds, only_long

HOSTS = 8


def assert_all_is_right(kind: str, workers: int, records: int, contested: int) -> None:
    with cluster_on(kind, HOSTS) as cluster:
        # Its status is 0 only if every check was made and is right.
        size = (workers, records, contested)
        said = cluster.submit(ROOT / "slurm/multinode.sh", *size, timeout=1200.0)
    print(f"cluster: {kind}: multinode.sh {workers} {records} {contested}")
    print("".join(f"cluster:   {line}\n" for line in said.splitlines()))
    phases = ("unique", "contested", "cross-read", "overwrite", "killed", "claims")
    on_hosts = "" if kind == "real" else f"{workers} workers on {HOSTS} hosts"
    for phase in phases:
        assert f"ok      {phase}: {on_hosts}" in said
    assert "FAILED" not in said


@pytest.mark.parametrize("kind", kinds("moosefs", "coherent", "cached", "glusterfs", short=3))
def test_eight_workers_on_eight_hosts_are_told_the_truth(kind: str) -> None:
    assert_all_is_right(kind, HOSTS, *((50, 20) if LONG else (10, 5)))


@only_long
@pytest.mark.parametrize("kind", kinds("moosefs", "coherent", "cached", short=1))
def test_sixty_four_workers_on_eight_hosts_are_told_the_truth(kind: str) -> None:
    assert_all_is_right(kind, 64, 10, 5)
