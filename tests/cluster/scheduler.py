"""A real Slurm: on hosts of this machine, or the one that is there."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from typing import TYPE_CHECKING

from hosts import ENDS_WITH_US, Host, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PROGRAMS = ("slurmctld", "slurmd", "munged", "srun", "sbatch")
PACKAGES = ("slurm-wlm", "munge")
#: As many as a test wants to start: Slurm only counts them.
CPUS = 8

# Nodes without a history: nothing of cgroups, accounting or a task layout is needed.
CONFIGURATION = """\
ClusterName=tests
SlurmctldHost={login.name}({login.address})
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={directory}/munge.socket
StateSaveLocation={directory}/state
SlurmdSpoolDir={directory}/spool/%n
SlurmctldPidFile={directory}/slurmctld.pid
SlurmdPidFile={directory}/slurmd.%n.pid
SlurmctldLogFile={directory}/slurmctld.log
SlurmdLogFile={directory}/slurmd.%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerParameters=batch_sched_delay=0,sched_interval=2,bf_interval=2
SlurmdParameters=config_overrides
ReturnToService=2
SlurmdTimeout=10
KillWait=5
PropagateResourceLimits=NONE
{nodes}
PartitionName=tests Nodes=ALL Default=YES MaxTime=INFINITE State=UP
PartitionName=second Nodes=ALL Default=NO MaxTime=INFINITE State=UP
"""


class Slurm:
    """The controller on `login`, a daemon on every node, and the commands of who is logged in."""

    def __init__(self, login: Host, nodes: list[Host], directory: Path) -> None:
        self.login, self.nodes, self.directory = login, nodes, directory
        self.configuration = directory / "slurm.conf"
        lines = [
            f"NodeName={node.name} NodeAddr={node.address} CPUs={CPUS} RealMemory=1000"
            for node in nodes
        ]
        self.configuration.write_text(
            CONFIGURATION.format(login=login, directory=directory, nodes="\n".join(lines))
        )
        (directory / "state").mkdir()
        self._start(login, "slurmctld", "-D")
        for node in nodes:
            self.join(node)
        self.wait_until_idle()

    def join(self, node: Host) -> None:
        """Start the daemon of a node that has booted."""
        (self.directory / "spool" / node.name).mkdir(parents=True, exist_ok=True)
        self._start(node, "slurmd", "-D", "-N", node.name)

    def _start(self, host: Host, *command: str) -> None:
        settings = ["env", f"SLURM_CONF={self.configuration}"]
        with (self.directory / f"{command[0]}.{host.name}.out").open("a") as log:
            host.start(*settings, *command, stdout=log, stderr=log)

    def wait_until_idle(self) -> None:
        """Wait until every node can take a job."""
        names = {node.name for node in self.nodes}

        def idle() -> bool:
            listed = self.run(
                "sinfo", "--noheader", "--Node", "--states=idle", "--format=%N", check=False
            )
            return set(listed.split()) == names

        wait_until("all nodes are idle", idle, 60)

    def run(
        self, *command: object, check: bool = True, timeout: float = 300.0, **variables: object
    ) -> str:
        """Run a command on the login node."""
        variables = {"SLURM_CONF": self.configuration, **variables}
        return self.login.run(*command, check=check, timeout=timeout, **variables)


class SlurmThatIsThere:
    """The Slurm of the cluster that the tests run on."""

    def run(
        self, *command: object, check: bool = True, timeout: float = 3600.0, **variables: object
    ) -> str:
        """Run a command here."""
        environment = {**os.environ, **{name: str(value) for name, value in variables.items()}}
        finished = subprocess.run(
            [*map(str, command)],
            capture_output=True,
            text=True,
            check=False,
            timeout=timeout,
            stdin=subprocess.DEVNULL,
            env=environment,
        )
        said = f"{command}: {finished.stdout}{finished.stderr}"
        assert finished.returncode == 0 or not check, said
        return finished.stdout


def is_there() -> bool:
    """Tell whether this is a node of a cluster, from which jobs can be submitted."""
    if shutil.which("sinfo") is None:
        return False
    finished = subprocess.run(
        ["sinfo", "--noheader"], capture_output=True, check=False, timeout=60, text=True
    )
    return finished.returncode == 0 and bool(finished.stdout.strip())


def reason_to_skip() -> str:
    """Return why there is no Slurm to start here, or nothing."""
    missing = [program for program in PROGRAMS if shutil.which(program) is None]
    packages = " ".join(PACKAGES)
    return f"{', '.join(missing)} not found (Debian: apt-get install {packages})" if missing else ""


@contextlib.contextmanager
def slurm(login: Host, nodes: list[Host], directory: Path) -> Iterator[Slurm]:
    """Start Slurm. Its daemons end with their hosts."""
    key = directory / "munge.key"
    key.write_bytes(os.urandom(128))
    key.chmod(0o400)
    socket = directory / "munge.socket"
    files = [f"--{kind}-file={directory}/munge.{kind}" for kind in ("key", "log", "pid", "seed")]
    # One for all hosts: its socket is a file, and files they share.
    command = [*ENDS_WITH_US, "munged", "--foreground", "--force", f"--socket={socket}", *files]
    with (directory / "munged.out").open("a") as log:
        munged = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:
        wait_until("munged listens", socket.exists, 10)
        yield Slurm(login, nodes, directory)
    finally:
        munged.terminate()
        munged.wait(10)
