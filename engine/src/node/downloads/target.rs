//! What to download: a hash, a link or a name, parsed from the text that a person typed.

use std::str::FromStr;

use pelago_content::{Hash, HashError, Link, LinkError};
use pelago_groups::GroupLink;
use thiserror::Error;

/// What to download.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// The content with this hash.
    Hash(Hash),
    /// The content of a link, with the link's name and peers.
    Link(Link),
    /// Content that a peer in reach shares under this name.
    Name(String),
}

/// Why a text is not a target.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum InvalidTarget {
    /// An invalid hash.
    #[error(transparent)]
    Hash(#[from] HashError),
    /// An invalid link.
    #[error(transparent)]
    Link(#[from] LinkError),
    /// An invitation to a group.
    #[error("this is an invitation to a group, not content: `pelago group join` asks for it")]
    Invitation,
    /// An empty text.
    #[error("the target is empty: give a hash, a link or a name")]
    Empty,
}

/// Hexadecimal digits of a hash.
const HASH_DIGITS: usize = 64;

/// How many characters may be missing, extra or wrong in a text that still counts as a mistyped
/// hash. Usual names do not look like that, and neither do hashes of other tools (Git's have 40
/// digits).
const MISTYPED: usize = 6;

impl FromStr for Target {
    type Err = InvalidTarget;

    /// 64 hexadecimal digits are a hash, `pelago:` begins a link, and anything else is a name. A
    /// mistyped hash is an error rather than a name, and so is an invitation to a group. Hashes and links may have spaces or `<>` around
    /// them, as in mails.
    fn from_str(text: &str) -> Result<Self, InvalidTarget> {
        let (name, text) = (text, unwrapped(text));
        let has_scheme = |scheme: &str| {
            text.get(..scheme.len())
                .is_some_and(|start| start.eq_ignore_ascii_case(scheme))
        };
        if name.trim().is_empty() {
            Err(InvalidTarget::Empty)
        } else if is_meant_as_hash(text) || has_scheme("sha256:") {
            Ok(Self::Hash(text.parse()?))
        } else if GroupLink::is_meant(text) {
            Err(InvalidTarget::Invitation)
        } else if has_scheme("pelago:") {
            Ok(Self::Link(text.parse()?))
        } else {
            Ok(Self::Name(name.to_owned()))
        }
    }
}

/// The text without spaces, and one pair of angle brackets, around it.
fn unwrapped(text: &str) -> &str {
    let text = text.trim();
    let inner = text
        .strip_prefix('<')
        .and_then(|text| text.strip_suffix('>'));
    inner.map_or(text, str::trim)
}

fn is_meant_as_hash(text: &str) -> bool {
    let characters = text.chars().count();
    let others = text.chars().filter(|c| !c.is_ascii_hexdigit()).count();
    characters.abs_diff(HASH_DIGITS) + others <= MISTYPED && text.chars().all(char::is_alphanumeric)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_surrounds_a_pasted_link_does_not_belong_to_it() {
        let (link, digits) = (
            format!("pelago:{}?name=a%20b", "ab".repeat(32)),
            "ab".repeat(32),
        );
        for target in [&link, &digits] {
            let expected = target.parse::<Target>().unwrap();
            for pasted in [
                format!(" {target}"),
                format!("{target}\n"),
                format!("<{target}>"),
                format!(" < {target} > "),
            ] {
                assert_eq!(pasted.parse().as_ref(), Ok(&expected), "{pasted:?}");
            }
        }
        // A name may have them.
        for name in [" a", "<a>"] {
            assert_eq!(name.parse(), Ok(Target::Name(name.to_owned())));
        }
    }

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
        let invitation = format!(" <pelago:group/{digits}?invite={digits}>");
        assert_eq!(invitation.parse::<Target>(), Err(InvalidTarget::Invitation));
        assert!("".parse::<Target>().is_err());
        assert!(" ".parse::<Target>().is_err());
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
