"""Opening, sharing between threads and processes, waiting and closing."""

import multiprocessing
import os
import pickle
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from support import (
    MACHINE,
    SOURCE,
    at_rest,
    contents,
    held,
    lock_of,
    open_store,
    process,
    record_from_another_process,
    run_python,
    schedule,
)

from tirastore import (
    CpuMismatchWarning,
    LockTimeoutError,
    Measurement,
    StoreClosedError,
    TiraStore,
    TiraStoreError,
    WriteNotAllowedError,
)

if TYPE_CHECKING:
    from collections.abc import Callable

P = "P(L0,comps=['c'])"
R = "R(L0,comps=['c'])"


def entry(number: int, times: list[float] | None = None) -> dict[str, Any]:
    times = [float(number)] if times is None else times
    return {
        "tiralib_schedule_string": schedule(number),
        "is_legal": True,
        "execution_times": times,
    }


def test_a_closed_store_says_so(tmp_path: Path, protocol: str) -> None:
    with open_store(tmp_path / "s.db", lock=protocol) as store:
        store.record("p", SOURCE, P, True, [1.0])
    store.close()
    store.close()
    calls: list[Callable[[], object]] = [
        lambda: store.lookup("p", SOURCE, P),
        lambda: store.record("p", SOURCE, R, False),
        lambda: store.record_many("p", SOURCE, []),
        lambda: store.record_batch([Measurement("p", SOURCE, R, False)]),
        lambda: store.lookup_many([("p", SOURCE, P)]),
        lambda: store.contains("p", SOURCE, P),
        store.keys,
        store.stats,
        store.count,
        lambda: len(store),
        lambda: store.get("0" * 64),
        lambda: store.delete("0" * 64),
        store.backup,
        lambda: store.export(tmp_path / "x.json"),
        lambda: store.get_program_source("p"),
        lambda: store.cpu_model,
    ]
    for call in calls:
        with pytest.raises(StoreClosedError, match=re.escape(str(store.db_path))):
            call()
    assert at_rest(tmp_path) == ["s.db"]
    with open_store(tmp_path / "s.db") as again:
        assert again.count() == 1


def test_an_exception_inside_a_with_block_closes_the_store_and_goes_on(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), open_store(tmp_path / "s.db") as store:
        raise ZeroDivisionError
    with pytest.raises(StoreClosedError):
        store.count()


def test_a_pickled_store_is_opened_again_with_the_same_arguments(
    tmp_path: Path, protocol: str
) -> None:
    options: dict[str, Any] = {"lock_timeout": 0.2, "dialects": ("rl1",), "share": False}
    options["lock"] = protocol
    store = open_store(tmp_path / "s.db", source_project="mine", **options)
    copy = pickle.loads(pickle.dumps(store))  # noqa: S301 -- our own
    assert copy is not store
    assert isinstance(copy, TiraStore)
    assert (copy.db_path, copy.source_project) == (store.db_path, "mine")
    assert copy.record("p", SOURCE, "P(L0)", True, [1.0])
    with pytest.raises(ValueError, match="tiralib"):
        copy.record("p", SOURCE, P, True, [1.0])
    with held(store.db_path), pytest.raises(LockTimeoutError):
        copy.record("p", SOURCE, "P(L1)", True, [1.0])
    store.close()
    assert copy.count() == 1
    reader = open_store(tmp_path / "s.db", read_only=True)
    assert not pickle.loads(pickle.dumps(reader)).writes_allowed  # noqa: S301 -- our own


def test_a_store_travels_to_spawned_processes(store: TiraStore) -> None:
    context = multiprocessing.get_context("spawn")
    with context.Pool(2) as pool:
        answers = pool.starmap(
            record_from_another_process, [(store, number) for number in range(8)], chunksize=2
        )
    assert os.getpid() not in {pid for pid, _, _ in answers}
    assert [(written, project) for _, written, project in answers] == [(True, "test_project")] * 8
    assert store.count() == 8


def test_two_objects_are_one_store(store: TiraStore) -> None:
    with open_store(store.db_path) as other:
        for number in range(0, 10, 2):
            assert store.record("p", SOURCE, schedule(number), True, [1.0])
            assert other.record("p", SOURCE, schedule(number + 1), True, [1.0])
            assert not store.record("p", SOURCE, schedule(number + 1), True, [1.0])
        assert store.count() == other.count() == 10


def test_a_store_is_used_on_both_sides_of_a_fork_and_in_threads_meanwhile(
    tmp_path: Path, protocol: str
) -> None:
    code = """
import threading
store = TiraStore(sys.argv[1], cpu_model="TestCPU", slurm_cpus="4", lock=sys.argv[2])
def record(start):
    for number in range(start, start + 20):
        assert store.record("p", "void p() {}", f"U(L0,{number},comps=['c'])", True, [1.0])
        assert store.lookup("p", "void p() {}", f"U(L0,{number},comps=['c'])")
busy = threading.Thread(target=record, args=(1000,))
busy.start()
children = []
for start in (100, 200):
    pid = os.fork()
    if pid == 0:
        try:
            record(start)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    children.append(pid)
record(0)
busy.join()
for pid in children:
    assert os.waitpid(pid, 0)[1] == 0
print(store.count())
"""
    assert run_python(code, tmp_path / "s.db", protocol) == "80\n"
    assert at_rest(tmp_path) == ["s.db"]


def test_nothing_that_threads_record_together_is_lost(store: TiraStore) -> None:
    failures: list[BaseException] = []

    def work(thread: int) -> None:
        try:
            for number in range(10):
                assert store.record("p", SOURCE, schedule(100 * thread + number), True, [1.0])
                assert store.contains("p", SOURCE, schedule(100 * thread + number))
        except BaseException as failure:  # noqa: BLE001 -- reported by the test
            failures.append(failure)

    threads = [threading.Thread(target=work, args=(thread,)) for thread in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert store.count() == 80


def test_ctrl_c_ends_the_wait_for_a_lock(store: TiraStore) -> None:
    code = """
store = TiraStore(sys.argv[1], cpu_model="TestCPU", slurm_cpus="4")
sys.stdin.readline()
print("waiting", flush=True)
try:
    store.record("p", "void p() {}", "", True, [1.0])
except KeyboardInterrupt:
    print("interrupted", flush=True)
"""
    code = code.replace("sys.stdin.readline()", 'print("ready", flush=True)\nsys.stdin.readline()')
    with process(code, store.db_path) as waiter, held(store.db_path):
        waiter.stdin.write("go\n")
        waiter.stdin.flush()
        assert waiter.stdout.readline() == "waiting\n"
        time.sleep(0.3)
        assert waiter.poll() is None
        waiter.send_signal(signal.SIGINT)
        sent = time.monotonic()
        assert waiter.stdout.readline() == "interrupted\n"
        assert time.monotonic() - sent < 2
        assert waiter.wait(10) == 0
    assert store.count() == 0
    assert at_rest(store.db_path.parent) == ["store.db"]


@pytest.mark.parametrize(
    ("lock", "flags", "operation"),
    [
        *(("hardlink", "", operation) for operation in ("record", "lookup", "open")),
        ("token", "", "record"),
        # While a holder writes, readers wait, too.
        *(("token", "W", operation) for operation in ("record", "lookup", "open")),
    ],
)
def test_a_lock_that_nobody_gives_back_is_a_timeout_that_names_its_holder(
    tmp_path: Path, lock: str, flags: str, operation: str
) -> None:
    path = tmp_path / "s.db"
    with open_store(path, lock_timeout=0.3, lock=lock) as store, held(path, flags) as holder:
        calls: dict[str, Callable[[], object]] = {
            "record": lambda: store.record("p", SOURCE, P, True, [1.0]),
            "lookup": lambda: store.lookup("p", SOURCE, P),
            "open": lambda: open_store(path, lock_timeout=0.3),
        }
        began = time.monotonic()
        with pytest.raises(LockTimeoutError, match=rf"\bprocess {holder.pid}\b") as caught:
            calls[operation]()
        assert 0.29 < time.monotonic() - began < 5
        assert isinstance(caught.value, TimeoutError)
        assert isinstance(caught.value, TiraStoreError)
        assert str(lock_of(path)) in str(caught.value)
        holder.release()
        calls[operation]()
        assert at_rest(tmp_path) == ["s.db"]


def test_readers_of_a_sealed_store_wait_for_nobody_who_has_not_begun_to_write(
    tmp_path: Path,
) -> None:
    with open_store(tmp_path / "s.db", lock_timeout=0.3, lock="token") as store:
        store.record("p", SOURCE, P, True, [1.0])
        with held(tmp_path / "s.db"):
            assert store.lookup("p", SOURCE, P)
            assert store.count() == 1
            with open_store(tmp_path / "s.db", lock_timeout=0.3) as other:
                assert other.contains("p", SOURCE, P)


@pytest.mark.parametrize(("lock", "flags"), [("hardlink", ""), ("token", ""), ("token", "W")])
def test_a_dead_holder_of_this_host_is_replaced_at_once(
    tmp_path: Path, lock: str, flags: str
) -> None:
    path = tmp_path / "s.db"
    with open_store(path, lock=lock, lock_timeout=5.0) as store:
        store.record("p", SOURCE, P, True, [1.0])
        with held(path, flags) as holder:
            holder.kill()
            # Its takeover time is 30 s, or 600 s.
            began = time.monotonic()
            assert store.record("p", SOURCE, R, False)
            assert store.count() == 2
            assert time.monotonic() - began < 5
    assert at_rest(tmp_path) == ["s.db"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"lock": "flock"}, "lock"),
        ({"dialects": ("halide",)}, "halide"),
        ({"lock_timeout": 0}, "lock_timeout"),
        ({"lock_timeout": float("nan")}, "lock_timeout"),
        ({"stale_lock_timeout": -1.0}, "stale_lock_timeout"),
    ],
)
def test_arguments_that_cannot_be_are_refused_and_nothing_is_created(
    tmp_path: Path, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        open_store(tmp_path / "s.db", **options)
    with pytest.raises(TypeError, match="dialects"):
        open_store(tmp_path / "s.db", dialects="tiralib")
    assert contents(tmp_path) == {}


def test_a_store_of_another_cpu_can_be_read_and_says_why_it_cannot_be_written(
    tmp_path: Path,
) -> None:
    path = tmp_path / "s.db"
    with open_store(path) as store:
        store.record("p", SOURCE, P, True, [1.0])
    other = {"cpu_model": "OtherCPU", "slurm_cpus": "8"}
    with pytest.warns(CpuMismatchWarning, match="TestCPU") as caught:
        store = TiraStore(path, **other)
    text = str(caught[0].message)
    for side in ("TestCPU", "OtherCPU", "'4'", "'8'", "allow_cpu_mismatch=True"):
        assert side in text
    assert caught[0].filename == __file__
    assert not store.writes_allowed
    assert store.count() == 1
    message = (
        "Write operations are disabled due to CPU metadata mismatch. "
        "Initialize with allow_cpu_mismatch=True to override."
    )
    for write in (
        lambda: store.record("p", SOURCE, R, False),
        lambda: store.record_many("p", SOURCE, [entry(1)]),
        lambda: store.record_batch([Measurement("p", SOURCE, R, False)]),
        lambda: store.delete(store.keys()[0]),
        lambda: store.put("0" * 64, "0" * 64, R, '{"is_legal":false}'),
    ):
        with pytest.raises(WriteNotAllowedError, match=f"^{re.escape(message)}$") as refused:
            write()
        assert isinstance(refused.value, PermissionError)
    allowed = TiraStore(path, allow_cpu_mismatch=True, **other)
    assert allowed.writes_allowed
    assert allowed.record("p", SOURCE, R, False)


def test_padding_in_a_cpu_model_is_no_mismatch(tmp_path: Path) -> None:
    with TiraStore(tmp_path / "s.db", cpu_model="Some  CPU\0\0 ", slurm_cpus="N/A"):
        pass
    assert TiraStore(tmp_path / "s.db", cpu_model=" Some CPU", slurm_cpus="8").writes_allowed


def test_a_missing_parent_directory_is_created(tmp_path: Path, protocol: str) -> None:
    with open_store(tmp_path / "a" / "b" / "s.db", lock=protocol) as store:
        assert store.record("p", SOURCE, P, True, [1.0])
    assert (tmp_path / "a" / "b" / "s.db").exists()


def test_the_path_may_be_relative_and_the_process_may_move(tmp_path: Path, protocol: str) -> None:
    code = """
os.chdir(sys.argv[1])
store = TiraStore("s.db", cpu_model="TestCPU", slurm_cpus="4", lock=sys.argv[2])
os.chdir("/")
assert store.record("p", "void p() {}", "", True, [1.0])
print(store.count(), store.db_path)
"""
    assert run_python(code, tmp_path, protocol) == f"1 {tmp_path.resolve() / 's.db'}\n"


def test_a_link_may_point_to_a_store_that_is_not_there_yet(tmp_path: Path, protocol: str) -> None:
    (tmp_path / "scratch").mkdir()
    (tmp_path / "s.db").symlink_to(tmp_path / "scratch" / "real.db")
    with open_store(tmp_path / "s.db", lock=protocol) as store:
        assert store.record("p", SOURCE, P, True, [1.0])
    assert (tmp_path / "s.db").is_symlink()
    assert at_rest(tmp_path) == ["s.db", "scratch"], "the lock stands beside the file itself"
    with open_store(tmp_path / "scratch" / "real.db") as real:
        assert real.count() == 1


@pytest.mark.parametrize(
    "name", ["a?b#c%41 é'\".db", "new\nline", ":memory:", "file:x?mode=ro", "\udcff.db"]
)
def test_a_store_may_have_any_file_name(tmp_path: Path, name: str, protocol: str) -> None:
    with open_store(tmp_path / name, lock=protocol) as store:
        assert store.record("p", SOURCE, P, True, [1.0])
        assert store.export(tmp_path / f"{name}.json").exists()
        assert store.backup(tmp_path / f"{name}.copy").exists()
    assert set(at_rest(tmp_path)) == {name, f"{name}.json", f"{name}.copy"}
    with open_store(tmp_path / f"{name}.copy", read_only=True) as copy:
        assert copy.count() == 1


def test_a_store_that_many_create_at_once_is_made_once(tmp_path: Path, protocol: str) -> None:
    code = """
import sys
from tirastore import TiraStore
with TiraStore(sys.argv[1], cpu_model="TestCPU", slurm_cpus="4", lock=sys.argv[3]) as store:
    assert store.record("p", f"void p{sys.argv[2]}();", "", True, [1.0])
"""
    path = tmp_path / "new" / "s.db"
    creators = [
        subprocess.Popen([sys.executable, "-c", code, path, str(number), protocol])
        for number in range(6)
    ]
    assert [creator.wait(60) for creator in creators] == [0] * 6
    assert at_rest(path.parent) == ["s.db"]
    with open_store(path) as store:
        assert store.count() == 6


def test_machine_arguments_are_strings(tmp_path: Path) -> None:
    with pytest.raises(TypeError):
        TiraStore(tmp_path / "s.db", cpu_model=7, slurm_cpus=MACHINE["slurm_cpus"])  # type: ignore[arg-type]
    assert contents(tmp_path) == {}


def test_a_child_forked_while_a_thread_reads_is_never_stuck(tmp_path: Path, protocol: str) -> None:
    # Whatever mutex the thread holds at the fork is held for ever in the child.
    with open_store(tmp_path / "s.db", lock=protocol) as store:
        store.record("p", SOURCE, P, True, [1.0])
    code = """
import threading, signal, sys, os, warnings
from tirastore import TiraStore
warnings.simplefilter("ignore")
store = TiraStore(sys.argv[1], cpu_model="TestCPU", slurm_cpus="4")
stopped = threading.Event()
def read():
    while not stopped.is_set():
        store.count()
thread = threading.Thread(target=read)
thread.start()
stuck = 0
for _ in range(30):
    child = os.fork()
    if child == 0:
        signal.alarm(20)
        os._exit(0 if store.count() == 1 else 1)
    stuck += os.waitpid(child, 0)[1] != 0
    if stuck:
        break
stopped.set()
thread.join()
print(stuck)
"""
    assert run_python(code, tmp_path / "s.db") == "0\n"
