"""The catalogue: small programs of the kinds that autoschedulers are tried on.

Sizes are chosen so that one unscheduled run takes about 0.5 to 10 milliseconds on one core of
a current machine: long enough to tell schedules apart, short enough to try hundreds of them.
"""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING

from tirastore.measure.program import Array, Loop, Program, Statement

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["PROGRAMS", "load_program"]


def _matmul(size: int = 192) -> Program:
    """C += A * B, with the reduction innermost."""
    i, j, k = (Loop(name, 0, size) for name in "ijk")
    square = (size, size)
    return Program(
        "matmul",
        (Array("A", square), Array("B", square), Array("C", square)),
        (Statement("matmul", (i, j, k), "C[i, j]", "C[i, j] + A[i, k] * B[k, j]"),),
    )


def _blur(size: int = 1024) -> Program:
    """Two passes of a three-point blur: the second reads rows that the first has written."""
    producer = (Loop("y", 0, size), Loop("x", 0, size))
    consumer = (Loop("yo", 2, size), Loop("xo", 0, size))
    return Program(
        "blur",
        (
            Array("image", (size, size + 2)),
            Array("rows", (size, size)),
            Array("blurred", (size, size)),
        ),
        (
            Statement(
                "bx",
                producer,
                "rows[y, x]",
                "(image[y, x] + image[y, x + 1] + image[y, x + 2]) / 3.0",
            ),
            Statement(
                "by",
                consumer,
                "blurred[yo, xo]",
                "(rows[yo - 2, xo] + rows[yo - 1, xo] + rows[yo, xo]) / 3.0",
            ),
        ),
    )


def _heat2d(size: int = 642, steps: int = 10) -> Program:
    """Explicit heat equation over two alternating planes."""
    loops = (Loop("t", 0, steps), Loop("i", 1, size - 1), Loop("j", 1, size - 1))
    now = "heat[t % 2, {}, {}]".format
    return Program(
        "heat2d",
        (Array("heat", (2, size, size)),),
        (
            Statement(
                "heat_step",
                loops,
                "heat[(t + 1) % 2, i, j]",
                f"{now('i', 'j')} + 0.125 * ({now('i + 1', 'j')} - 2.0 * {now('i', 'j')}"
                f" + {now('i - 1', 'j')}) + 0.125 * ({now('i', 'j + 1')}"
                f" - 2.0 * {now('i', 'j')} + {now('i', 'j - 1')})",
            ),
        ),
    )


def _seidel2d(size: int = 130, steps: int = 16) -> Program:
    """Gauss-Seidel smoothing in place: every point depends on its neighbours of this sweep."""
    return Program(
        "seidel2d",
        (Array("A", (size, size)),),
        (
            Statement(
                "seidel",
                (Loop("t", 0, steps), Loop("i", 1, size - 1), Loop("j", 1, size - 1)),
                "A[i, j]",
                "(A[i - 1, j] + A[i, j - 1] + A[i, j] + A[i, j + 1] + A[i + 1, j]) * 0.2",
            ),
        ),
    )


def _jacobi2d(size: int = 514, steps: int = 10) -> Program:
    """Jacobi smoothing: two half-steps under one time loop."""
    t = Loop("t", 0, steps)
    first = (t, Loop("i", 1, size - 1), Loop("j", 1, size - 1))
    second = (t, *first[1:])
    mean = "({0}[i, j] + {0}[i, j - 1] + {0}[i, j + 1] + {0}[i + 1, j] + {0}[i - 1, j]) * 0.2"
    return Program(
        "jacobi2d",
        (Array("A", (size, size)), Array("B", (size, size))),
        (
            Statement("to_b", first, "B[i, j]", mean.format("A")),
            Statement("to_a", second, "A[i, j]", mean.format("B"), shared_loops=1),
        ),
    )


def _mvt(size: int = 768) -> Program:
    """Two independent products of one matrix, plain and transposed, with a vector each."""
    loops = (Loop("i", 0, size), Loop("j", 0, size))
    vectors = (Array(name, (size,)) for name in ("x_1", "x_2", "y_1", "y_2"))
    return Program(
        "mvt",
        (Array("A", (size, size)), *vectors),
        (
            Statement("mvt_plain", loops, "x_1[i]", "x_1[i] + A[i, j] * y_1[j]"),
            Statement("mvt_transposed", loops, "x_2[i]", "x_2[i] + A[j, i] * y_2[j]"),
        ),
    )


def _gemver(size: int = 512) -> Program:
    """Rank-two update of a matrix, then two products with it."""
    i, j = Loop("i", 0, size), Loop("j", 0, size)
    vectors = (
        Array(name, (size,)) for name in ("u_1", "v_1", "u_2", "v_2", "x_v", "y_v", "z_v", "w_v")
    )
    return Program(
        "gemver",
        (Array("A", (size, size)), *vectors),
        (
            Statement("A_hat", (i, j), "A[i, j]", "A[i, j] + u_1[i] * v_1[j] + u_2[i] * v_2[j]"),
            Statement("x_temp", (i, j), "x_v[i]", "x_v[i] + 0.5 * A[j, i] * y_v[j]"),
            Statement("x", (i,), "x_v[i]", "x_v[i] + z_v[i]"),
            Statement("w", (i, j), "w_v[i]", "w_v[i] + 0.25 * A[i, j] * x_v[j]"),
        ),
    )


_BUILDERS: dict[str, Callable[..., Program]] = {
    "matmul": _matmul,
    "blur": _blur,
    "heat2d": _heat2d,
    "seidel2d": _seidel2d,
    "jacobi2d": _jacobi2d,
    "mvt": _mvt,
    "gemver": _gemver,
}


def load_program(name: str, size: int | None = None, steps: int | None = None) -> Program:
    """Build a program of the catalogue.

    Parameters
    ----------
    name : str
        One of `PROGRAMS`.
    size : int, optional
        Extent of each dimension in space, instead of the default of this program.
    steps : int, optional
        Time steps, for the programs that have a time loop.

    Returns
    -------
    Program
        The description.

    Raises
    ------
    ValueError
        The catalogue has no such program, or the program has no time loop.

    Examples
    --------
    >>> load_program("seidel2d", size=10, steps=2).statements[0].domain_text
    '{ seidel[t, i, j] : 0 <= t < 2 and 1 <= i < 9 and 1 <= j < 9 }'
    """
    build = _BUILDERS.get(name)
    if build is None:
        raise ValueError(f"no program {name!r}: the catalogue has {', '.join(_BUILDERS)}")
    if steps is not None and "steps" not in inspect.signature(build).parameters:
        raise ValueError(f"{name} has no time loop: steps does not apply")
    given = {"size": size, "steps": steps}
    return build(**{key: value for key, value in given.items() if value is not None})


PROGRAMS: dict[str, Program] = {name: load_program(name) for name in _BUILDERS}
"""Every program of the catalogue in its default size, by name."""
