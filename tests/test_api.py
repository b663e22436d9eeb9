"""The original's complete API, and what stands beside it: same names, defaults and answers."""

import contextlib
import inspect
import json
import multiprocessing
import os
import pickle
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from support import (
    HOLD_LOCK,
    MACHINE,
    SOURCE,
    contents,
    lock_of,
    open_store,
    process,
    query,
    record_from_another_process,
    run_python,
    schedule,
)

import tirastore
from tirastore import (
    CpuMismatchWarning,
    LockError,
    LockTimeoutError,
    LookupResult,
    Measurement,
    StoreClosedError,
    TiraStore,
    TiraStoreError,
    UnknownProgramError,
    WriteNotAllowedError,
    _keys,
    _schedule,
)
from tirastore._lock import HardLinkLock
from tirastore._store import Store

P = "P(L0,comps=['c'])"
R = "R(L0,comps=['c'])"
NO_DEFAULT = inspect.Parameter.empty


def entry(number: int, times: list[float] | None = None) -> dict[str, Any]:
    times = [float(number)] if times is None else times
    return {
        "tiralib_schedule_string": schedule(number),
        "is_legal": True,
        "execution_times": times,
    }


@pytest.mark.parametrize(
    ("function", "positional", "keyword_only"),
    [
        (
            TiraStore,
            {
                "db_path": NO_DEFAULT,
                "source_project": "",
                "cpu_model": None,
                "slurm_cpus": None,
                "allow_cpu_mismatch": False,
                "stale_lock_timeout": 600.0,
            },
            {
                "lock_timeout": 600.0,
                "lock": "auto",
                "read_only": False,
                "share": None,
                "dialects": ("tiralib",),
            },
        ),
        (TiraStore.lookup, ["program_name", "program_source_code", "tiralib_schedule_string"], {}),
        (
            TiraStore.contains,
            ["program_name", "program_source_code", "tiralib_schedule_string"],
            {},
        ),
        (
            TiraStore.record,
            {
                "program_name": NO_DEFAULT,
                "program_source_code": NO_DEFAULT,
                "tiralib_schedule_string": NO_DEFAULT,
                "is_legal": NO_DEFAULT,
                "execution_times": None,
                "overwrite": False,
            },
            {},
        ),
        (
            TiraStore.record_many,
            {
                "program_name": NO_DEFAULT,
                "program_source_code": NO_DEFAULT,
                "schedules": NO_DEFAULT,
                "overwrite": False,
            },
            {},
        ),
        (TiraStore.get_program_source, ["program_name"], {}),
        (TiraStore.get_program_records, ["program_name", "program_source_code"], {}),
        (TiraStore.get, ["key"], {}),
        (
            TiraStore.put,
            {
                "key": NO_DEFAULT,
                "program_hash": NO_DEFAULT,
                "schedule": NO_DEFAULT,
                "result_json": NO_DEFAULT,
                "overwrite": False,
            },
            {},
        ),
        (TiraStore.delete, ["key"], {}),
        (TiraStore.count, [], {}),
        (TiraStore.program_count, [], {}),
        (TiraStore.stats, [], {}),
        (TiraStore.keys, {"limit": 0, "offset": 0}, {"after": None}),
        (TiraStore.backup, {"backup_path": None}, {}),
        (TiraStore.export, {"output_path": NO_DEFAULT, "fmt": "json"}, {}),
        (
            HardLinkLock,
            {
                "lock_path": NO_DEFAULT,
                "stale_timeout": 600.0,
                "retry_limit": 120,
                "base_delay": 0.05,
                "max_delay": 5.0,
            },
            {},
        ),
        (tirastore.make_key, ["program_hash", "tiralib_schedule_string"], {}),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_signatures_are_the_originals_with_additions_by_keyword_only(
    function: Callable[..., Any],
    positional: dict[str, Any] | list[str],
    keyword_only: dict[str, Any],
) -> None:
    parameters = inspect.signature(function).parameters
    by_position = {
        name: parameter.default
        for name, parameter in parameters.items()
        if parameter.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD and name != "self"
    }
    by_keyword = {
        name: parameter.default
        for name, parameter in parameters.items()
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY
    }
    if isinstance(positional, list):
        positional = dict.fromkeys(positional, NO_DEFAULT)
    assert list(by_position.items()) == list(positional.items())
    assert keyword_only.items() <= by_keyword.items()
    assert NO_DEFAULT not in by_keyword.values()


def test_what_was_recorded_is_found_under_every_spelling(store: TiraStore) -> None:
    source = "#include <tiramisu.h>\nvoid blur() { /* nothing */ }\n"
    assert store.lookup("blur", source, P) is None
    assert store.contains("blur", source, P) is False
    assert store.record("blur", source, P, True, [0.25, 1e-5, 3.0]) is True
    for other_source in (source, "void  blur(){} // the same", "void blur() {}"):
        for spelling in (P, 'P( L0, comps = ["c"] )', "P(L0,comps=[c])"):
            assert store.contains("any name", other_source, spelling) is True
            found = store.lookup("any name", other_source, spelling)
            assert isinstance(found, LookupResult)
            assert found.execution_times == [0.25, 1e-5, 3.0]
    assert store.lookup("blur", source, R) is None
    assert store.lookup("blur", "void other() {}", P) is None


def test_a_lookup_tells_everything_that_was_recorded(store: TiraStore) -> None:
    before = datetime.now(UTC)
    store.record("blur", SOURCE, " " + P, False)
    found = store.lookup("blur", SOURCE, P)
    assert found is not None
    assert list(found.to_dict()) == [
        "is_legal",
        "execution_times",
        "schedule",
        "hostname",
        "username",
        "creation_date",
        "update_date",
        "source_project",
    ]
    assert found.to_dict() == {name: getattr(found, name) for name in found.to_dict()}
    assert (found.is_legal, found.execution_times) == (False, None)
    assert (found.schedule, found.source_project) == (P, "test_project")
    assert found.hostname
    assert found.username
    assert found.creation_date == found.update_date
    created = datetime.fromisoformat(found.creation_date)
    assert created.utcoffset() == timedelta(0)
    assert before - timedelta(seconds=1) <= created <= datetime.now(UTC) + timedelta(seconds=1)


def test_a_record_is_replaced_only_on_request_and_keeps_its_creation_date(store: TiraStore) -> None:
    assert store.record("blur", SOURCE, P, True, [1.0])
    first = store.lookup("blur", SOURCE, P)
    assert store.record("blur", SOURCE, P, True, [2.0]) is False
    assert store.lookup("blur", SOURCE, P) == first
    time.sleep(0.002)
    assert store.record("blur", SOURCE, P, False, None, overwrite=True) is True
    second = store.lookup("blur", SOURCE, P)
    assert first is not None
    assert second is not None
    assert (second.is_legal, second.execution_times) == (False, None)
    assert second.creation_date == first.creation_date
    assert second.update_date > first.update_date
    assert store.count() == 1


def test_a_source_is_found_under_every_name_it_was_recorded_with(store: TiraStore) -> None:
    program = {"program_hash": tirastore.make_program_hash(SOURCE), "source_code": SOURCE}
    assert store.record("first", SOURCE, P, True, [1.0])
    assert store.record("second", SOURCE, P, True, [1.0]) is False
    assert store.record_many("third", SOURCE, [entry(1)]) == 1
    assert store.record("first", "void other() {}", P, True, [1.0])
    assert store.get_program_source("second") == store.get_program_source("third") == [program]
    of_first = store.get_program_source("first")
    assert len(of_first) == 2
    assert program in of_first
    assert of_first == sorted(of_first, key=lambda found: found["program_hash"])
    assert store.get_program_source("fourth") == []
    assert store.program_count() == 2


def test_record_many_counts_what_it_wrote_and_the_first_of_duplicates_stands(
    store: TiraStore,
) -> None:
    twice = [
        entry(1, [1.0]),
        entry(2),
        {**entry(1, [9.0]), "tiralib_schedule_string": " U(L1, 1,comps=[c])"},
    ]
    assert store.record_many("p", SOURCE, twice) == 2
    assert store.record_many("p", SOURCE, [entry(2, [5.0]), entry(3)]) == 1
    times = {
        result.schedule: result.execution_times for result in store.get_program_records("p", SOURCE)
    }
    assert times == {schedule(1): [1.0], schedule(2): [2.0], schedule(3): [3.0]}


def test_the_last_of_duplicates_stands_where_records_are_overwritten(store: TiraStore) -> None:
    store.record_many("p", SOURCE, [entry(1, [1.0])])
    assert store.record_many("p", SOURCE, [entry(1, [2.0]), entry(1, [3.0])], overwrite=True) >= 1
    found = store.lookup("p", SOURCE, schedule(1))
    assert found is not None
    assert found.execution_times == [3.0]
    assert store.count() == 1


def test_record_many_takes_any_iterable_and_none_at_all(store: TiraStore) -> None:
    assert store.record_many("p", SOURCE, (entry(number) for number in range(3))) == 3
    assert store.record_many("q", "void q() {}", []) == 0
    assert store.count() == 3
    assert store.record_batch(iter([])) == 0


def test_record_batch_records_across_programs_in_one_transaction(store: TiraStore) -> None:
    batch = [
        Measurement(f"p{number % 3}", f"void p{number % 3}() {{}}", schedule(number), True, [1.0])
        for number in range(9)
    ]
    assert store.record_batch(iter(batch)) == 9
    assert store.record_batch(batch) == 0
    assert store.record_batch(batch[:4], overwrite=True) == 4
    assert (store.count(), store.program_count()) == (9, 3)
    bad = Measurement("new", "void new() {}", schedule(1), True)
    with pytest.raises(ValueError, match=r"^measurements\[1\]: "):
        store.record_batch([Measurement("new", "void new() {}", P, False), bad])
    assert (store.count(), store.program_count()) == (9, 3)


def test_many_lookups_answer_in_the_order_asked(store: TiraStore) -> None:
    store.record_many("p", SOURCE, [entry(number) for number in range(5)])
    asked = [("p", SOURCE, schedule(number)) for number in (4, 77, 0, 4)]
    found = store.lookup_many(iter(asked))
    times = [None if result is None else result.execution_times for result in found]
    assert times == [[4.0], None, [0.0], [4.0]]
    assert store.contains_many(iter(asked)) == [True, False, True, True]
    assert store.lookup_many([]) == []
    assert store.contains_many([]) == []


def test_records_of_a_program_come_in_the_order_of_creation(store: TiraStore) -> None:
    order = [3, 1, 2, 9, 4]
    for number in order:
        store.record("p", SOURCE, schedule(number), True, [float(number)])
    store.record("p", SOURCE, schedule(3), False, None, overwrite=True)
    store.record("q", "void q() {}", P, True, [1.0])
    schedules = [result.schedule for result in store.get_program_records("p", SOURCE)]
    assert schedules == [schedule(number) for number in order]
    assert store.get_program_records("p", "void unknown() {}") == []


def test_pages_of_keys_hold_every_key_once_in_creation_order_even_where_dates_tie(
    store: TiraStore,
) -> None:
    store.record_many("p", SOURCE, [entry(number) for number in range(23)])
    in_order = [
        tirastore.make_key(tirastore.make_program_hash(SOURCE), schedule(number))
        for number in range(23)
    ]
    assert store.keys() == in_order
    query_all = "UPDATE records SET creation_date = '2025-01-01T00:00:00+00:00'"
    for tie in (False, True):
        if tie:
            run_python(
                "import sqlite3\nc = sqlite3.connect(sys.argv[1])\n"
                "c.execute(sys.argv[2]); c.commit(); c.close()",
                store.db_path,
                query_all,
            )
        assert sorted(store.keys()) == sorted(in_order)
        everything = store.keys()
        pages = [store.keys(5, offset) for offset in range(0, 30, 5)]
        assert [key for page in pages for key in page] == everything
        paged: list[str] = []
        while page := store.keys(4, after=paged[-1] if paged else None):
            paged += page
        assert paged == everything
        assert store.keys(after=everything[-3]) == everything[-2:]
        assert store.keys(limit=2, offset=21) == everything[21:]
    with pytest.raises(ValueError, match="after"):
        store.keys(after="0" * 64)


@pytest.mark.parametrize("large", [2**31, 2**32, sys.maxsize])
def test_a_page_may_be_larger_than_any_store(store: TiraStore, large: int) -> None:
    store.record("p", SOURCE, P, True, [1.0])
    assert store.keys(limit=large) == store.keys()
    assert store.keys(limit=1, offset=large) == []


def test_stats_count_everything(store: TiraStore) -> None:
    store.record("p", SOURCE, P, True, [1.0])
    store.record("p", SOURCE, R, False)
    with open_store(store.db_path, source_project="another") as other:
        other.record("q", "void q() {}", P, False)
    stats = store.stats()
    assert {name: stats[name] for name in stats if name != "users"} == {
        "total_records": 3,
        "legal_records": 1,
        "illegal_records": 2,
        "damaged_records": 0,
        "total_programs": 2,
        "source_projects": ["another", "test_project"],
        "cpu_model": "TestCPU",
        "slurm_cpus": "4",
    }
    assert len(stats["users"]) == 1
    assert json.loads(json.dumps(stats)) == stats


def test_records_are_got_put_and_deleted_by_key(store: TiraStore) -> None:
    store.record("p", SOURCE, P, True, [1.5])
    program = tirastore.make_program_hash(SOURCE)
    row = store.get(tirastore.make_key(program, P))
    assert row is not None
    assert set(row) == {
        *("key", "program_hash", "schedule", "result_json", "hostname", "username"),
        *("creation_date", "update_date", "source_project", "program_name", "source_code"),
    }
    assert (row["program_name"], row["source_code"], row["schedule"]) == ("p", SOURCE, P)
    assert json.loads(row["result_json"]) == {"is_legal": True, "execution_times": [1.5]}
    key = tirastore.make_key(program, R)
    assert store.get(key) is None
    assert store.put(key, program, R, '{"is_legal":false}') is True
    assert store.put(key, program, R, '{"is_legal":true,"execution_times":[1]}') is False
    assert store.put(key, program, R, '{"is_legal":true,"execution_times":[2]}', overwrite=True)
    found = store.lookup("p", SOURCE, R)
    assert found is not None
    assert found.execution_times == [2.0]
    assert store.delete(key) is True
    assert store.delete(key) is False
    assert store.get(key) is None
    assert (store.count(), store.program_count()) == (1, 1)


def test_a_record_of_an_unknown_program_is_refused(store: TiraStore) -> None:
    with pytest.raises(UnknownProgramError, match="f" * 64) as caught:
        store.put("0" * 64, "f" * 64, P, '{"is_legal":false}')
    assert isinstance(caught.value, ValueError)
    assert store.count() == 0


@pytest.mark.parametrize(
    "result", ["", "[]", "{}", '{"is_legal":true}', '{"is_legal":true,"execution_times":[NaN]}']
)
def test_put_refuses_what_is_no_result(store: TiraStore, result: str) -> None:
    store.record("p", SOURCE, P, True, [1.0])
    with pytest.raises(ValueError, match=r"result_json|execution_times"):
        store.put("0" * 64, tirastore.make_program_hash(SOURCE), R, result)
    assert store.count() == 1


def test_a_store_has_a_length_and_is_true_even_where_empty(store: TiraStore) -> None:
    assert (len(store), bool(store)) == (0, True)
    store.record("p", SOURCE, P, True, [1.0])
    assert (len(store), store.count(), bool(store)) == (1, 1, True)


def test_a_store_shows_itself(tmp_path: Path) -> None:
    directory = tmp_path / "<b>&'x"
    with open_store(directory / "s.db", source_project="<script>") as store:
        assert repr(store) == (
            f"TiraStore(db_path={str(store.db_path)!r}, source_project='<script>', "
            "writes_allowed=True)"
        )
        shown = store._repr_html_()
        assert "<script>" not in shown
        assert "<b>" not in shown
        assert "&lt;script&gt;" in shown
        assert "&lt;b&gt;&amp;" in shown
        assert "0 records of 0 programs" in shown
    assert "closed" in store._repr_html_()
    assert repr(store).startswith("TiraStore(")


def test_properties_tell_how_the_store_was_made(tmp_path: Path) -> None:
    link = tmp_path / "link.db"
    link.symlink_to(tmp_path / "real.db")
    with open_store(tmp_path / "real.db") as store:
        assert (store.writes_allowed, store.cpu_model, store.slurm_cpus) == (True, "TestCPU", "4")
        assert store.db_path == (tmp_path / "real.db").resolve()
    with open_store(link) as store:
        assert store.db_path == (tmp_path / "real.db").resolve()
    for name in ("writes_allowed", "cpu_model", "slurm_cpus", "db_path"):
        with pytest.raises(AttributeError):
            setattr(store, name, None)


def test_a_closed_store_says_so(tmp_path: Path) -> None:
    with open_store(tmp_path / "s.db") as store:
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
    assert sorted(contents(tmp_path)) == ["s.db"]
    with open_store(tmp_path / "s.db") as again:
        assert again.count() == 1


def test_an_exception_inside_a_with_block_closes_the_store_and_goes_on(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), open_store(tmp_path / "s.db") as store:
        raise ZeroDivisionError
    with pytest.raises(StoreClosedError):
        store.count()


def test_a_pickled_store_is_opened_again_with_the_same_arguments(tmp_path: Path) -> None:
    options: dict[str, Any] = {"lock_timeout": 0.2, "dialects": ("rl1",), "share": False}
    store = open_store(tmp_path / "s.db", source_project="mine", **options)
    copy = pickle.loads(pickle.dumps(store))  # noqa: S301 -- our own
    assert copy is not store
    assert isinstance(copy, TiraStore)
    assert (copy.db_path, copy.source_project) == (store.db_path, "mine")
    assert copy.record("p", SOURCE, "P(L0)", True, [1.0])
    with pytest.raises(ValueError, match="tiralib"):
        copy.record("p", SOURCE, P, True, [1.0])
    with HardLinkLock(lock_of(store.db_path)), pytest.raises(LockTimeoutError):
        copy.count()
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


def test_a_store_is_used_on_both_sides_of_a_fork_and_in_threads_meanwhile(tmp_path: Path) -> None:
    code = """
import threading
store = TiraStore(sys.argv[1], cpu_model="TestCPU", slurm_cpus="4")
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
    assert run_python(code, tmp_path / "s.db") == "80\n"
    assert sorted(contents(tmp_path)) == ["s.db"]


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
    with process(code, store.db_path) as waiter, HardLinkLock(lock_of(store.db_path)):
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
    assert sorted(contents(store.db_path.parent)) == ["store.db"]


@pytest.mark.parametrize("operation", ["record", "lookup", "open"])
def test_a_lock_that_nobody_gives_back_is_a_timeout_that_names_its_holder(
    tmp_path: Path, operation: str
) -> None:
    path = tmp_path / "s.db"
    with open_store(path, lock_timeout=0.3) as store, process(HOLD_LOCK, lock_of(path)) as holder:
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
        holder.stdin.close()
        holder.wait(10)
        calls[operation]()
        assert not lock_of(path).exists()


def test_a_sealed_store_is_a_clear_error_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    with open_store(path) as store:
        lock_of(path).mkdir()
        before = contents(tmp_path)
        began = time.monotonic()
        for call in (
            lambda: open_store(path),
            lambda: store.record("p", SOURCE, P, True, [1.0]),
            store.count,
        ):
            with pytest.raises(LockError, match=r"s\.db\.lock.*sealed") as caught:
                call()
            assert isinstance(caught.value, OSError)
        assert time.monotonic() - began < 5
        assert contents(tmp_path) == before


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


def test_the_originals_internal_names_keep_their_meaning() -> None:
    assert _keys.make_program_hash(SOURCE) == tirastore.make_program_hash(SOURCE)
    assert _keys.make_key("0", P) == tirastore.make_key("0", P)
    assert _keys.canonical_json({"b": 1, "a": "é"}) == '{"a":"\\u00e9","b":1}'
    assert _schedule.normalize_schedule(" R") == "R"
    assert _schedule.validate_schedule(P) == (True, "")
    assert _schedule.normalize_program("a // b") == "a"


def test_a_lock_of_the_originals_kind_can_be_held_by_hand(store: TiraStore) -> None:
    path = lock_of(store.db_path)
    lock = HardLinkLock(path)
    assert lock.lock_path == path
    assert not lock._held
    lock.acquire()
    assert lock._held
    assert path.stat().st_nlink >= 1
    held = json.loads(path.read_text())
    assert held["pid"] == os.getpid()
    assert {"hostname", "timestamp"} <= held.keys()
    impatient = HardLinkLock(path, retry_limit=2, base_delay=0.01)
    with pytest.raises(TimeoutError):
        impatient.acquire()
    assert not impatient._held
    impatient.release()
    assert path.exists(), "only the holder gives a lock back"
    lock.release()
    lock.release()
    assert not path.exists()
    with lock as entered:
        assert entered is lock
        assert path.exists()
    assert sorted(contents(path.parent)) == ["store.db"]


def test_the_internal_store_works_under_a_lock_held_by_hand(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    program, key = tirastore.make_program_hash(SOURCE), "0" * 64
    result = '{"is_legal":true,"execution_times":[1.0]}'
    who = {"hostname": "node07", "username": "ada", "source_project": "scripts"}
    with HardLinkLock(lock_of(path)):
        store = Store(path)
        store.init_db("TestCPU", "4")
        assert (store.get_cpu_model(), store.get_slurm_cpus()) == ("TestCPU", "4")
        assert store.get_meta("schema_version") == "2"
        assert store.get_meta("nothing") is None
        store.set_meta("note", "mine")
        assert store.get_meta("note") == "mine"
        assert store.put_program(program, "blur", SOURCE) is True
        assert store.put_program(program, "blur", SOURCE) is False
        fields = {"program_hash": program, "program_name": "blur", "source_code": SOURCE}
        assert store.get_program(program) == fields
        assert store.get_programs_by_name("blur") == [fields]
        assert store.get_program("f" * 64) is None
        assert store.put(key, program, P, result, **who) is True
        assert store.put(key, program, P, result, **who) is False
        assert store.put(key, program, P, result, **who, overwrite=True) is True
        assert store.put_many([("1" * 64, R, result)], program, **who) == 1
        assert store.contains(key)
        assert not store.contains("f" * 64)
        row = store.get(key)
        assert row is not None
        assert {name: row[name] for name in who} == who
        assert row["program_name"] == "blur"
        rows = store.get_records_by_program_hash(program)
        assert [found["schedule"] for found in rows] == [P, R]
        (everything,) = store.get_all_programs_with_records()
        assert [found["schedule"] for found in everything["records"]] == [P, R]
        assert everything["program_name"] == "blur"
        assert store.keys() == [key, "1" * 64]
        assert store.keys(1, 1) == ["1" * 64]
        assert (store.count(), store.program_count()) == (2, 1)
        assert store.stats()["total_records"] == 2
        assert store.delete(key) is True
        assert store.delete(key) is False
    with open_store(path) as whole:
        found = whole.lookup("blur", SOURCE, R)
        assert found is None, "the key was made up"
        assert whole.count() == 1
    assert query(path, "SELECT value FROM db_meta WHERE key = 'note'") == [("mine",)]


def test_ensure_tables_makes_a_store_for_this_machine(tmp_path: Path) -> None:
    with HardLinkLock(lock_of(tmp_path / "s.db")):
        store = Store(tmp_path / "s.db")
        store.ensure_tables()
        assert store.count() == 0
    assert TiraStore(tmp_path / "s.db").writes_allowed


def test_a_missing_parent_directory_is_created(tmp_path: Path) -> None:
    with open_store(tmp_path / "a" / "b" / "s.db") as store:
        assert store.record("p", SOURCE, P, True, [1.0])
    assert (tmp_path / "a" / "b" / "s.db").exists()


def test_the_path_may_be_relative_and_the_process_may_move(tmp_path: Path) -> None:
    code = """
os.chdir(sys.argv[1])
store = TiraStore("s.db", cpu_model="TestCPU", slurm_cpus="4")
os.chdir("/")
assert store.record("p", "void p() {}", "", True, [1.0])
print(store.count(), store.db_path)
"""
    assert run_python(code, tmp_path) == f"1 {tmp_path.resolve() / 's.db'}\n"


def test_a_link_may_point_to_a_store_that_is_not_there_yet(tmp_path: Path) -> None:
    (tmp_path / "scratch").mkdir()
    (tmp_path / "s.db").symlink_to(tmp_path / "scratch" / "real.db")
    with open_store(tmp_path / "s.db") as store:
        assert store.record("p", SOURCE, P, True, [1.0])
    assert (tmp_path / "s.db").is_symlink()
    with open_store(tmp_path / "scratch" / "real.db") as real:
        assert real.count() == 1


@pytest.mark.parametrize(
    "name", ["a?b#c%41 é'\".db", "new\nline", ":memory:", "file:x?mode=ro", "\udcff.db"]
)
def test_a_store_may_have_any_file_name(tmp_path: Path, name: str) -> None:
    with open_store(tmp_path / name) as store:
        assert store.record("p", SOURCE, P, True, [1.0])
        assert store.export(tmp_path / f"{name}.json").exists()
        assert store.backup(tmp_path / f"{name}.copy").exists()
    assert {path.name for path in tmp_path.iterdir()} == {name, f"{name}.json", f"{name}.copy"}
    with open_store(tmp_path / f"{name}.copy", read_only=True) as copy:
        assert copy.count() == 1


def test_the_project_that_is_shown_is_the_one_that_is_recorded(store: TiraStore) -> None:
    with contextlib.suppress(AttributeError):
        store.source_project = "another"
    store.record("p", SOURCE, P, True, [1.0])
    found = store.lookup("p", SOURCE, P)
    assert found is not None
    assert found.source_project == store.source_project


def test_a_store_that_many_create_at_once_is_made_once(tmp_path: Path) -> None:
    code = """
import sys
from tirastore import TiraStore
with TiraStore(sys.argv[1], cpu_model="TestCPU", slurm_cpus="4") as store:
    assert store.record("p", f"void p{sys.argv[2]}();", "", True, [1.0])
"""
    path = tmp_path / "new" / "s.db"
    creators = [
        subprocess.Popen([sys.executable, "-c", code, path, str(number)]) for number in range(6)
    ]
    assert [creator.wait(60) for creator in creators] == [0] * 6
    assert sorted(contents(path.parent)) == ["s.db"]
    with open_store(path) as store:
        assert store.count() == 6


def test_machine_arguments_are_strings(tmp_path: Path) -> None:
    with pytest.raises(TypeError):
        TiraStore(tmp_path / "s.db", cpu_model=7, slurm_cpus=MACHINE["slurm_cpus"])  # type: ignore[arg-type]
    assert contents(tmp_path) == {}
