//! What to download: a hash, a link or a name, parsed from the text that a person typed.

use std::str::FromStr;

use pelago_content::{Hash, HashError, Link, LinkError};
use pelago_groups::GroupLink;
use thiserror::Error;

use crate::node::selector::{MIN_DIGITS, cut_hash};

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
    /// A link of BitTorrent.
    #[error(
        "this is a magnet link, for BitTorrent clients: Pelago downloads links that begin with \
         `pelago:`"
    )]
    Magnet,
    /// The address of a web page or file.
    #[error(
        "{0:?} is a web address, for a browser: Pelago downloads links that begin with `pelago:`"
    )]
    WebAddress(String),
    /// The beginning of a hash, and too little of it.
    #[error("{0:?} is too short for the beginning of a hash: give at least 6 digits, or all 64")]
    Short(String),
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
    /// mistyped hash is an error rather than a name, and so are an invitation to a group and links
    /// that are not Pelago's. Hashes and links may have spaces, brackets, quotes or punctuation around
    /// them, and `&amp;` for `&`, as in mails and pages.
    fn from_str(text: &str) -> Result<Self, InvalidTarget> {
        let name = text;
        let text = unwrapped(text);
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
            Ok(Self::Link(text.replace("&amp;", "&").parse()?))
        } else if has_scheme("magnet:") {
            Err(InvalidTarget::Magnet)
        } else if WEB.into_iter().any(has_scheme) {
            Err(InvalidTarget::WebAddress(text.to_owned()))
        } else if let Some(digits) = cut_hash(text)
            && digits.len() < MIN_DIGITS
        {
            Err(InvalidTarget::Short(text.to_owned()))
        } else {
            Ok(Self::Name(name.to_owned()))
        }
    }
}

/// What begins addresses that browsers open.
const WEB: [&str; 3] = ["http://", "https://", "ftp://"];

/// The text without what messages put around links: spaces, brackets, quotes and punctuation. Writers
/// of links encode all of these but dots.
fn unwrapped(text: &str) -> &str {
    let is_around = |c: char| c.is_whitespace() || "<>()[]{}\"'`*,;!\u{201c}\u{201d}".contains(c);
    let text = text.trim_matches(is_around);
    let mut parts = text.rsplit(['?', '&']);
    // The name that ends a link may end with a dot.
    match parts.next() {
        Some(last) if last.starts_with("name=") => text,
        _ => text.trim_end_matches(|c| c == '.' || is_around(c)),
    }
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
            format!("pelago:{}?name=a%20b&size=3", "ab".repeat(32)),
            "ab".repeat(32),
        );
        for target in [&link, &digits] {
            let expected = target.parse::<Target>().unwrap();
            for pasted in [
                format!("{target}."),
                format!("({target})"),
                format!("{target}),"),
                format!("\u{201c}{target}\u{201d}!"),
                format!(" {target}"),
                format!("{target}\n"),
                format!("<{target}>"),
                format!(" < {target} > "),
            ] {
                assert_eq!(pasted.parse().as_ref(), Ok(&expected), "{pasted:?}");
            }
        }
        let html = format!("pelago:{digits}?name=a&amp;size=3");
        assert_eq!(
            html.parse(),
            format!("pelago:{digits}?name=a&size=3").parse::<Target>()
        );
        let dots = format!("pelago:{digits}?name=..");
        let Ok(Target::Link(link)) = dots.parse() else {
            panic!("{dots}")
        };
        assert_eq!(link.name.as_deref(), Some(".."));
        // A name may have them.
        for name in [" a", "<a>", "a.", "(a)"] {
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
        for (text, refused) in [
            ("magnet:?xt=urn:btih:0a", InvalidTarget::Magnet),
            (
                "https://a.example/b",
                InvalidTarget::WebAddress("https://a.example/b".into()),
            ),
            ("0abc…", InvalidTarget::Short("0abc…".into())),
        ] {
            assert_eq!(text.parse::<Target>(), Err(refused));
        }
        assert!(
            matches!("0abcde…".parse(), Ok(Target::Name(_))),
            "the beginning of a hash"
        );
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
