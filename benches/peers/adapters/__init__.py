"""The peers: each a store behind the same few calls, see :class:`~.base.Peer`."""

from __future__ import annotations

import importlib.util

from benches.peers.adapters.base import Peer
from benches.peers.adapters.journal import OptunaJournal
from benches.peers.adapters.keyvalue import DiskCache, Lmdb, SqliteDict
from benches.peers.adapters.original import Original
from benches.peers.adapters.ours import HAS_HIT_CACHE, Ours, OursWithoutHitCache
from benches.peers.adapters.sqlite import (
    SqliteDelete,
    SqliteDotFile,
    SqliteFlufl,
    SqlitePersist,
    SqliteTruncate,
    SqliteWal,
)

__all__ = ["PEERS", "Original", "Ours", "Peer", "SqliteDelete", "is_installed"]

PEERS: tuple[type[Peer], ...] = (
    Ours,
    *([OursWithoutHitCache] if HAS_HIT_CACHE else []),
    Original,
    Lmdb,
    DiskCache,
    SqliteDict,
    OptunaJournal,
    SqliteDelete,
    SqlitePersist,
    SqliteTruncate,
    SqliteWal,
    SqliteDotFile,
    SqliteFlufl,
)


def is_installed(peer: type[Peer]) -> bool:
    """Tell whether a peer's package can be imported."""
    if peer.package is None:
        return True
    try:
        return importlib.util.find_spec(peer.package) is not None
    except ModuleNotFoundError:  # of flufl.lock, even flufl may be missing
        return False
