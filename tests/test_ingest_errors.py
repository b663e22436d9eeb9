"""What cannot be recorded says where it is and why, and costs nothing else."""

import json
from pathlib import Path
from typing import Any

import pytest
from support import run_python, schedule
from tables import ROW, TABLES, numbers, rows, table

from tirastore import IngestError, TiraStore

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


@pytest.mark.parametrize("kind", ["parquet", "arrow", "stream"])
@pytest.mark.parametrize("part", [0.05, 0.6, 0.99])
def test_a_table_that_is_cut_off_ends_an_import_also_of_one_that_skips(
    store: TiraStore, tmp_path: Path, kind: str, part: float
) -> None:
    path = table(tmp_path, kind, rows(5000))
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * part)])
    for on_error in ("raise", "skip"):
        with pytest.raises(IngestError, match="cut off or damaged") as caught:
            store.ingest(path, on_error=on_error)  # type: ignore[arg-type]
        assert caught.value.path == path
        assert str(caught.value).startswith(f"{path}: row {caught.value.line}: ")


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
