//! Text that many records share, held once: names of programs, hosts and users.

use std::collections::HashMap;
use std::sync::Arc;

use arrow_array::builder::{Int32Builder, StringBuilder};
use arrow_array::types::Int32Type;
use arrow_array::{ArrayRef, DictionaryArray};

use crate::error::Result;

use super::schema::internal;

/// A column of one batch. Every text is in its dictionary once, as pandas demands of its categories.
#[derive(Default)]
pub(super) struct Dictionary {
    slots: HashMap<String, i32>,
    /// Rows that follow each other mostly have the same text.
    last: String,
    last_slot: Option<i32>,
    keys: Int32Builder,
    texts: StringBuilder,
}

impl Dictionary {
    pub(super) fn push(&mut self, text: Option<&str>) {
        let Some(text) = text else { return self.keys.append_null() };
        if let Some(slot) = self.last_slot.filter(|_| self.last == text) {
            return self.keys.append_value(slot);
        }
        let next = i32::try_from(self.slots.len()).unwrap_or(i32::MAX);
        let slot = if let Some(&slot) = self.slots.get(text) {
            slot
        } else {
            self.texts.append_value(text);
            self.slots.insert(text.to_owned(), next);
            next
        };
        self.last.clear();
        self.last.push_str(text);
        self.last_slot = Some(slot);
        self.keys.append_value(slot);
    }

    /// The column, and an empty one behind it.
    pub(super) fn finish(&mut self) -> Result<ArrayRef> {
        let Self { mut keys, mut texts, .. } = std::mem::take(self);
        let array = DictionaryArray::<Int32Type>::try_new(keys.finish(), Arc::new(texts.finish()));
        Ok(Arc::new(array.map_err(internal)?))
    }
}

#[cfg(test)]
mod tests {
    use arrow_array::Array;
    use arrow_array::cast::AsArray;

    use super::*;

    #[test]
    fn every_text_is_held_once() {
        let mut column = Dictionary::default();
        for text in [Some("a"), Some("b"), None, Some("a"), Some("a"), Some("")] {
            column.push(text);
        }
        let array = column.finish().expect("a column");
        let found = array.as_dictionary::<Int32Type>();
        assert_eq!(found.values().as_string::<i32>().iter().flatten().collect::<Vec<_>>(), ["a", "b", ""]);
        assert_eq!(
            found.keys().iter().collect::<Vec<_>>(),
            [Some(0), Some(1), None, Some(0), Some(0), Some(2)]
        );
        assert_eq!(column.finish().expect("empty").len(), 0);
    }
}
