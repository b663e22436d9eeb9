"""What can be told without writing anything: file system, room, permissions, clocks."""

from __future__ import annotations

import os
import pwd
import re
import resource
import shutil
import stat
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

from tirastore.doctor.report import Finding, note, ok, problem

if TYPE_CHECKING:
    from tirastore._core import FileSystem

_MB = 1 << 20
_LITTLE_ROOM = 1024 * _MB
_FEW_INODES = 1000
_TELLING = {
    "flock",
    "localflock",
    "noflock",
    "sync",
    "noac",
    "actimeo",
    "lookupcache",
    "local_lock",
}


def file_system(directory: Path, found: FileSystem) -> Finding:
    """Tell what file system it is, and who shares it."""
    point, options = _mount_of(directory)
    seen = f"{found.kind} ({found.magic:#010x}) at {point}"
    if options:
        seen += f", mounted with {','.join(options)}"
    if found.local:
        in_job = "SLURM_JOB_ID" in os.environ
        advice = "Only processes of this node reach it."
        return (note if in_job else ok)("file system", seen, advice)
    if found.coherent:
        return ok("file system", seen, "Nodes see each other's changes at once.")
    return note("file system", seen, f"{found.reason[:1].upper()}{found.reason[1:]}.")


def _mount_of(directory: Path) -> tuple[str, list[str]]:
    """Return the mount point and those of its options that change what locks and caches do."""
    best, options = "/", ""
    try:
        lines = Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return "?", []
    for line in lines:
        fields, _, more = line.partition(" - ")
        # Blanks in a path are written as octal numbers.
        point = re.sub(r"\\([0-7]{3})", lambda code: chr(int(code[1], 8)), fields.split()[4])
        if directory.is_relative_to(point) and len(point) >= len(best):
            best, options = point, f"{fields.split()[5]},{more.split()[-1]}"
    telling = {option for option in options.split(",") if option.partition("=")[0] in _TELLING}
    return best, sorted(telling)


def read_mode(
    store: Path | None, lock: Path | None, found: FileSystem, *, writable: bool
) -> Finding:
    """Tell how a store here is read, and why."""
    check = "how it is read"
    if not writable:
        return note(
            check,
            "validated copies: a read leaves no trace and is repeated while somebody writes",
            "The directory may not be written, so no lock can be taken: lookups work, writes "
            "do not.",
        )
    if store is not None and store.exists() and lock is not None and not lock.is_dir():
        return ok(
            check,
            "under the lock, opened each time: the store is open to original clients, which "
            "exclude each other in this way only",
        )
    if found.coherent:
        return ok(check, f"kept connections, lookups without the lock: {found.reason}")
    return ok(
        check,
        f"opened for each use under the lock, nothing kept: {found.reason}",
        "Slower than on Lustre, GPFS, BeeGFS or a local disk, and as safe.",
    )


def room(directory: Path, store: Path | None) -> Finding:
    """Tell how much may still be written: space, inodes, limits of this process, quota."""
    status = os.statvfs(directory)
    free, total = status.f_bavail * status.f_frsize, status.f_blocks * status.f_frsize
    seen = [f"{_size(free)} free of {_size(total)}"]
    finding, advice = ok, []
    # File systems without a table of inodes say 0 of 0.
    if status.f_files:
        seen.append(f"{status.f_favail:,} inodes free")
    if free < _LITTLE_ROOM:
        finding = note
        advice.append("Little room: a backup or an export needs as much as the store.")
    if status.f_files and status.f_favail < _FEW_INODES:
        finding = note
        advice.append("Few inodes are left; each transaction needs up to three.")
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)[0]
    size = store.stat().st_size if store is not None and store.is_file() else 0
    limited = limit != resource.RLIM_INFINITY
    if limited:
        finding = note
        seen.append(f"files of this process limited to {_size(limit)}")
        advice.append(f"ulimit -f limits the size of files; the store has {_size(size)} now.")
    over = _over_quota(directory)
    if over:
        finding = note
        advice.append(f"quota: {over}")
    if free == 0 or (status.f_files and status.f_favail == 0) or (limited and limit < size):
        finding = problem
    return finding("room", ", ".join(seen), " ".join(advice))


def _over_quota(directory: Path) -> str:
    """Return what the commands of the system and of Lustre say of an exceeded quota."""
    if not directory.exists():
        return ""
    of_lustre = _said("lfs", "quota", "-q", "-u", str(os.geteuid()), str(directory))
    # It prints all quotas, and marks those that are exceeded.
    return " ".join(filter(None, [_said("quota", "-q"), of_lustre if "*" in of_lustre else ""]))


def _said(name: str, *arguments: str) -> str:
    """Return the output of a command in one line, whatever its status; nothing without one."""
    command = shutil.which(name)
    if command is None:
        return ""
    try:
        answer = subprocess.run(
            [command, *arguments], capture_output=True, text=True, check=False, timeout=3
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return " ".join(answer.stdout.split())


def sharing(directory: Path, store: Path | None) -> Finding:
    """Tell who may write a store here, and what stands in the way of many users."""
    status = directory.stat()
    mode = stat.S_IMODE(status.st_mode)
    seen = [f"directory {mode:04o} of {_user(status.st_uid)}: {_writers(mode)} may write"]
    if store is not None and store.is_file():
        file = store.stat()
        seen.append(f"store {stat.S_IMODE(file.st_mode):04o} of {_user(file.st_uid)}")
    if mode & stat.S_ISGID:
        seen.append("new files get the directory's group")
    if mode & stat.S_ISVTX:
        protected = _sysctl("protected_regular")
        seen.append(f"sticky; fs.protected_regular is {protected}")
        return note(
            "sharing",
            "\n".join(seen),
            "In a sticky directory nobody but its owner may remove what another user's killed job "
            f"has left, so it stays until that user comes back. Better: chmod -t {directory}",
        )
    closed = _closed_ancestor(directory) if mode & stat.S_IWOTH else None
    if closed is not None:
        return note(
            "sharing",
            "\n".join(seen),
            f"Others cannot reach it all the same: {closed} may not be entered by all.",
        )
    return ok("sharing", "\n".join(seen))


def _writers(mode: int) -> str:
    if mode & stat.S_IWOTH:
        return "everybody"
    return "its owner and group" if mode & stat.S_IWGRP else "only its owner"


def _closed_ancestor(directory: Path) -> Path | None:
    for ancestor in directory.parents:
        if not ancestor.stat().st_mode & stat.S_IXOTH:
            return ancestor
    return None


def _user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _sysctl(name: str) -> str:
    try:
        return (Path("/proc/sys/fs") / name).read_text(encoding="ascii").strip()
    except OSError:
        return "unknown"


def clock() -> Finding:
    """Tell whether the clock is readable by which locks wait."""
    try:
        since_boot = time.clock_gettime(time.CLOCK_BOOTTIME)
    except OSError as error:
        return problem("clock", f"CLOCK_BOOTTIME: {error.strerror}", "Locks wait by this clock.")
    return ok("clock", f"CLOCK_BOOTTIME, {since_boot / 3600:.1f} h since boot")


def _size(number: float) -> str:
    for unit in ("B", "KB", "MB", "GB", "TB"):
        if number < 1024:  # noqa: PLR2004
            return f"{number:.{0 if unit == 'B' else 1}f} {unit}"
        number /= 1024
    return f"{number:.1f} PB"
