"""From a program and a schedule to execution times."""

from __future__ import annotations

import hashlib
import itertools
import os
import tempfile
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

from tirastore.measure.codegen import c_program
from tirastore.measure.legality import dependences, find_violation
from tirastore.measure.run import compile_c, save_result, timed_runs
from tirastore.measure.schedule import apply_schedule

if TYPE_CHECKING:
    from tirastore.measure.machine import SharedMachine
    from tirastore.measure.polyhedral import islpy as isl
    from tirastore.measure.program import Program

__all__ = ["Measurer", "Outcome", "measure"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a measurement found.

    Attributes
    ----------
    is_legal : bool
        Whether the schedule keeps every dependence of the program.
    execution_times : list of float or None
        Milliseconds of every run, in order; None when the schedule is illegal.
    reason : str or None
        Which dependence an illegal schedule violates.
    """

    is_legal: bool
    execution_times: list[float] | None
    reason: str | None = None


class Measurer:
    """Measures schedules of programs on this machine.

    Parameters
    ----------
    work_dir : path-like, optional
        Existing directory for generated code, executables and the results of the unscheduled
        programs. Several processes may share one. Default: a temporary directory that `close`
        removes.
    most_runs, fewest_runs : int, default 30 and 3
        Bounds on the runs of one measurement.
    budget_ms : float, default 150.0
        A measurement starts no further run after this many milliseconds of measured time.
    timeout_s : float, default 60.0
        Seconds after which a generated program is killed.
    machine : SharedMachine, optional
        Keeps the workers of one machine from disturbing each other's timing.

    Examples
    --------
    >>> from tirastore.measure.programs import load_program
    >>> with Measurer() as measurer:
    ...     outcome = measurer.measure(load_program("seidel2d"), "R(L0,comps=['seidel'])")
    >>> outcome.is_legal
    False
    """

    def __init__(
        self,
        work_dir: str | os.PathLike[str] | None = None,
        *,
        most_runs: int = 30,
        fewest_runs: int = 3,
        budget_ms: float = 150.0,
        timeout_s: float = 60.0,
        machine: SharedMachine | None = None,
    ) -> None:
        if not 1 <= fewest_runs <= most_runs:
            raise ValueError(f"no number of runs is between {fewest_runs} and {most_runs}")
        self._owned = tempfile.TemporaryDirectory() if work_dir is None else None
        self._work_dir = Path(self._owned.name if self._owned else os.fspath(work_dir or ""))
        self._most_runs = most_runs
        self._fewest_runs = fewest_runs
        self._budget_ms = budget_ms
        self._timeout_s = timeout_s
        self._machine = machine
        self._dependences: dict[Program, isl.UnionMap] = {}
        self._counter = itertools.count()

    def __enter__(self) -> Self:
        """Return the measurer itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the measurer."""
        self.close()

    def close(self) -> None:
        """Remove the temporary directory."""
        if self._owned is not None:
            self._owned.cleanup()

    def measure(self, program: Program, schedule: str) -> Outcome:
        """Decide whether a schedule is legal and, if it is, time it.

        Parameters
        ----------
        program : Program
            The description.
        schedule : str
            In the ``tiralib`` dialect; empty for the unscheduled program.

        Returns
        -------
        Outcome
            Legality and execution times in milliseconds.

        Raises
        ------
        InapplicableScheduleError
            The schedule says nothing about this program.
        MeasurementError
            Compiling or running failed, or the result is not the unscheduled program's.
        """
        binary = self._work_dir / f"{program.name}-{os.getpid()}-{next(self._counter)}"
        try:
            with self._busy():
                reason = self._prepare(program, schedule, binary)
            if reason is not None:
                return Outcome(is_legal=False, execution_times=None, reason=reason)
            with self._quiet():
                times = timed_runs(
                    binary,
                    self._result_file(program),
                    most_runs=self._most_runs,
                    fewest_runs=self._fewest_runs,
                    budget_ms=self._budget_ms,
                    timeout_s=self._timeout_s,
                )
        finally:
            binary.unlink(missing_ok=True)
            binary.with_suffix(".c").unlink(missing_ok=True)
        return Outcome(is_legal=True, execution_times=times)

    def _busy(self) -> AbstractContextManager[None]:
        return self._machine.busy() if self._machine else nullcontext()

    def _quiet(self) -> AbstractContextManager[None]:
        return self._machine.quiet() if self._machine else nullcontext()

    def _prepare(self, program: Program, schedule: str, binary: Path) -> str | None:
        """Leave an executable behind, or return why the schedule is illegal."""
        scheduled = apply_schedule(program, schedule)
        dependence = self._dependences.get(program)
        if dependence is None:
            dependence = self._dependences[program] = dependences(program)
        reason = find_violation(scheduled, dependence)
        if reason is None:
            result = self._result_file(program)
            if not result.exists():
                compile_c(c_program(apply_schedule(program, "")), binary)
                save_result(binary, result, self._timeout_s)
            compile_c(c_program(scheduled), binary)
        return reason

    def _result_file(self, program: Program) -> Path:
        """Where the unscheduled program's result lies: one file for each distinct program."""
        digest = hashlib.sha256(repr(program).encode()).hexdigest()
        return self._work_dir / f"{program.name}-{digest[:16]}.result"


def measure(program: Program, schedule: str) -> Outcome:
    """Measure one schedule with a `Measurer` of its own.

    Parameters
    ----------
    program : Program
        The description.
    schedule : str
        In the ``tiralib`` dialect; empty for the unscheduled program.

    Returns
    -------
    Outcome
        Legality and execution times in milliseconds.

    Examples
    --------
    >>> from tirastore.measure import load_program, measure
    >>> outcome = measure(load_program("matmul", size=24), "I(L0,L1,comps=['matmul'])")
    >>> outcome.is_legal, min(outcome.execution_times) > 0
    (True, True)
    """
    with Measurer() as measurer:
        return measurer.measure(program, schedule)
