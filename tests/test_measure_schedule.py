"""What schedules do to loops, and what is refused as saying nothing about a program."""

from __future__ import annotations

import subprocess
import sys

import islpy as isl
import pytest

from tirastore.measure import InapplicableScheduleError, load_program
from tirastore.measure.codegen import kernel_body
from tirastore.measure.program import Loop, Program, Statement
from tirastore.measure.schedule import apply_schedule, parse_schedule, skew_matrix


def times(program, schedule, statement):
    """Loop values of every instance of a statement."""
    loops = apply_schedule(program, schedule).nests[statement].loops
    return {instance: value_of(loops, instance) for instance in points(loops.domain())}


def points(domain):
    found = []
    domain.foreach_point(lambda point: found.append(coordinates(isl.Set.from_point(point))))
    return found


def coordinates(single):
    return tuple(
        single.plain_get_val_if_fixed(isl.dim_type.set, dimension).to_python()
        for dimension in range(single.dim(isl.dim_type.set))
    )


def value_of(loops, instance):
    fixed = loops
    for dimension, value in enumerate(instance):
        fixed = fixed.fix_val(isl.dim_type.in_, dimension, isl.Val(value))
    return coordinates(isl.Set.from_point(fixed.range().sample_point()))


MATMUL = load_program("matmul", size=5)
BLUR = load_program("blur", size=5)


def test_interchange_swaps_two_loops():
    assert times(MATMUL, "I(L0,L2,comps=['matmul'])", "matmul")[1, 2, 3] == (3, 2, 1)


def test_reversal_runs_backwards():
    assert times(MATMUL, "R(L1,comps=['matmul'])", "matmul")[1, 2, 3] == (1, -2, 3)


@pytest.mark.parametrize(
    ("factors", "matrix"),
    [
        ((1, 1), ((1, 1), (0, 1))),
        ((1, 2), ((1, 2), (0, 1))),
        ((2, 1), ((2, 1), (1, 1))),
        ((1, -1), ((1, -1), (0, 1))),
        ((3, -1), ((3, -1), (1, 0))),
        ((2, 3), ((2, 3), (1, 2))),
        ((4, 6), ((2, 3), (1, 2))),
    ],
)
def test_skewing_applies_the_documented_unimodular_matrix(factors, matrix):
    assert skew_matrix(*factors) == matrix
    (a, b), (c, d) = matrix
    assert a * d - b * c == 1
    skewed = times(MATMUL, f"S(L0,L2,{factors[0]},{factors[1]},comps=['matmul'])", "matmul")
    assert skewed[1, 2, 3] == (a + 3 * b, 2, c + 3 * d)


@pytest.mark.parametrize("f1", range(-6, 7))
@pytest.mark.parametrize("f2", [-5, -3, -2, -1, 1, 2, 3, 5])
def test_skewing_is_always_unimodular(f1, f2):
    (a, b), (c, d) = skew_matrix(f1, f2)
    assert a * d - b * c == 1
    assert a * f2 == b * f1


def test_tiling_puts_tiles_at_the_named_levels_and_points_behind_them():
    tiled = times(MATMUL, "T2(L0,L1,2,3,comps=['matmul'])", "matmul")
    assert tiled[3, 4, 1] == (3 // 2, 4 // 3, 3 % 2, 4 % 3, 1)


def test_levels_after_a_tiling_count_its_loops():
    tiled = times(MATMUL, "T2(L0,L1,2,3,comps=['matmul'])|I(L2,L4,comps=['matmul'])", "matmul")
    assert tiled[3, 4, 1] == (1, 1, 1, 4 % 3, 3 % 2)


def test_three_level_tiling_keeps_the_order_of_tiles_and_points():
    tiled = times(MATMUL, "T3(L0,L1,L2,2,3,4,comps=['matmul'])", "matmul")
    assert tiled[3, 4, 2] == (1, 1, 0, 1, 1, 2)


def test_unrolling_minus_one_is_the_innermost_loop():
    innermost = apply_schedule(MATMUL, "U(L-1,4,comps=['matmul'])")
    assert innermost.nests["matmul"].unrolled == {3: 4}
    named = apply_schedule(MATMUL, "U(L2,4,comps=['matmul'])")
    assert kernel_body(innermost) == kernel_body(named)


def test_unrolled_code_repeats_the_body():
    program = load_program("matmul", size=9)
    body = kernel_body(apply_schedule(program, "U(L2,4,comps=['matmul'])"))
    calls = [line for line in body if "matmul(" in line]
    assert len(calls) == 5, "four copies for the complete iterations, one for the rest"
    assert len(set(calls)) == 5
    assert not any("omp" in line for line in body)


def test_parallel_loop_carries_a_pragma():
    body = kernel_body(apply_schedule(MATMUL, "P(L1,comps=['matmul'])"))
    pragma = body.index("        #pragma omp parallel for")
    assert body[pragma + 1].lstrip().startswith("for (int c3 = 0;")
    assert sum("omp" in line for line in body) == 1


def test_parallel_mark_stays_at_its_level_number():
    body = kernel_body(
        apply_schedule(MATMUL, "P(L0,comps=['matmul'])|T2(L0,L1,2,2,comps=['matmul'])")
    )
    assert body[0].strip() == "#pragma omp parallel for"
    assert body[1].strip().startswith("for (int c1 = 0; c1 <= 2;")


def test_fusion_shares_loops_down_to_its_level():
    apart = kernel_body(apply_schedule(BLUR, ""))
    fused = kernel_body(apply_schedule(BLUR, "F(L1,comps=['bx', 'by'])"))
    assert sum("for (" in line for line in apart) == 4
    assert sum("for (" in line for line in fused) == 2
    order = apply_schedule(BLUR, "F(L0,comps=['bx', 'by'])").nests
    assert order["bx"].order == [0, 0, 0]
    assert order["by"].order == [0, 1, 0]


def test_fusion_follows_the_order_of_the_list():
    nests = apply_schedule(BLUR, "F(L1,comps=['by', 'bx'])").nests
    assert nests["by"].order < nests["bx"].order


def test_white_space_and_quotes_mean_nothing():
    assert parse_schedule(' R( L0 , comps=["a", b] ) ')[0].comps == ("a", "b")
    assert parse_schedule(" ") == ()


@pytest.mark.parametrize(
    ("schedule", "reason"),
    [
        ("P(L3,comps=['matmul'])", "no level 3"),
        ("P(L-1,comps=['matmul'])", "no level -1"),
        ("I(L0,L0,comps=['matmul'])", "named twice"),
        ("R(L0,comps=['nobody'])", "no computation 'nobody'"),
        ("R(L0,comps=['matmul', 'matmul'])", "named twice"),
        ("R(L0,comps=[])", "no computation ''"),
        ("T2(L0,L2,2,2,comps=['matmul'])", "consecutive"),
        ("T2(L1,L0,2,2,comps=['matmul'])", "consecutive"),
        ("T2(L0,L1,0,2,comps=['matmul'])", "at least one iteration"),
        ("S(L0,L1,0,0,comps=['matmul'])", "other than 0"),
        ("U(L0,1000,comps=['matmul'])", "unrolls by 1 to"),
        ("U(L2,2,comps=['matmul'])|I(L0,L1,comps=['matmul'])", "unrolling comes last"),
        ("F(L0,comps=['matmul'])", "at least two"),
        ("M([1, 0, 0, 1],comps=['matmul'])", "no M"),
        ("TG(L0,L1,2,2,comps=['matmul'])", "no TG"),
        ("T2(L0,L1,2,comps=['matmul'])", "expected a level, a level, a factor, a factor"),
        ("R(L0,comps=['matmul'])|", "NAME"),
        ("nonsense", "NAME"),
    ],
)
def test_a_schedule_that_says_nothing_about_the_program_is_refused_with_a_reason(schedule, reason):
    with pytest.raises(InapplicableScheduleError, match="^" + ".*" + reason.replace("'", ".")):
        apply_schedule(MATMUL, schedule)


def test_the_stored_source_follows_the_description():
    small, large = load_program("jacobi2d", size=40, steps=3), load_program("jacobi2d", size=50)
    for text in ('var t("t", 0, 3), i("i", 1, 39)', "buffer b_A(", "to_b.then(to_a, t);"):
        assert text in small.cpp_code
    assert small.cpp_code != large.cpp_code
    assert small.cpp_code == load_program("jacobi2d", size=40, steps=3).cpp_code


def test_a_description_that_contradicts_itself_is_refused():
    i = Loop("i", 0, 4)
    with pytest.raises(ValueError, match="no element of an array"):
        Program("p", (), (Statement("s", (i,), "A[i]", "1.0"),))
    with pytest.raises(ValueError, match="two ranges"):
        Program("p", (), (Statement("s", (i, Loop("i", 0, 5)), "A[i]", "1.0"),))


def test_importing_tirastore_does_not_import_the_measurer():
    code = (
        "import sys, tirastore, tirastore.cli;"
        "print([m for m in ('islpy', 'tirastore.measure', 'matplotlib', 'pyarrow', 'numpy') "
        "if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_missing_islpy_is_one_message_that_names_the_extra():
    code = "import sys; sys.modules['islpy'] = None; from tirastore.measure import measure"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    last = done.stderr.strip().splitlines()[-1]
    assert last.endswith("the measurer needs islpy: pip install 'tirastore[demo]'")
