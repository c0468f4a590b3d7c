//! What people type, for fuzzing.

use super::called::Called;
use crate::content::Hash;

/// What is meant by a hash, the first digits of one, or a name.
pub(crate) fn selector(text: &str) {
    let called = Called::new(text);
    let is_hash = matches!(called, Called::Hash(_));
    assert!(is_hash || called.is(&Hash::from_bytes([0; 32]), text));
}
