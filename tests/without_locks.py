"""Run a command where the kernel refuses file locks: ``python without_locks.py ENOSYS COMMAND...``.

A seccomp filter answers ``flock`` and the locking commands of ``fcntl`` with the given error, as
file systems do that are mounted without locks. All that the command starts is refused them, too.

As a pytest plugin (``-p without_locks``) it lets the tests themselves use plain sqlite3, which
needs locks where the library does not.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import sqlite3
import struct
import sys
from urllib.parse import quote_from_bytes

# linux/audit.h, and the numbers of the system calls fcntl and flock.
ARCHITECTURES = {"x86_64": (0xC000003E, 72, 73), "aarch64": (0xC00000B7, 25, 32)}
# F_GETLK, F_SETLK, F_SETLKW and their forms for open file descriptions.
LOCKING_COMMANDS = (5, 6, 7, 36, 37, 38)

# linux/filter.h: load a word of the call's description, jump if equal, return.
LOAD, JUMP_IF_EQUAL, RETURN = 0x20, 0x15, 0x06
# Offsets in struct seccomp_data; the second argument's low word, little-endian.
NUMBER, ARCHITECTURE, SECOND_ARGUMENT = 0, 4, 24
ALLOW, ERROR = 0x7FFF0000, 0x00050000

PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 38, 22, 2


class Program(ctypes.Structure):
    """struct sock_fprog."""

    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_void_p))


def is_possible() -> bool:
    """Tell whether the filter is written for this machine."""
    return sys.platform == "linux" and platform.machine() in ARCHITECTURES


def instructions(number: int) -> list[tuple[int, int, int, int]]:
    """Return the filter, as (code, jump if true, jump if false, operand)."""
    architecture, fcntl, flock = ARCHITECTURES[platform.machine()]
    commands = len(LOCKING_COMMANDS)
    # Jumps count the instructions that are left out. The last two: allow, refuse.
    filter_ = [
        (LOAD, 0, 0, ARCHITECTURE),
        (JUMP_IF_EQUAL, 0, commands + 4, architecture),
        (LOAD, 0, 0, NUMBER),
        (JUMP_IF_EQUAL, commands + 3, 0, flock),
        (JUMP_IF_EQUAL, 0, commands + 1, fcntl),
        (LOAD, 0, 0, SECOND_ARGUMENT),
    ]
    for index, command in enumerate(LOCKING_COMMANDS):
        filter_.append((JUMP_IF_EQUAL, commands - index, 0, command))
    return [*filter_, (RETURN, 0, 0, ALLOW), (RETURN, 0, 0, ERROR | number)]


def refuse(number: int) -> None:
    """Have this process, and all that it starts, refused file locks with the error `number`."""
    written = [struct.pack("=HBBI", *instruction) for instruction in instructions(number)]
    code = ctypes.create_string_buffer(b"".join(written))
    program = Program(len(written), ctypes.cast(code, ctypes.c_void_p))
    libc = ctypes.CDLL(None, use_errno=True)
    for option, first, second in (
        (PR_SET_NO_NEW_PRIVS, ctypes.c_ulong(1), ctypes.c_ulong(0)),
        (PR_SET_SECCOMP, ctypes.c_ulong(SECCOMP_MODE_FILTER), ctypes.byref(program)),
    ):
        if libc.prctl(option, first, second, ctypes.c_ulong(0), ctypes.c_ulong(0)) != 0:
            code_ = ctypes.get_errno()
            raise OSError(code_, os.strerror(code_), "prctl")


def pytest_configure() -> None:
    """Have the tests' own connections lock nothing."""
    connect = sqlite3.connect

    def connect_without_locks(database, *arguments, **options):
        if database == ":memory:" or options.get("uri"):
            return connect(database, *arguments, **options)
        path = quote_from_bytes(os.path.abspath(os.fsencode(database)))  # noqa: PTH100
        return connect(f"file:{path}?vfs=unix-none", *arguments, uri=True, **options)

    sqlite3.connect = connect_without_locks


if __name__ == "__main__":
    _, name, *command = sys.argv
    refuse(getattr(errno, name))
    os.execvp(command[0], command)  # noqa: S606
