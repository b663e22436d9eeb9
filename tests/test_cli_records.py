"""What the commands print is what the store says, as a table, as JSON and as CSV."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from support import MACHINE, SOURCE, process

from tirastore import TiraStore
from tirastore.cli import main

TILED = "T2(L0,L1,32,32,comps=['c'])"
REVERSED = "R(L0,comps=['c'])"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "s.db"
    with TiraStore(path) as store:
        store.record("blur", SOURCE, "", True, [4.0, 4.5])
        store.record("blur", SOURCE, TILED, True, [2.5, 2.0])
        store.record("blur", SOURCE, REVERSED, False)
        store.record("mm, \N{MULTIPLICATION SIGN}", "void mm() {}", "", True, [1.0])
    return path


def run(*arguments: object, code: int = 0) -> str:
    result = CliRunner().invoke(main, [str(argument) for argument in arguments])
    assert result.exit_code == code, result.output
    return result.output if code == 0 else result.stderr


def in_json(*arguments: object) -> Any:
    return json.loads(run(*arguments, "--format", "json"))


def in_csv(*arguments: object) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(run(*arguments, "--format", "csv"))))


COMMANDS: dict[str, list[str]] = {
    name: [name] for name in ("stats", "search", "programs", "best", "claims", "lock", "verify")
}


@pytest.mark.parametrize("name", COMMANDS)
def test_all_formats_say_the_same(name: str, path: Path) -> None:
    found, rows = in_json(name, path), in_csv(name, path)
    objects = found if isinstance(found, list) else [found]
    assert len(rows) == len(objects)
    assert run(name, path).strip()
    for row, item in zip(rows, objects, strict=True):
        assert row.keys() == item.keys()
        for field, text in row.items():
            value = item[field]
            if isinstance(value, list | dict):
                assert json.loads(text) == value
            else:
                assert text == ("" if value is None else str(value))


def test_every_command_with_a_format_is_in_its_documentation() -> None:
    docs = (Path(__file__).parent.parent / "docs" / "cli.md").read_text(encoding="utf-8")
    sentence = docs[: docs.index("take `--format`")].rpartition("\n\n")[2]
    formatted = {
        name
        for name, command in main.commands.items()
        for option in command.params
        if option.name == "fmt" and "--format" in option.opts
    }
    assert formatted == set(re.findall(r"`([a-z-]+)`", sentence)) >= COMMANDS.keys()


def test_a_search_finds_what_meets_all_conditions(path: Path) -> None:
    def schedules(*conditions: str) -> list[str]:
        where = [word for condition in conditions for word in ("--where", condition)]
        return [row["schedule"] for row in in_json("search", path, *where)]

    assert schedules() == ["", TILED, REVERSED, ""]
    assert schedules("min_time < 3") == [TILED, ""]
    assert schedules("min_time<3", "program_name == blur") == [TILED]
    assert schedules("min_time=2", "program_name = blur") == [TILED]
    assert schedules("schedule match *T2*") == [TILED]
    assert schedules("is_legal == false") == schedules("min_time is null") == [REVERSED]
    assert schedules("speedup  not null", 'schedule != ""') == [TILED]
    assert schedules("n_runs in 1, 3", "program_name not in blur,other") == [""]
    assert schedules("n_runs in [2, 3]", "program_name not in blur,other") == []


def test_a_search_sorts_pages_and_chooses_columns(path: Path) -> None:
    options = ("--columns", "min_time,program_name", "--sort-by", "min_time")
    everything = in_json("search", path, *options)
    assert [row["min_time"] for row in everything] == [1.0, 2.0, 4.0, None]
    assert list(everything[0]) == ["min_time", "program_name"]
    page = in_json("search", path, *options, "--descending", "--limit", 1, "--offset", 1)
    assert page == [{"min_time": 2.0, "program_name": "blur"}]
    assert len(in_json("search", path, "--limit", 0)) == 4


def test_lists_and_dates_survive_json_and_csv(path: Path) -> None:
    columns = ("--columns", "execution_times,creation_date", "--limit", 1)
    (row,) = in_json("search", path, *columns)
    assert row["execution_times"] == [4.0, 4.5]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?\+00:00", row["creation_date"])
    (line,) = in_csv("search", path, *columns)
    assert json.loads(line["execution_times"]) == [4.0, 4.5]


def test_what_does_not_exist_is_answered_by_what_does(path: Path) -> None:
    for option in (("--where", "speed < 3"), ("--columns", "speed"), ("--sort-by", "speed")):
        message = run("search", path, *option, code=1)
        assert message.count("\n") == 1
        assert "speedup" in message


@pytest.mark.parametrize("condition", ["min_time", "min_time ~ 3", "min_time =< 3"])
def test_a_condition_that_is_none_is_a_wrong_call(path: Path, condition: str) -> None:
    assert "min_time < 3" in run("search", path, "--where", condition, code=2)


def test_ctrl_c_has_the_status_of_shells(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(TiraStore, "search", interrupted)
    assert run("search", path, code=130).strip() == ""


def test_a_merge_says_what_came_of_each_store(path: Path, tmp_path: Path) -> None:
    for number, fmt in enumerate(("json", "csv")):
        with TiraStore(tmp_path / f"{fmt}.db") as store:
            store.record("new", SOURCE, f"U(L0,{number},comps=['c'])", True, [1.0])
    (merged,) = in_json("merge", path, tmp_path / "json.db")
    numbers = {"read": 1, "written": 1, "already_there": 0, "skipped": 0}
    assert merged == {"store": str(tmp_path / "json.db"), **numbers, "errors": []}
    rows = in_csv("merge", path, tmp_path / "json.db", tmp_path / "csv.db")
    assert [(row["written"], row["already_there"]) for row in rows] == [("0", "1"), ("1", "0")]


def test_the_best_are_the_fastest(path: Path) -> None:
    rows = in_json("best", path, "--k", 2)
    assert [(row["program_name"], row["schedule"]) for row in rows] == [
        ("blur", TILED),
        ("blur", ""),
        ("mm, \N{MULTIPLICATION SIGN}", ""),
    ]
    assert rows[0]["speedup"] == 2.0
    (row,) = in_json("best", path, "blur", "--stat", "median")
    assert row["median_time"] == 2.25


def test_programs_are_listed_with_their_counts(path: Path) -> None:
    blur, _ = in_json("programs", path)
    assert (blur["program_name"], blur["n_records"], blur["n_legal"]) == ("blur", 3, 2)


def test_a_lookup_has_formats_too(path: Path, tmp_path: Path) -> None:
    (tmp_path / "blur.cpp").write_text(SOURCE)
    found = in_json("lookup", path, "blur", tmp_path / "blur.cpp", TILED)
    assert found["execution_times"] == [2.5, 2.0]
    run("lookup", path, "blur", tmp_path / "blur.cpp", "P(L0,comps=['c'])", code=1)


def test_claims_are_listed_while_they_last(path: Path) -> None:
    with TiraStore(path) as store:
        claim = store.claim("blur", SOURCE, "P(L0,comps=['c'])", lease=60)
        assert claim is not None
        (row,) = in_json("claims", path)
        assert (row["program_name"], row["state"], row["pid"]) == ("blur", "claimed", os.getpid())
        assert "1 claims" in run("top", path, "--once")
        claim.release()
        assert in_json("claims", path) == []


def test_a_new_store_is_what_was_asked_for(tmp_path: Path) -> None:
    machine = ("--cpu-model", "TestCPU", "--slurm-cpus", 4)
    for protocol in ("token", "hardlink"):
        path = tmp_path / f"{protocol}.db"
        run("init", path, *machine, "--lock", protocol, "--private")
        assert path.stat().st_mode & 0o077 == 0
        with TiraStore(path, **MACHINE) as store:
            assert store.lock_info().protocol == protocol
            assert store.record("blur", SOURCE, "", True, [1.0])
        assert "was left as it is" in run("init", path, *machine, code=1)
        with TiraStore(path, read_only=True, **MACHINE) as store:
            assert store.count() == 1


def test_text_of_a_store_does_not_steer_the_terminal(tmp_path: Path) -> None:
    with TiraStore(tmp_path / "s.db") as store:
        store.record("bad\x1b[2J", SOURCE, "", True, [1.0])
    for name in ("search", "programs", "best", "top"):
        options = ("--once",) if name == "top" else ()
        assert "\x1b[2J" not in run(name, tmp_path / "s.db", *options)


def test_top_shows_counts_the_lock_and_what_is_new(path: Path) -> None:
    shown = run("top", path, "--count", 2, "--interval", 0.1, "--rows", 1)
    assert "4 of 2 programs" in shown
    assert "nobody" in shown
    assert "newest records" in shown


def test_ctrl_c_ends_top_and_is_no_error(path: Path) -> None:
    code = """
import threading
from tirastore.cli import main
sys.argv[1:1] = ["top"]
sys.argv[3:] = ["--interval", "0.1"]
print("ready", flush=True)
main()
"""
    with process(code, path) as started:
        assert started.stdout is not None
        for line in started.stdout:
            if "newest records" in line:
                break
        time.sleep(0.3)
        started.send_signal(signal.SIGINT)
        assert started.wait(10) == 0


@pytest.mark.parametrize("arguments", [["stats"], ["search", "--format", "csv"]])
def test_a_reader_that_has_enough_is_no_error(path: Path, arguments: list[str]) -> None:
    nobody, end = os.pipe()
    os.close(nobody)
    name, *options = arguments
    command = [sys.executable, "-m", "tirastore", name, str(path), *options]
    shown = subprocess.run(command, stdout=end, stderr=subprocess.PIPE, check=False)
    os.close(end)
    assert (shown.returncode, shown.stderr) == (1, b"")
