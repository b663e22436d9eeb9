"""Exports and backups hold everything, once, of one consistent state; a failure leaves no trace."""

import contextlib
import errno
import json
import math
import os
import re
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from support import (
    SOURCE,
    at_rest,
    contents,
    held,
    lock_of,
    old_store,
    open_store,
    process,
    query,
    run_python,
    schedule,
)

from tirastore import CorruptRecordWarning, Measurement, StoreFileError, TiraStore

FORMATS: list[Any] = ["json", "jsonl"]
ROWS = "SELECT * FROM records ORDER BY key"
PROGRAMS = "SELECT * FROM programs ORDER BY program_hash"


def source(number: int) -> str:
    return f'void p{number}() {{ "é 😀 \\n \\0"; }}\n'


@pytest.fixture
def filled(store: TiraStore) -> TiraStore:
    """Fill the store with a few programs, some of them without records."""
    store.record_batch(
        [
            Measurement(
                f"p{program}",
                source(program),
                schedule(number),
                number % 3 > 0,
                [0.1 * number, 1e-5, 123456.789] if number % 3 else None,
            )
            for program in range(4)
            for number in range(7)
        ]
    )
    store.record("a second name", source(2), schedule(0), False)
    store.record_many("no records", "void nothing() {}", [])
    return store


def exported(path: Path, fmt: str) -> dict[str, Any]:
    """Read an export back; no name may occur twice."""

    def without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        assert len(dict(pairs)) == len(pairs)
        return dict(pairs)

    def refuse(constant: str) -> float:
        raise AssertionError(constant)

    def load(text: str) -> dict[str, Any]:
        return json.loads(text, object_pairs_hook=without_duplicates, parse_constant=refuse)

    text = path.read_text("utf-8")
    if fmt == "json":
        return load(text)
    programs = [load(line) for line in text.splitlines()]
    assert all(len(program) == 1 for program in programs)
    names = [name for program in programs for name in program]
    assert len(set(names)) == len(names)
    return {name: value for program in programs for name, value in program.items()}


@pytest.mark.parametrize("fmt", FORMATS)
def test_an_export_is_what_the_store_holds(filled: TiraStore, tmp_path: Path, fmt: Any) -> None:
    target = tmp_path / "out"
    assert filled.export(target, fmt) == target
    programs = exported(target, fmt)
    assert programs.keys() == {"no records", *(f"p{number}" for number in range(4))}
    assert programs["no records"]["schedules_list"] == []
    for number in range(4):
        program = programs[f"p{number}"]
        assert program["Tiramisu_cpp"] == source(number)
        assert program["program_name"] == f"p{number}"
        assert program["schedules_list"] == [
            {
                "schedule_str": found.schedule,
                "is_legal": found.is_legal,
                "execution_times": found.execution_times,
            }
            for found in filled.get_program_records("", source(number))
        ]
        assert len(program["schedules_list"]) == 7
    assert programs["p2"]["further_names"] == ["a second name"]
    assert at_rest(tmp_path) == ["out", "store.db"]


def test_json_is_the_default_format(filled: TiraStore, tmp_path: Path) -> None:
    filled.export(tmp_path / "default")
    filled.export(str(tmp_path / "json"), "json")
    assert (tmp_path / "default").read_bytes() == (tmp_path / "json").read_bytes()
    for fmt in ("xml", "", "JSON"):
        with pytest.raises(ValueError, match="'json' or 'jsonl'"):
            filled.export(tmp_path / "never", fmt)  # type: ignore[arg-type]
    assert not (tmp_path / "never").exists()


@pytest.mark.parametrize("fmt", FORMATS)
@pytest.mark.parametrize(
    "names",
    [
        ["a", "a", "a_v1"],
        ["a", "a", "a_v2", "a_v1", "a_v1"],
        ["a_v1", "a_v1", "a", "a", "a_v1_v1", "a_v2"],
        ["x"] * 12,
        ["", "", "_v1"],
        ["A", "a", "a\0", "é", "e\u0301"],
    ],
    ids=repr,
)
def test_no_program_is_lost_whatever_the_names(
    store: TiraStore, tmp_path: Path, names: list[str], fmt: Any
) -> None:
    batch = [Measurement(name, source(i), schedule(i), False) for i, name in enumerate(names)]
    assert store.record_batch(batch) == len(names)
    programs = exported(store.export(tmp_path / "out", fmt), fmt)
    assert len(programs) == len(names)
    sources = {program["Tiramisu_cpp"]: program for program in programs.values()}
    assert len(sources) == len(names)
    for i, name in enumerate(names):
        program = sources[source(i)]
        assert program["program_name"] == name
        assert [entry["schedule_str"] for entry in program["schedules_list"]] == [schedule(i)]
    for key, program in programs.items():
        name = program["program_name"]
        pattern = re.escape(name) + (r"_v\d+" if names.count(name) > 1 else "")
        assert re.fullmatch(pattern, key)


@pytest.mark.parametrize("fmt", FORMATS)
def test_two_exports_of_the_same_content_are_the_same_bytes(
    filled: TiraStore, tmp_path: Path, fmt: Any
) -> None:
    first = filled.export(tmp_path / "first", fmt).read_bytes()
    with open_store(filled.db_path) as other:
        assert other.export(tmp_path / "second", fmt).read_bytes() == first
    with contextlib.closing(sqlite3.connect(filled.db_path)) as connection:
        connection.execute("VACUUM")
    assert filled.export(tmp_path / "third", fmt).read_bytes() == first


@pytest.mark.parametrize("fmt", FORMATS)
def test_an_empty_store_exports_as_nothing(store: TiraStore, tmp_path: Path, fmt: Any) -> None:
    assert exported(store.export(tmp_path / "out", fmt), fmt) == {}


@pytest.mark.parametrize("fmt", FORMATS)
def test_times_that_json_does_not_know_are_null_with_a_warning(tmp_path: Path, fmt: Any) -> None:
    path = tmp_path / "s.db"
    old_store(
        path,
        [
            (schedule(0), '{"is_legal":true,"execution_times":[NaN,1.0,-Infinity]}'),
            (schedule(1), "not json"),
            (schedule(2), '{"is_legal":true,"execution_times":[2.0]}'),
        ],
    )
    with open_store(path) as store, pytest.warns(CorruptRecordWarning, match="2") as caught:
        target = store.export(tmp_path / "out", fmt)
    assert len(caught) == 1
    assert caught[0].filename == __file__
    entries = exported(target, fmt)["blur"]["schedules_list"]
    assert [entry["execution_times"] for entry in entries] == [[None, 1.0, None], None, [2.0]]
    assert [entry["is_legal"] for entry in entries] == [True, None, True]


@pytest.mark.parametrize("operation", ["export", "backup"])
def test_a_failure_leaves_the_old_target_and_no_other_file(
    filled: TiraStore, tmp_path: Path, operation: str
) -> None:
    def run(target: Path) -> None:
        getattr(filled, operation)(target)

    (tmp_path / "directory").mkdir()
    (tmp_path / "directory" / "precious").write_text("x")
    (tmp_path / "file").write_text("x")
    before = contents(tmp_path)
    for target in (
        tmp_path / "missing" / "out",
        tmp_path / "directory",
        tmp_path / "file" / "out",
    ):
        with pytest.raises(StoreFileError, match=re.escape(str(tmp_path))) as caught:
            run(target)
        assert isinstance(caught.value, OSError)
        assert contents(tmp_path) == before
        assert sorted(contents(tmp_path / "directory")) == ["precious"]
    run(tmp_path / "file")
    assert (tmp_path / "file").stat().st_size > 1000
    assert at_rest(tmp_path) == ["directory", "file", "store.db"]


@pytest.mark.parametrize("operation", ["export", "backup"])
def test_a_locked_store_fails_before_anything_is_created(
    tmp_path: Path, operation: str, protocol: str
) -> None:
    (tmp_path / "out").write_text("old")
    with open_store(tmp_path / "s.db", lock_timeout=0.2, lock=protocol) as store:
        with held(tmp_path / "s.db"), pytest.raises(TimeoutError):
            getattr(store, operation)(tmp_path / "out")
        assert (tmp_path / "out").read_text() == "old"
        assert at_rest(tmp_path) == ["out", "s.db"]


FILL = """
store = TiraStore(sys.argv[1], cpu_model="TestCPU", slurm_cpus="4")
programs, each = int(sys.argv[2]), int(sys.argv[3])
for program in range(programs):
    store.record_batch([
        tirastore.Measurement(
            f"p{program}", f"void p{program}() {{}}", f"U(L{n % 3},{n},comps=['c'])", True,
            [0.125 + n, 1.5, 2.25] * 3)
        for n in range(each)])
print(store.count())
"""

MEASURE = """
import resource
store = TiraStore(sys.argv[1], cpu_model="TestCPU", slurm_cpus="4")
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
store.export(sys.argv[2], sys.argv[3])
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def test_the_memory_of_an_export_does_not_grow_with_the_store(tmp_path: Path) -> None:
    """Ten times as many records, in as many programs and in bigger ones."""
    sizes = {"small": (6, 1000), "large": (30, 2000)}
    peaks: dict[tuple[str, str], int] = {}
    for name, (programs, each) in sizes.items():
        path = tmp_path / f"{name}.db"
        assert run_python(FILL, path, programs, each) == f"{programs * each}\n"
        for fmt in FORMATS:
            out = tmp_path / f"{name}.{fmt}"
            peaks[name, fmt] = int(run_python(MEASURE, path, out, fmt))
    assert (tmp_path / "large.json").stat().st_size > 9 * (tmp_path / "small.json").stat().st_size
    for fmt in FORMATS:
        # KiB; the larger export is over 10 MB of text, which is not in memory.
        assert peaks["large", fmt] < 1.25 * peaks["small", fmt], peaks
        assert peaks["large", fmt] - peaks["small", fmt] < 8 * 1024, peaks


def test_ctrl_c_during_an_export_leaves_the_old_target_and_no_other_file(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    run_python(FILL, path, 20, 2000)
    out = tmp_path / "out.json"
    out.write_text("old")
    code = """
store = TiraStore(sys.argv[1], cpu_model="TestCPU", slurm_cpus="4")
print("ready", flush=True)
try:
    while True:
        # Nothing else writes the target: a signal that arrived in that would leave half of it.
        store.export(sys.argv[2])
except KeyboardInterrupt:
    print("interrupted", flush=True)
"""
    with process(code, path, out) as exporter:
        assert exporter.stdout is not None
        time.sleep(0.25)
        exporter.send_signal(signal.SIGINT)
        assert exporter.stdout.readline() == "interrupted\n"
        assert exporter.wait(10) == 0
    assert at_rest(tmp_path) == ["out.json", "s.db"]
    if out.read_text() != "old":
        assert len(exported(out, "json")) == 20, "complete, or not begun"


def test_a_backup_has_every_row_and_is_a_store(filled: TiraStore, tmp_path: Path) -> None:
    target = filled.backup(tmp_path / "backup.db")
    assert target == tmp_path / "backup.db"
    for sql in (ROWS, PROGRAMS, "SELECT * FROM db_meta ORDER BY key", "PRAGMA integrity_check"):
        assert query(target, sql) == query(filled.db_path, sql)
    assert query(target, "PRAGMA journal_mode") == [("delete",)]
    with open_store(target) as copy:
        assert copy.keys() == filled.keys()
        assert copy.get_program_source("a second name") == filled.get_program_source("p2")
        assert copy.record("new", "void new() {}", "", True, [1.0])
        assert filled.count() == copy.count() - 1
    filled.backup(str(target))
    assert len(query(target, ROWS)) == filled.count(), "replaced"
    assert at_rest(tmp_path) == ["backup.db", "store.db"]


def test_a_backup_lies_beside_the_store_under_the_time_by_default(filled: TiraStore) -> None:
    target = filled.backup()
    assert target.parent == filled.db_path.parent
    assert re.fullmatch(r"store_\d{8}[T_]?\d{6}Z?\.db", target.name), target.name
    digits = re.sub(r"\D", "", target.name)
    now = time.strftime("%Y%m%d%H%M", time.gmtime())
    assert abs(int(digits[:12]) - int(now)) <= 1 or digits[:8] != now[:8]
    assert query(target, ROWS) == query(filled.db_path, ROWS)


def test_backups_of_the_same_second_do_not_fail(filled: TiraStore) -> None:
    targets = [filled.backup() for _ in range(3)]
    assert all(target.exists() for target in targets)


@pytest.mark.parametrize("operation", ["export", "backup"])
@pytest.mark.parametrize("spelling", ["same", "relative", "link"])
def test_a_store_is_never_replaced_by_its_own_export_or_backup(
    filled: TiraStore, monkeypatch: pytest.MonkeyPatch, operation: str, spelling: str
) -> None:
    directory = filled.db_path.parent
    target = filled.db_path
    if spelling == "relative":
        monkeypatch.chdir(directory)
        target = Path("store.db")
    elif spelling == "link":
        target = directory / "link.db"
        target.symlink_to(filled.db_path)
    before = contents(directory)
    with pytest.raises(ValueError, match=re.escape(str(filled.db_path))):
        getattr(filled, operation)(target)
    assert contents(directory) == before


def test_a_backup_takes_the_place_of_no_other_store_that_is_in_use(
    filled: TiraStore, tmp_path: Path
) -> None:
    with open_store(tmp_path / "other.db") as other:
        other.record("p", source(0), "", True, [1.0])
        with pytest.raises(ValueError, match="a store that is in use"):
            filled.backup(tmp_path / "other.db")
        assert other.count() == 1
    # An earlier backup has no lock.
    for _ in range(2):
        filled.backup(tmp_path / "copy.db")
    with open_store(tmp_path / "copy.db", read_only=True) as copy:
        assert copy.count() == filled.count()


@pytest.mark.parametrize("fmt", ["json", "jsonl"])
def test_an_export_takes_the_place_of_no_database(
    filled: TiraStore, tmp_path: Path, fmt: Any
) -> None:
    backup = filled.backup(tmp_path / "copy.db")
    with pytest.raises(ValueError, match="a database, not an earlier export"):
        filled.export(backup, fmt)
    with open_store(backup, read_only=True) as copy:
        assert copy.count() == filled.count()


def test_a_place_that_cannot_be_written_is_named_with_the_systems_error(
    filled: TiraStore, tmp_path: Path
) -> None:
    for write in (filled.backup, filled.export):
        with pytest.raises(OSError) as raised:  # noqa: PT011 -- its errno is asked for
            write(tmp_path / "missing" / "out")
        assert raised.value.errno == errno.ENOENT
        assert ".tirastore" not in str(raised.value)


def test_a_store_is_never_replaced_through_a_hard_link_or_its_lock(filled: TiraStore) -> None:
    link = filled.db_path.with_name("hard.db")
    os.link(filled.db_path, link)
    rows = query(filled.db_path, ROWS)
    with contextlib.suppress(ValueError, OSError):
        filled.backup(link)
    assert query(filled.db_path, ROWS) == rows
    with contextlib.suppress(ValueError, OSError):
        filled.backup(lock_of(filled.db_path))
    if lock_of(filled.db_path).is_file():
        lock_of(filled.db_path).unlink()
    assert filled.count() == len(rows)


def test_an_export_onto_a_link_replaces_what_it_points_to_or_says_why_not(
    filled: TiraStore, tmp_path: Path
) -> None:
    (tmp_path / "real.json").write_text("old")
    (tmp_path / "link.json").symlink_to(tmp_path / "real.json")
    filled.export(tmp_path / "link.json")
    assert len(exported(tmp_path / "link.json", "json")) == 5


WRITE_PAIRS = """
store = TiraStore(sys.argv[1], cpu_model="TestCPU", slurm_cpus="4", lock_timeout=60)
print("ready", flush=True)
writer = sys.argv[2]
for number in range(1_000_000):
    store.record_batch([
        tirastore.Measurement(f"{writer}{half}", f"void {writer}{half}() {{}}",
                              f"U(L0,{number},comps=['c'])", True, [float(number)])
        for half in "ab"])
    time.sleep(0.002)
"""


def numbers(path: Path, name: str) -> list[int]:
    found = query(
        path,
        "SELECT schedule FROM records JOIN programs USING (program_hash) WHERE program_name = ?",
        name,
    )
    return sorted(int(text.split(",")[1]) for (text,) in found)


def test_a_backup_beside_writers_is_a_state_that_there_was(tmp_path: Path, protocol: str) -> None:
    path = tmp_path / "s.db"
    store = open_store(path, lock_timeout=60.0, lock=protocol)
    sizes = []
    with process(WRITE_PAIRS, path, "x"), process(WRITE_PAIRS, path, "y"):
        for number in range(8):
            backup = store.backup(tmp_path / f"backup{number}.db")
            assert query(backup, "PRAGMA integrity_check") == [("ok",)]
            for writer in "xy":
                halves = numbers(backup, f"{writer}a")
                assert halves == numbers(backup, f"{writer}b"), "half a pair"
                assert halves == list(range(len(halves))), "a hole: no state that there was"
            sizes.append(len(query(backup, ROWS)))
            target = store.export(tmp_path / "out.json")
            counts = {
                name: len(program["schedules_list"])
                for name, program in exported(target, "json").items()
            }
            for writer in "xy":
                assert counts.get(f"{writer}a") == counts.get(f"{writer}b")
    assert sizes == sorted(sizes)
    assert sizes[-1] > sizes[0], "the writers wrote meanwhile"
    with open_store(backup) as copy:
        assert copy.count() == sizes[-1]
        assert not list(tmp_path.glob(".*"))


def test_an_export_survives_to_the_last_bit(store: TiraStore, tmp_path: Path) -> None:
    times = [math.pi, 1e-5, 5e-324, 1.7976931348623157e308, 0.1 + 0.2, 123456789.123456789, 1e22]
    store.record("p", SOURCE, "", True, times)
    (entry,) = exported(store.export(tmp_path / "out"), "json")["p"]["schedules_list"]
    assert entry["execution_times"] == times
    assert [type(time) for time in entry["execution_times"]] == [float] * len(times)


def test_a_killed_export_leaves_the_old_target_and_nothing_for_long(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    run_python(FILL, path, 10, 2000)
    out = tmp_path / "out.json"
    out.write_text("old")
    code = "import sys, tirastore\ns = tirastore.TiraStore(sys.argv[1], allow_cpu_mismatch=True)\n"
    code += "print('ready', flush=True)\ns.export(sys.argv[2])\n"
    with subprocess.Popen(
        [sys.executable, "-c", code, path, out], stdout=subprocess.PIPE
    ) as victim:
        assert victim.stdout is not None
        victim.stdout.readline()
        time.sleep(0.02)
        victim.kill()
    if out.read_text() != "old":
        assert len(exported(out, "json")) == 10, "complete, or not begun"
    with open_store(path, lock_timeout=20.0) as store:
        assert store.count() == 20000
        store.export(out)
    assert at_rest(tmp_path) == ["out.json", "s.db"], "its temporary files are swept away"
