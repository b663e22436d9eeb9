"""Merging brings in what another store holds: whole, once, and with where it comes from."""

import sqlite3
import threading
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support import (
    MACHINE,
    SOURCE,
    contents,
    held,
    lock_of,
    old_store,
    open_store,
    process,
    query,
    schedule,
)

from tirastore import LockTimeoutError, Measurement, NotAStoreError, TiraStore
from tirastore.cli import main

ROWS = "SELECT * FROM records ORDER BY key"
PROGRAMS = "SELECT * FROM programs ORDER BY program_hash"
NAMES = "SELECT * FROM program_names ORDER BY program_name, program_hash"


def fill(store: TiraStore, numbers: range, *, programs: int = 5) -> None:
    store.record_batch(
        [
            Measurement(
                f"p{number % programs}",
                f"void p{number % programs}() {{ /* é */ }}",
                schedule(number),
                number % 3 > 0,
                [0.5 * number, 1e-5] if number % 3 else None,
            )
            for number in numbers
        ]
    )


@pytest.fixture
def other(tmp_path: Path) -> Any:
    with open_store(tmp_path / "other.db", source_project="theirs") as opened:
        fill(opened, range(2300))  # more than two pages
        opened.record("a second name", "void p1() { /* é */ }", schedule(1), True, [9.0])
        yield opened


def test_a_merge_brings_in_every_record_as_it_is(store: TiraStore, other: TiraStore) -> None:
    report = store.merge(other.db_path)
    assert (report.read, report.written, report.already_there, report.skipped) == (2300, 2300, 0, 0)
    for sql in (ROWS, PROGRAMS, NAMES):
        assert query(store.db_path, sql) == query(other.db_path, sql)
    source = "void p1() { /* é */ }"
    assert len(store.get_program_records("", source)) == 460
    assert store.get_program_records("", source) == other.get_program_records("", source)
    assert store.get_program_source("a second name") == other.get_program_source("p1")
    assert store.verify().ok


def test_history_and_environments_come_along(tmp_path: Path) -> None:
    place = ("p", SOURCE, schedule(1))
    for number, compiler in enumerate(("gcc 1", "gcc 2", "gcc 3")):
        environment = {"compiler": compiler}
        with open_store(tmp_path / "other.db", environment=environment) as other:
            choice: Any = "append" if number == 2 else "overwrite"
            other.record(*place, True, [1.0 + number], if_exists=choice)
            other.record("q", "void q() {}", "", True, status="failed", details={"message": "x"})
    with open_store(tmp_path / "here.db", environment={"compiler": "gcc 2"}) as here:
        # The numbers of environments are others here.
        here.record("p", SOURCE, schedule(9), True, [1.0])
        assert here.merge(tmp_path / "other.db").written == 2
        with open_store(tmp_path / "other.db") as other:
            expected = other.runs(*place)
            assert len(expected) == 3
            assert len({run.environment["compiler"] for run in expected}) == 3
            assert here.runs(*place) == expected
            failed = ("q", "void q() {}", "")
            assert here.lookup(*failed) == other.lookup(*failed)
        here.merge(tmp_path / "other.db")
        assert here.runs(*place) == expected
        assert here.verify().ok


def test_what_is_recorded_stays(store: TiraStore, other: TiraStore) -> None:
    fill(store, range(2000, 2100))
    mine = query(store.db_path, ROWS)
    report = store.merge(other)
    assert (report.written, report.already_there) == (2200, 100)
    assert set(mine) <= set(query(store.db_path, ROWS))
    assert other.count() == 2300, "a store that is given stays open"


def test_a_repeated_merge_writes_nothing_and_takes_no_lock(tmp_path: Path) -> None:
    with open_store(tmp_path / "a.db") as store, open_store(tmp_path / "b.db") as other:
        fill(other, range(1500))
        store.merge(other)
        before = store.metrics().lock_acquisitions
        rows = query(store.db_path, ROWS)
        report = store.merge(other)
        assert (report.read, report.written, report.already_there) == (1500, 0, 1500)
        assert store.metrics().lock_acquisitions == before
        assert query(store.db_path, ROWS) == rows


def test_stores_of_the_original_are_merged_untouched(store: TiraStore, tmp_path: Path) -> None:
    (tmp_path / "old").mkdir()
    path = tmp_path / "old" / "old.db"
    old_store(
        path, [(schedule(n), '{"is_legal":true,"execution_times":[1e-05]}') for n in range(9)]
    )
    before = contents(path.parent)
    report = store.merge(path)
    assert (report.read, report.written) == (9, 9)
    found = store.lookup("", SOURCE, schedule(3))
    assert found is not None
    assert (found.hostname, found.username, found.source_project) == ("node01", "ada", "old")
    assert found.creation_date == "2025-01-01T00:00:03.000001+00:00"
    assert found.execution_times == [1e-5]
    assert contents(path.parent) == before


def test_damaged_records_are_left_out_and_named(store: TiraStore, tmp_path: Path) -> None:
    path = tmp_path / "old.db"
    rows = [
        (schedule(0), '{"is_legal":true,"execution_times":[NaN]}'),
        (schedule(1), "not json"),
        (schedule(2), '{"is_legal":true,"execution_times":[2.0]}'),
        (schedule(3), '{"is_legal":true,"execution_times":[3.0]}'),
        (schedule(4), '{"is_legal":true,"execution_times":[4.0]}'),
    ]
    old_store(path, rows)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE records SET schedule = 'R(L0,comps=[''c''])' WHERE rowid = 4")
        connection.execute("UPDATE records SET creation_date = 'yesterday' WHERE rowid = 5")
        connection.commit()
    report = store.merge(path)
    assert (report.read, report.written, report.skipped) == (5, 1, 4)
    causes = "\n".join(report.errors)
    assert len(report.errors) == 4
    for part in ("NaN", "expected ident", "another key", "no date in ISO 8601"):
        assert part in causes
    keys = [key for (key,) in query(path, "SELECT key FROM records")]
    assert all(error.removeprefix("record ")[:64] in keys for error in report.errors)
    assert store.contains("", SOURCE, schedule(2))


def test_a_store_is_not_merged_with_itself(store: TiraStore, tmp_path: Path) -> None:
    fill(store, range(3))
    link = tmp_path / "link.db"
    link.symlink_to(store.db_path)
    for same in (store, store.db_path, link):
        with pytest.raises(ValueError, match="this store itself"):
            store.merge(same)


@pytest.mark.parametrize("difference", [{"cpu_model": "Another"}, {"slurm_cpus": "8"}])
def test_times_of_another_kind_of_node_are_refused_unless_that_is_allowed(
    tmp_path: Path, difference: dict[str, str]
) -> None:
    theirs = {**MACHINE, **difference}
    with TiraStore(tmp_path / "other.db", **theirs) as other:
        fill(other, range(3))
    with open_store(tmp_path / "s.db") as store:
        with pytest.raises(ValueError, match="allow_cpu_mismatch=True"):
            store.merge(tmp_path / "other.db")
        assert store.count() == 0
    with open_store(tmp_path / "s.db", allow_cpu_mismatch=True) as store:
        assert store.merge(tmp_path / "other.db").written == 3


def test_a_store_from_outside_of_slurm_fits_every_job(tmp_path: Path) -> None:
    with TiraStore(tmp_path / "other.db", **{**MACHINE, "slurm_cpus": "N/A"}) as other:
        fill(other, range(3))
    with open_store(tmp_path / "s.db") as store:
        assert store.merge(tmp_path / "other.db").written == 3


def test_what_is_no_store_is_refused(store: TiraStore, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        store.merge(tmp_path / "missing.db")
    (tmp_path / "text.db").write_text("hello" * 100)
    with pytest.raises(NotAStoreError):
        store.merge(tmp_path / "text.db")


def test_nothing_is_waited_for_while_a_lock_is_held(tmp_path: Path) -> None:
    """Two stores merged into each other at once: who held one lock would wait for the other."""
    paths = [tmp_path / "a.db", tmp_path / "b.db"]
    for index, path in enumerate(paths):
        with open_store(path, lock="hardlink") as store:
            fill(store, range(1500 * index, 1500 * (index + 1)))

    failed: list[BaseException] = []

    def merge(mine: Path, theirs: Path) -> None:
        try:
            with open_store(mine, lock="hardlink", lock_timeout=30.0) as store:
                store.merge(theirs)
        except BaseException as error:  # noqa: BLE001 -- shown below
            failed.append(error)

    threads = [threading.Thread(target=merge, args=pair) for pair in (paths, paths[::-1])]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not failed
    assert query(paths[0], ROWS) == query(paths[1], ROWS)


def test_a_locked_other_store_times_out_with_this_one_free(tmp_path: Path) -> None:
    with open_store(tmp_path / "o.db", lock="hardlink") as other:
        fill(other, range(3))
    with (
        open_store(tmp_path / "s.db") as store,
        open_store(tmp_path / "o.db", lock_timeout=0.2) as other,
        held(tmp_path / "o.db"),
        pytest.raises(LockTimeoutError),
    ):
        store.merge(other)
    assert [name[:2] for name in (p.name for p in lock_of(tmp_path / "s.db").iterdir())].count("f.")


WRITE = """
store = TiraStore(sys.argv[1], cpu_model="TestCPU", slurm_cpus="4", lock_timeout=60)
print("ready", flush=True)
for number in range(10_000, 1_000_000):
    store.record("w", "void w() {}", f"U(L0,{number},comps=['c'])", True, [float(number)])
    time.sleep(0.002)
"""


def test_stores_in_use_are_merged(tmp_path: Path, protocol: Any) -> None:
    path = tmp_path / "o.db"
    with open_store(path, lock=protocol) as other, open_store(tmp_path / "s.db") as store:
        fill(other, range(1200))
        with process(WRITE, path):
            report = store.merge(path)
        assert report.written >= 1200
        assert set(query(store.db_path, ROWS)) <= set(query(path, ROWS))


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(st.sets(st.integers(0, 40)), min_size=2, max_size=4))
def test_merging_in_any_order_gives_every_record_once(
    tmp_path: Path, contents_of: list[set[int]]
) -> None:
    paths = [tmp_path / f"{index}.db" for index in range(len(contents_of))]
    for path, numbers in zip(paths, contents_of, strict=True):
        with open_store(path) as store:
            for key in store.keys():  # noqa: SIM118 -- no mapping
                store.delete(key)
            for number in numbers:
                store.record("p", SOURCE, schedule(number), True, [1.0 + number])
    with open_store(tmp_path / "all.db") as store:
        for key in store.keys():  # noqa: SIM118
            store.delete(key)
        for path in [*paths, *paths]:
            store.merge(path)
        found = store.get_program_records("", SOURCE)
        union = set().union(*contents_of)
        assert {record.schedule for record in found} == {schedule(number) for number in union}
        assert len(found) == len(union)


def test_the_command_merges_many_stores(tmp_path: Path) -> None:
    for name, numbers in (("a", range(5)), ("b", range(3, 9))):
        with TiraStore(tmp_path / f"{name}.db") as store:
            fill(store, numbers)
    paths = [str(tmp_path / f"{name}.db") for name in ("all", "a", "b")]
    shown = CliRunner().invoke(main, ["merge", *paths])
    assert shown.exit_code == 0, shown.output
    assert "b.db: 6 measurements read: 4 written, 2 already there" in shown.stdout
    with TiraStore(tmp_path / "all.db") as store:
        assert store.count() == 9
    shown = CliRunner().invoke(main, ["merge", paths[0], paths[0]])
    assert shown.exit_code == 1
    assert "this store itself" in shown.stderr
