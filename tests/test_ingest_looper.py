"""What LOOPer explored comes in, without the times that it made up."""

import json
from pathlib import Path
from typing import Any

import pytest
from support import SHARED, open_store
from tables import explored, numbers

from tirastore import IngestError, InvalidScheduleError, TiraStore


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
