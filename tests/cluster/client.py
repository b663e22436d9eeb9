"""A client that never gives up: ``python client.py NAME STORE STOP``.

It claims a pair, then records one after the other until the file STOP is there. Every number that
is acknowledged is printed as a line; after an error it says so, and tries the same again.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

from tirastore import TiraStore, TiraStoreError

SOURCE = "void client() { /* shared by all clients */ }"
#: Seconds without a sign of life after which a holder of the lock or of a claim is replaced.
PATIENCE = 5.0


def schedule(name: str, number: int) -> str:
    """Return the schedule that client `name` records as its `number`-th."""
    return f"U(L0,{number},comps=['{name}'])"


def times(name: str, number: int) -> list[float]:
    """Return execution times that tell whose record it is."""
    return [float(number), float(sum(name.encode()))]


def open_store(path: Path) -> TiraStore:
    """Open the store as every client does."""
    machine = {"cpu_model": "any", "slurm_cpus": "1"}
    return TiraStore(path, stale_lock_timeout=PATIENCE, lock_timeout=60.0, **machine)


def claim_of(name: str) -> tuple[str, str, str]:
    """Return the pair that client `name` claims."""
    return ("client", SOURCE, f"R(L0,comps=['{name}'])")


def missing(path: Path, promised: dict[str, list[int]]) -> list[str]:
    """Return what clients were told and the store does not hold."""
    try:
        with open_store(path) as store:
            damage = store.verify()
            records = store.get_program_records("client", SOURCE)
    except TiraStoreError as error:
        return [str(error)]
    found = {record.schedule: record.execution_times for record in records}
    lost = [
        f"{number} of {name}"
        for name, numbers in promised.items()
        for number in numbers
        if found.get(schedule(name, number)) != times(name, number)
    ]
    return lost if damage.ok else [*lost, str(damage)]


def main(name: str, path: Path, stop: Path) -> None:
    store = None
    number = 0
    claimed = False
    while not stop.exists():
        try:
            store = store or open_store(path)
            if not claimed:
                claimed = store.claim(*claim_of(name), lease=PATIENCE) is not None
                print(f"claimed {claimed}", flush=True)
                claimed = True
            store.record("client", SOURCE, schedule(name, number), True, times(name, number))
        except (TiraStoreError, OSError) as error:
            print(f"error {type(error).__name__}: {' '.join(str(error).split())}", flush=True)
            time.sleep(0.2)
            continue
        print(number, flush=True)
        number += 1


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))
