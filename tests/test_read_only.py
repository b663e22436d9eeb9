"""Lookups work where nothing may be written, and are right while others write."""

import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support import (
    NOBODY,
    SOURCE,
    contents,
    held,
    mode,
    needs_root,
    open_store,
    process,
    public_directory,
    run_python,
    schedule,
)

import tirastore
from tirastore import Measurement, StoreNotFoundError, TiraStore, WriteNotAllowedError

P = "P(L0,comps=['c'])"


def test_a_missing_store_is_not_created_for_a_reader(tmp_path: Path) -> None:
    for path in (tmp_path / "s.db", tmp_path / "no" / "such" / "s.db"):
        with pytest.raises(StoreNotFoundError, match=str(path)) as caught:
            open_store(path, read_only=True)
        assert isinstance(caught.value, FileNotFoundError)
    assert contents(tmp_path) == {}


def test_every_write_to_a_store_opened_for_reading_is_refused(
    tmp_path: Path, protocol: str
) -> None:
    path = tmp_path / "s.db"
    with open_store(path, lock=protocol) as writer:
        writer.record("p", SOURCE, P, True, [1.0])
        key, program = writer.keys()[0], tirastore.make_program_hash(SOURCE)
    before = contents(tmp_path)
    store = open_store(path, read_only=True)
    assert not store.writes_allowed
    writes: list[Callable[[], object]] = [
        lambda: store.record("p", SOURCE, P, True, [1.0]),
        lambda: store.record("p", SOURCE, P, True, [1.0], overwrite=True),
        lambda: store.record_many("p", SOURCE, []),
        lambda: store.record_many(
            "p", SOURCE, [{"tiralib_schedule_string": "", "is_legal": False}]
        ),
        lambda: store.record_batch([]),
        lambda: store.record_batch([Measurement("p", SOURCE, "", False)]),
        lambda: store.put(key, program, P, '{"is_legal":false}', overwrite=True),
        lambda: store.delete(key),
        store.seal,
        store.unseal,
        lambda: store.restore(path),
    ]
    for write in writes:
        with pytest.raises(WriteNotAllowedError, match=f"{path}.*read_only") as caught:
            write()
        assert isinstance(caught.value, PermissionError)
    assert contents(tmp_path) == before


def test_everything_that_reads_works_in_a_store_opened_for_reading(
    tmp_path: Path, protocol: str
) -> None:
    with open_store(tmp_path / "s.db", lock=protocol) as writer:
        writer.record("p", SOURCE, P, True, [1.0])
    before = contents(tmp_path)
    with open_store(tmp_path / "s.db", read_only=True) as store:
        assert store.contains("p", SOURCE, P)
        assert len(store.get_program_records("p", SOURCE)) == store.count() == 1
        assert store.stats()["total_records"] == store.program_count() == 1
        assert store.lookup_many([("p", SOURCE, P)])[0] == store.lookup("p", SOURCE, P)
        assert store.get(store.keys()[0])
        assert "1 records" in store._repr_html_()
        assert contents(tmp_path) == before
        exported = store.export(tmp_path / "all.json")
        backup = store.backup(tmp_path / "copy.db")
    assert exported.stat().st_size > 0
    with open_store(backup) as copy:
        assert copy.record("p", SOURCE, "", True, [1.0]), "the copy may be written"


@pytest.fixture
def closed_directory(protocol: str) -> Iterator[Path]:
    """Make a store of root in a directory where others may look and nothing else."""
    with public_directory(0o755) as directory:
        with open_store(directory / "s.db", lock=protocol) as store:
            store.record("p", SOURCE, P, True, [1.5])
        yield directory


READ = """
store = TiraStore(sys.argv[1] + "/s.db", cpu_model="TestCPU", slurm_cpus="4", **eval(sys.argv[2]))
assert not store.writes_allowed
assert store.lookup("p", "void blur() {}", "P(L0, comps=[c])").execution_times == [1.5]
assert store.lookup("p", "void blur() {}", "") is None
assert store.count() == store.stats()["total_records"] == len(store.keys()) == 1
assert store.get_program_source("p") and store.get_program_records("p", "void blur() {}")
for write in (
    lambda: store.record("p", "void blur() {}", "", True, [1.0]),
    lambda: store.record_many("p", "void blur() {}", []),
    lambda: store.delete(store.keys()[0]),
):
    try:
        write()
    except PermissionError as refused:
        assert sys.argv[1] in str(refused), refused
        assert isinstance(refused, tirastore.WriteNotAllowedError)
    else:
        raise SystemExit("wrote")
assert len(store.lookup_many([("p", "void blur() {}", "")] * 3)) == 3
"""


@needs_root
@pytest.mark.parametrize("options", ["{}", "{'read_only': True}", "{'share': False}"])
def test_a_directory_that_may_not_be_written_serves_lookups(
    closed_directory: Path, options: str
) -> None:
    before = contents(closed_directory)
    run_python(READ, closed_directory, options, user=NOBODY)
    assert contents(closed_directory) == before
    assert mode(closed_directory) == 0o755


@needs_root
@pytest.mark.parametrize("name", ["a?b#c%41 é'", "b\udcff"])
def test_a_directory_of_any_name_serves_lookups(name: str) -> None:
    with public_directory(0o755) as directory:
        inner = directory / name
        with open_store(inner / "s.db") as store:
            store.record("p", SOURCE, P, True, [1.5])
        inner.chmod(0o755)
        run_python(READ.replace("in str(refused)", "is not None"), inner, "{}", user=NOBODY)


@needs_root
def test_a_reader_without_rights_exports_and_backs_up_to_where_it_may_write(
    closed_directory: Path,
) -> None:
    code = """
store = TiraStore(sys.argv[1] + "/s.db", cpu_model="TestCPU", slurm_cpus="4")
assert store.export(sys.argv[2] + "/all.json").exists()
backup = store.backup(sys.argv[2] + "/b.db")
assert TiraStore(backup, cpu_model="TestCPU", slurm_cpus="4").count() == 1
try:
    store.backup()
except OSError as refused:
    assert sys.argv[1] in str(refused), refused
else:
    raise SystemExit("wrote beside the store")
"""
    before = contents(closed_directory)
    with public_directory(0o777) as own:
        run_python(code, closed_directory, own, user=NOBODY)
        assert sorted(contents(own)) == ["all.json", "b.db"]
    assert contents(closed_directory) == before


@needs_root
def test_a_reader_that_may_not_lock_says_busy_while_a_writer_is_inside(
    closed_directory: Path,
) -> None:
    code = """
options = dict(cpu_model="TestCPU", slurm_cpus="4", lock_timeout=0.4)
store = TiraStore(sys.argv[1], **options)
print("ready", flush=True)
sys.stdin.readline()
def look_up():
    store.lookup("p", "void blur() {}", "")
def open_again():
    TiraStore(sys.argv[1], **options)
for call in (look_up, open_again):
    began = time.monotonic()
    try:
        call()
    except tirastore.StoreBusyError as busy:
        assert isinstance(busy, TimeoutError) and sys.argv[1] in str(busy)
        assert 0.39 < time.monotonic() - began < 5
    else:
        raise SystemExit("read below a writer")
print("busy twice", flush=True)
sys.stdin.readline()
assert store.lookup("p", "void blur() {}", "P(L0,comps=[c])")
print("read", flush=True)
"""
    path = closed_directory / "s.db"
    with process(code, path, user=NOBODY) as reader:
        assert reader.stdin is not None
        assert reader.stdout is not None
        # A token says whether its holder writes; under a lock file, any holder may.
        with held(path, "W") as holder:
            reader.stdin.write("go\n")
            reader.stdin.flush()
            assert reader.stdout.readline() == "busy twice\n", reader.stderr.read()
            holder.release()
        reader.stdin.write("go\n")
        reader.stdin.flush()
        assert reader.stdout.readline() == "read\n", reader.stderr.read()


@needs_root
def test_a_file_that_may_not_be_written_serves_lookups(protocol: str) -> None:
    with public_directory(0o777) as directory:
        with open_store(directory / "s.db", lock=protocol) as store:
            store.record("p", SOURCE, P, True, [1.5])
        (directory / "s.db").chmod(0o644)
        before = contents(directory)
        run_python(READ, directory, "{}", user=NOBODY)
        assert contents(directory) == before


OVERWRITE = """
SOURCE = "void blur() {}"
store = TiraStore(sys.argv[1], cpu_model="TestCPU", slurm_cpus="4")
print("ready", flush=True)
for value in range(1, 1_000_000):
    store.record_batch(
        [
            tirastore.Measurement("p", SOURCE, f"U(L0,{n},comps=['c'])", True, [value] * 30)
            for n in range(20)
        ],
        overwrite=True,
    )
    time.sleep(0.01)
"""

READ_WHILE_WRITTEN = """
store = TiraStore(sys.argv[1], cpu_model="TestCPU", slurm_cpus="4", lock_timeout=60)
asked = [("p", "void blur() {}", f"U(L0,{number},comps=['c'])") for number in range(20)]
seen = set()
end = time.monotonic() + 2
while time.monotonic() < end or len(seen) < 2:
    one = store.lookup(*asked[3]).execution_times
    assert len(one) == 30 and len(set(one)) == 1, one
    many = store.lookup_many(asked)
    values = {value for found in many for value in found.execution_times}
    assert len(values) == 1, values
    assert not seen or max(values) >= max(seen), "an older state came back"
    seen |= values
    stats = store.stats()
    assert stats["total_records"] == stats["legal_records"] == 20 and stats["damaged_records"] == 0
print(len(seen))
"""


@needs_root
@pytest.mark.parametrize("user", [None, NOBODY], ids=["with the lock", "without a lock"])
def test_lookups_are_never_torn_while_a_writer_overwrites(user: int | None, protocol: str) -> None:
    with public_directory(0o755) as directory:
        path = directory / "s.db"
        with open_store(path, lock=protocol) as store:
            entries = [
                {
                    "tiralib_schedule_string": f"U(L0,{number},comps=['c'])",
                    "is_legal": True,
                    "execution_times": [0.5] * 30,
                }
                for number in range(20)
            ]
            store.record_many("p", SOURCE, entries)
        with process(OVERWRITE, path):
            states = int(run_python(READ_WHILE_WRITTEN, path, user=user))
        assert states >= 2


def test_readers_in_threads_share_one_object(tmp_path: Path, protocol: str) -> None:
    with open_store(tmp_path / "s.db", lock=protocol) as writer:
        for number in range(20):
            writer.record("p", SOURCE, schedule(number), True, [float(number)])
    store = open_store(tmp_path / "s.db", read_only=True)
    wrong: list[object] = []

    def read() -> None:
        for number in range(20):
            found = store.lookup("p", SOURCE, schedule(number))
            if found is None or found.execution_times != [float(number)]:
                wrong.append(found)

    threads = [threading.Thread(target=read) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_a_reader_leaves_no_trace(tmp_path: Path, protocol: str) -> None:
    with open_store(tmp_path / "s.db", lock=protocol):
        pass
    os.utime(tmp_path / "s.db", (1, 1))
    with TiraStore(tmp_path / "s.db", read_only=True, allow_cpu_mismatch=True) as store:
        assert store.count() == 0
    assert (tmp_path / "s.db").stat().st_mtime == 1


@needs_root
def test_a_journal_that_was_never_begun_keeps_no_reader_out(closed_directory: Path) -> None:
    # What a writer leaves that is killed before it has synced its journal: SQLite ignores it.
    (closed_directory / "s.db-journal").write_bytes(bytes(512))
    code = """
import sys
from tirastore import TiraStore
with TiraStore(sys.argv[1], lock_timeout=5.0, allow_cpu_mismatch=True) as store:
    assert not store.writes_allowed
    print(store.count())
"""
    assert int(run_python(code, closed_directory / "s.db", user=NOBODY)) >= 1
