"""Facts about the machine and the versions that a run was made with."""

from __future__ import annotations

import os
import platform
import sqlite3
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from tirastore import __version__, _core

if TYPE_CHECKING:
    from collections.abc import Iterable

    from benches.peers.adapters import Peer

__all__ = ["facts"]


def facts(place: Path, peers: Iterable[type[Peer]]) -> list[str]:
    """Return lines of Markdown."""
    packages = sorted({peer.package for peer in peers if peer.package is not None})
    versions = [f"{package} {metadata.version(package)}" for package in packages]
    system = platform.uname()
    return [
        f"- CPU: {_cpu()}; {len(os.sched_getaffinity(0))} cores",
        f"- file system: {_core.file_system(place).kind}; {system.system} {system.release}",
        f"- tirastore {__version__} ({_core.build_profile}), Python {platform.python_version()}"
        f" with SQLite {sqlite3.sqlite_version}" + "".join(f", {version}" for version in versions),
    ]


def _cpu() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()
