"""Who measures what: one owner for each pair, and nothing of the dead stays in the way."""

import os
import re
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from support import (
    MACHINE,
    SOURCE,
    held,
    old_store,
    open_store,
    process,
    run_python,
    schedule,
)

from tirastore import (
    Claim,
    ClaimLostError,
    InvalidMeasurementError,
    InvalidScheduleError,
    LockTimeoutError,
    MeasurementFailed,
    StorageError,
    StoreClosedError,
    TiraStore,
    WaitTimeoutError,
    WriteNotAllowedError,
)

PAIR = ("p", SOURCE, "P(L0,comps=['c'])")

CLAIM_AND_WAIT = """
store = TiraStore(sys.argv[1], cpu_model="TestCPU", slurm_cpus="4")
claim = store.claim("p", "void blur() {}", "P(L0,comps=['c'])", lease=float(sys.argv[2]))
assert claim is not None
print("ready", flush=True)
sys.stdin.read()
"""


def claimed(store: TiraStore, pair: tuple[str, str, str] = PAIR, **options: Any) -> Claim:
    claim = store.claim(*pair, **options)
    assert claim is not None
    return claim


def pairs(count: int) -> list[tuple[str, str, str]]:
    return [("p", SOURCE, schedule(number)) for number in range(count)]


def test_a_claim_has_one_owner_until_it_is_completed(store: TiraStore) -> None:
    claim = claimed(store, lease=60)
    assert (claim.program_name, claim.program_source_code, claim.lease) == ("p", SOURCE, 60.0)
    # In any spelling.
    assert store.claim("another name", SOURCE + " ", 'P(L0, comps=["c"])') is None
    assert store.is_claimed(*PAIR)
    assert store.lookup(*PAIR) is None
    assert claim.complete(True, [1.5, 1.4])
    found = store.lookup(*PAIR)
    assert found is not None
    assert found.execution_times == [1.5, 1.4]
    assert (store.claims(), store.is_claimed(*PAIR), store.claim(*PAIR)) == ([], False, None)
    assert store.keys() == [claim.key]


def test_of_many_threads_one_gets_the_claim(store: TiraStore) -> None:
    with ThreadPoolExecutor(8) as pool:
        claims = list(pool.map(lambda _: store.claim(*PAIR), range(8)))
    assert sum(claim is not None for claim in claims) == 1


def test_an_exception_fails_the_claim_and_the_pair_can_be_claimed_anew(store: TiraStore) -> None:
    with pytest.raises(ZeroDivisionError), claimed(store):
        raise ZeroDivisionError("no compiler")
    (info,) = store.claims()
    assert (info.state, info.message) == ("failed", "ZeroDivisionError: no compiler")
    assert not store.is_claimed(*PAIR)
    assert store.count() == 0
    with pytest.raises(MeasurementFailed, match=r"^ZeroDivisionError: no compiler$"):
        store.wait_for(*PAIR)
    with claimed(store) as again:
        assert [info.state for info in store.claims()] == ["claimed"]
        assert again.complete(False)
    assert store.claims() == []


@pytest.mark.parametrize("stop", [None, KeyboardInterrupt, SystemExit])
def test_a_claim_that_nobody_completed_is_released(
    store: TiraStore, stop: type[BaseException] | None
) -> None:
    try:
        with claimed(store):
            if stop is not None:
                raise stop
    except (KeyboardInterrupt, SystemExit) as raised:
        assert type(raised) is stop  # noqa: PT017 -- pytest.raises would take Ctrl-C for its own
    assert store.claims() == []
    assert store.claim(*PAIR) is not None


@pytest.mark.parametrize("how", ["record", "merge"])
def test_a_record_ends_a_claim_that_has_failed(store: TiraStore, tmp_path: Path, how: str) -> None:
    claim = claimed(store)
    pair = (claim.program_name, claim.program_source_code, claim.schedule)
    claim.fail("no")
    if how == "record":
        store.record(*pair, True, [1.0])
    else:
        with open_store(tmp_path / "other.db") as other:
            other.record(*pair, True, [1.0])
        store.merge(tmp_path / "other.db")
    assert store.claims() == []


@pytest.mark.parametrize("error", [LockTimeoutError, StorageError, ClaimLostError])
def test_an_error_of_the_store_does_not_fail_the_claim(
    store: TiraStore, error: type[Exception]
) -> None:
    with pytest.raises(error), claimed(store):
        raise error("of the store")
    assert store.claims() == []


def test_a_measurement_that_the_store_refuses_fails_the_claim(store: TiraStore) -> None:
    with pytest.raises(InvalidMeasurementError), claimed(store) as claim:
        claim.complete(True, [-1.0])
    assert [info.state for info in store.claims()] == ["failed"]


def test_a_claim_that_has_ended_says_so(store: TiraStore) -> None:
    released = claimed(store)
    released.release()
    released.release()
    failed = claimed(store)
    failed.fail("no")
    calls = (Claim.renew, lambda claim: claim.complete(True, [1.0]), lambda claim: claim.fail("no"))
    for ended in (released, failed):
        for call in calls:
            with pytest.raises(ClaimLostError, match=f"{ended.key}.* ended before"):
                call(ended)
    completed = claimed(store)
    # Repeated, it answers what the first time came to.
    assert [completed.complete(True, [1.0]) for _ in range(2)] == [True, True]
    with pytest.raises(ClaimLostError, match="completed before"):
        completed.renew()
    completed.release()
    assert store.count() == 1


def test_a_claim_is_completed_with_a_status(store: TiraStore) -> None:
    assert claimed(store).complete(True, status="failed", details={"message": "no compiler"})
    found = store.wait_for(*PAIR)
    assert (found.status, found.details) == ("failed", {"message": "no compiler"})


@pytest.mark.parametrize("is_recorded", [True, False])
def test_what_was_measured_under_a_lost_claim_can_be_kept_once(
    tmp_path: Path, is_recorded: bool
) -> None:
    path = tmp_path / "store.db"
    with open_store(path, lock_timeout=0.5) as store:
        claim = claimed(store, lease=0.2)
        while (overtaker := store.claim(*PAIR)) is None:
            time.sleep(0.05)
        if is_recorded:
            assert overtaker.complete(True, [1.0])
        with pytest.raises(ClaimLostError):
            claim.complete(True, [2.0])
        with held(path), pytest.raises(LockTimeoutError):
            claim.complete(True, [2.0], or_append=True)
        for _ in range(2):
            assert not claim.complete(True, [2.0], or_append=True)
        times = [run.execution_times for run in store.runs(*PAIR)]
        assert times == ([[1.0], [2.0]] if is_recorded else [[2.0]])
        assert store.is_claimed(*PAIR) is not is_recorded


def test_what_others_recorded_meanwhile_is_no_reason_to_lose_a_measurement(
    store: TiraStore,
) -> None:
    claim = claimed(store)
    store.record(*PAIR, True, [1.0])
    assert [claim.complete(True, [2.0]), claim.complete(True, [2.0], or_append=True)] == [False] * 2
    assert [run.execution_times for run in store.runs(*PAIR)] == [[1.0], [2.0]]


def test_only_a_lost_claim_appends(store: TiraStore) -> None:
    released, failed = claimed(store), claimed(store, ("p", SOURCE, ""))
    released.release()
    failed.fail("no")
    for ended in (released, failed):
        with pytest.raises(ClaimLostError, match="ended before"):
            ended.complete(True, [1.0], or_append=True)
    inherited = claimed(store)
    if (child := os.fork()) == 0:
        try:
            inherited.complete(True, [1.0], or_append=True)
        except ClaimLostError:
            os._exit(7)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
    assert store.count() == 0


def test_a_claim_that_holds_is_completed_and_appends_nothing(store: TiraStore) -> None:
    claim = claimed(store)
    for _ in range(2):
        assert claim.complete(True, [1.0], or_append=True)
    assert [run.execution_times for run in store.runs(*PAIR)] == [[1.0]]


def test_bad_input_leaves_the_claim(store: TiraStore) -> None:
    claim = claimed(store)
    for times in (None, [float("nan")], [-1.0]):
        with pytest.raises(InvalidMeasurementError):
            claim.complete(True, times)
    assert store.is_claimed(*PAIR)
    assert claim.complete(True, [1.0])
    with pytest.raises(InvalidScheduleError):
        store.claim("p", SOURCE, "nonsense")
    for lease in (0, -1, float("nan")):
        with pytest.raises(ValueError, match="lease must be a positive number of seconds"):
            store.claim("p", SOURCE, "", lease)
    assert store.claims() == []


def test_what_was_recorded_without_a_claim_is_kept_unless_it_is_to_be_replaced(
    store: TiraStore,
) -> None:
    claim = claimed(store)
    assert store.record(*PAIR, True, [1.0])
    assert not claim.complete(True, [2.0])
    assert store.claim(*PAIR) is None
    anew = claimed(store, refresh=True)
    assert store.claim(*PAIR, refresh=True) is None
    assert anew.complete(True, [3.0])
    assert store.wait_for(*PAIR).execution_times == [3.0]


def test_a_silent_owner_loses_its_claim_after_the_lease_and_is_told(store: TiraStore) -> None:
    silent = claimed(store, lease=0.5)
    began = time.monotonic()
    while (mine := store.claim(*PAIR, lease=60)) is None:
        assert time.monotonic() - began < 10
        time.sleep(0.02)
    # An instant has passed since the claim was made.
    assert time.monotonic() - began > 0.3
    overtaken = f"process {os.getpid()} on .* has taken the pair"
    for call in (silent.renew, lambda: silent.complete(True, [1.0])):
        with pytest.raises(ClaimLostError, match=overtaken):
            call()
    silent.release()
    assert store.is_claimed(*PAIR)
    assert mine.complete(True, [2.0])
    assert store.count() == 1


def test_a_forked_child_has_none_of_its_parents_claims(store: TiraStore) -> None:
    claim = claimed(store)
    child = os.fork()
    if child == 0:
        status = 1
        try:
            with claim:
                try:
                    claim.complete(True, [1.0])
                except ClaimLostError as error:
                    status = 0 if "forked" in str(error) else 2
            claim.release()
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert store.is_claimed(*PAIR)
    assert claim.complete(True, [2.0])


def test_the_claim_of_a_killed_process_is_free_at_once(store: TiraStore) -> None:
    with process(CLAIM_AND_WAIT, store.db_path, 600) as owner:
        assert store.claim(*PAIR) is None
        (info,) = store.claims()
        assert (info.state, info.pid, info.lease) == ("claimed", owner.pid, 600.0)
        owner.kill()
        owner.wait(10)
        (info,) = store.claims()
        assert info.state == "abandoned"
        assert info.message is not None
        assert str(owner.pid) in info.message
        assert not store.is_claimed(*PAIR)
        assert store.claim(*PAIR) is not None


def test_whoever_waits_hears_of_the_owners_death(store: TiraStore) -> None:
    with process(CLAIM_AND_WAIT, store.db_path, 600) as owner:
        killer = threading.Timer(0.3, owner.kill)
        killer.start()
        began = time.monotonic()
        with pytest.raises(MeasurementFailed, match=f"process {owner.pid} on .* claim it"):
            store.wait_for(*PAIR)
        assert 0.2 < time.monotonic() - began < 10


def test_a_wait_ends_in_time_and_says_for_whom_it_waited(store: TiraStore) -> None:
    with pytest.raises(TimeoutError, match=r"not recorded within 0 s; nobody is measuring it"):
        store.wait_for(*PAIR, timeout=0)
    claimed(store)
    began = time.monotonic()
    with pytest.raises(WaitTimeoutError, match=f"0.2 s; .*process {os.getpid()} on"):
        store.wait_for(*PAIR, timeout=0.2)
    assert time.monotonic() - began >= 0.2
    with pytest.raises(ValueError, match="timeout must be"):
        store.wait_for(*PAIR, timeout=-1)


def test_a_wait_can_be_interrupted(store: TiraStore) -> None:
    claimed(store)

    def interrupt(*_: object) -> None:
        raise InterruptedError

    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.2)
        with pytest.raises(InterruptedError):
            store.wait_for(*PAIR)
    finally:
        signal.signal(signal.SIGALRM, before)


def test_a_batch_is_what_is_neither_recorded_nor_claimed_in_the_callers_order(
    store: TiraStore,
) -> None:
    candidates = pairs(10)
    store.record(*candidates[1], True, [1.0])
    claimed(store, candidates[3])
    claimed(store, candidates[4]).fail("no")
    taken = store.claim_many(reversed(candidates), limit=5)
    assert [claim.schedule for claim in taken] == [schedule(n) for n in (9, 8, 7, 6, 5)]
    assert store.claim_many(candidates, limit=0) == []
    assert [claim.schedule for claim in store.claim_many(candidates)] == [
        schedule(n) for n in (0, 2)
    ]
    assert store.claim_many(candidates) == []
    (retried,) = store.claim_many(candidates, retry_failed=True)
    assert retried.schedule == schedule(4)
    # A pair that is named twice is claimed once.
    assert len(store.claim_many([PAIR, ("q", *PAIR[1:]), PAIR])) == 1


def test_a_batch_with_a_bad_candidate_claims_nothing(store: TiraStore) -> None:
    for bad, error in ((("p", SOURCE, "?"), InvalidScheduleError), (("p", SOURCE), TypeError)):
        with pytest.raises(error, match=re.escape("candidates[1]: ")):
            store.claim_many([pairs(1)[0], bad])
    with pytest.raises(ValueError, match="limit must be 0 or more"):
        store.claim_many(pairs(1), limit=-1)
    assert store.claims() == []


WORK = """
store = TiraStore(sys.argv[1], cpu_model="TestCPU", slurm_cpus="4")
candidates = [("p", "void blur() {}", f"U(L{n % 3},{n},comps=['c'])") for n in range(100)]
while claims := store.claim_many(candidates, limit=7):
    for claim in claims:
        assert claim.complete(True, [1.0])
        print(claim.schedule)
"""


def test_a_fleet_measures_every_pair_once(store: TiraStore) -> None:
    with ThreadPoolExecutor(4) as pool:
        outputs = pool.map(lambda _: run_python(WORK, store.db_path), range(4))
    measured = [line for output in outputs for line in output.splitlines()]
    assert sorted(measured) == sorted(schedule(number) for number in range(100))
    assert (store.count(), store.claims()) == (100, [])


def test_a_batch_from_a_long_list_costs_one_turn_at_the_store(tmp_path: Path) -> None:
    candidates = pairs(3000)
    with open_store(tmp_path / "s.db") as store:
        store.record_many(
            "p",
            SOURCE,
            [
                {"tiralib_schedule_string": text, "is_legal": False}
                for _, _, text in candidates[:2000]
            ],
        )
        before = store.metrics().lock_acquisitions
        assert len(store.claim_many(candidates, limit=300)) == 300
        assert store.metrics().lock_acquisitions == before + 1
        assert len(store.claim_many(candidates)) == 700
        assert store.claim_many(candidates) == []
        # What cannot be claimed is seen without the lock.
        assert store.metrics().lock_acquisitions == before + 2


def test_a_store_that_only_the_original_has_written_has_no_claims(tmp_path: Path) -> None:
    path = tmp_path / "old.db"
    old_store(path, [("", '{"is_legal": true, "execution_times": [1.0]}')])
    for options in ({"read_only": True}, {}):
        with open_store(path, **options) as store:
            assert not store.is_claimed(*PAIR)
            assert store.claims() == []
            assert store.wait_for("p", SOURCE, "", timeout=0).execution_times == [1.0]
    with open_store(path) as store:
        assert claimed(store).complete(True, [2.0])


def test_whoever_may_not_write_sees_claims_and_waits(store: TiraStore) -> None:
    claim = claimed(store)
    with TiraStore(store.db_path, read_only=True, **MACHINE) as reader:
        assert reader.is_claimed(*PAIR)
        assert [info.state for info in reader.claims()] == ["claimed"]
        for call in (reader.claim, lambda *pair: reader.claim_many([pair])):
            with pytest.raises(WriteNotAllowedError):
                call(*PAIR)
        threading.Timer(0.2, claim.complete, (True, [1.0])).start()
        assert reader.wait_for(*PAIR, timeout=20).execution_times == [1.0]


def test_a_closed_store_says_so(store: TiraStore) -> None:
    claim = claimed(store)
    store.close()
    calls = (
        store.claims,
        lambda: store.claim(*PAIR),
        lambda: store.claim_many(pairs(2)),
        lambda: store.is_claimed(*PAIR),
        lambda: store.wait_for(*PAIR),
        lambda: store.get_or_measure(*PAIR, lambda: (True, [1.0])),
        claim.renew,
        lambda: claim.complete(True, [1.0]),
        lambda: claim.fail("no"),
        claim.release,
    )
    for call in calls:
        with pytest.raises(StoreClosedError):
            call()


def test_a_claim_that_cannot_be_ended_does_not_hide_the_exception(store: TiraStore) -> None:
    claim = claimed(store)

    def measure() -> None:
        with claim:
            store.close()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError) as raised:
        measure()
    assert "lasts for its lease" in raised.value.__notes__[0]
    with open_store(store.db_path) as again:
        assert again.is_claimed(*PAIR)
    with pytest.raises(StoreClosedError), claim:
        pass
