"""The original's protocol: link, open, work, close, unlink; two commits."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import random
import socket
import sqlite3
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from benches.peers.adapters.base import UNSYNCED_REMOVAL, Peer, decoded, key_of, program_hash
from benches.peers.adapters.sqlite import (
    INSERT_PROGRAM,
    INSERT_RECORD,
    create_tables,
    record_columns,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from benches.peers.rows import Row

__all__ = ["Original"]

FIRST_DELAY = 0.05  # seconds
LONGEST_DELAY = 5.0  # seconds
JITTER = 0.5
FIND_PROGRAM = "SELECT 1 FROM programs WHERE program_hash = ?"
FIND_KEY = "SELECT 1 FROM records WHERE key = ?"
FIND_RECORD = (
    "SELECT r.*, p.program_name, p.source_code FROM records r"
    " JOIN programs p ON r.program_hash = p.program_hash WHERE r.key = ?"
)


class Original(Peer):
    """An adapter over sqlite3, with normal forms and keys of this package: its own are slower."""

    name = "original's protocol"
    durable = UNSYNCED_REMOVAL
    nodes = "yes, within the limits of its lock"

    def __init__(self, directory: Path, patience: float) -> None:
        super().__init__(directory, patience)
        self.path = directory / "store.db"
        self.lock_path = directory / "store.db.lock"

    @classmethod
    def create(cls, directory: Path, patience: float) -> None:
        del patience
        create_tables(directory / "store.db")

    def record(
        self, name: str, source: str, schedule: str, is_legal: bool, times: list[float]
    ) -> bool:
        columns = record_columns(source, schedule, is_legal, times)
        key, program = columns[:2]
        with self.locked():
            with self.connected() as connection:
                if connection.execute(FIND_PROGRAM, (program,)).fetchone() is None:
                    connection.execute(INSERT_PROGRAM, (program, name, source))
                    connection.commit()
            with self.connected() as connection:
                if connection.execute(FIND_KEY, (key,)).fetchone() is not None:
                    return False
                connection.execute(INSERT_RECORD, columns)
                connection.commit()
        return True

    def lookup(self, name: str, source: str, schedule: str) -> list[float] | None:
        del name
        key = key_of(source, schedule)
        with self.locked(), self.connected() as connection:
            found = connection.execute(FIND_RECORD, (key,)).fetchone()
        return decoded(found[3] if found else None)

    def record_batch(self, rows: Sequence[Row]) -> None:
        programs = {row.source: (program_hash(row.source), row.name, row.source) for row in rows}
        columns = [record_columns(*row[1:]) for row in rows]
        with self.locked(), self.connected() as connection:
            connection.executemany(INSERT_PROGRAM, programs.values())
            connection.commit()
            connection.executemany(INSERT_RECORD, columns)
            connection.commit()

    def close(self) -> None:
        """Nothing is kept open."""

    @contextlib.contextmanager
    def connected(self) -> Iterator[sqlite3.Connection]:
        """Open the file for one step."""
        connection = sqlite3.connect(self.path)
        try:
            for pragma in ("journal_mode=DELETE", "busy_timeout=0", "synchronous=FULL"):
                connection.execute(f"PRAGMA {pragma}")
            connection.execute("PRAGMA foreign_keys=ON")
            yield connection
        finally:
            connection.close()

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the hard-link lock, with the original's back-off."""
        deadline = time.monotonic() + self.patience
        host = socket.gethostname()
        for attempt in itertools.count():
            prefix = f".lock_{host}_{os.getpid()}_"
            descriptor, temporary = tempfile.mkstemp(prefix=prefix, dir=self.directory)
            holder = {"hostname": host, "pid": os.getpid(), "timestamp": time.time()}
            os.write(descriptor, json.dumps(holder).encode())
            os.close(descriptor)
            try:
                os.link(temporary, self.lock_path)
                break
            except FileExistsError:
                Path(temporary).unlink()
            if time.monotonic() > deadline:
                raise TimeoutError(f"{self.lock_path} was held for {self.patience} s")
            delay = min(FIRST_DELAY * 2 ** min(attempt, 10), LONGEST_DELAY)
            time.sleep(delay * (1.0 + JITTER * random.random()))
        try:
            yield
        finally:
            self.lock_path.unlink()
            Path(temporary).unlink()
