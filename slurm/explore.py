"""A worker: claims schedules that nobody has measured, measures them and records what came out.

Run by `worker.sbatch`, any number at a time, on one store. Each ends when everything is recorded.
What is explored here are the programs of `tirastore demo`; put your own search in their place.

SIGTERM ends it within moments: what it was measuring is given back for others, what it has
measured is in the store. The status is then 75: there is more to do.
"""

from __future__ import annotations

import argparse
import signal
import socket
import sys
import time
from collections import Counter
from contextlib import contextmanager, nullcontext, suppress
from typing import TYPE_CHECKING, TypeVar

from tirastore import (
    ClaimLostError,
    StorageError,
    TiraStore,
    TiraStoreError,
    make_key,
    make_program_hash,
)
from tirastore.measure import PROGRAMS, Measurer, compiler
from tirastore.measure.errors import MeasurementError
from tirastore.measure.exploration import pairs_to_explore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tirastore import Claim
    from tirastore.measure import Outcome
    from tirastore.measure.program import Program

MORE_TO_DO = 75  # EX_TEMPFAIL of sysexits.h
POLL_S = 1.0
REPORT_S = 60.0
TRIES = 10
RETRY_S = 5.0

T = TypeVar("T")


class Ended(BaseException):
    """SIGTERM arrived."""


class Ending:
    """Ends a measurement at once when SIGTERM arrives, and what must not be cut short after it."""

    def __init__(self) -> None:
        self.asked = False
        self._may_interrupt = False
        signal.signal(signal.SIGTERM, self._ask)

    def _ask(self, *_: object) -> None:
        self.asked = True
        if self._may_interrupt:
            self._may_interrupt = False
            raise Ended

    @contextmanager
    def interrupts(self) -> Iterator[None]:
        """Let SIGTERM raise `Ended` within this block; raise it now if it was there before."""
        self._may_interrupt = True
        try:
            if self.asked:
                raise Ended
            yield
        finally:
            self._may_interrupt = False


class Worker:
    """Explores until all is known, or until it is asked to end."""

    def __init__(self, store: TiraStore, options: argparse.Namespace) -> None:
        self.store, self.options = store, options
        #: What is not known to be recorded, by key.
        self.left: dict[str, tuple[str, str, str]] = {}
        self.programs: dict[str, Program] = {}
        for name, schedule in pairs_to_explore(options.pairs, options.seed):
            source = PROGRAMS[name].cpp_code
            key = make_key(make_program_hash(source), schedule)
            self.left[key] = (name, source, schedule)
            self.programs[key] = PROGRAMS[name]
        self.pairs = len(self.left)
        self.counts: Counter[str] = Counter()
        self.ending = Ending()
        self.reported = time.monotonic()

    def run(self) -> int:
        """Return the status of the process."""
        candidates = self.left.values()
        try:
            with Measurer() as measurer:
                while self.left:
                    claims = self.insist(
                        lambda: self.store.claim_many(
                            candidates, limit=self.options.batch, lease=self.options.lease
                        )
                    )
                    self.measure(measurer, claims)
                    if not claims and self.look_around():
                        # Others measure what is left; if one of them dies, it is ours.
                        self.report("waiting for others", every=REPORT_S)
                        with self.ending.interrupts():
                            time.sleep(POLL_S)
        except Ended:
            self.report("asked to end")
            return MORE_TO_DO
        self.report("done")
        return 0

    def look_around(self) -> bool:
        """Forget what others have recorded, or found to fail; tell whether anything is left."""
        known = self.insist(lambda: self.store.contains_many(self.left.values()))
        claims = self.insist(self.store.claims)
        failed = {claim.key for claim in claims if claim.state == "failed"}
        for key, is_known in zip(list(self.left), known, strict=True):
            if is_known or key in failed:
                del self.left[key]
        return bool(self.left)

    def measure(self, measurer: Measurer, claims: list[Claim]) -> None:
        """Measure what was claimed, one after the other; give back what is left at an end."""
        ours = claims
        try:
            while ours := [claim for claim in ours if self.is_ours(claim)]:
                self.measure_one(measurer, ours.pop(0))
                self.report("exploring", every=REPORT_S)
        finally:
            for claim in claims:
                # Nothing happens to those that have ended. One that cannot be given back lasts for
                # its lease, and must not keep the others.
                with suppress(TiraStoreError):
                    claim.release()

    def is_ours(self, claim: Claim) -> bool:
        """Renew a claim; tell whether it is still there."""
        try:
            self.insist(claim.renew)
        except ClaimLostError:
            # We were stopped for longer than the lease, and somebody else has it now.
            self.counts["lost"] += 1
            return False
        return True

    def measure_one(self, measurer: Measurer, claim: Claim) -> None:
        """Measure one, and record it."""
        outcome = None
        try:
            with self.ending.interrupts():
                outcome = measurer.measure(self.programs[claim.key], claim.schedule)
        except MeasurementError as error:
            self.fail(claim, str(error))
        except Ended:
            # What was measured when SIGTERM arrived is recorded first.
            if outcome is None:
                raise
        if outcome is not None:
            self.record(claim, outcome)

    def fail(self, claim: Claim, message: str) -> None:
        """Tell others that it cannot be measured."""
        try:
            self.insist(lambda: claim.fail(message), result=True)
        except ClaimLostError:
            self.counts["lost"] += 1
            return
        self.counts["failed"] += 1
        del self.left[claim.key]

    def record(self, claim: Claim, outcome: Outcome) -> None:
        """Record what was measured, also where others have recorded the pair meanwhile."""
        result = outcome.is_legal, outcome.execution_times
        self.insist(lambda: claim.complete(*result, or_append=True), result=True)
        self.counts["measured"] += 1
        del self.left[claim.key]
        if self.options.verbose:
            print(f"measured {claim.program_name} {claim.schedule}", flush=True)

    def insist(self, call: Callable[[], T], *, result: bool = False) -> T:
        """Call though the store has errors for a while.

        SIGTERM ends that between two tries, unless the call is to store a `result`.
        """
        for _ in range(TRIES - 1):
            try:
                return call()
            except (PermissionError, FileNotFoundError):
                raise  # that does not pass
            except (OSError, StorageError) as error:
                self.report(f"tries again after: {error}")
            with nullcontext() if result else self.ending.interrupts():
                time.sleep(RETRY_S)
        return call()

    def report(self, what: str, every: float = 0.0) -> None:
        """Print a line about how far it is, if the last one is `every` seconds old."""
        if time.monotonic() - self.reported < every:
            return
        self.reported = time.monotonic()
        counts = ", ".join(f"{self.counts[kind]} {kind}" for kind in ("measured", "failed", "lost"))
        left = f"{len(self.left)} of {self.pairs} left"
        print(
            f"{time.strftime('%H:%M:%S')} {socket.gethostname()}: {what}; {counts}; {left}",
            flush=True,
        )


def positive(kind: type[T]) -> Callable[[str], T]:
    """Read a number of an option that must be above 0."""

    def read(text: str) -> T:
        number = kind(text)  # type: ignore[call-arg]
        if not number > 0:  # type: ignore[operator]
            raise argparse.ArgumentTypeError(f"must be above 0, is {text}")
        return number

    return read


def main() -> int:
    """Be a worker."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--pairs", type=positive(int), default=280, help="how many schedules in all"
    )
    parser.add_argument("--seed", type=int, default=0, help="which ones")
    parser.add_argument(
        "--batch", type=positive(int), default=4, help="how many to claim at a time"
    )
    parser.add_argument(
        "--lease",
        type=positive(float),
        default=600.0,
        help="seconds after which a silent worker's claims are free: longer than any measurement",
    )
    parser.add_argument("--verbose", action="store_true", help="print a line for each measurement")
    options = parser.parse_args()
    try:
        # TIRASTORE_DB names the store. What times depend on and the library cannot know is named
        # here; a node without compiler ends before it claims anything.
        with TiraStore(environment={"compiler": compiler()}) as store:
            return Worker(store, options).run()
    except (MeasurementError, TiraStoreError) as error:
        raise SystemExit(f"{socket.gethostname()}: {error}") from None


if __name__ == "__main__":
    sys.exit(main())
