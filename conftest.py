"""Fixtures of tests and doctests."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tirastore import TiraStore


@pytest.fixture
def store(tmp_path: Path) -> Iterator[TiraStore]:
    """Open an empty store."""
    with TiraStore(
        tmp_path / "store.db", source_project="test_project", cpu_model="TestCPU", slurm_cpus="4"
    ) as opened:
        yield opened
