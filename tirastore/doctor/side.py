"""One side of a check: what a process of its own does in the directory, on request.

A side is told by name which of its operations to run and answers with JSON, so that it can be a
process beside the one that asks (`peer.py`) or one on another node (`mailbox.py`).
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import random
import signal
import socket
import sys
import time
from pathlib import Path
from typing import Any

# Only time that passes is measured, never the difference of two nodes' clocks.
now = time.monotonic
_WAKE_EARLY = 0.002
_POLL = 0.005
_PAGE = 5000
_SKEW = 10.0
# Between nodes, the one whose clock is ahead must not win every round.
_JITTER = 0.002
_LOSING = (errno.EEXIST, errno.ENOENT, errno.ENOTEMPTY)


class Side:
    """The operations of one side in one directory."""

    def __init__(self, base: Path) -> None:
        self.base = base
        self.kept: dict[str, int] = {}

    def run(self, request: dict[str, Any]) -> dict[str, Any]:
        """Run one operation; its error is an answer, too."""
        try:
            return {"value": getattr(self, request["do"])(**request["with"])}
        except OSError as error:
            return {"errno": error.errno or errno.EIO, "text": error.strerror or str(error)}

    def close(self) -> None:
        """Let go of what earlier operations keep open."""
        for descriptor in self.kept.values():
            os.close(descriptor)
        self.kept.clear()

    def who(self) -> str:
        """Tell the host of this side."""
        return socket.gethostname()

    def arrive(self, limit: float, name: str | None = None) -> bool:
        """Wait for the directory, or for a name in it, to appear; tell whether it did."""
        began = now()
        while now() - began < limit:
            if self.base.exists() if name is None else name in _listed(self.base):
                return True
            time.sleep(_POLL)
        return False

    # Races: every side tries the same, and exactly one may succeed in each round.

    def lay_out(self, kind: str, count: int, me: str, *, first: bool) -> None:
        """Make what this side needs for a race; the first one makes what is raced for, too."""
        for index in range(count):
            # A file for each round, as a lock has: some file systems allow few links to one.
            if kind == "link":
                (self.base / f"link.{me}.{index}").touch()
            if kind == "rename" and first:
                (self.base / f"token.{index}").touch()
            if kind == "birth":
                directory = self.base / f"new.{me}.{index}"
                directory.mkdir()
                (directory / me).touch()

    def race(
        self, kind: str, count: int, me: str, start: float, period: float, *, wall: bool
    ) -> dict[str, Any]:
        """Take part in a race; tell which rounds were won, and the errors that do not mean "lost".

        All begin each round at one instant: of this machine's monotonic clock, or, between nodes,
        of the time of day. Clocks that differ, or a request that came late, make the race less
        close and its outcome no less certain.
        """
        won: list[int] = []
        errors: dict[str, int] = {}
        if wall:
            start += now() - time.time()
            start = start if abs(start - now()) < _SKEW else now()
        for index in range(count):
            jitter = random.uniform(0, _JITTER) if wall else 0.0  # noqa: S311 -- no secret
            _wait_until(start + index * period + jitter)
            try:
                self._attempt(kind, index, me)
            except OSError as error:
                if error.errno not in _LOSING:
                    name = name_of(error.errno)
                    errors[name] = errors.get(name, 0) + 1
            else:
                won.append(index)
        return {"won": won, "errors": errors}

    def _attempt(self, kind: str, index: int, me: str) -> None:
        if kind == "link":
            (self.base / f"link.{index}").hardlink_to(self.base / f"link.{me}.{index}")
        elif kind == "rename":
            (self.base / f"token.{index}").rename(self.base / f"won.{me}.{index}")
        else:
            (self.base / f"new.{me}.{index}").rename(self.base / f"born.{index}")

    # Locks of the system.

    def lock(self, kind: str, name: str) -> str:
        """Try to take a lock and keep it: taken, held by another one, or the error's name."""
        flags = os.O_RDWR | os.O_CREAT
        descriptor = self.kept[f"{kind} {name}"] = os.open(self.base / name, flags, 0o666)
        take = fcntl.flock if kind == "flock" else fcntl.lockf
        try:
            take(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            held = error.errno in (errno.EAGAIN, errno.EACCES)
            return "held" if held else name_of(error.errno)
        return "taken"

    # Visibility: one side lays out, the other one looks, the first one changes, the other watches.

    def lay(self, tag: str) -> None:
        """Make the files of a round of visibility."""
        for name in ("unlink", "replace", "append", "rewrite", "kept", "link"):
            _write(self.base / f"{name}.{tag}", b"x" * _PAGE)

    def prime(self, tag: str) -> None:
        """Look at everything once, so that a cache has something to be wrong about."""
        for name in ("create", "unlink", "replace", "append", "rewrite", "kept", "link"):
            path = self.base / f"{name}.{tag}"
            if name == "kept":
                self.kept[tag] = os.open(path, os.O_RDONLY)
                os.pread(self.kept[tag], _PAGE, 0)
            elif path.exists():
                path.read_bytes()
        _listed(self.base)

    def change(self, tag: str) -> list[str]:
        """Change everything, and have it on stable storage; tell what was changed."""
        _write(self.base / f"create.{tag}", b"x")
        (self.base / f"unlink.{tag}").unlink()
        _write(self.base / f"aside.{tag}", b"y" * _PAGE)
        (self.base / f"aside.{tag}").rename(self.base / f"replace.{tag}")
        _write(self.base / f"append.{tag}", b"y", os.O_APPEND)
        _write(self.base / f"rewrite.{tag}", b"y" * _PAGE, 0)
        _write(self.base / f"kept.{tag}", b"y" * _PAGE, 0)
        changed = ["kept", "rewrite", "replace", "append", "unlink", "create", "list"]
        with contextlib.suppress(OSError):  # there are file systems without hard links
            (self.base / f"second.{tag}").hardlink_to(self.base / f"link.{tag}")
            changed.append("link")
        return changed

    def watch(self, tag: str, names: list[str], limit: float) -> dict[str, float | None]:
        """Tell after how many seconds each change was seen: 0 with the first look, or None."""
        waiting = list(names)
        seen: dict[str, float | None] = dict.fromkeys(names)
        began = now()
        first = True
        while waiting and now() - began < limit:
            for name in list(waiting):
                if self.sees(name, tag):
                    seen[name] = 0.0 if first else now() - began
                    waiting.remove(name)
            first = False
            time.sleep(_POLL)
        os.close(self.kept.pop(tag))
        return seen

    def sees(self, name: str, tag: str) -> bool:
        """Tell whether one change is seen now."""
        path = self.base / f"{name}.{tag}"
        changed = b"y" * _PAGE
        if name == "kept":
            return os.pread(self.kept[tag], _PAGE, 0) == changed
        if name == "list":
            return f"create.{tag}" in _listed(self.base)
        try:
            if name in ("rewrite", "replace"):
                return path.read_bytes() == changed
            status = path.stat()
        except FileNotFoundError:
            return name == "unlink"
        return {
            "append": status.st_size == _PAGE + 1,
            "link": status.st_nlink == 2,  # noqa: PLR2004 -- its two names
            "create": True,
        }.get(name, False)


def name_of(number: int | None) -> str:
    """Return an error's name, such as ``ENOSPC``."""
    return errno.errorcode.get(number or 0, str(number))


def _listed(directory: Path) -> list[str]:
    return [path.name for path in directory.iterdir()] if directory.exists() else []


def _write(path: Path, data: bytes, how: int = os.O_TRUNC) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | how, 0o666)
    try:
        os.write(descriptor, data)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _wait_until(instant: float) -> None:
    """Sleep for most of it and spin for the rest: processes that are woken up are not punctual."""
    rest = instant - now() - _WAKE_EARLY
    if rest > 0:
        time.sleep(rest)
    while now() < instant:
        pass


def serve() -> None:
    """Answer requests on the standard input until it ends; the argument is the directory."""
    # Ctrl-C reaches the whole group of processes: who asks ends this one, by closing its input.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    side = Side(Path(sys.argv[1]))
    for line in sys.stdin:
        sys.stdout.write(json.dumps(side.run(json.loads(line))) + "\n")
        sys.stdout.flush()
