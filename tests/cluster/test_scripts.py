"""The scripts of slurm/ that are no workers: each does as a job what it says."""

from __future__ import annotations

import json
import re
import sys
from typing import TYPE_CHECKING

import pytest
from clusters import ROOT, SLOWER, Cluster, cluster_on, kinds, only_own_hosts
from hosts import wait_until

from tirastore import TiraStore

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

RECORD = """
import tirastore
with tirastore.TiraStore() as store:
    store.record("p", "void p() {}", "", True, [1.5])
"""
# What a browser behind the tunnel would see.
BROWSE = """
import sys, urllib.request
print(urllib.request.urlopen(sys.argv[1], timeout=10).status)
"""


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with cluster_on(*kinds("coherent", short=1), 1) as shared:
        shared.submit(sys.executable, "-c", RECORD)
        yield shared
        shared.cancel_all()


def submit(cluster: Cluster, *command: object, **variables: object) -> tuple[str, Path]:
    """Submit a script; return its job and what it prints to."""
    output = cluster.work / "%x-%j.out"
    job = cluster.submit("sbatch", "--parsable", f"--output={output}", *command, **variables)
    cluster.jobs.append(job)
    name = re.search(r"--job-name=(\S+)", (ROOT / str(command[0])).read_text())
    assert name is not None
    return job, cluster.work / f"{name[1]}-{job}.out"


def test_an_export_holds_every_record(cluster: Cluster) -> None:
    out = cluster.work / "out.jsonl"
    job, printed = submit(cluster, ROOT / "slurm/export.sbatch", out)
    cluster.wait_for(job, "COMPLETED")
    assert printed.exists()
    (line,) = out.read_text().splitlines()
    assert [found["execution_times"] for found in json.loads(line)["p"]["schedules_list"]] == [
        [1.5]
    ]


def test_a_backup_is_a_store(cluster: Cluster) -> None:
    out = cluster.work / "backup.db"
    job, printed = submit(cluster, ROOT / "slurm/backup.sbatch", out)
    cluster.wait_for(job, "COMPLETED")
    assert str(out) in printed.read_text()
    with TiraStore(out, read_only=True) as copy:
        assert copy.lookup("p", "void p() {}", "").execution_times == [1.5]
        assert copy.verify().ok


@only_own_hosts
def test_jobs_that_are_submitted_after_env_sh_run_in_the_partition_that_is_set(
    cluster: Cluster,
) -> None:
    arguments = f"--output={cluster.work}/partition.out {ROOT}/slurm/backup.sbatch"
    script = f". {ROOT}/slurm/env.sh && sbatch --parsable {arguments} {cluster.work}/partition.db"
    job = cluster.submit("bash", "-c", script, SLURM_PARTITION="second")
    cluster.jobs.append(job)
    cluster.wait_for(job, "COMPLETED")
    list_ = ["squeue", "--noheader", "--states=all", f"--jobs={job}", "--format=%P"]
    assert cluster.submit(*list_) == "second"


def test_a_notebook_is_served_to_whoever_has_its_token(cluster: Cluster) -> None:
    pytest.importorskip("jupyterlab")
    settings = cluster.work / "jupyter"
    settings.mkdir()
    # The tests may run as root, for whom it does not start otherwise.
    (settings / "jupyter_server_config.json").write_text('{"ServerApp": {"allow_root": true}}')
    job, printed = submit(
        cluster, ROOT / "slurm/notebook.sbatch", JUPYTER_CONFIG_DIR=settings, HOME=cluster.work
    )

    def address() -> str:
        text = printed.read_text() if printed.exists() else ""
        found = re.search(r"http://127\.0\.0\.1:\d+/lab\?token=\w+", text)
        return found[0] if found else ""

    url = wait_until(f"job {job} tells its address", address, 120.0 * SLOWER)
    assert printed.stat().st_mode & 0o077 == 0
    status = ["srun", f"--jobid={job}", "--overlap", sys.executable, "-c", BROWSE]
    assert cluster.submit(*status, url) == "200"
    with pytest.raises(AssertionError, match="403"):
        cluster.submit(*status, url[:-1].replace("/lab", "/api/contents"))
    cluster.submit("scancel", job)
    cluster.wait_for(job, "")
