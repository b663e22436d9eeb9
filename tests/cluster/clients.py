"""Clients on hosts, and what they were told."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import client
from clusters import ROOT
from hosts import wait_until

if TYPE_CHECKING:
    from hosts import Host

CLIENT = Path(client.__file__)
LOOK = """
import sys, tirastore
info = tirastore.lock_info(sys.argv[1])
print(info.hostname if info.held else "nobody")
"""
MISSING = """
import json, pathlib, sys, client
print(json.dumps(client.missing(pathlib.Path(sys.argv[1]), json.load(sys.stdin))))
"""
TAKE = """
import pathlib, sys, client
with client.open_store(pathlib.Path(sys.argv[1])) as store:
    print(store.claim(*client.claim_of(sys.argv[2]), lease=client.PATIENCE) is not None)
"""


class Client:
    """A client on a host, and what it was told."""

    def __init__(self, host: Host, name: str, store: Path, stop: Path) -> None:
        self.host, self.name = host, name
        self.acknowledged: list[int] = []
        self.said: list[str] = []
        self.process = python(host, CLIENT, name, store, stop, stdout=subprocess.PIPE)
        self.listener = threading.Thread(target=self._listen)
        self.listener.start()

    def _listen(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if not line.endswith("\n"):
                break
            if line[0].isdigit():
                self.acknowledged.append(int(line))
            else:
                self.said.append(line.strip())

    def goes_on(self, seconds: float) -> float:
        """Wait until it is told something new; return for how long."""
        before, start = len(self.acknowledged), time.monotonic()
        wait_until(
            f"{self.name} goes on, {self.said[-3:]}",
            lambda: len(self.acknowledged) > before,
            seconds,
        )
        return time.monotonic() - start


def python(host: Host, *command: object, **options: object) -> subprocess.Popen[str]:
    path = f"PYTHONPATH={ROOT}:{CLIENT.parent}"
    return host.start("env", path, sys.executable, *command, **options)


def ask(host: Host, code: str, *arguments: object, stdin: str = "") -> str:
    process = python(host, "-c", code, *arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    said, _ = process.communicate(stdin, timeout=120)
    assert process.returncode == 0
    return said.strip()


def holder(witness: Host, store: Path) -> str:
    """Return the name of the host that holds the lock, or "nobody"."""
    return ask(witness, LOOK, store)


def takes_the_claim_of(name: str, host: Host, store: Path) -> bool:
    """Tell whether a host can have what a client had claimed."""
    return ask(host, TAKE, store, name) == "True"


def missing(host: Host, store: Path, promised: dict[str, list[int]]) -> list[str]:
    """Return what clients were told and the store does not hold."""
    lost: list[str] = json.loads(ask(host, MISSING, store, stdin=json.dumps(promised)))
    return lost
