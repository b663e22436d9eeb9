"""Bad input is a clear error before anything is written; what the original takes stays taken."""

import array
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support import SOURCE, contents, held, open_store

from tirastore import InvalidMeasurementError, InvalidScheduleError, Measurement, TiraStore

P = "P(L0,comps=['c'])"
R = "R(L0,comps=['c'])"


class Series:
    """Stands for a pandas.Series, which has `tolist` and is no sequence."""

    def __init__(self, values: list[Any]) -> None:
        self.values = values

    def tolist(self) -> list[Any]:
        return self.values


@pytest.fixture
def protocol() -> str:
    """Input is checked before any lock is taken."""
    return "token"


def nothing(store: TiraStore) -> bool:
    """Tell whether nothing was ever written."""
    return (store.count(), store.program_count()) == (0, 0)


BAD_TIMES: dict[str, tuple[Any, type[Exception]]] = {
    "NaN": ([1.0, math.nan], ValueError),
    "infinity": ([math.inf], ValueError),
    "minus infinity": ([-math.inf, 1.0], ValueError),
    "a negative time": ([1.0, -0.001], ValueError),
    "a negative int": ([-1], ValueError),
    "a string": ("1.0", TypeError),
    "strings": (["1.0"], TypeError),
    "numeric bytes": (b"12", TypeError),
    "a bytearray": (bytearray(b"12"), TypeError),
    "a memoryview": (memoryview(b"12"), TypeError),
    "bytes within": ([b"1"], TypeError),
    "bools": ([True, False], TypeError),
    "a bool among numbers": ([1.0, True], TypeError),
    "a bare float": (1.0, TypeError),
    "a bare int": (3, TypeError),
    "a bare bool": (True, TypeError),
    "a bare NumPy scalar": (np.float64(1.0), TypeError),
    "a dict": ({0: 1.0}, TypeError),
    "a set": ({1.0}, TypeError),
    "a frozenset": (frozenset([1.0]), TypeError),
    "None within": ([1.0, None], TypeError),
    "nested lists": ([[1.0]], TypeError),
    "an array of one in a list": ([np.array([1.0])], TypeError),
    "a 2-d array": (np.ones((2, 2)), TypeError),
    "a column": (np.ones((2, 1)), TypeError),
    "a 0-d array": (np.array(1.0), TypeError),
    "complex numbers": ([1 + 2j], TypeError),
    "a complex array": (np.array([1 + 2j]), TypeError),
    "a huge int": ([10**400], ValueError),
    "an array of bools": (np.array([True, False]), TypeError),
    "an array of strings": (np.array(["1.0"]), TypeError),
    "an array of bytes": (np.array([b"1"]), TypeError),
    "an array of objects that are none": (np.array([1.0, None], dtype=object), TypeError),
    "an array of objects that are strings": (np.array(["1"], dtype=object), TypeError),
    "an array of dates": (np.array(["2025-01-01"], dtype="datetime64[D]"), TypeError),
    "an array of durations": (np.array([5], dtype="timedelta64[ms]"), TypeError),
    "a structured array": (np.array([(1.0,)], dtype=[("ms", "f8")]), TypeError),
    "an array with NaN": (np.array([1.0, np.nan]), ValueError),
    "a float32 array with infinity": (np.array([np.inf], dtype=np.float32), ValueError),
    "an array with a negative": (np.array([1, -1]), ValueError),
    "NumPy bools": ([np.True_], TypeError),
    "a series of strings": (Series(["1"]), TypeError),
    "a series of nothing at all": (Series([None]), TypeError),
    "a series with NaN": (Series([math.nan]), ValueError),
    "a generator": ((value for value in [1.0]), TypeError),
    "an iterator": (iter([1.0]), TypeError),
    "a map": (map(float, "12"), TypeError),
    "an object": (object(), TypeError),
    "a class": (list, TypeError),
}
BAD_VERDICTS: dict[str, tuple[Any, type[Exception]]] = {
    "None": (None, TypeError),
    "2": (2, ValueError),
    "-1": (-1, ValueError),
    "a huge int": (10**30, Exception),
    "1.0": (1.0, TypeError),
    "0.0": (0.0, TypeError),
    "NaN": (math.nan, TypeError),
    "True as text": ("True", TypeError),
    "an empty string": ("", TypeError),
    "a list": ([], TypeError),
    "a NumPy float": (np.float64(1.0), TypeError),
    "an array": (np.array([True]), TypeError),
    "a bool in a list": ([True], TypeError),
}


@pytest.mark.parametrize("name", BAD_TIMES)
@pytest.mark.parametrize("is_legal", [True, False])
def test_times_that_are_none_are_refused_and_nothing_is_written(
    store: TiraStore, name: str, *, is_legal: bool
) -> None:
    times, kind = BAD_TIMES[name]
    with pytest.raises(kind, match="execution_times"):
        store.record("p", SOURCE, P, is_legal, times)
    assert nothing(store)


@pytest.mark.parametrize("name", BAD_VERDICTS)
def test_verdicts_that_are_neither_true_nor_false_are_refused(store: TiraStore, name: str) -> None:
    verdict, kind = BAD_VERDICTS[name]
    with pytest.raises((ValueError, TypeError), match="is_legal") as caught:
        store.record("p", SOURCE, P, verdict, [1.0])
    assert isinstance(caught.value, kind)
    assert nothing(store)


@pytest.mark.parametrize("times", [None, [], (), np.array([])], ids=repr)
def test_a_legal_schedule_needs_times(store: TiraStore, times: Any) -> None:
    message = "execution_times must be provided (non-empty list) when is_legal is True."
    with pytest.raises(InvalidMeasurementError) as caught:
        store.record("p", SOURCE, P, True, times)
    assert str(caught.value) == message
    assert isinstance(caught.value, ValueError)
    assert nothing(store)


@pytest.mark.parametrize(
    ("field", "value", "kind"),
    [
        *(("execution_times", *bad) for bad in BAD_TIMES.values()),
        *(("is_legal", *bad) for bad in BAD_VERDICTS.values()),
        ("execution_times", None, InvalidMeasurementError),
        ("tiralib_schedule_string", "nonsense", InvalidScheduleError),
        ("tiralib_schedule_string", "{c}:P(L0)", InvalidScheduleError),
        ("tiralib_schedule_string", 7, TypeError),
        ("tiralib_schedule_string", b"", TypeError),
    ],
)
def test_batches_name_the_entry_keep_its_class_and_write_nothing(
    store: TiraStore, field: str, value: Any, kind: type[Exception]
) -> None:
    good = {"tiralib_schedule_string": P, "is_legal": True, "execution_times": [1.0]}
    for at in range(3):
        entries: list[dict[str, Any]] = [dict(good) for _ in range(3)]
        entries[at][field] = value
        measurements = [Measurement("p", SOURCE, **entry) for entry in entries]
        with pytest.raises((ValueError, TypeError), match=rf"^schedules\[{at}\]: ") as in_many:
            store.record_many("p", SOURCE, entries)
        with pytest.raises((ValueError, TypeError), match=rf"^measurements\[{at}\]: ") as in_batch:
            store.record_batch(measurements)
        assert isinstance(in_many.value, kind)
        assert type(in_many.value) is type(in_batch.value)
    assert nothing(store)


@pytest.mark.parametrize("missing", ["tiralib_schedule_string", "is_legal"])
def test_a_missing_key_is_named(store: TiraStore, missing: str) -> None:
    good = {"tiralib_schedule_string": P, "is_legal": False}
    bad = {name: value for name, value in good.items() if name != missing}
    with pytest.raises((KeyError, ValueError, TypeError), match=missing) as caught:
        store.record_many("p", SOURCE, [good, bad])
    assert caught.value.args[0].startswith("schedules[1]: ")
    assert nothing(store)


@pytest.mark.parametrize("entries", [None, 7, "schedules", [None], [7], ["x"], [[P, True]]])
def test_batches_of_something_else_are_refused(store: TiraStore, entries: Any) -> None:
    with pytest.raises((TypeError, ValueError)):
        store.record_many("p", SOURCE, entries)
    with pytest.raises((TypeError, ValueError)):
        store.record_batch(entries)
    assert nothing(store)


def test_a_dict_is_no_list_of_schedules(store: TiraStore) -> None:
    one = {"tiralib_schedule_string": P, "is_legal": False}
    with pytest.raises((TypeError, ValueError)):
        store.record_many("p", SOURCE, one)  # type: ignore[arg-type]
    assert nothing(store)


@pytest.mark.parametrize(
    ("name", "source", "text"),
    [(None, SOURCE, P), (7, SOURCE, P), ("p", b"", P), ("p", 7, P), ("p", SOURCE, 7)],
)
def test_names_sources_and_schedules_are_strings(
    store: TiraStore, name: Any, source: Any, text: Any
) -> None:
    with pytest.raises(TypeError):
        store.record(name, source, text, False)
    with pytest.raises(TypeError):
        store.record_batch([Measurement(name, source, text, False)])
    assert nothing(store)


ACCEPTED_TIMES: dict[str, tuple[Any, list[float]]] = {
    "floats": ([0.25, 3.5], [0.25, 3.5]),
    "ints": ([1, 2**53], [1.0, float(2**53)]),
    "a tuple": ((1.0, 2), [1.0, 2.0]),
    "zero": ([0, 0.0], [0.0, 0.0]),
    "the smallest and the largest": (
        [5e-324, 1.7976931348623157e308],
        [5e-324, 1.7976931348623157e308],
    ),
    "minus zero": ([-0.0], [0.0]),
    "float64": (np.array([0.1, 0.2]), [0.1, 0.2]),
    "float32": (np.array([0.5, 0.1], dtype=np.float32), [0.5, float(np.float32(0.1))]),
    "float16": (np.array([0.5], dtype=np.float16), [0.5]),
    "int64": (np.array([1, 2]), [1.0, 2.0]),
    "uint8": (np.array([1, 255], dtype=np.uint8), [1.0, 255.0]),
    "big endian": (np.array([1.5, 2.5], dtype=">f8"), [1.5, 2.5]),
    "a strided view": (np.arange(6.0)[::2], [0.0, 2.0, 4.0]),
    "a reversed view": (np.arange(3.0)[::-1], [2.0, 1.0, 0.0]),
    "a column of a table": (np.arange(6.0).reshape(3, 2)[:, 1], [1.0, 3.0, 5.0]),
    "an array of objects": (np.array([1.5, 2], dtype=object), [1.5, 2.0]),
    "a subclass of array": (np.array([1.5]).view(np.recarray), [1.5]),
    "NumPy scalars": ([np.float64(1.5), np.float32(0.5), np.int64(2)], [1.5, 0.5, 2.0]),
    "a series": (Series([1.0, 2]), [1.0, 2.0]),
    "array.array": (array.array("d", [1.0, 2.0]), [1.0, 2.0]),
    "a range": (range(1, 4), [1.0, 2.0, 3.0]),
    "a read-only array": (np.broadcast_to(np.float64(2.0), 3), [2.0, 2.0, 2.0]),
}


@pytest.mark.parametrize("name", ACCEPTED_TIMES)
@pytest.mark.parametrize("is_legal", [True, False])
def test_times_of_every_sensible_kind_are_kept_in_order(
    store: TiraStore, name: str, *, is_legal: bool
) -> None:
    times, expected = ACCEPTED_TIMES[name]
    assert store.record("p", SOURCE, P, is_legal, times)
    assert store.record_batch([Measurement("p", SOURCE, R, is_legal, times)]) == 1
    for text in (P, R):
        found = store.lookup("p", SOURCE, text)
        assert found is not None
        assert (found.is_legal, found.execution_times) == (is_legal, expected)
        assert all(type(time) is float for time in found.execution_times or ())


@pytest.mark.parametrize(
    ("verdict", "expected"),
    [
        (True, True),
        (False, False),
        (1, True),
        (0, False),
        (np.True_, True),
        (np.False_, False),
        (np.int64(1), True),
        (np.bool_(0), False),
    ],
)
def test_verdicts_may_be_bools_of_numpy_and_0_and_1(
    store: TiraStore, verdict: Any, *, expected: bool
) -> None:
    assert store.record("p", SOURCE, P, verdict, [1.0])
    entry = {"tiralib_schedule_string": R, "is_legal": verdict, "execution_times": [1.0]}
    assert store.record_many("p", SOURCE, [entry]) == 1
    for text in (P, R):
        found = store.lookup("p", SOURCE, text)
        assert found is not None
        assert found.is_legal is expected


@pytest.mark.parametrize("times", [None, [], [1.0, 2]], ids=repr)
def test_an_illegal_schedule_may_have_times_or_none(store: TiraStore, times: Any) -> None:
    assert store.record("p", SOURCE, P, False, times)
    found = store.lookup("p", SOURCE, P)
    assert found is not None
    assert (found.is_legal, found.execution_times) == (False, times)


@pytest.mark.parametrize(
    "source",
    [
        "",
        "a\0b",
        "\0",
        "void f() { 😀 \U0010ffff 漢 é \u2028 }",
        "ends in a carriage return\r",
        "x" * 10_000_000,
    ],
    ids=["empty", "NUL inside", "NUL alone", "beyond the BMP", "CR", "10 MB"],
)
def test_any_source_and_name_come_back_as_they_were(store: TiraStore, source: str) -> None:
    name = source[:1000] or "empty"
    assert store.record(name, source, P, True, [1.0])
    (found,) = store.get_program_source(name)
    assert found["source_code"] == source
    assert store.contains(name, source, P)
    row = store.get(store.keys()[0])
    assert row is not None
    assert (row["program_name"], row["source_code"]) == (name, source)


def test_computations_of_any_name_come_back_as_they_were(store: TiraStore) -> None:
    for name in ("a\0b", "😀", "漢", "\x7f", "é²"):
        text = f"R(L0,comps=['{name}'])"
        assert store.record("p", SOURCE, text, True, [1.0])
        found = store.lookup("p", SOURCE, text)
        assert found is not None
        assert found.schedule == text


LONE = "a\ud800b"


@pytest.mark.parametrize(
    ("name", "source", "text"),
    [(LONE, SOURCE, P), ("p", LONE, P), ("p", SOURCE, f"R(L0,comps=['{LONE}'])")],
    ids=["name", "source", "schedule"],
)
def test_lone_surrogates_are_refused_before_anything_is_written(
    store: TiraStore, name: str, source: str, text: str
) -> None:
    calls = [
        lambda: store.record(name, source, text, False),
        lambda: store.record_many(
            name,
            source,
            [
                {"tiralib_schedule_string": P, "is_legal": False},
                {"tiralib_schedule_string": text, "is_legal": False},
            ],
        ),
        lambda: store.record_batch(
            [Measurement("p", SOURCE, P, False), Measurement(name, source, text, False)]
        ),
    ]
    for call in calls:
        with pytest.raises((ValueError, TypeError)):
            call()
        assert nothing(store)


@pytest.mark.parametrize(
    ("text", "dialect"),
    [
        ("{c}:P(L0)", "percomp"),
        ("F(L0)U(L2,8,C0)", "rl1"),
        ("P({C0},L0)", "looper"),
        ("I(L0,L2)U(L2,4)", "master"),
    ],
)
def test_a_schedule_of_another_dialect_is_refused_with_its_name_and_the_remedy(
    store: TiraStore, text: str, dialect: str
) -> None:
    with pytest.raises(InvalidScheduleError) as caught:
        store.record("p", SOURCE, text, True, [1.0])
    assert f'"{dialect}"' in str(caught.value)
    assert "dialects=" in str(caught.value)
    assert isinstance(caught.value, ValueError)
    assert nothing(store)


def test_a_bad_record_does_not_touch_a_good_one(store: TiraStore) -> None:
    store.record("p", SOURCE, P, True, [1.0])
    before = contents(store.db_path.parent)
    with pytest.raises(ValueError, match="execution_times"):
        store.record("p", SOURCE, P, True, [math.nan], overwrite=True)
    with pytest.raises(ValueError, match="nonsense"):
        store.record("new name", SOURCE, "nonsense", True, [1.0], overwrite=True)
    assert contents(store.db_path.parent) == before


def test_bad_input_is_seen_without_waiting_for_the_lock(tmp_path: Path) -> None:
    with open_store(tmp_path / "s.db", lock_timeout=0.2) as store:
        with held(store.db_path), pytest.raises(ValueError, match="execution_times"):
            store.record("p", SOURCE, P, True, [math.nan])
        assert nothing(store)


junk = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.floats(),
        st.text(max_size=5),
        st.binary(max_size=5),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.tuples(inner),
        st.dictionaries(st.integers(), inner, max_size=2),
    ),
    max_leaves=6,
)


@settings(
    max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(is_legal=junk, times=junk)
def test_whatever_is_given_is_recorded_rightly_or_refused(
    store: TiraStore, is_legal: Any, times: Any
) -> None:
    """Compare with the rules, written down once more."""
    good_verdict = type(is_legal) is bool or (type(is_legal) is int and is_legal in (0, 1))
    good_times = times is None or (
        isinstance(times, (list, tuple))
        and all(
            type(time) in (int, float) and 0 <= time < math.inf and time <= 1.7976931348623157e308
            for time in times
        )
    )
    good = good_verdict and good_times and (bool(times) or not is_legal)
    if good:
        assert store.record("p", SOURCE, P, is_legal, times)
        found = store.lookup("p", SOURCE, P)
        assert found is not None
        assert found.is_legal is bool(is_legal)
        assert found.execution_times == (None if times is None else list(map(float, times)))
        assert store.delete(store.keys()[0])
    else:
        with pytest.raises((ValueError, TypeError)):
            store.record("p", SOURCE, P, is_legal, times)
        assert store.count() == 0
