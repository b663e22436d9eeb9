"""A disk that several hosts mount, and whose power can be cut."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from hosts import Host

# EXT4_IOC_SHUTDOWN and XFS_IOC_GOINGDOWN are one number; 2: not even the journal is flushed.
CUT = """
import fcntl, os, struct, sys
fcntl.ioctl(os.open(sys.argv[1], os.O_RDONLY), 0x8004587D, struct.pack("I", 2))
"""
SIZE = "400M"
PACKAGES = {"ext4": "e2fsprogs", "xfs": "xfsprogs"}


class Disk:
    """An image with a file system in it. What is not synced is lost when its power is cut."""

    def __init__(self, kind: str, directory: Path) -> None:
        image = directory / "disk.img"
        self.point = directory / "disk"
        self.point.mkdir()
        _run("truncate", f"--size={SIZE}", image)
        _run(f"mkfs.{kind}", "-q", image)
        # One device for all: hosts that mount it share one file system of the kernel.
        self.device = _run("losetup", "--find", "--show", image).strip()

    def mount(self, host: Host) -> Path:
        """Let a host see it; return where."""
        host.run("mount", self.device, self.point)
        return self.point

    def cut(self, host: Host) -> None:
        """Cut its power, for all hosts."""
        host.run(sys.executable, "-c", CUT, self.point)

    def close(self) -> None:
        """Give the device back, once no host has it mounted."""
        _run("losetup", "--detach", self.device)


def reason_to_skip(kind: str) -> str:
    """Return why there can be no disk of this kind here, or nothing."""
    if shutil.which(f"mkfs.{kind}") is None:
        return f"mkfs.{kind} not found (Debian: apt-get install {PACKAGES[kind]})"
    with tempfile.NamedTemporaryFile() as image:
        image.truncate(2**20)
        try:
            _run("losetup", "--detach", _run("losetup", "--find", "--show", image.name).strip())
        except OSError as error:
            return f"no loop devices: {error}"
        except subprocess.CalledProcessError as error:
            said = " ".join(error.stderr.split())
            return f"no loop devices: {said} (modprobe loop; in a container: --privileged)"
    return ""


def _run(*command: object) -> str:
    finished = subprocess.run(
        [*map(str, command)], check=True, capture_output=True, text=True, timeout=60
    )
    return finished.stdout
