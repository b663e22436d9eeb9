//! What the grammar accepts, refuses and says, across the parts of this folder.

use super::{Argument, ErrorKind, Role, Schedule, ScheduleError, Transformation, parse, validate};

fn parsed(text: &str) -> Schedule {
    parse(text).unwrap_or_else(|error| panic!("{error}"))
}

fn refused(text: &str) -> ScheduleError {
    match parse(text) {
        Ok(schedule) => panic!("{text:?} was accepted as {schedule:?}"),
        Err(error) => error,
    }
}

/// One of every transformation, some as the tools print them, some in odd but accepted spellings.
const VALID: &[&str] = &[
    "I(L0,L1,comps=['x_temp'])",
    "R(L00,comps=[\"a\"])",
    "P(L\u{661},comps=['a','b'])",
    "S(L0,L1,0,0,comps=['a'])",
    "S(L2,L3,1,-1,comps=[a, 'b' ])",
    "T1(L0,32,comps=['a'])",
    "T2(L1,L0,007,0,comps=['a'])",
    "T3(L1,L2,L3,32,32,32,comps=['comp05', 'comp06'])",
    "TG(L2,L3,10,5,comps=['a', 'b'])",
    "TG(L1,L2,L2,10,5,2,comps=['a'])",
    "U(L2,4,comps=['a'])",
    "U(L-1,32,comps=['comp_blur'])",
    "F(L0,comps=['A_hat', 'x_temp'])",
    "D(L1,comps=[comp05],distribution=[['comp03', 'comp04'], ['comp05']])",
    "D(L1,comps=['comp05'],distribution=[[comp03],[\"comp05\"]])",
    "E(comps=['comp05'])",
    "M([1, 0, 0, 0, 0, 1, 0, 1, 0],comps=['comp03'])",
    "M([-1],comps=['comp03'])",
    "Sh(L0,-1,comps=['a'])",
    "P(L0,comps=['a]b,(c','','d\"'])|P(L1,comps=[a\u{b2}])",
    "",
];

#[test]
fn printing_gives_back_the_text_without_whitespace() {
    for text in VALID {
        let printed = parsed(text).to_string();
        assert_eq!(printed, text.replace(' ', ""));
        assert_eq!(parsed(&printed), parsed(text));
    }
}

#[test]
fn values_are_read_from_any_spelling() {
    let schedule = parsed(
        "S(L007,L\u{661}\u{662},-3,\u{663},comps=[\"a b\",c])|U(L-1,99999999999999999999,comps=['d'])",
    );
    let [
        Transformation::Skew { levels, factors, comps },
        unroll @ Transformation::Unroll { level, factor, .. },
    ] = schedule.transformations.as_slice()
    else {
        panic!("{schedule:?}");
    };
    assert_eq!(levels.each_ref().map(super::Level::index), [Some(7), Some(12)]);
    assert_eq!(factors.each_ref().map(super::Integer::value), [Some(-3), Some(3)]);
    assert_eq!(comps.iter().map(super::Name::as_str).collect::<Vec<_>>(), ["ab", "c"]);
    assert_eq!(comps[0].lexeme(), "\"ab\"");
    assert!(level.is_innermost());
    assert_eq!((level.index(), factor.value()), (None, None));
    assert_eq!((unroll.name(), unroll.levels().len(), unroll.comps().len()), ("U", 1, 1));
}

#[test]
fn integers_reach_both_ends_of_64_bits() {
    let schedule = parsed("M([-9223372036854775808,9223372036854775807,9223372036854775808,-0],comps=[a])");
    let [Transformation::Matrix { entries, .. }] = schedule.transformations.as_slice() else {
        panic!("{schedule:?}")
    };
    let values: Vec<_> = entries.iter().map(super::Integer::value).collect();
    assert_eq!(values, [Some(i64::MIN), Some(i64::MAX), None, Some(0)]);
}

#[test]
fn empty_computation_lists_are_refused() {
    for list in ["", "''", "\"\""] {
        let error = refused(&format!("P(L0,comps=[{list}])"));
        assert_eq!((error.expected(), error.position()), ("at least one computation", 12));
    }
    assert!(validate("P(L0,comps=['',''])").is_ok());
    assert!(validate("D(L0,comps=[a],distribution=[[]])").is_err());
    assert!(validate("D(L0,comps=[a],distribution=[])").is_err());
}

#[test]
fn every_malformed_argument_is_named_with_its_place() {
    let cases = [
        ("I(L0,32,comps=[a])", Some((2, Role::Level)), 5, "a level such as L0", "'32'"),
        ("R(L-1,comps=[a])", Some((1, Role::Level)), 2, "a level such as L0", "'L-1'"),
        (
            "U(L-12,4,comps=[a])",
            Some((1, Role::LevelOrInnermost)),
            5,
            "',' and a non-negative integer",
            "'2'",
        ),
        ("P(L0)", Some((1, Role::Level)), 4, "',' and comps=['name',...]", "')'"),
        ("P(L0,32,comps=[a])", Some((2, Role::Comps)), 5, "comps=['name',...]", "'32'"),
        ("S(L0,L1,1.5,2,comps=[a])", Some((3, Role::SignedFactor)), 9, "',' and an integer", "'.5'"),
        ("T2(L0,L1,-3,2,comps=[a])", Some((3, Role::Factor)), 9, "a non-negative integer", "'-3'"),
        ("Sh(L0,+1,comps=[a])", Some((2, Role::Offset)), 6, "an integer", "'+1'"),
        ("TG(L0,L1,4,comps=[a])", Some((3, Role::Factor)), 9, "as many factors as levels (2)", "1"),
        (
            "M([1,2],comps=[a])",
            Some((1, Role::Matrix)),
            2,
            "the entries of a square matrix (1, 4, 9, ...)",
            "2 entries",
        ),
        ("M(1,comps=[a])", Some((1, Role::Matrix)), 2, "a list of integers such as [1,0,0,1]", "'1'"),
        ("E(L0,comps=[a])", Some((1, Role::Comps)), 2, "comps=['name',...]", "'L0'"),
        ("P(L0,comps=[9c])", Some((2, Role::Comps)), 12, "a computation's name, in quotes or plain", "'9c'"),
        ("P(L0,comps=[''''])", Some((2, Role::Comps)), 14, "',' or ']'", "\"''\""),
        ("P(L0,comps=[a b])x", None, 16, "the end of the transformation or '|'", "'x'"),
        ("P(L0,comps=[a]", Some((2, Role::Comps)), 14, "')'", "the end of the transformation"),
        ("P", None, 1, "'(' and a level such as L0", "the end of the transformation"),
        ("Shift(L0)", None, 1, "'(' and a level such as L0", "'hift'"),
        ("D(L1,comps=[a])", Some((2, Role::Comps)), 14, "',' and distribution=[['name',...],...]", "')'"),
        (
            "D(L1,comps=[a],distribution=['a'])",
            Some((3, Role::Distribution)),
            29,
            "a group such as ['name',...]",
            "\"'a'\"",
        ),
    ];
    for (text, argument, position, expected, found) in cases {
        let error = refused(text);
        assert_eq!(error.kind(), ErrorKind::Malformed, "{text}");
        assert_eq!(error.argument(), argument.map(|(number, role)| Argument { number, role }), "{text}");
        assert_eq!(
            (error.position(), error.expected(), error.found()),
            (position, expected, found),
            "{text}"
        );
        assert!(error.to_string().starts_with(&error.reason()));
        assert!(error.to_string().ends_with(&error.detail()));
    }
}

#[test]
fn the_message_begins_with_the_words_of_the_original() {
    let cases = [
        (
            "é|P(L0)",
            "Unrecognized token (does not start with a transformation name): 'é': transformation 1, at offset 0: \
             expected the name of a transformation, found 'é'",
        ),
        (
            "P(L0,comps=['é'])|Z9(L0)",
            "Unknown transformation: 'Z9' in 'Z9(L0)': transformation 2, at offset 18: expected one of I, R, P, S, Sh, \
             T1, T2, T3, TG, U, F, D, E, M, found 'Z9'",
        ),
        (
            "P(L0,comps=['é']) | P( 1, comps=['a'])",
            "Malformed P transformation: \"P(1,comps=['a'])\": transformation 2, argument 1 (level), at offset 20: \
             expected a level such as L0, found '1'",
        ),
        (
            "P(L0,comps=[a])|",
            "Empty segment in schedule (leading, trailing, or double '|'). transformation 2, at offset 16: expected the \
             name of a transformation, found nothing",
        ),
    ];
    for (text, message) in cases {
        assert_eq!(refused(text).to_string(), message);
    }
    assert_eq!(refused(" ").kind(), ErrorKind::EmptySegment);
    assert_eq!(refused("P(L0,comps=['a|b'])").expected(), "a name closed by '");
}

#[test]
fn errors_name_the_transformation_and_the_segment() {
    let error = refused("P(L0,comps=[a])|Sh(L0)");
    assert_eq!((error.transformation(), error.segment(), error.token()), (Some("Sh"), 1, "Sh(L0)"));
    assert_eq!(refused("x").transformation(), None);
}

#[test]
fn long_findings_are_cut() {
    assert_eq!(refused(&format!("P({})", "é".repeat(50))).found(), format!("'{}'...", "é".repeat(40)));
}
