"""Does one of several callers win, and only one? What every lock of a store rests on."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tirastore.doctor.peer import Peer, ask
from tirastore.doctor.report import Finding, note, ok, problem

if TYPE_CHECKING:
    from collections.abc import Sequence

_LEAD = 0.05
_LATEST = 5.0


@dataclass(frozen=True)
class Race:
    """One operation that must succeed for one of several callers."""

    kind: str
    check: str
    rounds: int
    broken: str


LINK = Race(
    "link",
    "link() excludes",
    100,
    "Two clients could hold the hard-link lock: do not keep a store here.",
)
RENAME = Race(
    "rename",
    "rename() excludes",
    100,
    "Two clients could hold the token: do not keep a store here.",
)
BIRTH = Race(
    "birth",
    "one lock directory is born",
    50,
    "A directory was renamed onto one that is not empty, which POSIX forbids: do not keep a store "
    "here.",
)
RACES = (RENAME, BIRTH, LINK)


def race(
    race: Race, peers: Sequence[Peer], *, between: str = "", together: bool, link_needed: bool
) -> Finding:
    """Let all sides try the same in many rounds, and count the winners of each.

    `together`: they share a clock, so that each round can begin at one instant.
    """
    check = race.check + (f" {between}" if between else "")
    names = [f"side{index}" for index in range(len(peers))]
    kind, rounds = race.kind, race.rounds
    for peer, me in zip(peers, names, strict=True):
        ask(peer, "lay_out", kind=kind, count=rounds, me=me, first=peer is peers[0])
    asked = time.monotonic()
    ask(peers[-1], "who")
    lead = min(_LATEST, _LEAD + 2 * (time.monotonic() - asked))
    start = lead + (time.monotonic() if together else time.time())
    period = 0.002 + 0.001 * len(peers) if together else 0.01
    plan = {"kind": kind, "count": rounds, "start": start, "period": period, "wall": not together}
    for peer, me in zip(peers, names, strict=True):
        peer.send("race", me=me, **plan)
    answers = [peer.receive() for peer in peers]
    winners = Counter(index for answer in answers for index in answer["won"])
    errors = sum((Counter(answer["errors"]) for answer in answers), Counter[str]())
    shares = " : ".join(str(len(answer["won"])) for answer in answers)
    several = sum(count > 1 for count in winners.values())
    seen = f"one winner in each of {rounds} rounds ({shares})"
    if several:
        return problem(check, f"{several} of {rounds} rounds had several winners", race.broken)
    if errors and not winners:
        return _refused(race, check, errors, link_needed=link_needed)
    if not winners:
        return problem(check, f"nobody won any of {rounds} rounds", "No store can be kept here.")
    if len(winners) < rounds:
        missing = f"nobody won {rounds - len(winners)} of {rounds} rounds"
        if errors:
            return note(check, f"{missing} {_listed(errors)}", "Records fail with these errors.")
        return note(
            check,
            missing,
            "Replies of the file server were lost. The lock looks at names again after an error, "
            "so this costs only time.",
        )
    if sum(bool(answer["won"]) for answer in answers) == 1:
        seen += ", always the same: not close"
    return ok(check, seen)


def _refused(race: Race, check: str, errors: Counter[str], *, link_needed: bool) -> Finding:
    seen = f"refused {_listed(errors)}"
    if race.kind != LINK.kind:
        return problem(check, seen, "No store can be kept here.")
    if link_needed:
        return problem(check, seen, "This store uses the hard-link lock, which needs link().")
    return note(check, seen, 'Stores here need the token lock (lock="token").')


def _listed(errors: Counter[str]) -> str:
    return "(" + ", ".join(f"{name}: {count} times" for name, count in sorted(errors.items())) + ")"


def system_locks(one: Peer, other: Peer, *, between: str = "") -> Finding:
    """Tell what flock and fcntl locks do here. A store needs neither."""
    states = {kind: _lock_state(one, other, kind) for kind in ("flock", "fcntl")}
    check = "flock and fcntl locks" + (f" {between}" if between else "")
    seen = "; ".join(f"{kind}: {state}" for kind, state in states.items())
    if all(state == "excludes" for state in states.values()):
        return ok(check, seen, "A store needs neither.")
    return note(
        check,
        seen,
        "A store needs neither. Other programs that open it (sqlite3) do: give them a backup.",
    )


def _lock_state(one: Peer, other: Peer, kind: str) -> str:
    name = f"locked.{kind}"
    first = ask(one, "lock", kind=kind, name=name)
    if first != "taken":
        return f"refused ({first})"
    second = ask(other, "lock", kind=kind, name=name)
    if second == "held":
        return "excludes"
    return "excludes nobody" if second == "taken" else f"refused ({second})"
