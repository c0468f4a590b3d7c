//! Names of users and groups.

use std::{fmt, str::FromStr};

use pelago_content::is_unsafe;
use serde::{Deserialize, Deserializer, Serialize};
use unicode_security::skeleton;

/// The name of a user or a group, for people: one line of text that shows as it is. Neither unique
/// nor verified.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct Name(String);

/// A text that is not a name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidName {
    /// It is empty, or has spaces at an end.
    #[error("{0:?} is not a valid name: it is empty, or begins or ends with a space")]
    Blank(String),
    /// It is too long.
    #[error("a name has at most {} bytes, and this one has {found}", Name::MAX_LEN)]
    Length {
        /// Its bytes.
        found: usize,
    },
    /// It has a character that shows as something else, or as nothing.
    #[error("{0:?} is not a valid name: control and direction characters are not allowed")]
    Character(String),
}

impl Name {
    /// Bytes of the longest name.
    pub const MAX_LEN: usize = 128;

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether a person may take one name for the other: their characters look alike (Unicode
    /// Technical Standard 39, section 4), in any letter case.
    #[must_use]
    pub fn looks_like(&self, other: &Self) -> bool {
        let alike = |a: &str, b: &str| skeleton(a).eq(skeleton(b));
        alike(&self.0, &other.0) || alike(&self.0.to_lowercase(), &other.0.to_lowercase())
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl FromStr for Name {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        if text.len() > Self::MAX_LEN {
            Err(InvalidName::Length { found: text.len() })
        } else if text.is_empty() || text.trim() != text {
            Err(InvalidName::Blank(text.to_owned()))
        } else if text.chars().any(is_unsafe) {
            Err(InvalidName::Character(text.to_owned()))
        } else {
            Ok(Self(text.to_owned()))
        }
    }
}

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Name {
        text.parse().unwrap()
    }

    #[test]
    fn what_shows_otherwise_than_it_is_is_refused() {
        for text in ["", " anna", "anna ", "an\nna", "an\u{202e}na", "\u{1b}[1m"] {
            assert!(text.parse::<Name>().is_err(), "{text:?}");
        }
        assert!("ä".repeat(65).parse::<Name>().is_err());
        assert_eq!(name("Anna-Lena Öz").as_str(), "Anna-Lena Öz");
    }

    #[test]
    fn names_that_look_alike_are_found() {
        // The second has Cyrillic letters.
        assert!(name("anna").looks_like(&name("\u{430}nn\u{430}")));
        assert!(name("paypal").looks_like(&name("PayPal")));
        assert!(!name("anna").looks_like(&name("hanna")));
    }
}
