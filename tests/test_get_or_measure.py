"""What is not recorded is measured once, whoever asks, and nothing that was measured is lost."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from support import SOURCE, LateCompletion, open_store, process, run_python

import tirastore.memoize
from tirastore import (
    Claim,
    LockTimeoutError,
    LookupResult,
    Measurement,
    MeasurementFailed,
    StorageError,
    StoreFileError,
    TiraStore,
    WaitTimeoutError,
)

PAIR = ("p", SOURCE, "P(L0,comps=['c'])")


def never() -> tuple[bool, list[float]]:
    raise AssertionError("measured")


ASK = """
store = TiraStore(sys.argv[1], cpu_model="TestCPU", slurm_cpus="4")
go = float(sys.argv[2])
time.sleep(max(0.0, go - time.time()))
def measure():
    began = time.time()
    time.sleep(1)
    print("measured", began, time.time())
    return True, [1.5]
found = store.get_or_measure("p", "void blur() {}", "P(L0,comps=['c'])", measure)
assert found.execution_times == [1.5]
print("answered", time.time())
"""


def test_eight_processes_that_ask_at_once_measure_once(store: TiraStore, protocol: str) -> None:
    # When all of them have started, on a machine that has better things to do.
    go = time.time() + 4
    with ThreadPoolExecutor(8) as pool:
        outputs = list(pool.map(lambda _: run_python(ASK, store.db_path, go), range(8)))
    lines = [line.split() for output in outputs for line in output.splitlines()]
    (measured,) = [line for line in lines if line[0] == "measured"]
    answers = [float(line[1]) for line in lines if line[0] == "answered"]
    assert len(answers) == 8
    # A poll and a commit, on a machine where others may have the processors. Where a look takes the
    # lock, polls are up to a second apart.
    assert max(answers) - float(measured[2]) < (1.0 if protocol == "token" else 2.5)
    assert store.claims() == []


def test_what_is_recorded_is_not_measured(store: TiraStore) -> None:
    store.record(*PAIR, True, [1.0])
    assert store.get_or_measure(*PAIR, never).execution_times == [1.0]


def test_an_exception_is_raised_here_told_to_those_who_wait_and_not_recorded(
    store: TiraStore,
) -> None:
    begun, asked = threading.Event(), threading.Event()

    def fails() -> tuple[bool, list[float]]:
        begun.set()
        assert asked.wait(10)
        # Until both of them wait, on a machine where somebody else has the processors.
        time.sleep(1)
        raise OSError("no compiler")

    with ThreadPoolExecutor(3) as pool:
        owner = pool.submit(store.get_or_measure, *PAIR, fails)
        assert begun.wait(10)
        waiters = [pool.submit(store.get_or_measure, *PAIR, never) for _ in range(2)]
        asked.set()
        with pytest.raises(OSError, match=r"^no compiler$"):
            owner.result()
        for waiter in waiters:
            with pytest.raises(MeasurementFailed, match=r"^OSError: no compiler$"):
                waiter.result()
    assert store.count() == 0
    # Who asks later tries again.
    assert store.get_or_measure(*PAIR, lambda: (False, None)).is_legal is False


def test_a_failure_is_recorded_where_that_is_asked_for(store: TiraStore) -> None:
    def fails() -> tuple[bool, list[float]]:
        raise OSError("no compiler")

    with pytest.raises(OSError, match="no compiler"):
        store.get_or_measure(*PAIR, fails, record_failure=True)
    found = store.get_or_measure(*PAIR, never)
    assert (found.is_legal, found.status) == (True, "failed")
    assert found.details == {"message": "OSError: no compiler"}
    assert store.claims() == []


@pytest.mark.parametrize("error", [LockTimeoutError, StorageError, StoreFileError])
@pytest.mark.parametrize("errors", [2, 3])
def test_an_error_of_the_store_for_a_while_neither_loses_nor_fails_a_measurement(
    store: TiraStore, monkeypatch: pytest.MonkeyPatch, errors: int, error: type[Exception]
) -> None:
    complete, raised = Claim.complete, [error("held")] * errors

    def waits(*arguments: Any, **options: Any) -> bool:
        if raised:
            raise raised.pop()
        return complete(*arguments, **options)

    monkeypatch.setattr(Claim, "complete", waits)
    monkeypatch.setattr(tirastore.memoize, "_RETRY_S", 0.0)
    if errors == 3:
        with pytest.raises(error):
            store.get_or_measure(*PAIR, lambda: (True, [1.0]), record_failure=True)
        assert (store.count(), store.claims()) == (0, [])
    else:
        assert store.get_or_measure(*PAIR, lambda: (True, [1.0])).execution_times == [1.0]


def test_an_error_of_the_store_is_not_recorded_as_a_failed_measurement(store: TiraStore) -> None:
    def asks() -> tuple[bool, list[float]]:
        raise LockTimeoutError("held")

    with pytest.raises(LockTimeoutError):
        store.get_or_measure(*PAIR, asks, record_failure=True)
    assert (store.count(), store.claims()) == (0, [])


CLAIM = """
store = TiraStore(sys.argv[1], cpu_model="TestCPU", slurm_cpus="4")
def measure():
    print("ready", flush=True)
    time.sleep(60)
store.get_or_measure("p", "void blur() {}", "P(L0,comps=['c'])", measure)
"""


def test_whoever_waits_for_one_that_dies_measures(store: TiraStore) -> None:
    with process(CLAIM, store.db_path) as owner:
        threading.Timer(0.3, owner.kill).start()
        found = store.get_or_measure(*PAIR, lambda: (True, [2.0]))
    assert found.execution_times == [2.0]


def test_whoever_waits_gives_up_in_time(store: TiraStore) -> None:
    claim = store.claim(*PAIR)
    with pytest.raises(WaitTimeoutError, match=r"0\.2 s"):
        store.get_or_measure(*PAIR, never, timeout=0.2)
    assert claim is not None
    assert claim.complete(True, [1.0])


def test_what_took_longer_than_its_lease_is_not_lost(store: TiraStore) -> None:
    def slow() -> tuple[bool, list[float]]:
        while store.claim(*PAIR) is None:
            time.sleep(0.05)
        return True, [3.0]

    assert store.get_or_measure(*PAIR, slow, lease=0.3).execution_times == [3.0]
    (overtaker,) = store.claims()
    assert overtaker.state == "claimed"
    # Nor where there is a record by then.
    pair = ("p", SOURCE, "R(L0,comps=['c'])")

    def slower() -> tuple[bool, list[float]]:
        while (claim := store.claim(*pair)) is None:
            time.sleep(0.05)
        assert claim.complete(True, [4.0])
        return True, [5.0]

    assert store.get_or_measure(*pair, slower, lease=0.3).execution_times == [4.0]
    assert [run.execution_times for run in store.runs(*pair)] == [[4.0], [5.0]]


@pytest.mark.parametrize("writes_first", [None, False, True])
def test_what_others_recorded_without_a_claim_costs_no_measurement(
    store: TiraStore, monkeypatch: pytest.MonkeyPatch, writes_first: bool | None
) -> None:
    def measure() -> tuple[bool, list[float]]:
        store.record(*PAIR, True, [4.0])
        return True, [5.0]

    if writes_first is not None:
        monkeypatch.setattr(tirastore.memoize, "_RETRY_S", 0.0)
        late = LateCompletion(monkeypatch, writes_first=writes_first)
    assert store.get_or_measure(*PAIR, measure).execution_times == [4.0]
    assert writes_first is None or late.errors == 1
    assert [run.execution_times for run in store.runs(*PAIR)] == [[4.0], [5.0]]
    assert store.claims() == []


def test_a_refresh_measures_what_is_recorded_once_for_all_who_ask_at_once(
    store: TiraStore,
) -> None:
    store.record(*PAIR, True, [1.0])
    together, measured = threading.Barrier(3), []

    def measure() -> tuple[bool, list[float]]:
        measured.append(1)
        time.sleep(0.5)
        return True, [2.0]

    def ask(_: int) -> LookupResult:
        together.wait()
        return store.get_or_measure(*PAIR, measure, refresh=True)

    with ThreadPoolExecutor(3) as pool:
        found = list(pool.map(ask, range(3)))
    assert [result.execution_times for result in found] == [[2.0]] * 3
    assert len(measured) == 1
    # And again for who asks afterwards.
    again = store.get_or_measure(*PAIR, lambda: (True, [4.0]), refresh=True)
    assert again.execution_times == [4.0]
    assert store.get_or_measure(*PAIR, never).execution_times == [4.0]


@pytest.mark.parametrize("result", [None, 1.5, {"is_legal": True}, (True,)])
def test_what_is_no_measurement_is_told_and_does_not_fail_the_pair(
    store: TiraStore, result: Any
) -> None:
    with pytest.raises(TypeError, match=r"must return \(is_legal, execution_times\) or a Meas"):
        store.get_or_measure(*PAIR, lambda: result, record_failure=True)
    assert (store.claims(), store.count()) == ([], 0)


def test_a_measurement_must_be_of_the_pair_that_was_asked_for(store: TiraStore) -> None:
    of_another = Measurement("p", SOURCE, "R(L0,comps=['c'])", True, [1.0])
    with pytest.raises(ValueError, match=r"asked for .*P\(L0.* returned a Measurement of .*R\(L0"):
        store.get_or_measure(*PAIR, lambda: of_another)
    assert store.count() == 0
    details = {"bound": 5.0}
    same = Measurement(
        "another name", SOURCE, 'P(L0, comps=["c"])', True, status="timeout", details=details
    )
    found = store.get_or_measure(*PAIR, lambda: same)
    assert (found.execution_times, found.status, found.details) == (None, "timeout", details)


@pytest.mark.parametrize("options", [None, {"lease": 30.0, "timeout": 5.0}])
def test_a_memoized_function_measures_once(tmp_path: Path, options: dict[str, Any] | None) -> None:
    store, asked = open_store(tmp_path / "s.db"), []

    def measure(program_name: str, source: str, schedule: str) -> tuple[bool, list[float]]:
        """Run it."""
        asked.append((program_name, source, schedule))
        return True, [1.0]

    memoized = store.memoize(measure) if options is None else store.memoize(**options)(measure)
    assert memoized.__doc__ == "Run it."
    for _ in range(3):
        assert memoized(*PAIR).execution_times == [1.0]
    assert memoized(
        program_name="p", program_source_code=SOURCE, tiralib_schedule_string=""
    ).is_legal
    assert asked == [PAIR, ("p", SOURCE, "")]


def test_what_others_measured_anew_since_the_call_is_not_measured_again(
    store: TiraStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.record(*PAIR, True, [1.0])
    claim = store.claim

    def late(*arguments: Any, **options: Any) -> Claim | None:
        with open_store(store.db_path) as other:
            other.get_or_measure(*PAIR, lambda: (True, [2.0]), refresh=True)
        return claim(*arguments, **options)

    monkeypatch.setattr(store, "claim", late)
    assert store.get_or_measure(*PAIR, never, refresh=True).execution_times == [2.0]
    assert store.claims() == []
    monkeypatch.undo()
    assert store.get_or_measure(*PAIR, lambda: (True, [3.0]), refresh=True).execution_times == [3.0]
