"""TiraLib's schedules are stored by what they are, and with what became of them."""

import random
import string
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from support import open_store

import tirastore
from tirastore import TiraStore
from tirastore.measure import tiralib

FILE = """
#include <tiramisu/tiramisu.h>
#include "blur_wrapper.h"
int main(int argc, char **argv)
{
    tiramisu::init("blur");
    buffer b_in("b_in", {100, 100}, p_float64, a_input);
    buffer b_out("b_out", {100, 100}, p_float64, a_output);
    tiramisu::codegen({
        &b_in, &b_out}, "generated/blur.o");
    return 0;
}
"""
P = "P(L0,comps=['a', 'b'])"


class ServerExecutionFailedError(Exception):
    """As TiraLib names it."""


class Program:
    """A program as TiraLib loads it: the names of its files get a random suffix."""

    def __init__(self, file: str = FILE, name: str = "blur") -> None:
        letters = string.ascii_letters + string.digits
        files = f"{name}_" + "".join(random.choices(letters, k=5))
        self.name = name
        include = f'#include "{name}_wrapper.h"'
        file = file.replace(include, f'// #include "{files}_wrapper.h"')
        self.cpp_code = file.replace("generated/blur.o", f"./{files}.o")


class Schedule:
    """A schedule of TiraLib whose execution ends as it is told to."""

    def __init__(
        self, end: list[float] | Exception, actions: tuple[str, ...] = (P,), **program: str
    ) -> None:
        self.tiramisu_program = Program(**program)
        self.end = end
        self.actions = actions
        self.executed: list[dict[str, Any]] = []

    def __str__(self) -> str:
        return "|".join(self.actions)

    def execute(
        self,
        min_runs: int = 1,
        max_runs: int | None = None,
        time_budget: float | None = None,
        delete_files: bool = True,
    ) -> list[float]:
        self.executed.append(
            {
                "min_runs": min_runs,
                "max_runs": max_runs,
                "time_budget": time_budget,
                "delete_files": delete_files,
            }
        )
        if isinstance(self.end, Exception):
            raise self.end
        return self.end


def test_two_loads_of_one_file_are_one_program(store: TiraStore) -> None:
    first, second = Schedule([2.0, 1.0]), Schedule([9.0])
    assert first.tiramisu_program.cpp_code != second.tiramisu_program.cpp_code
    assert tiralib.execute(store, first).execution_times == [2.0, 1.0]
    assert tiralib.execute(store, second).execution_times == [2.0, 1.0]
    assert (len(first.executed), len(second.executed)) == (1, 0)
    assert (store.count(), store.program_count()) == (1, 1)


def test_the_source_is_the_files_own() -> None:
    name, source, schedule = tiralib.identify(Schedule([]))
    assert (name, schedule) == ("blur", P)
    assert '"./blur.o");' in source
    assert '"b_in", {100, 100}' in source
    of_file = tiralib.canonical_source(FILE, "blur")
    assert tirastore.make_program_hash(source) == tirastore.make_program_hash(of_file)
    another = Schedule([], file=FILE.replace("100", "200"))
    assert tiralib.identify(another)[1] != source


CRASH = ServerExecutionFailedError("Server execution failed")


@pytest.mark.parametrize(
    ("end", "budget", "status", "details"),
    [
        ([0.5, 0.25], None, "measured", None),
        ([0.5], 2000.0, "measured", None),
        ([], 2000.0, "timeout", {"bound": 2.0}),
        ([], None, "unmeasured", None),
        (Exception("Schedule is not legal"), None, "illegal", None),
        (CRASH, None, "failed", {"message": "Server execution failed"}),
    ],
)
def test_what_became_of_it_is_recorded(
    store: TiraStore,
    end: list[float] | Exception,
    budget: float | None,
    status: str,
    details: dict[str, Any] | None,
) -> None:
    schedule = Schedule(end)
    options: dict[str, Any] = {"min_runs": 3, "max_runs": 30, "delete_files": False}
    found = tiralib.execute(store, schedule, time_budget=budget, **options)
    assert schedule.executed == [{**options, "time_budget": budget}]
    assert (found.status, found.details) == (status, details)
    assert found.is_legal is (status != "illegal")
    assert found.execution_times == (end if status == "measured" else None)
    # Whatever it was, it is not executed again.
    assert tiralib.execute(store, schedule) == found
    assert len(schedule.executed) == 1


@pytest.mark.parametrize(
    "error",
    [
        Exception("another"),
        ValueError("Schedule is not legal"),
        subprocess.CalledProcessError(127, "g++"),
        KeyboardInterrupt(),
    ],
)
def test_an_error_that_tells_nothing_of_the_schedule_is_not_recorded(
    store: TiraStore, error: BaseException
) -> None:
    schedule = Schedule([])

    def execute(**_: Any) -> list[float]:
        raise error

    schedule.execute = execute  # type: ignore[assignment,method-assign]
    with pytest.raises(type(error)):
        tiralib.execute(store, schedule)
    assert store.count() == 0


def test_skewing_factors_that_are_found_later_change_no_key(store: TiraStore) -> None:
    schedule = Schedule([1.0], ("S(L0,L1,0,0,comps=['a'])",))
    times = schedule.end

    def execute(**_: Any) -> list[float]:
        schedule.actions = ("S(L0,L1,1,2,comps=['a'])",)
        assert isinstance(times, list)
        return times

    schedule.execute = execute  # type: ignore[assignment,method-assign]
    assert tiralib.execute(store, schedule).schedule == "S(L0,L1,0,0,comps=['a'])"
    again = Schedule([9.0], ("S(L0,L1,0,0,comps=['a'])",))
    assert tiralib.execute(store, again).execution_times == [1.0]


def test_times_of_another_machine_are_measured_again_and_stand_beside(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    with open_store(path, environment={"cores": 64}) as theirs:
        tiralib.execute(theirs, Schedule([9.0]))
    with open_store(path, environment={"cores": 28}) as ours:
        here = tiralib.execute(ours, Schedule([1.0]), environment="this")
        assert here.execution_times == [1.0]
        runs = ours.runs(*tiralib.identify(Schedule([])))
        assert [run.execution_times for run in runs] == [[9.0], [1.0]]
        assert [run.is_current for run in runs] == [True, False]


def test_it_needs_neither_tiralib_nor_the_other_measurers_packages() -> None:
    code = (
        "import sys\n"
        "for name in ('islpy', 'numpy', 'tiralib', 'athena'): sys.modules[name] = None\n"
        "import tirastore.measure.tiralib"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True)
