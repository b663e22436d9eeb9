"""Hosts, a Slurm and a file system, together: a cluster to test on."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import filesystems
import hosts
import pytest

import slurm

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

ROOT = Path(__file__).resolve().parents[2]
#: The long form, for people: `make cluster-test CLUSTER=long`.
LONG = os.environ.get("CLUSTER") == "long"
KINDS = {
    "moosefs": ("mfsmaster", "moosefs-master moosefs-chunkserver moosefs-client moosefs-cli"),
    "glusterfs": ("glusterd", "glusterfs-server glusterfs-client"),
    "coherent": ("cargo", "cargo"),
    "cached": ("cargo", "cargo"),
}

only_long = pytest.mark.skipif(not LONG, reason="takes minutes: make cluster-test CLUSTER=long")


@dataclass
class Cluster:
    """Hosts with a Slurm and a file system that all of them see."""

    login: hosts.Host
    nodes: list[hosts.Host]
    slurm: slurm.Slurm
    files: filesystems.FileSystem

    work: Path
    store_name: str = "store.db"

    @property
    def store(self) -> Path:
        """The store of jobs, and of `ask`."""
        return self.files.point / self.store_name

    def submit(self, *command: object, **options: Any) -> str:
        """Run a command on the login node, as a user of this checkout would."""
        environment = {
            "PYTHONPATH": ROOT,
            "TIRASTORE_PYTHON": sys.executable,
            "TIRASTORE_HOME": ROOT,
            "TIRASTORE_DB": self.store,
            "TIRASTORE_TEST_DIR": self.files.point,
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
        return self.submit(
            "sbatch", "--parsable", output, *options, script, "--verbose", *arguments
        )

    def lines(self, job: str, what: str) -> list[str]:
        """Return what the tasks of a job have printed that begins like this."""
        outputs = self.work.glob(f"{job}*.out")
        texts = [output.read_text(errors="replace") for output in outputs]
        return [line for text in texts for line in text.splitlines() if line.startswith(what)]

    def output(self, job: str) -> str:
        """Return all that the tasks of a job have printed."""
        return "\n".join(self.lines(job, ""))

    def wait_for_line(self, job: str, what: str, seconds: float) -> None:
        """Wait until one of the tasks of a job has printed something."""
        hosts.wait_until(f"job {job} has {what}", lambda: what in self.output(job), seconds)

    def wait_for(self, job: str, state: str, seconds: float = 60.0) -> None:
        """Wait until a job is in a state; "" when it has ended."""
        list_ = ["squeue", "--noheader", f"--jobs={job}", "--format=%T"]
        states: set[str] = set()

        def is_there() -> bool:
            # Slurm forgets jobs that have ended, and says that their number is invalid.
            states.clear()
            states.update(self.slurm.run(*list_, check=False).split())
            return states == ({state} if state else set())

        hosts.wait_until(f"job {job} is {state or 'gone'}", is_there, seconds)

    def boot(self, node: hosts.Host) -> None:
        """Boot a node that lost its power, and let it join."""
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
def cluster_on(kind: str, count: int) -> Iterator[Cluster]:
    """Start a cluster of `count` nodes on one kind of file system."""
    program, packages = KINDS[kind]
    if shutil.which(program) is None:
        pytest.skip(f"{program} not found (Debian: apt-get install {packages})")
    directory = Path(tempfile.mkdtemp(prefix="tirastore-cluster-"))
    directory.chmod(0o755)
    try:
        with hosts.hosts(count, directory) as (login, server, *nodes):
            files = file_system(kind, server, directory)
            for host in (login, *nodes):
                files.mount(host)
            with slurm.slurm(login, nodes, directory) as started:
                work = directory / "work"
                work.mkdir()
                yield Cluster(login, nodes, started, files, work)
    finally:
        shutil.rmtree(directory)
