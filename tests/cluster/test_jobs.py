"""Jobs that end in every way Slurm knows: no result is lost, and no claim outlives its job."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import pytest
from clusters import (
    IS_REAL,
    LONG,
    SLOWER,
    Cluster,
    cluster_on,
    kinds,
    only_long,
    only_own_hosts,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

LEASE = 12.0
# Slurm's own KillWait, and the polls of all that is asked.
MARGIN = 15.0
PAIRS = 16
# What a worker takes for all pairs on two busy cores: 6 s where nobody else is there, and less than
# a minute with LEASE and MARGIN, so that a claim which lasts a minute too long is noticed.
WORK = 30.0


@pytest.fixture(scope="module")
def shared() -> Iterator[Cluster]:
    with cluster_on(*kinds("coherent", short=1), 2) as cluster:
        yield cluster


@pytest.fixture
def cluster(shared: Cluster, request: pytest.FixtureRequest) -> Iterator[Cluster]:
    """Give each test a store of its own."""
    shared.store_name = f"{request.node.name}.db"
    yield shared
    shared.cancel_all()


def start(cluster: Cluster, *options: str, pairs: int = PAIRS) -> str:
    """Start one worker; return its job once it has measured something."""
    arguments = ("--pairs", pairs, "--lease", LEASE, "--batch", 4)
    job = cluster.start_workers(*arguments, options=["--array=0", *options])
    cluster.wait_for_line(job, "measured", 120.0)
    return job


def claimed(cluster: Cluster) -> int:
    return cluster.ask("sum(claim.state == 'claimed' for claim in store.claims())")


RUNS = """
[f"measured {row['program_name']} {row['schedule']}" for row in map(store.get, store.keys())
 for _ in store.runs(row['program_name'], row['source_code'], row['schedule'])]
"""


def runs(cluster: Cluster) -> Counter[str]:
    """Count the runs of each pair, which is named as a worker does."""
    return Counter(line.strip() for line in cluster.ask(RUNS.strip()))


def assert_nothing_is_lost(cluster: Cluster, *jobs: str) -> None:
    """Look for everything that workers said they had measured: a run for each time."""
    told = Counter(line.strip() for job in jobs for line in cluster.lines(job, "measured"))
    assert told
    assert not told - runs(cluster)


def finish(cluster: Cluster) -> tuple[str, float]:
    """Let another worker finish the work, none of it twice; return its job and its seconds."""
    other = cluster.start_workers("--pairs", PAIRS, "--lease", LEASE, options=["--array=0"])
    cluster.wait_for(other, "", LEASE + MARGIN + 120.0)
    found = runs(cluster)
    assert len(found) == PAIRS
    assert set(found.values()) == {1}
    assert claimed(cluster) == 0
    took = cluster.run_time(f"{other}_0")
    assert took < (LEASE + MARGIN + WORK) * SLOWER, "a claim has outlived its job"
    return other, took


def test_a_cancelled_job_gives_its_claims_back(cluster: Cluster) -> None:
    job = start(cluster)
    cluster.submit("scancel", job)
    cluster.wait_for(job, "", 30.0)
    assert claimed(cluster) == 0
    assert cluster.lines(job, "measured")
    assert "asked to end" in cluster.output(job)
    other, _ = finish(cluster)
    assert_nothing_is_lost(cluster, job, other)


@pytest.mark.parametrize(
    "tell",
    [("scancel", "--batch", "--signal=USR1"), ("scontrol", "requeue")],
    ids=["told", "requeued"],
)
def test_a_job_that_is_to_be_queued_again_gives_its_claims_back_and_goes_on(
    cluster: Cluster, tell: tuple[str, ...]
) -> None:
    job = start(cluster)
    cluster.submit(*tell, f"{job}_0")
    cluster.wait_for_line(job, "asked to end", 30.0)
    cluster.wait_for(job, "PENDING")
    assert claimed(cluster) == 0
    assert_nothing_is_lost(cluster, job)
    if not (LONG or IS_REAL):
        other, _ = finish(cluster)
        assert_nothing_is_lost(cluster, job, other)
        return
    # Slurm waits two minutes before it starts a job again.
    cluster.wait_for(job, "", 400.0)
    assert "done" in cluster.output(job)
    assert cluster.ask("len(store)") == PAIRS
    assert_nothing_is_lost(cluster, job)


def test_claims_of_a_job_that_was_killed_are_free_after_one_lease(cluster: Cluster) -> None:
    job = start(cluster)
    cluster.submit("scancel", "--full", "--signal=KILL", job)
    cluster.wait_for(job, "", 30.0)
    other, took = finish(cluster)
    assert_nothing_is_lost(cluster, job, other)
    print(f"cluster: what a killed job had claimed was measured within {took:g} s, lease {LEASE} s")


# Elsewhere only operators may suspend a job.
@only_own_hosts
def test_a_suspended_job_loses_its_claims_to_others_and_ends_well_when_resumed(
    cluster: Cluster,
) -> None:
    job = start(cluster)
    cluster.submit("scontrol", "suspend", f"{job}_0")
    cluster.wait_for(job, "SUSPENDED")
    other, _ = finish(cluster)
    cluster.submit("scontrol", "resume", f"{job}_0")
    cluster.wait_for(job, "", 60.0)
    assert "done" in cluster.output(job)
    assert cluster.ask("len(store)") == PAIRS
    # What it was measuring when it was suspended is a further run beside the other's.
    assert_nothing_is_lost(cluster, job, other)


@only_long
def test_a_job_whose_time_limit_comes_near_is_queued_again(cluster: Cluster) -> None:
    # Slurm looks at time limits every half minute: a minute is its shortest, 55 s before it is now.
    job = start(cluster, "--time=1", "--signal=B:USR1@55", pairs=400)
    cluster.wait_for_line(job, "asked to end", 120.0)
    assert claimed(cluster) == 0
    cluster.wait_for(job, "PENDING")
    assert_nothing_is_lost(cluster, job)
