"""The Tiramisu C++ generator of a program: the source text under which the store keeps it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tirastore.measure.program import Array, Program, Statement

__all__ = ["tiramisu_generator"]


def tiramisu_generator(program: Program) -> str:
    """Write the program as a Tiramisu user would.

    Parameters
    ----------
    program : Program
        The description.

    Returns
    -------
    str
        A complete C++ translation unit.

    Examples
    --------
    >>> from tirastore.measure.programs import load_program
    >>> text = tiramisu_generator(load_program("matmul", size=24))
    >>> 'var i("i", 0, 24), j("j", 0, 24), k("k", 0, 24);' in text
    True
    """
    written = {statement.write.array for statement in program.statements}
    buffers = ", ".join(f"&b_{array.name}" for array in program.arrays)
    lines = [
        "#include <tiramisu/tiramisu.h>",
        "",
        "using namespace tiramisu;",
        "",
        "int main(int argc, char **argv)",
        "{",
        f'    tiramisu::init("{program.name}");',
        "",
        "    // Iterators",
        *_iterators(program),
        "",
        "    // Inputs: the arrays as the computations read them",
        *(_input(array) for array in program.arrays),
        "",
        "    // Computations",
        *(_computation(statement) for statement in program.statements),
        "",
        *_order(program.statements),
        "    // Buffers",
        *(_buffer(array, is_output=array.name in written) for array in program.arrays),
        "",
        "    // Where inputs and computations live",
        *(f"    {array.name}.store_in(&b_{array.name});" for array in program.arrays),
        *(_store(statement) for statement in program.statements),
        "",
        f'    tiramisu::codegen({{{buffers}}}, "{program.name}.o");',
        "    return 0;",
        "}",
        "",
    ]
    return "\n".join(lines)


def _iterators(program: Program) -> list[str]:
    loops = (f'{loop.name}("{loop.name}", {loop.lower}, {loop.upper})' for loop in program.loops)
    extents = {
        name: extent
        for array in program.arrays
        for name, extent in zip(_dimensions(array), array.extents, strict=True)
    }
    dimensions = (f'{name}("{name}", 0, {extent})' for name, extent in extents.items())
    return [f"    var {', '.join(loops)};", f"    var {', '.join(dimensions)};"]


def _dimensions(array: Array) -> list[str]:
    """Names of the iterators over a whole array: one for each dimension and extent."""
    return [f"d{dimension}_{extent}" for dimension, extent in enumerate(array.extents)]


def _input(array: Array) -> str:
    dimensions = ", ".join(_dimensions(array))
    return f'    input {array.name}("{array.name}", {{{dimensions}}}, p_float64);'


def _computation(statement: Statement) -> str:
    iterators = ", ".join(loop.name for loop in statement.loops)
    return (
        f'    computation {statement.name}("{statement.name}", {{{iterators}}}, '
        f"{statement.as_tiramisu});"
    )


def _order(statements: tuple[Statement, ...]) -> list[str]:
    if len(statements) == 1:
        return []
    chain = statements[0].name
    for statement in statements[1:]:
        shared = statement.shared_loops
        level = statement.loops[shared - 1].name if shared else "computation::root"
        chain += f".then({statement.name}, {level})"
    return ["    // Order", f"    {chain};", ""]


def _buffer(array: Array, *, is_output: bool) -> str:
    extents = ", ".join(str(extent) for extent in array.extents)
    kind = "a_output" if is_output else "a_input"
    return f'    buffer b_{array.name}("b_{array.name}", {{{extents}}}, p_float64, {kind});'


def _store(statement: Statement) -> str:
    write = statement.write
    return f"    {statement.name}.store_in(&b_{write.array}, {{{', '.join(write.indices)}}});"
