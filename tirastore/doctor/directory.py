"""What one process sees by itself: operations on files, and how long they take."""

from __future__ import annotations

import errno
import os
import time
from statistics import median
from typing import TYPE_CHECKING

from tirastore.doctor.report import Finding, note, ok, problem
from tirastore.doctor.side import name_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_SAMPLES = 15
_SLOW_MS = 50.0
_SKEW = 60.0


def replacing(base: Path) -> Finding:
    """Tell whether renaming over a file, and onto directories, behaves as POSIX has it."""
    check = "rename() replaces"
    wrong = []
    old, new = base / "old", base / "new"
    old.write_text("old", encoding="utf-8")
    new.write_text("new", encoding="utf-8")
    inode = new.stat().st_ino
    with old.open(encoding="utf-8") as still_open:
        new.rename(old)
        if still_open.read() != "old":
            wrong.append("an open file changed its contents when its name was given away")
    if old.read_text(encoding="utf-8") != "new" or old.stat().st_ino != inode:
        wrong.append("the name does not mean the new file")
    if new.exists():
        wrong.append("the new file kept its old name")
    full, other, empty = base / "full", base / "other", base / "empty"
    for directory in (full, other, empty):
        directory.mkdir()
    (full / "file").touch()
    try:
        other.rename(full)
        wrong.append("a directory was renamed onto one that is not empty")
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
            wrong.append(f"onto a directory that is not empty: {name_of(error.errno)}")
    if wrong:
        advice = "The token lock and its repair rest on this: do not keep a store here."
        return problem(check, "\n".join(wrong), advice)
    return ok(check, "files; refuses to replace full directories")


def links_and_inodes(base: Path, *, link_needed: bool) -> Finding:
    """Tell whether link counts and inode numbers are exact."""
    check = "inodes and link counts"
    one, two, third = base / "one", base / "two", base / "third"
    one.touch()
    third.touch()
    inode = one.stat().st_ino
    if third.stat().st_ino == inode:
        return problem(
            check,
            "two files have the same inode number",
            "A lock tells its own file from another one by this: do not keep a store here.",
        )
    third.rename(base / "renamed")
    try:
        two.hardlink_to(one)
    except OSError as error:
        return note(check, f"inodes are exact; no hard links ({name_of(error.errno)})")
    counts = [one.stat().st_nlink, two.stat().st_nlink]
    same = two.stat().st_ino == inode
    one.unlink()
    counts.append(two.stat().st_nlink)
    if not same:
        return problem(
            check,
            "two names of one file have different inode numbers",
            "A lock tells its own file from another one by this: do not keep a store here.",
        )
    if counts != [2, 2, 1]:
        finding = problem if link_needed else note
        return finding(
            check,
            f"link counts of 2, 2, 1 names: {', '.join(map(str, counts))}",
            "The hard-link lock counts links to see whether it won: use the token lock here.",
        )
    return ok(check, "exact")


def syncing(base: Path) -> Finding:
    """Tell whether files and directories can be synced, and how long that takes."""
    check = "fsync()"
    path = base / "synced"
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    try:

        def write() -> None:
            os.pwrite(descriptor, b"x" * 4096, 0)
            os.fsync(descriptor)

        try:
            took = _median_ms(write)
        except OSError as error:
            return problem(
                check,
                f"refused for files ({name_of(error.errno)})",
                "A record could be lost after it was acknowledged: do not keep a store here.",
            )
    finally:
        os.close(descriptor)
    seen = f"4 KB in {_ms(took)}"
    descriptor = os.open(base, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        return note(
            check,
            f"{seen}; refused for directories ({name_of(error.errno)})",
            "After a crash of the file server, a new store may not be there under its name.",
        )
    finally:
        os.close(descriptor)
    return ok(check, f"{seen}; directories, too")


def speed(base: Path) -> Finding:
    """Tell how long the operations take of which a lock is made."""
    names = [base / "there", base / "back"]
    names[0].touch()

    def rename() -> None:
        names[0].rename(names[1])
        names.reverse()

    def create() -> None:
        path = base / "created"
        path.touch()
        path.unlink()

    parts = {
        "rename": _median_ms(rename),
        "create + remove": _median_ms(create),
        "list": _median_ms(lambda: list(base.iterdir())),
    }
    seen = ", ".join(f"{name} {_ms(took)}" for name, took in parts.items())
    if parts["rename"] > _SLOW_MS:
        return note("speed", seen, "Each record takes several of these: batches pay off here.")
    return ok("speed", seen)


def server_clock(base: Path) -> Finding:
    """Tell how far the file server's clock is from this node's: for people, no lock looks at it."""
    path = base / "stamped"
    before = time.time()
    path.write_text("x", encoding="utf-8")
    after = time.time()
    stamp = path.stat().st_mtime
    # Time stamps of some file systems are rounded down to a tick of the kernel, or to a second.
    ahead = stamp - after if stamp > after else min(0.0, stamp - before)
    seen = f"time stamps of files {_ms(abs(ahead) * 1000)} {'ahead' if ahead > 0 else 'behind'}"
    if abs(ahead) < 1:
        seen = "agrees with this node's"
    if abs(ahead) > _SKEW:
        return note("file server's clock", seen, "Locks do not compare clocks; dates differ.")
    return ok("file server's clock", seen)


def _median_ms(operation: Callable[[], object]) -> float:
    times: list[float] = []
    began = time.monotonic()
    while len(times) < _SAMPLES and (time.monotonic() - began < 1 or not times):
        start = time.perf_counter()
        operation()
        times.append(time.perf_counter() - start)
    return median(times) * 1000


def _ms(milliseconds: float) -> str:
    if milliseconds >= 1000:  # noqa: PLR2004
        return f"{milliseconds / 1000:.1f} s"
    return f"{milliseconds:.{2 if milliseconds < 1 else 1}f} ms"
