//! Reads the parts that all transformations share from the text of one of them.

use std::borrow::Cow;

use super::ast::{Integer, Level, Name, Natural};
use super::error::{Argument, Role};
use crate::identity::text::{is_python_digit, is_python_word, python_repr};

/// Found text is quoted in errors up to this many characters.
const LONGEST_QUOTE: usize = 40;

/// What is wrong at some place of a transformation.
pub(super) struct Fault {
    pub argument: Option<Argument>,
    /// The place, in bytes from the start of the transformation.
    pub at: usize,
    pub expected: Cow<'static, str>,
    pub found: String,
}

pub(super) type Parsed<T> = Result<T, Fault>;

/// A place in the text of one transformation, and the argument it belongs to.
pub(super) struct Cursor<'a> {
    token: &'a str,
    at: usize,
    argument: Option<Argument>,
}

impl<'a> Cursor<'a> {
    /// Starts behind the name.
    pub fn new(token: &'a str, name: &str) -> Self {
        Self { token, at: name.len(), argument: None }
    }

    pub fn rest(&self) -> &'a str {
        &self.token[self.at..]
    }

    /// The fault of not finding `expected` here.
    pub fn fault(&self, expected: impl Into<Cow<'static, str>>) -> Fault {
        self.fault_at(self.at, expected, quote(self.rest()))
    }

    pub fn fault_at(&self, at: usize, expected: impl Into<Cow<'static, str>>, found: String) -> Fault {
        Fault { argument: self.argument, at, expected: expected.into(), found }
    }

    pub fn eat(&mut self, text: &str) -> bool {
        let found = self.rest().starts_with(text);
        if found {
            self.at += text.len();
        }
        found
    }

    /// Where the next byte is; for faults that are seen later.
    pub fn mark(&self) -> usize {
        self.at
    }

    /// Steps to the next argument, over the parenthesis or comma before it.
    pub fn argument(&mut self, role: Role) -> Parsed<()> {
        let (separator, number) = match self.argument {
            None => ("(", 1),
            Some(last) => (",", last.number + 1),
        };
        if !self.eat(separator) {
            return Err(self.fault(format!("'{separator}' and {}", role.expected())));
        }
        self.argument = Some(Argument { number, role });
        Ok(())
    }

    /// Ends the transformation.
    pub fn end(mut self) -> Parsed<()> {
        if !self.eat(")") {
            return Err(self.fault("')'"));
        }
        self.argument = None;
        if self.rest().is_empty() { Ok(()) } else { Err(self.fault("the end of the transformation or '|'")) }
    }

    pub fn level(&mut self) -> Parsed<Level> {
        self.argument(Role::Level)?;
        self.level_here(Role::Level)
    }

    pub fn level_or_innermost(&mut self) -> Parsed<Level> {
        self.argument(Role::LevelOrInnermost)?;
        let start = self.at;
        if self.eat("L-1") {
            return Ok(Level(self.since(start)));
        }
        self.level_here(Role::LevelOrInnermost)
    }

    fn level_here(&mut self, role: Role) -> Parsed<Level> {
        let digits = self.rest().strip_prefix('L').map_or(0, digits);
        if digits == 0 {
            return Err(self.fault(role.expected()));
        }
        Ok(Level(self.take(1 + digits)))
    }

    pub fn natural(&mut self) -> Parsed<Natural> {
        self.argument(Role::Factor)?;
        match digits(self.rest()) {
            0 => Err(self.fault(Role::Factor.expected())),
            length => Ok(Natural(self.take(length))),
        }
    }

    pub fn integer(&mut self, role: Role) -> Parsed<Integer> {
        self.argument(role)?;
        self.integer_here()
    }

    fn integer_here(&mut self) -> Parsed<Integer> {
        let unsigned = self.rest().strip_prefix('-').unwrap_or(self.rest());
        let sign = self.rest().len() - unsigned.len();
        match digits(unsigned) {
            0 => Err(self.fault("an integer")),
            length => Ok(Integer(self.take(sign + length))),
        }
    }

    /// Integers in brackets, one or more.
    pub fn integers(&mut self, role: Role) -> Parsed<Vec<Integer>> {
        self.argument(role)?;
        self.expect("[", role)?;
        self.list(Self::integer_here)
    }

    pub fn comps(&mut self) -> Parsed<Vec<Name>> {
        self.argument(Role::Comps)?;
        self.expect("comps=[", Role::Comps)?;
        self.names()
    }

    pub fn distribution(&mut self) -> Parsed<Vec<Vec<Name>>> {
        self.argument(Role::Distribution)?;
        self.expect("distribution=[", Role::Distribution)?;
        self.list(|cursor| {
            if cursor.eat("[") { cursor.names() } else { Err(cursor.fault("a group such as ['name',...]")) }
        })
    }

    fn expect(&mut self, text: &str, role: Role) -> Parsed<()> {
        if self.eat(text) { Ok(()) } else { Err(self.fault(role.expected())) }
    }

    /// Names up to the closing bracket. One empty name alone is refused: it is the normal form of no name at
    /// all.
    fn names(&mut self) -> Parsed<Vec<Name>> {
        const EXPECTED: &str = "at least one computation";
        let start = self.at;
        if self.rest().starts_with(']') {
            return Err(self.fault(EXPECTED));
        }
        let names = self.list(Self::name)?;
        match names.as_slice() {
            [only] if only.as_str().is_empty() => {
                Err(self.fault_at(start, EXPECTED, format!("the empty name {}", only.lexeme())))
            }
            _ => Ok(names),
        }
    }

    fn name(&mut self) -> Parsed<Name> {
        let rest = self.rest();
        let length = match rest.chars().next() {
            Some(quote @ ('\'' | '"')) => {
                let Some(inner) = rest[1..].find(quote) else {
                    let found = "none before the end of the transformation".to_owned();
                    return Err(self.fault_at(self.at, format!("a name closed by {quote}"), found));
                };
                inner + 2
            }
            Some(first) if first.is_ascii_alphabetic() || first == '_' => {
                rest.find(|other| !is_python_word(other)).unwrap_or(rest.len())
            }
            _ => return Err(self.fault("a computation's name, in quotes or plain")),
        };
        Ok(Name(self.take(length)))
    }

    /// One or more items between commas, up to and with the closing bracket.
    fn list<T>(&mut self, mut item: impl FnMut(&mut Self) -> Parsed<T>) -> Parsed<Vec<T>> {
        let mut items = vec![item(self)?];
        while self.eat(",") {
            items.push(item(self)?);
        }
        if self.eat("]") { Ok(items) } else { Err(self.fault("',' or ']'")) }
    }

    fn take(&mut self, length: usize) -> Box<str> {
        let start = self.at;
        self.at += length;
        self.since(start)
    }

    fn since(&self, start: usize) -> Box<str> {
        self.token[start..self.at].into()
    }
}

/// The length in bytes of the digits that `text` starts with.
fn digits(text: &str) -> usize {
    text.find(|other| !is_python_digit(other)).unwrap_or(text.len())
}

/// What stands at the start of `rest`, up to the next delimiter.
pub(super) fn quote(rest: &str) -> String {
    let Some(first) = rest.chars().next() else { return "the end of the transformation".to_owned() };
    let delimiter = |character: char| ",()[]|".contains(character);
    let found =
        if delimiter(first) { &rest[..1] } else { &rest[..rest.find(delimiter).unwrap_or(rest.len())] };
    match found.char_indices().nth(LONGEST_QUOTE) {
        Some((cut, _)) => format!("{}...", python_repr(&found[..cut])),
        None => python_repr(found),
    }
}
