//! What people call something that this node knows: by its hash, the first digits of one, or its name.

use pelago_content::Hash;

/// Digits of a hash that may stand for it, at least.
const MIN_DIGITS: usize = 6;

/// By what something is called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Selector<'a> {
    /// A whole hash: that and nothing else, whatever others call theirs.
    Hash(Hash),
    /// What can be a name or how a hash begins; the digits are in lower case.
    Prefix(&'a str, String),
    /// All else.
    Name(&'a str),
}

impl<'a> Selector<'a> {
    pub(super) fn new(what: &'a str) -> Self {
        if let Ok(hash) = what.parse() {
            return Self::Hash(hash);
        }
        let is_short = what.len() >= MIN_DIGITS && what.bytes().all(|b| b.is_ascii_hexdigit());
        if is_short {
            Self::Prefix(what, what.to_ascii_lowercase())
        } else {
            Self::Name(what)
        }
    }

    /// Whether that may be what has this hash and name.
    pub(super) fn matches(&self, hash: &Hash, name: &str) -> bool {
        match self {
            Self::Hash(own) => own == hash,
            Self::Prefix(own, digits) => *own == name || hash.to_string().starts_with(digits),
            Self::Name(own) => *own == name,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_a_hash_or_a_name() {
        let hash: Hash = format!("{:0<64}", "abcdef").parse().unwrap();
        let is = |what: &str| Selector::new(what).matches(&hash, "123456");
        for what in ["abcdef", "ABCDEF0", "123456", &hash.to_string()] {
            assert!(is(what), "{what}");
        }
        for what in ["abcde", "abcdeg", "bcdef0", "1234567", ""] {
            assert!(!is(what), "{what}");
        }
        let impostor = hash.to_string();
        let other = Hash::from_bytes([1; 32]);
        assert!(!Selector::new(&impostor).matches(&other, &impostor));
    }
}
