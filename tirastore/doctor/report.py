"""What a check found: findings, and the report they make."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


class Verdict(StrEnum):
    """What a finding means for a store in this directory."""

    OK = "ok"
    NOTE = "note"
    PROBLEM = "problem"


@dataclass(frozen=True)
class Finding:
    """One check: its name, what it means, what was seen, and what to do about it."""

    check: str
    verdict: Verdict
    seen: str
    advice: str = ""


@dataclass(frozen=True)
class Report:
    """All findings about one directory, in the order of the checks."""

    directory: Path
    findings: tuple[Finding, ...]

    @property
    def problems(self) -> tuple[Finding, ...]:
        """What makes a store here unsafe or unusable."""
        return self.only(Verdict.PROBLEM)

    @property
    def notes(self) -> tuple[Finding, ...]:
        """What is worth knowing; a store works all the same."""
        return self.only(Verdict.NOTE)

    @property
    def safe(self) -> bool:
        """Tell whether a store here can be used safely."""
        return not self.problems

    def only(self, verdict: Verdict) -> tuple[Finding, ...]:
        """Return the findings of one verdict."""
        return tuple(finding for finding in self.findings if finding.verdict is verdict)

    def __getitem__(self, check: str) -> Finding:
        """Return the finding of one check."""
        for finding in self.findings:
            if finding.check == check:
                return finding
        raise KeyError(check)


def ok(check: str, seen: str, advice: str = "") -> Finding:
    """Return a finding that nobody has to act on."""
    return Finding(check, Verdict.OK, seen, advice)


def note(check: str, seen: str, advice: str = "") -> Finding:
    """Return a finding that is worth knowing."""
    return Finding(check, Verdict.NOTE, seen, advice)


def problem(check: str, seen: str, advice: str = "") -> Finding:
    """Return a finding that makes a store unsafe or unusable."""
    return Finding(check, Verdict.PROBLEM, seen, advice)
