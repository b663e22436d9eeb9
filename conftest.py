"""Fixtures of tests and doctests."""

import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import pytest

from tirastore import TiraStore

# A shell that runs this in the background has it ignore Ctrl-C, and every process that it starts,
# too: tests that press Ctrl-C would wait for ever.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(params=["token", "hardlink"])
def protocol(request: pytest.FixtureRequest) -> str:
    """Name the lock protocol of new stores: what does not depend on it is promised for both."""
    return str(request.param)


@pytest.fixture
def store(tmp_path: Path, protocol: Literal["token", "hardlink"]) -> Iterator[TiraStore]:
    """Open an empty store."""
    machine = {"cpu_model": "TestCPU", "slurm_cpus": "4"}
    path = tmp_path / "store.db"
    with TiraStore(path, source_project="test_project", lock=protocol, **machine) as opened:
        yield opened


@pytest.fixture(autouse=True)
def names_of_examples(
    request: pytest.FixtureRequest,
    doctest_namespace: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """Give the examples in docstrings an empty ``store``, and a directory of their own."""
    if hasattr(request.node, "dtest"):
        monkeypatch.chdir(tmp_path)
        doctest_namespace["store"] = TiraStore("store.db")
