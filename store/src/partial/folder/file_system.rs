//! What a file system supports.
//!
//! Pure: `probe` asks the file system.

use std::collections::BTreeSet;

use pelago_content::MAX_NAME_LEN;
use serde::{Deserialize, Serialize};

/// Names that Windows takes for devices, with or without an extension.
const DEVICES: [&str; 6] = ["con", "prn", "aux", "nul", "conin$", "conout$"];

/// Names that are devices with one of [`PORT_DIGITS`] appended.
const PORTS: [&str; 2] = ["com", "lpt"];

/// Digits of ports. Windows treats superscript digits alike.
const PORT_DIGITS: &str = "123456789\u{b9}\u{b2}\u{b3}";

/// Characters that Windows refuses in names, besides control characters. Two of them are separators
/// there.
#[cfg(any(windows, test))]
const REFUSED_BY_WINDOWS: &str = "<>:\"|?*\\/";

/// What one file system supports. The record of a download keeps this, so that names stay the same.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::partial) struct FileSystem {
    /// Characters that it refuses in names.
    #[serde(rename = "c", default, skip_serializing_if = "BTreeSet::is_empty")]
    pub(super) refused: BTreeSet<char>,
    /// Whether it refuses all characters that are not ASCII.
    #[serde(rename = "a", default, skip_serializing_if = "is_false")]
    pub(super) is_ascii_only: bool,
    /// Whether a name keeps a dot or a space at its end.
    #[serde(rename = "e")]
    pub(super) keeps_trailing_dots: bool,
    /// Whether files may have the names of Windows devices.
    #[serde(rename = "d")]
    pub(super) allows_device_names: bool,
    /// Whether names that differ in letter case are different names.
    #[serde(rename = "t")]
    pub(super) is_case_sensitive: bool,
    /// How it treats the Unicode forms of one character.
    #[serde(rename = "f")]
    pub(super) normalization: Normalization,
    /// Bytes of the longest name.
    #[serde(rename = "m")]
    pub(super) max_name_len: usize,
    /// Whether it supports symbolic links.
    #[serde(rename = "l")]
    pub(super) supports_links: bool,
    /// Whether it keeps the executable bit of the owner.
    #[serde(rename = "x")]
    pub(super) keeps_executable: bool,
}

/// How a file system treats names that are equivalent in Unicode: composed and decomposed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::partial) enum Normalization {
    /// They are different names.
    #[serde(rename = "a")]
    Apart,
    /// They are one name, which keeps the form that it was created with.
    #[serde(rename = "s")]
    Same,
    /// Each name becomes composed (NFC).
    #[serde(rename = "c")]
    Composed,
    /// Each name becomes decomposed (NFD).
    #[serde(rename = "d")]
    Decomposed,
}

impl FileSystem {
    /// A file system that supports everything.
    pub(super) const fn unrestricted() -> Self {
        Self {
            refused: BTreeSet::new(),
            is_ascii_only: false,
            keeps_trailing_dots: true,
            allows_device_names: true,
            is_case_sensitive: true,
            normalization: Normalization::Apart,
            max_name_len: MAX_NAME_LEN,
            supports_links: true,
            keeps_executable: true,
        }
    }

    /// What Windows supports on every file system. This is known, not probed: a name that
    /// contains a separator would be another path.
    #[cfg(any(windows, test))]
    pub(in crate::partial) fn windows() -> Self {
        let controls = (0..0x20_u8).map(char::from);
        Self {
            refused: controls.chain(REFUSED_BY_WINDOWS.chars()).collect(),
            keeps_trailing_dots: false,
            allows_device_names: false,
            is_case_sensitive: false,
            keeps_executable: false,
            ..Self::unrestricted()
        }
    }
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
const fn is_false(value: &bool) -> bool {
    !*value
}

/// Whether Windows opens a device under this name.
pub(super) fn is_device(name: &str) -> bool {
    let stem = name.split('.').next().unwrap_or_default();
    let stem = stem.trim_end_matches(' ').to_ascii_lowercase();
    let is_port = || {
        let digit = PORTS.iter().find_map(|port| stem.strip_prefix(port));
        digit.is_some_and(|digit| digit.chars().count() == 1 && PORT_DIGITS.contains(digit))
    };
    DEVICES.contains(&stem.as_str()) || is_port()
}
