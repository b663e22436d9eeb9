"""The scripts for Slurm, where there is no Slurm; with one: tests/cluster."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from support import open_store

from tirastore import TiraStore
from tirastore.measure import compiler

ROOT = Path(__file__).parent.parent
SCRIPTS = ROOT / "slurm"
SIZE = ("4", "6", "3")


def environment(directory: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("SLURM")}
    return {
        **kept,
        "PYTHONPATH": str(ROOT),
        "TIRASTORE_PYTHON": sys.executable,
        "TIRASTORE_HOME": str(ROOT),
        "TIRASTORE_TEST_DIR": str(directory),
        "TIRASTORE_TEST_LOCALLY": "yes",
        "TIRASTORE_DB": str(directory / "store.db"),
    }


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_multinode_makes_every_check_and_removes_its_store(tmp_path: Path, unbuffered: str) -> None:
    finished = subprocess.run(
        [SCRIPTS / "multinode.sh", *SIZE],
        env={**environment(tmp_path), "PYTHONUNBUFFERED": unbuffered},
        capture_output=True,
        text=True,
        check=False,
    )
    assert finished.returncode == 0, finished.stdout + finished.stderr
    checked = re.findall(r"^ok +([a-z-]+): ", finished.stdout, re.MULTILINE)
    phases = ["unique", "contested", "cross-read", "overwrite", "killed", "claims", "store"]
    assert list(dict.fromkeys(checked)) == phases
    assert "FAILED" not in finished.stdout
    assert list(tmp_path.iterdir()) == []


def program(directory: Path, name: str, code: str) -> Path:
    """Make a shell script that stands for a program of the cluster."""
    directory.mkdir(exist_ok=True)
    path = directory / name
    path.write_text(f"#!/usr/bin/env bash\n{code}\n", encoding="utf-8")
    path.chmod(0o755)
    return path


@pytest.mark.parametrize("locally", ["", "yes"])
def test_multinode_in_a_job_of_more_nodes_than_workers(tmp_path: Path, locally: str) -> None:
    srun = 'shift 2; SLURM_PROCID=0 exec "$@"' if not locally else "exit 1"
    program(tmp_path / "bin", "srun", srun)
    finished = subprocess.run(
        [SCRIPTS / "multinode.sh", "1", "4", "2"],
        env={
            **environment(tmp_path),
            "PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}",
            "SLURM_JOB_ID": "7",
            "SLURM_JOB_NUM_NODES": "2",
            "TIRASTORE_TEST_LOCALLY": locally,
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert finished.returncode == 0, finished.stdout + finished.stderr


# Two nodes in the default partition, three in the other; one is in both.
SINFO = """
printf "%s compute$MARK\\n" n1 n2 >nodes
printf '%s debug\\n' n2 n3 n4 >>nodes
if [[ "$*" == *--partition=debug* ]]; then grep debug nodes; else cat nodes; fi
"""


@pytest.mark.parametrize(
    ("partition", "mark", "asked"),
    [("", "*", ["--nodes=2"]), ("debug", "*", ["--nodes=3"]), ("", "", [])],
)
def test_multinode_asks_for_no_more_nodes_than_its_partition_has(
    tmp_path: Path, partition: str, mark: str, asked: list[str]
) -> None:
    for name, code in (("sinfo", SINFO), ("salloc", 'echo "$*"'), ("srun", "exit 1")):
        program(tmp_path / "bin", name, code)
    finished = subprocess.run(
        [SCRIPTS / "multinode.sh", "8"],
        cwd=tmp_path,
        env={
            **environment(tmp_path),
            "PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}",
            "SLURM_PARTITION": partition,
            "MARK": mark,
            "TIRASTORE_TEST_LOCALLY": "",
        },
        capture_output=True,
        text=True,
        check=True,
    )
    assert "--ntasks=8" in finished.stdout.split()
    assert re.findall(r"--nodes=\d+", finished.stdout) == asked


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """Run the first two phases; return where, and what its workers said."""
    directory = tmp_path_factory.mktemp("multinode")
    lines = []
    for phase in ("unique", "contested"):
        command = [sys.executable, SCRIPTS / "multinode_worker.py", phase, directory, *SIZE]
        workers = [
            subprocess.Popen(
                command,
                env={**environment(directory), "SLURM_PROCID": str(rank)},
                stdout=subprocess.PIPE,
                text=True,
            )
            for rank in range(int(SIZE[0]))
        ]
        lines += [worker.communicate(timeout=60)[0] for worker in workers]
    return directory, lines


def verdicts(directory: Path, lines: list[str], phase: str) -> list[bool]:
    """Return what the verifier says about a phase; the whole must fail if it does."""
    finished = subprocess.run(
        [sys.executable, SCRIPTS / "multinode_verifier.py", directory, *SIZE, "1"],
        input="".join(lines),
        env=environment(directory),
        capture_output=True,
        text=True,
        check=False,
    )
    assert finished.returncode == 1, "four phases did not run"
    found = re.findall(rf"^(ok|FAILED) +{phase}: ", finished.stdout, re.MULTILINE)
    assert found, finished.stdout + finished.stderr
    return [verdict == "ok" for verdict in found]


def changed(lines: list[str], phase: str, name: str, value: object) -> list[str]:
    answers = [json.loads(line) for line in lines]
    (first, *_) = [answer for answer in answers if answer["phase"] == phase]
    first[name] = value
    return [f"{json.dumps(answer)}\n" for answer in answers]


def test_the_verifier_passes_what_is_right(said: tuple[Path, list[str]]) -> None:
    assert all(verdicts(*said, "unique"))
    assert all(verdicts(*said, "contested"))


def test_a_check_that_cannot_be_made_has_failed(said: tuple[Path, list[str]]) -> None:
    directory, lines = said
    assert verdicts(directory, lines, "claims") == [False], "nobody ran this phase"
    assert verdicts(directory, lines[1:], "unique") == [False], "one worker said nothing"
    incomplete = changed(lines, "contested", "won", None)
    assert not all(verdicts(directory, incomplete, "contested"))


@pytest.mark.parametrize(
    ("phase", "name", "value"),
    [
        ("unique", "recorded", 5),
        ("unique", "host", "elsewhere"),
        ("contested", "won", [0, 1, 2, 0]),
        ("contested", "won", [7]),
    ],
)
def test_what_is_not_true_has_failed(
    said: tuple[Path, list[str]], phase: str, name: str, value: object
) -> None:
    directory, lines = said
    assert not all(verdicts(directory, changed(lines, phase, name, value), phase))


def test_a_lost_record_has_failed(said: tuple[Path, list[str]], tmp_path: Path) -> None:
    directory, lines = said
    machine = {"cpu_model": "any", "slurm_cpus": "1"}
    with TiraStore(directory / "multinode.db", **machine) as store:
        store.backup(tmp_path / "multinode.db")
    with TiraStore(tmp_path / "multinode.db", **machine) as copy:
        copy.delete(copy.keys()[0])
    assert not all(verdicts(tmp_path, lines, "unique"))


def test_sigterm_ends_a_worker_which_loses_nothing_and_gives_its_claims_back(
    tmp_path: Path,
) -> None:
    pytest.importorskip("islpy")
    worker = subprocess.Popen(
        [sys.executable, SCRIPTS / "explore.py", "--pairs", "200", "--verbose"],
        env=environment(tmp_path),
        stdout=subprocess.PIPE,
        text=True,
    )
    assert worker.stdout is not None
    first = worker.stdout.readline()
    assert first.startswith("measured ")
    worker.send_signal(signal.SIGTERM)
    rest, _ = worker.communicate(timeout=30)
    assert worker.returncode == 75
    assert "asked to end; " in rest
    with TiraStore(tmp_path / "store.db") as store:
        assert store.count() == 1 + len(re.findall(r"^measured ", rest, re.MULTILINE))
        assert store.claims() == []


def test_a_worker_ends_when_all_is_known(tmp_path: Path) -> None:
    pytest.importorskip("islpy")
    command = [sys.executable, SCRIPTS / "explore.py", "--pairs", "7", "--verbose"]
    for measured in (7, 0):
        finished = subprocess.run(
            command, env=environment(tmp_path), capture_output=True, text=True, check=True
        )
        assert finished.stdout.count("measured ") == measured
        assert "done; " in finished.stdout
    with TiraStore(tmp_path / "store.db", read_only=True) as store:
        environments = store.search(columns=["environment"])
    compilers = [json.loads(row["environment"])["compiler"] for row in environments]
    assert compilers == [compiler()] * 7


def test_a_worker_without_a_compiler_claims_nothing(tmp_path: Path) -> None:
    pytest.importorskip("islpy")
    finished = subprocess.run(
        [sys.executable, SCRIPTS / "explore.py", "--pairs", "7"],
        env=environment(tmp_path) | {"CC": "no-such-compiler"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert finished.returncode == 1
    assert "no program 'no-such-compiler': install a C compiler" in finished.stderr
    assert not (tmp_path / "store.db").exists()


ENDS_ON_SIGTERM = "trap 'exit 75' TERM; echo started; while :; do sleep 0.05; done"


@pytest.mark.parametrize(
    ("code", "variables", "requeued"),
    [
        (ENDS_ON_SIGTERM, {"SLURM_JOB_ID": "7"}, "requeue 7"),
        (
            ENDS_ON_SIGTERM,
            {"SLURM_JOB_ID": "7", "SLURM_ARRAY_JOB_ID": "7", "SLURM_ARRAY_TASK_ID": "3"},
            "requeue 7_3",
        ),
        # Not ready for SIGTERM yet.
        ("echo started; exec sleep 60", {"SLURM_JOB_ID": "7"}, "requeue 7"),
    ],
)
def test_a_worker_near_its_time_limit_is_queued_again_and_no_other_task(
    tmp_path: Path, code: str, variables: dict[str, str], requeued: str
) -> None:
    told = tmp_path / "told"
    program(tmp_path / "bin", "scontrol", f'echo "$*" >>{told}')
    python = program(tmp_path / "bin", "worker", code)
    job = subprocess.Popen(
        ["bash", SCRIPTS / "worker.sbatch"],
        env={
            **environment(tmp_path),
            **variables,
            "PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}",
            "TIRASTORE_PYTHON": str(python),
        },
        stdout=subprocess.PIPE,
        text=True,
    )
    assert job.stdout is not None
    assert job.stdout.readline() == "started\n"
    job.send_signal(signal.SIGUSR1)
    job.communicate(timeout=30)
    assert job.returncode == 75
    assert told.read_text(encoding="utf-8") == f"{requeued}\n"


def test_a_signal_while_modules_are_loaded_is_not_lost(tmp_path: Path) -> None:
    told = tmp_path / "told"
    program(tmp_path / "bin", "scontrol", f'echo "$*" >>{told}')
    finished = subprocess.run(
        ["bash", SCRIPTS / "worker.sbatch"],
        env={
            **environment(tmp_path),
            "SLURM_JOB_ID": "7",
            "PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}",
            "TIRASTORE_PYTHON": str(program(tmp_path / "bin", "worker", "exec sleep 60")),
            "TIRASTORE_MODULES": "python",
            "BASH_FUNC_module%%": "() { kill -USR1 $$; }",
        },
        timeout=30,
        check=False,
    )
    assert finished.returncode == 75
    assert told.read_text(encoding="utf-8") == "requeue 7\n"


def test_settings_that_are_wrong_do_not_end_the_shell_that_sources_them(tmp_path: Path) -> None:
    finished = subprocess.run(
        ["bash", "-c", '. "$0"; echo "status $?"', SCRIPTS / "env.sh"],
        env={**environment(tmp_path), "TIRASTORE_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert finished.stdout == "status 2\n"
    assert "is no checkout of tirastore" in finished.stderr


@pytest.mark.parametrize("name", ["backup", "export"])
def test_a_job_takes_the_installed_package_and_not_the_checkouts(tmp_path: Path, name: str) -> None:
    with open_store(tmp_path / "store.db") as store:
        store.record("p", "void p() {}", "", True, [1.0])
    checkout = tmp_path / "checkout"
    (checkout / "tirastore").mkdir(parents=True)
    (checkout / "tirastore" / "__init__.py").write_text("raise ImportError", encoding="utf-8")
    out = tmp_path / "out"
    command = ["bash", SCRIPTS / f"{name}.sbatch", out]
    subprocess.run(command, cwd=checkout, env=environment(tmp_path), check=True)
    assert out.stat().st_size > 0


def test_the_readme_names_every_script_and_setting() -> None:
    readme = (SCRIPTS / "README.md").read_text(encoding="utf-8")
    scripts = {path.name for path in SCRIPTS.iterdir()} - {"README.md", "__pycache__"}
    parts = {"multinode_worker.py", "multinode_verifier.py"}
    for name in scripts - parts:
        assert f"`{name}" in readme
    used = set()
    for path in (*SCRIPTS.glob("*.sh"), *SCRIPTS.glob("*.sbatch")):
        used |= set(re.findall(r"TIRASTORE_[A-Z_]+|SLURM_PARTITION", path.read_text("utf-8")))
    assert len(used) > 5
    assert {name for name in used if f"`{name}`" not in readme} == set()
