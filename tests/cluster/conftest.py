"""Why these tests cannot run here, if so."""

from __future__ import annotations

import hosts
import pytest
import scheduler
from clusters import IS_REAL


@pytest.fixture(scope="session", autouse=True)
def _is_possible() -> None:
    reason = hosts.reason_to_skip() or scheduler.reason_to_skip()
    if reason and not IS_REAL:
        pytest.skip(reason)
