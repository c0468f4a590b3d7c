//! Names and paths as they are shown to people: [`Printable`] for text, and [`shown`] for paths,
//! which may not be valid text.

use std::{fmt::Write, path::Path};

pub use pelago_content::{Printable, escaped, is_unsafe};

/// A path as it is shown to people. Bytes that are not valid UTF-8 become escapes (`\xff`).
pub fn shown(path: impl AsRef<Path>) -> String {
    let bytes = path.as_ref().as_os_str().as_encoded_bytes();
    let mut shown = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        shown += &escaped(chunk.valid());
        for byte in chunk.invalid() {
            let _ = write!(shown, "\\x{byte:02x}");
        }
    }
    shown
}

/// One word of a command, quoted for a shell.
#[must_use]
pub fn quoted(word: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./:=@%+,".contains(&byte);
    if !word.is_empty() && word.bytes().all(is_plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    #[cfg(unix)]
    #[test]
    fn a_path_that_is_not_text_is_shown_byte_by_byte() {
        use std::{ffi::OsStr, os::unix::ffi::OsStrExt, path::Path};
        let path = Path::new(OsStr::from_bytes(b"/a/caf\xe9\n/b"));
        assert_eq!(super::shown(path), r"/a/caf\xe9\n/b");
    }
}
