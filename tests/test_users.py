"""Two users share a store, whatever their directory and the kernel's protection of it.

`fs.protected_regular` forbids opening another user's file for creation in sticky directories.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from support import at_rest, needs_root, public_directory, schedule
from users import User, times

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = needs_root

VICTIM, RESCUER = 40001, 40002
SYSCTL = Path("/proc/sys/fs/protected_regular")

#: Mode and owner of the directory.
DIRECTORIES = {
    "open": (0o777, 0),
    "sticky of the rescuer": (0o1777, RESCUER),
    "sticky of the victim": (0o1777, VICTIM),
    "sticky of somebody": (0o1777, 0),
}
#: What the victim was doing when it was killed.
STATES = {
    "idle": None,
    "killed inside": {"holding": True, "writing": False, "elsewhere": False},
    "killed while writing": {"holding": True, "writing": True, "elsewhere": False},
    "silent inside": {"holding": True, "writing": False, "elsewhere": True},
    "silent while writing": {"holding": True, "writing": True, "elsewhere": True},
    # Somebody has removed the lock, or the file server lost the latest renames.
    "hot journal alone": {"holding": False, "writing": True, "elsewhere": False},
}
CELLS = [(directory, state) for directory in DIRECTORIES for state in STATES]


@pytest.fixture(scope="module", params=[0, 1, 2], ids=lambda level: f"protected_regular={level}")
def protection(request: pytest.FixtureRequest) -> Iterator[int]:
    """Set the kernel's protection, and set it back."""
    before = SYSCTL.read_text()
    try:
        SYSCTL.write_text(str(request.param))
    except OSError as error:
        pytest.skip(f"{SYSCTL} may not be written: {error}")
    try:
        yield request.param
    finally:
        SYSCTL.write_text(before)


@dataclass
class Outcome:
    """What came of one cell."""

    lock: str
    rescuer: dict[str, Any]
    victim: dict[str, Any]
    left: list[str]


@pytest.fixture(scope="module", params=["victim", "rescuer"], ids=lambda who: f"077 of {who}")
def private(request: pytest.FixtureRequest) -> str:
    """Name the user whose umask takes all rights from others."""
    return request.param


@pytest.fixture(scope="module", params=["token", "hardlink"])
def outcomes(
    request: pytest.FixtureRequest, protection: int, private: str
) -> dict[tuple[str, str], Outcome]:
    """Play all cells at once: one waits for a silent holder while others go on."""
    del protection
    lock = request.param
    masks = {who: 0o077 if who == private else 0o022 for who in ("victim", "rescuer")}
    with (
        public_directory(0o755) as root,
        User(VICTIM, masks["victim"]) as victim,
        User(RESCUER, masks["rescuer"]) as rescuer,
    ):
        paths = []
        for number, (directory, _) in enumerate(CELLS):
            place = root / str(number)
            place.mkdir()
            mode, owner = DIRECTORIES[directory]
            os.chown(place, owner, owner)
            place.chmod(mode)
            paths.append(place / "s.db")

        made = victim.does("use", [[str(path), lock, 0] for path in paths])
        assert [outcome.get("rows") for outcome in made] == [rows(0)] * len(CELLS), made
        deaths = [
            [str(path), lock, STATES[state]]
            for path, (_, state) in zip(paths, CELLS, strict=True)
            if STATES[state] is not None
        ]
        killed = victim.does("die", deaths)
        assert killed == ["killed"] * len(deaths), killed

        rescued = rescuer.does("use", [[str(path), lock, 10] for path in paths])
        again = victim.does("use", [[str(path), lock, 20] for path in paths])
        left = [at_rest(path.parent) for path in paths]
    played = zip(rescued, again, left, strict=True)
    return {cell: Outcome(lock, *came) for cell, came in zip(CELLS, played, strict=True)}


def rows(*firsts: int) -> list[list[Any]]:
    """Return what clients recorded whose first numbers are `firsts`."""
    numbers = [first + number for first in firsts for number in range(3)]
    return [[schedule(number), times(number)] for number in numbers]


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("directory", DIRECTORIES)
def test_what_another_user_left_is_recovered_or_an_error_that_says_what_to_do(
    outcomes: dict[tuple[str, str], Outcome], directory: str, state: str
) -> None:
    came = outcomes[directory, state]
    # A lock file, or a journal, is removed by its name, which is its owner's in such directories.
    if (
        came.lock == "hardlink"
        and directory in ("sticky of the victim", "sticky of somebody")
        and state != "idle"
    ):
        assert came.rescuer.get("error") == "LockError", came
        assert "Operation not permitted" in came.rescuer["text"]
        assert "chmod -t" in came.rescuer["text"]
        assert came.victim.get("rows") == rows(0, 20), "its owner recovers it"
    else:
        assert came.rescuer.get("rows") == rows(0, 10), came
        assert came.victim.get("rows") == rows(0, 10, 20), came
        unfenced = came.lock == "token" and directory != "open" and state == "silent while writing"
        assert len(came.rescuer["warnings"]) == int(unfenced), came
        for warning in came.rescuer["warnings"]:
            assert "without a fence" in warning
            assert "chmod -t" in warning
            assert "tirastore verify" in warning
    assert came.victim["warnings"] == []
    assert came.left == ["s.db"]
