"""A verification names what was changed and finds nothing in good stores; reads do not hide it."""

import contextlib
import json
import signal
import sqlite3
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from support import (
    NOBODY,
    SOURCE,
    contents,
    needs_root,
    old_store,
    open_store,
    public_directory,
    query,
    reference_key,
    reference_program_hash,
    run_python,
    schedule,
)

from tirastore import (
    CorruptRecordError,
    CorruptRecordWarning,
    DamagedCopyError,
    Finding,
    StoreClosedError,
    TiraStore,
    TiraStoreError,
    VerifyReport,
)
from tirastore.cli import main

PROGRAM = reference_program_hash(SOURCE)
RECORDS = 12


def key_of(number: int) -> str:
    return reference_key(PROGRAM, schedule(number))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Make a good store: twelve schedules of one program under two names, one illegal."""
    path = tmp_path / "s.db"
    with open_store(path) as store:
        for number in range(RECORDS - 1):
            store.record("p", SOURCE, schedule(number), True, [float(number), 0.5])
        store.record("second name", SOURCE, schedule(RECORDS - 1), False)
    return path


def change(path: Path, sql: str, *arguments: object) -> None:
    """Change a store as the store itself never does."""
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute(sql, arguments)
        connection.commit()


def verify(path: Path) -> VerifyReport:
    with open_store(path, read_only=True) as store:
        return store.verify()


def test_a_good_store_has_no_findings_and_is_true(path: Path) -> None:
    report = verify(path)
    assert report == VerifyReport(programs=1, records=RECORDS, findings=())
    assert report
    assert report.ok
    assert str(report) == "12 records and 1 programs verified: nothing is wrong"
    assert "nothing is wrong" in report._repr_html_()


def test_a_good_store_of_the_original_has_no_findings(tmp_path: Path) -> None:
    results = ['{"is_legal": true, "execution_times": [0.5, 1e-05]}', '{"is_legal":false}']
    old_store(tmp_path / "old.db", [(schedule(n), result) for n, result in enumerate(results)])
    before = contents(tmp_path)
    assert verify(tmp_path / "old.db").ok
    assert contents(tmp_path) == before


def test_an_empty_store_has_no_findings(store: TiraStore) -> None:
    assert store.verify() == VerifyReport(0, 0, ())


#: What is changed, and what must be said of record 3.
CHANGES = {
    "schedule": ("UPDATE records SET schedule = 'R(L0,comps=[''c''])'", "another key"),
    "program_hash": ("UPDATE records SET program_hash = 'f'", "another key"),
    "orphan": ("UPDATE records SET program_hash = 'f'", "its program f is not in the store"),
    "key": ("UPDATE records SET key = 'x'", "another key"),
    "upper case": ("UPDATE records SET key = upper(key)", "not in lower case"),
    "spelling": ("UPDATE records SET schedule = schedule || ' '", "not in normal form"),
    "truncated": ("UPDATE records SET result_json = substr(result_json, 1, 9)", "decoded"),
    "NaN": (
        """UPDATE records SET result_json = '{"is_legal":true,"execution_times":[1.0,NaN]}'""",
        "execution_times[1] is NaN, as old versions of the original wrote",
    ),
    "negative": (
        """UPDATE records SET result_json = '{"is_legal":true,"execution_times":[-1.0]}'""",
        "execution_times[0] is -1",
    ),
    "no times": (
        """UPDATE records SET result_json = '{"is_legal":true,"status":"measured"}'""",
        'status is "measured", but it has no execution_times',
    ),
    "created": ("UPDATE records SET creation_date = 'yesterday'", "creation_date is"),
    "updated": ("UPDATE records SET update_date = '2025-02-30T00:00:00'", "update_date is"),
    **{
        f"{column} is no text": (
            f"UPDATE records SET {column} = x'ff00'",  # noqa: S608 -- no input
            f"column {column} holds no text",
        )
        for column in (
            *("key", "program_hash", "schedule", "result_json", "hostname"),
            *("username", "creation_date", "update_date", "source_project"),
        )
    },
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_changed_record_is_named_with_the_cause_and_no_other(path: Path, name: str) -> None:
    sql, cause = CHANGES[name]
    change(path, f"{sql} WHERE key = ?", key_of(3))
    report = verify(path)
    assert not report
    assert (report.programs, report.records) == (1, RECORDS)
    named = {finding.key for finding in report.findings}
    assert {finding.kind for finding in report.findings} == {"record"}
    assert len(named) == 1
    assert any(cause in finding.cause for finding in report.findings), str(report)
    if "key" not in name and "case" not in name:
        assert named == {key_of(3)}
        assert key_of(3) in str(report)


@pytest.mark.parametrize(
    ("sql", "cause"),
    [
        ("UPDATE programs SET source_code = source_code || 'x'", "another hash"),
        ("UPDATE programs SET source_code = x'ff'", "column source_code holds no text"),
        ("UPDATE programs SET program_name = x'ff'", "column program_name holds no text"),
    ],
)
def test_a_changed_program_is_named_by_its_hash(path: Path, sql: str, cause: str) -> None:
    change(path, sql)
    (finding,) = verify(path).findings
    assert (finding.kind, finding.key) == ("program", PROGRAM)
    assert cause in finding.cause


def test_a_source_may_be_formatted_anew(path: Path) -> None:
    """The hash is that of the normal form: a comment changes nothing."""
    change(path, "UPDATE programs SET source_code = source_code || ' // measured twice'")
    assert verify(path).ok


def test_a_further_name_of_a_missing_program_is_named(path: Path) -> None:
    change(path, "INSERT INTO program_names VALUES ('ghost', ?)", "e" * 64)
    (finding,) = verify(path).findings
    assert (finding.kind, finding.key) == ("further name", "ghost")
    assert "e" * 64 in finding.cause


def test_missing_tables_and_indexes_of_ours_are_no_damage(path: Path) -> None:
    change(path, "DROP TABLE program_names")
    for index in ("records_by_program", "records_by_creation", "programs_by_name"):
        change(path, f"DROP INDEX {index}")
    assert verify(path).ok


def test_a_schema_version_that_was_changed_meanwhile_is_named(path: Path) -> None:
    with open_store(path) as store:
        change(path, "UPDATE db_meta SET value = '3' WHERE key = 'schema_version'")
        (finding,) = store.verify().findings
        assert (finding.kind, finding.key) == ("store", "schema_version")
        assert '"3"' in finding.cause
        change(path, "DELETE FROM db_meta WHERE key = 'schema_version'")
        (finding,) = store.verify().findings
        assert finding.key == "schema_version"


def test_everything_that_is_wrong_is_reported_at_once(path: Path) -> None:
    for number in range(5):
        change(path, "UPDATE records SET result_json = '' WHERE key = ?", key_of(number))
    change(path, "UPDATE programs SET source_code = 'void q() {}'")
    report = verify(path)
    assert {finding.key for finding in report.findings} == {PROGRAM, *map(key_of, range(5))}
    assert len(str(report).splitlines()) == 1 + 6
    assert report._repr_html_().count("<tr>") == 6


def test_names_from_the_file_are_escaped_in_notebooks() -> None:
    report = VerifyReport(1, 1, (Finding("record", "<script>", "a & b"),))
    assert "<script>" not in report._repr_html_()
    assert "a &amp; b" in report._repr_html_()


def test_a_verification_changes_no_byte(path: Path) -> None:
    change(path, "UPDATE records SET result_json = '' WHERE key = ?", key_of(0))
    before = contents(path.parent)
    assert not verify(path)
    assert contents(path.parent) == before


def test_a_closed_store_is_not_verified(store: TiraStore) -> None:
    store.close()
    with pytest.raises(StoreClosedError):
        store.verify()


@needs_root
def test_a_store_in_a_directory_that_may_not_be_written_is_verified() -> None:
    with public_directory(0o777) as directory:
        path = directory / "s.db"
        with open_store(path) as store:
            store.record("p", SOURCE, schedule(1), True, [1.0])
        directory.chmod(0o555)
        code = "print(TiraStore(sys.argv[1], cpu_model='TestCPU', slurm_cpus='4').verify())"
        assert run_python(code, path, user=NOBODY).startswith("1 records and 1 programs verified")
        directory.chmod(0o777)


def test_a_verification_of_a_large_store_is_interrupted_at_once_and_leaves_no_lock(
    tmp_path: Path,
) -> None:
    path = tmp_path / "s.db"
    with open_store(path) as store:
        rows = [
            {"tiralib_schedule_string": f"U(L0,{n},comps=['c'])", "is_legal": False}
            for n in range(40_000)
        ]
        store.record_many("p", SOURCE, rows)
        began = time.monotonic()
        assert store.verify().ok
        whole = time.monotonic() - began
        caller = threading.main_thread().ident
        assert caller is not None
        stop = threading.Timer(whole / 10, signal.pthread_kill, (caller, signal.SIGINT))
        began = time.monotonic()
        stop.start()
        with pytest.raises(KeyboardInterrupt):
            store.verify()
        assert time.monotonic() - began < whole / 10 + max(0.5, whole / 2)
        assert not store.lock_info().held
        assert store.count() == 40_000


def test_a_lookup_of_a_damaged_record_names_it_however_it_is_read(path: Path) -> None:
    change(path, "UPDATE records SET result_json = '{' WHERE key = ?", key_of(1))
    change(path, "UPDATE records SET schedule = 'R(L0,comps=[''c''])' WHERE key = ?", key_of(2))
    change(path, "UPDATE records SET hostname = x'ff' WHERE key = ?", key_of(3))
    with open_store(path) as store:
        for number in (1, 2, 3):
            with pytest.raises(CorruptRecordError, match=key_of(number)):
                store.lookup("p", SOURCE, schedule(number))
            with pytest.raises(CorruptRecordError, match=key_of(number)):
                store.lookup_many([("p", SOURCE, schedule(0)), ("p", SOURCE, schedule(number))])
            assert store.contains("p", SOURCE, schedule(number))
        with pytest.warns(CorruptRecordWarning) as caught:
            found = store.get_program_records("p", SOURCE)
        assert len(found) == RECORDS - 3
        assert all(key_of(number) in str(caught[0].message) for number in (1, 2, 3))
        # Undecoded, for whoever wants to see the damage; but nothing is made up.
        row = store.get(key_of(1))
        assert row is not None
        assert row["result_json"] == "{"
        with pytest.raises(CorruptRecordError, match=f"{key_of(3)}.*hostname"):
            store.get(key_of(3))
        assert store.lookup("p", SOURCE, schedule(4)) is not None


def test_a_record_whose_program_is_lost_is_not_hidden(path: Path) -> None:
    change(path, "DELETE FROM programs")
    with open_store(path) as store:
        assert {finding.key for finding in store.verify().findings} >= {key_of(0), key_of(1)}
        with pytest.raises(CorruptRecordError, match=f"{key_of(1)}.*{PROGRAM} is not in the store"):
            store.get(key_of(1))
        assert store.lookup("p", SOURCE, schedule(1)) is not None
        assert len(store.get_program_records("p", SOURCE)) == RECORDS
        assert store.record("p", SOURCE, schedule(99), False)
        assert store.verify().records == RECORDS + 1


@pytest.mark.parametrize("column", ["program_name", "source_code"])
def test_a_program_that_is_no_text_is_not_passed_off_as_one(path: Path, column: str) -> None:
    change(path, f"UPDATE programs SET {column} = x'ff00'")  # noqa: S608 -- no input
    with open_store(path) as store:
        with pytest.raises(CorruptRecordError, match=f"{key_of(1)}.*{column} of its program"):
            store.get(key_of(1))
        assert len(store.get_program_records("p", SOURCE)) == RECORDS


def test_a_damaged_record_can_be_measured_again(path: Path) -> None:
    change(path, "UPDATE records SET schedule = 'R(L0,comps=[''c''])' WHERE key = ?", key_of(2))
    change(path, "UPDATE records SET result_json = x'00' WHERE key = ?", key_of(3))
    with open_store(path) as store:
        assert not store.verify()
        for number in (2, 3):
            assert store.record("p", SOURCE, schedule(number), True, [7.0], overwrite=True)
            found = store.lookup("p", SOURCE, schedule(number))
            assert found is not None
            assert found.execution_times == [7.0]
        assert store.verify().ok


def test_a_verified_backup_is_the_store(path: Path, tmp_path: Path) -> None:
    with open_store(path) as store:
        copy = store.backup(tmp_path / "copy.db", verify=True)
        assert store.backup(verify=True).exists()
    assert query(copy, "SELECT * FROM records") == query(path, "SELECT * FROM records")
    assert verify(copy).ok


def test_a_damaged_copy_is_an_error_that_names_the_damage_and_is_not_written(path: Path) -> None:
    target = path.with_name("copy.db")
    target.write_bytes(b"the backup of yesterday")
    change(path, "UPDATE records SET result_json = '' WHERE key = ?", key_of(5))
    before = contents(path.parent)
    with open_store(path) as store:
        with pytest.raises(DamagedCopyError, match=key_of(5)) as caught:
            store.backup(target, verify=True)
        assert isinstance(caught.value, TiraStoreError)
        assert str(target) in str(caught.value)
        assert contents(path.parent) == before
        assert store.backup(target) == target


def test_the_message_about_a_badly_damaged_copy_is_not_endless(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    with open_store(path) as store:
        store.record_many(
            "p",
            SOURCE,
            [{"tiralib_schedule_string": schedule(n), "is_legal": False} for n in range(500)],
        )
        change(path, "UPDATE records SET result_json = ''")
        with pytest.raises(DamagedCopyError, match="and 480 more") as caught:
            store.backup(verify=True)
        assert len(str(caught.value)) < 20_000
        assert len(store.verify().findings) == 500


def test_findings_are_plain_values() -> None:
    finding = Finding("record", None, "x")
    assert str(finding) == "record: x"
    assert finding == Finding("record", None, "x")
    fields: dict[str, Any] = {name: getattr(finding, name) for name in ("kind", "key", "cause")}
    assert json.loads(json.dumps(fields)) == fields


#: The command line opens a store for the machine that it runs on.
of_another_cpu = pytest.mark.filterwarnings("ignore::tirastore.CpuMismatchWarning")


def command(*words: object) -> tuple[int, str]:
    done = CliRunner().invoke(main, [str(word) for word in words])
    return done.exit_code, done.output


@of_another_cpu
def test_the_command_says_that_nothing_is_wrong(path: Path) -> None:
    counts = "12 records and 1 programs verified: nothing is wrong\n"
    assert command("verify", path) == (0, counts)


@of_another_cpu
def test_the_command_names_what_is_wrong_whole_and_its_status_is_1(path: Path) -> None:
    change(path, "UPDATE records SET result_json = '{' WHERE key = ?", key_of(1))
    change(path, "UPDATE programs SET source_code = 'void q() {}'")
    status, output = command("verify", path)
    assert status == 1
    for text in (key_of(1), PROGRAM, "cannot be decoded", "another hash", ": 2 findings"):
        assert text in output


@of_another_cpu
def test_text_of_a_damaged_file_does_not_steer_the_terminal(path: Path) -> None:
    change(path, "UPDATE records SET key = char(27) || ']0;title' || char(7) WHERE rowid = 3")
    change(path, "UPDATE records SET hostname = char(27) || '[2J' WHERE rowid = 4")
    source = path.with_name("p.cpp")
    source.write_text(SOURCE)
    copy = ["backup", path, path.with_name("copy.db"), "--verify"]
    for words in (copy, ["verify", path], ["lookup", path, "p", source, schedule(3)]):
        _, output = command(*words)
        assert "\x1b" not in output
        assert "\\x1b" in output


@of_another_cpu
def test_the_command_verifies_no_file_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("dear diary")
    for name in ("notes.txt", "missing.db"):
        status, output = command("verify", tmp_path / name)
        assert status == 1
        assert output.startswith("Error: ")
        assert name in output
    assert contents(tmp_path).keys() == {"notes.txt"}


@of_another_cpu
def test_the_backup_command_verifies_what_it_copies(path: Path) -> None:
    copy = path.with_name("copy.db")
    assert command("backup", path, copy, "--verify") == (0, f"{copy}\n")
    copy.unlink()
    change(path, "UPDATE records SET result_json = '{' WHERE key = ?", key_of(1))
    status, output = command("backup", path, copy, "--verify")
    assert status == 1
    assert key_of(1) in output
    assert not copy.exists()
    assert command("backup", path, copy) == (0, f"{copy}\n")
