//! Texts that people type, for fuzzing.

use super::selector::Selector;
use crate::content::Hash;

/// A hash, the first digits of one, or a name.
pub fn selector(text: &str) {
    let selector = Selector::new(text);
    let is_hash = matches!(selector, Selector::Hash(_));
    assert!(is_hash || selector.matches(&Hash::from_bytes([0; 32]), text));
}
