//! Python's word characters and decimal digits: what `\w` and `\d` mean for `str`.

use std::sync::LazyLock;

use regex::Regex;

// The tables are asked about non-ASCII characters only, so most processes never build them.
static WORD: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"^[\p{L}\p{N}]$").expect("the pattern is a constant that the tests compile")
});
static DIGIT: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"^\p{Nd}$").expect("the pattern is a constant that the tests compile"));

/// Whether `character` matches Python's `\w`: a letter, a number of any kind, or the underscore.
///
/// Unlike `\w` elsewhere, combining marks (U+0301) and other connectors (U+203F) are none, and U+00B2 is one.
#[must_use]
pub fn is_python_word(character: char) -> bool {
    if character.is_ascii() {
        character.is_ascii_alphanumeric() || character == '_'
    } else {
        WORD.is_match(character.encode_utf8(&mut [0; 4]))
    }
}

/// Whether `character` matches Python's `\d`: a decimal digit of any script.
#[must_use]
pub fn is_python_digit(character: char) -> bool {
    if character.is_ascii() {
        character.is_ascii_digit()
    } else {
        DIGIT.is_match(character.encode_utf8(&mut [0; 4]))
    }
}

/// The value of a decimal digit of any script.
///
/// Unicode assigns the ten digits of a script together and in order; sets that touch (the mathematical ones)
/// begin at multiples of ten, so the distance to the start of the run gives the value.
#[must_use]
pub fn decimal_value(character: char) -> Option<u8> {
    if let Some(value) = character.to_digit(10) {
        return u8::try_from(value).ok();
    }
    if !is_python_digit(character) {
        return None;
    }
    let before = ('\0'..character).rev().take_while(|&earlier| is_python_digit(earlier)).count();
    u8::try_from(before % 10).ok()
}

#[cfg(test)]
mod tests {
    use super::{decimal_value, is_python_digit, is_python_word};

    #[test]
    fn word_characters_follow_python() {
        for word in "aZ_09é²½Ⅷ٣漢𝒳ª".chars() {
            assert!(is_python_word(word), "{word:?}");
        }
        for other in " -'\"\u{301}\u{203f}€\u{200d}".chars() {
            assert!(!is_python_word(other), "{other:?}");
        }
    }

    #[test]
    fn digits_are_decimal_ones_of_any_script() {
        assert_eq!(
            "09٠٩०९０９𝟎𝟗𝟘𝟿".chars().map(decimal_value).collect::<Vec<_>>(),
            [Some(0), Some(9)].repeat(6)
        );
        for other in "²½Ⅷ一a".chars() {
            assert!(!is_python_digit(other), "{other:?}");
            assert_eq!(decimal_value(other), None);
        }
    }

    #[test]
    fn runs_of_digits_are_multiples_of_ten() {
        let mut run = 0;
        for character in '\0'..=char::MAX {
            if is_python_digit(character) {
                run += 1;
            } else {
                assert_eq!(run % 10, 0, "before {character:?}");
                run = 0;
            }
        }
    }
}
