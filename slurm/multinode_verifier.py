"""The verifier of `multinode.sh`: compares what workers were told with what the store holds.

It reads their lines from standard input. A check that cannot be made is a failed check.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from multinode_worker import NAME, SOURCE, has_victim, schedule, times

from tirastore import LookupResult, TiraStore

if TYPE_CHECKING:
    from collections.abc import Callable


class Verifier:
    """Checks what the workers said."""

    def __init__(self, options: argparse.Namespace, lines: list[str]) -> None:
        self.options = options
        self.ranks = range(options.workers)
        self.failed = 0
        self.said: dict[str, dict[int, dict[str, Any]]] = {}
        for line in filter(str.strip, lines):
            answer = json.loads(line)
            self.said.setdefault(answer["phase"], {})[answer["rank"]] = answer
        path = options.directory / "multinode.db"
        self.store = TiraStore(path, cpu_model="any", slurm_cpus="1", read_only=True)
        records = self.store.get_program_records(NAME, SOURCE)
        self.found = {record.schedule: record for record in records}

    def run(self) -> bool:
        """Make every check; tell whether all is as it should be."""
        for phase, check in (
            ("unique", self.unique),
            ("contested", self.contested),
            ("cross-read", self.cross_read),
            ("overwrite", self.overwrite),
            ("killed", self.killed),
            ("claims", self.claims),
        ):
            self.check_phase(phase, check)
        self.check("store", "no damage", self.store.verify().ok)
        return self.failed == 0

    def check(self, phase: str, what: str, holds: object) -> None:
        """Print one check."""
        self.failed += not holds
        print(f"{'ok    ' if holds else 'FAILED'}  {phase}: {what}")

    def check_phase(self, phase: str, check: Callable[[list[dict[str, Any]]], None]) -> None:
        """Check a phase, of which every worker has to have said something."""
        said = self.said.get(phase, {})
        silent = [rank for rank in self.ranks if rank not in said]
        if silent:
            self.check(phase, f"cannot be checked, workers {silent} said nothing", holds=False)
            return
        answers = [said[rank] for rank in self.ranks]
        hosts = Counter(answer["host"] for answer in answers)
        what = f"{len(answers)} workers on {len(hosts)} hosts"
        self.check(phase, what, len(hosts) == self.options.hosts)
        try:
            check(answers)
        except (KeyError, TypeError, IndexError) as error:
            self.check(phase, f"cannot be checked: {error!r}", holds=False)
        slowest = max(answer["seconds"] for answer in answers)
        print(f"        {phase}: {slowest:.2f} s")

    def is_of(self, group: str, number: int, rank: int) -> bool:
        """Tell whether a record is there, and is what worker `rank` recorded on its host."""
        record = self.found.get(schedule(group, number))
        host = self.said["unique"][rank]["host"]
        return _is(record, times(rank, number)) and record is not None and record.hostname == host

    def all_of(self, group: str, rank: int, numbers: list[int]) -> bool:
        """Tell whether all these records are there."""
        return all(self.is_of(group, number, rank) for number in numbers)

    def unique(self, answers: list[dict[str, Any]]) -> None:
        """Check that all that workers recorded is there."""
        count = self.options.records
        told = sum(answer["recorded"] for answer in answers)
        there = [self.all_of(f"unique{rank}", rank, [*range(count)]) for rank in self.ranks]
        everything = count * len(answers)
        self.check("unique", f"{told} of {everything} records acknowledged", told == everything)
        self.check("unique", "all of them are there, and are what was recorded", all(there))

    def contested(self, answers: list[dict[str, Any]]) -> None:
        """Check that each contested record has one winner, whose it is."""
        winners = Counter(number for answer in answers for number in answer["won"])
        once = winners == Counter(range(self.options.contested))
        self.check("contested", f"one winner for each of {self.options.contested}", once)
        theirs = [self.all_of("contested", rank, answers[rank]["won"]) for rank in self.ranks]
        self.check("contested", "each record is its winner's", all(theirs))

    def cross_read(self, answers: list[dict[str, Any]]) -> None:
        """Check that every worker saw what the next one had recorded."""
        right = all(answer["found"] == self.options.records for answer in answers)
        self.check("cross-read", "every worker found what the next one recorded", right)
        same = all(answer["together"] for answer in answers)
        self.check("cross-read", "the same one by one and all together", same)

    def overwrite(self, answers: list[dict[str, Any]]) -> None:
        """Check that what stands is somebody's last word."""
        last = self.options.contested - 1
        record = self.found.get(schedule("overwritten", 0))
        theirs = [answer["rank"] for answer in answers if _is(record, times(answer["rank"], last))]
        self.check("overwrite", f"what stands is the last word of worker {theirs}", theirs)

    def killed(self, answers: list[dict[str, Any]]) -> None:
        """Check that nothing is lost that was acknowledged to workers that were killed."""
        victims = [rank for rank in self.ranks if has_victim(rank)]
        told = {rank: answers[rank]["victim"] for rank in victims}
        there = [self.all_of(f"victim{rank}", rank, told[rank]) for rank in victims]
        what = f"{sum(map(len, told.values()))} records of {len(victims)} killed workers are there"
        self.check("killed", what, all(told.values()) and all(there))
        count = [*range(self.options.records)]
        survived = [self.all_of(f"survivor{rank}", rank, count) for rank in self.ranks]
        self.check("killed", "so are those of all others, who went on", all(survived))

    def claims(self, answers: list[dict[str, Any]]) -> None:
        """Check that all was measured once."""
        measured = Counter(number for answer in answers for number in answer["measured"])
        once = measured == Counter(range(self.options.records))
        held = sum(said["claimed"] for said in self.said["killed"].values() if "claimed" in said)
        self.check("claims", f"{held} claims were held by workers that were killed", held)
        what = f"{measured.total()} measurements of {self.options.records} pairs, each once"
        self.check("claims", what, once)
        theirs = [self.all_of("claimed", rank, answers[rank]["measured"]) for rank in self.ranks]
        self.check("claims", "each record is its measurer's", all(theirs))


def _is(record: LookupResult | None, expected: list[float]) -> bool:
    return record is not None and record.is_legal and record.execution_times == expected


def main() -> int:
    """Verify."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("directory", type=Path)
    for name in ("workers", "records", "contested", "hosts"):
        parser.add_argument(name, type=int)
    return 0 if Verifier(parser.parse_args(), sys.stdin.readlines()).run() else 1


if __name__ == "__main__":
    sys.exit(main())
