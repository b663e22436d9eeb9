"""From one lock protocol to the other and back, restoring, breaking, and telling who is inside."""

import datetime as dt
import logging
import os
import socket
import threading
import time
from pathlib import Path

import fleet
import pytest
from support import (
    MACHINE,
    SOURCE,
    at_rest,
    contents,
    held,
    hold_token,
    lock_of,
    mode,
    needs_root,
    old_store,
    open_store,
    process,
    public_directory,
    query,
    schedule,
)

from tirastore import (
    CpuMismatchWarning,
    LockError,
    LockTimeoutError,
    NotAStoreError,
    StoreFileError,
    StoreWarning,
    TiraStore,
    WriteNotAllowedError,
    break_lock,
    lock_info,
    repair_lock,
)

P = "P(L0,comps=['c'])"


def fill(store: TiraStore, count: int = 5) -> None:
    entries = [
        {"tiralib_schedule_string": schedule(number), "is_legal": False} for number in range(count)
    ]
    store.record_many("p", SOURCE, entries)


def test_sealing_and_unsealing_keep_every_record_and_say_whether_they_did_anything(
    tmp_path: Path,
) -> None:
    with open_store(tmp_path / "s.db", lock="hardlink") as store:
        fill(store)
        rows = query(store.db_path, "SELECT * FROM records ORDER BY key")
        assert (store.unseal(), store.lock_info().protocol) == (False, "hardlink")
        for _ in range(2):
            assert (store.seal(), store.lock_info().protocol) == (True, "token")
            assert store.seal() is False
            assert store.record("p", SOURCE, P, True, [1.0])
            assert store.delete(store.keys()[-1])
            assert at_rest(tmp_path) == ["s.db"]
            assert (store.unseal(), store.lock_info().protocol) == (True, "hardlink")
            assert sorted(contents(tmp_path)) == ["s.db"], "an original may run into anything else"
            assert store.record("p", SOURCE, P, True, [1.0])
            assert store.delete(store.keys()[-1])
        assert query(store.db_path, "SELECT * FROM records ORDER BY key") == rows
        assert query(store.db_path, "PRAGMA integrity_check") == [("ok",)]


@pytest.mark.parametrize("share", [None, False])
def test_a_lock_directory_is_open_to_those_to_whom_its_store_is(
    tmp_path: Path, *, share: bool | None
) -> None:
    with open_store(tmp_path / "s.db", lock="hardlink", share=share) as store:
        store.seal()
        lock = lock_of(store.db_path)
        assert oct(mode(lock)) == oct(0o777 if share is None else 0o700)


def test_a_store_of_the_original_can_be_sealed(tmp_path: Path) -> None:
    old_store(tmp_path / "old.db", [(schedule(1), '{"is_legal":false}')])
    with open_store(tmp_path / "old.db") as store:
        assert store.seal()
        assert store.record("p", SOURCE, P, True, [1.0])
        assert store.count() == 2
    assert at_rest(tmp_path) == ["old.db"]


def test_sealing_beside_running_originals_loses_nothing_and_shuts_them_out(
    tmp_path: Path,
) -> None:
    path = tmp_path / "store.db"
    with fleet.open_store(path, "sealer", lock="hardlink") as store:
        originals = {name: fleet.start("original", path, name, 1_000_000) for name in ("o1", "o2")}
        own = fleet.start("own", path, "c", 60)
        try:
            for original in originals.values():
                assert original.stdout is not None
                original.stdout.readline()
            assert store.seal()
            first = store.count()
            assert own.communicate(timeout=60)[0].split() == [str(n) for n in range(60)]
            time.sleep(0.2)
            ours = {fleet.schedule("c", number) for number in range(60)}
            found = {result.schedule for result in store.get_program_records("f", fleet.SOURCE)}
        finally:
            for original in originals.values():
                original.kill()
        assert ours <= found
        assert len(found - ours) <= first, "an original recorded beside us"
        for name, original in originals.items():
            lines = original.communicate()[0].splitlines(keepends=True)
            acknowledged = {0, *(int(line) for line in lines if line.endswith("\n"))}
            assert {fleet.schedule(name, number) for number in acknowledged} <= found
    # Originals that were killed while waiting leave what they link: the next to open sweeps it.
    fleet.open_store(path, "next").close()
    assert at_rest(tmp_path) == ["store.db"]
    assert query(path, "PRAGMA integrity_check") == [("ok",)]


def test_sealing_waits_for_whoever_is_inside(tmp_path: Path) -> None:
    with open_store(tmp_path / "s.db", lock="hardlink", lock_timeout=0.3) as store:
        with held(store.db_path) as holder:
            with pytest.raises(LockTimeoutError, match=f"process {holder.pid}"):
                store.seal()
            assert store.lock_info().protocol == "hardlink"
        assert store.seal()
        with held(store.db_path) as holder:
            with pytest.raises(LockTimeoutError, match=f"process {holder.pid}"):
                store.unseal()
            assert store.lock_info().protocol == "token"
        assert store.unseal()
    assert at_rest(tmp_path) == ["s.db"]


def test_a_store_that_many_seal_at_once_is_sealed_once(tmp_path: Path) -> None:
    stores = [open_store(tmp_path / "s.db", lock="hardlink") for _ in range(4)]
    answers: list[bool] = []
    threads = [
        threading.Thread(target=lambda store=store: answers.append(store.seal()))
        for store in stores
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answers) == [False, False, False, True]
    assert at_rest(tmp_path) == ["s.db"]


WORK = """
store = TiraStore(sys.argv[1], cpu_model="TestCPU", slurm_cpus="4", lock_timeout=20)
store.record("p", "void blur() {}", "U(L2,1000,comps=['c'])", True, [1.0])
assert store.lookup("p", "void blur() {}", "U(L2,1000,comps=['c'])")
print("ready", flush=True)
for line in sys.stdin:
    number = int(line)
    before = store.count()
    written = store.record("p", "void blur() {}", f"U(L0,{number},comps=['c'])", True, [1.0])
    print(before, written, store.count(), flush=True)
"""


def ask(client, number: int) -> str:
    client.stdin.write(f"{number}\n")
    client.stdin.flush()
    return client.stdout.readline()


def test_who_has_the_store_open_notices_that_it_was_sealed_and_unsealed(tmp_path: Path) -> None:
    store = open_store(tmp_path / "s.db", lock="hardlink")
    with process(WORK, store.db_path) as other:
        assert ask(other, 1) == "1 True 2\n"
        assert store.seal()
        assert ask(other, 2) == "2 True 3\n"
        assert store.unseal()
        assert ask(other, 3) == "3 True 4\n"
        assert store.count() == 4


def test_a_kept_connection_of_another_process_notices_a_restore_at_its_next_call(
    tmp_path: Path, protocol: str
) -> None:
    with open_store(tmp_path / "s.db", lock=protocol) as store:
        fill(store)
        backup = store.backup(tmp_path / "backup.db")
        before = backup.read_bytes()
        with process(WORK, store.db_path) as other:
            assert ask(other, 100) == "6 True 7\n"
            store.restore(backup)
            assert store.count() == 5
            assert ask(other, 101) == "5 True 6\n"
            assert store.contains("p", SOURCE, "U(L0,101,comps=['c'])"), "nothing into an orphan"
            assert not store.contains("p", SOURCE, "U(L0,100,comps=['c'])")
        assert backup.read_bytes() == before
        assert oct(mode(store.db_path)) == oct(0o666)
        assert query(store.db_path, "PRAGMA integrity_check") == [("ok",)]
    assert at_rest(tmp_path) == ["backup.db", "s.db"]


def test_what_is_no_store_is_not_restored(tmp_path: Path, protocol: str) -> None:
    with open_store(tmp_path / "s.db", lock=protocol) as store:
        fill(store)
        (tmp_path / "text").write_text("dear diary\n" * 1000)
        old_store(tmp_path / "version3", [], schema_version="3")
        (tmp_path / "empty").touch()
        for backup in ("text", "version3", "empty"):
            with pytest.raises(NotAStoreError, match=backup):
                store.restore(tmp_path / backup)
        with pytest.raises((StoreFileError, FileNotFoundError)):
            store.restore(tmp_path / "missing")
        old_store(tmp_path / "hot", [])
        (tmp_path / "hot-journal").write_bytes(b"\xd9\xd5\x05\xf9")
        with pytest.raises(ValueError, match=r"hot.*journal"):
            store.restore(tmp_path / "hot")
        with pytest.raises(ValueError, match="itself"):
            store.restore(store.db_path)
        assert store.count() == 5
        assert store.record("p", SOURCE, P, True, [1.0])
    assert at_rest(tmp_path) == ["empty", "hot", "hot-journal", "s.db", "text", "version3"]


def test_those_who_may_not_write_change_neither_lock_nor_records(tmp_path: Path) -> None:
    with open_store(tmp_path / "s.db") as store:
        backup = store.backup(tmp_path / "b.db")
    with pytest.warns(CpuMismatchWarning):
        other = TiraStore(store.db_path, cpu_model="another")
    for call in (other.seal, other.unseal, lambda: other.restore(backup)):
        with pytest.raises(WriteNotAllowedError):
            call()
    assert lock_info(store.db_path).protocol == "token"


def test_who_is_inside_is_told(store: TiraStore) -> None:
    path = store.db_path
    free = lock_info(path)
    assert free == store.lock_info()
    assert (free.path, free.held, free.hostname, free.pid, free.user, free.since) == (
        lock_of(path),
        *(False, None, None, None, None),
    )
    assert (free.waiting, free.damage, free.writing, free.must_fence) == ((), None, False, False)
    with held(path) as holder:
        info = lock_info(str(path))
        assert (info.held, info.pid, info.holder_is_dead) == (True, holder.pid, False)
        assert info.hostname == socket.gethostname()
        assert info.user
        assert info.since is not None
        assert abs(dt.datetime.now(dt.UTC) - info.since) < dt.timedelta(minutes=1)
        waiter = threading.Thread(target=store.record, args=("p", SOURCE, P, True, [1.0]))
        waiter.start()
        deadline = time.monotonic() + 20
        while not (waiting := lock_info(path).waiting) and time.monotonic() < deadline:
            time.sleep(0.01)
        who, seconds = waiting[0]
        assert f"process {os.getpid()} on {socket.gethostname()}" in who
        assert (0.2 if info.protocol == "token" else 0) <= seconds < 20
    waiter.join()
    info = lock_info(path)
    assert (info.held, info.waiting) == (False, ())
    if info.protocol == "token":
        assert info.generation > free.generation
        assert info.fence == free.fence
    else:
        assert (info.fence, info.generation) == (None, None)


@pytest.mark.parametrize(
    ("flags", "writing", "must_fence"),
    [("", False, False), ("W", True, False), ("D", False, True), ("WD", True, True)],
)
def test_what_a_holder_is_about_to_do_is_told(
    tmp_path: Path, flags: str, *, writing: bool, must_fence: bool
) -> None:
    with open_store(tmp_path / "s.db") as store:
        with held(store.db_path, flags) as holder:
            info = store.lock_info()
            assert (info.writing, info.must_fence) == (writing, must_fence)
            holder.kill()
            assert store.lock_info().holder_is_dead
            assert store.record("p", SOURCE, P, True, [1.0])
        info = store.lock_info()
        assert (info.held, info.writing, info.must_fence) == (False, False, False)


def test_looking_at_a_lock_needs_no_store_and_changes_nothing(tmp_path: Path) -> None:
    info = lock_info(tmp_path / "none.db")
    assert (info.protocol, info.held) == ("hardlink", False)
    old_store(tmp_path / "old.db", [])
    before = contents(tmp_path)
    assert lock_info(tmp_path / "old.db").protocol == "hardlink"
    assert contents(tmp_path) == before
    with pytest.raises(ValueError, match="nothing to repair"):
        repair_lock(tmp_path / "old.db")


@pytest.mark.parametrize("flags", ["", "W"])
def test_breaking_a_lock_frees_it_though_its_holder_lives(
    tmp_path: Path, protocol: str, flags: str
) -> None:
    with open_store(tmp_path / "s.db", lock=protocol, lock_timeout=5.0) as store:
        fill(store)
        with held(store.db_path, flags if protocol == "token" else ""):
            began = time.monotonic()
            break_lock(store.db_path)
            assert not lock_info(store.db_path).held
            assert store.record("p", SOURCE, P, True, [1.0])
            assert time.monotonic() - began < 5, "its takeover time is 30 s"
        assert store.count() == 6
        break_lock(store.db_path)
    assert at_rest(tmp_path) == ["s.db"]


def test_a_live_writer_whose_lock_was_broken_is_shut_out_and_loses_nothing_acknowledged(
    tmp_path: Path,
) -> None:
    path = tmp_path / "store.db"
    with fleet.open_store(path, "breaker", lock="token") as store:
        writer = fleet.start("own", path, "w", 150)
        while store.count() < 10:
            time.sleep(0.005)
        for _ in range(10):
            break_lock(path)
            time.sleep(0.01)
        output, _ = writer.communicate(timeout=60)
        assert writer.returncode == 0
        numbers = [int(line) for line in output.split()]
        assert numbers == list(range(150))
        found = {result.schedule for result in store.get_program_records("f", fleet.SOURCE)}
        assert found == {fleet.schedule("w", number) for number in numbers}
    assert at_rest(tmp_path) == ["store.db"]
    assert query(path, "PRAGMA integrity_check") == [("ok",)]


def test_a_takeover_without_a_fence_is_a_warning_that_says_what_to_do(tmp_path: Path) -> None:
    tmp_path.chmod(0o1777)
    path = tmp_path / "s.db"
    with open_store(path, stale_lock_timeout=0.5) as store:
        fill(store)
        fence = store.lock_info().fence
        hold_token(lock_of(path), 4711, flags="W", elsewhere=True)
        began = time.monotonic()
        with pytest.warns(StoreWarning, match=r"without a fence.*chmod -t.*verify") as caught:
            store.record("p", SOURCE, P, True, [1.0])
        # Twice the takeover time: what a stopped writer had on its way has arrived by then.
        assert time.monotonic() - began >= 1.0
        assert len(caught) == 1
        assert caught[0].filename == __file__
        assert store.lock_info().fence != fence, "raised all the same"
        assert store.count() == 6
    assert at_rest(tmp_path) == ["s.db"]


def test_a_store_in_a_sticky_directory_is_not_restored_and_says_why(tmp_path: Path) -> None:
    with open_store(tmp_path / "s.db") as store:
        fill(store)
        backup = store.backup(tmp_path / "b.db")
        tmp_path.chmod(0o1777)
        with pytest.raises(StoreFileError, match=r"sticky.*chmod -t"):
            store.restore(backup)
        assert store.count() == 5
        assert store.record("p", SOURCE, P, True, [1.0])


@needs_root
def test_who_may_not_remove_the_lock_directory_does_not_unseal_and_the_store_works_on() -> None:
    code = """
store = TiraStore(sys.argv[1], cpu_model="TestCPU", slurm_cpus="4")
print("ready", flush=True)
try:
    store.unseal()
except tirastore.TiraStoreError as refused:
    print(refused, flush=True)
print(store.lock_info().protocol, store.count(), flush=True)
"""
    with public_directory(0o1777) as directory:
        store = open_store(directory / "s.db", lock_timeout=5.0)
        # Without a journal, the other one makes it, may remove it, and fails at the lock alone.
        for journal_of_ours in (True, False):
            fill(store)
            if not journal_of_ours:
                (directory / "s.db-journal").unlink()
            with process(code, store.db_path, user=40001) as other:
                assert "chmod -t" in other.stdout.readline()
                assert other.stdout.readline() == "token 5\n"
            began = time.monotonic()
            assert store.record("p", SOURCE, P, True, [1.0])
            assert store.delete(store.keys()[-1])
            assert time.monotonic() - began < 5, "nothing was left held"
        store.close()
        assert at_rest(directory) == ["s.db"]


def test_a_long_wait_is_logged_with_the_holder(
    store: TiraStore, caplog: pytest.LogCaptureFixture
) -> None:
    impatient = TiraStore(store.db_path, lock_timeout=5.6, **MACHINE)
    with held(store.db_path) as holder, caplog.at_level(logging.WARNING, logger="tirastore"):
        began = time.monotonic()
        with pytest.raises(LockTimeoutError):
            impatient.record("p", SOURCE, P, True, [1.0])
        assert time.monotonic() - began >= 5
    (entry,) = [entry for entry in caplog.records if entry.name == "tirastore"]
    assert f"process {holder.pid}" in entry.getMessage()
    assert entry.levelno == logging.WARNING


def test_short_waits_are_not_logged(store: TiraStore, caplog: pytest.LogCaptureFixture) -> None:
    impatient = TiraStore(store.db_path, lock_timeout=0.5, **MACHINE)
    caplog.set_level(logging.DEBUG, logger="tirastore")
    with held(store.db_path), pytest.raises(LockTimeoutError):
        impatient.record("p", SOURCE, P, True, [1.0])
    assert [entry for entry in caplog.records if entry.name == "tirastore"] == []


def test_a_lock_path_that_is_neither_file_nor_directory_of_ours_is_an_error(
    tmp_path: Path,
) -> None:
    # An empty directory: sealed, as far as anybody can see, and its token gone.
    old_store(tmp_path / "s.db", [])
    lock_of(tmp_path / "s.db").mkdir()
    with pytest.raises(LockError, match="--repair"):
        open_store(tmp_path / "s.db", lock_timeout=20.0)
    assert repair_lock(tmp_path / "s.db")
    with open_store(tmp_path / "s.db") as store:
        assert store.record("p", SOURCE, P, True, [1.0])
