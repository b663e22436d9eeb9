"""`tirastore demo` from end to end, on the real store and with real measurements."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from tirastore import TiraStore, demo
from tirastore.cli import main
from tirastore.measure import PROGRAMS, MeasurementError, compiler
from tirastore.measure.exploration import Pair, _explore_pair, explore, pairs_to_explore

PAIRS = 14


def run(*arguments):
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def figures(output):
    return {
        name: " ".join(value.split())
        for name, value in re.findall(
            r"^(pairs measured|hit rate|second pass) +(.*)$", output, re.MULTILINE
        )
    }


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    directory = tmp_path_factory.mktemp("demo") / "d"
    return directory, run("demo", "--dir", directory, "--pairs", PAIRS, "--workers", 2)


def test_the_demo_measures_every_pair_and_finds_all_of_them_again(finished):
    _, result = finished
    assert result.exit_code == 0, result.output
    shown = figures(result.output)
    legal, illegal = re.fullmatch(
        rf"{PAIRS} \((\d+) legal, (\d+) illegal\)", shown["pairs measured"]
    ).groups()
    assert int(legal) + int(illegal) == PAIRS
    assert shown["hit rate"] == f"100.0% ({PAIRS} of {PAIRS})"
    assert shown["second pass"].endswith("nothing measured")


def test_what_the_demo_measured_is_in_the_store(finished):
    directory, _ = finished
    with TiraStore(directory / "demo.db", read_only=True) as store:
        assert store.count() == PAIRS
        for name, schedule in pairs_to_explore(PAIRS, seed=0):
            found = store.lookup(name, PROGRAMS[name].cpp_code, schedule)
            assert found.source_project == "demo"
            assert (found.execution_times is not None) == found.is_legal
            if found.is_legal:
                assert 3 <= len(found.execution_times) <= 30
                assert min(found.execution_times) > 0
            (run,) = store.runs(name, PROGRAMS[name].cpp_code, schedule)
            assert run.environment["compiler"] == compiler()


def test_the_parquet_file_has_one_row_for_each_pair(finished):
    directory, _ = finished
    rows = pq.read_table(directory / "measurements.parquet").to_pylist()
    assert len(rows) == PAIRS
    assert {row["program"] for row in rows} == set(PROGRAMS)
    unscheduled = {row["program"]: row["best_ms"] for row in rows if row["schedule"] == ""}
    for row in rows:
        if row["is_legal"]:
            assert row["best_ms"] == min(row["execution_times"])
            assert row["speedup"] == unscheduled[row["program"]] / row["best_ms"]
        else:
            assert row["execution_times"] is row["best_ms"] is row["speedup"] is None


def test_the_picture_is_a_png_of_readable_size(finished):
    directory, _ = finished
    png = (directory / "distributions.png").read_bytes()
    assert png.startswith(b"\x89PNG\r\n\x1a\n")
    width, height = (int.from_bytes(png[at : at + 4], "big") for at in (16, 20))
    assert width > 1000
    assert height > 500


def test_a_second_demo_measures_nothing_and_says_so(finished):
    directory, _ = finished
    result = run("demo", "--dir", directory, "--pairs", PAIRS, "--workers", 2)
    assert result.exit_code == 0, result.output
    assert figures(result.output)["pairs measured"] == (
        f"0 (0 legal, 0 illegal); {PAIRS} were in the store already"
    )


def test_fresh_starts_over_and_keeps_what_is_not_the_demos(tmp_path):
    directory = tmp_path / "d"
    demo.DemoDirectory(directory).prepare(fresh=False)
    with TiraStore(directory / "demo.db") as store:
        store.record("p", "source", "", False)
    (directory / "notes.txt").write_text("mine")
    demo.DemoDirectory(directory).prepare(fresh=True)
    assert sorted(file.name for file in directory.iterdir()) == [
        ".tirastore-demo",
        "notes.txt",
        "work",
    ]


@pytest.mark.parametrize("option", [[], ["--fresh"]], ids=["resumed", "fresh"])
def test_a_directory_of_somebody_else_is_left_alone(tmp_path, option):
    mine = tmp_path / "demo.db"
    mine.write_text("mine")
    result = run("demo", "--dir", tmp_path, *option)
    assert result.exit_code == 1
    assert one_line(result).endswith("name another directory with --dir")
    assert mine.read_text() == "mine"
    assert list(tmp_path.iterdir()) == [mine]


def one_line(result):
    lines = result.stderr.strip().splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("Error: ")
    return lines[0]


def test_an_error_in_a_worker_reaches_the_person(tmp_path):
    demo.DemoDirectory(tmp_path / "d").prepare(fresh=False)
    (tmp_path / "d" / "demo.db").write_text("no store at all, but long enough to be looked at")
    result = run("demo", "--dir", tmp_path / "d", "--pairs", 7, "--workers", 2)
    assert result.exit_code == 1
    assert "a worker failed: NotAStoreError" in one_line(result)


def test_a_failed_measurement_is_told_and_not_recorded(tmp_path):
    class Failing:
        def measure(self, *_):
            raise MeasurementError("wrong result: it differs")

    pair = Pair("mvt", "")
    with TiraStore(tmp_path / "s.db") as store:
        assert _explore_pair(store, pair, Failing()) == ("failed", "wrong result: it differs")
        assert store.count() == 0


def test_without_a_compiler_the_demo_does_not_start(tmp_path, monkeypatch):
    monkeypatch.setenv("CC", "no-such-compiler")
    result = run("demo", "--dir", tmp_path / "d")
    assert result.exit_code == 1
    assert result.output.count("\n") == 1
    assert "no-such-compiler" in result.output
    assert not (tmp_path / "d").exists()


def test_a_compiler_that_fails_is_told_and_no_legal_schedule_is_recorded(tmp_path, monkeypatch):
    monkeypatch.setenv("CC", "false")
    result = run("demo", "--dir", tmp_path / "d", "--pairs", 7, "--workers", 1)
    assert result.exit_code == 1
    assert "7 measurements failed and were not recorded" in result.output
    assert "false failed with status 1" in result.output
    assert figures(result.output)["hit rate"] == "0.0% (0 of 7)"


def test_a_pass_without_a_measurer_counts_misses(tmp_path):
    tally = explore(tmp_path / "s.db", pairs_to_explore(3, 0), workers=1, work_dir=None)
    assert (tally.missing, tally.hit_rate) == (3, 0.0)


def test_a_missing_package_is_one_line_that_names_the_extra(monkeypatch, tmp_path):
    monkeypatch.setattr(demo.importlib.util, "find_spec", lambda name: None)  # noqa: ARG005
    result = run("demo", "--dir", tmp_path / "d")
    assert result.exit_code == 1
    assert "pip install 'tirastore[demo]'" in one_line(result)
    assert not (tmp_path / "d").exists()


def test_interrupting_the_demo_ends_its_workers_and_keeps_what_was_measured(tmp_path):
    command = [sys.executable, "-m", "tirastore.cli", "demo", "--dir", str(tmp_path / "d")]
    running = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    deadline = time.monotonic() + 60
    while measured_so_far(tmp_path / "d" / "demo.db") == 0 and time.monotonic() < deadline:
        time.sleep(0.1)
    os.killpg(running.pid, signal.SIGINT)  # as the terminal does: to every process of the group
    _, errors = running.communicate(timeout=60)
    assert running.returncode == 130, errors
    assert errors.strip() == (
        "Interrupted. The store keeps what was measured: the same command goes on."
    )
    while alive_in_group(running.pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert alive_in_group(running.pid) == []
    assert measured_so_far(tmp_path / "d" / "demo.db") > 0
    assert not (tmp_path / "d" / "work").exists()


def alive_in_group(group):
    alive = []
    for file in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):  # it ended meanwhile
            state, _, its_group = file.read_text().rpartition(")")[2].split()[:3]
            if int(its_group) == group and state != "Z":
                alive.append((file.parent / "cmdline").read_text().replace("\0", " "))
    return alive


def measured_so_far(path):
    if not path.exists():
        return 0
    with TiraStore(path, read_only=True) as store:
        return store.count()


@pytest.mark.parametrize("name", ["demo", "stats", "lookup", "export", "backup"])
def test_every_command_has_help(name):
    assert set(main.commands) >= {"demo", "stats", "lookup", "export", "backup"}
    result = run(name, "--help")
    assert result.exit_code == 0
    assert main.commands[name].help
    assert all(option.help for option in main.commands[name].params if option.opts[0][0] == "-")


@pytest.mark.parametrize("name", ["stats", "export", "backup"])
def test_a_store_that_is_not_there_is_one_clear_line(name, tmp_path):
    arguments = [tmp_path / "out"] if name == "export" else []
    result = run(name, tmp_path / "none.db", *arguments)
    assert result.exit_code == 1
    assert "none.db" in one_line(result)
    assert list(tmp_path.iterdir()) == []


def test_the_commands_show_what_the_store_holds(finished, tmp_path):
    store = finished[0] / "demo.db"
    assert str(PAIRS) in run("stats", store).output
    source = tmp_path / "mvt.cpp"
    source.write_text(PROGRAMS["mvt"].cpp_code)
    assert "execution times" in run("lookup", store, "mvt", source).output
    unknown = run("lookup", store, "mvt", source, "P(L7,comps=['mvt_plain'])")
    assert (unknown.exit_code, "has no record" in one_line(unknown)) == (1, True)
    exported = run("export", store, tmp_path / "all.jsonl", "--fmt", "jsonl")
    assert exported.output.strip() == str(tmp_path / "all.jsonl")
    assert len((tmp_path / "all.jsonl").read_text().splitlines()) == len(PROGRAMS)
    run("backup", store, tmp_path / "copy.db")
    assert measured_so_far(tmp_path / "copy.db") == PAIRS
