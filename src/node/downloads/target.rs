//! What to download: a hash, a link or a name, read from what a person typed.

use std::str::FromStr;

use pelago_content::{Hash, HashError, Link, LinkError};
use thiserror::Error;

/// What to download.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// This content.
    Hash(Hash),
    /// This content, with what a link says of it.
    Link(Link),
    /// What somebody in reach calls by this name.
    Name(String),
}

/// Text that is nothing to download.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum InvalidTarget {
    /// It was to be a hash.
    #[error(transparent)]
    Hash(#[from] HashError),
    /// It was to be a link.
    #[error(transparent)]
    Link(#[from] LinkError),
    /// There is nothing there.
    #[error("nothing to download was named: give a hash, a link or a name")]
    Empty,
}

/// Hexadecimal digits of a hash.
const HASH_DIGITS: usize = 64;

/// How many signs may be missing, too many or no digits in what is still meant to be a hash. No
/// usual name looks like that; the hashes of other tools (Git's has 40 digits) do not either.
const MISTYPED: usize = 6;

impl FromStr for Target {
    type Err = InvalidTarget;

    /// 64 hexadecimal digits are always a hash, `pelago:` begins a link, anything else is a name;
    /// but a mistyped hash is refused rather than looked for as a name.
    fn from_str(text: &str) -> Result<Self, InvalidTarget> {
        let has_scheme = |scheme: &str| {
            text.get(..scheme.len())
                .is_some_and(|start| start.eq_ignore_ascii_case(scheme))
        };
        if text.is_empty() {
            Err(InvalidTarget::Empty)
        } else if is_meant_as_hash(text) || has_scheme("sha256:") {
            Ok(Self::Hash(text.parse()?))
        } else if has_scheme("pelago:") {
            Ok(Self::Link(text.parse()?))
        } else {
            Ok(Self::Name(text.to_owned()))
        }
    }
}

fn is_meant_as_hash(text: &str) -> bool {
    let signs = text.chars().count();
    let others = text.chars().filter(|c| !c.is_ascii_hexdigit()).count();
    signs.abs_diff(HASH_DIGITS) + others <= MISTYPED && text.chars().all(char::is_alphanumeric)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sixty_four_digits_are_a_hash_and_other_words_a_name() {
        let digits = "AB".repeat(32);
        assert!(matches!(digits.parse(), Ok(Target::Hash(_))));
        assert!(matches!(
            format!("pelago:{digits}").parse(),
            Ok(Target::Link(_))
        ));
        assert!(matches!("ab".repeat(20).parse(), Ok(Target::Name(_))));
        assert!(matches!("holiday.jpg".parse(), Ok(Target::Name(_))));
        assert!("sha256:00".parse::<Target>().is_err(), "reserved");
        assert!("".parse::<Target>().is_err());
        for mistyped in [
            "ab".repeat(31),
            "ab".repeat(33),
            format!("g{}", &digits[1..]),
        ] {
            let refused = mistyped.parse::<Target>();
            assert!(matches!(refused, Err(InvalidTarget::Hash(_))), "{mistyped}");
        }
    }
}
