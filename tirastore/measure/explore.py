"""Which schedules to try: a seeded list for a program, simple ones first, then compositions.

The list knows loop depths and nothing of dependences: many of its schedules are illegal, as in
any exploration. Deciding that is the measurer's part.
"""

from __future__ import annotations

import itertools
import random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tirastore.measure.program import Program

__all__ = ["candidates"]

_TILES = (8, 16, 32, 64)
_UNROLLS = (2, 4, 8)
_SKEWS = ((1, 1), (2, 1), (1, 2), (1, -1))
_TRIES_PER_SCHEDULE = 50


def candidates(program: Program, count: int, seed: int = 0) -> list[str]:
    """List distinct schedules to try on a program.

    Parameters
    ----------
    program : Program
        The description.
    count : int
        How many, the unscheduled program included.
    seed : int, default 0
        The same seed gives the same list, on every machine.

    Returns
    -------
    list of str
        Schedule strings that apply to the program, legal and illegal ones mixed, the empty one
        first. Fewer than `count` only for a program that has no more.

    Examples
    --------
    >>> from tirastore.measure import load_program
    >>> schedules = candidates(load_program("matmul"), 30)
    >>> schedules[0], len(set(schedules))
    ('', 30)
    """
    chooser = _Chooser(program, random.Random(f"{seed} {program.name}"))  # noqa: S311
    simple = chooser.single_transformations()
    chosen = dict.fromkeys(["", *simple[: (count - 1) // 2]])
    for _ in range(_TRIES_PER_SCHEDULE * count):
        if len(chosen) >= count:
            break
        chosen[chooser.composition()] = None
    return list(chosen)[: max(count, 0)]


def _text(kind: str, arguments: Sequence[str | int], comps: Sequence[str]) -> str:
    names = ", ".join(f"'{comp}'" for comp in comps)
    return f"{kind}({','.join(map(str, arguments))},comps=[{names}])"


def _levels(*levels: int) -> list[str]:
    return [f"L{level}" for level in levels]


class _Chooser:
    """Random transformations of one program."""

    def __init__(self, program: Program, chance: random.Random) -> None:
        self.chance = chance
        self.depths = {statement.name: statement.depth for statement in program.statements}

    def happens(self, probability: float) -> bool:
        """Toss a coin."""
        return self.chance.random() < probability

    def single_transformations(self) -> list[str]:
        """Return every kind of transformation at every place, shuffled."""
        schedules = []
        for comp, depth in self.depths.items():
            comps, every = [comp], range(depth)
            for level in every:
                schedules.append(_text("R", _levels(level), comps))
                schedules.append(_text("P", _levels(level), comps))
                schedules += [
                    _text("I", _levels(level, other), comps) for other in range(level + 1, depth)
                ]
            schedules += [
                self.tile(comps, first, size)
                for size in range(2, min(depth, 3) + 1)
                for first in range(depth - size + 1)
            ]
            schedules += [self.skew(comps, level) for level in range(depth - 1)]
            schedules.append(_text("U", ["L-1", self.chance.choice(_UNROLLS)], comps))
        names = list(self.depths)
        if len(names) > 1:
            shared = min(self.depths.values())
            schedules += [_text("P", _levels(level), names) for level in range(shared)]
        for before, after in itertools.pairwise(names):
            shared = min(self.depths[before], self.depths[after])
            schedules += [_text("F", _levels(level), [before, after]) for level in range(shared)]
            schedules.append(_text("F", _levels(0), [after, before]))
        self.chance.shuffle(schedules)
        return schedules

    def composition(self) -> str:
        """Return transformations in the order in which autoschedulers apply them."""
        chance, parts = self.chance, []
        comps = self.target()
        if len(comps) > 1 and self.happens(0.6):
            depth = min(self.depths[comp] for comp in comps)
            parts.append(_text("F", _levels(chance.randrange(depth)), comps))
        depth = min(self.depths[comp] for comp in comps)
        if depth > 1 and self.happens(0.2):
            # A wavefront: what a skewed pair of loops leaves parallel is the inner one.
            level = chance.randrange(depth - 1)
            parts += [self.skew(comps, level), _text("P", _levels(level + 1), comps)]
        elif depth > 1:
            steps = range(chance.choice((0, 1, 1, 2)))
            parts += dict.fromkeys(self.reordering(comps, depth) for _ in steps)
        if self.happens(0.4):
            level = chance.choice((0, 0, 0, 1, 1, 2))
            parts.append(_text("P", _levels(min(level, depth - 1)), comps))
        if depth > 1 and self.happens(0.5):
            size = chance.randint(2, min(depth, 3))
            parts.append(self.tile(comps, chance.randint(0, depth - size), size))
            depth += size
        if self.happens(0.35):
            loop = chance.choice(("L-1", "L-1", f"L{max(depth - 2, 0)}"))
            parts.append(_text("U", [loop, chance.choice(_UNROLLS)], comps))
        return "|".join(parts)

    def target(self) -> list[str]:
        """Choose one computation, or two that follow each other."""
        names = list(self.depths)
        if len(names) == 1 or self.happens(0.4):
            return [self.chance.choice(names)]
        first = self.chance.randrange(len(names) - 1)
        pair = names[first : first + 2]
        return pair[::-1] if self.happens(0.1) else pair

    def reordering(self, comps: list[str], depth: int) -> str:
        """Interchange, reverse or skew."""
        kind = self.chance.choices("IRS", weights=(5, 1, 3))[0]
        if kind == "I":
            return _text("I", _levels(*sorted(self.chance.sample(range(depth), 2))), comps)
        if kind == "R":
            return _text("R", _levels(self.chance.randrange(depth)), comps)
        return self.skew(comps, self.chance.randrange(depth - 1))

    def skew(self, comps: list[str], level: int) -> str:
        """Skew two neighbouring loops."""
        factors = self.chance.choice(_SKEWS)
        return _text("S", [*_levels(level, level + 1), *factors], comps)

    def tile(self, comps: list[str], first: int, size: int) -> str:
        """Tile neighbouring loops."""
        factors = [self.chance.choice(_TILES) for _ in range(size)]
        return _text(f"T{size}", [*_levels(*range(first, first + size)), *factors], comps)
