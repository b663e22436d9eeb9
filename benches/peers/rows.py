"""Realistic rows: sources of 3 KB, schedules of 60 to 200 characters, 30 execution times."""

from __future__ import annotations

import functools
import random
from typing import NamedTuple

PROGRAMS = 40
RUNS = 30


class Row(NamedTuple):
    """One measurement, in the order of ``record``'s parameters."""

    name: str
    source: str
    schedule: str
    is_legal: bool
    times: list[float]  # milliseconds


def row(seed: int, number: int, writer: int = 0) -> Row:
    """Return the row of a number: the same in every process, with times that tell its writer."""
    name, source = programs(seed)[number % PROGRAMS]
    chance = random.Random(f"{seed}/{number}/{writer}")
    best = chance.lognormvariate(1.0, 1.5)
    times = [round(best * (1.0 + 0.5 * chance.random()), 6) for _ in range(RUNS)]
    return Row(name, source, schedule(number), is_legal=True, times=times)


@functools.cache
def programs(seed: int) -> list[tuple[str, str]]:
    """Return names and sources of the programs."""
    return [(f"function{number:03}", _source(seed, number)) for number in range(PROGRAMS)]


def schedule(number: int) -> str:
    """Return a schedule in TiraLib's grammar that no other number has."""
    chance = random.Random(number)
    factors = (2 + number % 64, 2 + number // 64 % 64, 2 + number // 4096)
    parts = [f"T3(L0,L1,L2,{','.join(map(str, factors))},comps=['comp00', 'comp01'])"]
    for _ in range(chance.randint(1, 3)):
        computations = ", ".join(f"'comp{number:02}'" for number in range(chance.randint(1, 2)))
        part = chance.choice(
            ("P(L0", "R(L1", "U(L-1,{}", "I(L1,L2", "S(L0,L1,1,{}", "T2(L1,L2,32,{}")
        )
        parts.append(f"{part.format(chance.choice((2, 4, 8, 16)))},comps=[{computations}])")
    return "|".join(parts)


def _source(seed: int, number: int) -> str:
    chance = random.Random(f"{seed}/{number}")
    lines = [
        "#include <tiramisu/tiramisu.h>",
        "using namespace tiramisu;",
        f"void generate_function{number:03}() {{ // variant {chance.getrandbits(32):08x}",
        f'    tiramisu::init("function{number:03}");',
        f'    var i("i", 0, {chance.randint(8, 2048)}), j("j", 0, {chance.randint(8, 2048)});',
    ]
    size = sum(len(line) + 1 for line in lines)
    for computation in range(1000):
        line = (
            f'    computation comp{computation:02}("comp{computation:02}", {{i, j}}, '
            f"A(i, j + {chance.randint(0, 9)}) * B(j, i) - {chance.randint(0, 999)});"
        )
        if size + len(line) > 3000:  # noqa: PLR2004 -- bytes
            break
        lines.append(line)
        size += len(line) + 1
    return "\n".join([*lines, "}", ""])
