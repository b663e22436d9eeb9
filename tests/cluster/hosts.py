"""Hosts out of namespaces: each has a network card, a name, mounts and processes of its own.

All of a host ends with its first process, and that with the process which booted it: nothing of it
is left on the machine, whatever ends the tests. No host has a route to anywhere else.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

# The tests can be killed with SIGKILL; what they started ends with them.
ENDS_WITH_US = ("setpriv", "--pdeathsig", "KILL")
NAMESPACES = ("--net", "--uts", "--mount", "--ipc", "--pid")
# The first process of a host takes in orphans: the kernel does it for one that ignores them.
FIRST_PROCESS = """
import signal, sys
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
print("up", flush=True)
while True:
    signal.pause()
"""
# FUSE mounts of others that were there at birth: nothing here may hold or end them.
SET_UP = """
hostname "$1" && mount --bind "$2" /etc/hosts && ip link set lo up || exit 1
awk '$3 ~ /^fuse/ { print $2 }' /proc/mounts | xargs -r -n 1 umount --lazy
exec "$3" -c "$4"
"""


class Host:
    """One host; `number` 1 is the one that the others are plugged into."""

    def __init__(self, name: str, number: int, switch: Host | None, directory: Path) -> None:
        self.name, self.number, self.switch = name, number, switch
        self.address = f"10.99.0.{number}"
        self.directory = directory
        self._entered: list[subprocess.Popen[str]] = []
        self.boot()

    def boot(self) -> None:
        """Start the host, with nothing mounted."""
        first = [sys.executable, FIRST_PROCESS]
        script = ["sh", "-c", SET_UP, "boot", self.name, str(self.directory / "hosts"), *first]
        isolated = ["unshare", *NAMESPACES, "--fork", "--kill-child", "--mount-proc", *script]
        with (self.directory / f"{self.name}.log").open("a") as log:
            self._power = subprocess.Popen(
                [*ENDS_WITH_US, *isolated],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        assert self._power.stdout is not None
        line = self._power.stdout.readline()
        assert line == "up\n", f"{self.name} did not boot"
        children = Path(f"/proc/{self._power.pid}/task/{self._power.pid}/children")
        self.first_pid = int(children.read_text())
        if self.switch is None:
            self.switch_command("link", "add", "switch", "type", "bridge")
            self._set_up_card("switch")
        else:
            peer = ["peer", "name", "eth0", "netns", str(self.first_pid)]
            switch = self.switch.switch_command
            switch("link", "add", self.port, "type", "veth", *peer)
            switch("link", "set", self.port, "master", "switch", "up")
            self._set_up_card("eth0")

    def _set_up_card(self, card: str) -> None:
        # A host that boots again keeps its hardware address, which others remember.
        self.run("ip", "link", "set", card, "address", f"02:00:00:00:00:{self.number:02x}")
        self.run("ip", "address", "add", f"{self.address}/24", "dev", card)
        self.run("ip", "link", "set", card, "up")

    def switch_command(self, *command: str, check: bool = True) -> None:
        """Run `ip` where the cables of all hosts end, but seeing the processes of the machine."""
        enter = ["nsenter", "--target", str(self.first_pid), "--net"]
        subprocess.run([*enter, "ip", *command], check=check, capture_output=True, timeout=30)

    @property
    def port(self) -> str:
        """Where it is plugged in."""
        return f"port{self.number}"

    def command(self, *command: object, **variables: object) -> list[str]:
        """Return what runs a command on this host."""
        settings = [f"{name}={value}" for name, value in variables.items()]
        enter = ["nsenter", "--target", str(self.first_pid), *NAMESPACES, "env", *settings]
        return [*ENDS_WITH_US, *enter, *map(str, command)]

    def run(
        self, *command: object, check: bool = True, timeout: float = 120.0, **variables: object
    ) -> str:
        """Run a command to its end and return what it printed."""
        finished = subprocess.run(
            self.command(*command, **variables),
            capture_output=True,
            text=True,
            check=False,
            timeout=timeout,
            stdin=subprocess.DEVNULL,
        )
        said = f"{command} on {self.name}: {finished.stdout}{finished.stderr}"
        assert finished.returncode == 0 or not check, said
        return finished.stdout

    def start(self, *command: object, **options: Any) -> subprocess.Popen[str]:
        """Start a command, which ends with the host at the latest."""
        options = {"stdin": subprocess.DEVNULL, "text": True, **options}
        process = subprocess.Popen(self.command(*command), **options)
        self._entered.append(process)
        return process

    def lose_power(self) -> None:
        """End every process at once; nothing happens if that was done before."""
        if self._power.returncode is not None:
            return
        os.kill(self.first_pid, signal.SIGKILL)
        assert self._power.stdout is not None
        self._power.stdout.close()
        self._power.wait(30)
        for process in self._entered:
            # It is outside, and waits for one that was inside.
            process.wait(30)
            for pipe in (process.stdin, process.stdout, process.stderr):
                if pipe is not None:
                    pipe.close()
        self._entered.clear()
        if self.switch is not None:
            # The kernel may take its time to remove the other end of the cable.
            self.switch.switch_command("link", "delete", self.port, check=False)

    def unplug(self) -> None:
        """Cut it off from all others."""
        assert self.switch is not None
        self.switch.switch_command("link", "set", self.port, "down")

    def plug_in(self) -> None:
        """End what `unplug` began."""
        assert self.switch is not None
        self.switch.switch_command("link", "set", self.port, "up")

    def freeze(self) -> None:
        """Stop every process, as when a virtual machine is suspended."""
        for process in self._processes():
            os.kill(process, signal.SIGSTOP)

    def thaw(self) -> None:
        """Let them go on."""
        # nsenter stops itself when what it runs is stopped.
        outside = [process.pid for process in self._entered if process.poll() is None]
        for process in [*self._processes(), *outside]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGCONT)

    def _processes(self) -> list[int]:
        inside = Path(f"/proc/{self.first_pid}/ns/pid").stat().st_ino
        found = []
        for entry in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if (entry / "ns/pid").stat().st_ino == inside:
                    found.append(int(entry.name))
        return found


@contextlib.contextmanager
def hosts(count: int, directory: Path) -> Iterator[list[Host]]:
    """Boot the hosts login, server and node1 to node`count`; end them all in the end."""
    names = ["login", "server", *(f"node{number}" for number in range(1, count + 1))]
    lines = [f"10.99.0.{number} {name}" for number, name in enumerate(names, start=1)]
    (directory / "hosts").write_text("\n".join(["127.0.0.1 localhost", *lines, ""]))
    up: list[Host] = []
    try:
        for number, name in enumerate(names, start=1):
            up.append(Host(name, number, up[0] if up else None, directory))
        yield up
    finally:
        for host in reversed(up):
            host.lose_power()


def wait_until(what: str, condition: Any, seconds: float = 30.0) -> Any:
    """Wait until `condition()` is true, and return what it said; fail after `seconds`."""
    deadline = time.monotonic() + seconds
    while not (said := condition()):
        assert time.monotonic() < deadline, f"after {seconds:g} s still not: {what}"
        time.sleep(0.05)
    return said


def reason_to_skip() -> str:
    """Return why there can be no hosts here, or nothing."""
    if os.geteuid() != 0:
        return "hosts out of namespaces need root"
    try:
        probe = subprocess.run(
            [
                "unshare",
                *NAMESPACES,
                "--fork",
                "--mount-proc",
                "ip",
                "link",
                "add",
                "end1",
                "type",
                "veth",
            ],
            capture_output=True,
            text=True,
            check=False,
            timeout=30,
        )
    except OSError as error:
        return f"hosts out of namespaces: {error}"
    said = re.sub(r"\s+", " ", probe.stderr).strip()
    return f"no namespaces with a network of their own: {said}" if probe.returncode else ""
