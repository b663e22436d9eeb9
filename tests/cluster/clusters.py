"""Hosts, a Slurm and a file system, together: a cluster to test on."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import filesystems
import hosts
import pytest

import slurm

if TYPE_CHECKING:
    from collections.abc import Iterator

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

    def submit(self, *command: object, timeout: float = 300.0, **variables: object) -> str:
        """Run a command on the login node, as a user of this checkout would."""
        environment = {
            "PYTHONPATH": ROOT,
            "TIRASTORE_PYTHON": sys.executable,
            "TIRASTORE_HOME": ROOT,
            "TIRASTORE_TEST_DIR": self.files.point,
        }
        return self.slurm.run(*command, timeout=timeout, **{**environment, **variables})

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
                yield Cluster(login, nodes, started, files)
    finally:
        shutil.rmtree(directory)
