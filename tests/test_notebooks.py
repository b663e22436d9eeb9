"""The notebooks run from first to last cell, on any store, and are committed as they ran."""

from __future__ import annotations

import base64
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import nbformat
import pytest
from support import SHARED, SOURCE

from tirastore import TiraStore
from tirastore.measure.exploration import explore, pairs_to_explore

ROOT = Path(__file__).parent.parent
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
PAIRS = 42
MOST_BYTES = 250_000


def read(path: Path) -> Any:
    return nbformat.read(path, as_version=4)


def code_cells(notebook: Any) -> list[Any]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Measure some schedules of every program of the demo."""
    directory = tmp_path_factory.mktemp("measured")
    work = directory / "work"
    work.mkdir()
    tally = explore(directory / "s.db", pairs_to_explore(PAIRS, 0), workers=2, work_dir=work)
    assert tally.measured == PAIRS
    return directory / "s.db"


@pytest.fixture(scope="module")
def ingested(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Take in what real schedule explorations have left."""
    files = sorted((SHARED / "data").glob("*_explored_schedules.json"))
    if not files:
        pytest.skip("the real explorations are not present")
    path = tmp_path_factory.mktemp("ingested") / "s.db"
    with TiraStore(path, dialects=("tiralib", "looper")) as store:
        for file in files:
            store.ingest(file)
        assert store.count() > 50
    return path


def executed(notebook: Path, store: Path, directory: Path) -> Any:
    """Run a copy of a notebook in a kernel of its own, as `make rerun-notebooks` does."""
    copy = Path(shutil.copy(notebook, directory))
    convert = [sys.executable, "-m", "nbconvert", "--to", "notebook", "--execute", "--inplace"]
    finished = subprocess.run(
        [*convert, "--ExecutePreprocessor.timeout=300", copy.name],
        cwd=directory,
        capture_output=True,
        text=True,
        check=False,
        env={
            **os.environ,
            "TIRASTORE_DB": str(store),
            "IPYTHONDIR": str(directory / "ipython"),
            "JUPYTER_RUNTIME_DIR": str(directory / "runtime"),
            "MPLBACKEND": "module://matplotlib_inline.backend_inline",
        },
    )
    assert finished.returncode == 0, finished.stdout + finished.stderr
    return read(copy)


@pytest.fixture(scope="module", params=["empty", "of one program"])
def scarce(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a store that lacks what others have."""
    path = tmp_path_factory.mktemp("scarce") / "s.db"
    with TiraStore(path) as store:
        if request.param == "of one program":
            store.record("blur", SOURCE, "R(L0,comps=['c'])", False)
            store.record("blur", SOURCE, "", True, [2.0, 2.1])
            store.record("blur", SOURCE, "P(L0,comps=['c'])", True, [1.0, 1.1])
    return path


def said(notebook: Any) -> list[Any]:
    """Return all outputs, and make sure that none is an error or a warning."""
    outputs = [output for cell in code_cells(notebook) for output in cell.outputs]
    assert outputs
    for output in outputs:
        assert output.output_type != "error"
        assert output.get("name") != "stderr", output.text
    return outputs


def pictures(outputs: list[Any]) -> list[bytes]:
    return [
        base64.b64decode(output.data["image/png"])
        for output in outputs
        if "image/png" in output.get("data", {})
    ]


def test_there_are_four() -> None:
    names = [path.stem for path in NOTEBOOKS]
    assert names == ["01_quickstart", "02_execution_times", "03_cost_model", "04_fleet"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_the_first_code_cell_has_the_parameters(path: Path) -> None:
    first, *others = code_cells(read(path))
    assert first.metadata.tags == ["parameters"]
    assert 'db = os.environ.get("TIRASTORE_DB"' in first.source
    assert not any("parameters" in cell.metadata.get("tags", []) for cell in others)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_it_is_committed_as_it_ran_and_small(path: Path) -> None:
    notebook = read(path)
    nbformat.validate(notebook)
    cells = code_cells(notebook)
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    said(notebook)
    assert path.stat().st_size < MOST_BYTES
    assert not re.findall(r"/(?:home|root|tmp|work)/", path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_it_runs_on_what_was_just_measured(path: Path, measured: Path, tmp_path: Path) -> None:
    outputs = said(executed(path, measured, tmp_path))
    drawn = pictures(outputs)
    assert len(drawn) == len(pictures(said(read(path)))) > 0
    assert all(png.startswith(b"\x89PNG") for png in drawn)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_it_runs_on_a_store_that_holds_next_to_nothing(
    path: Path, scarce: Path, tmp_path: Path
) -> None:
    said(executed(path, scarce, tmp_path))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_it_runs_on_what_others_measured(path: Path, ingested: Path, tmp_path: Path) -> None:
    assert pictures(said(executed(path, ingested, tmp_path)))
