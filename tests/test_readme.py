"""What the README shows works."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import tirastore
from tirastore import TiraStore

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```python\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


def test_the_readme_has_code() -> None:
    assert len(BLOCKS) >= 3


def test_its_code_runs_as_it_is_one_block_after_the_other(tmp_path: Path) -> None:
    for code in BLOCKS:
        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", code],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr


def test_the_worker_pattern_measures_each_schedule_once(tmp_path: Path) -> None:
    (pattern,) = (code for code in BLOCKS if "def work(" in code)
    names: dict[str, object] = {}
    exec(pattern, names)  # noqa: S102
    measured: list[str] = []

    def measure(_source: str, schedule: str) -> tuple[bool, list[float]]:
        measured.append(schedule)
        return True, [1.0]

    candidates = [("p", "void p() {}", f"U(L0,{factor},comps=['c'])") for factor in (2, 4, 2)]
    work = names["work"]
    assert callable(work)
    for _ in range(2):
        work(tmp_path / "s.db", candidates, measure)
    assert measured == ["U(L0,2,comps=['c'])", "U(L0,4,comps=['c'])"]


def test_every_call_in_its_table_exists() -> None:
    table = README[README.index("| call | result |") : README.index("A `LookupResult` has")]
    called = re.findall(r"`(?:with )?(\w+)\(", table)
    assert len(called) > 20
    for name in called:
        known = hasattr(TiraStore, name) or hasattr(tirastore, name) or name == "len"
        assert known, f"the README names {name}(), which does not exist"
    for name, value in vars(TiraStore).items():
        if callable(value) and not name.startswith("_"):
            assert name in called, f"the README does not name {name}()"


def test_every_command_in_it_exists() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))
    named = set(re.findall(r"^ {4}make ([a-z-]+)", README, re.MULTILINE))
    assert {"demo", "test"} <= named
    assert named <= targets
