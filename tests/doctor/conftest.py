"""Fixtures of the tests of `tirastore doctor`: few rounds, no job, broken operations."""

import dataclasses
import os
import sys
from typing import Any

import pytest

from tirastore import doctor
from tirastore.doctor import exclusion, peer


@pytest.fixture
def broken(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Let code run in the processes of the checks before they begin."""

    def breaks(code: str) -> None:
        serving = f"{code}\nfrom tirastore.doctor.side import serve; serve()"
        monkeypatch.setattr(peer, "COMMAND", [sys.executable, "-P", "-c", serving])

    return breaks


@pytest.fixture
def all_rounds() -> None:
    """Race as often as for a user."""


@pytest.fixture(autouse=True)
def few_rounds(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    """Race in few rounds where the races are not what is tested."""
    if "all_rounds" not in request.fixturenames:
        few = tuple(dataclasses.replace(race, rounds=12) for race in exclusion.RACES)
        monkeypatch.setattr(exclusion, "RACES", few)
        monkeypatch.setattr(doctor, "_PROCESSES", 2)


@pytest.fixture(autouse=True)
def no_job(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith("SLURM_"):
            monkeypatch.delenv(name)
