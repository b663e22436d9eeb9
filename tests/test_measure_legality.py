"""isl's verdict on a schedule, checked against every pair of memory accesses of small programs."""

from __future__ import annotations

import itertools

import islpy as isl
import pytest

from tirastore.measure import PROGRAMS, candidates, explore, load_program
from tirastore.measure import legality as legality_module
from tirastore.measure.legality import dependences, find_violation
from tirastore.measure.program import Array, Loop, Program, Statement
from tirastore.measure.schedule import apply_schedule, parse_schedule, skew_matrix

SMALL = {
    "matmul": {"size": 4},
    "blur": {"size": 6},
    "heat2d": {"size": 5, "steps": 4},
    "seidel2d": {"size": 6, "steps": 3},
    "jacobi2d": {"size": 5, "steps": 3},
    "mvt": {"size": 5},
    "gemver": {"size": 4},
}


ROW, COLUMN = Loop("i", 0, 5), Loop("j", 0, 4)
EXTRA = [
    # Only anti-dependences: every element is read before it is overwritten.
    Program(
        "shift",
        (Array("A", (6, 5)),),
        (Statement("shift", (ROW, COLUMN), "A[i, j]", "A[i + 1, j + 1] * 0.5"),),
    ),
    # Only output dependences: the last iteration wins.
    Program(
        "last",
        (Array("A", (5, 4)), Array("B", (4,))),
        (Statement("last", (ROW, COLUMN), "B[j]", "A[i, j] * 0.5"),),
    ),
    # A loop that two statements share, one of them shallower.
    Program(
        "sums",
        (Array("A", (5, 4)), Array("B", (5,))),
        (
            Statement("zero", (ROW,), "B[i]", "A[i, 0]"),
            Statement("add", (ROW, COLUMN), "B[i]", "B[i] + A[i, j]", shared_loops=1),
        ),
    ),
]


def verdict(program, schedule):
    return find_violation(apply_schedule(program, schedule), dependences(program)) is None


@pytest.mark.parametrize(
    ("name", "schedule", "legal"),
    [
        ("matmul", "I(L0,L2,comps=['matmul'])", True),
        ("matmul", "P(L0,comps=['matmul'])|T3(L0,L1,L2,32,32,32,comps=['matmul'])", True),
        ("matmul", "P(L2,comps=['matmul'])", False),
        ("matmul", "R(L2,comps=['matmul'])", False),
        ("matmul", "R(L0,comps=['matmul'])", True),
        ("seidel2d", "R(L0,comps=['seidel'])", False),
        ("seidel2d", "R(L2,comps=['seidel'])", False),
        ("seidel2d", "P(L0,comps=['seidel'])", False),
        ("seidel2d", "P(L1,comps=['seidel'])", False),
        ("seidel2d", "S(L1,L2,1,1,comps=['seidel'])|P(L2,comps=['seidel'])", True),
        ("seidel2d", "S(L1,L2,1,1,comps=['seidel'])|P(L1,comps=['seidel'])", False),
        ("seidel2d", "U(L0,4,comps=['seidel'])", True),
        ("heat2d", "P(L0,comps=['heat_step'])", False),
        ("heat2d", "P(L1,comps=['heat_step'])|P(L2,comps=['heat_step'])", True),
        ("heat2d", "T2(L0,L1,4,16,comps=['heat_step'])", False),
        (
            "heat2d",
            "S(L0,L1,2,1,comps=['heat_step'])|P(L1,comps=['heat_step'])",
            True,
        ),
        ("heat2d", "S(L0,L1,1,1,comps=['heat_step'])|P(L1,comps=['heat_step'])", False),
        ("blur", "F(L1,comps=['bx', 'by'])", True),
        ("blur", "F(L1,comps=['by', 'bx'])", False),
        ("blur", "F(L1,comps=['bx', 'by'])|P(L1,comps=['bx', 'by'])", True),
        ("blur", "F(L1,comps=['bx', 'by'])|P(L0,comps=['bx', 'by'])", False),
        ("blur", "P(L0,comps=['bx', 'by'])", True),
        ("blur", "F(L0,comps=['bx', 'by'])|P(L0,comps=['by'])", False),
        ("jacobi2d", "F(L1,comps=['to_b', 'to_a'])", False),
        ("mvt", "F(L1,comps=['mvt_transposed', 'mvt_plain'])", True),
        ("mvt", "I(L0,L1,comps=['mvt_transposed'])", True),
        ("gemver", "F(L0,comps=['A_hat', 'x_temp'])", False),
        ("gemver", "I(L0,L1,comps=['x_temp'])|F(L0,comps=['A_hat', 'x_temp'])", True),
    ],
)
def test_verdicts_that_a_compiler_writer_knows(name, schedule, legal):
    assert verdict(load_program(name), schedule) is legal


def test_the_reason_names_the_computations():
    program = load_program("blur")
    reason = find_violation(
        apply_schedule(program, "F(L0,comps=['by', 'bx'])"), dependences(program)
    )
    assert reason == "a dependence of by on bx is reversed"


class Reference:
    """Schedules and dependences worked out instance by instance, without isl."""

    def __init__(self, program):
        self.program = program
        self.orders = {
            statement.name: list(order)
            for statement, order in zip(program.statements, program.original_orders(), strict=True)
        }
        self.instances = [
            (statement, values)
            for statement in program.statements
            for values in itertools.product(
                *(range(loop.lower, loop.upper) for loop in statement.loops)
            )
        ]
        original = self.times("")[0]
        order = sorted(range(len(original)), key=original.__getitem__)
        self.pairs = []
        touched = {}
        for instance in order:
            for cell, writes in self.accesses(*self.instances[instance]):
                for other, other_writes in touched.get(cell, ()):
                    if (writes or other_writes) and other != instance:
                        self.pairs.append((other, instance))
            for cell, writes in self.accesses(*self.instances[instance]):
                touched.setdefault(cell, []).append((instance, writes))

    @staticmethod
    def accesses(statement, values):
        names = {loop.name: value for loop, value in zip(statement.loops, values, strict=True)}
        for access, writes in [
            *((read, False) for read in statement.reads),
            (statement.write, True),
        ]:
            yield (access.array, *(eval(i, {}, names) for i in access.indices)), writes  # noqa: S307

    def times(self, schedule):
        """Time vectors of all instances, and the loops that are marked parallel."""
        orders = {name: list(order) for name, order in self.orders.items()}
        loops = [list(values) for _, values in self.instances]
        marks = set()
        for step in parse_schedule(schedule):
            if step.kind == "F":
                self.fuse(orders, step)
                continue
            for name in step.comps:
                depth = len(orders[name]) - 1
                levels = [depth - 1 if level == -1 else level for level in step.levels]
                if step.kind == "P":
                    marks.add((name, levels[0]))
                    continue
                for position, (statement, _) in enumerate(self.instances):
                    if statement.name == name:
                        loops[position] = self.move(step, levels, loops[position])
                grown = {"T1": 1, "T2": 2, "T3": 3, "U": 1}.get(step.kind, 0)
                for split in range(grown):
                    orders[name].insert(levels[split] + split + 1, 0)
        length = max(len(order) for order in orders.values())
        vectors = []
        for (statement, _), values in zip(self.instances, loops, strict=True):
            order = orders[statement.name]
            padded = order + [0] * (length - len(order))
            whole = [*values, *[0] * (length - len(order))]
            vectors.append([padded[0], *itertools.chain(*zip(whole, padded[1:], strict=True))])
        return vectors, {(tuple(orders[name][: level + 1]), level) for name, level in marks}

    @staticmethod
    def fuse(orders, step):
        for before, after in itertools.pairwise(step.comps):
            level = step.levels[0]
            prefix = orders[before][: level + 1]
            last = max(
                order[level + 1]
                for name, order in orders.items()
                if name != after and len(order) > level + 1 and order[: level + 1] == prefix
            )
            orders[after] = [*prefix, last + 1, *[0] * (len(orders[after]) - level - 2)]

    @staticmethod
    def move(step, levels, values):
        values = list(values)
        first = levels[0]
        if step.kind == "I":
            values[first], values[levels[1]] = values[levels[1]], values[first]
        elif step.kind == "R":
            values[first] = -values[first]
        elif step.kind == "S":
            (a, b), (c, d) = skew_matrix(*step.factors)
            x, y = values[first], values[levels[1]]
            values[first], values[levels[1]] = a * x + b * y, c * x + d * y
        else:
            named = values[first : first + len(levels)]
            tiles = [value // factor for value, factor in zip(named, step.factors, strict=True)]
            inner = [value % factor for value, factor in zip(named, step.factors, strict=True)]
            values[first : first + len(levels)] = tiles + inner
        return values

    def is_legal(self, schedule):
        vectors, parallel = self.times(schedule)
        for source, sink in self.pairs:
            if vectors[source] >= vectors[sink]:
                return False
            for prefix, level in parallel:
                at = 2 * level + 1
                same_loop = tuple(vectors[source][0:at:2]) == prefix
                if (
                    same_loop
                    and vectors[source][:at] == vectors[sink][:at]
                    and (vectors[source][at] != vectors[sink][at])
                ):
                    return False
        return True


@pytest.fixture(scope="module")
def cases():
    """Small programs, schedules with tiles as small as they are, and the reference's verdicts."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(explore, "_TILES", (2, 3))
        patch.setattr(explore, "_UNROLLS", (2, 3))
        programs = [*EXTRA, *(load_program(name, **sizes) for name, sizes in SMALL.items())]
        schedules = {program: candidates(program, 100, seed=7) for program in programs}
    found = []
    for program in programs:
        reference = Reference(program)
        found += [(program, text, reference.is_legal(text)) for text in schedules[program]]
    return found


def disagreements(cases):
    """Where isl's verdict is not the reference's."""
    for program, group in itertools.groupby(cases, key=lambda case: case[0]):
        dependence = dependences(program)
        for _, schedule, expected in group:
            reason = find_violation(apply_schedule(program, schedule), dependence)
            if (reason is None) is not expected:
                yield program.name, schedule, expected, reason


def test_every_program_of_the_catalogue_is_checked_by_brute_force():
    assert set(SMALL) == set(PROGRAMS)


def test_the_verdict_is_what_enumerating_all_instances_gives(cases):
    assert list(disagreements(cases)) == []
    assert sum(expected for *_, expected in cases) > 200
    assert sum(not expected for *_, expected in cases) > 200


def test_brute_force_notices_a_checker_without_anti_dependences(cases, monkeypatch):
    direct = legality_module._direct

    def without_reads_before_writes(sink, writes, _, time):
        return direct(sink, writes, isl.UnionMap("{ }"), time)

    monkeypatch.setattr(legality_module, "_direct", without_reads_before_writes)
    assert any(disagreements(cases))


def test_brute_force_notices_a_checker_without_output_dependences(cases, monkeypatch):
    direct = legality_module._direct

    def without_writes_before_writes(sink, writes, reads, time):
        if reads.is_empty():
            return direct(sink, writes, reads, time)
        return direct(sink, isl.UnionMap("{ }"), reads, time)

    monkeypatch.setattr(legality_module, "_direct", without_writes_before_writes)
    assert any(disagreements(cases))


def test_brute_force_notices_a_checker_without_flow_dependences(cases, monkeypatch):
    direct = legality_module._direct

    def without_writes_before_reads(sink, writes, reads, time):
        return isl.UnionMap("{ }") if reads.is_empty() else direct(sink, writes, reads, time)

    monkeypatch.setattr(legality_module, "_direct", without_writes_before_reads)
    assert any(disagreements(cases))


def test_brute_force_notices_a_checker_that_lets_every_loop_run_in_parallel(cases, monkeypatch):
    monkeypatch.setattr(legality_module, "_carries", lambda *_: False)
    assert any(disagreements(cases))
