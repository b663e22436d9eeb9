"""The same records give the same data set, and others another."""

import json
import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import open_store, schedule

from tirastore import TiraStore

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")

from datasets import measurements, rows_of, source  # noqa: E402 -- these need pyarrow

from tirastore.dataset.digest import ContentHash  # noqa: E402 -- these need pyarrow


@pytest.fixture
def filled(tmp_path: Path) -> Any:
    with open_store(tmp_path / "filled.db") as opened:
        opened.record_batch(measurements(0))
        yield opened


def test_the_same_records_give_the_same_data_set_in_whatever_order_they_came(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hashes, manifests, rows = [], [], []
    given_ = measurements(3)
    origin = {"hostname": "n", "creation_date": "2026-01-01"}
    for name in ("a", "b", "c"):
        random.Random(name).shuffle(given_)
        lines = [
            json.dumps(
                {
                    "program_name": measured.program_name,
                    "source_code": measured.program_source_code,
                    "schedule": measured.tiralib_schedule_string,
                    "is_legal": measured.is_legal,
                    "execution_times": measured.execution_times,
                    **origin,
                }
            )
            for measured in given_
        ]
        (tmp_path / f"{name}.jsonl").write_text("\n".join(lines))
        with open_store(tmp_path / f"{name}.db") as store:
            store.ingest(tmp_path / f"{name}.jsonl")
            # However much is read at once.
            monkeypatch.setattr("tirastore.dataset.export._CHUNK", {"a": 1, "b": 20}.get(name, 500))
            hashes.append(store.export_dataset(tmp_path / name).content_hash)
        manifests.append((tmp_path / name / "manifest.json").read_text())
        rows.append(rows_of(tmp_path / name))
    assert len(set(hashes)) == len(set(manifests)) == 1
    assert rows[0] == rows[1] == rows[2]


def test_the_hash_does_not_depend_on_which_name_of_a_program_came_first(tmp_path: Path) -> None:
    hashes = []
    for names in (("one", "two"), ("two", "one")):
        path = tmp_path / f"{names[0]}.jsonl"
        row = {"source_code": source(0), "schedule": "", "is_legal": True, "execution_times": [1.0]}
        origin = {"hostname": "n", "creation_date": "2026-01-01"}
        lines = [json.dumps({"program_name": name, **row, **origin}) for name in names]
        path.write_text("\n".join(lines))
        with open_store(path.with_suffix(".db")) as store:
            store.ingest(path)
            hashes.append(store.export_dataset(tmp_path / names[0]).content_hash)
        manifest = json.loads((tmp_path / names[0] / "manifest.json").read_text())
        hashes.append(manifest["programs_sha256"])
    assert hashes[:2] == hashes[2:]


def test_other_content_has_another_hash(filled: TiraStore, tmp_path: Path) -> None:
    first = filled.export_dataset(tmp_path / "a")
    assert filled.export_dataset(tmp_path / "b").content_hash == first.content_hash
    assert filled.export_dataset(tmp_path / "c", seed=1).content_hash != first.content_hash
    filled.record("p0", source(0), schedule(99), True, [1.0])
    assert filled.export_dataset(tmp_path / "d").content_hash != first.content_hash


VALUES = st.fixed_dictionaries(
    {
        "text": st.one_of(st.none(), st.text(max_size=4)),
        "number": st.one_of(st.none(), st.floats(allow_nan=False)),
        "times": st.one_of(st.none(), st.lists(st.floats(0, 9), max_size=3)),
        "features": st.lists(
            st.fixed_dictionaries(
                {"kind": st.text(max_size=2), "levels": st.lists(st.integers(0, 9))}
            ),
            max_size=2,
        ),
        "truth": st.booleans(),
    }
)


TYPES = pa.schema(
    [
        ("text", pa.string()),
        ("number", pa.float64()),
        ("times", pa.list_(pa.float64())),
        (
            "features",
            pa.list_(pa.struct([("kind", pa.string()), ("levels", pa.list_(pa.int64()))])),
        ),
        ("truth", pa.bool_()),
    ]
)


@settings(max_examples=200, deadline=None)
@given(st.lists(VALUES, max_size=8), st.lists(VALUES, max_size=8), st.data())
def test_a_content_hash_is_that_of_the_rows_however_they_are_cut(
    rows: list[dict[str, Any]], others: list[dict[str, Any]], data: st.DataObject
) -> None:
    def digest(of: list[dict[str, Any]], *, cut: bool) -> str:
        table = pa.Table.from_pylist(of, TYPES)
        content = ContentHash()
        start = 0
        while cut and start < len(of):
            length = data.draw(st.integers(1, len(of) - start))
            content.update(table.slice(start, length))
            start += length
        if not cut or not of:
            content.update(table)
        return content.hexdigest()

    whole = digest(rows, cut=False)
    assert digest(rows, cut=True) == whole
    # Not by repr: the keys of a row come in any order.
    same = json.dumps(rows, sort_keys=True) == json.dumps(others, sort_keys=True)
    assert (digest(others, cut=True) == whole) == same
