"""Counts the requests of one lookup and one record to a store's directory, with strace.

A process of its own, ``python -m benches.peers.metadata PEER DIRECTORY SEED``, makes the calls;
between two of them it asks for a file that is not there, which marks the trace.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections import Counter
from functools import partial
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from benches.peers.adapters import PEERS
from benches.peers.rows import row

if TYPE_CHECKING:
    from benches.peers.adapters import Peer

__all__ = ["counted", "summary"]

CALLS = 5
KINDS = ("lookup", "lookup after a record", "record")
DATA = {"read", "pread64", "readv", "preadv", "write", "pwrite64", "writev", "pwritev"}
SYNCS = {"fsync", "fdatasync", "sync_file_range", "syncfs"}
#: They stay on the node.
LOCAL = {
    *("close", "dup", "fadvise64", "fcntl", "flock", "ioctl"),
    *("lseek", "mmap", "mremap", "munmap"),
}
#: Asks for the attributes of an open file, which a client may know.
OF_OPEN_FILES = "fstat"


def counted(peer: type[Peer], place: Path, seed: int) -> dict[str, Counter[str]] | None:
    """Return system calls by name for one call of each of `KINDS`; ``None`` without strace."""
    if shutil.which("strace") is None:
        return None
    directory = place / peer.__name__
    directory.mkdir(parents=True)
    trace = place / "trace"
    module = [sys.executable, "-m", "benches.peers.metadata", peer.__name__, str(directory)]
    options = ["-f", "-y", "-qq", "-s", "256", "-e", "trace=%file,%desc", "-o", str(trace)]
    finished = subprocess.run(
        ["strace", *options, *module, str(seed)], capture_output=True, text=True, check=False
    )
    if finished.returncode != 0:
        raise RuntimeError(f"strace of {peer.name} failed: {finished.stderr[-500:]}")
    lines = trace.read_text().splitlines()
    shutil.rmtree(place)
    return {kind: _of_one_call(lines, str(directory), kind) for kind in KINDS}


def summary(names: Counter[str]) -> dict[str, str]:
    """Return how often each kind of request is made, and which change or ask for names."""
    others = DATA | SYNCS | LOCAL | {OF_OPEN_FILES}
    metadata = {name: number for name, number in names.items() if name not in others}
    return {
        "metadata operations": str(sum(metadata.values())),
        "which": ", ".join(f"{number} {name}" for name, number in sorted(metadata.items())),
        "stats of open files": str(names[OF_OPEN_FILES]),
        "reads and writes": str(sum(names[name] for name in DATA)),
        "syncs": str(sum(names[name] for name in SYNCS)),
    }


def _of_one_call(lines: list[str], directory: str, kind: str) -> Counter[str]:
    """Return the median call of `CALLS`, by the number of its system calls."""
    called: list[Counter[str]] = []
    for number in range(CALLS):
        begin, end = (f"{directory}/mark-{kind}-{number}-{edge}" for edge in ("begin", "end"))
        first = next(i for i, line in enumerate(lines) if begin in line)
        last = next(i for i, line in enumerate(lines) if end in line)
        called.append(Counter(_name(line) for line in lines[first + 1 : last] if directory in line))
    middle = median(sorted(counter.total() for counter in called))
    return next(counter for counter in called if counter.total() == middle)


def _name(line: str) -> str:
    """Return the system call of a line: stats by their kind, for they have many names."""
    match = re.match(r"\d+ +(?:<\.\.\. )?(\w+)", line)
    name = match[1] if match else "?"
    if name in {"stat", "lstat", "fstat", "newfstatat", "statx"}:
        return OF_OPEN_FILES if name == "fstat" or "AT_EMPTY_PATH" in line else "stat"
    return {"openat": "open", "unlinkat": "unlink", "getdents64": "getdents"}.get(name, name)


def main() -> None:
    """Make the calls that are traced."""
    name, directory, seed = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
    (peer,) = (peer for peer in PEERS if peer.__name__ == name)
    peer.create(directory, 60.0)
    with peer(directory, 60.0) as store:
        store.record_batch([row(seed, number) for number in range(100)])
        for number in range(-2, CALLS):  # the first are no steady state
            found, known, new = (row(seed, first + number) for first in (10, 20, 200))
            calls = (partial(store.lookup, *known[:3]), partial(store.lookup, *found[:3]))
            # A lookup after another one, and what a write in between adds to it.
            for kind, call in zip(KINDS, (*calls, partial(store.record, *new)), strict=True):
                if kind == "lookup after a record":
                    store.record(*row(seed, 300 + number))
                (directory / f"mark-{kind}-{number}-begin").exists()
                call()
                (directory / f"mark-{kind}-{number}-end").exists()
            store.lookup(*row(seed, 30 + number)[:3])


if __name__ == "__main__":
    main()
