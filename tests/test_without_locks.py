"""The library needs no lock of the kernel's: its tests pass where flock and fcntl are refused."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import without_locks

TESTS = Path(__file__).parent
# What uses the store most; all of the suite, with one of the errors, in a run that is given time
# (`make reliability`).
MAIN = ["test_api.py", "test_lifetime.py", "test_token.py", "test_sharing.py"]
# They need what is refused: plain sqlite3 in a process of its own, and the kernel's lock as oracle.
NEED_LOCKS = [
    "original_clients_and_ours_write_one_store",
    "holders_that_die_never_let_two_in",
    "pages_of_keys_hold_every_key_once_in_creation_order_even_where_dates_tie",
    "originals_statements_go_on_working_after_we_wrote",
    "killed_writer_left",
    "a_journal_is_never_deleted_by_a_reader_of_a_foreign_file",
    "write_ahead_log",
    "sealing_beside_running_originals",
    "locks_of_the_system_are_not_needed",
    "test_bench",
    "without_locks",
]

pytestmark = pytest.mark.skipif(
    not without_locks.is_possible(), reason="the filter is written for Linux on x86-64 and AArch64"
)


def run_without_locks(error: str, *command: str | Path) -> subprocess.CompletedProcess[str]:
    """Run Python where the kernel refuses file locks with `error`."""
    launcher = [sys.executable, TESTS / "without_locks.py", error, sys.executable, *command]
    environment = {**os.environ, "PYTHONPATH": str(TESTS)}
    return subprocess.run(
        launcher, capture_output=True, text=True, check=False, timeout=900, env=environment
    )


@pytest.mark.parametrize("error", ["ENOSYS", "ENOLCK"])
def test_plain_sqlite_fails_where_locks_are_refused(error: str, tmp_path: Path) -> None:
    code = "import sqlite3, sys; sqlite3.connect(sys.argv[1]).execute('CREATE TABLE t (x)')"
    finished = run_without_locks(error, "-c", code, tmp_path / "plain.db")
    assert finished.returncode != 0
    assert re.search("disk I/O error|database is locked", finished.stderr), finished.stderr


@pytest.mark.parametrize("error", ["ENOSYS", "ENOLCK"])
def test_the_suite_passes_where_locks_are_refused(error: str, tmp_path: Path) -> None:
    whole = os.environ.get("RELIABILITY") in {error, "all"}
    files = [TESTS] if whole else [TESTS / name for name in MAIN]
    chosen = " and ".join(f"not {name}" for name in NEED_LOCKS)
    options = ["-q", "-p", "without_locks", "-p", "no:cacheprovider", "-k", chosen]
    inner = tmp_path / "inner"
    finished = run_without_locks(error, "-m", "pytest", *options, "--basetemp", inner, *files)
    last = finished.stdout.strip().splitlines()[-1]
    print(f"reliability: {error}: {last}")
    assert finished.returncode == 0, finished.stdout[-5000:] + finished.stderr
    passed = re.search(r"(\d+) passed", last)
    assert passed, last
    assert int(passed[1]) > 100, last
