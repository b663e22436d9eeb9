"""Worker processes that explore schedules through one store: ask first, measure only on a miss."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import time
import traceback
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from typing import TYPE_CHECKING, NamedTuple

from tirastore import TiraStore
from tirastore.errors import MeasurementFailed, TiraStoreError
from tirastore.measure.errors import MeasurementError
from tirastore.measure.explore import candidates
from tirastore.measure.machine import SharedMachine
from tirastore.measure.measurer import Measurer
from tirastore.measure.programs import PROGRAMS
from tirastore.measure.run import compiler

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from multiprocessing.process import BaseProcess
    from multiprocessing.sharedctypes import Synchronized
    from pathlib import Path

    from tirastore.measure.measurer import Outcome

__all__ = ["Answer", "Pair", "Tally", "WorkerError", "explore", "pairs_to_explore"]

_PROJECT = "demo"
_LAST_WORDS_S = 10.0


class Pair(NamedTuple):
    """A program of the catalogue and a schedule to try on it."""

    program: str
    schedule: str


class Answer(NamedTuple):
    """What a worker says about one pair.

    Attributes
    ----------
    pair : int
        Position in the list of pairs; -1 for the worker as a whole.
    kind : str
        ``"stored"``, ``"legal"``, ``"illegal"``, ``"missing"``, ``"failed"`` or ``"crashed"``.
    detail : str
        Why it failed or crashed.
    """

    pair: int
    kind: str
    detail: str = ""


class WorkerError(TiraStoreError, RuntimeError):
    """A worker process ended before its work was done."""


@dataclass(slots=True)
class Tally:
    """What one pass over all pairs came to.

    Attributes
    ----------
    stored : int
        Pairs that the store knew.
    legal, illegal : int
        Pairs that were measured in this pass.
    missing : int
        Pairs that the store did not know although this pass measures nothing.
    failures : list of tuple of Pair and str
        Pairs whose measurement failed, and why. They are not in the store.
    seconds : float
        Wall time, from before the first worker starts until after the last has ended.
    """

    stored: int = 0
    legal: int = 0
    illegal: int = 0
    missing: int = 0
    failures: list[tuple[Pair, str]] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def measured(self) -> int:
        """Pairs that were measured in this pass."""
        return self.legal + self.illegal

    @property
    def asked(self) -> int:
        """Pairs that a worker has dealt with."""
        return self.stored + self.measured + self.missing + len(self.failures)

    @property
    def hit_rate(self) -> float:
        """Share of the pairs that the store knew."""
        return self.stored / self.asked if self.asked else 0.0


def pairs_to_explore(count: int, seed: int) -> list[Pair]:
    """Spread a number of pairs evenly over the catalogue.

    Parameters
    ----------
    count : int
        How many pairs.
    seed : int
        Seed of the schedules.

    Returns
    -------
    list of Pair
        Each program's pairs together, the unscheduled program first.

    Examples
    --------
    >>> pairs = pairs_to_explore(10, seed=0)
    >>> pairs[0], len(pairs)
    (Pair(program='matmul', schedule=''), 10)
    """
    each, left = divmod(count, len(PROGRAMS))
    return [
        Pair(name, schedule)
        for position, (name, program) in enumerate(PROGRAMS.items())
        for schedule in candidates(program, each + (position < left), seed)
    ]


def explore(
    store: Path,
    pairs: list[Pair],
    *,
    workers: int,
    work_dir: Path | None,
    progress: Callable[[Tally], None] = lambda _: None,
) -> Tally:
    """Let several processes explore all pairs through one store.

    Parameters
    ----------
    store : Path
        The store's file.
    pairs : list of Pair
        What to explore. Each pair goes to the worker that is free first.
    workers : int
        Number of processes.
    work_dir : Path or None
        Existing directory for generated code. None: measure nothing, the store has to know it.
    progress : callable, optional
        Called with the tally so far after every pair.

    Returns
    -------
    Tally
        What it came to.

    Raises
    ------
    WorkerError
        A worker failed otherwise than by a failed measurement. The others were stopped.
    """
    start = time.perf_counter()
    tally = Tally()
    context = multiprocessing.get_context("spawn")
    next_pair = context.Value("q", 0)
    machine = SharedMachine(workers, context)
    readers: list[Connection] = []
    processes: list[BaseProcess] = []
    try:
        with _interrupts_held_back():
            for _ in range(workers):
                reader, writer = context.Pipe(duplex=False)
                job = _Job(store, pairs, work_dir, machine, next_pair, writer)
                process = context.Process(target=_work, args=(job,), daemon=True)
                process.start()
                writer.close()
                readers.append(reader)
                processes.append(process)
        _listen(readers, pairs, tally, progress)
    finally:
        _end(processes, at_once=tally.asked < len(pairs))
    if tally.asked < len(pairs):
        codes = ", ".join(str(process.exitcode) for process in processes)
        raise WorkerError(f"workers ended early, with exit codes {codes}")
    tally.seconds = time.perf_counter() - start
    return tally


def _end(processes: list[BaseProcess], *, at_once: bool) -> None:
    """Wait until no worker is left."""
    for process in processes:
        if at_once:
            process.terminate()
    for process in processes:
        process.join(_LAST_WORDS_S)
        if process.is_alive():
            process.kill()
            process.join()


def _listen(
    readers: list[Connection],
    pairs: list[Pair],
    tally: Tally,
    progress: Callable[[Tally], None],
) -> None:
    """Count answers until every worker has hung up."""
    listening = list(readers)
    while listening:
        for reader in wait(listening):
            if not isinstance(reader, Connection):
                continue
            try:
                answer: Answer = reader.recv()
            except EOFError:
                listening.remove(reader)
                continue
            if answer.kind == "crashed":
                raise WorkerError(f"a worker failed: {answer.detail}")
            if answer.kind == "failed":
                tally.failures.append((pairs[answer.pair], answer.detail))
            else:
                setattr(tally, answer.kind, getattr(tally, answer.kind) + 1)
            progress(tally)


@contextmanager
def _interrupts_held_back() -> Iterator[None]:
    """Start children that ignore Ctrl-C: their parent gets it as well, and stops them."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


@dataclass(slots=True)
class _Job:
    """What a worker process is told."""

    store: Path
    pairs: list[Pair]
    work_dir: Path | None
    machine: SharedMachine
    next_pair: Synchronized[int]
    answers: Connection


def _work(job: _Job) -> None:
    """Be a worker."""
    # As an exception the signal closes the store and ends a running compiler.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        _explore_pairs(job)
    except BrokenPipeError:
        os._exit(1)  # the parent is gone
    except Exception as error:  # noqa: BLE001 -- whatever it is, the parent has to hear of it
        where = traceback.extract_tb(error.__traceback__)[-1]
        place = f"{os.path.basename(where.filename)}:{where.lineno}"  # noqa: PTH119
        job.answers.send(Answer(-1, "crashed", f"{type(error).__name__}: {error} ({place})"))


def _explore_pairs(job: _Job) -> None:
    measurer = job.work_dir and Measurer(job.work_dir, machine=job.machine)
    environment = {"compiler": compiler()} if measurer else None
    with TiraStore(job.store, source_project=_PROJECT, environment=environment) as store:
        while (position := _take(job)) is not None:
            kind, detail = _explore_pair(store, job.pairs[position], measurer or None)
            job.answers.send(Answer(position, kind, detail))


def _take(job: _Job) -> int | None:
    with job.next_pair.get_lock():
        position = job.next_pair.value
        job.next_pair.value += 1
    return position if position < len(job.pairs) else None


def _explore_pair(store: TiraStore, pair: Pair, measurer: Measurer | None) -> tuple[str, str]:
    """Look the pair up; on a miss measure it, under a claim that others can see, and record it."""
    program = PROGRAMS[pair.program]
    key = (program.name, program.cpp_code, pair.schedule)
    if measurer is None:
        return ("stored" if store.contains(*key) else "missing"), ""
    measured: list[Outcome] = []

    def measure() -> tuple[bool, list[float] | None]:
        measured.append(outcome := measurer.measure(program, pair.schedule))
        return outcome.is_legal, outcome.execution_times

    try:
        store.get_or_measure(*key, measure)
    except (MeasurementError, MeasurementFailed) as error:
        return "failed", str(error)
    if not measured:
        return "stored", ""
    return ("legal" if measured[0].is_legal else "illegal"), ""
