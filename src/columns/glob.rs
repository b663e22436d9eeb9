//! Shell patterns: `*` is any text, `?` one character, `[a-z]` one of a set, `[!a-z]` one that is not in it.

/// Does the whole of `text` match `pattern`? Upper and lower case differ. A `[` that nothing closes is itself.
pub(super) fn matches(pattern: &str, text: &str) -> bool {
    let (pattern, text): (Vec<_>, Vec<_>) = (pattern.chars().collect(), text.chars().collect());
    let (mut at, mut from) = (0, 0);
    // Where the last `*` stands, and up to where it has taken the text: it takes more where the rest does not match.
    let mut star = None;
    while from < text.len() {
        let step = match pattern.get(at) {
            Some('*') => {
                star = Some((at, from));
                at += 1;
                continue;
            }
            Some(_) => one(&pattern[at..], text[from]),
            None => None,
        };
        if let Some(length) = step {
            at += length;
            from += 1;
        } else if let Some((star_at, taken)) = star {
            star = Some((star_at, taken + 1));
            at = star_at + 1;
            from = taken + 1;
        } else {
            return false;
        }
    }
    pattern[at..].iter().all(|rest| *rest == '*')
}

/// The length of the part at the start of `pattern` that matches the character, if it does.
fn one(pattern: &[char], character: char) -> Option<usize> {
    match pattern {
        ['?', ..] => Some(1),
        ['[', rest @ ..] => match set_length(rest) {
            Some(length) => in_set(&rest[..length], character).then_some(length + 2),
            None => (character == '[').then_some(1),
        },
        [literal, ..] => (*literal == character).then_some(1),
        [] => None,
    }
}

/// The characters of a set before its `]`; one that stands first belongs to the set.
fn set_length(rest: &[char]) -> Option<usize> {
    let first = usize::from(rest.first() == Some(&'!')) + 1;
    rest.iter().skip(first).position(|&character| character == ']').map(|length| length + first)
}

fn in_set(set: &[char], character: char) -> bool {
    let (negated, mut rest) = match set {
        ['!', rest @ ..] => (true, rest),
        other => (false, other),
    };
    let mut found = false;
    while let [first, tail @ ..] = rest {
        (found, rest) = match tail {
            ['-', last, tail @ ..] => (found || (*first..=*last).contains(&character), tail),
            _ => (found || *first == character, tail),
        };
    }
    found != negated
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn patterns_are_those_of_a_shell() {
        for (pattern, text) in [
            ("*", ""),
            ("a*c", "abbc"),
            ("*a*b*", "xxaxxb"),
            ("a?c", "aéc"),
            ("[a-c]x", "bx"),
            ("[!a-c]x", "dx"),
            ("[]]", "]"),
            ("[a-]", "-"),
            ("[", "["),
            ("a[b", "a[b"),
            ("T2(*", "T2(L0,L1,32,32,comps=['a'])"),
        ] {
            assert!(matches(pattern, text), "{pattern} {text}");
        }
        for (pattern, text) in
            [("", "a"), ("a", ""), ("a*c", "abb"), ("a?c", "ac"), ("[a-c]", "d"), ("A", "a"), ("[!a]", "a")]
        {
            assert!(!matches(pattern, text), "{pattern} {text}");
        }
    }

    #[test]
    fn many_stars_take_no_time() {
        assert!(!matches(&"*a".repeat(40), &format!("{}b", "a".repeat(4000))));
    }
}
