"""``tirastore demo``: explore real schedules of real programs on this machine, through one store.

Several worker processes share one store and explore a few hundred (program, schedule) pairs;
then the same exploration runs again from the store alone. Everything that is printed, drawn or
written was measured here.
"""

from __future__ import annotations

import importlib.util
import os
import shlex
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from tirastore import TiraStore
from tirastore.errors import TiraStoreError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tirastore.measure.exploration import Pair, Tally
    from tirastore.measure.results import ProgramResult

__all__ = ["DemoDirectory", "DemoError", "run_demo"]

_PACKAGES = ("islpy", "matplotlib", "pyarrow")


class DemoError(TiraStoreError, RuntimeError):
    """The demo cannot start, and why."""


@dataclass(frozen=True, slots=True)
class DemoDirectory:
    """The directory of a demo, and what in it is the demo's own.

    Parameters
    ----------
    path : Path
        The directory; it need not exist yet.
    """

    path: Path

    @property
    def marker(self) -> Path:
        """The file that says that this is a demo's directory."""
        return self.path / ".tirastore-demo"

    @property
    def store(self) -> Path:
        """The store."""
        return self.path / "demo.db"

    @property
    def picture(self) -> Path:
        """The distributions of execution times."""
        return self.path / "distributions.png"

    @property
    def parquet(self) -> Path:
        """One row for each pair."""
        return self.path / "measurements.parquet"

    @property
    def work(self) -> Path:
        """Generated code, while the demo runs."""
        return self.path / "work"

    def prepare(self, *, fresh: bool) -> None:
        """Create the directory, or make sure that it is a demo's.

        Parameters
        ----------
        fresh : bool
            Remove what an earlier demo has left, and nothing else.

        Raises
        ------
        DemoError
            Something else is there. Nothing was touched.
        """
        if self.path.exists() and not self.path.is_dir():
            raise DemoError(f"{self.path} is no directory")
        if self.path.exists() and any(self.path.iterdir()) and not self.marker.is_file():
            raise DemoError(
                f"{self.path} holds something else than a demo and was left as it is: "
                "name another directory with --dir"
            )
        if fresh and self.path.exists():
            for own in (self.picture, self.parquet, self.work, *self.path.glob("demo.db*")):
                _remove(own)
        self.path.mkdir(parents=True, exist_ok=True)
        self.marker.write_text("Made by `tirastore demo`, which may delete its files here.\n")
        _remove(self.work)
        self.work.mkdir()


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def run_demo(
    directory: str | Path = "demo",
    *,
    pairs: int = 280,
    workers: int = 4,
    seed: int = 0,
    fresh: bool = False,
    console: Console | None = None,
) -> bool:
    """Explore, explore again from the store alone, and show what came out.

    Parameters
    ----------
    directory : str or Path, default "demo"
        Where the store, the picture and the Parquet file go. A store that is there already
        answers what it knows.
    pairs : int, default 280
        How many (program, schedule) pairs.
    workers : int, default 4
        Number of worker processes.
    seed : int, default 0
        Seed of the schedules.
    fresh : bool, default False
        Remove what an earlier demo has left in that directory.
    console : rich.console.Console, optional
        Where to print; default: standard output.

    Returns
    -------
    bool
        Whether every measurement succeeded and the second pass found everything in the store.

    Raises
    ------
    DemoError
        The directory holds something else, or a package of ``tirastore[demo]`` is missing.
    WorkerError
        A worker failed.
    """
    _check_packages()
    from tirastore.measure.exploration import explore, pairs_to_explore  # noqa: PLC0415
    from tirastore.measure.results import draw, read_results, write_parquet  # noqa: PLC0415

    console = console or Console()
    place = DemoDirectory(Path(directory))
    place.prepare(fresh=fresh)
    todo = pairs_to_explore(pairs, seed)
    console.print(
        f"{len(todo)} pairs (program, schedule), {workers} worker processes, one store.",
        highlight=False,
    )
    try:
        with _Bar(console, "1. ask, measure, record", len(todo)) as bar:
            first = explore(
                place.store, todo, workers=workers, work_dir=place.work, progress=bar.show
            )
        with _Bar(console, "2. from the store alone", len(todo)) as bar:
            second = explore(place.store, todo, workers=workers, work_dir=None, progress=bar.show)
    finally:
        _remove(place.work)
    with TiraStore(place.store, read_only=True) as store:
        results = read_results(store)
    write_parquet(results, place.parquet)
    draw(results, place.picture)
    console.print()
    console.print(_best_schedules(results))
    console.print()
    console.print(_summary(first, second, place))
    _print_problems(console, first, second)
    return not first.failures and second.missing == 0


def _check_packages() -> None:
    missing = [name for name in _PACKAGES if importlib.util.find_spec(name) is None]
    if missing:
        raise DemoError(f"the demo needs {', '.join(missing)}: pip install 'tirastore[demo]'")
    compiler = (shlex.split(os.environ.get("CC", "")) or ["cc"])[0]
    if shutil.which(compiler) is None:
        raise DemoError(f"the demo needs a C compiler: install {compiler!r}, or name one in CC")


class _Bar:
    """A progress bar that also says what came out so far."""

    def __init__(self, console: Console, title: str, total: int) -> None:
        self.progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[counts]}"),
            console=console,
        )
        self.task = self.progress.add_task(title, total=total, counts="")

    def __enter__(self) -> Self:
        self.progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.progress.stop()

    def show(self, tally: Tally) -> None:
        counts = {
            "legal": tally.legal,
            "illegal": tally.illegal,
            "stored": tally.stored,
            "missing": tally.missing,
            "failed": len(tally.failures),
        }
        text = ", ".join(f"{count} {name}" for name, count in counts.items() if count)
        self.progress.update(self.task, completed=tally.asked, counts=text)


def _best_schedules(results: Sequence[ProgramResult]) -> Table:
    table = Table(title="Best schedules (fastest of all runs, milliseconds)", title_justify="left")
    table.add_column("program", no_wrap=True)
    for heading in ("unsched.", "best", "speed-up"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("best schedule", overflow="fold")
    for result in results:
        best, unscheduled = result.best, result.unscheduled
        if best is None:
            continue
        table.add_row(
            result.program,
            "" if unscheduled is None else f"{unscheduled.best_ms:.3f}",
            f"{best.best_ms:.3f}",
            "" if best.speedup is None else f"{best.speedup:.2f}x",
            Text(best.schedule.replace("|", "|\n") or "(unscheduled)"),
        )
    return table


def _summary(first: Tally, second: Tally, place: DemoDirectory) -> Table:
    table = Table.grid(padding=(0, 2, 0, 0))
    legality = f"{first.legal} legal, {first.illegal} illegal"
    known = f"; {first.stored} were in the store already" if first.stored else ""
    table.add_row("pairs measured", f"{first.measured} ({legality}){known}")
    table.add_row("first pass", f"{first.seconds:.1f} s")
    table.add_row("second pass", f"{second.seconds:.1f} s, nothing measured")
    table.add_row("hit rate", f"{second.hit_rate:.1%} ({second.stored} of {second.asked})")
    table.add_row("store", str(place.store))
    table.add_row("picture", str(place.picture))
    table.add_row("Parquet", str(place.parquet))
    return table


def _print_problems(console: Console, first: Tally, second: Tally) -> None:
    if first.failures:
        console.print(f"{len(first.failures)} measurements failed and were not recorded:")
    for pair, reason in first.failures:
        console.print(f"  {_name(pair)}: {reason}", style="red", markup=False, highlight=False)
    if second.missing:
        console.print(
            f"{second.missing} pairs were not in the store in the second pass.", style="red"
        )


def _name(pair: Pair) -> str:
    return f"{pair.program} {pair.schedule or '(unscheduled)'}"
