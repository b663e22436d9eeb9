"""What TiraLib measures, in a store: nothing of it is imported here, any version will do.

TiraLib's ``Schedule`` knows its program and prints itself in the grammar of the store. Two things
stand between: TiraLib writes a random file name into the source of every program that it loads, so
that two loads of one file would be two programs; and it tells by exceptions and empty lists what
became of a measurement.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Literal, Protocol

from tirastore.records import Measurement

if TYPE_CHECKING:
    from tirastore.records import LookupResult
    from tirastore.store import TiraStore

__all__ = ["canonical_source", "execute", "identify", "measure"]

#: The name of the object file in the line that generates code.
_OBJECT_FILE = re.compile(r'(\bcodegen\s*\(\s*\{[^}]*\}\s*,\s*")[^"]*(")')
#: The text of the plain Exception that TiraLib raises for an illegal schedule.
_NOT_LEGAL = "Schedule is not legal"
#: The class of the exception that TiraLib raises when the program has crashed.
_CRASHED = "ServerExecutionFailedError"


class _Program(Protocol):
    name: str
    cpp_code: str


class _Schedule(Protocol):
    @property
    def tiramisu_program(self) -> _Program: ...

    def execute(
        self,
        min_runs: int = 1,
        max_runs: int | None = None,
        time_budget: float | None = None,
        delete_files: bool = True,
    ) -> list[float]: ...


def canonical_source(cpp_code: str, name: str) -> str:
    """Return a program's source as it is whoever has loaded it.

    Parameters
    ----------
    cpp_code : str
        The source, as it is in the file or as TiraLib has it.
    name : str
        Name of the program.

    Returns
    -------
    str
        The source, with ``./<name>.o`` for the file that it generates. TiraLib's comments may
        differ; the store does not look at comments.

    Examples
    --------
    >>> canonical_source('tiramisu::codegen({&a, &b}, "./blur_x7Kq2.o");', "blur")
    'tiramisu::codegen({&a, &b}, "./blur.o");'
    """
    return _OBJECT_FILE.sub(lambda found: f"{found[1]}./{name}.o{found[2]}", cpp_code)


def identify(schedule: _Schedule) -> tuple[str, str, str]:
    """Return what a store knows a TiraLib schedule by.

    Parameters
    ----------
    schedule : tiralib.tiramisu.Schedule
        The schedule. TiraLib replaces the factors of ``S(L0,L1,0,0,...)`` when it decides on
        legality: asked before, it is known by the zeros.

    Returns
    -------
    tuple of (str, str, str)
        Program name, source and schedule, as :meth:`TiraStore.lookup <tirastore.TiraStore.lookup>`
        and ``claim_many`` take them.

    Examples
    --------
    >>> identify(tiralib_schedule)
    ('blur', 'tiramisu::codegen({&a}, "./blur.o");', "P(L0,comps=['c'])")
    """
    program = schedule.tiramisu_program
    return program.name, canonical_source(program.cpp_code, program.name), str(schedule)


def measure(
    schedule: _Schedule,
    *,
    min_runs: int = 1,
    max_runs: int | None = None,
    time_budget: float | None = None,
    delete_files: bool = True,
) -> Measurement:
    """Execute a TiraLib schedule and say what became of it.

    Parameters
    ----------
    schedule : tiralib.tiramisu.Schedule
        The schedule.
    min_runs, max_runs, time_budget, delete_files
        As TiraLib's ``Schedule.execute`` takes them; the budget is in milliseconds.

    Returns
    -------
    Measurement
        Its status is ``"measured"``; ``"illegal"``; ``"failed"`` where the program crashed, with
        the message; ``"timeout"`` where no run ended within `time_budget`, with it as the bound in
        seconds; ``"unmeasured"`` where there is no time, and no budget to blame.

    Raises
    ------
    Exception
        What TiraLib raises beside that: of a compiler that is missing, say. It tells nothing of
        the schedule, and must not be recorded.

    Examples
    --------
    >>> measure(tiralib_schedule, min_runs=2).execution_times
    [0.042, 0.039]
    """
    known_by = identify(schedule)
    try:
        times = schedule.execute(
            min_runs=min_runs,
            max_runs=max_runs,
            time_budget=time_budget,
            delete_files=delete_files,
        )
    except Exception as error:
        if type(error) is Exception and str(error) == _NOT_LEGAL:
            return Measurement(*known_by, is_legal=False)
        if not any(kind.__name__ == _CRASHED for kind in type(error).__mro__):
            raise
        details = {"message": str(error)}
        return Measurement(*known_by, is_legal=True, status="failed", details=details)
    if times:
        return Measurement(*known_by, is_legal=True, execution_times=times)
    if time_budget is None:
        return Measurement(*known_by, is_legal=True, status="unmeasured")
    details_of_timeout = {"bound": time_budget / 1000.0}
    return Measurement(*known_by, is_legal=True, status="timeout", details=details_of_timeout)


def execute(
    store: TiraStore,
    schedule: _Schedule,
    *,
    environment: Literal["this"] | None = None,
    min_runs: int = 1,
    max_runs: int | None = None,
    time_budget: float | None = None,
    delete_files: bool = True,
) -> LookupResult:
    """Return what is known of a TiraLib schedule; execute and record it if nothing is.

    It takes no claim: two workers that ask at the same time may both execute it. Once, whoever
    asks: ``store.get_or_measure(*identify(schedule), lambda: measure(schedule))``.

    Parameters
    ----------
    store : TiraStore
        Where it is looked up and recorded.
    schedule : tiralib.tiramisu.Schedule
        The schedule.
    environment : {"this"}, optional
        As :meth:`TiraStore.lookup <tirastore.TiraStore.lookup>`: with ``"this"`` it is executed
        here although there are times of other machines, and recorded beside them.
    min_runs, max_runs, time_budget, delete_files
        As :func:`measure`.

    Returns
    -------
    LookupResult
        What the store has now.

    Raises
    ------
    Exception
        What :func:`measure` raises, and the errors of a store.

    Examples
    --------
    >>> execute(store, tiralib_schedule, min_runs=2).status
    'measured'
    """
    known_by = identify(schedule)
    found = store.lookup(*known_by, environment=environment)
    if found is not None:
        return found
    measurement = measure(
        schedule,
        min_runs=min_runs,
        max_runs=max_runs,
        time_budget=time_budget,
        delete_files=delete_files,
    )
    store.record_batch([measurement], if_exists="keep" if environment is None else "append")
    recorded = store.lookup(*known_by, environment=environment)
    if recorded is None:
        raise RuntimeError("the measurement was deleted from the store as soon as it was recorded")
    return recorded
