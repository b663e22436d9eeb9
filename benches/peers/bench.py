"""Runs workloads, all peers side by side, and writes the report."""

from __future__ import annotations

import shutil
import sys
from dataclasses import dataclass, field
from statistics import median
from typing import TYPE_CHECKING

from benches.peers import large, machine, metadata, single, tables, workloads
from benches.peers.outcome import FAILURES

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from benches.peers.adapters import Peer
    from benches.peers.workloads import Crowd

__all__ = ["WORKLOADS", "Bench"]

WORKLOADS = ("single", *workloads.FULL, "metadata", "large")
LARGE = 1_000_000


@dataclass
class Bench:
    """A run: `sections` are Markdown; `failures` say what was lost, wrong or broken."""

    peers: Sequence[type[Peer]]
    place: Path
    seed: int
    quick: bool
    repeat: int
    limit: float = 20.0
    patience: float = 60.0
    sections: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    def run(self, names: Sequence[str]) -> None:
        """Run workloads by their names."""
        steps: dict[str, Callable[[], None]] = {
            "single": self.run_single,
            "metadata": self.run_metadata,
            "large": self.run_large,
        }
        crowds = workloads.QUICK if self.quick else workloads.FULL
        for name in names:
            _say(name)
            if name in crowds:
                self.run_crowd(crowds[name])
            else:
                steps[name]()

    def run_single(self) -> None:
        """Time the calls of one process."""
        size = single.QUICK if self.quick else single.FULL
        place = self.place / "single"
        runs = [
            single.calls(self.peers, place, self.seed + repetition, size)
            for repetition in range(self.repeat)
        ]
        medians = {
            name: {figure: median(run[name][figure] for run in runs) for figure in figures}
            for name, figures in runs[0].items()
        }
        only_ours = tables.extras(single.extras(place, self.seed, size))
        title = "One process, one call at a time"
        self.sections.append(f"### {title}\n\n{tables.single(medians)}\n{only_ours}")

    def run_crowd(self, crowd: Crowd) -> None:
        """Run a workload of many processes, the peers in turns."""
        runs: dict[str, list[dict[str, float]]] = {}
        place = self.place / "crowd"
        for repetition in range(self.repeat):
            for peer in self.peers:
                if peer.alone:
                    continue
                figures, errors = crowd.run(
                    peer, place, self.seed, repetition, self.limit, self.patience
                )
                runs.setdefault(peer.name, []).append(figures)
                _say(f"  {peer.name}: {figures['ops/s']:,.0f} ops/s")
                self.note(f"{peer.name}, {crowd.title}", figures, errors)
        shutil.rmtree(place)  # the next workload makes stores of its own
        summed = {name: _summed(figures) for name, figures in runs.items()}
        table = tables.crowd(summed, contested=crowd.contested)
        self.sections.append(
            f"### {crowd.title[0].upper()}{crowd.title[1:]}\n\n{crowd.operations:,} operations,"
            f" or what is done in {self.limit:.0f} s.\n\n{table}"
        )

    def run_metadata(self) -> None:
        """Count requests."""
        counts = {}
        for peer in self.peers:
            found = metadata.counted(peer, self.place / "metadata", self.seed)
            if found is None:
                self.sections.append("Requests were not counted: `strace` is not installed.\n")
                return
            counts[peer.name] = found
        self.sections.append(f"### Requests to the file system\n\n{tables.requests(counts)}")

    def run_large(self) -> None:
        """Time what depends on how many records there are, and weigh the file."""
        counts = (large.SMALL // 10, large.SMALL) if self.quick else (large.SMALL, LARGE)
        place = self.place / "large"
        small, big = large.sizes(place, self.seed, counts).values()
        facts = {
            f"bytes of the file for a record, sources left out: {name}": size
            for name, size in large.bytes_a_record(place, self.seed).items()
        }
        facts["import tirastore, beyond starting Python (ms)"] = large.imports()
        self.sections.append(
            f"### Large stores (TiraStore, no hit cache)\n\n{tables.sizes(counts, small, big)}"
            f"\n{tables.facts(facts)}"
        )

    def note(self, who: str, figures: dict[str, float], errors: Counter[str]) -> None:
        """Keep what went wrong."""
        for figure in ("lost", "wrong", "broken keys"):
            if figures[figure]:
                self.failures.append(f"{who}: {figure} {figures[figure]:.0f}")
        for error, number in errors.most_common(3):
            _say(f"  {who}: {number} x {error}")

    def report(self, command: str, delay: float = 0.0) -> str:
        """Return the report as Markdown."""
        runs = (
            f"- seed {self.seed}; medians of {self.repeat} runs, the peers in turns; a maximum is"
            " that of all runs, failures are summed"
        )
        what = (
            "Sources have 3 KB, schedules 68 to 175 characters, records 30 execution times. Every"
            " peer computes keys with TiraStore's functions, and keeps the hashes of sources that"
            " it has seen. Processes take operations from a common pool, so that a peer whose lock"
            " is not fair is not held up by its last process. After each run every acknowledged"
            " record is read back; `lost` are those that are missing or changed."
        )
        chosen = tables.peers(self.peers)
        facts = machine.facts(self.place, self.peers)
        if delay:
            facts.append(
                f"- {delay:g} ms added by strace to every request for names or attributes, of open"
                " files, too"
            )
        head = [f"    {command}", "", *facts, runs, "", what, "", chosen]
        return "\n".join(head) + "\n" + "\n".join(self.sections)


def _summed(runs: list[dict[str, float]]) -> dict[str, float]:
    """Return one figure for each of several runs."""
    result = {}
    for figure in runs[0]:
        values = [run[figure] for run in runs]
        if figure in FAILURES:
            result[figure] = sum(values)
        elif figure == "record max":
            result[figure] = max(values)
        else:
            result[figure] = median(values)
    return result


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
