"""A worker of `multinode.sh`: runs one phase, beside others, and prints what it was told."""

from __future__ import annotations

import argparse
import itertools
import json
import os
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tirastore import ClaimLostError, TiraStore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

NAME = "multinode"
SOURCE = "void multinode() { /* shared by all workers */ }"
# Every fourth worker has a child that is killed.
KILLED_EVERY = 4
# Seconds: a dead holder of the lock, or of a claim, is waited for this long by other nodes.
PATIENCE = 5.0


def schedule(group: str, number: int) -> str:
    """Return the `number`-th schedule of a group of schedules."""
    return f"U(L0,{number},comps=['{group}'])"


def times(rank: int, number: int) -> list[float]:
    """Return times in milliseconds that tell whose record it is, with a checksum."""
    return [float(rank), float(number), float(rank * 1000003 + number)]


def has_victim(rank: int) -> bool:
    """Tell whether a worker has a child that is killed."""
    return rank % KILLED_EVERY == 0


class Worker:
    """One of `workers` that use one store at the same time."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.rank = int(os.environ.get("SLURM_PROCID", "0"))
        self.workers, self.records, self.contested = (
            options.workers,
            options.records,
            options.contested,
        )
        self.path = options.directory / "multinode.db"
        # A store of its own: all kinds of nodes may write it.
        self.store = TiraStore(
            self.path, NAME, cpu_model="any", slurm_cpus="1", stale_lock_timeout=PATIENCE
        )

    def record(self, group: str, number: int, **options: bool) -> bool:
        """Record what nobody else would record like this."""
        what = schedule(group, number)
        return self.store.record(
            NAME, SOURCE, what, is_legal=True, execution_times=times(self.rank, number), **options
        )

    def unique(self) -> dict[str, Any]:
        """Record what no other worker records."""
        group = f"unique{self.rank}"
        return {"recorded": sum(self.record(group, number) for number in range(self.records))}

    def contested_(self) -> dict[str, Any]:
        """Record what every other worker records, too."""
        numbers = range(self.contested)
        return {"won": [number for number in numbers if self.record("contested", number)]}

    def cross_read(self) -> dict[str, Any]:
        """Look up what the next worker has recorded."""
        other = (self.rank + 1) % self.workers
        items = [(NAME, SOURCE, schedule(f"unique{other}", n)) for n in range(self.records)]
        single = [self.store.lookup(*item) for item in items]
        right = [
            found is not None and found.execution_times == times(other, number)
            for number, found in enumerate(single)
        ]
        return {"found": sum(right), "together": single == self.store.lookup_many(items)}

    def overwrite(self) -> dict[str, Any]:
        """Overwrite what every other worker overwrites, too."""
        for number in range(self.contested):
            values = {"is_legal": True, "execution_times": times(self.rank, number)}
            self.store.record(NAME, SOURCE, schedule("overwritten", 0), **values, overwrite=True)
        return {"overwritten": self.contested}

    def killed(self) -> dict[str, Any]:
        """Record while others are killed who record, too, and have claimed something."""
        answer: dict[str, Any] = {}
        if has_victim(self.rank):
            claimed, *acknowledged = self.kill_a_child(1 + self.records)
            answer = {"claimed": claimed, "victim": acknowledged}
        group = f"survivor{self.rank}"
        answer["recorded"] = sum(self.record(group, number) for number in range(self.records))
        return answer

    def victim(self) -> Iterator[int]:
        """Claim, then record until killed; yield how much is claimed, then what is recorded."""
        yield len(self.store.claim_many(self.candidates(), limit=3, lease=PATIENCE))
        for number in itertools.count():
            if self.record(f"victim{self.rank}", number):
                yield number

    def claims(self) -> dict[str, Any]:
        """Measure what nobody has measured, also what those had claimed who were killed."""
        candidates = self.candidates()
        measured = []
        while not all(self.store.contains_many(candidates)):
            claims = self.store.claim_many(candidates, limit=2, lease=PATIENCE)
            for claim in claims:
                time.sleep(0.01)
                number = candidates.index((NAME, SOURCE, claim.schedule))
                # On busy nodes a lease may be over; then somebody else has measured it.
                with suppress(ClaimLostError):
                    claim.complete(is_legal=True, execution_times=times(self.rank, number))
                    measured.append(number)
            if not claims:
                time.sleep(0.2)
        return {"measured": measured}

    def candidates(self) -> list[tuple[str, str, str]]:
        """Return what is to be measured in the last phase."""
        return [(NAME, SOURCE, schedule("claimed", number)) for number in range(self.records)]

    def kill_a_child(self, lines: int) -> list[int]:
        """Have a child print `lines` numbers or more, kill it, and return what it has printed."""
        command = [sys.executable, __file__, "victim", *sys.argv[2:]]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
            assert child.stdout is not None
            said = [child.stdout.readline() for _ in range(lines)]
            child.kill()
            said += child.stdout.readlines()
        # Half a line acknowledges nothing.
        return [int(line) for line in said if line.endswith("\n")]


PHASES: dict[str, Callable[[Worker], dict[str, Any]]] = {
    "unique": Worker.unique,
    "contested": Worker.contested_,
    "cross-read": Worker.cross_read,
    "overwrite": Worker.overwrite,
    "killed": Worker.killed,
    "claims": Worker.claims,
}


def main() -> int:
    """Be a worker, or its child."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("phase", choices=[*PHASES, "victim"])
    parser.add_argument("directory", type=Path)
    for name in ("workers", "records", "contested"):
        parser.add_argument(name, type=int)
    options = parser.parse_args()
    worker = Worker(options)
    if options.phase == "victim":
        for number in worker.victim():
            print(number, flush=True)
    start = time.perf_counter()
    answer = PHASES[options.phase](worker)
    answer |= {"phase": options.phase, "rank": worker.rank, "host": socket.gethostname()}
    line = json.dumps({**answer, "seconds": time.perf_counter() - start}) + "\n"
    # All workers write to one file: the line and its end at once, unbuffered or not.
    sys.stdout.write(line)
    sys.stdout.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())
