"""Many processes on one store: a start barrier, a latency for each operation, a second look."""

from __future__ import annotations

import multiprocessing
import random
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from multiprocessing.connection import wait
from typing import TYPE_CHECKING, Any, Literal

from benches.peers.rows import row

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from benches.peers.adapters import Peer
    from benches.peers.rows import Row

__all__ = ["Report", "Task", "run"]

#: Workers are forked from a process that never opened a store: nobody inherits a connection, and
#: nobody imports everything again.
_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(
    [
        "benches.peers.adapters",
        *("diskcache", "flufl.lock", "lmdb", "optuna.storages.journal", "sqlitedict"),
    ]
)

#: Seconds for all workers to open the store, and beyond its patience for a call to end.
_OPENING = 180.0
_SLACK = 30.0

Step = tuple[Literal["record", "lookup"], int]


@dataclass(frozen=True)
class Task:
    """What one of `workers` does. They share a pool of operations: whoever is free takes one."""

    seed: int
    worker: int
    workers: int
    #: Operations of all workers together.
    operations: int
    #: Part of them that are records.
    writes: float
    #: Rows that are in the store.
    known: range
    #: The first row that is not.
    first: int
    #: Do all workers record the same rows, each with times of its own?
    contested: bool = False
    #: Seconds after which no further operation is begun.
    limit: float = 20.0

    @property
    def writer(self) -> int:
        """Whose times the rows have that this worker records."""
        return self.worker + 1 if self.contested else 0

    def step(self, index: int) -> Step:
        """Return an operation: the worker's `index`-th, or where all are contested, the pool's."""
        if self.contested:
            return "record", self.first + index // self.workers
        chance = random.Random((self.seed * self.workers + self.worker) * self.operations + index)
        if chance.random() < self.writes:
            return "record", self.first + index * self.workers + self.worker
        return "lookup", chance.choice(self.known)

    def row(self, number: int) -> Row:
        """Return a row as this worker has it."""
        return row(self.seed, number, self.writer)

    def prepared(self) -> list[tuple[Step, Row]]:
        """Return what this worker may come to do: twice its fair share, or all."""
        many = self.operations if self.contested else 2 * (self.operations // self.workers) + 8
        steps = [self.step(index) for index in range(many)]
        rows = {number: self.row(number) for number in {number for _, number in steps}}
        return [(step, rows[step[1]]) for step in steps]


@dataclass
class Report:
    """What a worker did; times are seconds."""

    worker: int
    began: float = 0.0
    ended: float = 0.0
    records: list[float] = field(default_factory=list)
    lookups: list[float] = field(default_factory=list)
    #: Rows whose ``record`` returned, and whether it said that they were written.
    acknowledged: dict[int, bool] = field(default_factory=dict)
    #: Lookups that did not find what was recorded.
    wrong: int = 0
    timeouts: int = 0
    errors: Counter[str] = field(default_factory=Counter)
    #: What the store held for `acknowledged`, once all had ended. Contested rows only.
    second_look: dict[int, list[float] | None] = field(default_factory=dict)

    @property
    def done(self) -> int:
        """Number of operations that returned."""
        return len(self.records) + len(self.lookups)

    def perform(
        self, store: Peer, task: Task, pool: Any, prepared: Sequence[tuple[Step, Row]]
    ) -> None:
        """Take operations from the pool until it is empty."""
        own = 0
        while (ticket := _next(pool)) < task.operations:
            index = ticket if task.contested else own
            if index < len(prepared):
                (kind, number), values = prepared[index]
            else:
                kind, number = task.step(index)
                values = task.row(number)
            own += 1
            started = time.monotonic()
            if started > self.began + task.limit:
                break
            try:
                if kind == "record":
                    written = store.record(*values)
                    self.records.append(time.monotonic() - started)
                    self.acknowledged[number] = written or self.acknowledged.get(number, False)
                else:
                    found = store.lookup(*values[:3])
                    self.lookups.append(time.monotonic() - started)
                    self.wrong += found != values.times
            except Exception as error:  # noqa: BLE001 -- every peer has its own; they are counted
                self.note(store, error)
        self.ended = time.monotonic()

    def note(self, store: Peer, error: Exception) -> None:
        """Count an error."""
        if store.is_timeout(error):
            self.timeouts += 1
        else:
            self.errors[f"{type(error).__name__}: {error}"[:200]] += 1


def _next(pool: Any) -> int:
    with pool.get_lock():
        ticket: int = pool.value
        pool.value += 1
    return ticket


def run(peer: type[Peer], directory: Path, patience: float, tasks: Sequence[Task]) -> list[Report]:
    """Have each task done by a process of its own, all at once; return a report of each."""
    barrier = _CONTEXT.Barrier(len(tasks))
    pool = _CONTEXT.Value("q", 0)
    processes = {}
    for task in tasks:
        receiver, sender = _CONTEXT.Pipe(duplex=False)
        process = _CONTEXT.Process(
            target=_work, args=(peer, directory, patience, task, barrier, pool, sender)
        )
        process.start()
        sender.close()
        processes[receiver] = (process, task)
    longest = _OPENING + max(task.limit for task in tasks) + 2 * patience + _SLACK
    reports = _received(processes, barrier, time.monotonic() + longest)
    for receiver, (process, task) in processes.items():
        if task.worker not in reports:
            process.kill()
            errors = Counter({"a worker ended or hung": 1})
            reports[task.worker] = Report(task.worker, errors=errors)
        process.join()
        process.close()
        receiver.close()
    return [reports[task.worker] for task in tasks]


def _received(
    processes: dict[Any, Any], barrier: threading.Barrier, deadline: float
) -> dict[int, Report]:
    """Return what arrives until a deadline."""
    reports: dict[int, Report] = {}
    open_ends: set[Any] = set(processes)
    while open_ends and (left := deadline - time.monotonic()) > 0:
        ready: list[Any] = wait(list(open_ends), timeout=left)
        for end in ready:
            open_ends.discard(end)
            try:
                report: Report = end.recv()
                reports[report.worker] = report
            except EOFError:  # it died: the others must not wait for it
                barrier.abort()
    return reports


def _work(
    peer: type[Peer],
    directory: Path,
    patience: float,
    task: Task,
    barrier: threading.Barrier,
    pool: Any,
    sender: Any,
) -> None:
    report = Report(task.worker)
    prepared = task.prepared()
    try:
        with peer(directory, patience) as store:
            if task.known:
                store.lookup(*row(task.seed, task.known[0])[:3])
            barrier.wait(_OPENING)
            report.began = report.ended = time.monotonic()
            report.perform(store, task, pool, prepared)
            if task.contested:
                barrier.wait(task.limit + patience + _SLACK)
                for number in report.acknowledged:
                    report.second_look[number] = store.lookup(*row(task.seed, number)[:3])
    except threading.BrokenBarrierError:
        report.errors["other workers were not there in time"] += 1
    except Exception as error:  # noqa: BLE001 -- whatever it is, it belongs in the report
        report.errors[f"{type(error).__name__}: {error}"[:200]] += 1
        barrier.abort()
    sender.send(report)
