"""Files of the original open and work, and go on working for it; what is no store is left alone."""

import contextlib
import json
import math
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support import (
    SOURCE,
    at_rest,
    contents,
    lock_of,
    old_store,
    open_store,
    query,
    reference_key,
    reference_program_hash,
    schedule,
)

import tirastore
from tirastore import (
    CorruptRecordError,
    CorruptRecordWarning,
    Measurement,
    NotAStoreError,
    TiraStore,
    TiraStoreError,
)

PROGRAM = reference_program_hash(SOURCE)

#: result_json of good rows, and what a lookup makes of it.
READABLE: dict[str, tuple[bool, list[float] | None]] = {
    '{"is_legal":true,"execution_times":[0.5,1e-05]}': (True, [0.5, 1e-5]),
    '{"is_legal": false, "execution_times": null}': (False, None),
    '{"is_legal":false}': (False, None),
    '{"is_legal":1,"execution_times":[3]}': (True, [3.0]),
    '{"is_legal":0,"execution_times":[]}': (False, []),
    '{"is_legal":true,"execution_times":[0.1],"note":"NaN \\" é"}': (True, [0.1]),
    '{"is_legal":true,"execution_times":[NaN,1.0]}': (True, [math.nan, 1.0]),
    '{"is_legal":true,"execution_times":[Infinity,-Infinity]}': (True, [math.inf, -math.inf]),
}
NON_FINITE = 2
#: result_json of rows that nobody can make sense of.
UNREADABLE = [
    *("", "{", "[]", "null", "NaN", "{}", '{"execution_times":[1.0]}', '{"is_legal":"yes"}'),
    '{"is_legal":true,"execution_times":"fast"}',
    '{"is_legal":true,"execution_times":["1"]}',
    '{"is_legal":true,"execution_times":[null]}',
]


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """Make a file of the original: the readable rows first, then the others."""
    path = tmp_path / "old.db"
    results = [*READABLE, *UNREADABLE]
    old_store(path, [(schedule(number), result) for number, result in enumerate(results)])
    return path


def same(left: list[float] | None, right: list[float] | None) -> bool:
    return repr(left) == repr(right)


def test_every_readable_row_of_the_original_is_found(old: Path) -> None:
    with open_store(old) as store:
        assert (store.cpu_model, store.slurm_cpus, store.writes_allowed) == ("TestCPU", "4", True)
        for number, (is_legal, times) in enumerate(READABLE.values()):
            found = store.lookup("blur", SOURCE, schedule(number))
            assert found is not None
            assert found.is_legal is is_legal
            assert same(found.execution_times, times)
            assert (found.hostname, found.username, found.source_project) == (
                "node01",
                "ada",
                "old",
            )
            assert found.creation_date == f"2025-01-01T00:00:{number:02}.000001+00:00"
        assert store.get_program_source("blur") == [
            {"program_hash": PROGRAM, "source_code": SOURCE}
        ]


def test_numbers_beyond_the_range_are_read_as_python_reads_them(tmp_path: Path) -> None:
    old_store(tmp_path / "s.db", [("", '{"is_legal":true,"execution_times":[1e400,1]}')])
    with open_store(tmp_path / "s.db") as store:
        found = store.lookup("blur", SOURCE, "")
    assert found is not None
    assert found.execution_times == [math.inf, 1.0]


def test_keys_are_those_of_the_originals_formula(old: Path) -> None:
    expected = [
        reference_key(PROGRAM, schedule(number))
        for number in range(len(READABLE) + len(UNREADABLE))
    ]
    with open_store(old) as store:
        assert store.keys() == expected
        assert store.record("new", "void new() {} // é", " R(L0, comps=[c])", False)
        hashed = reference_program_hash("void new() {}")
        assert store.keys()[-1] == reference_key(hashed, "R(L0,comps=['c'])")


def test_a_row_that_cannot_be_decoded_is_an_error_that_names_its_key(old: Path) -> None:
    with open_store(old) as store:
        for number in range(len(READABLE), len(READABLE) + len(UNREADABLE)):
            key = reference_key(PROGRAM, schedule(number))
            with pytest.raises(CorruptRecordError, match=key) as caught:
                store.lookup("blur", SOURCE, schedule(number))
            assert isinstance(caught.value, ValueError)
            with pytest.raises(CorruptRecordError, match=key):
                store.lookup_many([("blur", SOURCE, schedule(number))])
            assert store.contains("blur", SOURCE, schedule(number))
            row = store.get(key)
            assert row is not None
            assert row["result_json"] == UNREADABLE[number - len(READABLE)]


def test_a_scan_leaves_unreadable_rows_out_and_warns_with_their_keys(old: Path) -> None:
    with open_store(old) as store:
        with pytest.warns(CorruptRecordWarning, match=str(len(UNREADABLE))) as caught:
            found = store.get_program_records("blur", SOURCE)
        assert [result.schedule for result in found] == [
            schedule(number) for number in range(len(READABLE))
        ]
        for number in range(len(READABLE), len(READABLE) + len(UNREADABLE)):
            assert reference_key(PROGRAM, schedule(number)) in str(caught[0].message)
        assert caught[0].filename == __file__


def test_stats_count_damaged_rows_and_never_fail(old: Path) -> None:
    with open_store(old) as store:
        stats = store.stats()
    legal = sum(is_legal for is_legal, _ in READABLE.values())
    assert stats["total_records"] == len(READABLE) + len(UNREADABLE)
    assert (stats["legal_records"], stats["illegal_records"]) == (legal, len(READABLE) - legal)
    assert stats["damaged_records"] == len(UNREADABLE) + NON_FINITE
    assert (stats["total_programs"], stats["users"]) == (1, ["ada"])
    assert stats["source_projects"] == ["old"]


def test_damaged_rows_are_exported_as_null_with_a_warning(old: Path, tmp_path: Path) -> None:
    with (
        open_store(old) as store,
        pytest.warns(CorruptRecordWarning, match=str(len(UNREADABLE) + NON_FINITE)),
    ):
        exported = store.export(tmp_path / "all.json")
    schedules = json.loads(exported.read_text())["blur"]["schedules_list"]
    assert len(schedules) == len(READABLE) + len(UNREADABLE)
    for number, (entry, (is_legal, times)) in enumerate(
        zip(schedules, READABLE.values(), strict=False)
    ):
        kept = times and [time if math.isfinite(time) else None for time in times]
        assert entry == {
            "schedule_str": schedule(number),
            "is_legal": is_legal,
            "execution_times": kept if times else times,
        }
    for entry in schedules[len(READABLE) :]:
        assert (entry["is_legal"], entry["execution_times"]) == (None, None)


@pytest.mark.parametrize(
    "column", ["schedule", "hostname", "username", "creation_date", "update_date", "source_project"]
)
def test_a_row_with_bytes_where_text_belongs_breaks_nothing_else(old: Path, column: str) -> None:
    key = reference_key(PROGRAM, schedule(1))
    with contextlib.closing(sqlite3.connect(old)) as connection:
        connection.execute(f"UPDATE records SET {column} = x'ff00' WHERE key = ?", (key,))  # noqa: S608
        connection.commit()
    with open_store(old) as store:
        assert store.lookup("blur", SOURCE, schedule(0)) is not None
        assert store.stats()["total_records"] == len(READABLE) + len(UNREADABLE)
        assert store.contains("blur", SOURCE, schedule(1))
        with pytest.warns(CorruptRecordWarning):
            assert len(store.get_program_records("blur", SOURCE)) >= len(READABLE) - 1
        with pytest.warns(CorruptRecordWarning):
            store.export(old.with_name("all.json"))


@pytest.mark.parametrize("stored", [b"\xff\xfe", 7, 1.5, b'{"is_legal":true}'])
def test_a_result_that_is_no_text_is_a_damaged_record(old: Path, stored: object) -> None:
    key = reference_key(PROGRAM, schedule(1))
    with contextlib.closing(sqlite3.connect(old)) as connection:
        connection.execute("UPDATE records SET result_json = ? WHERE key = ?", (stored, key))
        connection.commit()
    with open_store(old) as store:
        assert store.stats()["total_records"] == len(READABLE) + len(UNREADABLE)
        with pytest.raises(CorruptRecordError, match=key):
            store.lookup("blur", SOURCE, schedule(1))
        with pytest.warns(CorruptRecordWarning, match=key):
            found = store.get_program_records("blur", SOURCE)
        assert len(found) == len(READABLE) - 1
        with pytest.warns(CorruptRecordWarning):
            exported = store.export(old.with_name("all.json"))
        assert len(json.loads(exported.read_text())["blur"]["schedules_list"]) == len(
            READABLE
        ) + len(UNREADABLE)


def test_a_result_that_is_not_utf8_is_a_damaged_record(old: Path) -> None:
    key = reference_key(PROGRAM, schedule(1))
    with contextlib.closing(sqlite3.connect(old)) as connection:
        connection.execute(
            "UPDATE records SET result_json = CAST(x'7bff7d' AS TEXT) WHERE key = ?", (key,)
        )
        connection.commit()
    with open_store(old) as store:
        assert store.stats()["damaged_records"] == len(UNREADABLE) + NON_FINITE + 1
        with pytest.raises(CorruptRecordError, match=key):
            store.lookup("blur", SOURCE, schedule(1))
        with pytest.warns(CorruptRecordWarning, match=key):
            store.get_program_records("blur", SOURCE)
        with pytest.warns(CorruptRecordWarning):
            store.export(old.with_name("all.json"))


def test_reading_changes_no_byte_and_the_first_write_only_adds(old: Path) -> None:
    before = contents(old.parent)
    everything = query(old, "SELECT * FROM records ORDER BY key")
    schema = set(query(old, "SELECT type, name, sql FROM sqlite_master"))
    with open_store(old) as store:
        store.lookup("blur", SOURCE, schedule(0))
        store.keys()
        store.stats()
        store.get_program_source("another")
        with pytest.warns(CorruptRecordWarning):
            store.get_program_records("blur", SOURCE)
        assert contents(old.parent) == before
        assert store.record("blur", SOURCE, schedule(0), True, [9.0]) is False
        assert store.record("second name", SOURCE, schedule(90), True, [9.0])
        assert store.get_program_source("second name")
    assert set(query(old, "SELECT type, name, sql FROM sqlite_master")) > schema
    key = reference_key(PROGRAM, schedule(90))
    assert query(old, "SELECT * FROM records WHERE key <> ? ORDER BY key", key) == everything
    assert query(old, "SELECT value FROM db_meta WHERE key = 'schema_version'") == [("2",)]
    assert query(old, "PRAGMA integrity_check") == [("ok",)]
    assert query(old, "PRAGMA journal_mode") == [("delete",)]


def test_a_store_of_ours_has_the_originals_tables_column_for_column(tmp_path: Path) -> None:
    old_store(tmp_path / "old.db", [])
    with open_store(tmp_path / "ours.db"):
        pass
    for table in ("db_meta", "programs", "records"):
        columns = f"PRAGMA table_info({table})"
        assert query(tmp_path / "ours.db", columns) == query(tmp_path / "old.db", columns)
        assert query(tmp_path / "ours.db", columns)
        keys = f"PRAGMA foreign_key_list({table})"
        assert query(tmp_path / "ours.db", keys) == query(tmp_path / "old.db", keys)
    meta = dict(query(tmp_path / "ours.db", "SELECT key, value FROM db_meta"))
    assert meta.keys() >= {"schema_version", "cpu_model", "slurm_cpus", "created_at"}
    assert (meta["schema_version"], meta["cpu_model"], meta["slurm_cpus"]) == ("2", "TestCPU", "4")


@pytest.mark.parametrize("origin", ["old", "ours"])
def test_the_originals_statements_go_on_working_after_we_wrote(tmp_path: Path, origin: str) -> None:
    path = tmp_path / "s.db"
    if origin == "old":
        old_store(path, [(schedule(1), '{"is_legal":false}')])
    with open_store(path) as store:
        store.record("blur", SOURCE, schedule(1), False)
        store.record("blur again", SOURCE, schedule(2), True, [1.0])
        with contextlib.closing(sqlite3.connect(path)) as original:
            original.execute("PRAGMA foreign_keys=ON")
            columns = "(?, ?, ?, ?, 'n', 'u', '2025', '2025', '')"
            nan = '{"is_legal":true,"execution_times":[NaN]}'
            key = reference_key(PROGRAM, schedule(3))
            original.execute(
                f"INSERT OR IGNORE INTO records VALUES {columns}",  # noqa: S608 -- no input
                (key, PROGRAM, schedule(3), nan),
            )
            original.execute(
                "INSERT OR IGNORE INTO programs VALUES (?, ?, ?)",
                ("f" * 64, "new", "void new() {}"),
            )
            original.execute(
                f"INSERT OR REPLACE INTO records VALUES {columns}",  # noqa: S608 -- no input
                ("0" * 64, "f" * 64, "", nan),
            )
            original.execute(
                "UPDATE records SET result_json = ?, update_date = '2026' WHERE key = ?", (nan, key)
            )
            original.execute(
                "DELETE FROM records WHERE key = ?", (reference_key(PROGRAM, schedule(1)),)
            )
            original.execute(
                "UPDATE programs SET program_name = 'renamed' WHERE program_hash = ?", ("f" * 64,)
            )
            with pytest.raises(sqlite3.IntegrityError):
                original.execute("DELETE FROM programs WHERE program_hash = ?", (PROGRAM,))
            original.execute("DELETE FROM records WHERE program_hash = ?", (PROGRAM,))
            original.execute("DELETE FROM programs WHERE program_hash = ?", (PROGRAM,))
            original.commit()
        assert (store.count(), store.program_count()) == (1, 1)
        assert store.get_program_source("blur again") == []
        assert store.stats()["damaged_records"] == 1
        assert store.record("blur", SOURCE, schedule(1), True, [2.0])
        assert len(store.get_program_source("blur again")) <= 1
    assert query(path, "PRAGMA integrity_check") == [("ok",)]


def text_file(path: Path) -> None:
    path.write_text("dear diary\n" * 100)


def truncated_header(path: Path) -> None:
    old_store(path, [])
    path.write_bytes(path.read_bytes()[:60])


def truncated_database(path: Path) -> None:
    old_store(path, [(schedule(number), '{"is_legal":false}') for number in range(50)])
    path.write_bytes(path.read_bytes()[:4096])


def garbage_after_the_header(path: Path) -> None:
    path.write_bytes(b"SQLite format 3\0" + b"\x10\x00\x01\x01\x00\x40\x20\x20" + b"\xa5" * 8168)


def another_database(path: Path) -> None:
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.executescript("CREATE TABLE songs (title TEXT); INSERT INTO songs VALUES ('x');")


def meta_of_another_program(path: Path) -> None:
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.executescript("CREATE TABLE db_meta (id INTEGER, payload BLOB);")


def only_meta(path: Path) -> None:
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.executescript(
            "CREATE TABLE db_meta (key TEXT PRIMARY KEY, value TEXT NOT NULL);"
            "INSERT INTO db_meta VALUES ('schema_version', '2');"
        )


def without_version(path: Path) -> None:
    old_store(path, [], schema_version=None)


def write_ahead_log(path: Path) -> None:
    old_store(path, [(schedule(1), '{"is_legal":false}')])
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")


def of_version(version: str) -> Callable[[Path], None]:
    def make(path: Path) -> None:
        old_store(path, [(schedule(1), '{"is_legal":false}')], schema_version=version)

    make.__name__ = f"version {version!r}"
    return make


def directory(path: Path) -> None:
    path.mkdir()


@pytest.mark.parametrize("read_only", [False, True])
@pytest.mark.parametrize(
    "make",
    [
        text_file,
        truncated_header,
        another_database,
        meta_of_another_program,
        only_meta,
        without_version,
        write_ahead_log,
        *map(of_version, ["1", "3", "x", "", "2.0", " 2"]),
        directory,
    ],
    ids=lambda make: make.__name__,
)
def test_what_is_no_store_is_a_clear_error_and_left_untouched(
    tmp_path: Path, make: Callable[[Path], None], *, read_only: bool
) -> None:
    path = tmp_path / "thing.db"
    make(path)
    before = contents(tmp_path)
    with pytest.raises(NotAStoreError, match=str(path)) as caught:
        open_store(path, read_only=read_only)
    assert isinstance(caught.value, ValueError)
    assert contents(tmp_path) == before


@pytest.mark.parametrize("version", ["1", "3", "x"])
def test_an_unknown_version_is_named(tmp_path: Path, version: str) -> None:
    old_store(tmp_path / "s.db", [], schema_version=version)
    with pytest.raises(NotAStoreError, match=f'version "{version}"'):
        open_store(tmp_path / "s.db")


@pytest.mark.parametrize("make", [truncated_database, garbage_after_the_header])
def test_a_damaged_database_is_a_clear_error_and_left_untouched(
    tmp_path: Path, make: Callable[[Path], None]
) -> None:
    path = tmp_path / "thing.db"
    make(path)
    before = contents(tmp_path)
    with pytest.raises(TiraStoreError, match=str(path)):
        open_store(path)
    assert contents(tmp_path) == before


@pytest.mark.parametrize("make", [text_file, another_database, of_version("3")])
def test_what_lies_beside_a_foreign_file_is_left_alone(
    tmp_path: Path, make: Callable[[Path], None]
) -> None:
    path = tmp_path / "notes.db"
    make(path)
    path.with_name("notes.db-journal").write_bytes(b"mine")
    before = contents(tmp_path)
    with pytest.raises(NotAStoreError):
        open_store(path)
    assert contents(tmp_path) == before


def test_a_transaction_that_another_program_has_begun_is_not_rolled_back(tmp_path: Path) -> None:
    """Its locks are of fcntl, which the store does not ask: only looking first protects it."""
    path = tmp_path / "songs.db"
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as owner:
        owner.executescript("CREATE TABLE songs (title TEXT); INSERT INTO songs VALUES ('old');")
        owner.execute("PRAGMA cache_size = 5")
        owner.execute("PRAGMA cache_spill = 5")
        owner.execute("BEGIN IMMEDIATE")
        titles = [(f"{number:0500}",) for number in range(500)]
        owner.executemany("INSERT INTO songs VALUES (?)", titles)
        before = contents(tmp_path)
        assert len(before["songs.db-journal"] or b"") > 512
        with pytest.raises(TiraStoreError, match=str(path)):
            open_store(path)
        assert contents(tmp_path) == before
        owner.execute("COMMIT")
    assert query(path, "SELECT COUNT(*) FROM songs") == [(501,)]
    assert query(path, "PRAGMA integrity_check") == [("ok",)]


def test_an_empty_file_becomes_a_store(tmp_path: Path, protocol: str) -> None:
    path = tmp_path / "s.db"
    path.touch(0o600)
    with open_store(path, lock=protocol) as store:
        assert store.record("p", SOURCE, "", True, [1.0])
        assert store.count() == 1
    assert query(path, "PRAGMA integrity_check") == [("ok",)]
    assert at_rest(tmp_path) == ["s.db"]


def test_an_empty_file_is_no_store_for_a_reader(tmp_path: Path) -> None:
    (tmp_path / "s.db").touch()
    with pytest.raises(NotAStoreError, match="empty"):
        open_store(tmp_path / "s.db", read_only=True)
    assert contents(tmp_path) == {"s.db": b""}


KILLED_WRITER = """
import os, signal, sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("PRAGMA cache_size = 5")
connection.execute("PRAGMA cache_spill = 5")
connection.execute("BEGIN IMMEDIATE")
connection.execute("UPDATE records SET hostname = 'never committed'")
for number in range(3000):
    connection.execute(
        "INSERT INTO records VALUES (?, ?, 's', ?, 'h', 'u', 'd', 'd', '')",
        (f"uncommitted {number:060}", sys.argv[2], '{"is_legal":false}'))
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def hot(tmp_path: Path) -> Path:
    """Make a store that a killed writer left half-written, with its journal."""
    path = tmp_path / "s.db"
    old_store(path, [(schedule(number), '{"is_legal":false}') for number in range(40)])
    size = path.stat().st_size
    killed = subprocess.run(
        [sys.executable, "-c", KILLED_WRITER, path, PROGRAM], check=False, timeout=60
    )
    assert killed.returncode == -signal.SIGKILL
    assert path.with_name("s.db-journal").stat().st_size > 512
    assert path.stat().st_size > size, "pages spilled into the database"
    assert b"uncommitted" in path.read_bytes()
    return path


def assert_only_committed(rows: list[tuple[Any, ...]]) -> None:
    assert rows == [(schedule(number), "node01") for number in range(40)]


ROWS = "SELECT schedule, hostname FROM records ORDER BY creation_date"


def test_what_a_killed_writer_left_is_rolled_back(hot: Path) -> None:
    with open_store(hot) as store:
        assert store.count() == 40
        found = store.lookup("blur", SOURCE, schedule(7))
        assert found is not None
        assert found.hostname == "node01"
        assert store.record("blur", SOURCE, schedule(40), False)
        assert store.delete(reference_key(PROGRAM, schedule(40)))
    assert sorted(contents(hot.parent)) == ["s.db"]
    assert_only_committed(query(hot, ROWS))
    assert query(hot, "PRAGMA integrity_check") == [("ok",)]


def test_a_backup_never_holds_what_a_killed_writer_left(hot: Path) -> None:
    path = hot.rename(hot.with_name("aside.db"))
    journal = hot.with_name("s.db-journal").rename(hot.with_name("aside.db-journal"))
    old_store(hot, [])
    with open_store(hot) as store:
        hot.write_bytes(path.read_bytes())
        hot.with_name("s.db-journal").write_bytes(journal.read_bytes())
        backup = store.backup(hot.with_name("backup.db"))
    assert_only_committed(query(backup, ROWS))


@pytest.mark.parametrize("fmt", ["json", "jsonl"])
def test_an_export_never_holds_what_a_killed_writer_left(hot: Path, fmt: Any) -> None:
    with open_store(hot) as store:
        exported = store.export(hot.with_name("out"), fmt)
    assert "uncommitted" not in exported.read_text()
    assert "never committed" not in exported.read_text()


def test_a_journal_is_never_deleted_by_a_reader_of_a_foreign_file(hot: Path) -> None:
    data = bytearray(hot.read_bytes())
    data[18:20] = b"\x02\x02"
    hot.write_bytes(data)
    before = contents(hot.parent)
    with pytest.raises(NotAStoreError):
        open_store(hot)
    assert contents(hot.parent) == before


def test_an_old_lock_file_of_a_dead_process_does_not_block_for_ever(old: Path) -> None:
    lock_of(old).write_text("")
    with open_store(old, stale_lock_timeout=0.5, lock_timeout=20.0) as store:
        assert store.record("p", SOURCE, schedule(99), False)
    assert not lock_of(old).exists()


def test_old_and_new_names_of_a_program_are_both_found(old: Path) -> None:
    with open_store(old) as store:
        batch = [Measurement("new name", SOURCE, schedule(number), False) for number in (80, 81)]
        assert store.record_batch(batch) == 2
        assert store.get_program_source("blur") == store.get_program_source("new name")


def test_a_store_of_another_suffix_shares_the_originals_lock_name(tmp_path: Path) -> None:
    old_store(tmp_path / "a.sqlite", [])
    with TiraStore(tmp_path / "a.sqlite", allow_cpu_mismatch=True, lock_timeout=0.2) as store:
        (tmp_path / "a.db.lock").write_text(json.dumps({"hostname": "n", "pid": 1, "timestamp": 0}))
        with pytest.raises(tirastore.LockTimeoutError, match="process 1 on n"):
            store.count()
