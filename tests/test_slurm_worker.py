"""The worker of the Slurm scripts: errors, lost claims and SIGTERM cost it no result."""

from __future__ import annotations

import argparse
import importlib
import re
import signal
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import pytest
from support import LateCompletion, open_store

from tirastore import Claim, LockTimeoutError, TiraStore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SCRIPTS = Path(__file__).parent.parent / "slurm"


def explored(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return the module of the worker, which waits for nothing."""
    pytest.importorskip("islpy")
    monkeypatch.syspath_prepend(str(SCRIPTS))
    explore = importlib.import_module("explore")
    monkeypatch.setattr(explore, "RETRY_S", 0.0)
    return explore


class Measures:
    """Measures in no time, after what else is to happen."""

    def __init__(self, first: Callable[[str], object] = str) -> None:
        self.first = first

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def measure(self, _: object, schedule: str) -> Any:
        self.first(schedule)
        return argparse.Namespace(is_legal=True, execution_times=[1.0])


@pytest.fixture
def worker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Make a worker that explores two pairs in this process."""
    before = signal.getsignal(signal.SIGTERM)
    options = argparse.Namespace(pairs=2, seed=0, batch=2, lease=0.3, verbose=False)
    with open_store(tmp_path / "store.db") as store:
        yield explored(monkeypatch).Worker(store, options)
    signal.signal(signal.SIGTERM, before)


def overtake(store: TiraStore, pair: tuple[str, str, str]) -> Claim:
    """Claim a pair whose owner is silent."""
    while (claim := store.claim(*pair, lease=60)) is None:
        time.sleep(0.02)
    return claim


@pytest.mark.parametrize("ends", ["complete", "fail"])
def test_an_error_of_the_store_loses_no_result_of_a_worker(
    worker: Any, monkeypatch: pytest.MonkeyPatch, ends: str
) -> None:
    end, errors = getattr(Claim, ends), [LockTimeoutError("held"), LockTimeoutError("held")]

    def late(*arguments: Any, **options: Any) -> Any:
        if errors:
            raise errors.pop()
        return end(*arguments, **options)

    def measure(_: str) -> None:
        if ends == "fail":
            raise sys.modules["explore"].MeasurementError("no compiler")

    monkeypatch.setattr(Claim, ends, late)
    worker.measure(Measures(measure), worker.store.claim_many(worker.left.values()))
    assert worker.left == {}
    states = [info.state for info in worker.store.claims()]
    assert (worker.store.count(), states) == (
        (2, []) if ends == "complete" else (0, ["failed"] * 2)
    )


def test_claims_that_a_worker_cannot_give_back_do_not_keep_the_others(
    worker: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    release, errors = Claim.release, [LockTimeoutError("held")]

    def late(claim: Claim) -> None:
        if errors:
            raise errors.pop()
        release(claim)

    def stop(_: str) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Claim, "release", late)
    claims = worker.store.claim_many(worker.left.values())
    try:
        worker.measure(Measures(stop), claims)
    except KeyboardInterrupt:
        assert [info.key for info in worker.store.claims()] == [claims[0].key]
    else:
        pytest.fail("not stopped")


def test_a_claim_that_was_lost_costs_a_worker_no_other_and_no_result(worker: Any) -> None:
    mine, lost = worker.left.values()
    claims = worker.store.claim_many([mine, lost], lease=0.3)
    theirs = overtake(worker.store, lost)
    overtakers = []

    def sleep(_: str) -> None:
        overtakers.append(overtake(worker.store, mine))
        assert overtakers[0].complete(True, [2.0])

    worker.measure(Measures(sleep), claims)
    runs = worker.store.runs(*mine)
    assert [run.execution_times for run in runs] == [[2.0], [1.0]]
    assert worker.counts == {"lost": 1, "measured": 1}
    assert list(worker.left) == [theirs.key]
    assert worker.store.is_claimed(*lost)


@pytest.mark.parametrize("writes_first", [None, False, True])
def test_whoever_overtook_one_that_recorded_first_loses_no_result_and_writes_none_twice(
    worker: Any, monkeypatch: pytest.MonkeyPatch, writes_first: bool | None
) -> None:
    pair, _ = worker.left.values()
    overtaken = type(worker)(worker.store, worker.options)
    (claim,) = worker.store.claim_many([pair], lease=0.3)
    overtaker = overtake(worker.store, pair)
    late = []

    def resume(_: str) -> None:
        overtaken.record(claim, argparse.Namespace(is_legal=True, execution_times=[2.0]))
        assert worker.store.count() == 1
        if writes_first is not None:
            late.append(LateCompletion(monkeypatch, writes_first=writes_first))

    worker.measure(Measures(resume), [overtaker])
    assert [each.errors for each in late] == [1] * (writes_first is not None)
    assert [run.execution_times for run in worker.store.runs(*pair)] == [[2.0], [1.0]]
    assert worker.counts == overtaken.counts == {"measured": 1}
    assert worker.store.claims() == []


def run(worker: Any, monkeypatch: pytest.MonkeyPatch) -> int:
    """Run a worker that measures in no time."""
    explore = sys.modules["explore"]
    monkeypatch.setattr(explore, "Measurer", Measures)
    monkeypatch.setattr(explore, "POLL_S", 0.02)
    status: int = worker.run()
    return status


@pytest.mark.parametrize(
    ("of", "call"),
    [
        (TiraStore, "claim_many"),
        (Claim, "renew"),
        (TiraStore, "contains_many"),
        (TiraStore, "claims"),
    ],
)
def test_an_error_of_the_store_does_not_end_a_worker(
    worker: Any, monkeypatch: pytest.MonkeyPatch, of: type, call: str
) -> None:
    called, errors = getattr(of, call), [LockTimeoutError("held")]

    def late(*arguments: Any, **options: Any) -> Any:
        if errors:
            raise errors.pop()
        return called(*arguments, **options)

    # Somebody who is silent has one of the two: there is something to wait for.
    (silent,) = worker.store.claim_many(worker.left.values(), limit=1, lease=2.0)
    monkeypatch.setattr(of, call, late)
    assert run(worker, monkeypatch) == 0
    assert errors == []
    assert worker.store.count() == 2
    assert worker.store.get(silent.key) is not None


@pytest.mark.parametrize(
    ("of", "call", "recorded"),
    [(TiraStore, "claim_many", 0), (Claim, "renew", 0), (Claim, "complete", 1)],
)
def test_a_worker_that_is_asked_to_end_tries_again_only_what_stores_a_result(
    worker: Any, monkeypatch: pytest.MonkeyPatch, of: type, call: str, recorded: int
) -> None:
    called, tries = getattr(of, call), []

    def late(*arguments: Any, **options: Any) -> Any:
        tries.append(call)
        if len(tries) == 1:
            signal.raise_signal(signal.SIGTERM)
            raise LockTimeoutError("held")
        return called(*arguments, **options)

    monkeypatch.setattr(of, call, late)
    assert run(worker, monkeypatch) == 75
    assert len(tries) == 1 + recorded
    assert worker.store.count() == recorded
    assert worker.store.claims() == []


def test_what_was_measured_when_sigterm_arrived_is_recorded(
    worker: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended = sys.modules["explore"].Ended

    @contextmanager
    def interrupts() -> Iterator[None]:
        yield
        raise ended

    monkeypatch.setattr(worker.ending, "interrupts", interrupts)
    claims = worker.store.claim_many(worker.left.values(), limit=1)
    worker.measure(Measures(), claims)
    assert worker.store.keys() == [claims[0].key]


def test_a_worker_that_waits_for_others_says_so(
    worker: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys.modules["explore"], "REPORT_S", 0.0)
    claims = worker.store.claim_many(worker.left.values())
    # What the others do meanwhile.
    monkeypatch.setattr(time, "sleep", lambda _: [claim.complete(True, [1.0]) for claim in claims])
    assert worker.run() == 0
    said = re.findall(r": (waiting for others|done); .* (\d) of 2 left", capsys.readouterr().out)
    assert said == [("waiting for others", "2"), ("done", "0")]
