"""Why no test of this directory can run here, if so; what only some need, they ask for."""

from __future__ import annotations

import hosts
import pytest
from clusters import IS_REAL


@pytest.fixture(scope="session", autouse=True)
def _is_possible() -> None:
    reason = hosts.reason_to_skip()
    if reason and not IS_REAL:
        pytest.skip(reason)
