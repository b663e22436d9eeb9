"""Two tasks on two nodes that talk through files in the directory they examine.

Nothing but the directory itself is known to reach both nodes, and it may answer from caches. So a
message is a file that is written aside and renamed to a name that nobody has asked for before, and
whoever waits changes the directory now and then: a client forgets what it believes of a directory
that it changes itself.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tirastore.doctor.peer import PATIENCE, PeerLostError, opened
from tirastore.doctor.side import Side

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

MEETING = 60.0
_PAIR = 2
_POLL = 0.01
_NUDGE = 0.3


@dataclass(frozen=True)
class Task:
    """The place of this process among the tasks of a Slurm step."""

    rank: int
    step: str

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> Task | None:
        """Return the place, or None outside a step of two tasks or more.

        A batch script has a rank and a number of tasks, too, and no second task: only a step that
        srun has started has a number.
        """
        try:
            rank, tasks = int(environment["SLURM_PROCID"]), int(environment["SLURM_NTASKS"])
            step = f"{int(environment['SLURM_JOB_ID'])}.{int(environment['SLURM_STEP_ID'])}"
        except (KeyError, ValueError):
            return None
        return cls(rank, step) if tasks >= _PAIR else None

    def meeting_point(self, directory: Path) -> Path:
        """Return the directory in which the tasks of this step meet."""
        return directory / f".tirastore-doctor-{self.step}"


def remove(directory: Path) -> None:
    """Remove a directory of checks, in which a process may just have made or closed a file."""
    for pause in (0.0, 0.1, 0.5):
        time.sleep(pause)
        shutil.rmtree(directory, ignore_errors=True)
        if not directory.exists():
            return


class Mailbox:
    """Messages in a directory, each under a name of its own."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._me = f"{os.uname().nodename}.{os.getpid()}"
        self._nudges = 0

    def post(self, name: str, message: Any) -> None:
        """Put a whole message into the directory."""
        aside = self.directory / f"aside.{self._me}.{name}"
        with aside.open("w", encoding="utf-8") as file:
            json.dump(message, file)
            file.flush()
            os.fsync(file.fileno())
        aside.rename(self.directory / name)

    def fetch(self, name: str, patience: float) -> Any:
        """Wait for a message."""
        deadline = time.monotonic() + patience
        nudged = time.monotonic()
        while time.monotonic() < deadline:
            if name in self.names():
                # Not whole yet in the eyes of this node: it will be.
                with contextlib.suppress(ValueError, OSError):
                    return json.loads((self.directory / name).read_text(encoding="utf-8"))
            if time.monotonic() - nudged > _NUDGE:
                self._nudge()
                nudged = time.monotonic()
            time.sleep(_POLL)
        raise PeerLostError(f"the other task has not answered within {patience:g} s")

    def names(self) -> list[str]:
        """List the messages."""
        try:
            return [path.name for path in self.directory.iterdir()]
        except OSError:  # not there yet, or stale for a moment
            return []

    def _nudge(self) -> None:
        self._nudges += 1
        nudge = self.directory / f"nudge.{self._me}.{self._nudges}"
        with contextlib.suppress(OSError):
            nudge.touch()
            nudge.unlink()


class Remote:
    """A side that is played by the other task. Used by task 0."""

    def __init__(self, place: Path) -> None:
        self._place = place
        self._mailbox = Mailbox(place)
        self._asked = 0
        self._partner = ""

    def meet(self, patience: float = MEETING) -> str:
        """Wait for the other task; return its host."""
        # What a killed run has left is moved away first: task 1 may be writing there.
        with contextlib.suppress(FileNotFoundError):
            left = self._place.with_name(f"{self._place.name}.left.{os.getpid()}")
            self._place.rename(left)
            remove(left)
        self._place.mkdir()
        deadline = time.monotonic() + patience
        while time.monotonic() < deadline:
            for name in self._mailbox.names():
                if name.startswith("hello."):
                    self._partner = name.removeprefix("hello.")
                    return str(self._mailbox.fetch(name, PATIENCE))
            time.sleep(_POLL)
        raise PeerLostError(f"task 1 has not come to {self._place} within {patience:g} s")

    def send(self, do: str, **arguments: Any) -> None:
        """Ask the other task to do something."""
        self._asked += 1
        self._mailbox.post(f"ask.{self._partner}.{self._asked}", {"do": do, "with": arguments})

    def receive(self, patience: float = PATIENCE) -> Any:
        """Wait for its answer."""
        return opened(self._mailbox.fetch(f"answer.{self._partner}.{self._asked}", patience))

    def close(self) -> None:
        """Let the other task go."""
        if self._partner:
            with contextlib.suppress(OSError):
                self.send("stop")
                self._mailbox.fetch(f"answer.{self._partner}.{self._asked}", PATIENCE)
        remove(self._place)


def assist(place: Path, patience: float = MEETING) -> None:
    """Play the other side for task 0, until it has no more questions. Called by task 1."""
    mailbox = Mailbox(place)
    me = f"{os.uname().nodename}.{os.getpid()}.{time.time_ns():x}"
    side = Side(place / "pair")
    try:
        _say_hello(mailbox, me, patience)
        number = 0
        while True:
            number += 1
            request = mailbox.fetch(f"ask.{me}.{number}", PATIENCE if number > 1 else patience)
            if request["do"] == "stop":
                mailbox.post(f"answer.{me}.{number}", {"value": None})
                return
            mailbox.post(f"answer.{me}.{number}", side.run(request))
    finally:
        side.close()


def _say_hello(mailbox: Mailbox, me: str, patience: float) -> None:
    """Say hello until task 0 asks: what stands there first may be left from a killed run."""
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        names = mailbox.names()
        if f"ask.{me}.1" in names:
            return
        if f"hello.{me}" not in names:
            # Not there yet, or removed by task 0 in this moment.
            with contextlib.suppress(FileNotFoundError):
                mailbox.post(f"hello.{me}", os.uname().nodename)
        time.sleep(_POLL)
    raise PeerLostError(f"task 0 has not come to {mailbox.directory} within {patience:g} s")
