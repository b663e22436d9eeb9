"""Measured schedules compute what the unscheduled program computes, and say how long it took."""

from __future__ import annotations

import multiprocessing
import subprocess
import time

import pytest

from tirastore.measure import (
    PROGRAMS,
    MeasurementError,
    Measurer,
    candidates,
    compiler,
    explore,
    load_program,
    measurer,
)
from tirastore.measure.codegen import c_program
from tirastore.measure.machine import SharedMachine
from tirastore.measure.schedule import apply_schedule

# No multiple of any tile, so that incomplete tiles and unrolled loops occur everywhere.
SIZES = {
    "matmul": {"size": 23},
    "blur": {"size": 37},
    "heat2d": {"size": 27, "steps": 5},
    "seidel2d": {"size": 27, "steps": 5},
    "jacobi2d": {"size": 27, "steps": 5},
    "mvt": {"size": 41},
    "gemver": {"size": 41},
}
REVERSED = "R(L1,comps=['seidel'])"


@pytest.fixture
def quick(tmp_path):
    with Measurer(tmp_path, most_runs=4, budget_ms=20.0) as opened:
        yield opened


@pytest.mark.parametrize("name", PROGRAMS)
def test_legal_schedules_compute_what_the_unscheduled_program_computes(name, quick, monkeypatch):
    monkeypatch.setattr(explore, "_TILES", (4, 5, 8))
    program = load_program(name, **SIZES[name])
    outcomes = [quick.measure(program, text) for text in candidates(program, 14, seed=3)]
    assert sum(outcome.is_legal for outcome in outcomes) >= 3


@pytest.mark.parametrize(
    ("name", "schedule"),
    [
        ("seidel2d", "S(L1,L2,1,1,comps=['seidel'])|P(L2,comps=['seidel'])"),
        (
            "heat2d",
            (
                "S(L0,L1,2,1,comps=['heat_step'])|T2(L0,L1,4,8,comps=['heat_step'])"
                "|U(L-1,8,comps=['heat_step'])"
            ),
        ),
        ("gemver", "I(L0,L1,comps=['x_temp'])|F(L0,comps=['A_hat', 'x_temp'])"),
        ("blur", "F(L1,comps=['bx', 'by'])|T2(L0,L1,8,8,comps=['bx', 'by'])"),
    ],
)
def test_wavefronts_and_fused_tiles_compute_the_right_result(name, schedule, quick):
    assert quick.measure(load_program(name, **SIZES[name]), schedule).is_legal


def test_a_wrong_result_is_an_error_and_never_an_outcome(quick, monkeypatch):
    monkeypatch.setattr(measurer, "find_violation", lambda *_: None)
    with pytest.raises(MeasurementError, match="wrong result"):
        quick.measure(load_program("seidel2d", **SIZES["seidel2d"]), REVERSED)


def test_an_illegal_schedule_is_not_run_and_says_why(quick):
    outcome = quick.measure(load_program("seidel2d"), REVERSED)
    assert not outcome.is_legal
    assert outcome.execution_times is None
    assert "seidel" in outcome.reason


@pytest.mark.parametrize(
    ("budget_ms", "runs"), [(0.0, 3), (1e9, 30)], ids=["slow program", "fast program"]
)
def test_three_to_thirty_runs_all_positive(tmp_path, budget_ms, runs):
    with Measurer(tmp_path, budget_ms=budget_ms) as opened:
        times = opened.measure(load_program("mvt", size=64), "").execution_times
    assert len(times) == runs
    assert min(times) > 0


def test_more_time_steps_take_longer(tmp_path):
    with Measurer(tmp_path) as opened:
        few, many = (
            min(opened.measure(load_program("seidel2d", steps=steps), "").execution_times)
            for steps in (1, 40)
        )
    assert many > 5 * few


def test_nothing_is_left_in_the_work_directory_but_the_reference_result(tmp_path, quick):
    quick.measure(load_program("mvt", size=16), "")
    assert [file.suffix for file in tmp_path.iterdir()] == [".result"]


def test_a_missing_compiler_is_one_clear_line(quick, monkeypatch):
    monkeypatch.setenv("CC", "no-such-compiler")
    with pytest.raises(MeasurementError, match="no program 'no-such-compiler': install a C"):
        quick.measure(load_program("mvt", size=16), "")


def test_the_compiler_is_named_with_its_version_and_flags(monkeypatch):
    version = subprocess.run(["cc", "--version"], capture_output=True, text=True, check=True).stdout
    monkeypatch.delenv("CC", raising=False)
    assert compiler() == f"{version.splitlines()[0]} -O3 -march=native -fopenmp -lm"
    monkeypatch.setenv("CC", "false --with 'a word'")
    assert compiler() == "false --with 'a word' -O3 -march=native -fopenmp -lm"
    monkeypatch.setenv("CC", "no-such-compiler")
    with pytest.raises(MeasurementError, match="install a C compiler"):
        compiler()


def test_a_compiler_that_fails_is_reported(quick, monkeypatch):
    monkeypatch.setenv("CC", "cc --no-such-option")
    with pytest.raises(MeasurementError, match=r"cc failed with status 1: .*no-such-option"):
        quick.measure(load_program("mvt", size=16), "")


def test_a_program_that_hangs_is_killed(tmp_path):
    with (
        Measurer(tmp_path, timeout_s=0.001) as opened,
        pytest.raises(MeasurementError, match="was killed after"),
    ):
        opened.measure(load_program("matmul"), "")


def test_generated_code_is_the_same_every_time():
    program = load_program("gemver", size=20)
    for schedule in candidates(program, 20):
        scheduled = apply_schedule(program, schedule)
        assert c_program(scheduled) == c_program(apply_schedule(program, schedule))


def test_candidates_are_distinct_seeded_and_begin_with_the_unscheduled_program():
    for program in PROGRAMS.values():
        schedules = candidates(program, 40, seed=1)
        assert schedules[0] == ""
        assert len(set(schedules)) == len(schedules) == 40
        assert schedules == candidates(program, 40, seed=1)
        assert schedules != candidates(program, 40, seed=2)
        for schedule in schedules:
            apply_schedule(program, schedule)


def _note(machine, quiet, log, number):
    with machine.quiet() if quiet else machine.busy():
        log.put((number, "in", quiet))
        time.sleep(0.05)
        log.put((number, "out", quiet))


def test_whoever_times_has_the_machine_to_himself():
    context = multiprocessing.get_context("spawn")
    machine, log = SharedMachine(4, context), context.SimpleQueue()
    processes = [
        context.Process(target=_note, args=(machine, number % 2 == 0, log, number))
        for number in range(4)
    ]
    for process in processes:
        process.start()
    events = [log.get() for _ in range(8)]
    for process in processes:
        process.join()
    inside = {}
    for number, event, quiet in events:
        if event == "in":
            assert not any(inside.values())
            assert not (quiet and inside)
            inside[number] = quiet
        else:
            del inside[number]
