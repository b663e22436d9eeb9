"""The bench of the peers runs, and notices a store that does not keep what it acknowledged."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from dataclasses import replace
from itertools import count
from pathlib import Path

import pytest

pytest.importorskip("benches.peers", reason="the benches are not part of an installed package")

from benches.peers import large, tables
from benches.peers.adapters import Original, Ours, SqliteDelete
from benches.peers.bench import Bench
from benches.peers.rows import row
from benches.peers.workloads import Crowd
from tirastore import validate_schedule

ROOT = Path(__file__).parent.parent
MIXED = Crowd("half record", processes=3, operations=30, writes=0.5, prepared=20)
CONTESTED = Crowd("same keys", processes=3, operations=150, writes=1.0, prepared=0, contested=True)


class Forgets(SqliteDelete):
    """Acknowledges every record and keeps none."""

    def record(self, *values):
        return bool(values)


class Alters(SqliteDelete):
    """Keeps other times than it was given."""

    def record(self, name, source, schedule, is_legal, times):
        return super().record(name, source, schedule, is_legal, times[:-1])


class TellsEverybodyToBeFirst(SqliteDelete):
    """Acknowledges a record that it did not write as if it had."""

    def record(self, name, source, schedule, is_legal, times):
        super().record(name, source, schedule, is_legal, times)
        return True


class Refuses(SqliteDelete):
    """Answers a worker's first record with an error, its second with a time-out."""

    calls = count()

    def record(self, name, source, schedule, is_legal, times):
        match next(self.calls):
            case 0:
                raise ValueError("refused")
            case 1:
                raise TimeoutError("locked")
        return super().record(name, source, schedule, is_legal, times)


class Dies(SqliteDelete):
    """Ends its process in the middle of a record."""

    def record(self, *values):
        os._exit(len(values))


@pytest.fixture
def place():
    """Give a directory in memory, if there is one: what is tested is the bench, not the disk."""
    memory = Path("/dev/shm")  # noqa: S108 -- a directory of its own is made there
    with tempfile.TemporaryDirectory(dir=memory if os.access(memory, os.W_OK) else None) as made:
        yield Path(made)


def failures(peer, crowd, place):
    bench = Bench([peer], place, seed=1, quick=True, repeat=1)
    bench.run_crowd(crowd)
    return [failure.rpartition(": ")[2].rpartition(" ")[0] for failure in bench.failures]


@pytest.mark.parametrize("crowd", [MIXED, CONTESTED])
@pytest.mark.parametrize("peer", [Ours, Original])
def test_a_store_that_keeps_everything_has_no_failures(peer, crowd, place):
    assert failures(peer, crowd, place) == []


@pytest.mark.parametrize("peer", [Forgets, Alters])
def test_records_that_are_lost_or_changed_are_noticed(peer, place):
    assert failures(peer, MIXED, place) == ["lost"]


@pytest.mark.parametrize("peer", [Forgets, Alters, TellsEverybodyToBeFirst])
def test_keys_without_one_winner_are_noticed(peer, place):
    assert failures(peer, CONTESTED, place) == ["broken keys"]


def test_a_workload_does_not_see_the_stores_of_another(place):
    bench = Bench([SqliteDelete], place, seed=1, quick=True, repeat=2)
    bench.run_crowd(replace(MIXED, reuse=True))
    bench.run_crowd(CONTESTED)
    assert bench.failures == []


def test_errors_and_timeouts_are_counted_and_end_no_worker(place):
    figures, errors = MIXED.run(Refuses, place, 1, 0, 60.0, 60.0)
    assert figures["timeouts"] > 0
    assert figures["errors"] == errors["ValueError: refused"] > 0
    assert figures["operations"] + figures["timeouts"] + figures["errors"] == MIXED.operations


@pytest.mark.parametrize("crowd", [MIXED, CONTESTED])
def test_workers_that_die_are_errors_and_nobody_waits_for_them(crowd, place):
    figures, errors = crowd.run(Dies, place, 1, 0, 60.0, 60.0)
    assert figures["errors"] >= errors["a worker ended or hung"] > 0


def test_the_bench_writes_its_tables_between_markers_and_again_in_their_place(place):
    report = place / "performance.md"
    begin, end = tables.markers("peers")
    report.write_text(f"# Before\n\n{begin}\nOUTDATED\n{end}\n\nAfter\n")
    command = [
        sys.executable,
        "-m",
        "benches.peers",
        "--quick",
        "--write",
        report,
        "--directory",
        place,
    ]
    chosen = [
        "--directory",
        place,
        "--workloads",
        "mixed",
        "--peers",
        "Ours",
        "--peers",
        "Original",
    ]
    subprocess.run([*command, *chosen], check=True, cwd=ROOT, timeout=120, capture_output=True)
    text = report.read_text()
    assert text.startswith(f"# Before\n\n{begin}\n")
    assert text.endswith(f"{end}\n\nAfter\n")
    assert "OUTDATED" not in text
    assert "| TiraStore | " in text
    assert "| original's protocol | " in text
    assert str(place) not in text


def test_stores_of_two_sizes_are_timed_and_weighed(place, monkeypatch):
    monkeypatch.setattr(large, "SMALL", 300)
    monkeypatch.setattr(large, "imports", lambda: 1.0)
    bench = Bench([Ours], place, seed=1, quick=True, repeat=1)
    bench.run_large()
    (section,) = bench.sections
    assert "| ms | 30 records | 300 records | ratio |" in section
    weighed = large.bytes_a_record(place, 1)
    assert weighed["TiraStore"] > weighed["the original's tables"] > 500


def test_rows_are_realistic_and_every_number_has_its_own():
    rows = [row(1, number) for number in range(5000)]
    assert all(validate_schedule(values.schedule)[0] for values in rows[:500])
    assert len({values.schedule for values in rows}) == len(rows)
    assert all(60 <= len(values.schedule) <= 200 for values in rows)
    assert all(2800 <= len(values.source) <= 3200 for values in rows)
    assert {len(values.times) for values in rows} == {30}


def test_the_bench_of_columns_finds_every_record_by_every_way() -> None:
    command = [sys.executable, "-m", "benches.columns", "--records", "300", "--repeat", "1"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("300 records")
    rows = {line.split(" | ")[0] for line in done.stdout.splitlines() if line.startswith("| ")}
    assert {"| TiraStore search().to_arrow()", "| sqlite3 + json + pandas", "| by program"} <= rows
