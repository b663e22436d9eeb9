"""Compiling the generated program and running it."""

from __future__ import annotations

import math
import os
import shlex
import subprocess
from typing import TYPE_CHECKING

from tirastore.measure.errors import MeasurementError

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["compile_c", "compiler", "save_result", "timed_runs"]

_FLAGS = ("-O3", "-march=native", "-fopenmp", "-lm")
_LARGEST_DIFFERENCE = 1e-9
_COMPILE_TIMEOUT_S = 120.0
# Threads that wait spinning for long take the processor from those that they wait for, as soon as
# anybody else uses it too: a millisecond for each parallel loop. Threads that sleep at once cost
# ten microseconds each time, even on a quiet machine. GNU OpenMP can do both, a little.
_THREADS_THAT_WAIT = {"OMP_WAIT_POLICY": "passive", "GOMP_SPINCOUNT": "300"}


def compiler() -> str:
    """Name what measured programs are compiled with: times depend on it.

    Returns
    -------
    str
        What the compiler says of its version, and the flags that it is called with; for
        ``TiraStore(environment={"compiler": ...})``.

    Raises
    ------
    MeasurementError
        There is no C compiler, or it does not answer.

    Examples
    --------
    >>> compiler().endswith("-O3 -march=native -fopenmp -lm")
    True
    """
    command = _compiler_command()
    said = _finished([*command, "--version"], _COMPILE_TIMEOUT_S)
    version = said.stdout.strip().partition("\n")[0] if said.returncode == 0 else ""
    return " ".join([version or shlex.join(command), *_FLAGS])


def compile_c(source: str, binary: Path) -> None:
    """Compile a generated program.

    Parameters
    ----------
    source : str
        One C translation unit.
    binary : Path
        Where the executable goes; the source is put beside it.

    Raises
    ------
    MeasurementError
        There is no C compiler, or it refuses the program.

    Notes
    -----
    The environment variable ``CC`` names another compiler than ``cc``.
    """
    file = binary.with_suffix(".c")
    file.write_text(source, encoding="utf-8")
    _run([*_compiler_command(), str(file), "-o", str(binary), *_FLAGS], _COMPILE_TIMEOUT_S)


def save_result(binary: Path, result: Path, timeout_s: float) -> None:
    """Run a program once and keep the arrays that it wrote.

    Parameters
    ----------
    binary : Path
        The unscheduled program.
    result : Path
        Where its result goes. It appears there whole or not at all.
    timeout_s : float
        Seconds after which the program is killed.

    Raises
    ------
    MeasurementError
        The program failed.
    """
    partial = result.with_suffix(f".{os.getpid()}")
    _run([str(binary), "save", str(partial)], timeout_s)
    partial.replace(result)


def timed_runs(
    binary: Path,
    result: Path,
    *,
    most_runs: int,
    fewest_runs: int,
    budget_ms: float,
    timeout_s: float,
) -> list[float]:
    """Run a program again and again, and compare every result.

    Parameters
    ----------
    binary : Path
        The scheduled program.
    result : Path
        The unscheduled program's result, from `save_result`.
    most_runs, fewest_runs : int
        Bounds on the number of runs.
    budget_ms : float
        No further run starts after this many milliseconds of measured time, once there are
        `fewest_runs`.
    timeout_s : float
        Seconds after which the program is killed.

    Returns
    -------
    list of float
        Milliseconds of every run, in order.

    Raises
    ------
    MeasurementError
        The program failed, or its result differs from the unscheduled program's.
    """
    arguments = [str(most_runs), str(fewest_runs), repr(budget_ms)]
    output = _run([str(binary), "check", str(result), *arguments], timeout_s).split()
    *times, label, difference = output
    if label != "difference" or not times:
        raise MeasurementError(f"the measured program printed {' '.join(output)[:200]!r}")
    worst = float(difference)
    if math.isnan(worst) or worst > _LARGEST_DIFFERENCE:
        raise MeasurementError(
            f"wrong result: it differs from the unscheduled program's by {worst:.3g}"
        )
    return [float(time) for time in times]


def _compiler_command() -> list[str]:
    return shlex.split(os.environ.get("CC", "")) or ["cc"]


def _run(command: list[str], timeout_s: float) -> str:
    done = _finished(command, timeout_s)
    if done.returncode != 0:
        lines = done.stderr.strip().splitlines()
        reason = next((line for line in lines if "error" in line), lines[-1] if lines else "")
        raise MeasurementError(f"{command[0]} failed with status {done.returncode}: {reason}")
    return done.stdout


def _finished(command: list[str], timeout_s: float) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
            env={**_THREADS_THAT_WAIT, **os.environ},
        )
    except FileNotFoundError:
        raise MeasurementError(
            f"no program {command[0]!r}: install a C compiler, or name one in CC"
        ) from None
    except subprocess.TimeoutExpired:
        raise MeasurementError(f"{command[0]} was killed after {timeout_s:g} s") from None
