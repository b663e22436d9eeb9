"""Why these tests cannot run here, if so."""

from __future__ import annotations

import hosts
import pytest

import slurm


@pytest.fixture(scope="session", autouse=True)
def _is_possible() -> None:
    reason = hosts.reason_to_skip() or slurm.reason_to_skip()
    if reason:
        pytest.skip(reason)
