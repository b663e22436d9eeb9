"""Programs as polyhedral descriptions.

A program is a list of arrays and of statements. From this one description come the isl sets and
maps that legality and code generation work on, the C text of the statements, and the Tiramisu
generator that is stored as the program's source: none of them can drift away from the others.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Access", "Array", "Loop", "Program", "Statement"]

_ACCESS = re.compile(r"(\w+)\[([^\]]*)\]")


@dataclass(frozen=True, slots=True)
class Array:
    """An array of doubles.

    Parameters
    ----------
    name : str
        A C identifier.
    extents : tuple of int
        Number of elements in each dimension.
    """

    name: str
    extents: tuple[int, ...]

    @property
    def size(self) -> int:
        """Number of elements."""
        size = 1
        for extent in self.extents:
            size *= extent
        return size


@dataclass(frozen=True, slots=True)
class Loop:
    """A loop of a statement: ``lower <= name < upper``, step 1."""

    name: str
    lower: int
    upper: int


@dataclass(frozen=True, slots=True)
class Access:
    """One array element that a statement instance reads or writes.

    Parameters
    ----------
    array : str
        Name of the array.
    indices : tuple of str
        One quasi-affine expression in the statement's iterators for each dimension, in the
        syntax that C and isl share (``i + 1``, ``(t + 1) % 2``).
    """

    array: str
    indices: tuple[str, ...]

    @classmethod
    def parse(cls, text: str) -> Access:
        """Read ``"A[i, j + 1]"``.

        Examples
        --------
        >>> Access.parse("A[i, j + 1]")
        Access(array='A', indices=('i', 'j + 1'))
        """
        match = _ACCESS.fullmatch(text)
        if match is None:
            raise ValueError(f"expected an access such as 'A[i, j]', found {text!r}")
        return cls(match[1], tuple(index.strip() for index in match[2].split(",")))

    @property
    def as_c(self) -> str:
        """The element as a C expression: ``A[i][j + 1]``."""
        return self.array + "".join(f"[{index}]" for index in self.indices)

    @property
    def as_call(self) -> str:
        """The element as Tiramisu writes it: ``A(i, j + 1)``."""
        return f"{self.array}({', '.join(self.indices)})"


@dataclass(frozen=True)
class Statement:
    """A computation: one assignment under a nest of loops.

    Parameters
    ----------
    name : str
        The computation's name, as ``comps=[...]`` of a schedule spells it.
    loops : tuple of Loop
        Outermost first.
    target : str
        The element that is written, such as ``"C[i, j]"``.
    value : str
        What is written: a C expression over accesses, such as ``"C[i, j] + A[i, k] * B[k, j]"``.
    shared_loops : int, default 0
        How many of its outer loops it shares with the statement before it.

    Examples
    --------
    >>> product = Statement(
    ...     "product", (Loop("i", 0, 4), Loop("k", 0, 3)), "y[i]", "y[i] + A[i, k] * x[k]"
    ... )
    >>> product.domain_text
    '{ product[i, k] : 0 <= i < 4 and 0 <= k < 3 }'
    >>> [access.as_c for access in product.reads]
    ['y[i]', 'A[i][k]', 'x[k]']
    """

    name: str
    loops: tuple[Loop, ...]
    target: str
    value: str
    shared_loops: int = 0

    @property
    def depth(self) -> int:
        """Number of loops."""
        return len(self.loops)

    @property
    def instance_text(self) -> str:
        """The statement's tuple in isl's syntax: ``name[i, j]``."""
        return f"{self.name}[{', '.join(loop.name for loop in self.loops)}]"

    @property
    def domain_text(self) -> str:
        """The iteration domain as an isl set."""
        bounds = " and ".join(f"{loop.lower} <= {loop.name} < {loop.upper}" for loop in self.loops)
        return f"{{ {self.instance_text} : {bounds} }}"

    @cached_property
    def write(self) -> Access:
        """The element that is written."""
        return Access.parse(self.target)

    @cached_property
    def reads(self) -> tuple[Access, ...]:
        """The elements that are read, in order of appearance."""
        return tuple(Access.parse(match[0]) for match in _ACCESS.finditer(self.value))

    def access_text(self, access: Access) -> str:
        """Return an access of this statement as an isl map from instances to array elements."""
        return f"{{ {self.instance_text} -> {access.array}[{', '.join(access.indices)}] }}"

    @property
    def as_c(self) -> str:
        """The assignment in C."""
        value = _ACCESS.sub(lambda match: Access.parse(match[0]).as_c, self.value)
        return f"{self.write.as_c} = {value};"

    @property
    def as_tiramisu(self) -> str:
        """The value as a Tiramisu expression."""
        return _ACCESS.sub(lambda match: Access.parse(match[0]).as_call, self.value)


@dataclass(frozen=True)
class Program:
    """A program: arrays, and statements in their original order.

    Parameters
    ----------
    name : str
        Also the name under which the store keeps it.
    arrays : tuple of Array
        Every array that a statement touches.
    statements : tuple of Statement
        In textual order.
    """

    name: str
    arrays: tuple[Array, ...]
    statements: tuple[Statement, ...]

    def __post_init__(self) -> None:
        """Refuse a description that contradicts itself."""
        dimensions = {array.name: len(array.extents) for array in self.arrays}
        if len(self._by_name) != len(self.statements) or len(dimensions) != len(self.arrays):
            raise ValueError(f"{self.name}: two arrays or two statements have the same name")
        if self._by_name.keys() & dimensions.keys():
            raise ValueError(f"{self.name}: an array and a statement have the same name")
        if len({loop.name for loop in self.loops}) != len(self.loops):
            raise ValueError(f"{self.name}: one iterator name stands for two ranges")
        for statement in self.statements:
            for access in (statement.write, *statement.reads):
                if dimensions.get(access.array) != len(access.indices):
                    raise ValueError(f"{self.name}: {access.as_c} is no element of an array")

    @cached_property
    def _by_name(self) -> dict[str, Statement]:
        return {statement.name: statement for statement in self.statements}

    @cached_property
    def loops(self) -> tuple[Loop, ...]:
        """Every distinct loop, in order of appearance."""
        return tuple(dict.fromkeys(loop for s in self.statements for loop in s.loops))

    def statement(self, name: str) -> Statement | None:
        """Return the computation of that name, or None."""
        return self._by_name.get(name)

    def original_orders(self) -> Iterator[tuple[int, ...]]:
        """Yield each statement's static positions, one before every loop and one after the last.

        Two statements that share ``n`` loops agree in the first ``n`` positions and differ in the
        next one: interleaved with the loops, the vectors order all statement instances.

        Examples
        --------
        >>> from tirastore.measure.programs import load_program
        >>> list(load_program("jacobi2d").original_orders())
        [(0, 0, 0, 0), (0, 1, 0, 0)]
        """
        order: list[int] = [-1]
        for statement in self.statements:
            shared = statement.shared_loops
            order = [*order[:shared], order[shared] + 1] + [0] * (statement.depth - shared)
            yield tuple(order)

    @cached_property
    def cpp_code(self) -> str:
        """The Tiramisu generator of this program: what the store keeps as its source."""
        from tirastore.measure.generator import tiramisu_generator  # noqa: PLC0415

        return tiramisu_generator(self)
