"""C code of a scheduled program, by isl's AST builder.

The generated program is complete: it initialises the arrays, runs the scheduled kernel again and
again, times every run, and compares every result with the one of the unscheduled program.
"""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING

from tirastore.measure.polyhedral import islpy as isl

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tirastore.measure.program import Array, Statement
    from tirastore.measure.schedule import Nest, ScheduledProgram

__all__ = ["c_program", "kernel_body"]

_INDENT = "    "

_PROLOGUE = """\
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static inline int min(int a, int b) { return a < b ? a : b; }
static inline int max(int a, int b) { return a > b ? a : b; }
static inline int floord(int a, int b) { return a / b - (a % b != 0 && (a < 0) != (b < 0)); }

/* Reproducible values between 0 and 1. */
static void fill(double *array, size_t size, unsigned seed)
{
    for (size_t n = 0; n < size; n++) {
        unsigned mixed = ((unsigned)n + seed * 7919u + 1u) * 2654435761u;
        mixed ^= mixed >> 15;
        array[n] = (mixed & 0xfffffu) / 1048576.0;
    }
}

/* The largest relative difference; infinite as soon as one value is no number. */
static double difference(const double *array, const double *expected, size_t size, double worst)
{
    if (memcmp(array, expected, size * sizeof(double)) == 0)
        return worst;
    for (size_t n = 0; n < size; n++) {
        double apart = fabs(array[n] - expected[n]) / fmax(1.0, fabs(expected[n]));
        if (!(apart <= worst))
            worst = isnan(apart) ? INFINITY : apart;
    }
    return worst;
}

static double milliseconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1e3 + now.tv_nsec / 1e6;
}
"""

_MAIN = """\
/* program save FILE | program check FILE MOST_RUNS FEWEST_RUNS BUDGET_MS */
int main(int argc, char **argv)
{
    if (argc == 3) {
        initialise();
        reset_outputs();
        kernel();
        return save(argv[2]);
    }
    if (argc != 6 || load(argv[2]))
        return 2;
    int most = atoi(argv[3]), fewest = atoi(argv[4]);
    double budget = atof(argv[5]), spent = 0.0, worst = 0.0;
    initialise();
    for (int run = 0; run < most && (run < fewest || spent < budget); run++) {
        reset_outputs();
        double start = milliseconds();
        kernel();
        double took = milliseconds() - start;
        spent += took;
        worst = compare(worst);
        printf("%.9g\\n", took);
    }
    printf("difference %.9g\\n", worst);
    return 0;
}
"""


def c_program(scheduled: ScheduledProgram) -> str:
    """Generate the C program that measures a schedule.

    Parameters
    ----------
    scheduled : ScheduledProgram
        A program under a *legal* schedule: nothing is checked here.

    Returns
    -------
    str
        One translation unit. Called as ``program save FILE`` it writes the result to a file,
        as ``program check FILE MOST_RUNS FEWEST_RUNS BUDGET_MS`` it prints the milliseconds of
        every run and, last, the largest relative difference from the result in that file.
    """
    program = scheduled.program
    written = {statement.write.array for statement in program.statements}
    outputs = [array for array in program.arrays if array.name in written]
    parts = [
        [_PROLOGUE],
        [_declaration(array) for array in program.arrays],
        [f"static double expected_{array.name}[{array.size}];" for array in outputs],
        [f"static double initial_{array.name}[{array.size}];" for array in outputs],
        ["", *(_statement_function(statement) for statement in program.statements)],
        ["", "__attribute__((noinline)) static void kernel(void)", "{"],
        kernel_body(scheduled),
        ["}", ""],
        _function("void initialise(void)", _fills(program.arrays, written)),
        _function("void reset_outputs(void)", _resets(outputs)),
        _function("int save(const char *path)", _files(outputs, "wb", "fwrite", "")),
        _function("int load(const char *path)", _files(outputs, "rb", "fread", "expected_")),
        _function("double compare(double worst)", _comparisons(outputs)),
        [_MAIN],
    ]
    return "\n".join(chain.from_iterable(parts))


def kernel_body(scheduled: ScheduledProgram) -> list[str]:
    """Generate the loops of a scheduled program.

    Parameters
    ----------
    scheduled : ScheduledProgram
        A program under a schedule.

    Returns
    -------
    list of str
        Lines of C, indented by one step.
    """
    printer = _Printer(scheduled)
    lines: list[str] = []
    # isl looks for loops to unroll in everything that it generates at once: sequences that share
    # no loop are generated one by one.
    for position in sorted({nest.order[0] for nest in scheduled.nests.values()}):
        together = [nest for nest in scheduled.nests.values() if nest.order[0] == position]
        time, unroll = isl.UnionMap("{ }"), isl.UnionMap("{ }")
        for nest in together:
            time = time.union(isl.UnionMap.from_map(scheduled.nest_time(nest)))
            unroll = unroll.union(_unroll_options(scheduled, nest))
        build = isl.AstBuild.from_context(isl.Set("{ : }")).set_options(unroll)
        lines += printer.lines(build.node_from_schedule_map(time), _INDENT)
    return lines


def _unroll_options(scheduled: ScheduledProgram, nest: Nest) -> isl.UnionMap:
    """Ask isl to unroll the marked loops wherever all of their iterations exist.

    Unrolling an incomplete loop as well would put a condition before every copy of the body.
    """
    options = isl.UnionMap("{ }")
    length = 2 * scheduled.depth + 1
    names = ", ".join(f"d{position}" for position in range(length))
    for level, factor in nest.unrolled.items():
        loop = 2 * level + 1
        visited = scheduled.nest_time(nest).range()
        visited = visited.project_out(isl.dim_type.set, loop + 1, length - loop - 1)
        outer = visited.project_out(isl.dim_type.set, loop, 1)
        incomplete = _in_range(outer, factor).subtract(visited)
        incomplete = incomplete.project_out(isl.dim_type.set, loop, 1)
        complete = _in_range(outer.subtract(incomplete), factor)
        complete = complete.add_dims(isl.dim_type.set, length - loop - 1).coalesce()
        option = isl.Map(f"{{ [{names}] -> unroll[{loop}] }}").intersect_domain(complete)
        options = options.union(isl.UnionMap.from_map(option))
    return options


def _in_range(outer: isl.Set, count: int) -> isl.Set:
    """Add an innermost loop from 0 to count - 1."""
    loop = outer.dim(isl.dim_type.set)
    nested = outer.add_dims(isl.dim_type.set, 1)
    nested = nested.lower_bound_val(isl.dim_type.set, loop, isl.Val(0))
    return nested.upper_bound_val(isl.dim_type.set, loop, isl.Val(count - 1))


class _Printer:
    """Prints isl's AST as C, with OpenMP pragmas on parallel loops."""

    def __init__(self, scheduled: ScheduledProgram) -> None:
        self.nests: dict[str, Nest] = scheduled.nests

    def lines(self, node: isl.AstNode, indent: str) -> Iterator[str]:
        kind = _kind(node)
        if kind == "for_":
            yield from self.loop(node, indent)
        elif kind == "if_":
            yield f"{indent}if ({node.if_get_cond().to_C_str()}) {{"
            yield from self.lines(node.if_get_then_node(), indent + _INDENT)
            if node.if_has_else_node():
                yield f"{indent}}} else {{"
                yield from self.lines(node.if_get_else_node(), indent + _INDENT)
            yield f"{indent}}}"
        elif kind == "block":
            children = node.block_get_children()
            for position in range(children.n_ast_node()):
                yield from self.lines(children.get_at(position), indent)
        elif kind == "user":
            yield f"{indent}{node.user_get_expr().to_C_str()};"
        else:
            raise AssertionError(f"isl built a node of an unexpected type {kind}")

    def loop(self, node: isl.AstNode, indent: str) -> Iterator[str]:
        iterator = node.for_get_iterator().to_C_str()
        start = node.for_get_init().to_C_str()
        if node.for_is_degenerate():
            yield f"{indent}{{"
            yield f"{indent}{_INDENT}const int {iterator} = {start};"
        else:
            # isl names an iterator after its position in the time vector: c1 is loop level 0.
            level = (int(iterator.removeprefix("c")) - 1) // 2
            if any(level in self.nests[name].parallel for name in _statements_in(node)):
                yield f"{indent}#pragma omp parallel for"
            condition, step = node.for_get_cond().to_C_str(), node.for_get_inc().to_C_str()
            yield f"{indent}for (int {iterator} = {start}; {condition}; {iterator} += {step}) {{"
        yield from self.lines(node.for_get_body(), indent + _INDENT)
        yield f"{indent}}}"


def _kind(node: isl.AstNode) -> str:
    """Name the type of a node; islpy's own annotations take it for a plain int."""
    return isl.ast_node_type(node.get_type()).name


def _statements_in(node: isl.AstNode) -> set[str]:
    names: set[str] = set()

    def visit(descendant: isl.AstNode) -> bool:
        if _kind(descendant) == "user":
            names.add(descendant.user_get_expr().get_op_arg(0).to_C_str())
        return True

    node.foreach_descendant_top_down(visit)
    return names


def _declaration(array: Array) -> str:
    extents = "".join(f"[{extent}]" for extent in array.extents)
    return f"static double {array.name}{extents} __attribute__((aligned(64)));"


def _statement_function(statement: Statement) -> str:
    parameters = ", ".join(f"int {loop.name}" for loop in statement.loops)
    return f"static inline void {statement.name}({parameters}) {{ {statement.as_c} }}"


def _function(signature: str, body: list[str]) -> list[str]:
    return [f"static {signature}", "{", *(_INDENT + line for line in body), "}", ""]


def _fills(arrays: tuple[Array, ...], written: set[str]) -> list[str]:
    return [
        f"fill((double *){'initial_' * (array.name in written)}{array.name}, {array.size}, {seed});"
        for seed, array in enumerate(arrays)
    ]


def _resets(arrays: list[Array]) -> list[str]:
    return [f"memcpy({array.name}, initial_{array.name}, sizeof {array.name});" for array in arrays]


def _files(arrays: list[Array], mode: str, function: str, prefix: str) -> list[str]:
    transfers = (
        f"failed |= {function}({prefix}{array.name}, sizeof(double), {array.size}, file) "
        f"!= {array.size};"
        for array in arrays
    )
    return [
        f'FILE *file = fopen(path, "{mode}");',
        "if (!file)",
        f"{_INDENT}return 1;",
        "int failed = 0;",
        *transfers,
        "return fclose(file) || failed;",
    ]


def _comparisons(arrays: list[Array]) -> list[str]:
    comparisons = (
        f"difference((double *){array.name}, expected_{array.name}, {array.size}, worst)"
        for array in arrays
    )
    return [*(f"worst = {comparison};" for comparison in comparisons), "return worst;"]
