"""What `tirastore doctor` promises: it sees what is broken, says so, and leaves nothing behind."""

import csv
import io
import json
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest
from broken import CLI, NOTE, OK, SLOW_REMOVAL, call, verdicts
from click.testing import CliRunner
from support import contents

from tirastore.cli import main
from tirastore.doctor import Finding, Report, examine


@pytest.mark.usefixtures("all_rounds")
def test_a_good_directory_is_safe_and_left_as_it_was_within_15_s(tmp_path: Path) -> None:
    (tmp_path / "other").write_text("mine")
    began = time.monotonic()
    shown = call(tmp_path)
    assert time.monotonic() - began < 15
    assert shown.exit_code == 0, shown.output
    assert "A store can be used here" in shown.output
    assert "problem" not in shown.output.replace("no problem", "")
    assert contents(tmp_path) == {"other": b"mine"}


def test_every_check_reports(tmp_path: Path) -> None:
    report = examine(tmp_path / "store.db")
    assert report.safe
    assert report.directory == tmp_path
    assert set(verdicts(report)) == {
        *("file system", "how it is read", "sharing", "room", "clock", "fsync()", "speed"),
        *("rename() excludes", "one lock directory is born", "link() excludes"),
        *("flock and fcntl locks", "rename() replaces", "inodes and link counts"),
        "file server's clock",
    }
    assert all(finding.seen for finding in report.findings)


def test_scripts_read_what_each_check_found(tmp_path: Path) -> None:
    shown = call(tmp_path, "--format", "json")
    assert shown.exit_code == 0, shown.output
    found = json.loads(shown.stdout)
    assert {row["check"] for row in found} == set(verdicts(examine(tmp_path)))
    assert {row["verdict"] for row in found} <= {"ok", "note"}
    missing = call(tmp_path, tmp_path.parent, "--format", "csv")
    assert missing.exit_code == 1
    rows = list(csv.DictReader(io.StringIO(missing.stdout)))
    assert "problem" in {row["verdict"] for row in rows}
    assert all(row["seen"] for row in rows)


def test_a_file_system_in_memory_is_named() -> None:
    with tempfile.TemporaryDirectory(dir="/dev/shm") as name:
        directory = Path(name)
        report = examine(directory)
        assert report.safe, report.problems
        assert "tmpfs (0x01021994)" in report["file system"].seen
        assert contents(directory) == {}


def test_no_such_directory_is_one_line(tmp_path: Path) -> None:
    shown = call(tmp_path / "missing" / "store.db")
    assert shown.exit_code == 1
    assert shown.output == f"Error: there is no directory {tmp_path}/missing\n"


@pytest.mark.parametrize(
    "signals", [[signal.SIGINT], [signal.SIGTERM], [signal.SIGINT, signal.SIGTERM, signal.SIGINT]]
)
def test_interrupted_it_leaves_nothing(tmp_path: Path, signals: list[int]) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", SLOW_REMOVAL + CLI, "doctor", str(tmp_path)],
        stdout=subprocess.DEVNULL,
    ) as started:
        deadline = time.monotonic() + 20
        while not list(tmp_path.glob(".tirastore-doctor-*/alone/*")):
            assert time.monotonic() < deadline
            time.sleep(0.005)
        for number in signals:
            started.send_signal(number)
            time.sleep(0.3)
        assert started.wait(20) == 128 + signals[0]
    assert contents(tmp_path) == {}


def test_nothing_is_cut_off_at_80_columns(tmp_path: Path) -> None:
    shown = CliRunner().invoke(main, ["doctor", str(tmp_path)], env={"COLUMNS": "80"})
    assert "…" not in shown.output
    assert all(len(line) <= 80 for line in shown.output.splitlines()[3:])


def test_a_report_finds_its_checks_by_name() -> None:
    report = Report(Path("/"), (Finding("a", OK, "seen"), Finding("b", NOTE, "seen")))
    assert report["b"].verdict is NOTE
    assert report.safe
    assert [finding.check for finding in report.notes] == ["b"]
    with pytest.raises(KeyError):
        report["c"]
