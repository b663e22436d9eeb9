"""Stores of keys and values: diskcache, lmdb, sqlitedict. The value is the result as JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from benches.peers.adapters.base import UNSYNCED_REMOVAL, Peer, decoded, encoded, key_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from benches.peers.rows import Row

__all__ = ["DiskCache", "Lmdb", "SqliteDict"]

MAP_BYTES = 1 << 32


class _KeyValue(Peer):
    holds = "result only"
    nodes = "**no**: shared memory"

    def lookup(self, name: str, source: str, schedule: str) -> list[float] | None:
        del name
        return decoded(self.get(key_of(source, schedule)))

    def get(self, key: str) -> str | bytes | None:
        """Return the value of a key."""
        raise NotImplementedError


class DiskCache(_KeyValue):
    name = "diskcache"
    package = "diskcache"
    durable = "yes, as the bench opens it (`synchronous=FULL`); **not by default**"

    def __init__(self, directory: Path, patience: float) -> None:
        import diskcache  # noqa: PLC0415 -- an optional package

        super().__init__(directory, patience)
        self.timeouts = (diskcache.Timeout,)  # type: ignore[misc] # known only here
        self.cache: Any = diskcache.Cache(
            directory,
            timeout=patience,
            eviction_policy="none",
            cull_limit=0,
            sqlite_synchronous=2,
        )

    def record(
        self, name: str, source: str, schedule: str, is_legal: bool, times: list[float]
    ) -> bool:
        del name
        return bool(self.cache.add(key_of(source, schedule), encoded(is_legal, times)))

    def get(self, key: str) -> str | None:
        found: str | None = self.cache.get(key)
        return found

    def record_batch(self, rows: Sequence[Row]) -> None:
        with self.cache.transact():
            for row in rows:
                self.record(*row)

    def close(self) -> None:
        self.cache.close()


class Lmdb(_KeyValue):
    name = "lmdb"
    package = "lmdb"
    durable = "yes (`sync=True`)"

    def __init__(self, directory: Path, patience: float) -> None:
        import lmdb  # noqa: PLC0415 -- an optional package

        super().__init__(directory, patience)
        self.environment: Any = lmdb.open(
            str(directory), map_size=MAP_BYTES, sync=True, metasync=True, max_readers=512
        )

    def record(
        self, name: str, source: str, schedule: str, is_legal: bool, times: list[float]
    ) -> bool:
        del name
        key, value = key_of(source, schedule), encoded(is_legal, times)
        with self.environment.begin(write=True) as transaction:
            return bool(transaction.put(key.encode(), value.encode(), overwrite=False))

    def get(self, key: str) -> bytes | None:
        with self.environment.begin() as transaction:
            found: bytes | None = transaction.get(key.encode())
            return found

    def record_batch(self, rows: Sequence[Row]) -> None:
        pairs = [
            (key_of(row.source, row.schedule).encode(), encoded(row.is_legal, row.times).encode())
            for row in rows
        ]
        with self.environment.begin(write=True) as transaction, transaction.cursor() as cursor:
            cursor.putmulti(pairs, overwrite=False)

    def close(self) -> None:
        self.environment.close()


class SqliteDict(_KeyValue):
    """Its thread is told what its constructor has no parameter for: to sync, and to wait."""

    name = "sqlitedict"
    package = "sqlitedict"
    durable = f"{UNSYNCED_REMOVAL}; only by a pragma of the bench, **never otherwise**"
    nodes = "where `fcntl` locks work"
    keeps = "last"

    def __init__(self, directory: Path, patience: float) -> None:
        import sqlitedict  # noqa: PLC0415 -- an optional package

        super().__init__(directory, patience)
        self.items: Any = sqlitedict.SqliteDict(
            str(directory / "store.sqlite"), encode=str, decode=str, outer_stack=False
        )
        milliseconds = int(patience * 1000)
        for pragma in ("synchronous=FULL", f"busy_timeout={milliseconds}"):
            self.items.conn.select_one(f"PRAGMA {pragma}")

    def record(
        self, name: str, source: str, schedule: str, is_legal: bool, times: list[float]
    ) -> bool:
        del name
        self.items[key_of(source, schedule)] = encoded(is_legal, times)
        self.commit()
        return True

    def get(self, key: str) -> str | None:
        found: str | None = self.items.get(key)
        return found

    def record_batch(self, rows: Sequence[Row]) -> None:
        self.items.update(
            (key_of(row.source, row.schedule), encoded(row.is_legal, row.times)) for row in rows
        )
        self.commit()

    def commit(self) -> None:
        """Wait until it is written; an error of the insertion is known only afterwards."""
        self.items.commit(blocking=True)
        self.items.conn.check_raise_error()

    def close(self) -> None:
        self.items.close()

    def is_timeout(self, error: Exception) -> bool:
        return super().is_timeout(error) or "database is locked" in str(error)
