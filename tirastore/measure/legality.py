"""Is a schedule legal? Decided by isl's dependence analysis.

A schedule is legal iff it runs the source of every dependence before its sink, and no loop that
it runs in parallel separates the two. Unrolling never changes the order.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tirastore.measure.polyhedral import islpy as isl
from tirastore.measure.schedule import ScheduledProgram

if TYPE_CHECKING:
    from tirastore.measure.program import Program
    from tirastore.measure.schedule import Nest

__all__ = ["dependences", "find_violation"]


def dependences(program: Program) -> isl.UnionMap:
    """Compute the flow, anti and output dependences of a program.

    Parameters
    ----------
    program : Program
        The description.

    Returns
    -------
    isl.UnionMap
        From earlier to later statement instances. Only direct dependences: a pair that follows
        from two others, through a write between them, may be missing.
    """
    time = ScheduledProgram(program).time()
    reads, writes = isl.UnionMap("{ }"), isl.UnionMap("{ }")
    for statement in program.statements:
        domain = isl.Set(statement.domain_text)
        write = isl.Map(statement.access_text(statement.write)).intersect_domain(domain)
        writes = writes.union(isl.UnionMap.from_map(write))
        for access in statement.reads:
            read = isl.Map(statement.access_text(access)).intersect_domain(domain)
            reads = reads.union(isl.UnionMap.from_map(read))
    flow = _direct(reads, writes, isl.UnionMap("{ }"), time)
    anti_and_output = _direct(writes, writes, reads, time)
    return flow.union(anti_and_output).coalesce()


def _direct(
    sink: isl.UnionMap, overwriting: isl.UnionMap, other: isl.UnionMap, time: isl.UnionMap
) -> isl.UnionMap:
    """Dependences of a sink on what last touched its element before it."""
    accesses = isl.UnionAccessInfo.from_sink(sink)
    accesses = accesses.set_must_source(overwriting).set_may_source(other)
    return accesses.set_schedule_map(time).compute_flow().get_may_dependence()


def find_violation(scheduled: ScheduledProgram, dependence: isl.UnionMap) -> str | None:
    """Look for a dependence that a schedule violates.

    Parameters
    ----------
    scheduled : ScheduledProgram
        The program under the schedule in question.
    dependence : isl.UnionMap
        What `dependences` computed for this program.

    Returns
    -------
    str or None
        What is violated, for a person to read; None when the schedule is legal.

    Examples
    --------
    >>> from tirastore.measure.programs import load_program
    >>> from tirastore.measure.schedule import apply_schedule
    >>> program = load_program("seidel2d")
    >>> find_violation(apply_schedule(program, "R(L0,comps=['seidel'])"), dependences(program))
    'a dependence of seidel on seidel is reversed'
    """
    time = scheduled.time()
    not_later = isl.Set(_not_later(2 * scheduled.depth + 1))
    for pair in _statement_pairs(dependence):
        distance = _distance(isl.UnionMap.from_map(pair), time)
        if not distance.is_disjoint(isl.UnionSet.from_set(not_later)):
            source, sink = _ends(pair)
            return f"a dependence of {sink} on {source} is reversed"
    for name, nest in scheduled.nests.items():
        for level in sorted(nest.parallel):
            if _carries(scheduled, nest, level, dependence, time):
                return f"the parallel loop L{level} of {name} carries a dependence"
    return None


def _statement_pairs(dependence: isl.UnionMap) -> list[isl.Map]:
    pairs: list[isl.Map] = []
    dependence.foreach_map(pairs.append)
    return sorted(pairs, key=_ends)


def _ends(pair: isl.Map) -> tuple[str, str]:
    source = pair.get_tuple_name(isl.dim_type.in_)
    sink = pair.get_tuple_name(isl.dim_type.out)
    return str(source), str(sink)


def _distance(dependence: isl.UnionMap, time: isl.UnionMap) -> isl.UnionSet:
    """Sinks' time vectors minus their sources'."""
    return dependence.apply_domain(time).apply_range(time).deltas()


def _not_later(length: int) -> str:
    """Vectors that are zero or lexicographically negative, as an isl set."""
    names = [f"d{position}" for position in range(length)]
    cases = [
        " and ".join([*(f"{zero} = 0" for zero in names[:position]), f"{name} < 0"])
        for position, name in enumerate(names)
    ]
    cases.append(" and ".join(f"{name} = 0" for name in names))
    return f"{{ [{', '.join(names)}] : {' or '.join(cases)} }}"


def _carries(
    scheduled: ScheduledProgram,
    nest: Nest,
    level: int,
    dependence: isl.UnionMap,
    time: isl.UnionMap,
) -> bool:
    """Whether instances that depend on each other run in different iterations of one loop.

    Every statement inside the loop counts, not only the one that was marked: they share it.
    """
    if level >= nest.depth:
        return False
    prefix = scheduled.padded_order(nest)[: level + 1]
    inside = isl.UnionSet("{ }")
    for other in scheduled.nests.values():
        if scheduled.padded_order(other)[: level + 1] == prefix:
            inside = inside.union(isl.UnionSet(other.statement.domain_text))
    within = dependence.intersect_domain(inside).intersect_range(inside)
    names = [f"d{position}" for position in range(2 * scheduled.depth + 1)]
    loop = 2 * level + 1
    outer_equal = "".join(f"{name} = 0 and " for name in names[:loop])
    carried = isl.UnionSet(
        f"{{ [{', '.join(names)}] : {outer_equal}({names[loop]} < 0 or {names[loop]} > 0) }}"
    )
    return not _distance(within, time).is_disjoint(carried)
