"""Results as Markdown."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from benches.peers import metadata
from benches.peers.adapters import Ours
from benches.peers.outcome import FAILURES

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from benches.peers.adapters import Peer

__all__ = [
    "crowd",
    "extras",
    "facts",
    "markers",
    "peers",
    "requests",
    "single",
    "sizes",
    "write",
]


def peers(chosen: Iterable[type[Peer]]) -> str:
    """Return what each peer is."""
    head = ("peer", "a record holds", "durable when `record` returns", "several nodes")
    return _table(head, [(peer.name, peer.holds, peer.durable, peer.nodes) for peer in chosen])


def single(results: Mapping[str, Mapping[str, float]]) -> str:
    """Return single calls, with ratios to TiraStore."""
    ours = results.get(Ours.name, {})
    figures = list(next(iter(results.values())))
    rows = [
        (name, *(_beside(found[figure], ours.get(figure)) for figure in figures))
        for name, found in results.items()
    ]
    return _table(("ms (peer / TiraStore)", *figures), rows)


def extras(figures: Mapping[str, float | None]) -> str:
    """Return what only TiraStore has."""
    rows = [
        (name, "not in this build" if value is None else _number(value))
        for name, value in figures.items()
    ]
    return _table(("TiraStore only", "us"), rows)


def crowd(results: Mapping[str, Mapping[str, float]], *, contested: bool) -> str:
    """Return a workload of many processes; failures that did not happen are left out."""
    checked = "broken keys" if contested else "lost"
    ours = results.get(Ours.name, {}).get("ops/s", math.nan)
    latencies = ("record p50", "record p99", "record max", "lookup p50", "lookup p99")
    shown = tuple(
        figure for figure in latencies if any(not math.isnan(r[figure]) for r in results.values())
    )
    failures = [
        figure
        for figure in FAILURES
        if figure == checked or any(found[figure] for found in results.values())
    ]
    head = ("ms", "ops/s", "TiraStore's / its", *shown, "most / fewest ops of a worker", "ops")
    rows = [
        (
            name,
            f"{found['ops/s']:,.0f}",
            _number(ours / found["ops/s"]) if found["ops/s"] else "-",
            *(_number(found[figure]) for figure in shown),
            f"{_number(found['most/fewest'])} ({found['most']:.0f} / {found['fewest']:.0f})",
            *(f"{found[figure]:,.0f}" for figure in ("operations", *failures)),
        )
        for name, found in results.items()
    ]
    return _table((*head, *failures), rows)


def requests(results: Mapping[str, Mapping[str, Counter[str]]]) -> str:
    """Return system calls by kind."""
    rows = []
    for name, calls in results.items():
        for kind, names in calls.items():
            rows.append((name, kind, *metadata.summary(names).values()))
    figures = tuple(metadata.summary(next(iter(next(iter(results.values())).values()))))
    return _table(("peer", "call", *figures), rows)


def sizes(counts: tuple[int, int], small: Mapping[str, float], big: Mapping[str, float]) -> str:
    """Return calls in a small and in a large store."""
    head = ("ms", *(f"{count:,} records" for count in counts), "ratio")
    rows = [
        (call, _number(small[call]), _number(took), _number(took / small[call]))
        for call, took in big.items()
    ]
    return _table(head, rows)


def facts(figures: Mapping[str, float]) -> str:
    """Return single figures."""
    return _table(("", ""), [(name, _number(value)) for name, value in figures.items()])


def markers(label: str) -> tuple[str, str]:
    """Return the lines of a file between which a report belongs."""
    return f"<!-- {label}: begin, written by the bench -->", f"<!-- {label}: end -->"


def write(path: Path, label: str, report: str) -> None:
    """Put a report between its markers in a file, or at the end if there are none."""
    begin, end = markers(label)
    text = path.read_text() if path.exists() else "# Performance\n"
    if (begin in text) != (end in text):
        raise SystemExit(f"{path} has one of two markers: {begin} and {end}")
    if begin not in text:
        text = f"{text.rstrip()}\n\n{begin}\n{end}\n"
    before, after = text.partition(begin)[0], text.partition(end)[2]
    path.write_text(f"{before}{begin}\n\n{report}\n{end}{after}")


def _beside(value: float, ours: float | None) -> str:
    ratio = "" if not ours else f" ({value / ours:.2g})"
    return _number(value) + ratio


def _number(value: float) -> str:
    """Return three significant digits."""
    if math.isnan(value):
        return "-"
    if math.isinf(value) or value == 0:
        return str(value)
    digits = max(2 - math.floor(math.log10(abs(value))), 0)
    return f"{value:,.{digits}f}"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join("| " + " | ".join(line) + " |\n" for line in lines)
