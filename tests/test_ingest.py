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
from support import SHARED, open_store, run_python, schedule

from tirastore import ImportReport, IngestError, InvalidScheduleError, TiraStore
from tirastore.cli import main
from tirastore.ingest import formats

ROW: dict[str, Any] = {
    "program_name": "mm",
    "source_code": "void mm() {}",
    "schedule": "",
    "is_legal": True,
    "execution_times": [1.5, 1.25],
}
TABLES = ["csv", "tsv", "jsonl", "parquet", "arrow", "stream"]


def table(directory: Path, kind: str, rows: list[dict[str, Any]]) -> Path:
    """Write rows as a table; CSV holds times as JSON."""
    path = directory / f"rows.{kind}"
    if kind in ("csv", "tsv"):
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, list(rows[0]), delimiter="\t" if kind == "tsv" else ",")
            writer.writeheader()
            writer.writerows(
                {**row, "execution_times": json.dumps(row["execution_times"] or [])} for row in rows
            )
    elif kind == "jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    else:
        pa = pytest.importorskip("pyarrow")
        columns = pa.Table.from_pylist(rows)
        if kind == "parquet":
            pytest.importorskip("pyarrow.parquet").write_table(columns, path)
        else:
            make = pa.ipc.new_file if kind == "arrow" else pa.ipc.new_stream
            with make(path, columns.schema) as writer:
                writer.write_table(columns)
    return path


def rows(count: int) -> list[dict[str, Any]]:
    return [
        {
            **ROW,
            "program_name": f"p{number % 7}",
            "source_code": f'void p{number % 7}() {{\n  // é, "quoted"\n}}',
            "schedule": schedule(number),
            "is_legal": number % 3 > 0,
            "execution_times": [0.5 * number, 1e-5] if number % 3 else None,
        }
        for number in range(count)
    ]


def held(store: TiraStore, row: dict[str, Any]) -> tuple[bool, Any]:
    found = store.lookup("", row["source_code"], row["schedule"])
    assert found is not None
    return found.is_legal, found.execution_times


def numbers(report: ImportReport) -> tuple[int, int, int, int]:
    return (report.read, report.written, report.already_there, report.skipped)


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


BAD: list[tuple[str, str, str, Any, str]] = [
    # format, file name, text, (line, column), part of the cause
    (
        "json",
        "x.json",
        (
            '{"p": {"Tiramisu_cpp": "p",\n "schedules_list": [\n'
            '  {"schedule_str": "", "is_legal": true, "execution_times": [1.0]},\n'
            '  {"schedule_str": "nonsense", "is_legal": false, "execution_times": null}]}}'
        ),
        (4, 20),
        "Invalid schedule",
    ),
    (
        "json",
        "x.json",
        (
            '{"p": {"Tiramisu_cpp": "p", "schedules_list": [\n'
            '  {"schedule_str": "", "is_legal": null, "execution_times": null}]}}'
        ),
        (2, 36),
        "is_legal must be",
    ),
    (
        "json",
        "x.json",
        '{"p": {"Tiramisu_cpp": "p", "schedules_list": [\n\n  {"is_legal": 1}]}}',
        (3, 3),
        "schedule_str",
    ),
    ("json", "x.json", '{"p": {"schedules_list": []}}', (1, 7), "Tiramisu_cpp"),
    ("json", "x.json", '{"p": {"Tiramisu_cpp": "",\n "schedules_list": 3}}', (2, 20), "list"),
    ("json", "x.json", '{"p": 3}', (1, 7), "not a JSON object"),
    (
        "jsonl",
        "x.jsonl",
        (
            '{}\n{"p": {"Tiramisu_cpp": "p", "schedules_list": [{"schedule_str": "",'
            ' "is_legal": true, "execution_times": [NaN]}]}}\n'
        ),
        (2, 106),
        "NaN",
    ),
    ("jsonl", "x.jsonl", '\n{"p": {\n', (2, 8), "Expecting property name"),
    ("jsonl", "x.jsonl", "[]\n", (1, None), "JSON object"),
    (
        "jsonl",
        "x.jsonl",
        '{"program_name": "p", "schedule": "", "is_legal": 1}\n',
        (1, 1),
        "source",
    ),
    (
        "jsonl",
        "x.jsonl",
        '{"program_name": "p", "source_code": "p", "schedule": ""}\n',
        (1, 1),
        "no column is_legal; the columns are: program_name, source_code, schedule",
    ),
    (
        "csv",
        "x.csv",
        'program_name,source_code,schedule,is_legal\np,"v\n\n",,2\n',
        (2, "is_legal"),
        "'2'",
    ),
    (
        "csv",
        "x.csv",
        "program_name,source_code,schedule,is_legal,execution_times\np,v,,1,[-1]\n",
        (2, "execution_times"),
        "is -1",
    ),
    (
        "csv",
        "x.csv",
        "program_name,source_code,schedule,is_legal,execution_times\np,v,,1,fast\n",
        (2, "execution_times"),
        "'fast'",
    ),
    (
        "csv",
        "x.csv",
        "program_name,source_code,schedule,is_legal,status\np,v,,0,timeout\n",
        (2, "status"),
        "is_legal is False",
    ),
    (
        "csv",
        "x.csv",
        "program_name,source_code,schedule,is_legal,details\np,v,,0,{\n",
        (2, "details"),
        "JSON object",
    ),
    ("csv", "x.csv", "program_name,source_code,schedule,is_legal\np,v,\n", (2, None), "4 fields"),
    (
        "csv",
        "x.csv",
        "program_name,source_code,schedule,is_legal,creation_date\np,v,,0,now\n",
        (2, "creation_date"),
        "'now'",
    ),
    (
        "csv",
        "x.csv",
        'program_name,source_code,schedule,is_legal\np,"v"x,,0\n',
        (2, None),
        "expected",
    ),
    (
        "explored",
        "f_explored_schedules.json",
        (
            '{"program_annotation": {},\n"schedules_list": [\n'
            '{"sched_str": "F(",  "legality_check": false}]}'
        ),
        (3, 15),
        "Invalid schedule",
    ),
]


@pytest.mark.parametrize(("kind", "name", "text", "at", "cause"), BAD)
def test_an_error_has_file_line_and_column(
    store: TiraStore, tmp_path: Path, kind: Any, name: str, text: str, at: Any, cause: str
) -> None:
    path = tmp_path / name
    path.write_text(text)
    with pytest.raises(IngestError) as caught:
        store.ingest(path, kind)
    assert cause in str(caught.value)
    assert (caught.value.path, caught.value.line, caught.value.column) == (path, *at)
    colon = f":{at[1]}" if isinstance(at[1], int) else ", column" if at[1] else ""
    assert str(caught.value).startswith(f"{path}:{at[0]}{colon}")
    report = store.ingest(path, kind, on_error="skip")
    assert report.skipped == len(report.errors) == 1
    assert report.errors[0] == str(caught.value)


@pytest.mark.parametrize(
    ("text", "at", "cause"),
    [
        ("", (1, 1), "a JSON object"),
        ("[]", (1, 1), "a JSON object"),
        ("{3: 4}", (1, 2), "double quotes"),
        ('{"a": {"Tiramisu_cpp": "", "schedules_list": []}\n"b": {}}', (2, 1), "',' or '}'"),
        ('{"a": {"Tiramisu_cpp": "x}', (1, 24), "Unterminated string"),
        ('{"a" {}}', (1, 6), "':'"),
        ("{}\n{}", (2, 1), "the end of the file"),
    ],
)
def test_what_is_no_json_ends_an_import_also_of_one_that_skips(
    store: TiraStore, tmp_path: Path, text: str, at: Any, cause: str
) -> None:
    path = tmp_path / "x.json"
    path.write_text(text)
    for on_error in ("raise", "skip"):
        with pytest.raises(IngestError) as caught:
            store.ingest(path, "json", on_error=on_error)  # type: ignore[arg-type]
        assert cause in str(caught.value)
        assert (caught.value.line, caught.value.column) == at


@pytest.mark.parametrize("kind", TABLES)
def test_bad_rows_are_left_out_and_counted_and_the_others_come_in(
    store: TiraStore, tmp_path: Path, kind: str
) -> None:
    given = rows(300)
    for number in (5, 6, 250):
        given[number]["schedule"] = f"nonsense {number}"
    path = table(tmp_path, kind, given)
    report = store.ingest(path, on_error="skip")
    assert numbers(report) == (300, 297, 0, 3)
    assert all("Invalid schedule" in error and "schedule" in error for error in report.errors)
    if kind in ("parquet", "arrow", "stream"):
        assert report.errors[0].startswith(f"{path}: row 6, column schedule: ")
    assert numbers(store.ingest(path, on_error="skip")) == (300, 0, 297, 3)
    with pytest.raises(IngestError, match="nonsense"):
        store.ingest(path)


def test_all_problems_are_counted_and_a_hundred_described(store: TiraStore, tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text("[]\n" * 5000)
    report = store.ingest(path, on_error="skip")
    assert report.skipped == 5000
    assert len(report.errors) == 100


def test_bytes_that_are_no_text_spoil_one_row_only(store: TiraStore, tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    lines = [json.dumps({**ROW, "schedule": schedule(number)}) for number in range(3)]
    path.write_bytes("\n".join(lines).encode().replace(b"void mm", b"\xff", 1))
    report = store.ingest(path, on_error="skip")
    assert numbers(report) == (3, 2, 0, 1)
    assert report.errors[0].startswith(f"{path}:1:")


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


def test_what_cannot_be_read_says_what_to_do(store: TiraStore, tmp_path: Path) -> None:
    (tmp_path / "a.bin").write_text("hello")
    with pytest.raises(ValueError, match="format= one of json, jsonl"):
        store.ingest(tmp_path / "a.bin")
    with pytest.raises(ValueError, match="use merge"):
        store.ingest(store.db_path)
    with pytest.raises(ValueError, match="format must be one of"):
        store.ingest(tmp_path / "a.bin", "xml")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="on_error must be"):
        store.ingest(tmp_path / "a.bin", on_error="ignore")  # type: ignore[arg-type]
    with pytest.raises(FileNotFoundError):
        store.ingest(tmp_path / "missing.csv")
    with pytest.raises(NotADirectoryError, match="sources"):
        store.ingest(table(tmp_path, "jsonl", [ROW]), sources=tmp_path / "missing")


def test_without_pyarrow_the_error_names_the_extra(tmp_path: Path) -> None:
    (tmp_path / "a.parquet").write_bytes(b"PAR1")
    code = """
sys.modules["pyarrow"] = None
try:
    TiraStore(sys.argv[1]).ingest(sys.argv[2])
except ImportError as error:
    print(error)
"""
    shown = run_python(code, tmp_path / "s.db", tmp_path / "a.parquet")
    assert "pip install 'tirastore[analysis]'" in shown


def explored(directory: Path, **changes: Any) -> Path:
    """Write a small file as LOOPer writes them."""
    content = {
        "filename": "./function_x_explored_schedules.json",
        "node_name": "lanka01",
        "parameters": {"beam_size": 1},
        "program_annotation": {"memory_size": "0.1", "iterators": {}},
        "initial_execution_time": 0.021,
        "schedules_list": [
            {"sched_str": "", "legality_check": True, "execution_times": [0.021, 0.022]},
            {"sched_str": "P({C0},L1)", "legality_check": True, "execution_times": [0.01]},
            {"sched_str": "P({C0},L2)", "legality_check": False},
            {"sched_str": "P({C0},L3)", "execution_times": [-1.0]},
            {"sched_str": "P({C0},L4)", "execution_times": [21.000001]},
            {"sched_str": "P({C0},L5)", "legality_check": True, "execution_times": None},
            {"sched_str": "P({C0},L6)", "legality_check": True, "execution_times": []},
        ],
        **changes,
    }
    path = directory / "function_x_explored_schedules.json"
    path.write_text(json.dumps(content))
    return path


@pytest.fixture
def looper(tmp_path: Path) -> Any:
    with open_store(tmp_path / "looper.db", dialects=("tiralib", "looper")) as opened:
        yield opened


def test_what_looper_explored_comes_in_without_its_made_up_times(
    looper: TiraStore, tmp_path: Path
) -> None:
    path = explored(tmp_path)
    assert numbers(looper.ingest(path)) == (7, 7, 0, 0)
    (program,) = looper.get_program_source("function_x")
    assert json.loads(program["source_code"]) == {"memory_size": "0.1", "iterators": {}}
    found = {
        record.schedule: record for record in looper.get_program_records("", program["source_code"])
    }
    assert {text: (record.status, record.execution_times) for text, record in found.items()} == {
        "": ("measured", [0.021, 0.022]),
        "P({C0},L1)": ("measured", [0.01]),
        "P({C0},L2)": ("illegal", None),
        "P({C0},L3)": ("failed", None),
        "P({C0},L4)": ("timeout", None),
        "P({C0},L5)": ("failed", None),
        "P({C0},L6)": ("unmeasured", None),
    }
    assert found["P({C0},L4)"].details == {"bound": pytest.approx(0.021)}
    assert "-1.0" in str(found["P({C0},L3)"].details)
    assert {record.hostname for record in found.values()} == {"lanka01"}
    assert numbers(looper.ingest(path)) == (7, 0, 7, 0)


def test_the_annotation_stands_in_for_the_source_whatever_its_order(
    looper: TiraStore, tmp_path: Path
) -> None:
    looper.ingest(explored(tmp_path))
    turned = explored(tmp_path, program_annotation={"iterators": {}, "memory_size": "0.1"})
    looper.ingest(turned)
    assert looper.program_count() == 1


@pytest.mark.parametrize("given", ["mapping", "generator", "plain"])
def test_sources_are_taken_where_they_are_given(
    looper: TiraStore, tmp_path: Path, given: str
) -> None:
    source = "void function_x() {}"
    sources: Any = {"function_x": source}
    if given != "mapping":
        ending = "_generator.cpp" if given == "generator" else ".cpp"
        (tmp_path / f"function_x{ending}").write_text(source)
        sources = str(tmp_path)
    looper.ingest(explored(tmp_path), sources=sources)
    assert looper.contains("", source, "P({C0},L1)")


def test_a_store_for_another_dialect_says_so(store: TiraStore, tmp_path: Path) -> None:
    with pytest.raises(IngestError, match="in dialects= to record it") as caught:
        store.ingest(explored(tmp_path))
    assert not isinstance(caught.value, InvalidScheduleError)
    assert caught.value.line == 1


@pytest.mark.skipif(not (SHARED / "data").is_dir(), reason="the real files are not here")
@pytest.mark.parametrize(
    ("name", "read", "timed"), [("gramschmidt", 25, 25), ("fdtd_2d_MINI", 55, 1)]
)
def test_real_files_of_looper_come_in(looper: TiraStore, name: str, read: int, timed: int) -> None:
    path = SHARED / "data" / f"function_{name}_explored_schedules.json"
    report = looper.ingest(path)
    assert numbers(report) == (read, read, 0, 0)
    assert looper.verify().ok
    (program,) = looper.get_program_source(f"function_{name}")
    found = looper.get_program_records("", program["source_code"])
    content = json.loads(path.read_text())
    expected = {entry["sched_str"]: entry["execution_times"] for entry in content["schedules_list"]}
    measured = [record for record in found if record.status == "measured"]
    for record in measured:
        assert record.execution_times == expected[record.schedule]
    assert (len(found), len(measured)) == (read, timed)
    bounds = {record.details["bound"] for record in found if record.status == "timeout"}
    assert bounds <= {content["initial_execution_time"]}


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
