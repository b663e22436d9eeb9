"""Schedule strings, applied to a program as isl maps.

Every statement instance has a time vector that alternates static positions and loops,
``[order0, loop0, order1, loop1, ..., orderN]``; instances run in the lexicographic order of these
vectors. A transformation rewrites the vectors of the computations that it names and of no others.

What each transformation does (levels count from the outermost loop, from the nest as the
transformations before it left it):

``I(La,Lb)``
    swaps two loops.
``R(La)``
    runs a loop backwards.
``S(La,Lb,f1,f2)``
    replaces the loops *(a, b)* by *(f1 a + f2 b, g a + s b)*, where *f1 s - f2 g = 1*. The factors
    are first divided by their greatest common divisor. *s* is the least positive number with
    *f1 s = 1 (mod abs(f2))*, but 0 for *f2 = -1, f1 > 1*: the second row that Tiramisu chooses.
    So ``S(L0,L1,1,1)`` makes *(a + b, b)*.
``T1 T2 T3``
    strip-mine each named loop into *floor(loop / factor)* and *loop mod factor*. The tile loops
    take the place of the named loops, the point loops follow them, deeper loops move down:
    ``T2(L0,L1)`` of two loops makes four, tiles at L0 and L1, points at L2 and L3. Static
    positions do not move, as in Tiramisu. The levels must be consecutive and ascending.
``U(La,f)``
    strip-mines by ``f`` and unrolls the inner loop completely. ``L-1`` is the innermost loop.
``P(La)``
    marks a level, not a loop: as in Tiramisu the mark stays at its level number when later
    transformations move loops. Its legality is judged on the final nest.
``F(La,comps=[a, b, ...])``
    moves ``b`` behind ``a`` so that both share the loops down to La, and so on along the list.
    Loops are not shifted to make a fusion legal.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from math import gcd
from typing import TYPE_CHECKING

from tirastore.measure.errors import InapplicableScheduleError
from tirastore.measure.polyhedral import islpy as isl

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tirastore.measure.program import Program, Statement

__all__ = [
    "Nest",
    "ScheduledProgram",
    "Transformation",
    "apply_schedule",
    "parse_schedule",
    "skew_matrix",
]

_SEGMENT = re.compile(r"([A-Za-z]+[0-9]?)\(((?:[^,]+,)+)comps=\[([^\]]*)\]\)")
_LEVEL = re.compile(r"L(-?[0-9]+)")
_FACTOR = re.compile(r"-?[0-9]+")
_SHAPES = {
    "I": (2, 0),
    "R": (1, 0),
    "P": (1, 0),
    "S": (2, 2),
    "T1": (1, 1),
    "T2": (2, 2),
    "T3": (3, 3),
    "U": (1, 1),
    "F": (1, 0),
}
_MOST_UNROLLED = 128


@dataclass(frozen=True, slots=True)
class Transformation:
    """One transformation of a schedule string.

    Attributes
    ----------
    kind : str
        ``I R P S T1 T2 T3 U F``.
    levels : tuple of int
        Loop levels, 0 the outermost, -1 the innermost.
    factors : tuple of int
        Skewing, tiling or unrolling factors.
    comps : tuple of str
        The computations it applies to.
    text : str
        As written, for messages.
    """

    kind: str
    levels: tuple[int, ...]
    factors: tuple[int, ...]
    comps: tuple[str, ...]
    text: str


def parse_schedule(schedule: str) -> tuple[Transformation, ...]:
    """Read a schedule string of the ``tiralib`` dialect.

    Parameters
    ----------
    schedule : str
        Transformations separated by ``|``; empty for the unscheduled program.

    Returns
    -------
    tuple of Transformation
        In order of application.

    Raises
    ------
    InapplicableScheduleError
        The text is malformed, or names a transformation that this measurer does not know.

    Examples
    --------
    >>> parse_schedule("I(L0,L2,comps=['matmul'])|U(L-1,4,comps=['matmul'])")[1].levels
    (-1,)
    """
    text = "".join(schedule.split())
    return tuple(_parse_segment(segment) for segment in text.split("|")) if text else ()


def _parse_segment(segment: str) -> Transformation:
    match = _SEGMENT.fullmatch(segment)
    if match is None:
        raise InapplicableScheduleError(
            f"{segment!r} is not of the form NAME(arguments,comps=['name', ...])"
        )
    kind, arguments, names = match[1], match[2].rstrip(",").split(","), match[3]
    if kind not in _SHAPES:
        raise InapplicableScheduleError(
            f"{segment}: this measurer has no {kind}; it knows {', '.join(_SHAPES)}"
        )
    level_count, factor_count = _SHAPES[kind]
    levels = [_LEVEL.fullmatch(argument) for argument in arguments[:level_count]]
    factors = [_FACTOR.fullmatch(argument) for argument in arguments[level_count:]]
    if len(levels) != level_count or len(factors) != factor_count or not all(levels + factors):
        expected = ", ".join(["a level"] * level_count + ["a factor"] * factor_count)
        raise InapplicableScheduleError(f"{segment}: expected {expected}, then comps=[...]")
    return Transformation(
        kind=kind,
        levels=tuple(int(level[1]) for level in levels if level),
        factors=tuple(int(factor[0]) for factor in factors if factor),
        comps=tuple(name.strip("'\"") for name in names.split(",")),
        text=segment,
    )


def skew_matrix(f1: int, f2: int) -> tuple[tuple[int, int], tuple[int, int]]:
    """Return the unimodular matrix that skewing applies to two loops.

    Parameters
    ----------
    f1, f2 : int
        The factors as the schedule gives them, neither of them 0.

    Returns
    -------
    tuple of tuple of int
        The first row is the factors without their common divisor; the determinant is 1.

    Examples
    --------
    >>> skew_matrix(1, 1)
    ((1, 1), (0, 1))
    >>> skew_matrix(2, 1)
    ((2, 1), (1, 1))
    """
    common = gcd(f1, f2)
    f1, f2 = f1 // common, f2 // common
    if f2 == -1 and f1 > 1:
        return (f1, f2), (1, 0)
    modulus = abs(f2)
    sigma = next(s for s in range(1, modulus + 1) if (f1 * s - 1) % modulus == 0)
    return (f1, f2), ((f1 * sigma - 1) // f2, sigma)


@dataclass(slots=True)
class Nest:
    """One computation under a schedule.

    Attributes
    ----------
    statement : Statement
        The computation.
    loops : isl.Map
        From statement instances to the values of the loops, outermost first.
    order : list of int
        Static positions: one before every loop and one after the last.
    parallel : set of int
        Levels marked parallel.
    unrolled : dict of int to int
        Level of a completely unrolled loop, and its number of iterations.
    """

    statement: Statement
    loops: isl.Map
    order: list[int]
    parallel: set[int]
    unrolled: dict[int, int]

    @property
    def depth(self) -> int:
        """Number of loops."""
        return len(self.order) - 1

    def rewrite(self, loops: Iterable[str]) -> None:
        """Replace the loops by expressions in the present loops ``l0, l1, ...``."""
        present = ", ".join(f"l{level}" for level in range(self.depth))
        self.loops = self.loops.apply_range(isl.Map(f"{{ [{present}] -> [{', '.join(loops)}] }}"))

    def names(self) -> list[str]:
        """Return the names of the present loops, for `rewrite`."""
        return [f"l{level}" for level in range(self.depth)]

    def strip_mine(self, level: int, factor: int) -> None:
        """Split one loop in two; nothing else of the nest changes order."""
        loop = f"l{level}"
        pair = [f"floor({loop} / {factor})", f"{loop} mod {factor}"]
        names = self.names()
        self.rewrite([*names[:level], *pair, *names[level + 1 :]])
        self.order.insert(level + 1, 0)


class ScheduledProgram:
    """A program and a schedule applied to it.

    Parameters
    ----------
    program : Program
        The description; it is not changed.
    """

    def __init__(self, program: Program) -> None:
        self.program = program
        self.nests: dict[str, Nest] = {}
        for statement, order in zip(program.statements, program.original_orders(), strict=True):
            iterators = ", ".join(loop.name for loop in statement.loops)
            identity = isl.Map(f"{{ {statement.instance_text} -> [{iterators}] }}")
            domain = isl.Set(statement.domain_text)
            self.nests[statement.name] = Nest(
                statement, identity.intersect_domain(domain), list(order), set(), {}
            )

    @property
    def depth(self) -> int:
        """Loops of the deepest nest."""
        return max(nest.depth for nest in self.nests.values())

    def padded_order(self, nest: Nest) -> list[int]:
        """Return the static positions of a nest, as long as those of the deepest nest."""
        return nest.order + [0] * (self.depth - nest.depth)

    def nest_time(self, nest: Nest) -> isl.Map:
        """Return the map from the instances of one computation to time vectors."""
        order = self.padded_order(nest)
        names = nest.names() + ["0"] * (self.depth - nest.depth)
        vector = [str(order[0])]
        for name, position in zip(names, order[1:], strict=True):
            vector += [name, str(position)]
        return nest.loops.apply_range(
            isl.Map(f"{{ [{', '.join(nest.names())}] -> [{', '.join(vector)}] }}")
        )

    def time(self) -> isl.UnionMap:
        """Return the map from all statement instances to time vectors of one length."""
        time = isl.UnionMap("{ }")
        for nest in self.nests.values():
            time = time.union(isl.UnionMap.from_map(self.nest_time(nest)))
        return time


class _Application:
    """One transformation, applied to a program."""

    def __init__(self, scheduled: ScheduledProgram, transformation: Transformation) -> None:
        self.scheduled = scheduled
        self.transformation = transformation

    def refuse(self, reason: str) -> InapplicableScheduleError:
        return InapplicableScheduleError(
            f"{self.transformation.text} does not apply to {self.scheduled.program.name}: {reason}"
        )

    @cached_property
    def nests(self) -> list[Nest]:
        comps = self.transformation.comps
        unknown = [comp for comp in comps if comp not in self.scheduled.nests]
        if unknown:
            known = ", ".join(self.scheduled.nests)
            raise self.refuse(f"no computation {unknown[0]!r} (there is {known})")
        if len(set(comps)) != len(comps):
            raise self.refuse("a computation is named twice")
        return [self.scheduled.nests[comp] for comp in comps]

    def levels(self, nest: Nest) -> tuple[int, ...]:
        """Return the levels in this nest, checked."""
        levels = self.transformation.levels
        if self.transformation.kind == "U":
            levels = tuple(nest.depth - 1 if level == -1 else level for level in levels)
        for level in levels:
            if not 0 <= level < nest.depth:
                raise self.refuse(
                    f"{nest.statement.name} has no level {level}, its innermost is {nest.depth - 1}"
                )
        if len(set(levels)) != len(levels):
            raise self.refuse("a level is named twice")
        return levels

    def apply(self) -> None:
        kind = self.transformation.kind
        if kind == "F":
            self.fuse()
            return
        step = {
            "I": self.interchange,
            "R": self.reverse,
            "S": self.skew,
            "P": self.parallelise,
            "U": self.unroll,
        }.get(kind, self.tile)
        for nest in self.nests:
            if nest.unrolled and kind not in {"P", "R"}:
                raise self.refuse(
                    f"{nest.statement.name} is unrolled already: unrolling comes last"
                )
            step(nest)

    def interchange(self, nest: Nest) -> None:
        first, second = self.levels(nest)
        names = nest.names()
        names[first], names[second] = names[second], names[first]
        nest.rewrite(names)

    def reverse(self, nest: Nest) -> None:
        (level,) = self.levels(nest)
        if level in nest.unrolled:
            raise self.refuse(f"level {level} is unrolled already: unrolling comes last")
        names = nest.names()
        names[level] = f"-{names[level]}"
        nest.rewrite(names)

    def skew(self, nest: Nest) -> None:
        first, second = self.levels(nest)
        f1, f2 = self.transformation.factors
        if f1 == 0 or f2 == 0:
            raise self.refuse("skewing needs two factors other than 0")
        names = nest.names()
        rows = [f"{a} * l{first} + {b} * l{second}" for a, b in skew_matrix(f1, f2)]
        names[first], names[second] = rows
        nest.rewrite(names)

    def tile(self, nest: Nest) -> None:
        levels, factors = self.levels(nest), self.transformation.factors
        first, count = levels[0], len(levels)
        if levels != tuple(range(first, first + count)):
            raise self.refuse("the levels of a tiling are consecutive and ascending")
        if min(factors) < 1:
            raise self.refuse("a tile has at least one iteration")
        for position, factor in enumerate(factors):
            nest.strip_mine(first + 2 * position, factor)
        names = nest.names()
        split = names[first : first + 2 * count]
        nest.rewrite([*names[:first], *split[0::2], *split[1::2], *names[first + 2 * count :]])

    def parallelise(self, nest: Nest) -> None:
        nest.parallel.update(self.levels(nest))

    def unroll(self, nest: Nest) -> None:
        (level,), (factor,) = self.levels(nest), self.transformation.factors
        if not 1 <= factor <= _MOST_UNROLLED:
            raise self.refuse(f"this measurer unrolls by 1 to {_MOST_UNROLLED}")
        nest.strip_mine(level, factor)
        nest.unrolled[level + 1] = factor

    def fuse(self) -> None:
        if len(self.nests) == 1:
            raise self.refuse("fusion takes at least two computations")
        for before, after in pairwise(self.nests):
            (level,) = self.levels(before)
            self.levels(after)
            prefix = before.order[: level + 1]
            taken = [
                nest.order[level + 1]
                for nest in self.scheduled.nests.values()
                if nest is not after and nest.depth > level and nest.order[: level + 1] == prefix
            ]
            tail = [0] * (after.depth - level - 1)
            after.order = [*prefix, max(taken) + 1, *tail]


def apply_schedule(program: Program, schedule: str) -> ScheduledProgram:
    """Apply a schedule string to a program, legal or not.

    Parameters
    ----------
    program : Program
        The description; it is not changed.
    schedule : str
        In the ``tiralib`` dialect; empty for the unscheduled program.

    Returns
    -------
    ScheduledProgram
        The program's computations under that schedule.

    Raises
    ------
    InapplicableScheduleError
        The schedule is malformed, or names loops or computations that the program does not have.

    Examples
    --------
    >>> from tirastore.measure.programs import load_program
    >>> tiled = apply_schedule(load_program("blur"), "T2(L0,L1,32,32,comps=['bx'])")
    >>> tiled.nests["bx"].depth
    4
    """
    scheduled = ScheduledProgram(program)
    for transformation in parse_schedule(schedule):
        _Application(scheduled, transformation).apply()
    return scheduled
