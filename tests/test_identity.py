"""What makes two measurements the same is what the original says, for every string there is."""

import json
import re
import unicodedata
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from support import (
    SHARED,
    SOURCE,
    open_store,
    reference_key,
    reference_normal_program,
    reference_normal_schedule,
    reference_program_hash,
)

import tirastore
from tirastore import InvalidScheduleError

VECTORS = Path(__file__).parent / "data" / "golden_vectors.jsonl"
BLUR = tirastore.make_program_hash(SOURCE)
MANY = settings(max_examples=400, deadline=None)

LEVEL, NATURAL, INTEGER = r"L\d+", r"\d+", r"-?\d+"
NAME = r"""(?:'[^']*'|"[^"]*"|[A-Za-z_]\w*)"""
NAMES = rf"\[{NAME}(?:,{NAME})*\]"
#: The original's eight transformations: what stands before comps=[...].
ORIGINAL_ARGUMENTS = {
    "S": [LEVEL, LEVEL, INTEGER, INTEGER],
    "I": [LEVEL, LEVEL],
    "R": [LEVEL],
    "P": [LEVEL],
    "T2": [LEVEL, LEVEL, NATURAL, NATURAL],
    "T3": [LEVEL, LEVEL, LEVEL, NATURAL, NATURAL, NATURAL],
    "U": [LEVEL, NATURAL],
    "F": [LEVEL],
}
#: Forms that TiraLib prints today and the original does not know.
# Names end where no capital letter or digit follows; `Sh` is one only before its parenthesis.
ADDED_FORMS = re.compile(r"(?:T1|TG|D|E|M)(?![A-Z0-9])|Sh\(|U\(L-1,")
NO_COMPUTATION = re.compile(r"""comps=\[(?:''|"")?\]""")


def golden(kind: str) -> list[dict[str, Any]]:
    rows = [json.loads(line) for line in VECTORS.read_text("utf-8").splitlines()]
    vectors = [row for row in rows if row["kind"] == kind]
    assert len(vectors) == 150
    return vectors


def original_verdict(text: str) -> tuple[bool, str]:
    """Judge a schedule as the original does."""
    if not text:
        return True, ""
    for token in re.sub(r"\s+", "", text).split("|"):
        name = re.match(r"[A-Z][A-Z0-9]*", token)
        if not token:
            return False, "Empty segment in schedule (leading, trailing, or double '|')."
        if name is None:
            reason = "Unrecognized token (does not start with a transformation name)"
            return False, f"{reason}: {token!r}"
        if name[0] not in ORIGINAL_ARGUMENTS:
            return False, f"Unknown transformation: {name[0]!r} in {token!r}"
        arguments = ",".join([*ORIGINAL_ARGUMENTS[name[0]], f"comps={NAMES}"])
        if not re.fullmatch(rf"{name[0]}\({arguments}\)", token):
            return False, f"Malformed {name[0]} transformation: {token!r}"
    return True, ""


def is_judged_as_the_original_does(text: str) -> bool:
    """Exclude what the project added, and lists that name nothing, which it refuses."""
    compact = re.sub(r"\s+", "", text)
    added = any(ADDED_FORMS.match(token) for token in compact.split("|"))
    return not added and not NO_COMPUTATION.search(compact)


any_text = st.text(st.characters(), max_size=60)
PIECES = (
    r"comps=[ comps=[] L0 L1 L007 L-1 R( P( T2( T3( S( U( F( I( TG( Z9( 8 -2 a x 'b' ' "
    r"R(L0,comps=['a']) // /* */ / | , ( ) [ ] - * # < > "
    "² \u0301 \u203f ٣ \ud800 \udc00 \x00 \x7f 😀"
)
SPACES = [" ", "\n", "\x1c", "\x1f", "\x85", "\xa0", "\u3000", "#include <a>\n", "\n#include"]
pieces = st.sampled_from([*PIECES.split(" "), *SPACES, '"'])
likely_text = st.lists(pieces, max_size=25).map("".join)
texts = st.one_of(any_text, likely_text)


@st.composite
def near_valid(draw: st.DrawFn) -> str:
    """Write a schedule of the original's grammar, with a random fault now and then."""
    values = {
        LEVEL: ["L0", "L1", "L12", "L00", "L٣"],
        NATURAL: ["0", "32", "007"],
        INTEGER: ["-1", "2"],
    }
    names = ["'a'", '"b"', "c", "'a b'", "é", "_x", "'é²'", "'\ud800'", "''"]
    tokens = []
    for name in draw(st.lists(st.sampled_from(sorted(ORIGINAL_ARGUMENTS)), min_size=1, max_size=3)):
        arguments = [draw(st.sampled_from(values[kind])) for kind in ORIGINAL_ARGUMENTS[name]]
        comps = draw(st.lists(st.sampled_from(names), min_size=1, max_size=3))
        arguments.append("comps=[" + ", ".join(comps) + "]")
        tokens.append(f"{name}({','.join(arguments)})")
    text = "|".join(tokens)
    if draw(st.booleans()):
        at = draw(st.integers(0, len(text)))
        text = (
            text[:at] + draw(st.sampled_from([" ", "|", "x", ",", ")", "-", "", "'"])) + text[at:]
        )
    return text


def test_programs_have_the_originals_normal_forms_and_hashes() -> None:
    for vector in golden("program"):
        assert tirastore.normalize_program(vector["text"]) == vector["normalized"]
        assert tirastore.make_program_hash(vector["text"]) == vector["program_hash"]


def test_schedules_have_the_originals_normal_forms_and_keys() -> None:
    for vector in golden("schedule"):
        assert tirastore.normalize_schedule(vector["text"]) == vector["normalized"]
        for spelling in (vector["text"], vector["normalized"]):
            assert tirastore.make_key(BLUR, spelling) == vector["key_with_void_blur"]


def test_verdicts_are_the_originals_apart_from_what_was_added_on_purpose() -> None:
    compared = 0
    for vector in golden("schedule"):
        for field, verdict, reason in (
            ("text", "valid", "reason"),
            ("normalized", "normalized_valid", "normalized_reason"),
        ):
            text = vector[field]
            assert original_verdict(text) == (vector[verdict], vector[reason]), "the reference"
            if NO_COMPUTATION.search(re.sub(r"\s+", "", text)):
                assert not tirastore.validate_schedule(text)[0]
            elif is_judged_as_the_original_does(text):
                valid, why = tirastore.validate_schedule(text)
                assert valid is vector[verdict], text
                assert why.startswith(vector[reason]), text
                compared += 1
    assert compared > 200


def test_none_and_the_empty_string_are_the_unscheduled_and_the_empty_program() -> None:
    assert tirastore.normalize_schedule(None) == tirastore.normalize_schedule("") == ""
    assert tirastore.normalize_program(None) == tirastore.normalize_program("") == ""
    assert tirastore.validate_schedule(None) == tirastore.validate_schedule("") == (True, "")
    assert tirastore.make_program_hash(None) == tirastore.make_program_hash("")
    assert tirastore.make_program_hash("") == reference_program_hash("")
    assert tirastore.make_key(BLUR, None) == tirastore.make_key(BLUR, "") == reference_key(BLUR, "")
    assert tirastore.schedule_dialect("") == "tiralib"


@MANY
@given(texts)
@example("comps=[\ud83d,\ude00]")
@example("\ud83d\ude00")
@example("comps=[a|comps=[b,c]]")
def test_normalising_a_schedule_is_total_and_the_originals(text: str) -> None:
    normal = tirastore.normalize_schedule(text)
    assert normal == reference_normal_schedule(text)
    assert tirastore.normalize_schedule(normal) == normal


@MANY
@given(texts)
@example("#include <a\n\x1c#include <b>\x85\nx")
@example("a //* b */ c\nd")
def test_normalising_a_program_is_total_and_the_originals(text: str) -> None:
    assert tirastore.normalize_program(text) == reference_normal_program(text)


@MANY
@given(texts, texts)
@example("\ud800", "\udfff\x7f\x80\u2028😀")
def test_keys_are_total_and_the_originals(program_hash: str, text: str) -> None:
    assert tirastore.make_key(program_hash, text) == reference_key(program_hash, text)


@MANY
@given(st.one_of(texts, near_valid()))
def test_validating_is_total_and_agrees_with_the_original(text: str) -> None:
    valid, reason = tirastore.validate_schedule(text)
    assert valid is (reason == "")
    # Whether a character belongs to a word depends on the version of Unicode, in Python as well.
    newer = any(unicodedata.category(character) == "Cn" for character in text)
    if is_judged_as_the_original_does(text) and not newer:
        expected, expected_reason = original_verdict(text)
        assert valid is expected
        if not any(unicodedata.category(character) == "Cs" for character in text):
            assert reason.startswith(expected_reason)


@given(near_valid(), st.sampled_from(["(", "[", ")", "'"]))
def test_hashes_are_the_originals(text: str, end: str) -> None:
    source = text.encode("utf-8", "replace").decode() + end
    assert tirastore.make_program_hash(source) == reference_program_hash(source)


@pytest.mark.parametrize("source", ["\ud800", "void f() { \udc80 }", "a\ud83d\ude00b"])
def test_a_program_with_lone_surrogates_has_no_hash(source: str) -> None:
    with pytest.raises(UnicodeEncodeError):
        tirastore.make_program_hash(source)


@pytest.mark.parametrize(
    ("text", "prefix"),
    [
        ("Q(L0,comps=['c'])", "Unknown transformation"),
        ("T4(L0,comps=['c'])", "Unknown transformation"),
        ("P(0,comps=['c'])", "Malformed P transformation"),
        ("P(L0,comps=[])", "Malformed P transformation"),
        ("T2(L0,L1,-8,8,comps=['c'])", "Malformed T2 transformation"),
        ("TG(L0,L1,8,comps=['c'])", "Malformed TG transformation"),
        ("M([1,0,0],comps=['c'])", "Malformed M transformation"),
        ("Sh(L0,comps=['c'])", "Malformed Sh transformation"),
        ("|P(L0,comps=['c'])", "Empty segment"),
        ("P(L0,comps=['c'])|", "Empty segment"),
        ("P(L0,comps=['c'])||P(L1,comps=['c'])", "Empty segment"),
        ("nonsense", "Unrecognized token"),
        ("{c}:P(L0)", "Unrecognized token"),
    ],
)
def test_reasons_keep_the_originals_prefixes_and_stop_the_record(
    tmp_path: Path, text: str, prefix: str
) -> None:
    valid, reason = tirastore.validate_schedule(text)
    assert (valid, reason.startswith(prefix)) == (False, True), reason
    with open_store(tmp_path / "s.db") as store:
        with pytest.raises(InvalidScheduleError, match=prefix):
            store.record("p", SOURCE, text, False)
        assert (store.count(), store.program_count()) == (0, 0)


@pytest.mark.parametrize(
    "text",
    [
        "I(L0,L1,comps=['x_temp'])|F(L0,comps=['A_hat', 'x_temp'])",
        "R(L0,comps=['c'])",
        "S(L2,L3,1,-1,comps=['comp03', 'comp04'])",
        "S(L0,L1,0,0,comps=['c'])",
        "T1(L0,32,comps=['c'])",
        "T2(L1,L0,32,32,comps=['c'])",
        "T3(L1,L2,L3,32,32,32,comps=['comp05', 'comp06'])",
        "TG(L2,L3,10,5,comps=['comp03', 'comp04'])",
        "TG(L1,L2,L2,10,5,2,comps=['c'])",
        "U(L2,32,comps=['comp_blur'])",
        "U(L-1,32,comps=['c'])",
        "D(L1,comps=[comp05],distribution=[['comp03', 'comp04'], ['comp05']])",
        "E(comps=['comp05'])",
        "M([1, 0, 0, 0, 0, 1, 0, 1, 0],comps=['comp03'])",
        "M([1, 0, 0, -1],comps=['c'])",
        "Sh(L0,1,comps=['c'])",
        "Sh(L0,-1,comps=['c'])",
    ],
)
def test_everything_that_tiralib_prints_can_be_recorded(tmp_path: Path, text: str) -> None:
    assert tirastore.validate_schedule(text) == (True, "")
    assert tirastore.schedule_dialect(text) == "tiralib"
    with open_store(tmp_path / "s.db") as store:
        assert store.record("p", SOURCE, text, True, [1.0])
        found = store.lookup("p", SOURCE, text)
        assert found is not None
        assert found.schedule == reference_normal_schedule(text)


@pytest.mark.parametrize(
    ("text", "dialect"),
    [
        ("{comp01}:T2(L0,L1,32,32){comp02}:T2(L0,L1,32,32)", "percomp"),
        ("{comp00}:S(L0,L1,1,1)I(L0,L1)P(L0)T2(L1,L0,32,32)", "percomp"),
        ("F(L0)P(L0)U(L2,8,C0)U(L2,8,C1)", "rl1"),
        ("F(L3)T2(L2,L3,32,32)R(L1)I(L2,L3)P(L0)", "rl1"),
        ("F({C1,C2},L2)M({C0},1,0,0,1)P({C4,C5,C6},L1)", "looper"),
        ("Sh({C0},L0,-1)", "looper"),
        ("I(L0,L2)P(L1)U(L2,4)", "master"),
        ("P(L0,comps=['c'])", "tiralib"),
        ("P(L0)|P(L1)", None),
        ("nonsense", None),
    ],
)
def test_dialects_are_told_apart(text: str, dialect: str | None) -> None:
    assert tirastore.schedule_dialect(text) == dialect


def test_real_schedules_of_other_tools_are_recognised_and_never_mangled(tmp_path: Path) -> None:
    listed = SHARED / "data" / "real_schedules.tsv"
    if not listed.exists():
        pytest.skip(f"{listed} is not here")
    header, *real = listed.read_text("utf-8").splitlines()
    assert header == "schedule"
    assert len(real) == 2296
    others = ("percomp", "rl1", "looper", "master")
    dialects = {text: tirastore.schedule_dialect(text) for text in real}
    unknown = [text for text, dialect in dialects.items() if dialect not in others]
    assert not unknown, unknown[:5]
    with open_store(tmp_path / "s.db", dialects=("tiralib", *others)) as store:
        entries = [
            {"tiralib_schedule_string": text, "is_legal": True, "execution_times": [float(number)]}
            for number, text in enumerate(real)
        ]
        assert store.record_many("p", SOURCE, entries) == len(real)
        found = store.lookup_many([("p", SOURCE, text) for text in real])
        for number, (text, result) in enumerate(zip(real, found, strict=True)):
            assert result is not None
            assert (result.schedule, result.execution_times) == (text, [float(number)])


@pytest.mark.parametrize("dialect", ["percomp", "rl1", "looper", "master"])
def test_only_the_dialects_asked_for_are_recorded(tmp_path: Path, dialect: str) -> None:
    examples = {
        "percomp": "{c}:P(L0)",
        "rl1": "P(L0)",
        "looper": "P({C0},L0)",
        "master": "U(L0,4)",
        "tiralib": "P(L0,comps=['c'])",
    }
    with open_store(tmp_path / "s.db", dialects=(dialect,)) as store:
        for name, text in examples.items():
            if name == dialect:
                assert store.record("p", SOURCE, text, True, [1.0])
            else:
                with pytest.raises(InvalidScheduleError, match=name):
                    store.record("p", SOURCE, text, True, [1.0])
        assert store.count() == 1
