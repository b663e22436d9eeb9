"""Every command is documented, and its examples are commands that exist."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest
from click.testing import CliRunner
from support import run_python

from tirastore.cli import main
from tirastore.cli.shared import Command

README = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")
NAMES = sorted(main.commands)


def command(name: str) -> Command:
    found = main.commands[name]
    assert isinstance(found, Command), f"{name} is not made with cls=Command"
    return found


def test_there_are_commands() -> None:
    assert {"backup", "demo", "export", "lookup", "stats"} <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_the_readme_names_every_command(name: str) -> None:
    assert f"`tirastore {name}" in README


@pytest.mark.parametrize("name", NAMES)
def test_every_help_says_what_the_command_does_and_shows_an_example(name: str) -> None:
    shown = CliRunner().invoke(main, [name, "--help"])
    assert shown.exit_code == 0
    assert command(name).help
    assert command(name).examples
    for example in command(name).examples:
        assert f"\n  {example}\n" in shown.output


@pytest.mark.parametrize("name", NAMES)
def test_every_example_is_a_valid_call(name: str) -> None:
    for example in command(name).examples:
        words = shlex.split(example)
        assert words[: words.index(name) + 1][-2:] == ["tirastore", name]
        # Parses arguments and options without running the command.
        command(name).make_context(name, words[words.index(name) + 1 :])


def test_help_loads_neither_tables_nor_the_measurer() -> None:
    code = """
from tirastore.cli import main
main(["--help"], standalone_mode=False)
print(sorted({"rich", "numpy", "islpy", "tirastore.demo"} & set(sys.modules)))
"""
    assert run_python(code).endswith("\n[]\n")
