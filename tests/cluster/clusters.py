"""Hosts, a Slurm and a file system, together: a cluster to test on."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sys
import tempfile
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import filesystems
import hosts
import pytest
import scheduler

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

ROOT = Path(__file__).resolve().parents[2]
#: Whether this is a cluster already. Its hosts are not made to fail, and its queue may be long.
IS_REAL = scheduler.is_there() and bool(os.environ.get("TIRASTORE_TEST_DIR"))
SLOWER = 60.0 if IS_REAL else 1.0
#: States of jobs that do not come back.
ENDED = {"COMPLETED", "CANCELLED", "FAILED", "TIMEOUT", "NODE_FAIL", "OUT_OF_MEMORY", "PREEMPTED"}
#: The long form, for people: `make cluster-test CLUSTER=long`.
LONG = os.environ.get("CLUSTER") == "long"
KINDS = {
    "moosefs": ("mfsmaster", "moosefs-master moosefs-chunkserver moosefs-client moosefs-cli"),
    "glusterfs": ("glusterd", "glusterfs-server glusterfs-client"),
    "coherent": ("cargo", "cargo"),
    "cached": ("cargo", "cargo"),
}

only_long = pytest.mark.skipif(not LONG, reason="takes minutes: make cluster-test CLUSTER=long")
only_own_hosts = pytest.mark.skipif(IS_REAL, reason="hosts of a real cluster are not made to fail")


def kinds(*names: str, short: int) -> list[str]:
    """Return what to test on: the first `short` file systems, all in the long form."""
    return ["real"] if IS_REAL else list(names if LONG else names[:short])


@dataclass
class Cluster:
    """A Slurm and a directory that all its nodes see."""

    slurm: scheduler.Slurm | scheduler.SlurmThatIsThere
    shared: Path
    work: Path
    store_name: str = "store.db"
    jobs: list[str] = field(default_factory=list)

    @property
    def store(self) -> Path:
        """The store of jobs, and of `ask`."""
        return self.shared / self.store_name

    def submit(self, *command: object, **options: Any) -> str:
        """Run a command on the login node, as a user of this checkout would."""
        environment = {
            "PYTHONPATH": ROOT,
            "TIRASTORE_PYTHON": sys.executable,
            "TIRASTORE_HOME": ROOT,
            "TIRASTORE_DB": self.store,
            "TIRASTORE_TEST_DIR": self.shared,
        }
        return self.slurm.run(*command, **{**environment, **options}).strip()

    def ask(self, expression: str) -> Any:
        """Return the value of an expression over the store, as the login node sees it."""
        opened = "import json, tirastore; store = tirastore.TiraStore()"
        code = f"{opened}; print(json.dumps({expression}))"
        return json.loads(self.submit(sys.executable, "-c", code))

    def start_workers(self, *arguments: object, options: Sequence[str]) -> str:
        """Submit `worker.sbatch`; return its job."""
        script = ROOT / "slurm/worker.sbatch"
        output = f"--output={self.work}/%A_%a.out"
        submit = ["sbatch", "--parsable", output, *options, script, "--verbose", *arguments]
        self.jobs.append(self.submit(*submit))
        return self.jobs[-1]

    def cancel_all(self) -> None:
        """End all jobs that were started."""
        for job in self.jobs:
            self.slurm.run("scancel", job, check=False)
            self.wait_for(job, "")
        self.jobs.clear()

    def lines(self, job: str, what: str) -> list[str]:
        """Return what the tasks of a job have printed that begins like this."""
        outputs = self.work.glob(f"{job}.out" if "_" in job else f"{job}_*.out")
        texts = [output.read_text(errors="replace") for output in outputs]
        return [line for text in texts for line in text.splitlines() if line.startswith(what)]

    def output(self, job: str) -> str:
        """Return all that the tasks of a job have printed."""
        return "\n".join(self.lines(job, ""))

    def wait_for_line(self, job: str, what: str, seconds: float) -> None:
        """Wait until one of the tasks of a job has printed something."""
        hosts.wait_until(
            f"job {job} has {what}", lambda: what in self.output(job), seconds * SLOWER
        )

    def run_time(self, job: str) -> float:
        """Return for how many seconds a job that has ended has run."""
        list_ = ["squeue", "--noheader", "--states=all", f"--jobs={job}", "--format=%S %e"]
        began, ended = map(datetime.fromisoformat, self.slurm.run(*list_).split())
        return (ended - began).total_seconds()

    def wait_for(self, job: str, state: str, seconds: float = 60.0) -> None:
        """Wait until all tasks of a job are in a state; "" when they have ended."""
        list_ = ["squeue", "--noheader", "--states=all", f"--jobs={job}", "--format=%T"]
        wanted = {state} if state else ENDED

        def is_there() -> bool:
            # An empty answer is none: a job that has ended is listed for some minutes.
            states = set(self.slurm.run(*list_, check=False).split())
            return bool(states) and states <= wanted

        hosts.wait_until(f"job {job} is {state or 'gone'}", is_there, seconds * SLOWER)


@dataclass
class OwnCluster(Cluster):
    """One of hosts of this machine, which can be made to fail."""

    nodes: list[hosts.Host] = field(default_factory=list)
    files: filesystems.FileSystem | None = None

    def boot(self, node: hosts.Host) -> None:
        """Boot a node that lost its power, and let it join."""
        assert self.files is not None
        assert isinstance(self.slurm, scheduler.Slurm)
        node.boot()
        self.files.mount(node)
        self.slurm.join(node)


def file_system(kind: str, server: hosts.Host, directory: Path) -> filesystems.FileSystem:
    """Start one of `KINDS`."""
    if kind == "moosefs":
        return filesystems.MooseFs(server, directory)
    if kind == "glusterfs":
        return filesystems.GlusterFs(server, directory)
    return filesystems.FaultFs(directory, kind)


@contextlib.contextmanager
def cluster_on(kind: str, count: int) -> Iterator[Any]:
    """Start a cluster of `count` nodes on one kind of file system, or use the real one."""
    if kind == "real":
        with tempfile.TemporaryDirectory(dir=os.environ["TIRASTORE_TEST_DIR"]) as shared:
            Path(shared).chmod(0o755)
            yield Cluster(scheduler.SlurmThatIsThere(), Path(shared), Path(shared))
        return
    program, packages = KINDS[kind]
    if shutil.which(program) is None:
        pytest.skip(f"{program} not found (Debian: apt-get install {packages})")
    if reason := scheduler.reason_to_skip() or filesystems.reason_to_skip():
        pytest.skip(reason)
    directory = Path(tempfile.mkdtemp(prefix="tirastore-cluster-"))
    directory.chmod(0o755)
    try:
        with hosts.hosts(count, directory) as (login, server, *nodes):
            files = file_system(kind, server, directory)
            for host in (login, *nodes):
                files.mount(host)
            work = directory / "work"
            work.mkdir()
            with scheduler.slurm(login, nodes, directory) as started:
                yield OwnCluster(started, files.point, work, nodes=nodes, files=files)
    finally:
        shutil.rmtree(directory)
