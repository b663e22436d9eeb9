"""Who is asked to be a side of a check: a process beside this one."""

from __future__ import annotations

import json
import select
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from pathlib import Path

# Not -m: this package has loaded the module already, which runpy warns about.
COMMAND = [sys.executable, "-P", "-c", "from tirastore.doctor.side import serve; serve()"]
PATIENCE = 30.0


class PeerLostError(OSError):
    """A side does not answer, or not in time."""


class Peer(Protocol):
    """A side that can be asked."""

    def send(self, do: str, **arguments: Any) -> None:
        """Ask it to do something."""

    def receive(self, patience: float = PATIENCE) -> Any:
        """Wait for the answer; its `OSError` is raised here."""


def ask(peer: Peer, do: str, **arguments: Any) -> Any:
    """Ask one side and wait for its answer."""
    peer.send(do, **arguments)
    return peer.receive()


def opened(answer: dict[str, Any]) -> Any:
    """Return the value of an answer, or raise its error."""
    if "value" not in answer:
        raise OSError(answer["errno"], answer["text"])
    return answer["value"]


class Process:
    """A side that is a process on this node."""

    def __init__(self, base: Path) -> None:
        self._process = subprocess.Popen(
            [*COMMAND, str(base)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
        )
        self._rest = b""

    def send(self, do: str, **arguments: Any) -> None:
        """Ask it to do something."""
        assert self._process.stdin is not None  # noqa: S101 -- it is a pipe
        try:
            self._process.stdin.write(json.dumps({"do": do, "with": arguments}).encode() + b"\n")
        except BrokenPipeError:
            raise PeerLostError("a process of the check has ended") from None

    def receive(self, patience: float = PATIENCE) -> Any:
        """Wait for the answer; its `OSError` is raised here."""
        assert self._process.stdout is not None  # noqa: S101 -- it is a pipe
        deadline = time.monotonic() + patience
        while b"\n" not in self._rest:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self._process.stdout], [], [], left)[0]:
                raise PeerLostError(f"an operation has not ended within {patience:g} s")
            read = self._process.stdout.read(1 << 16)
            if not read:
                raise PeerLostError("a process of the check has ended")
            self._rest += read
        line, _, self._rest = self._rest.partition(b"\n")
        return opened(json.loads(line))

    def close(self) -> None:
        """End the process; one that hangs in the file system is left to the system."""
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()
        try:
            self._process.wait(1)
        except subprocess.TimeoutExpired:
            self._process.kill()
            try:
                self._process.wait(1)
            except subprocess.TimeoutExpired:
                return
