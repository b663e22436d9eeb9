//! The token's state, and the file name that is all there is of it.
//!
//! ```text
//! f.<fence>.<generation>                                   free
//! h.<fence>.<generation>.<beat>.<flags>.<owner>            held
//! ```

use std::fmt::{self, Display, Formatter, Write};

use super::owner::Owner;

/// What the file system's one token says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Token {
    /// Nobody is inside.
    Free(Count),
    /// Somebody is.
    Held(Hold),
}

/// Two numbers that only grow. Both begin at random, so that no name of one lock directory is used by the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Count {
    /// How often the database file was replaced: descriptors opened under another number may be orphans.
    pub(crate) fence: u64,
    /// How often the token was taken.
    pub(crate) generation: u64,
}

/// A held token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Hold {
    pub(crate) count: Count,
    /// How often it was renewed.
    pub(crate) beat: u64,
    pub(crate) flags: Flags,
    pub(crate) owner: Owner,
}

/// What the next holder must know of this one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Flags {
    /// `W`: pages of the database may be half-written.
    pub(crate) half_written: bool,
    /// `D`: a holder that was taken over may still write; whoever holds the token must fence first.
    pub(crate) must_fence: bool,
}

impl Flags {
    /// Neither: the database is whole and nobody else can write to it.
    pub(crate) fn none(self) -> bool {
        self == Self::default()
    }

    fn parse(text: &str) -> Option<Self> {
        let (half_written, must_fence) = match text {
            "" => (false, false),
            "W" => (true, false),
            "D" => (false, true),
            "WD" => (true, true),
            _ => return None,
        };
        Some(Self { half_written, must_fence })
    }
}

impl Token {
    /// Is `name` that of a token at all? A file of any other name in the directory is none of ours.
    pub(crate) fn is_one(name: &str) -> bool {
        name.starts_with("f.") || name.starts_with("h.")
    }

    /// Reads a token's name; `None` if it says something that this version does not understand.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        let mut fields = name.split('.');
        let kind = fields.next()?;
        let count = Count { fence: number(fields.next()?)?, generation: number(fields.next()?)? };
        let token = match kind {
            "f" => Self::Free(count),
            "h" => Self::Held(Hold {
                count,
                beat: number(fields.next()?)?,
                flags: Flags::parse(fields.next()?)?,
                owner: Owner::parse(&mut fields)?,
            }),
            _ => return None,
        };
        fields.next().is_none().then_some(token)
    }

    pub(crate) fn count(&self) -> Count {
        match self {
            Self::Free(count) => *count,
            Self::Held(hold) => hold.count,
        }
    }

    /// What its holder says of the database.
    pub(crate) fn flags(&self) -> Flags {
        match self {
            Self::Free(_) => Flags::default(),
            Self::Held(hold) => hold.flags,
        }
    }
}

impl Count {
    /// The numbers of the tenure after this one.
    pub(crate) fn next_generation(self) -> Self {
        Self { generation: self.generation.wrapping_add(1), ..self }
    }

    /// The numbers after the database file was replaced.
    pub(crate) fn next_fence(self) -> Self {
        Self { fence: self.fence.wrapping_add(1), ..self }
    }
}

/// The name of the token called `name`, printed again from what was read of it; `None` where it is no token's name.
/// For fuzzing: one state must have one name.
#[must_use]
pub fn reread_token(name: &str) -> Option<String> {
    Token::parse(name).map(|token| token.to_string())
}

/// A number as we print it: no sign, no leading zero, so that one state has one name.
pub(super) fn number(text: &str) -> Option<u64> {
    let plain = text == "0" || (text.starts_with(|c: char| ('1'..='9').contains(&c)));
    plain.then(|| text.parse().ok()).flatten()
}

impl Display for Flags {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if self.half_written {
            f.write_char('W')?;
        }
        if self.must_fence {
            f.write_char('D')?;
        }
        Ok(())
    }
}

impl Display for Token {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Free(Count { fence, generation }) => write!(f, "f.{fence}.{generation}"),
            Self::Held(hold) => {
                let Hold { count: Count { fence, generation }, beat, flags, owner } = hold;
                write!(f, "h.{fence}.{generation}.{beat}.{flags}.{owner}")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::lock::process::Process;

    /// Longest file name that every file system takes.
    const LONGEST_NAME: usize = 255;

    fn facts() -> impl Strategy<Value = Process> {
        // As large as they ever are: inode numbers of namespaces, clock ticks of a century.
        let number = || proptest::option::of(0..1_000_000_000_000_u64);
        let inode = || proptest::option::of(any::<u32>().prop_map(u64::from));
        (
            proptest::option::of(".{0,40}"),
            proptest::option::of(0..i32::MAX),
            proptest::option::of("[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"),
            (inode(), inode(), number()),
        )
            .prop_map(|(hostname, pid, boot_id, (pid_namespace, time_namespace, start_time))| {
                Process { hostname, pid, boot_id, pid_namespace, time_namespace, start_time }
            })
    }

    fn tokens() -> impl Strategy<Value = Token> {
        // They begin below 2^48 and grow by one.
        let large = || 0..10_000_000_000_000_000_u64;
        let count = (large(), large()).prop_map(|(fence, generation)| Count { fence, generation });
        let flags =
            any::<(bool, bool)>().prop_map(|(half_written, must_fence)| Flags { half_written, must_fence });
        let owner = (any::<u64>(), any::<u32>(), facts(), 0..100_000_000_000_u64)
            .prop_map(|(random, uid, process, since)| Owner::new(random, uid, &process, since));
        prop_oneof![
            count.clone().prop_map(Token::Free),
            (count, 0..1_000_000_000_u64, flags, owner)
                .prop_map(|(count, beat, flags, owner)| Token::Held(Hold { count, beat, flags, owner })),
        ]
    }

    proptest! {
        #[test]
        fn a_name_says_all_of_the_state(token in tokens()) {
            let name = token.to_string();
            prop_assert_eq!(Token::parse(&name), Some(token));
            prop_assert!(!name.contains('/') && name.len() <= LONGEST_NAME, "{} bytes: {}", name.len(), name);
        }

        #[test]
        fn any_other_name_is_no_token_and_no_panic(name in "[fh]?[.0-9WDa-f-]{0,80}") {
            if let Some(token) = Token::parse(&name) {
                prop_assert_eq!(token.to_string(), name, "one state must have one name");
            }
        }
    }

    #[test]
    fn a_name_of_a_longer_or_shorter_form_is_refused() {
        assert!(Token::parse("f.1.2").is_some());
        for name in
            ["", "f", "f.1", "f.1.2.3", "f.01.2", "f.+1.2", "f.1.-2", "g.1.2", "h.1.2.3.W", "h.1.2.3.X.0"]
        {
            assert_eq!(Token::parse(name), None, "{name}");
        }
    }
}
