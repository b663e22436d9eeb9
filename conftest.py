"""Fixtures of tests and doctests."""

import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal
from unittest.mock import MagicMock

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


def schedule_of_tiralib() -> MagicMock:
    """Return what examples take for a schedule of TiraLib."""
    schedule = MagicMock(**{"execute.return_value": [0.042, 0.039]})
    schedule.__str__.return_value = "P(L0,comps=['c'])"
    schedule.tiramisu_program.name = "blur"
    schedule.tiramisu_program.cpp_code = 'tiramisu::codegen({&a}, "./blur_x7Kq2.o");'
    return schedule


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
        doctest_namespace["tiralib_schedule"] = schedule_of_tiralib()
