"""Environment variables are defaults: an argument that is given wins, a bad value is an error."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from support import SOURCE

from tirastore import TiraStore, _defaults
from tirastore.cli import main

README = Path(__file__).parent.parent / "README.md"
VARIABLES = {
    "TIRASTORE_DB": "environment.db",
    "TIRASTORE_PROJECT": "campaign",
    "TIRASTORE_LOCK_TIMEOUT": "7.5",
    "TIRASTORE_MEMORY_CACHE_MB": "0",
}


@pytest.fixture(autouse=True)
def in_a_directory_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for variable in VARIABLES:
        monkeypatch.delenv(variable, raising=False)


@pytest.fixture
def variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable, value in VARIABLES.items():
        monkeypatch.setenv(variable, value)


def resolved(store: TiraStore) -> dict[str, Any]:
    names = ("source_project", "lock_timeout", "memory_cache_mb")
    return {name: store._arguments[name] for name in names}


@pytest.mark.usefixtures("variables")
def test_what_is_not_given_is_taken_from_the_environment() -> None:
    with TiraStore() as store:
        assert Path(store.db_path).name == "environment.db"
        assert resolved(store) == {
            "source_project": "campaign",
            "lock_timeout": 7.5,
            "memory_cache_mb": 0.0,
        }
        store.record("p", SOURCE, "", True, [1.0])
        found = store.lookup("p", SOURCE, "")
        assert found is not None
        assert found.source_project == "campaign"


@pytest.mark.usefixtures("variables")
def test_what_is_given_wins() -> None:
    given = {"source_project": "", "lock_timeout": 3.0, "memory_cache_mb": 1.0}
    with TiraStore("given.db", **given) as store:
        assert Path(store.db_path).name == "given.db"
        assert resolved(store) == given
    assert not Path("environment.db").exists()


@pytest.mark.parametrize("empty", [False, True])
def test_without_them_defaults_are_what_they_were(
    empty: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in VARIABLES if empty else ():
        monkeypatch.setenv(variable, "")
    with TiraStore("plain.db") as store:
        assert resolved(store) == {
            "source_project": "",
            "lock_timeout": 600.0,
            "memory_cache_mb": 64.0,
        }
    with pytest.raises(ValueError, match="set TIRASTORE_DB"):
        TiraStore()


@pytest.mark.parametrize("variable", ["TIRASTORE_LOCK_TIMEOUT", "TIRASTORE_MEMORY_CACHE_MB"])
@pytest.mark.parametrize("value", ["soon", "-1", "nan", "inf", "1 2"])
def test_a_bad_value_is_an_error_that_names_the_variable_and_leaves_no_store(
    variable: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(ValueError, match=rf"^{variable} must be .*{re.escape(repr(value))}$"):
        TiraStore("never.db")
    assert list(Path().iterdir()) == []


@pytest.mark.usefixtures("variables")
def test_commands_that_need_nothing_else_take_the_store_from_it() -> None:
    TiraStore().close()
    run = CliRunner().invoke
    for command in ("stats", "verify", "lock", "unseal --yes", "seal", "doctor"):
        finished = run(main, command.split())
        assert finished.exit_code == 0, f"{command}: {finished.output}"
    copied = run(main, ["backup"])
    assert copied.exit_code == 0
    assert Path(copied.output.strip()).name.startswith("environment_")


def test_commands_without_it_ask_for_the_path() -> None:
    finished = CliRunner().invoke(main, ["stats"])
    assert finished.exit_code == 2
    assert "PATH" in finished.output


def test_the_readme_lists_every_variable() -> None:
    module = Path(_defaults.__file__).read_text(encoding="utf-8")
    known = set(re.findall(r"TIRASTORE_[A-Z_]+", module))
    assert known == set(VARIABLES)
    assert known == set(
        re.findall(r"^\| `(TIRASTORE_[A-Z_]+)` \|", README.read_text(), re.MULTILINE)
    )
