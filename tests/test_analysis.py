"""What `tirastore.analysis` says is what the numbers say."""

from __future__ import annotations

import inspect
import math
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib import pyplot as plt
from scipy import stats
from support import SOURCE, open_store, run_python

from tirastore import analysis
from tirastore.analysis import TiraAccessor

if TYPE_CHECKING:
    from collections.abc import Iterator

P, T, R = "P(L0,comps=['c'])", "T2(L0,L1,32,32,comps=['c'])", "R(L0,comps=['c'])"
DOCS = (Path(__file__).parent.parent / "docs" / "analysis.md").read_text(encoding="utf-8")
RUNS = st.lists(st.floats(1e-3, 1e3), min_size=1, max_size=12)


@pytest.fixture(autouse=True)
def closed_figures() -> Iterator[None]:
    """Leave no figure open: pyplot keeps each, and warns of the twentieth."""
    yield
    plt.close("all")


def records(*rows: tuple[str, str, list[float] | None], **columns: object) -> pd.DataFrame:
    """Return a table of (program, schedule, times), illegal where there are none."""
    table = pd.DataFrame(rows, columns=["program_name", "schedule", "execution_times"])
    dates = pd.date_range("2026-02-21", periods=len(rows), freq="30min", tz="UTC")
    return table.assign(
        program_hash=table["program_name"].map("hash of {}".format),
        is_legal=table["execution_times"].notna(),
        hostname="n1",
        username="ada",
        creation_date=dates,
    ).assign(**columns)


TABLE = records(
    ("mm", "", [4.0, 4.2, 4.4]),
    ("mm", P, [2.0, 1.0, 1.25]),
    ("mm", R, None),
    ("mv", P, [3.0]),
)


def test_speedups_are_against_the_unscheduled_program_of_the_same_source() -> None:
    assert analysis.speedups(TABLE).tolist() == pytest.approx(
        [1, 4, math.nan, math.nan], nan_ok=True
    )
    assert analysis.speedups(TABLE, "median")[1] == 4.2 / 1.25
    twins = TABLE.assign(program_name="the same name")
    pd.testing.assert_series_equal(analysis.speedups(twins), analysis.speedups(TABLE))


def test_the_best_are_the_fastest_of_each_program_in_order() -> None:
    best = analysis.best(TABLE, k=2)
    assert best["schedule"].tolist() == [P, "", P]
    assert best["time"].tolist() == [1.0, 4.0, 3.0]
    assert analysis.best(TABLE).index.tolist() == [1, 3]
    assert analysis.best(TABLE.iloc[:0]).empty


def test_dictionary_encoded_columns_do_as_well_as_text() -> None:
    names = ["program_name", "program_hash", "hostname", "username"]
    encoded = TABLE.astype(dict.fromkeys(names, "category"))
    for function in (analysis.speedups, analysis.best, analysis.contributors, analysis.activity):
        values = [np.asarray(function(table)).tolist() for table in (TABLE, encoded)]
        assert str(values[0]) == str(values[1])
    assert analysis.compare(encoded, TABLE)["ratio"].dropna().eq(1).all()


@given(st.lists(st.none() | RUNS, max_size=6))
def test_one_array_and_one_row_for_each_run_hold_the_same_times(
    lists: list[list[float] | None],
) -> None:
    table = pd.DataFrame({"execution_times": pd.Series(lists, dtype=object)})
    array = analysis.times(table)
    assert [row[~np.isnan(row)].tolist() for row in array] == [times or [] for times in lists]
    long = analysis.runs(table)
    assert [long.loc[[at], "time"].tolist() if at in long.index else [] for at in table.index] == [
        times or [] for times in lists
    ]


@given(RUNS)
def test_noise_is_what_its_definition_says(times: list[float]) -> None:
    row = analysis.noise(pd.DataFrame({"execution_times": [times]})).iloc[0]
    ordered = sorted(times)
    assert row["best"] == ordered[0]
    assert row["n_runs"] == len(times)
    assert row["mad"] == pytest.approx(stats.median_abs_deviation(times) / np.median(times))
    if len(times) > 1:
        assert row["warm_up"] == pytest.approx(times[0] / min(times[1:]) - 1)
        assert row["gap"] == pytest.approx(ordered[1] / ordered[0] - 1)
    else:
        assert np.isnan(row[["warm_up", "gap"]].astype(float)).all()


@given(RUNS, st.integers(1, 12))
def test_the_error_of_few_runs_is_what_the_others_improve(times: list[float], k: int) -> None:
    error = analysis.min_of_k_error(pd.DataFrame({"execution_times": [times]}), [k]).loc[0, k]
    if len(times) > k:
        assert error == pytest.approx(min(times[:k]) / min(times) - 1)
    else:
        assert np.isnan(error)


def test_no_runs_at_all_are_no_number_of_runs() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        analysis.min_of_k_error(TABLE, [0])


def test_outliers_are_far_runs_of_records_with_enough_runs() -> None:
    calm = [2.0, 2.1, 1.9, 2.05, 1.95, 2.0]
    table = records(
        ("mm", "", [9.0, *calm]), ("mm", P, calm), ("mm", R, [1.0, 9.0]), ("mv", "", None)
    )
    found = analysis.outliers(table)
    assert found[["schedule", "run", "time"]].to_numpy().tolist() == [["", 0, 9.0]]
    expected = (9.0 - np.median([9.0, *calm])) / stats.median_abs_deviation(
        [9.0, *calm], scale="normal"
    )
    assert found["score"].tolist() == pytest.approx([expected])


def test_among_equal_runs_the_different_one_is_far_and_a_constant_record_has_none() -> None:
    table = records(("mm", "", [2.0] * 9 + [2.1]), ("mm", P, [1.0] * 9))
    found = analysis.outliers(table)
    assert found["run"].tolist() == [9]
    assert found["score"].tolist() == [math.inf]


def test_two_stores_are_compared_pair_by_pair() -> None:
    noise = np.random.default_rng(0).normal(1, 0.01, 20)
    left = records(("mm", "", list(4 * noise)), ("mm", P, list(2 * noise)), ("mm", R, None))
    right = records(
        ("mm", P, list(3 * noise)), ("mm", "", list(4 * noise[::-1])), ("mv", "", [1.0])
    )
    compared = analysis.compare(left, right).set_index(["program_hash", "schedule"])
    assert compared["found"].astype(str).to_dict() == {
        ("hash of mm", ""): "both",
        ("hash of mm", P): "both",
        ("hash of mm", R): "left_only",
        ("hash of mv", ""): "right_only",
    }
    slower, equal = compared.loc[("hash of mm", P)], compared.loc[("hash of mm", "")]
    assert slower["ratio"] == pytest.approx(1.5)
    assert slower["p_value"] < 1e-6
    assert equal["ratio"] == pytest.approx(1.0)
    assert equal["p_value"] > 0.9
    assert compared.loc[("hash of mv", ""), ["left", "p_value"]].isna().all()


def test_runs_of_several_rows_of_one_pair_count_together() -> None:
    left = records(("mm", "", [4.0, 5.0]), ("mm", "", [3.0]), ("mm", "", None))
    compared = analysis.compare(left, records(("mm", "", [6.0])))
    assert compared[["left", "right", "ratio"]].to_numpy().tolist() == [[3.0, 6.0, 2.0]]


def test_drift_is_the_ratio_on_what_both_hosts_measured() -> None:
    rows = [("mm", schedule, [time]) for schedule, time in (("", 4.0), (P, 2.0), (R, 1.0))]
    first = records(*rows)
    second = records(*((name, schedule, [times[0] * 1.5]) for name, schedule, times in rows[:2]))
    table = pd.concat([first, second.assign(hostname="n2")], ignore_index=True)
    ratios = analysis.drift(table)
    assert ratios["n_pairs"].to_dict() == {"n1": 3, "n2": 2}
    assert ratios.loc["n2", ["ratio", "low", "high"]].tolist() == pytest.approx([1.5] * 3)
    assert analysis.drift(table, reference="n2").loc["n1", "ratio"] == pytest.approx(1 / 1.5)
    with pytest.raises(ValueError, match="there are: n1, n2"):
        analysis.drift(table, reference="n3")
    assert analysis.drift(TABLE.iloc[2:3]).empty


def test_the_history_has_every_run_of_every_host(tmp_path: Path) -> None:
    with open_store(tmp_path / "s.db", environment={"compiler": "one"}) as store:
        assert analysis.history(store).empty
        store.record("mm", SOURCE, "", True, [1.5])
        store.record("mm", SOURCE, P, True, [2.0])
    with open_store(tmp_path / "s.db", environment={"compiler": "two"}) as store:
        store.record("mm", SOURCE, "", True, [3.0], overwrite=True)
        table = analysis.history(store)
        assert len(analysis.history(store, [("schedule", "==", P)])) == 1
    assert table[["schedule", "is_current"]].to_numpy().tolist() == [
        ["", False],
        [P, True],
        ["", True],
    ]
    one, two = table["environment"].unique()
    ratios = analysis.drift(table, by="environment", reference=one)
    assert ratios.loc[two, ["n_pairs", "ratio"]].tolist() == [1, 2.0]
    split = [table[table["environment"] == environment] for environment in (one, two)]
    assert analysis.compare(*split)["ratio"].dropna().tolist() == [2.0]


def test_legality_counts_a_schedule_once_for_each_kind_in_it() -> None:
    table = records(("mm", "", [1.0]), ("mm", f"{P}|{P}|{T}", None), ("mm", P, [1.0]))
    table["transformations"] = [[], ["P", "P", "T2"], ["P"]]
    foreign = records(("mm", "F({C0,C1},L0)", [1.0])).assign(transformations=None)
    table = pd.concat([table, foreign], ignore_index=True)
    counted = analysis.legality(table)
    assert counted[["n_schedules", "n_legal"]].T.to_dict("list") == {"P": [2, 1], "T2": [1, 0]}
    interval = stats.binomtest(1, 2).proportion_ci(method="wilson")
    assert counted.loc["P", ["low", "high"]].tolist() == pytest.approx(
        [interval.low, interval.high]
    )
    assert analysis.legality(table, ["program_name"]).loc["mm", "n_schedules"] == 4
    assert analysis.legality(table.iloc[:0]).empty


def test_activity_counts_every_record_once_in_its_period() -> None:
    counts = analysis.activity(TABLE.assign(hostname=["n1", "n2", "n1", "n1"]), "1h")
    assert counts.to_numpy().tolist() == [[1, 1], [2, 0]]
    assert counts.columns.tolist() == ["n1", "n2"]


def test_a_picture_of_years_has_few_periods() -> None:
    table = pd.concat([TABLE, TABLE], ignore_index=True)
    table["creation_date"] = pd.date_range("2022-01-01", periods=len(table), freq="180D", tz="UTC")
    for dates in (table, table.iloc[:1], table.assign(creation_date=TABLE["creation_date"].min())):
        counts = analysis.activity(dates)
        assert counts.to_numpy().sum() == len(dates)
        assert len(counts) <= 62


def test_contributions_add_up() -> None:
    summed = analysis.contributors(TABLE).loc[("n1", "ada")]
    assert summed[["n_records", "n_legal", "n_runs"]].tolist() == [4, 3, 7]
    assert summed["run_time"] == pytest.approx(4.0 + 4.2 + 4.4 + 2 + 1 + 1.25 + 3)
    assert summed["first"] == TABLE["creation_date"].min()


def test_a_perfect_model_scores_perfectly_and_a_reversed_one_does_not() -> None:
    measured, program = np.array([1.0, 2.0, 4.0, 1.0, 3.0]), ["a", "a", "a", "b", "b"]
    right = analysis.scores(measured, measured, program)
    for column, perfect in {"mape": 0, "spearman": 1, "ndcg": 1, "top_1": 1}.items():
        assert right[column].tolist() == pytest.approx([perfect, perfect])
    wrong = analysis.scores(measured, -measured + 5, program)
    assert wrong["spearman"].tolist() == pytest.approx([-1, -1])
    assert wrong["top_1"].tolist() == pytest.approx([0.25, 1 / 3])
    assert (wrong["ndcg"] < right["ndcg"]).all()
    flat = analysis.scores(measured, np.ones(5), program)
    assert flat["spearman"].isna().all()


def test_features_of_a_schedule_are_its_numbers() -> None:
    steps = [
        {"kind": "F", "levels": [0], "factors": [], "comps": ["a", "b"]},
        {"kind": "P", "levels": [1], "factors": [], "comps": ["a"]},
        {"kind": "T2", "levels": [1, 2], "factors": [32, 64], "comps": ["a"]},
        {"kind": "S", "levels": [0, 1], "factors": [1, -2], "comps": ["a"]},
        {"kind": "U", "levels": [-1], "factors": [8], "comps": ["b"]},
    ]
    table = records(("mm", "", [8.0]), ("mm", "F...", [2.0])).assign(features=[[], steps])
    first, second = analysis.cost_model_features(table).to_dict("records")
    assert first["unscheduled"] == second["unscheduled"] == 3.0
    assert {name: value for name, value in second.items() if value} == {
        "unscheduled": 3.0,
        **{f"n_{kind}": 1.0 for kind in "PSTUF"},
        "n_comps": 2.0,
        "parallel_level": 1.0,
        "tiled_levels": 2.0,
        "tile_volume": 11.0,
        "unroll": 3.0,
        "skew": 3.0,
    }
    assert first["parallel_level"] == -1.0
    foreign = analysis.cost_model_features(table.assign(features=[steps, None])).iloc[1]
    assert foreign.notna().to_dict() == {name: name == "unscheduled" for name in second}


def test_a_missing_column_is_named() -> None:
    for function in (analysis.speedups, analysis.noise, analysis.legality, analysis.drift):
        with pytest.raises(ValueError, match=r"no columns? '.*search\(columns"):
            function(pd.DataFrame({"other": [1]}))
    with pytest.raises(ValueError, match="'min', 'median' and 'mean'"):
        analysis.statistic(TABLE, "best")  # type: ignore[arg-type]


def test_the_accessor_has_every_function_with_its_parameters() -> None:
    methods = dict(inspect.getmembers(TiraAccessor, inspect.isfunction))
    methods.pop("__init__")
    functions = {
        name: value
        for name in analysis.__all__
        if inspect.isfunction(value := getattr(analysis, name))
        and not name.startswith("draw_")
        and name not in ("history", "scores")
    }
    assert methods.keys() == functions.keys()
    for name, method in methods.items():
        ours = list(inspect.signature(method).parameters.values())[1:]
        theirs = list(inspect.signature(functions[name]).parameters.values())[1:]
        for mine, its in zip(ours, theirs, strict=True):
            assert (mine.default, mine.annotation.split(".")[-1]) == (
                its.default,
                its.annotation.split(".")[-1],
            )


def test_the_accessor_answers_for_its_table() -> None:
    table = TABLE.assign(transformations=[[], ["P"], ["R"], ["P"]], features=[[]] * 4)
    called = {"compare": [TABLE]}
    for name in dict(inspect.getmembers(TiraAccessor, inspect.isfunction)):
        if name != "__init__":
            arguments = called.get(name, [])
            mine = getattr(table.tira, name)(*arguments)
            theirs = getattr(analysis, name)(table, *arguments)
            assert str(mine) == str(theirs), name


@pytest.mark.parametrize(
    "draw",
    [
        analysis.draw_distributions,
        analysis.draw_warm_up,
        analysis.draw_min_of_k,
        analysis.draw_drift,
        analysis.draw_activity,
    ],
)
def test_pictures_are_drawn_where_they_are_asked_for(draw, tmp_path) -> None:
    figure, ax = plt.subplots()
    assert draw(TABLE, ax) is ax
    assert ax.has_data()
    figure.savefig(tmp_path / "p.png")
    draw(TABLE).figure.savefig(tmp_path / "q.png")


def test_a_picture_of_nothing_is_empty_and_no_error(tmp_path) -> None:
    for draw in (
        analysis.draw_distributions,
        analysis.draw_warm_up,
        analysis.draw_min_of_k,
        analysis.draw_drift,
    ):
        draw(TABLE.iloc[2:3]).figure.savefig(tmp_path / "p.png")


def test_the_documentation_names_every_function_and_its_example_runs(tmp_path: Path) -> None:
    for name in analysis.__all__:
        assert re.search(rf"`(table\.)?{name}[`(]", DOCS) or name == "TiraAccessor", name
    (code,) = re.findall(r"^```python\n(.*?)^```", DOCS, re.MULTILINE | re.DOTALL)
    command = [sys.executable, "-W", "error", "-c", code]
    finished = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert finished.returncode == 0, finished.stderr
    assert (tmp_path / "distributions.png").read_bytes().startswith(b"\x89PNG")


def test_a_missing_package_names_the_extra() -> None:
    code = """
sys.modules["pandas"] = None
try:
    import tirastore.analysis
except ImportError as refused:
    print(refused)
"""
    assert (
        run_python(code) == "tirastore.analysis needs pandas: pip install 'tirastore[analysis]'\n"
    )
