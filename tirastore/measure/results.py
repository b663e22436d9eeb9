"""What an exploration found: read back from the store, as rows, as Parquet and as a picture."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tirastore.measure.programs import PROGRAMS

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from matplotlib.axes import Axes

    from tirastore import TiraStore

__all__ = ["ProgramResult", "Row", "draw", "read_results", "write_parquet"]


@dataclass(frozen=True, slots=True)
class Row:
    """One recorded pair.

    Attributes
    ----------
    program, schedule : str
        The pair; the schedule in its normal form.
    is_legal : bool
        Whether the schedule is legal.
    execution_times : list of float or None
        Milliseconds of every run, in order.
    best_ms : float or None
        The shortest of them.
    speedup : float or None
        The unscheduled program's best time divided by this one.
    """

    program: str
    schedule: str
    is_legal: bool
    execution_times: list[float] | None
    best_ms: float | None
    speedup: float | None


@dataclass(frozen=True, slots=True)
class ProgramResult:
    """Every recorded pair of one program."""

    program: str
    rows: list[Row]

    @property
    def timed(self) -> list[Row]:
        """The pairs that have execution times."""
        return [row for row in self.rows if row.best_ms is not None]

    @property
    def unscheduled(self) -> Row | None:
        """The unscheduled program."""
        return next((row for row in self.timed if not row.schedule), None)

    @property
    def best(self) -> Row | None:
        """The fastest pair."""
        return min(self.timed, key=_best_ms, default=None)


def _best_ms(row: Row) -> float:
    return row.best_ms or 0.0


def read_results(store: TiraStore) -> list[ProgramResult]:
    """Read what a store knows about the catalogue.

    Parameters
    ----------
    store : TiraStore
        An open store.

    Returns
    -------
    list of ProgramResult
        One for each program of which there is a record.
    """
    results = []
    for program in PROGRAMS.values():
        records = store.get_program_records(program.name, program.cpp_code)
        best = {
            record.schedule: min(record.execution_times or [], default=None) for record in records
        }
        unscheduled = best.get("")
        rows = []
        for record in records:
            best_ms = best[record.schedule]
            speedup = unscheduled / best_ms if unscheduled and best_ms else None
            times = record.execution_times
            rows.append(
                Row(program.name, record.schedule, record.is_legal, times, best_ms, speedup)
            )
        if rows:
            results.append(ProgramResult(program.name, rows))
    return results


def write_parquet(results: Sequence[ProgramResult], path: Path) -> None:
    """Write one row for each pair.

    Parameters
    ----------
    results : sequence of ProgramResult
        From `read_results`.
    path : Path
        Where to; what is there is replaced.
    """
    import pyarrow as pa  # noqa: PLC0415
    import pyarrow.parquet as pq  # noqa: PLC0415

    schema = pa.schema(
        [
            pa.field("program", pa.string(), nullable=False),
            pa.field("schedule", pa.string(), nullable=False),
            pa.field("is_legal", pa.bool_(), nullable=False),
            ("execution_times", pa.list_(pa.float64())),
            ("best_ms", pa.float64()),
            ("speedup", pa.float64()),
        ]
    )
    rows = [row for result in results for row in result.rows]
    columns = [[getattr(row, name) for row in rows] for name in schema.names]
    pq.write_table(pa.table(dict(zip(schema.names, columns, strict=True)), schema=schema), path)


def draw(results: Sequence[ProgramResult], path: Path) -> None:
    """Draw the distribution of execution times of every program.

    Parameters
    ----------
    results : sequence of ProgramResult
        From `read_results`.
    path : Path
        The PNG; what is there is replaced.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415
    from matplotlib.figure import Figure  # noqa: PLC0415
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter  # noqa: PLC0415

    figure = Figure(figsize=(11, 1.6 + 0.85 * len(results)), dpi=130, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.set_xscale("log")
    for row_height, result in enumerate(results):
        _draw_program(axes, row_height, result)
    labels = [
        f"{result.program}\n{len(result.timed)} legal, {len(result.rows) - len(result.timed)} not"
        for result in results
    ]
    axes.set_yticks(range(len(results)), labels)
    axes.set_ylim(len(results) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)
    times = [
        time for result in results for row in result.rows for time in row.execution_times or []
    ]
    if times:
        axes.set_xlim(min(times) / 1.5, max(times) * 1.3)  # room for the speed-ups at the left
    axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.grid(axis="x", color="0.9")
    axes.set_axisbelow(True)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.set_xlabel("execution time in milliseconds (logarithmic)")
    axes.set_title("Execution times of all legal schedules", loc="left", pad=30)
    handles, names = axes.get_legend_handles_labels()
    legend = dict(zip(names, handles, strict=True))
    place: dict[str, Any] = {
        "loc": "lower left",
        "bbox_to_anchor": (-0.01, 1.0),
        "borderaxespad": 0.2,
    }
    axes.legend(list(legend.values()), list(legend), ncols=4, frameon=False, **place)
    figure.savefig(path)


def _draw_program(axes: Axes, row_height: int, result: ProgramResult) -> None:
    """Draw the schedules of one program, the marked ones on top."""
    timed = sorted(result.timed, key=_best_ms)
    for position, row in enumerate(timed):
        # Neighbours in time lie at different heights, so that dense places stay readable.
        height = row_height + (position * 5 % 11 - 5) * 0.05
        times, best_ms = row.execution_times or [], _best_ms(row)
        axes.scatter(times, [height] * len(times), s=3, color="0.75", lw=0, label="every run")
        style: dict[str, Any] = {"s": 22, "color": "tab:blue", "alpha": 0.7, "lw": 0, "zorder": 3}
        axes.scatter(best_ms, height, label="best run of a schedule", **style)
        if row is result.unscheduled:
            style = {"marker": "D", "s": 60, "color": "black", "ec": "white", "zorder": 6}
            axes.scatter(best_ms, height, label="unscheduled", **style)
        if row is result.best:
            style = {"marker": "*", "s": 190, "color": "tab:orange", "ec": "white", "zorder": 5}
            axes.scatter(best_ms, height, label="best schedule", **style)
            if row.speedup is not None:
                where: dict[str, Any] = {
                    "xytext": (-9, 0),
                    "textcoords": "offset points",
                    "va": "center",
                }
                text = f"{row.speedup:.2f}x"
                axes.annotate(text, (best_ms, height), ha="right", weight="bold", **where)
