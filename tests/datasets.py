"""Measurements for data sets, and what the rules make of them."""

import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support import schedule

from tirastore import Measurement

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")
from tirastore.dataset.selection import REASONS  # noqa: E402


def source(program: int) -> str:
    return f"void p{program}() {{}}"


def measurements(seed: int, programs: int = 12, each: int = 6) -> list[Measurement]:
    """Return measurements of every kind; a program in four has no unscheduled entry."""
    chance = random.Random(seed)
    found = []
    for program in range(programs):
        for number in range(each):
            text = "" if number == 0 else schedule(number)
            if number == 0 and program % 4 == 3:
                continue
            is_legal = number == 0 or chance.random() < 0.8
            runs = chance.choice([1, 2, 4, 7])
            times = [round(chance.uniform(1, 1.3), 4) for _ in range(runs)]
            if chance.random() < 0.1:
                times[0] = 0.0
            measured = Measurement(f"p{program}", source(program), text, is_legal, times)
            if number and is_legal and chance.random() < 0.1:
                measured = replace(measured, execution_times=None, status="unmeasured")
            found.append(measured)
    return found


def reference(
    given: list[Measurement], min_runs: int, *, noise_filter: bool
) -> tuple[dict[tuple[str, str], float], dict[str, int]]:
    """Return the labels by (name, schedule), and what is left out, as the documentation says."""
    dropped = dict.fromkeys(REASONS, 0)
    good = {}
    for measured in given:
        times = sorted(measured.execution_times or [])
        if not measured.is_legal:
            reason = "illegal"
        elif not times:
            reason = "without_times"
        elif times[0] <= 0:
            reason = "bad_times"
        elif len(times) < min_runs:
            reason = "too_few_runs"
        elif noise_filter and len(times) >= 4 and times[1] > 1.1 * times[0]:
            reason = "noisy"
        else:
            good[measured.program_name, measured.tiralib_schedule_string] = times[0]
            continue
        dropped[reason] += 1
    labels = {}
    for (name, text), best in good.items():
        if (name, "") in good:
            labels[name, text] = max(good[name, ""] / best, 0.01)
        else:
            dropped["without_initial"] += 1
    return labels, dropped


def rows_of(directory: Path) -> dict[str, list[dict[str, Any]]]:
    return {
        path.stem: pq.read_table(path).to_pylist()
        for path in directory.glob("*.parquet")
        if path.stem != "programs"
    }
