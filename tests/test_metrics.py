"""What a store tells of its own calls."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

import pytest
from support import held, open_store, schedule

from tirastore import TiraStore

if TYPE_CHECKING:
    from pathlib import Path

SOURCE = "void blur() {}"
P = "P(L0,comps=['c'])"


def test_lookups_take_no_lock_and_repeated_ones_are_answered_from_memory(tmp_path: Path) -> None:
    with open_store(tmp_path / "s.db") as store:
        store.record("p", SOURCE, P, True, [1.0])
        before = store.metrics()
        for _ in range(10):
            assert store.lookup("p", SOURCE, P) is not None
        after = store.metrics()
        assert after.lock_acquisitions == before.lock_acquisitions
        assert after.reads_locked == 0
        assert after.cache_hits - before.cache_hits == 9
        cache = store.cache_info()
        assert (cache.hits, cache.entries) == (9, 1)
        assert 0 < cache.current_bytes < cache.max_bytes == 64_000_000


def test_who_finds_its_records_there_asks_for_no_lock(tmp_path: Path) -> None:
    with open_store(tmp_path / "s.db") as store:
        records = [
            {"tiralib_schedule_string": schedule(i), "is_legal": True, "execution_times": [1.0]}
            for i in range(3)
        ]
        store.record_many("p", SOURCE, records)
        # The first one that is there already tells that the next ones may be, too.
        assert not store.record("p", SOURCE, schedule(0), True, [2.0])
        before = store.metrics().lock_acquisitions
        assert not store.record("p", SOURCE, schedule(1), True, [2.0])
        assert store.record_many("p", SOURCE, records) == 0
        assert store.metrics().lock_acquisitions == before
        # What would change something goes the usual way: another name, other times, a new schedule.
        assert not store.record("q", SOURCE, schedule(2), True, [2.0])
        assert [program["source_code"] for program in store.get_program_source("q")] == [SOURCE]
        assert store.record("p", SOURCE, schedule(2), True, [3.0], overwrite=True)
        assert store.record("p", SOURCE, schedule(3), True, [4.0])
        assert store.metrics().lock_acquisitions == before + 3
        found = store.lookup("p", SOURCE, schedule(2))
        assert found is not None
        assert found.execution_times == [3.0]


def test_an_overwrite_in_another_process_is_seen_by_the_next_lookup(tmp_path: Path) -> None:
    with open_store(tmp_path / "s.db") as reader, open_store(tmp_path / "s.db") as writer:
        for number in range(5):
            writer.record("p", SOURCE, P, True, [float(number)], overwrite=True)
            for _ in range(2):
                found = reader.lookup("p", SOURCE, P)
                assert found is not None
                assert found.execution_times == [float(number)]
        assert reader.cache_info().hits == 5


def test_what_a_lookup_returns_is_the_callers_own(tmp_path: Path) -> None:
    with open_store(tmp_path / "s.db") as store:
        store.record("p", SOURCE, P, True, [1.0, 2.0])
        for _ in range(3):
            found = store.lookup("p", SOURCE, P)
            assert found is not None
            assert found.execution_times == [1.0, 2.0]
            found.execution_times.clear()


def test_the_memory_stays_within_its_limit(tmp_path: Path) -> None:
    with open_store(tmp_path / "s.db", memory_cache_mb=0.05) as store:
        store.record_many(
            "p",
            SOURCE,
            [{"tiralib_schedule_string": schedule(n), "is_legal": False} for n in range(300)],
        )
        for number in range(300):
            assert store.lookup("p", SOURCE, schedule(number)) is not None
            assert store.cache_info().current_bytes <= 50_000
        assert store.cache_info().entries > 10


@pytest.mark.parametrize("megabytes", [-1.0, float("nan")])
def test_a_memory_that_cannot_be_is_refused(tmp_path: Path, megabytes: float) -> None:
    with pytest.raises(ValueError, match="memory_cache_mb must be a number of megabytes"):
        TiraStore(tmp_path / "s.db", memory_cache_mb=megabytes)


def test_waits_for_the_lock_are_counted_by_their_length(tmp_path: Path) -> None:
    with open_store(tmp_path / "s.db") as store:
        began = time.monotonic()
        with held(store.db_path):
            waiter = threading.Thread(target=store.delete, args=("0" * 64,))
            waiter.start()
            time.sleep(0.3)
        waiter.join()
        waited = time.monotonic() - began
        metrics = store.metrics()
        assert metrics.lock_wait_p50 <= metrics.lock_wait_p99 <= metrics.lock_wait_max
        assert 0.25 < metrics.lock_wait_max <= waited


def test_threads_that_wait_share_a_turn(tmp_path: Path) -> None:
    with open_store(tmp_path / "s.db") as store:
        before = store.metrics()

        def record(number: int) -> None:
            for part in range(10):
                assert store.record("p", SOURCE, schedule(100 * number + part), False)

        threads = [threading.Thread(target=record, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        after = store.metrics()
        assert store.count() == 80
        turns = after.lock_acquisitions - before.lock_acquisitions
        assert turns + after.batches_committed_by_others >= 80
        assert after.batches_combined >= after.batches_committed_by_others > 0
        assert after.bytes_recorded > 80 * len(SOURCE)
