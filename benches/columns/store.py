"""A store of many records: a real one, filled through the public API."""

from __future__ import annotations

import random
from itertools import islice
from typing import TYPE_CHECKING

from tirastore import Measurement, TiraStore

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["PROGRAM", "fill"]

#: Schedules of a program: 10,000 programs in a million records.
SCHEDULES = 100
#: The program that is searched for.
PROGRAM = "function00003"
SOURCE_BYTES = 2000
ILLEGAL = 0.2


def fill(path: Path, records: int, seed: int) -> None:
    """Fill a store: 100 schedules of each program, 1 to 30 runs of each schedule."""
    with TiraStore(path, source_project="bench", allow_cpu_mismatch=True) as store:
        measurements = _measurements(records, seed)
        while batch := list(islice(measurements, 50_000)):
            store.record_batch(batch)


def _measurements(records: int, seed: int) -> Iterator[Measurement]:
    chance = random.Random(seed)
    for number in range(records):
        program, of_program = divmod(number, SCHEDULES)
        if of_program == 0:
            name = f"function{program:05}"
            source = f"void generate_{name}() {{ int i = {program}; }}".ljust(SOURCE_BYTES, ";")
            initial = chance.lognormvariate(1.0, 1.5)
            texts = _schedules(chance)
        text = texts[of_program]
        is_legal = of_program == 0 or chance.random() > ILLEGAL
        best = initial / chance.lognormvariate(0.5, 1.0) if of_program else initial
        runs = chance.randint(1, 30) if is_legal else 0
        times = [best * (1.0 + 0.5 * chance.random()) for _ in range(runs)]
        yield Measurement(name, source, text, is_legal, times or None)


def _schedules(chance: random.Random) -> list[str]:
    """Return different schedules, first the one that does nothing: 40 to 300 characters each."""
    found = dict.fromkeys([""])
    while len(found) < SCHEDULES:
        parts = [_transformation(chance) for _ in range(chance.randint(1, 5))]
        found["|".join(parts)] = None
    return list(found)


def _transformation(chance: random.Random) -> str:
    form = chance.choice(
        ("P(L{0}", "R(L{0}", "I(L{0},L{1}", "U(L-1,{2}", "S(L{0},L{1},1,-1", "T2(L{0},L{1},{2},{3}")
    )
    outer = chance.randint(0, 2)
    factors = (chance.choice((4, 8, 16, 32, 64, 128)) for _ in range(2))
    comps = ", ".join(f"'comp{number:02}'" for number in range(chance.randint(1, 3)))
    return f"{form.format(outer, outer + 1, *factors)},comps=[{comps}])"
