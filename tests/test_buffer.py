"""A buffer of records: written together, seen by their writer, and lost by nobody."""

import gc
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from support import SOURCE, held, lock_of, open_store, process, run_python, schedule

import tirastore
from tirastore import (
    InvalidMeasurementError,
    InvalidScheduleError,
    LockTimeoutError,
    StoreClosedError,
    TiraStore,
    WriteBuffer,
)

OPEN = """
import signal, threading
store = TiraStore(sys.argv[1], cpu_model="TestCPU", slurm_cpus="4")
def put(buffer, count, begin=0, **options):
    for number in range(begin, begin + count):
        text = f"U(L{number % 3},{number},comps=['c'])"
        buffer.record("p", "void blur() {}", text, True, [float(number)], **options)
"""


@pytest.fixture
def sealed(tmp_path: Path) -> Path:
    """Make an empty store whose lock is the token."""
    open_store(tmp_path / "s.db").close()
    return tmp_path / "s.db"


def put(buffer: WriteBuffer, count: int, begin: int = 0, **options: Any) -> None:
    for number in range(begin, begin + count):
        buffer.record("p", SOURCE, schedule(number), True, [float(number)], **options)


def times(store: TiraStore | WriteBuffer, number: int) -> list[float] | None:
    found = store.lookup("p", SOURCE, schedule(number))
    return None if found is None else found.execution_times


def kept(path: Path) -> list[str]:
    return sorted(entry.name for entry in lock_of(path).iterdir() if entry.name.startswith("keep"))


def assert_exactly_once(path: Path, count: int) -> None:
    with open_store(path) as store:
        assert [times(store, number) for number in range(count)] == [
            [float(n)] for n in range(count)
        ]
        assert store.count() == count
        assert store.verify().ok
    assert kept(path) == []


def wait_for(condition: Any, seconds: float = 20.0) -> bool:
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.01)
    return bool(condition())


def test_what_was_recorded_is_seen_by_its_writer_at_once_and_by_others_after_the_flush(
    store: TiraStore,
) -> None:
    with store.buffered() as buffer, open_store(store.db_path) as other:
        assert buffer.record("p", SOURCE, " " + schedule(1), True, [1.0]) is None
        assert (buffer.pending, store.count(), other.count()) == (1, 0, 0)
        seen = buffer.lookup("p", SOURCE + " // the same", schedule(1))
        assert buffer.lookup("p", SOURCE, schedule(2)) is None
        assert buffer.flush() == 1
        assert (buffer.pending, other.count()) == (0, 1)
        written = store.lookup("p", SOURCE, schedule(1))
        assert written is not None
        assert seen is not None
        dates = ("creation_date", "update_date")
        assert {k: v for k, v in seen.to_dict().items() if k not in dates} == {
            k: v for k, v in written.to_dict().items() if k not in dates
        }
        assert buffer.flush() == 0


def test_rows_of_one_key_come_in_as_if_recorded_one_after_the_other(store: TiraStore) -> None:
    calls = [
        (1, 1.0, False), (1, 2.0, False),
        (2, 1.0, False), (2, 2.0, True), (2, 3.0, False),
        (3, 1.0, True), (3, 2.0, True),
        (4, 1.0, False), (4, 2.0, True), (4, 3.0, True), (4, 4.0, False),
        (5, 1.0, False), (6, 1.0, True),
    ]  # fmt: skip
    one_by_one = {}
    for number in (5, 6):
        store.record("p", SOURCE, schedule(number), True, [9.0])
    with open_store(store.db_path.with_name("other.db")) as other:
        for number in (5, 6):
            other.record("p", SOURCE, schedule(number), True, [9.0])
        for number, value, overwrite in calls:
            other.record("p", SOURCE, schedule(number), True, [value], overwrite)
        one_by_one = {number: times(other, number) for number in range(1, 7)}
    with store.buffered() as buffer:
        for number, value, overwrite in calls:
            buffer.record("p", SOURCE, schedule(number), True, [value], overwrite)
        assert {number: times(buffer, number) for number in range(1, 7)} == one_by_one
        buffer.flush()
        assert {number: times(buffer, number) for number in range(1, 7)} == one_by_one
    assert {number: times(store, number) for number in range(1, 7)} == one_by_one


def test_bad_input_is_refused_at_once_and_nothing_of_it_waits(store: TiraStore) -> None:
    with store.buffered() as buffer:
        with pytest.raises(InvalidScheduleError):
            buffer.record("p", SOURCE, "X(L0)", True, [1.0])
        with pytest.raises(InvalidMeasurementError):
            buffer.record("p", SOURCE, "", True, [float("nan")])
        with pytest.raises(TypeError):
            buffer.record("p", SOURCE, "", True, "fast")  # type: ignore[arg-type]
        assert buffer.pending == 0
    assert store.count() == 0
    for wrong in ({"max_records": 0}, {"max_seconds": 0.0}, {"max_seconds": float("nan")}):
        with pytest.raises(ValueError, match="max_"):
            store.buffered(**wrong)


def test_a_buffer_is_bounded(store: TiraStore) -> None:
    with store.buffered(max_records=10, background=False) as buffer:
        for number in range(35):
            put(buffer, 1, number)
            assert buffer.pending <= 10
        assert store.count() == 30
    assert store.count() == 35


def test_a_project_that_changes_is_written_to_later_records_only(store: TiraStore) -> None:
    with store.buffered(background=False) as buffer:
        put(buffer, 1)
        store.source_project = "later"
        put(buffer, 1, 1)
    found = store.get_program_records("p", SOURCE)
    assert [result.source_project for result in found] == ["test_project", "later"]


def test_what_waits_says_the_project_that_it_was_recorded_for(sealed: Path) -> None:
    with open_store(sealed, lock_timeout=0.2) as store, store.buffered(background=False) as buffer:

        def projects() -> list[str | None]:
            found = [buffer.lookup("p", SOURCE, schedule(number)) for number in range(3)]
            return [None if result is None else result.source_project for result in found]

        put(buffer, 1)
        with held(sealed):
            with pytest.raises(LockTimeoutError):
                buffer.flush()
            store.source_project = "later"
            put(buffer, 1, 1)
            assert projects() == ["tests", "later", None]
            buffer.post()
            store.source_project = "last"
            put(buffer, 1, 2)
            assert projects() == ["tests", "later", "last"]
        buffer.flush()
        assert projects() == ["tests", "later", "last"]


def test_a_buffer_is_bounded_in_bytes_as_well(store: TiraStore) -> None:
    failed: Any = {"status": "failed", "details": {"message": "x" * (8 << 20)}}
    with store.buffered(background=False) as buffer:
        for number in range(10):
            buffer.record("p", SOURCE, schedule(number), True, **failed)
        assert (buffer.pending, store.count()) == (2, 8)
    assert store.count() == 10


def test_the_oldest_record_waits_no_longer_than_it_may(store: TiraStore) -> None:
    with store.buffered(max_seconds=0.2) as buffer:
        for begin in (0, 3):
            put(buffer, 3, begin)
            assert wait_for(lambda: buffer.pending == 0)
            assert store.count() == begin + 3
    with store.buffered(max_seconds=0.05, background=False) as buffer:
        put(buffer, 1, 10)
        time.sleep(0.3)
        assert buffer.pending == 1


def test_what_could_not_be_written_waits_and_is_written_once(tmp_path: Path, protocol: str) -> None:
    path = tmp_path / "s.db"
    with open_store(path, lock=protocol, lock_timeout=0.3) as store:
        with store.buffered(background=False) as buffer:
            put(buffer, 5)
            with held(path):
                for begin in (5, 6):
                    with pytest.raises(LockTimeoutError):
                        buffer.flush()
                    put(buffer, 1, begin)
                assert buffer.pending == 7
                if protocol == "token":  # the other one's lookups wait for the lock
                    assert times(buffer, 0) == [0.0]
            assert buffer.flush() == 7
            assert buffer.flush() == 0
        assert store.count() == 7


def test_an_error_in_the_background_is_raised_by_the_next_record_and_drops_nothing(
    tmp_path: Path, protocol: str
) -> None:
    path = tmp_path / "s.db"
    with open_store(path, lock=protocol, lock_timeout=0.2) as store:
        with store.buffered(max_seconds=0.05) as buffer:
            with held(path):
                put(buffer, 3)
                time.sleep(1.0)
                with pytest.raises(LockTimeoutError):
                    put(buffer, 1, 3)
                assert buffer.pending == 3
            assert wait_for(lambda: buffer.pending == 0), "it is tried again by itself"
        assert store.count() == 3


def test_a_full_buffer_refuses_what_it_cannot_keep(tmp_path: Path, protocol: str) -> None:
    path = tmp_path / "s.db"
    with open_store(path, lock=protocol, lock_timeout=0.2) as store:
        with store.buffered(max_records=3, background=False) as buffer:
            with held(path):
                put(buffer, 3)
                with pytest.raises(LockTimeoutError):
                    put(buffer, 1, 3)
                assert buffer.pending == 3
            put(buffer, 1, 3)
            assert buffer.pending == 1
        assert store.count() == 4


def test_a_block_that_raises_is_flushed_as_well(store: TiraStore) -> None:
    with pytest.raises(KeyError), store.buffered() as buffer:  # noqa: PT012
        put(buffer, 2)
        raise KeyError
    assert store.count() == 2


def test_a_closed_store_says_so_and_what_waits_can_still_be_posted(sealed: Path) -> None:
    store = open_store(sealed)
    buffer = store.buffered(background=False)
    put(buffer, 2)
    store.close()
    for call in (lambda: put(buffer, 1, 2), buffer.flush, lambda: times(buffer, 0)):
        with pytest.raises(StoreClosedError):
            call()
    assert buffer.pending == 2
    assert buffer.post() == 2
    buffer.close()
    assert_exactly_once(sealed, 2)


def test_no_buffer_is_made_of_a_store_that_cannot_be_written(sealed: Path) -> None:
    with open_store(sealed, read_only=True) as store, pytest.raises(PermissionError):
        store.buffered()


def test_threads_share_a_buffer(store: TiraStore) -> None:
    with store.buffered(max_records=64, max_seconds=0.02) as buffer:
        threads = [threading.Thread(target=put, args=(buffer, 200, 200 * n)) for n in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert store.count() == 800
    assert all(times(store, number) == [float(number)] for number in range(800))


def test_posted_records_are_applied_once_by_whoever_writes_next(sealed: Path) -> None:
    with open_store(sealed) as store, open_store(sealed) as other:
        with store.buffered(background=False) as buffer:
            put(buffer, 3)
            with held(sealed):
                assert (buffer.post(), buffer.pending) == (3, 0)
                assert times(buffer, 1) == [1.0], "its writer sees it"
            assert len(kept(sealed)) == 1
            assert other.record("p", SOURCE, schedule(1), True, [7.0]) is False
            assert kept(sealed) == []
            assert other.record("p", SOURCE, schedule(1), True, [8.0], overwrite=True)
            assert times(buffer, 1) == [8.0], "it is no longer its writer's"
            put(buffer, 1, 1, overwrite=True)
            buffer.post()
            put(buffer, 1, 4)
        assert times(other, 1) == [1.0], "what was posted comes before what is flushed later"
        assert other.count() == 4


def test_an_opening_applies_what_was_posted(sealed: Path) -> None:
    with open_store(sealed) as store, store.buffered(background=False) as buffer:
        put(buffer, 3)
        buffer.post()
    assert len(kept(sealed)) == 1
    with open_store(sealed, read_only=True) as reader:
        assert reader.count() == 0
    assert_exactly_once(sealed, 3)


def test_much_is_posted_in_pieces_in_its_order(sealed: Path) -> None:
    long = [0.123456789] * 2000
    with open_store(sealed) as store, store.buffered(background=False) as buffer:
        for number in range(120):
            buffer.record("p", SOURCE, schedule(number % 100), True, [number, *long], True)
        buffer.post()
        assert len(kept(sealed)) > 1
    with open_store(sealed) as store:
        assert store.count() == 100
        first = [store.lookup("p", SOURCE, schedule(n)).execution_times[0] for n in range(100)]
        assert first == [n + 100 if n < 20 else n for n in range(100)]


def test_an_unsealed_store_is_flushed_instead_of_posted(tmp_path: Path) -> None:
    with open_store(tmp_path / "s.db", lock="hardlink") as store:
        buffer = store.buffered(background=False)
        put(buffer, 3)
        assert (buffer.post(), buffer.pending, store.count()) == (3, 0, 3)
        buffer.close()


def test_unsealing_loses_nothing_that_was_posted(sealed: Path) -> None:
    with open_store(sealed) as store:
        with store.buffered(background=False) as buffer:
            put(buffer, 3)
            buffer.post()
        assert store.unseal()
        assert store.count() == 3


def test_a_buffer_that_is_forgotten_saves_what_it_holds(sealed: Path) -> None:
    with open_store(sealed) as store:
        buffer = store.buffered()
        put(buffer, 3)
        del buffer
        gc.collect()
    assert_exactly_once(sealed, 3)


def test_what_waits_is_written_when_the_interpreter_exits(tmp_path: Path, protocol: str) -> None:
    path = tmp_path / "s.db"
    open_store(path, lock=protocol).close()
    run_python(OPEN + "buffer = store.buffered(background=False)\nput(buffer, 5)\n", path)
    run_python(OPEN + "buffer = store.buffered()\nput(buffer, 5, 5)\nraise SystemExit\n", path)
    with open_store(path) as store:
        assert store.count() == 10


def test_a_child_writes_nothing_of_its_parents(tmp_path: Path, protocol: str) -> None:
    path = tmp_path / "s.db"
    open_store(path, lock=protocol).close()
    code = """
warnings.simplefilter("ignore")
buffer = store.buffered(max_seconds=0.01)
for round in range(20):
    put(buffer, 50, 100 * round)
    child = os.fork()
    if child == 0:
        signal.alarm(30)
        assert buffer.pending == 0
        buffer.flush()
        put(buffer, 1, 100 * round + 50)
        sys.exit()
    assert os.waitpid(child, 0)[1] == 0
child = os.fork()
if child == 0:
    store.count()
    sys.exit()
assert os.waitpid(child, 0)[1] == 0
buffer.close()
print(store.count())
"""
    assert run_python(OPEN + code, path) == f"{20 * 51}\n"


END_BY_SIGTERM = """
def before(number, frame):
    print("before", flush=True)
    sys.exit(3)
if sys.argv[2] == "chained":
    signal.signal(signal.SIGTERM, before)
print("ready", flush=True)
sys.stdin.readline()
buffer = store.buffered(max_seconds=float(sys.argv[3]))
put(buffer, 20)
print("waiting", flush=True)
if sys.argv[4] == "flush":
    buffer.flush()
if sys.argv[4] == "record":
    store.record("p", "void blur() {}", "U(L0,20,comps=['c'])", True, [20.0])
time.sleep(100)
"""


def terminate(worker: subprocess.Popen) -> None:
    """Let a worker record, then send SIGTERM."""
    assert worker.stdin is not None
    assert worker.stdout is not None
    worker.stdin.write("\n")
    worker.stdin.flush()
    assert worker.stdout.readline() == "waiting\n"
    time.sleep(0.3)
    worker.send_signal(signal.SIGTERM)


@pytest.mark.parametrize("busy", ["sleep", "flush", "record"])
@pytest.mark.parametrize("max_seconds", [100.0, 0.01], ids=["pending", "under-way"])
@pytest.mark.parametrize("previous", ["default", "chained"])
def test_sigterm_hands_over_what_waits_while_another_process_holds_the_lock(
    sealed: Path, previous: str, max_seconds: float, busy: str
) -> None:
    with process(OPEN + END_BY_SIGTERM, sealed, previous, max_seconds, busy) as worker:
        with held(sealed):
            terminate(worker)
            ended = worker.wait(10)
        assert ended == (3 if previous == "chained" else -signal.SIGTERM)
        assert worker.stdout is not None
        assert worker.stdout.read() == ("before\n" if previous == "chained" else "")
    assert len(kept(sealed)) >= 1
    assert_exactly_once(sealed, 20)


@pytest.mark.parametrize("busy", ["sleep", "flush", "record"])
def test_sigterm_waits_for_the_lock_of_an_unsealed_store(tmp_path: Path, busy: str) -> None:
    path = tmp_path / "s.db"
    open_store(path, lock="hardlink").close()
    with process(OPEN + END_BY_SIGTERM, path, "default", 100, busy) as worker:
        with held(path):
            terminate(worker)
            time.sleep(0.5)
            assert worker.poll() is None
        assert worker.wait(20) == -signal.SIGTERM
        assert worker.stderr is not None
        assert worker.stderr.read() == ""
    with open_store(path) as store:
        assert all(times(store, number) == [float(number)] for number in range(20))
        # The call that it has interrupted was done as well.
        assert store.count() == (21 if busy == "record" else 20)


def test_the_handler_of_sigterm_is_given_back(sealed: Path) -> None:
    before = signal.getsignal(signal.SIGTERM)
    with open_store(sealed) as store:
        with store.buffered(on_sigterm=False):
            assert signal.getsignal(signal.SIGTERM) is before
        with store.buffered():
            assert signal.getsignal(signal.SIGTERM) is not before
        assert signal.getsignal(signal.SIGTERM) is before
        first, second = store.buffered(), store.buffered()
        first.close()
        second.close()
        forgotten = store.buffered()
        del forgotten
        gc.collect()
        called = []
        signal.signal(signal.SIGTERM, lambda *_: called.append(1))
        with store.buffered() as buffer:
            put(buffer, 1)
            os.kill(os.getpid(), signal.SIGTERM)
            assert (called, buffer.pending) == ([1], 0)
        in_thread = threading.Thread(target=lambda: store.buffered().close())
        in_thread.start()
        in_thread.join()
    signal.signal(signal.SIGTERM, before)
    assert_exactly_once(sealed, 1)


def test_what_was_posted_survives_kill_9_right_after(sealed: Path) -> None:
    code = (
        OPEN
        + "buffer = store.buffered()\nput(buffer, 20)\nbuffer.post()\nos.kill(os.getpid(), 9)\n"
    )
    code = "import os, sys\nfrom tirastore import TiraStore\n" + code
    ended = subprocess.run([sys.executable, "-c", code, sealed], check=False, timeout=60)
    assert ended.returncode == -signal.SIGKILL
    assert len(kept(sealed)) == 1
    assert_exactly_once(sealed, 20)


def test_a_post_that_was_applied_is_not_applied_again(sealed: Path) -> None:
    with open_store(sealed) as store, store.buffered(background=False) as buffer:
        put(buffer, 1, overwrite=True)
        buffer.post()
    (name,) = kept(sealed)
    copy = (lock_of(sealed) / name).read_bytes()
    with open_store(sealed) as store:
        assert times(store, 0) == [0.0]
        assert store.delete(tirastore.make_key(tirastore.make_program_hash(SOURCE), schedule(0)))
        (lock_of(sealed) / name).write_bytes(copy)  # whoever had applied it died before removing it
    with open_store(sealed) as store:
        assert times(store, 0) is None
        assert store.count() == 0
    assert kept(sealed) == []
