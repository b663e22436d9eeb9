"""Clients of one store, processes: ``python tests/fleet.py ROLE STORE NAME COUNT LOCK``.

Every acknowledged record is printed as a line, after the call that recorded it has returned.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tirastore import Measurement, TiraStore, make_key, make_program_hash
from tirastore._lock import HardLinkLock

SOURCE = "void fleet() { /* shared by all clients */ }"


#: Lock protocol of the stores that this client creates.
OPTIONS = {"lock": "auto"}


def start(
    role: str, store: Path, name: str, count: int, lock: str = "auto"
) -> subprocess.Popen[str]:
    """Start a client; its standard output is a pipe."""
    command = [sys.executable, __file__, role, str(store), name, str(count), lock]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def schedule(name: str, number: int) -> str:
    """Return the schedule that client `name` records as its `number`-th."""
    return f"U(L0,{number},comps=['{name}'])"


def times(name: str, number: int) -> list[float]:
    """Return execution times that tell whose record it is."""
    return [float(number), float(sum(name.encode()))]


def record_own(path: Path, name: str, count: int) -> None:
    """Record `count` schedules that no other client records."""
    store = open_store(path, name)
    for number in range(count):
        store.record("fleet", SOURCE, schedule(name, number), True, times(name, number))
        print(number, flush=True)


def record_contested(path: Path, name: str, count: int) -> None:
    """Record the same schedules as every other client; print those that were written."""
    store = open_store(path, name)
    for number in range(count):
        if store.record("fleet", SOURCE, schedule("contested", number), True, times(name, number)):
            print(number, flush=True)


def overwrite(path: Path, name: str, count: int) -> None:
    """Overwrite one record `count` times without a pause."""
    store = open_store(path, name)
    for number in range(count):
        store.record("fleet", SOURCE, "", True, times(name, number), overwrite=True)
        print(number, flush=True)


def die_holding(path: Path, name: str, count: int) -> None:
    """Take the lock at `path` again and again; end while holding it at the `count`-th time.

    The kernel's flock, which ends with its process, tells whether anybody else is inside.
    """
    lock = HardLinkLock(path)
    oracle = os.open(path.with_name("oracle"), os.O_RDWR | os.O_CREAT)
    for number in range(count + 1):
        lock.acquire()
        try:
            fcntl.flock(oracle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(f"{name} is not alone", flush=True)
        if number == count:
            os._exit(0)
        fcntl.flock(oracle, fcntl.LOCK_UN)
        lock.release()


def record_pairs(path: Path, name: str, count: int) -> None:
    """Record pairs of schedules, both in one transaction."""
    store = open_store(path, name)
    for number in range(count):
        pair = [
            Measurement("fleet", SOURCE, schedule(name + half, number), True, times(name, number))
            for half in ("left", "right")
        ]
        store.record_batch(pair)
        print(number, flush=True)


def create(path: Path, name: str, count: int) -> None:
    """Open stores `path`.0, `path`.1, ... that many other clients open, too."""
    for number in range(count):
        open_store(path.with_name(f"{path.name}{number}.db"), name)
        print(number, flush=True)


def record_as_original(path: Path, name: str, count: int) -> None:
    """Follow the original's protocol with plain sqlite3: link, work, unlink; two commits."""
    program = make_program_hash(SOURCE)
    for number in range(count):
        text = schedule(name, number)
        key = make_key(program, text)
        result = json.dumps({"is_legal": True, "execution_times": times(name, number)})
        now = datetime.now(UTC).isoformat()
        with original_lock(path.with_suffix(".db.lock")):
            connection = sqlite3.connect(path)
            connection.execute("PRAGMA synchronous=FULL")
            statement = "INSERT OR IGNORE INTO programs VALUES (?, ?, ?)"
            connection.execute(statement, (program, "fleet", SOURCE))
            connection.commit()
            row = (key, program, text, result, "host", "user", now, now, "")
            connection.execute("INSERT INTO records VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", row)
            connection.commit()
            connection.close()
        print(number, flush=True)


@contextlib.contextmanager
def original_lock(path: Path):
    """Hold the lock as the original's clients do, with its back-off shortened."""
    prefix = f".lock_{socket.gethostname()}_{os.getpid()}_"
    while True:
        descriptor, temporary = tempfile.mkstemp(prefix=prefix, dir=path.parent)
        holder = {"hostname": socket.gethostname(), "pid": os.getpid(), "timestamp": time.time()}
        os.write(descriptor, json.dumps(holder).encode())
        os.close(descriptor)
        try:
            os.link(temporary, path)
            break
        except FileExistsError:
            Path(temporary).unlink()
            time.sleep(0.005)
    try:
        yield
    finally:
        path.unlink()
        Path(temporary).unlink()


def open_store(path: Path, name: str, **options: Any) -> TiraStore:
    """Open the store as every client of the fleet does."""
    options = {**OPTIONS, **options}
    return TiraStore(path, name, cpu_model="FleetCPU", slurm_cpus="1", lock_timeout=60.0, **options)


if __name__ == "__main__":
    _, role, store, name, count, OPTIONS["lock"] = sys.argv
    roles = {
        "own": record_own,
        "contested": record_contested,
        "overwrite": overwrite,
        "pairs": record_pairs,
        "create": create,
        "original": record_as_original,
    }
    roles[role](Path(store), name, int(count))
