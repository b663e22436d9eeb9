"""Files of measurements come in whole, once, and what is wrong with them is said with its place."""

import csv
import json
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support import open_store, schedule
from tables import ROW, TABLES, explored, held, numbers, rows, table

from tirastore import IngestError, TiraStore
from tirastore.cli import main
from tirastore.ingest import formats


@pytest.mark.parametrize("kind", TABLES)
def test_every_row_of_a_table_comes_in_once(store: TiraStore, tmp_path: Path, kind: str) -> None:
    given = rows(2500)  # more than two transactions
    path = table(tmp_path, kind, given)
    assert numbers(store.ingest(path)) == (2500, 2500, 0, 0)
    assert store.count() == 2500
    for row in given[:50] + given[-50:]:
        assert held(store, row) == (row["is_legal"], row["execution_times"])
    assert store.lookup("", given[1]["source_code"], given[1]["schedule"]).hostname  # type: ignore[union-attr]
    assert numbers(store.ingest(path)) == (2500, 0, 2500, 0)
    assert store.verify().ok


@pytest.mark.parametrize("fmt", ["json", "jsonl"])
def test_an_export_comes_back_as_the_same_export(
    store: TiraStore, tmp_path: Path, fmt: Any
) -> None:
    for number in range(30):
        times = [0.1 * number, 1e-5] if number % 3 else None
        source = f'void p{number % 4}() {{ "é 😀"; }}\n'
        name = "same" if number % 4 < 2 else f"p{number % 4}"
        assert store.record(name, source, schedule(number), number % 3 > 0, times)
    store.record("a second name", 'void p1() { "é 😀"; }\n', schedule(1), True, [9.0])
    store.record("p2", "void p2() {}", "", True, status="unmeasured")
    store.record("p2", "void p2() {}", schedule(1), True, status="timeout", details={"bound": 9})
    store.record_many("no records", "void nothing() {}", [])
    exported = store.export(tmp_path / f"first.{fmt}", fmt)
    with open_store(tmp_path / "other.db") as other:
        assert numbers(other.ingest(exported)) == (32, 32, 0, 0)
        again = other.export(tmp_path / f"second.{fmt}", fmt)
        assert again.read_bytes() == exported.read_bytes()
        assert numbers(other.ingest(exported)) == (32, 0, 32, 0)


@pytest.mark.parametrize("kind", TABLES)
def test_a_table_may_say_where_and_when_a_measurement_was_made(
    store: TiraStore, tmp_path: Path, kind: str
) -> None:
    origin = {
        "hostname": "node7",
        "username": "ada",
        "source_project": "theirs",
        "creation_date": "2025-03-01T10:00:00+02:00",
        "update_date": "2025-03-02",
        "status": "measured",
        "details": '{"note": "é"}',
        "environment": '{"cpu_model": "Another", "cores": 2}',
    }
    store.ingest(table(tmp_path, kind, [{**ROW, **origin}]))
    found = store.lookup("", ROW["source_code"], "")
    assert found is not None
    assert (found.hostname, found.username, found.source_project) == ("node7", "ada", "theirs")
    assert found.creation_date == "2025-03-01T08:00:00+00:00"
    assert found.update_date == "2025-03-02T00:00:00+00:00"
    assert found.details == {"note": "é"}
    (run,) = store.runs("", ROW["source_code"], "")
    assert run.environment == {"cpu_model": "Another", "cores": 2}


@pytest.mark.parametrize("kind", ["csv", "parquet", "arrow"])
def test_what_a_search_answers_comes_back_whole(
    store: TiraStore, tmp_path: Path, kind: str
) -> None:
    for number, more in enumerate(
        [
            {"is_legal": True, "execution_times": [1.5, 1.25], "details": {"note": 'é, "x"'}},
            {"is_legal": True, "status": "timeout", "details": {"bound": 2.5}},
            {"is_legal": True, "status": "failed", "details": {"message": "it\ncrashed"}},
            {"is_legal": True, "status": "unmeasured"},
            {"is_legal": False},
        ]
    ):
        store.record("mm", "void mm() {}", schedule(number), **more)
    columns = [*store.search().column_names, "source_code"]
    records = store.search(columns=columns)
    path = tmp_path / f"records.{kind}"
    if kind == "csv":
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, columns)
            writer.writeheader()
            writer.writerows(records)
    elif kind == "parquet":
        pytest.importorskip("pyarrow.parquet").write_table(records.to_arrow(), path)
    else:
        found = records.to_arrow()
        with pytest.importorskip("pyarrow").ipc.new_file(path, found.schema) as file:
            file.write_table(found)
    with open_store(tmp_path / "other.db") as other:
        assert numbers(other.ingest(path)) == (5, 5, 0, 0)
        assert list(other.search(columns=columns)) == list(records)


def test_what_is_recorded_stays(store: TiraStore, tmp_path: Path) -> None:
    store.record("mine", ROW["source_code"], "", True, [9.0])
    assert numbers(store.ingest(table(tmp_path, "jsonl", [ROW]))) == (1, 0, 1, 0)
    assert held(store, ROW) == (True, [9.0])


def test_a_repeated_import_takes_no_lock(tmp_path: Path) -> None:
    path = table(tmp_path, "jsonl", rows(1200))
    with open_store(tmp_path / "s.db", lock="token") as store:
        store.ingest(path)
        before = store.metrics().lock_acquisitions
        store.ingest(path)
        assert store.metrics().lock_acquisitions == before


def test_a_stopped_import_is_resumed_by_repeating_it(store: TiraStore, tmp_path: Path) -> None:
    given = rows(3000)
    given[2000]["schedule"] = "nonsense"
    path = table(tmp_path, "jsonl", given)
    with pytest.raises(IngestError):
        store.ingest(path)
    before = store.count()
    assert before >= 2000, "what stands before the error is in the store"
    given[2000]["schedule"] = schedule(2000)
    path = table(tmp_path, "jsonl", given)
    assert numbers(store.ingest(path)) == (3000, 3000 - before, before, 0)


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("a", '{"p": {}}', "json"),
        ("a.json", "{}", "json"),
        ("a.json", '{"p": {"Tiramisu_cpp": "x"}}\n{"q": {}}\n', "jsonl"),
        ("a.json", '{"filename": "./f.json", "schedules_list": []}', "explored"),
        ("f_explored_schedules.json", '{"program_annotation": {}}', "explored"),
        ("a.csv", "{", "csv"),
        ("a.TSV", "x", "tsv"),
        ("a.jsonl", "", "jsonl"),
        ("a.bin", "PAR1...", "parquet"),
        ("a.bin", "ARROW1..", "arrow"),
    ],
)
def test_the_format_is_told_by_name_and_content(
    tmp_path: Path, name: str, text: str, expected: str
) -> None:
    path = tmp_path / name
    path.write_text(text)
    assert formats.guess(path) == expected


def test_progress_is_shown_on_a_terminal_and_only_there(
    store: TiraStore,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = table(tmp_path, "jsonl", rows(10))
    store.ingest(path)
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("FORCE_COLOR", "1")
    store.ingest(path)
    assert "reading rows.jsonl" in capsys.readouterr().err


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    programs=st.dictionaries(
        st.text(max_size=5),
        st.lists(st.lists(st.floats(0, 1e9), min_size=1, max_size=3), max_size=4),
        max_size=5,
    ),
    indent=st.sampled_from([None, 1, "\t\n"]),
    piece=st.integers(1, 50),
)
def test_an_export_is_read_in_pieces_of_any_size(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    programs: dict[str, list[list[float]]],
    indent: Any,
    piece: int,
) -> None:
    monkeypatch.setattr("tirastore.ingest.jsontext._PIECE", piece)
    content = {
        name: {
            "Tiramisu_cpp": f"void p() {{ {index}; }}",
            "schedules_list": [
                {"schedule_str": schedule(number), "is_legal": True, "execution_times": times}
                for number, times in enumerate(measured)
            ],
            "program_name": name,
        }
        for index, (name, measured) in enumerate(programs.items())
    }
    path = tmp_path / "x.json"
    path.write_text(json.dumps(content, indent=indent))
    with open_store(tmp_path / "s.db") as store:
        for key in store.keys():  # noqa: SIM118 -- no mapping
            store.delete(key)
        report = store.ingest(path, "json")
        expected = sum(map(len, programs.values()))
        assert numbers(report) == (expected, expected, 0, 0)
        for index, measured in enumerate(programs.values()):
            found = store.get_program_records("", f"void p() {{ {index}; }}")
            assert [record.execution_times for record in found] == measured


@pytest.mark.parametrize("kind", ["csv", "tsv"])
def test_a_long_source_is_one_field(store: TiraStore, tmp_path: Path, kind: str) -> None:
    row = {**ROW, "source_code": f"void mm() {{ {'f(); ' * 100_000} }}"}
    assert numbers(store.ingest(table(tmp_path, kind, [row]))) == (1, 1, 0, 0)
    assert held(store, row) == (True, [1.5, 1.25])


@pytest.mark.parametrize(("given", "project"), [([], "campaign"), (["--project", "x"], "x")])
def test_the_command_takes_the_project_of_the_environment_unless_it_is_given_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: list[str], project: str
) -> None:
    monkeypatch.setenv("TIRASTORE_PROJECT", "campaign")
    arguments = ["ingest", str(tmp_path / "s.db"), str(table(tmp_path, "jsonl", [ROW])), *given]
    assert CliRunner().invoke(main, arguments).exit_code == 0
    with TiraStore(tmp_path / "s.db", read_only=True) as store:
        found = store.lookup("", ROW["source_code"], "")
        assert found is not None
        assert found.source_project == project


def test_the_command_reads_many_files_and_says_what_it_left_out(tmp_path: Path) -> None:
    good = table(tmp_path, "jsonl", [ROW])
    bad = tmp_path / "bad.csv"
    bad.write_text("program_name,source_code,schedule,is_legal\nq,void q() {},nonsense,0\n")
    arguments = ["ingest", str(tmp_path / "s.db"), str(explored(tmp_path)), str(good), str(bad)]
    shown = CliRunner().invoke(main, [*arguments, "--dialect", "looper", "--on-error", "skip"])
    assert shown.exit_code == 0, shown.output
    assert f"{good}: 1 measurements read: 1 written" in shown.stdout
    assert f"{bad}:2, column schedule: Invalid schedule" in shown.stderr
    shown = CliRunner().invoke(main, [*arguments, "--dialect", "looper"])
    assert shown.exit_code == 1
    assert f"{bad}:2, column schedule" in shown.stderr
    with TiraStore(tmp_path / "s.db", read_only=True) as store:
        assert store.count() == 8
