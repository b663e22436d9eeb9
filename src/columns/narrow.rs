//! The part of a filter that an index serves.

use super::constant::Constant;
use super::field::Field;
use super::filter::{Filter, Test};
use super::operator::Operator;
use crate::clock;
use crate::storage::columns::Narrow;

/// More values than that are not asked for one by one.
const MOST_VALUES: usize = 1000;

/// The offsets of time zones are below a day.
const DAY: i64 = 24 * 60 * 60 * 1_000_000;

impl Filter {
    /// Rows among which all are that this filter lets pass.
    pub(crate) fn narrow(&self) -> Narrow {
        let mut lists = self.lists().iter();
        let Some(first) = lists.next() else { return Narrow::Everything };
        let narrowed = lists.try_fold(narrow(first), |so_far, list| union(so_far, narrow(list)));
        narrowed.unwrap_or(Narrow::Everything)
    }
}

/// The best index for tests that have to pass all.
fn narrow(tests: &[Test]) -> Narrow {
    let one_of = |field| tests.iter().filter(move |test| test.field() == field).find_map(allowed);
    if let Some(keys) = one_of(Field::Key) {
        return Narrow::Keys(keys);
    }
    if let Some(hashes) = one_of(Field::ProgramHash) {
        return Narrow::Programs(hashes);
    }
    if let Some(names) = one_of(Field::ProgramName) {
        return Narrow::Named(names);
    }
    created(tests).unwrap_or(Narrow::Everything)
}

/// The texts of which the field has to be one.
fn allowed(test: &Test) -> Option<Vec<String>> {
    let is_one_of = matches!(test.operator(), Operator::Equal | Operator::In);
    let name = |constant: &Constant| match constant {
        Constant::Text(name) => Some(name.clone()),
        _ => None,
    };
    let names = test.constants().iter().map(name).collect::<Option<Vec<_>>>()?;
    (is_one_of && names.len() <= MOST_VALUES).then_some(names)
}

/// Dates are stored as text with any zone: what is a day away may be the same moment.
fn created(tests: &[Test]) -> Option<Narrow> {
    let (mut from, mut until) = (None, None);
    for test in tests.iter().filter(|test| test.field() == Field::CreationDate) {
        let Some(Constant::Instant(instant)) = test.constants().first() else { continue };
        match test.operator() {
            Operator::Equal => (from, until) = (Some(*instant), Some(*instant)),
            Operator::Greater | Operator::GreaterOrEqual => from = from.max(Some(*instant)),
            Operator::Less | Operator::LessOrEqual => {
                until = Some(until.map_or(*instant, |until: i64| until.min(*instant)));
            }
            _ => {}
        }
    }
    if from.is_none() && until.is_none() {
        return None;
    }
    let date = |instant| clock::iso_of(instant).map(|date| date[..10].to_owned());
    let from = from.map_or(Some(String::new()), |instant| date(instant.checked_sub(DAY)?))?;
    // Behind every text that begins with a digit.
    let until = until.map_or(Some(":".to_owned()), |instant| date(instant.checked_add(2 * DAY)?))?;
    Some(Narrow::Created(from, until))
}

/// Rows that are in one of both; `None` where no one index finds them.
fn union(one: Narrow, other: Narrow) -> Option<Narrow> {
    let joined = |mut one: Vec<String>, other: Vec<String>| {
        one.extend(other);
        one.sort();
        one.dedup();
        (one.len() <= MOST_VALUES).then_some(one)
    };
    match (one, other) {
        (Narrow::Keys(one), Narrow::Keys(other)) => joined(one, other).map(Narrow::Keys),
        (Narrow::Programs(one), Narrow::Programs(other)) => joined(one, other).map(Narrow::Programs),
        (Narrow::Named(one), Narrow::Named(other)) => joined(one, other).map(Narrow::Named),
        (Narrow::Created(from, until), Narrow::Created(other_from, other_until)) => {
            Some(Narrow::Created(from.min(other_from), until.max(other_until)))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn test(field: &str, operator: &str, constants: &[&str]) -> Test {
        let mut texts: Vec<_> = constants.iter().map(|text| Constant::Text((*text).to_owned())).collect();
        let constant = if operator == "in" { Constant::List(texts) } else { texts.remove(0) };
        Test::new(field, operator, &constant).expect("a test")
    }

    fn named(names: &[&str]) -> Narrow {
        Narrow::Named(names.iter().map(|name| (*name).to_owned()).collect())
    }

    #[test]
    fn the_best_index_is_taken() {
        let name = || test("program_name", "==", &["blur"]);
        let slow = || test("hostname", "==", &["n1"]);
        let of = |lists: Vec<Vec<Test>>| Filter::any_of(lists).narrow();
        assert_eq!(of(vec![vec![slow(), name()]]), named(&["blur"]));
        assert_eq!(of(vec![vec![name(), test("key", "==", &["k"])]]), Narrow::Keys(vec!["k".to_owned()]));
        assert_eq!(
            of(vec![vec![name()], vec![test("program_name", "in", &["b", "a"])]]),
            named(&["a", "b", "blur"])
        );
        for lists in [
            vec![vec![name()], vec![slow()]],
            vec![vec![]],
            vec![],
            vec![vec![test("program_name", "!=", &["a"])]],
        ] {
            assert_eq!(of(lists), Narrow::Everything);
        }
    }

    #[test]
    fn dates_leave_room_for_zones() {
        let since = test("creation_date", ">=", &["2026-02-21T00:30:00Z"]);
        let before = test("creation_date", "<", &["2026-02-22"]);
        let narrow = Filter::any_of(vec![vec![since.clone(), before]]).narrow();
        assert_eq!(narrow, Narrow::Created("2026-02-20".to_owned(), "2026-02-24".to_owned()));
        let open = Filter::any_of(vec![vec![since]]).narrow();
        assert_eq!(open, Narrow::Created("2026-02-20".to_owned(), ":".to_owned()));
    }
}
