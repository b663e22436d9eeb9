"""Two tasks of a Slurm step examine what is between their nodes, here played by two processes."""

import subprocess
import sys
from pathlib import Path

import pytest
from broken import CLI, LINK_FOR_ALL, PROBLEM
from support import contents, environment

from tirastore.doctor import examine, mailbox
from tirastore.doctor.mailbox import Task


def two_tasks(directory: Path, second: str = CLI) -> list[tuple[int, str]]:
    """Run two tasks of one Slurm step; answer their status and output."""
    tasks = [
        subprocess.Popen(
            [sys.executable, "-c", code, "doctor", str(directory)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=environment(
                SLURM_JOB_ID="7",
                SLURM_STEP_ID="0",
                SLURM_NTASKS="2",
                SLURM_PROCID=str(rank),
                COLUMNS="200",
            ),
        )
        for rank, code in enumerate([CLI, second])
    ]
    outputs = [task.communicate(timeout=100)[0] for task in tasks]
    return [(task.returncode, output) for task, output in zip(tasks, outputs, strict=True)]


def test_two_tasks_examine_what_is_between_them(tmp_path: Path) -> None:
    (first, shown), second = two_tasks(tmp_path)
    assert first == 0, shown
    assert second == (0, "")
    assert "second node" in shown
    assert shown.count("between nodes") == 5
    assert "all 8 kinds of change at once" in shown
    assert contents(tmp_path) == {}


def test_what_a_killed_run_has_left_does_not_stop_the_next_one(tmp_path: Path) -> None:
    place = Task(0, "7.0").meeting_point(tmp_path)
    (place / "pair").mkdir(parents=True)
    (place / "hello.node9.1.abc").write_text('"node9"')
    (first, shown), second = two_tasks(tmp_path)
    assert first == 0, shown
    assert second[0] == 0
    assert contents(tmp_path) == {}


def test_a_race_that_both_nodes_win_is_a_problem(tmp_path: Path) -> None:
    (first, shown), second = two_tasks(tmp_path, f"{LINK_FOR_ALL}\n{CLI}")
    assert first == 1
    assert "link() excludes between nodes" in shown.splitlines()[-1]
    assert second[0] == 0
    assert contents(tmp_path) == {}


def test_a_second_node_that_does_not_come_is_a_problem(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mailbox.Remote.meet, "__defaults__", (0.5,))
    report = examine(tmp_path, task=Task(0, "7.0"))
    assert report["second node"].verdict is PROBLEM
    assert "has not come" in report["second node"].seen
    assert contents(tmp_path) == {}


def test_only_a_step_of_two_tasks_is_examined_between_nodes() -> None:
    step = {"SLURM_JOB_ID": "7", "SLURM_NTASKS": "2", "SLURM_PROCID": "1", "SLURM_STEP_ID": "3"}
    assert Task.of(step) == Task(1, "7.3")
    assert Task.of({**step, "SLURM_NTASKS": "1"}) is None
    assert Task.of({**step, "SLURM_STEP_ID": "../x"}) is None
    assert Task.of({**step, "SLURM_PROCID": "x"}) is None
    assert Task.of({}) is None
    del step["SLURM_STEP_ID"]  # a batch script
    assert Task.of(step) is None
