//! Transformations of schedules, each spelling parsed once: millions of schedules are made of a few thousand.

use std::collections::HashMap;
use std::sync::Arc;

use crate::identity::schedule::{self, Transformation};

/// So many spellings are remembered: more would not be found faster than parsed.
const KEPT: usize = 8192;

/// The spellings seen so far; `None` of those that are none in `TiraLib`'s notation.
#[derive(Default)]
pub(super) struct Tokens(HashMap<String, Option<Arc<Transformation>>>);

impl Tokens {
    /// The transformations of a schedule, in order; `None` where [`schedule::parse`] refuses it.
    pub(super) fn of(&mut self, schedule: &str) -> Option<Vec<Arc<Transformation>>> {
        if schedule.is_empty() {
            return Some(Vec::new());
        }
        // A bar separates even inside quotes: so the parser has it, too.
        schedule.split('|').map(|token| self.one(token)).collect()
    }

    fn one(&mut self, token: &str) -> Option<Arc<Transformation>> {
        if let Some(known) = self.0.get(token) {
            return known.clone();
        }
        // Nothing is a schedule, but no transformation.
        let parsed = schedule::parse(token).ok().and_then(|parsed| parsed.transformations.into_iter().next());
        let transformation = parsed.map(Arc::new);
        if self.0.len() >= KEPT {
            self.0.clear();
        }
        self.0.insert(token.to_owned(), transformation.clone());
        transformation
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(tokens: &mut Tokens, text: &str) {
        let parsed = schedule::parse(text).ok().map(|schedule| schedule.transformations);
        let found = tokens.of(text).map(|found| found.iter().map(|one| one.as_ref().clone()).collect());
        assert_eq!(parsed, found, "{text:?}");
    }

    #[test]
    fn schedules_are_what_the_parser_says() {
        let mut tokens = Tokens::default();
        for text in [
            "",
            " ",
            "|",
            "P(L0,comps=['a'])|",
            "P(L0,comps=['a'])|P(L0,comps=['a'])",
            "P(L0,comps=['a|b'])",
            "P(L0)",
            "{comp00}:P(L0)",
            "I(L0,L1,comps=['a','b'])|U(L-1,4,comps=['a'])",
        ] {
            check(&mut tokens, text);
        }
    }

    proptest! {
        #[test]
        fn any_text_is_what_the_parser_says(parts in proptest::collection::vec("P\\(L0,comps=\\['a'\\]\\)|\\||x|[UT2](\\(L0,4,comps=\\[b\\]\\))?| ", 0..6)) {
            check(&mut Tokens::default(), &parts.concat());
        }
    }
}
