"""The package is cheap to import, complete, documented, and of one version."""

import builtins
import importlib.metadata
import inspect
import json
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support import MACHINE, open_store, run_python

import tirastore
from tirastore import TiraStore, TiraStoreError, _core, errors

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = Path(tirastore.__file__).parent
RUNS = 7

HEAVY = "numpy pandas pyarrow polars matplotlib islpy rich click asyncio multiprocessing sqlite3"


def public_callables() -> dict[str, Callable[..., Any]]:
    """Return every public function, class and method that a user meets."""
    found: dict[str, Callable[..., Any]] = {}
    for name in tirastore.__all__:
        value = getattr(tirastore, name)
        if inspect.isfunction(value):
            found[name] = value
        elif not issubclass(value, (Exception, Warning)):
            found[name] = value
            for member, method in inspect.getmembers(value, inspect.isfunction):
                if not member.startswith("_"):
                    found[f"{name}.{member}"] = method
    assert len(found) > 20, sorted(found)
    return found


def test_importing_loads_nothing_heavy() -> None:
    code = """
import sys
before = set(sys.modules)
import tirastore
import json
print(json.dumps(sorted(set(sys.modules) - before)))
"""
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd="/"
    )
    modules = {name.partition(".")[0] for name in json.loads(loaded.stdout)}
    assert "tirastore" in modules
    assert not modules & set(HEAVY.split())


def test_recording_plain_numbers_needs_no_numpy(tmp_path: Path) -> None:
    code = """
sys.modules["numpy"] = None
store = TiraStore(sys.argv[1], cpu_model="TestCPU", slurm_cpus="4")
assert store.record("p", "void p() {}", "", True, [1.0, 2])
for times in ("1.0", {1.0}, 1.0, object(), [object()], [[1.0]]):
    try:
        store.record("p", "void p() {}", "", True, times)
    except TypeError as refused:
        assert "execution_times" in str(refused)
    else:
        raise SystemExit(f"accepted {times!r}")
print(store.lookup("p", "void p() {}", "").execution_times)
"""
    assert run_python(code, tmp_path / "s.db") == "[1.0, 2.0]\n"


def test_importing_costs_little_more_than_the_standard_modules_that_it_needs() -> None:
    """A ratio: on a quiet machine the import takes less than 50 ms altogether (`make bench`)."""
    code = """
import time
began = time.process_time()
import dataclasses, datetime, html, pathlib, threading, typing, warnings
standard = time.process_time()
import tirastore
print((time.process_time() - standard) / (standard - began))
"""
    ratios = [
        float(subprocess.check_output([sys.executable, "-c", code], cwd="/")) for _ in range(RUNS)
    ]
    assert min(ratios) < 1.5, ratios


@pytest.mark.parametrize("cpu_model", ["'TestCPU'", "None"])
def test_opening_a_store_takes_under_5_ms(tmp_path: Path, cpu_model: str) -> None:
    """The first store of a process: a CPU check, if there is one, included."""
    code = f"""
began = time.perf_counter()
TiraStore(sys.argv[1], cpu_model={cpu_model}, slurm_cpus="4", allow_cpu_mismatch=True)
print(time.perf_counter() - began)
"""
    with open_store(tmp_path / "s.db") as store:
        store.record("p", "void p() {}", "", True, [1.0])
    seconds = [float(run_python(code, tmp_path / "s.db")) for _ in range(RUNS)]
    assert min(seconds) < 0.005, seconds


def test_every_exported_name_exists_and_has_a_docstring() -> None:
    assert len(set(tirastore.__all__)) == len(tirastore.__all__) > 20
    for name in tirastore.__all__:
        assert inspect.getdoc(getattr(tirastore, name)), name
    star: dict[str, Any] = {}
    exec("from tirastore import *", star)  # noqa: S102 -- what a user may type
    assert set(tirastore.__all__) <= star.keys()
    assert set(errors.__all__) <= set(tirastore.__all__)


@pytest.mark.parametrize(("name", "value"), public_callables().items())
def test_public_callables_are_documented_in_numpy_style_with_an_example(
    name: str, value: Callable[..., Any]
) -> None:
    text = inspect.getdoc(value) or ""
    assert text.partition("\n")[0].endswith((".", ":"))
    own_words = name.rpartition(".")[2] in ("close", "count", "stats", "keys")
    parameters = [
        parameter
        for parameter in inspect.signature(value).parameters
        if parameter not in ("self", "args", "kwargs")
    ]
    described = "Parameters\n----------" in text or "Attributes\n----------" in text
    elsewhere = "parameters as" in text or "items as" in text
    missing = [parameter for parameter in parameters if parameter not in text]
    assert own_words or not parameters or described or elsewhere or not missing, missing
    assert "Examples\n--------\n>>> " in text, f"{name} has no example"


def test_properties_have_docstrings() -> None:
    properties = inspect.getmembers(TiraStore, lambda member: isinstance(member, property))
    assert {name for name, _ in properties} >= {
        *("db_path", "writes_allowed", "cpu_model", "slurm_cpus"),
    }
    for name, value in properties:
        assert inspect.getdoc(value), name


def test_one_version_everywhere() -> None:
    cargo = tomllib.loads((ROOT / "Cargo.toml").read_text())["package"]["version"]
    assert tirastore.__version__ == _core.__version__ == cargo
    assert importlib.metadata.version("tirastore") == cargo


def test_an_extension_module_of_another_version_is_refused() -> None:
    code = """
import importlib
tirastore._core.__version__ = "0.0.0"
try:
    importlib.reload(tirastore)
except ImportError as refused:
    print(refused)
"""
    assert "0.0.0" in run_python(code)


def test_a_debug_build_says_that_it_is_slow() -> None:
    code = """
import importlib
tirastore._core.build_profile = "debug"
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    importlib.reload(tirastore)
print([warning.category.__name__ for warning in caught])
"""
    assert "DebugBuildWarning" in run_python(code)


def test_every_exception_is_also_the_builtin_that_fits_it() -> None:
    expected = {
        "ClaimLostError": RuntimeError,
        "CorruptRecordError": ValueError,
        "DamagedCopyError": ValueError,
        "IngestError": ValueError,
        "InvalidMeasurementError": ValueError,
        "InvalidScheduleError": ValueError,
        "LockError": OSError,
        "LockTimeoutError": TimeoutError,
        "MeasurementFailed": RuntimeError,
        "NotAStoreError": ValueError,
        "StoreBusyError": TimeoutError,
        "StoreClosedError": ValueError,
        "StoreFileError": OSError,
        "StoreNotFoundError": FileNotFoundError,
        "UnknownProgramError": ValueError,
        "WaitTimeoutError": TimeoutError,
        "WriteNotAllowedError": PermissionError,
    }
    classes = {name: getattr(errors, name) for name in errors.__all__}
    exceptions = {name for name, value in classes.items() if not issubclass(value, Warning)}
    assert exceptions == {*expected, "TiraStoreError", "StorageError"}
    for name, builtin in expected.items():
        assert issubclass(classes[name], TiraStoreError)
        assert issubclass(classes[name], builtin)
    for name in set(classes) - exceptions:
        assert issubclass(classes[name], UserWarning)
        assert not hasattr(builtins, name)


def test_the_package_is_typed() -> None:
    assert (PACKAGE / "py.typed").exists()
    assert (PACKAGE / "_core.pyi").read_text().count("def ") > 20


def test_modules_of_the_package_say_what_they_are_for() -> None:
    modules = sorted(PACKAGE.glob("*.py"))
    assert len(modules) > 5
    for module in modules:
        assert module.read_text().startswith('"""'), module.name


def test_a_store_for_this_machine_needs_no_arguments(tmp_path: Path) -> None:
    code = """
store = TiraStore(sys.argv[1])
again = TiraStore(sys.argv[1])
assert again.writes_allowed and again.cpu_model and again.slurm_cpus == "12"
"""
    run_python(code, tmp_path / "s.db", SLURM_CPUS_PER_TASK="12")
    assert MACHINE["slurm_cpus"] != "12"
