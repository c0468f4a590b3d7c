//! Passphrases, as people type them and as files hold them.

use std::{
    fmt,
    fs::File,
    io::{self, Read},
    path::Path,
};

use unicode_normalization::UnicodeNormalization;
use zeroize::Zeroizing;

use crate::identity::others_may_read;

/// Bytes of the longest passphrase.
pub const MAX_PASSPHRASE_LEN: usize = 1024;

/// A passphrase in normal form (NFC), so that all keyboards type the same bytes. Its memory is
/// overwritten when it is dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct Passphrase(Zeroizing<Vec<u8>>);

/// A text that is not a passphrase.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidPassphrase {
    /// It is empty.
    #[error("the passphrase is empty")]
    Empty,
    /// It has several lines.
    #[error("the passphrase has more than one line")]
    Lines,
    /// It is too long.
    #[error("the passphrase is longer than {MAX_PASSPHRASE_LEN} bytes")]
    Long,
    /// It is not UTF-8.
    #[error("the passphrase is not UTF-8 text")]
    NotText,
    /// Other users of this machine can read its file.
    #[error("other users may read the passphrase: run `chmod 600` on its file")]
    Exposed,
    /// Its file cannot be read.
    #[error("the passphrase cannot be read: {0}")]
    Io(#[from] io::Error),
}

impl Passphrase {
    /// The passphrase in `text`, without one line ending at its end.
    ///
    /// # Errors
    ///
    /// [`InvalidPassphrase::Empty`], [`InvalidPassphrase::Long`] and [`InvalidPassphrase::Lines`].
    pub fn new(text: &str) -> Result<Self, InvalidPassphrase> {
        let text = text.strip_suffix('\n').unwrap_or(text);
        let text = text.strip_suffix('\r').unwrap_or(text);
        if text.is_empty() {
            return Err(InvalidPassphrase::Empty);
        }
        if text.len() > MAX_PASSPHRASE_LEN {
            return Err(InvalidPassphrase::Long);
        }
        // It could not be typed.
        if text.contains(['\n', '\r']) {
            return Err(InvalidPassphrase::Lines);
        }
        // NFC takes at most three times the bytes. It never grows, so that no copy stays behind.
        let mut normal = String::with_capacity(3 * text.len());
        normal.extend(text.nfc());
        Ok(Self(Zeroizing::new(normal.into_bytes())))
    }

    /// Reads a passphrase from a file that only its owner can read.
    ///
    /// # Errors
    ///
    /// See [`InvalidPassphrase`].
    pub fn read(path: &Path) -> Result<Self, InvalidPassphrase> {
        let file = File::open(path)?;
        if others_may_read(&file.metadata()?) {
            return Err(InvalidPassphrase::Exposed);
        }
        Self::read_from(file)
    }

    /// Reads a passphrase from everything in `file`.
    ///
    /// # Errors
    ///
    /// See [`InvalidPassphrase`].
    pub fn read_from(file: impl Read) -> Result<Self, InvalidPassphrase> {
        // With the line ending, and one byte that shows that it is too long. It never grows, so that
        // no copy stays behind.
        let most = MAX_PASSPHRASE_LEN + 3;
        let mut bytes = Zeroizing::new(Vec::with_capacity(most + 32));
        file.take(most as u64).read_to_end(&mut bytes)?;
        let text = std::str::from_utf8(&bytes).map_err(|_| InvalidPassphrase::NotText)?;
        Self::new(text)
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Passphrase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Passphrase(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_keyboards_type_the_same_passphrase() {
        let composed = Passphrase::new("Stra\u{df}e f\u{fc}r").unwrap();
        let decomposed = Passphrase::new("Stra\u{df}e fu\u{308}r\n").unwrap();
        assert_eq!(composed, decomposed);
        assert_eq!(
            Passphrase::new("a\r\n").unwrap(),
            Passphrase::new("a").unwrap()
        );
        for lines in ["a\n\n", "a\nb\n", "a\rb"] {
            let refused = Passphrase::new(lines);
            assert!(matches!(refused, Err(InvalidPassphrase::Lines)));
        }
        assert_ne!(
            Passphrase::new("a ").unwrap(),
            Passphrase::new("a").unwrap()
        );
    }

    #[test]
    fn what_is_not_a_passphrase_is_refused() {
        for text in ["", "\n", "\r\n"] {
            assert!(matches!(
                Passphrase::new(text),
                Err(InvalidPassphrase::Empty)
            ));
        }
        let longest = "a".repeat(MAX_PASSPHRASE_LEN);
        Passphrase::read_from(format!("{longest}\r\n").as_bytes()).unwrap();
        for long in [format!("{longest}b"), "a".repeat(1 << 20)] {
            let refused = Passphrase::read_from(long.as_bytes());
            assert!(matches!(refused, Err(InvalidPassphrase::Long)));
        }
        let refused = Passphrase::read_from(&[0xff][..]);
        assert!(matches!(refused, Err(InvalidPassphrase::NotText)));
    }

    #[cfg(unix)]
    #[test]
    fn a_file_that_others_may_read_is_refused() {
        use std::{fs, os::unix::fs::PermissionsExt};
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("passphrase");
        fs::write(&path, "correct horse\n").unwrap();
        let mode = |mode| fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        mode(0o644);
        assert!(matches!(
            Passphrase::read(&path),
            Err(InvalidPassphrase::Exposed)
        ));
        mode(0o400);
        assert_eq!(
            Passphrase::read(&path).unwrap(),
            Passphrase::new("correct horse").unwrap()
        );
    }
}
