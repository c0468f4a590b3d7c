//! Selects shares and downloads of this node by the text that a person gives: a hash, the first
//! digits of one, or a name.

use pelago_content::Hash;

/// The least number of digits that select a hash.
pub(super) const MIN_DIGITS: usize = 6;

/// What tables put behind the first digits of a hash, and what people type for it.
const CUT: [&str; 2] = ["…", "..."];

/// What a text selects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Selector<'a> {
    /// The content with this hash, even if other content has it as its name.
    Hash(Hash),
    /// Content with this name, or with a hash that begins with these digits, in lower case.
    Prefix(&'a str, String),
    /// Content with this name.
    Name(&'a str),
}

impl<'a> Selector<'a> {
    pub(super) fn new(what: &'a str) -> Self {
        if let Ok(hash) = what.parse() {
            return Self::Hash(hash);
        }
        let digits = cut_hash(what).unwrap_or(what);
        let is_prefix = digits.len() >= MIN_DIGITS && digits.bytes().all(|b| b.is_ascii_hexdigit());
        if is_prefix {
            Self::Prefix(what, digits.to_ascii_lowercase())
        } else {
            Self::Name(what)
        }
    }

    /// Whether it selects content with this hash and name.
    pub(super) fn matches(&self, hash: &Hash, name: &str) -> bool {
        match self {
            Self::Hash(own) => own == hash,
            Self::Prefix(own, digits) => *own == name || hash.to_string().starts_with(digits),
            Self::Name(own) => *own == name,
        }
    }
}

/// The digits of a hash that is visibly cut: `0123ab…`.
pub(super) fn cut_hash(what: &str) -> Option<&str> {
    let digits = CUT.into_iter().find_map(|cut| what.strip_suffix(cut))?;
    let is_cut = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_hexdigit());
    is_cut.then_some(digits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_a_hash_or_a_name() {
        let hash: Hash = format!("{:0<64}", "abcdef").parse().unwrap();
        let is = |what: &str| Selector::new(what).matches(&hash, "123456");
        for what in [
            "abcdef",
            "ABCDEF0",
            "abcdef…",
            "abcdef0...",
            "123456",
            &hash.to_string(),
        ] {
            assert!(is(what), "{what}");
        }
        for what in ["abcde", "abcdeg", "abcde…", "…", "bcdef0", "1234567", ""] {
            assert!(!is(what), "{what}");
        }
        let impostor = hash.to_string();
        let other = Hash::from_bytes([1; 32]);
        assert!(!Selector::new(&impostor).matches(&other, &impostor));
    }
}
