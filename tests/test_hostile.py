"""Hostile input is an error of ours or works: never a panic, a crash, or half a write."""

import contextlib
import json
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import corruption
import pytest
from support import SOURCE, contents, environment, old_store, open_store, query, schedule

import tirastore
from tirastore import (
    InvalidScheduleError,
    Measurement,
    NotAStoreError,
    TiraStore,
    TiraStoreError,
)

P = "P(L0,comps=['c'])"
ILLEGAL = '{"is_legal":false}'


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make one store to damage copies of."""
    path = tmp_path_factory.mktemp("template") / "s.db"
    corruption.make_template(path)
    return path


def test_the_template_has_what_can_be_damaged(template: Path) -> None:
    intact = corruption.facts(template)
    assert intact is not None
    assert len(intact) > 100
    assert query(template, "PRAGMA freelist_count") != [(0,)]
    with open_store(template) as store:
        assert store.verify().ok


SEEDS_PER_PROCESS = 50


@pytest.mark.parametrize("first", range(0, 300, SEEDS_PER_PROCESS))
def test_a_damaged_file_is_errors_of_ours_and_damage_is_found(
    template: Path, tmp_path: Path, first: int
) -> None:
    """Each seed damages a copy and calls everything, in a process of its own: it may crash."""
    last = first + SEEDS_PER_PROCESS
    done = subprocess.run(
        [sys.executable, corruption.__file__, template, tmp_path, str(first), str(last)],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
        env=environment(),
    )
    assert done.returncode == 0, f"{done.returncode} after {done.stderr[-2000:]}"
    told = [json.loads(line) for line in done.stdout.splitlines()]
    assert [one["seed"] for one in told] == list(range(first, last))
    wrong = {one["seed"]: one["wrong"] for one in told if one["wrong"]}
    assert not wrong
    # Both kinds of damage were met: the kind that is read past, and the kind that is refused.
    assert any(one["found"] and not one["matches"] for one in told)
    assert any(one["raised"] for one in told)


@pytest.mark.parametrize("found", ["3", "1", "", "2.0", "\0", "two", None])
def test_a_store_of_another_schema_is_refused_and_stays_byte_identical(
    tmp_path: Path, found: str | None
) -> None:
    path = tmp_path / "s.db"
    old_store(path, [(schedule(1), ILLEGAL)], schema_version=found)
    before = contents(tmp_path)
    for options in ({}, {"read_only": True}, {"allow_cpu_mismatch": True}):
        with pytest.raises(NotAStoreError, match="left untouched"):
            open_store(path, **options)
    assert contents(tmp_path) == before


def test_a_version_that_is_no_text_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    old_store(path, [])
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE db_meta SET value = x'ff' WHERE key = 'schema_version'")
        connection.commit()
    before = contents(tmp_path)
    with pytest.raises(NotAStoreError, match="schema version"):
        open_store(path)
    assert contents(tmp_path) == before


def test_newer_tables_and_columns_beside_ours_are_no_obstacle(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    old_store(path, [(schedule(1), ILLEGAL)])
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE claims (key TEXT PRIMARY KEY, node BLOB)")
        connection.execute("ALTER TABLE records ADD COLUMN joules REAL")
        connection.commit()
    with open_store(path) as store:
        assert store.record("blur", SOURCE, schedule(2), True, [1.0])
        assert store.lookup("blur", SOURCE, schedule(1)) is not None
        assert store.verify().ok


LARGE = 100_000_000
#: Seconds for one call with 100 MB, on a slow and busy machine.
PATIENCE = 60.0


def timed(call: Callable[[], Any]) -> Any:
    began = time.monotonic()
    try:
        return call()
    finally:
        assert time.monotonic() - began < PATIENCE


def test_a_source_of_100_mb_is_recorded_and_found(store: TiraStore) -> None:
    source = "void f() { " + "x = x + 1;\n" * (LARGE // 11) + "}"
    assert timed(lambda: store.record("large", source, P, True, [1.0]))
    found = timed(lambda: store.lookup("large", source, P))
    assert found is not None
    assert timed(lambda: store.get_program_source("large"))[0]["source_code"] == source
    assert timed(store.verify).ok


@pytest.mark.parametrize("opening", ["/*", "//", "#include <", "#", '"', "/" * 1000])
def test_a_source_of_100_mb_that_never_closes_costs_no_more(opening: str) -> None:
    repeated = opening * (LARGE // len(opening))
    assert len(timed(lambda: tirastore.make_program_hash(repeated))) == 64


def test_a_schedule_of_100_mb_is_recorded_and_found(store: TiraStore) -> None:
    text = f"P(L0,comps=['{'c' * LARGE}'])"
    assert timed(lambda: store.record("p", SOURCE, text, True, [1.0]))
    found = timed(lambda: store.lookup("p", SOURCE, text))
    assert found is not None
    assert found.schedule == text


#: Of 100 MB where every character may be looked at, else of 10 MB.
PIECES = {
    **dict.fromkeys(["x", "(", "comps=[", "P(L0,comps=['c'])"], LARGE),
    **dict.fromkeys(["P(", "[", "'", "{", "|", "P(L0,", "é", "9"], LARGE // 10),
}


@pytest.mark.parametrize("piece", PIECES)
def test_a_large_schedule_that_is_none_is_refused_shortly(store: TiraStore, piece: str) -> None:
    text = piece * (PIECES[piece] // len(piece.encode()))
    before = contents(store.db_path.parent)
    with pytest.raises(InvalidScheduleError) as caught:
        timed(lambda: store.record("p", SOURCE, text, True, [1.0]))
    assert len(str(caught.value)) < 1000
    assert contents(store.db_path.parent) == before
    assert timed(lambda: store.lookup("p", SOURCE, text)) is None


def test_a_result_of_100_mb_that_is_none_is_refused_shortly(store: TiraStore) -> None:
    store.record("p", SOURCE, P, False)
    program = tirastore.make_program_hash(SOURCE)
    for text in ("[" * LARGE, '{"is_legal":"' + "x" * LARGE + '"}', "1" * LARGE):
        with pytest.raises(ValueError, match="result_json") as caught:
            timed(lambda text=text: store.put("0" * 64, program, P, text))
        assert len(str(caught.value)) < 1000
    assert store.count() == 1


HOSTILE = {
    "NUL": "a\0b",
    "NUL alone": "\0",
    "a lone surrogate": "a\ud800b",
    "a surrogate of a file name": "\udcff",
    "a pair that is none": "\udc00\ud800",
    "not a character": "\uffff\U0010ffff",
    "markup": "'; DROP TABLE records; --",
}
PROGRAM = tirastore.make_program_hash(SOURCE)


def entry(text: str) -> dict[str, Any]:
    return {"tiralib_schedule_string": text, "is_legal": False}


#: Every string argument of every public method: reads and refusals first, then what may write.
READS: dict[str, Callable[[TiraStore, str], Any]] = {
    "lookup name": lambda store, text: store.lookup(text, SOURCE, P),
    "lookup source": lambda store, text: store.lookup("p", text, P),
    "lookup schedule": lambda store, text: store.lookup("p", SOURCE, text),
    "contains name": lambda store, text: store.contains(text, SOURCE, P),
    "contains source": lambda store, text: store.contains("p", text, P),
    "contains schedule": lambda store, text: store.contains("p", SOURCE, text),
    "lookup_many name": lambda store, text: store.lookup_many([(text, SOURCE, P)]),
    "lookup_many source": lambda store, text: store.lookup_many([("p", text, P)]),
    "lookup_many schedule": lambda store, text: store.lookup_many([("p", SOURCE, text)]),
    "contains_many source": lambda store, text: store.contains_many([("p", text, P)]),
    "contains_many schedule": lambda store, text: store.contains_many([("p", SOURCE, text)]),
    "get_program_source": lambda store, text: store.get_program_source(text),
    "get_program_records name": lambda store, text: store.get_program_records(text, SOURCE),
    "get_program_records source": lambda store, text: store.get_program_records("p", text),
    "get": lambda store, text: store.get(text),
    "delete": lambda store, text: store.delete(text),
    "keys after": lambda store, text: store.keys(after=text),
    "export format": lambda store, text: store.export("x.json", text),  # type: ignore[arg-type]
    "put hash": lambda store, text: store.put("0" * 64, text, P, ILLEGAL),
    "put result": lambda store, text: store.put("0" * 64, PROGRAM, P, text),
    "open lock": lambda store, text: TiraStore(store.db_path, lock=text),  # type: ignore[arg-type]
    "open dialect": lambda store, text: TiraStore(store.db_path, dialects=[text]),
    "record schedule": lambda store, text: store.record("p", SOURCE, text, False),
    "record_many schedule": lambda store, text: store.record_many(
        "p", SOURCE, [entry(schedule(1)), entry(text)]
    ),
    "record_batch schedule": lambda store, text: store.record_batch(
        [Measurement("p", SOURCE, schedule(1), False), Measurement("p", SOURCE, text, False)]
    ),
}


@pytest.mark.parametrize("kind", HOSTILE)
@pytest.mark.parametrize("name", READS)
def test_text_of_every_kind_is_read_or_refused_and_changes_nothing(
    store: TiraStore, name: str, kind: str
) -> None:
    store.record("p", SOURCE, P, True, [1.0])
    before = contents(store.db_path.parent)
    with contextlib.suppress(TiraStoreError, ValueError, TypeError, OSError):
        READS[name](store, HOSTILE[kind])
    assert contents(store.db_path.parent) == before


def record(store: TiraStore, text: str) -> Any:
    store.record(text, SOURCE, P, True, [1.0])
    return store.get(tirastore.make_key(PROGRAM, P)), "program_name"


def record_source(store: TiraStore, text: str) -> Any:
    store.record("p", text, P, True, [1.0])
    return store.get(store.keys()[0]), "source_code"


def record_computation(store: TiraStore, text: str) -> Any:
    text = f"R(L0,comps=['{text}'])".replace("'; D", "; D").replace(" ", "")
    store.record("p", SOURCE, text, True, [1.0])
    found = store.get(store.keys()[0])
    assert found is not None
    return {"schedule": found["schedule"].removeprefix("R(L0,comps=['")[:-3]}, "schedule"


def record_many(store: TiraStore, text: str) -> Any:
    store.record_many(text, SOURCE, [entry(P)])
    return store.get(store.keys()[0]), "program_name"


def record_nothing(store: TiraStore, text: str) -> Any:
    store.record_many(text, SOURCE, [])
    found = store.get_program_source(text)
    return {"name": text if len(found) == 1 else None}, "name"


def record_batch(store: TiraStore, text: str) -> Any:
    store.record_batch([Measurement("q", SOURCE, P, False), Measurement("q", text, P, False)])
    found = store.get(tirastore.make_key(tirastore.make_program_hash(text), P))
    return found, "source_code"


def further_name(store: TiraStore, text: str) -> Any:
    store.record("first", SOURCE, P, False)
    before = contents(store.db_path.parent)
    try:
        store.record(text, SOURCE, P, False)
    except (ValueError, TypeError):
        assert contents(store.db_path.parent) == before
        store.delete(store.keys()[0])
        raise
    return {"name": text if store.get_program_source(text) else None}, "name"


def put_key(store: TiraStore, text: str) -> Any:
    store.record_many("p", SOURCE, [])
    try:
        store.put(text, PROGRAM, P, ILLEGAL)
    finally:
        assert store.count() in (0, 1)
    return store.get(text), "key"


def put_schedule(store: TiraStore, text: str) -> Any:
    store.record_many("p", SOURCE, [])
    store.put("0" * 64, PROGRAM, text, ILLEGAL)
    return store.get("0" * 64), "schedule"


def project(store: TiraStore, text: str) -> Any:
    store.source_project = text
    store.record("p", SOURCE, P, False)
    return store.get(store.keys()[0]), "source_project"


def machine(store: TiraStore, text: str) -> Any:
    path = store.db_path.with_name("other.db")
    with TiraStore(path, text, cpu_model=text, slurm_cpus=text) as other:
        assert (other.cpu_model, other.slurm_cpus) == (text, text)
        assert other.writes_allowed
        other.record("p", SOURCE, P, False)
        return other.get(other.keys()[0]), "source_project"


WRITES: list[Callable[[TiraStore, str], Any]] = [
    *(record, record_source, record_computation, record_many, record_nothing, record_batch),
    *(further_name, put_key, put_schedule, project, machine),
]


@pytest.mark.parametrize("kind", HOSTILE)
@pytest.mark.parametrize("write", WRITES)
def test_text_of_every_kind_comes_back_as_it_was_or_nothing_is_written(
    store: TiraStore, write: Callable[[TiraStore, str], Any], kind: str
) -> None:
    text = HOSTILE[kind]
    try:
        row, column = write(store, text)
    except (TiraStoreError, ValueError, TypeError):
        assert "surrogate" in kind or "pair" in kind
        assert store.count() == 0
        assert not store.db_path.with_name("other.db").exists()
        return
    wanted = text
    if write is record_computation:
        wanted = text.replace("'; D", "; D").replace(" ", "")
    assert row is not None
    assert row[column] == wanted
    assert store.export(store.db_path.with_name("all.json")).exists()
    if write not in (put_key, put_schedule):
        assert store.verify().ok


@pytest.mark.parametrize("kind", HOSTILE)
def test_paths_of_every_kind_are_used_or_refused(tmp_path: Path, kind: str) -> None:
    name = HOSTILE[kind].replace("/", "")
    errors = (TiraStoreError, ValueError, OSError)
    with contextlib.suppress(*errors), open_store(tmp_path / name) as store:
        assert store.record("p", SOURCE, P, False)
        assert store.count() == 1
    with open_store(tmp_path / "plain.db") as store:
        store.record("p", SOURCE, P, False)
        for write in (store.backup, store.export):
            with contextlib.suppress(*errors):
                assert write(tmp_path / f"{name}.copy").exists()
        with contextlib.suppress(*errors):
            assert store.backup(tmp_path / f"{name}.copy", verify=True).exists()
        assert store.verify().ok
        assert not [entry for entry in tmp_path.iterdir() if entry.name.startswith(".tirastore")]


FUNCTIONS: list[Callable[[str], Any]] = [
    tirastore.normalize_schedule,
    tirastore.normalize_program,
    tirastore.validate_schedule,
    tirastore.schedule_dialect,
    tirastore.make_program_hash,
    lambda text: tirastore.make_key(text, P),
    lambda text: tirastore.make_key(PROGRAM, text),
]


@pytest.mark.parametrize("kind", HOSTILE)
@pytest.mark.parametrize("function", FUNCTIONS)
def test_functions_of_text_answer_or_refuse(function: Callable[[str], Any], kind: str) -> None:
    with contextlib.suppress(ValueError, TypeError):
        assert function(HOSTILE[kind]) == function(HOSTILE[kind])
