"""A slow metadata server: strace delays every system call that asks for names or attributes."""

from __future__ import annotations

import os
import shutil

__all__ = ["restart_delayed"]

#: A question mark: not every architecture has the call. Calls on open files are among them, since
#: a ``stat`` of a descriptor has the same number.
_CALLS = (
    *("open", "openat", "creat", "link", "linkat", "symlink", "symlinkat", "unlink", "unlinkat"),
    *("rename", "renameat", "renameat2", "mkdir", "mkdirat", "rmdir", "stat", "lstat"),
    *("newfstatat", "statx", "access", "faccessat", "faccessat2", "readlink", "readlinkat"),
    *("getdents64", "chmod", "fchmodat", "utimensat"),
)


def restart_delayed(milliseconds: float, command: list[str]) -> None:
    """Replace this process by `command`, traced with all its children."""
    if shutil.which("strace") is None:
        raise SystemExit("--delay needs strace")
    calls = ",".join(f"?{name}" for name in _CALLS)
    inject = f"inject={calls}:delay_enter={round(1000 * milliseconds)}"
    options = ["-f", "--seccomp-bpf", "-qq", "-o", os.devnull, "-e", f"trace={calls}", "-e", inject]
    os.execvp("strace", ["strace", *options, *command])
