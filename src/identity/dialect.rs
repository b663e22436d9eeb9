//! Which tool wrote a schedule string.
//!
//! Five notations are in use. Only `TiraLib`'s is parsed to a tree; the others are recognised as a whole,
//! from their own small grammars, and never changed.

use super::schedule;
use super::text::strip_whitespace;

/// The notation of a schedule string.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Dialect {
    /// `TiraLib` and `TiraLibCpp`: `I(L0,L1,comps=['a'])|P(L0,comps=['a'])`.
    Tiralib,
    /// One part per computation: `{comp00}:P(L0){comp01}:T2(L0,L1,32,32)`.
    PerComputation,
    /// The first RL autoscheduler: `F(L0)P(L0)U(L2,8,C0)`.
    Rl1,
    /// `LOOPer`: `F({C0,C1},L0)M({C0},1,0,0,1)`.
    Looper,
    /// The autoscheduler of Tiramisu's main branch: `I(L0,L2)P(L1)U(L2,4)`.
    Master,
}

impl Dialect {
    /// All dialects.
    pub const ALL: [Self; 5] = [Self::Tiralib, Self::PerComputation, Self::Rl1, Self::Looper, Self::Master];

    /// The short name by which users know it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Tiralib => "tiralib",
            Self::PerComputation => "percomp",
            Self::Rl1 => "rl1",
            Self::Looper => "looper",
            Self::Master => "master",
        }
    }

    /// The dialect with this short name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|dialect| dialect.name() == name)
    }
}

/// The dialect of a schedule string, or `None` if it is valid in none. Whitespace does not matter.
///
/// The empty string is valid in all and counts as `TiraLib`'s. `rl1` and `master` differ only in how they
/// unroll: a string of theirs without any `U` counts as `rl1`.
#[must_use]
pub fn dialect_of(schedule: &str) -> Option<Dialect> {
    let compact = strip_whitespace(schedule);
    // A store validates normal forms, callers also the text as it is; quotes can make one of them alone
    // valid.
    if schedule::validate(&compact).is_ok() || schedule::validate(&schedule::normalize(&compact)).is_ok() {
        return Some(Dialect::Tiralib);
    }
    let text = compact.as_str();
    if text.starts_with('{') {
        per_computation(text).then_some(Dialect::PerComputation)
    } else if looper(text) {
        Some(Dialect::Looper)
    } else {
        bare(text)
    }
}

#[derive(Clone, Copy)]
enum Argument {
    Level,
    Natural,
    Integer,
}

/// What follows the computations, if any, in the dialects that do not write `comps=`.
const SIGNATURES: [(&str, &[Argument]); 10] = {
    use Argument::{Integer, Level, Natural};
    [
        ("I", &[Level, Level]),
        ("R", &[Level]),
        ("P", &[Level]),
        ("S", &[Level, Level, Integer, Integer]),
        ("Sh", &[Level, Integer]),
        ("T1", &[Level, Natural]),
        ("T2", &[Level, Level, Natural, Natural]),
        ("T3", &[Level, Level, Level, Natural, Natural, Natural]),
        ("U", &[Level, Natural]),
        ("F", &[Level]),
    ]
};

/// One or more `{name}:`, each before any number of transformations.
fn per_computation(text: &str) -> bool {
    let mut scan = Scan(text);
    while !scan.at_end() {
        if !(scan.eat("{") && scan.identifier() && scan.eat("}:")) {
            return false;
        }
        while !scan.at_end() && !scan.0.starts_with('{') {
            if !(scan.transformation().is_some() && scan.eat(")")) {
                return false;
            }
        }
    }
    true
}

/// One or more transformations, each with `{C0,C1}` as its first argument.
fn looper(text: &str) -> bool {
    let mut scan = Scan(text);
    while !scan.at_end() {
        let arguments = if scan.eat("M({") {
            scan.computations() && scan.square_matrix()
        } else {
            scan.signature("({")
                .is_some_and(|(_, signature)| scan.computations() && scan.arguments(",", signature))
        };
        if !(arguments && scan.eat(")")) {
            return false;
        }
    }
    true
}

/// Transformations that name no computation, except that all or none of the `U` do.
fn bare(text: &str) -> Option<Dialect> {
    let mut scan = Scan(text);
    let mut dialect = None;
    while !scan.at_end() {
        if scan.transformation()? == "U" {
            let unrolled =
                if scan.eat(",C") { scan.digits().then_some(Dialect::Rl1)? } else { Dialect::Master };
            if *dialect.get_or_insert(unrolled) != unrolled {
                return None;
            }
        }
        if !scan.eat(")") {
            return None;
        }
    }
    Some(dialect.unwrap_or(Dialect::Rl1))
}

/// The text that is not recognised yet.
struct Scan<'a>(&'a str);

impl Scan<'_> {
    fn at_end(&self) -> bool {
        self.0.is_empty()
    }

    fn eat(&mut self, text: &str) -> bool {
        self.0.strip_prefix(text).map(|rest| self.0 = rest).is_some()
    }

    /// Reads a transformation without its closing parenthesis; returns its name.
    fn transformation(&mut self) -> Option<&'static str> {
        let (name, signature) = self.signature("(")?;
        self.arguments("", signature).then_some(name)
    }

    /// Reads the name of a transformation and `opening`; returns the name and the arguments it takes.
    fn signature(&mut self, opening: &str) -> Option<(&'static str, &'static [Argument])> {
        let text = self.0;
        let (signature, rest) = SIGNATURES.into_iter().find_map(|signature| {
            Some((signature, text.strip_prefix(signature.0)?.strip_prefix(opening)?))
        })?;
        self.0 = rest;
        Some(signature)
    }

    fn arguments(&mut self, mut separator: &str, signature: &[Argument]) -> bool {
        signature.iter().all(|argument| {
            self.eat(std::mem::replace(&mut separator, ","))
                && match argument {
                    Argument::Level => self.eat("L") && self.digits(),
                    Argument::Natural => self.digits(),
                    Argument::Integer => self.integer(),
                }
        })
    }

    /// Reads `C0,C1}`.
    fn computations(&mut self) -> bool {
        loop {
            if !(self.eat("C") && self.digits()) {
                return false;
            }
            if !self.eat(",") {
                return self.eat("}");
            }
        }
    }

    /// Reads the entries of a square matrix, a comma before each.
    fn square_matrix(&mut self) -> bool {
        let mut entries = 0_usize;
        while self.eat(",") {
            if !self.integer() {
                return false;
            }
            entries += 1;
        }
        entries > 0 && entries.isqrt().pow(2) == entries
    }

    fn identifier(&mut self) -> bool {
        !self.0.starts_with(|first: char| first.is_ascii_digit())
            && self.skip(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
    }

    fn integer(&mut self) -> bool {
        self.eat("-");
        self.digits()
    }

    fn digits(&mut self) -> bool {
        self.skip(|byte| byte.is_ascii_digit())
    }

    /// Skips ASCII characters of a kind; whether there was any.
    fn skip(&mut self, kind: impl Fn(u8) -> bool) -> bool {
        let length = self.0.bytes().take_while(|&byte| kind(byte)).count();
        self.0 = &self.0[length..];
        length > 0
    }
}

#[cfg(test)]
mod tests {
    use super::{Dialect, dialect_of};

    #[test]
    fn names_are_read_back() {
        for dialect in Dialect::ALL {
            assert_eq!(Dialect::from_name(dialect.name()), Some(dialect));
        }
        assert_eq!(Dialect::from_name("Tiralib"), None);
    }

    #[test]
    fn each_notation_is_recognised() {
        let cases = [
            ("", Dialect::Tiralib),
            (" \n", Dialect::Tiralib),
            ("I(L0,L1,comps=['x_temp'])|F(L0,comps=['A_hat', 'x_temp'])", Dialect::Tiralib),
            ("P(L0,comps=[''a''])", Dialect::Tiralib),
            ("P(L0,comps=[\"'\"])", Dialect::Tiralib),
            ("{comp00}:S(L0,L1,1,-1)I(L0,L1) P(L0) {comp01}:T2(L1,L0,32,32)", Dialect::PerComputation),
            ("{comp00}:{comp01}:P(L0)", Dialect::PerComputation),
            ("F(L0)P(L0)U(L2,8,C0)U(L2,8,C1)", Dialect::Rl1),
            ("F(L3)T2(L2,L3,32,32)R(L1)I(L2,L3)P(L0)", Dialect::Rl1),
            ("F({C1,C2},L2)M({C0},1,0,0,-1)P({C4,C5,C6},L1)Sh({C0},L0,-1)U({C3},L1,4)", Dialect::Looper),
            ("I(L0,L2)P(L1)U(L2,4)", Dialect::Master),
        ];
        for (text, dialect) in cases {
            assert_eq!(dialect_of(text), Some(dialect), "{text}");
        }
    }

    #[test]
    fn what_is_no_schedule_has_no_dialect() {
        for text in [
            "x",
            "|",
            "P(L0",
            "P(L0)|P(L1)",
            "P(L0,comps=[])",
            "P(L0)P(L0,comps=['a'])",
            "{comp00}P(L0)",
            "{comp00}:U(L0,4,C0)",
            "{}:P(L0)",
            "{0a}:P(L0)",
            "{comp00}:P(L0)x",
            "U(L0,4)U(L1,4,C0)",
            "U(L0,4,C)",
            "M({C0},1,0,0)",
            "M({C0})",
            "M({},1)",
            "F({C0,},L1)",
            "F({C0},L1)F(L1)",
            "P(L\u{661})",
            "T2(L0,L1,-32,32)",
        ] {
            assert_eq!(dialect_of(text), None, "{text}");
        }
    }
}
