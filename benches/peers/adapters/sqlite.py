"""Python's sqlite3 on the tables of TiraStore, under several locks and journals."""

from __future__ import annotations

import contextlib
import sqlite3
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, ClassVar

from benches.peers.adapters.base import (
    UNSYNCED_REMOVAL,
    Peer,
    decoded,
    encoded,
    key_of,
    program_hash,
)
from benches.peers.adapters.ours import MACHINE
from tirastore import TiraStore, normalize_schedule

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from benches.peers.rows import Row

__all__ = [
    "INSERT_PROGRAM",
    "INSERT_RECORD",
    "SqliteDelete",
    "SqliteDotFile",
    "SqliteFlufl",
    "SqlitePersist",
    "SqliteTruncate",
    "SqliteWal",
    "create_tables",
    "record_columns",
]

INSERT_PROGRAM = "INSERT OR IGNORE INTO programs VALUES (?, ?, ?)"
INSERT_RECORD = "INSERT OR IGNORE INTO records VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
FIND_RESULT = "SELECT result_json FROM records WHERE key = ?"


def create_tables(path: Path) -> None:
    """Make an empty file with the tables and indexes of TiraStore."""
    TiraStore(path, lock="hardlink", **MACHINE).close()


def record_columns(
    source: str, schedule: str, is_legal: bool, times: list[float]
) -> tuple[str, ...]:
    """Return a row of the table ``records``."""
    now = datetime.now(UTC).isoformat()
    key = key_of(source, schedule)
    result = encoded(is_legal, times)
    normal = normalize_schedule(schedule)
    return key, program_hash(source), normal, result, "host", "user", now, now, ""


class _Sqlite(Peer):
    """One transaction a record, on a connection that is kept."""

    nodes = "where `fcntl` locks work"
    journal_mode: ClassVar[str]
    vfs: ClassVar[str] = "unix"

    def __init__(self, directory: Path, patience: float) -> None:
        super().__init__(directory, patience)
        uri = f"file:{directory / 'store.db'}?vfs={self.vfs}"
        self.connection = sqlite3.connect(uri, uri=True, timeout=patience, isolation_level=None)
        for pragma in (f"journal_mode={self.journal_mode}", "synchronous=FULL"):
            self.connection.execute(f"PRAGMA {pragma}").fetchall()

    @classmethod
    def create(cls, directory: Path, patience: float) -> None:
        create_tables(directory / "store.db")
        super().create(directory, patience)

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the lock that is not SQLite's, if there is one."""
        yield

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        """Do all or nothing."""
        with self.locked():
            self.connection.execute("BEGIN IMMEDIATE")
            try:
                yield
                self.connection.execute("COMMIT")
            except BaseException:
                if self.connection.in_transaction:
                    self.connection.execute("ROLLBACK")
                raise

    def record(
        self, name: str, source: str, schedule: str, is_legal: bool, times: list[float]
    ) -> bool:
        columns = record_columns(source, schedule, is_legal, times)
        with self.transaction():
            self.connection.execute(INSERT_PROGRAM, (columns[1], name, source))
            return self.connection.execute(INSERT_RECORD, columns).rowcount == 1

    def lookup(self, name: str, source: str, schedule: str) -> list[float] | None:
        del name
        key = key_of(source, schedule)
        with self.locked():
            found = self.connection.execute(FIND_RESULT, (key,)).fetchone()
        return decoded(found[0] if found else None)

    def record_batch(self, rows: Sequence[Row]) -> None:
        programs = {row.source: (program_hash(row.source), row.name, row.source) for row in rows}
        columns = [record_columns(*row[1:]) for row in rows]
        with self.transaction():
            self.connection.executemany(INSERT_PROGRAM, programs.values())
            self.connection.executemany(INSERT_RECORD, columns)

    def close(self) -> None:
        self.connection.close()

    def is_timeout(self, error: Exception) -> bool:
        return super().is_timeout(error) or "database is locked" in str(error)


class SqliteDelete(_Sqlite):
    name = "sqlite3, DELETE"
    journal_mode = "DELETE"
    durable = UNSYNCED_REMOVAL


class SqliteTruncate(_Sqlite):
    name = "sqlite3, TRUNCATE"
    journal_mode = "TRUNCATE"
    alone = True


class SqlitePersist(_Sqlite):
    name = "sqlite3, PERSIST"
    journal_mode = "PERSIST"
    alone = True


class SqliteWal(_Sqlite):
    name = "sqlite3, WAL"
    journal_mode = "WAL"
    nodes = "**no**: shared memory"


class SqliteDotFile(_Sqlite):
    name = "sqlite3, unix-dotfile"
    journal_mode = "DELETE"
    durable = UNSYNCED_REMOVAL
    vfs = "unix-dotfile"
    nodes = "yes; a killed holder locks it for ever"


class SqliteFlufl(_Sqlite):
    """SQLite locks nothing; flufl.lock does, readers included."""

    name = "sqlite3, flufl.lock"
    package = "flufl.lock"
    journal_mode = "DELETE"
    durable = UNSYNCED_REMOVAL
    vfs = "unix-none"
    nodes = "yes, with equal clocks"

    def __init__(self, directory: Path, patience: float) -> None:
        from flufl.lock import Lock, TimeOutError  # noqa: PLC0415 -- an optional package

        lifetime = timedelta(seconds=10 * patience)
        self.timeouts = (TimeOutError,)  # type: ignore[misc] # known only here
        path = str(directory / "store.lock")
        self.lock = Lock(path, lifetime=lifetime, default_timeout=timedelta(seconds=patience))
        super().__init__(directory, patience)

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        with self.lock:
            yield
