"""File systems that such hosts share, each host through a client of its own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from hosts import Host, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).resolve().parents[2]


class FileSystem(Protocol):
    """What a host can mount."""

    #: Where every host sees it.
    point: Path

    def mount(self, host: Host) -> None:
        """Let a host see it, from now until the host ends."""


class MooseFs:
    """MooseFS 3: metadata and data on `server`; clients see each other's changes at once."""

    def __init__(self, server: Host, directory: Path) -> None:
        self.point = directory / "shared"
        self.server = server
        self.directory = directory / "moosefs"
        self.point.mkdir()
        for name in ("metadata", "chunks", "disk"):
            (self.directory / name).mkdir(parents=True)
        shutil.copy("/var/lib/mfs/metadata.mfs.empty", self.directory / "metadata/metadata.mfs")
        listen = ("MATOCS_LISTEN_HOST", "MATOCL_LISTEN_HOST", "MATOML_LISTEN_HOST")
        self._start(
            "mfsmaster",
            "metadata",
            dict.fromkeys(listen, server.address),
            {
                "EXPORTS_FILENAME": "* / rw,alldirs,admin,maproot=0:0\n",
                "TOPOLOGY_FILENAME": "",
            },
        )
        chunks = {
            "MASTER_HOST": server.address,
            "CSSERV_LISTEN_HOST": server.address,
            "BIND_HOST": server.address,
            "HDD_LEAVE_SPACE_DEFAULT": "64MiB",
        }
        self._start(
            "mfschunkserver", "chunks", chunks, {"HDD_CONF_FILENAME": f"{self.directory}/disk\n"}
        )

    def _start(
        self, program: str, data: str, settings: dict[str, str], files: dict[str, str]
    ) -> None:
        lines = {
            "DATA_PATH": self.directory / data,
            "WORKING_USER": "root",
            "WORKING_GROUP": "root",
            **settings,
        }
        for setting, content in files.items():
            lines[setting] = self.directory / setting.lower()
            (self.directory / setting.lower()).write_text(content)
        configuration = self.directory / f"{program}.cfg"
        configuration.write_text("".join(f"{name}={value}\n" for name, value in lines.items()))
        self.server.run(program, "-c", configuration, "start")

    def mount(self, host: Host) -> None:
        """Mount it."""
        host.run("mfsmount", "-H", self.server.address, self.point)
        probe = f"cd {self.point} && mfssetgoal -r 1 . && echo x > probe && rm probe && echo ok"
        # Whoever is first may wait for the server of chunks to register.
        wait_until(f"{host.name} can write", lambda: host.run("sh", "-c", probe, check=False))


class GlusterFs:
    """GlusterFS as it is by default: clients cache names and pages for a second."""

    def __init__(self, server: Host, directory: Path) -> None:
        self.point = directory / "shared"
        self.directory = directory / "gluster"
        self.server = server
        self.point.mkdir()
        # Its paths are fixed: this host sees its own there.
        for name, fixed in (
            ("lib", "/var/lib/glusterd"),
            ("log", "/var/log/glusterfs"),
            ("run", "/run/gluster"),
        ):
            (self.directory / name).mkdir(parents=True)
            Path(fixed).mkdir(parents=True, exist_ok=True)
            server.run("mount", "--bind", self.directory / name, fixed)
        brick = self.directory / "brick"
        brick.mkdir()
        volume = ["gluster", "--mode=script", "volume"]
        wait_until("glusterd answers", self._answers)
        server.run(*volume, "create", "tests", f"{server.name}:{brick}", "force")
        server.run(*volume, "set", "tests", "network.ping-timeout", 5)
        server.run(*volume, "start", "tests")

    def _answers(self) -> str:
        # On a busy machine it may end instead of starting. One that runs is not disturbed.
        ask = "gluster --mode=script pool list >/dev/null 2>&1 && echo yes"
        start = f"glusterd -p {self.directory}/glusterd.pid >/dev/null 2>&1"
        return self.server.run("sh", "-c", f"{ask} || {start}", check=False)

    def mount(self, host: Host) -> None:
        """Mount it."""
        log = self.directory / f"{host.name}.log"
        host.run(
            "glusterfs",
            "-l",
            log,
            f"--volfile-server={self.server.name}",
            "--volfile-id=tests",
            self.point,
        )
        wait_until(f"{host.name} mounted", lambda: host.run("mountpoint", self.point, check=False))


class FaultFs:
    """The project's own: locks are refused; coherent, or with names and pages cached for a second.

    Parameters
    ----------
    cache : str
        ``"coherent"`` or ``"cached"``.
    backing : callable, optional
        Called with each host before it mounts; returns the directory that is shown.
    forgets : bool
        Say that files are synced, and do nothing.
    """

    def __init__(
        self,
        directory: Path,
        cache: str,
        backing: Callable[[Host], Path] | None = None,
        *,
        forgets: bool = False,
    ) -> None:
        self.forgets = forgets
        self.point = directory / "shared"
        self.cache = cache
        self.directory = directory / "faultfs"
        self.point.mkdir()
        self.directory.mkdir()
        (self.directory / "backing").mkdir()
        self.backing = backing or (lambda _: self.directory / "backing")
        self.program = self.build()

    @staticmethod
    def build() -> Path:
        """Return the program that serves a mount, built if need be."""
        build = [
            "cargo",
            "test",
            "--no-run",
            "--quiet",
            "--no-default-features",
            "--features=mutations",
        ]
        build += ["--test=mounted_for_a_host", "--message-format=json"]
        messages = subprocess.run(
            build, cwd=ROOT, stdout=subprocess.PIPE, check=True, text=True
        ).stdout
        for message in map(json.loads, messages.splitlines()):
            if message.get("executable") and message["target"]["name"] == "mounted_for_a_host":
                return Path(message["executable"])
        raise AssertionError("cargo built no program that serves a mount")

    def mount(self, host: Host) -> None:
        """Mount it."""
        temporary = self.directory / host.name
        temporary.mkdir(exist_ok=True)
        settings = {
            "TMPDIR": temporary,
            "FAULTFS_BACKING": self.backing(host),
            "FAULTFS_CACHE": self.cache,
            **({"FAULTFS_FORGETS": "yes"} if self.forgets else {}),
        }
        command = ["env", *(f"{name}={value}" for name, value in settings.items()), self.program]
        with (temporary / "log").open("a") as log:
            served = host.start(
                *command,
                "--ignored",
                "--exact",
                "--nocapture",
                "serves_a_mount",
                stdout=subprocess.PIPE,
                stderr=log,
            )
        assert served.stdout is not None
        prefix = "mounted at "
        for line in served.stdout:
            if line.startswith(prefix):
                host.run("mount", "--bind", line.removeprefix(prefix).strip(), self.point)
                return
        raise AssertionError(f"{host.name} has no mount: {(temporary / 'log').read_text()}")


def reason_to_skip() -> str:
    """Return why nothing of this can be mounted here, or nothing."""
    try:
        os.close(os.open("/dev/fuse", os.O_RDWR))
    except OSError as error:
        return f"no FUSE: {error} (modprobe fuse; in a container: --device /dev/fuse)"
    return ""
