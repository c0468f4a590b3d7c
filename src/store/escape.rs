//! Names and other text by others, as people may see it: on one line, and unable to pass for something
//! else or to do anything to a terminal.

use std::{borrow::Cow, path::Path};

/// The text, with an escape (`\n`, `\u{1b}`) for each character that is not seen or does more than being
/// seen. Joiners stay: words of some languages, and many emoji, are made with them.
pub fn escaped(text: &str) -> Cow<'_, str> {
    if !text.contains(is_unsafe) {
        return text.into();
    }
    let mut escaped = String::with_capacity(text.len() + 8);
    for character in text.chars() {
        if is_unsafe(character) {
            escaped.extend(character.escape_default());
        } else {
            escaped.push(character);
        }
    }
    escaped.into()
}

/// A path as people may see it. Bytes that are no UTF-8 become escapes (`\xff`), too.
pub fn shown(path: &Path) -> String {
    let bytes = path.as_os_str().as_encoded_bytes();
    let mut shown = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        shown += &escaped(chunk.valid());
        for byte in chunk.invalid() {
            shown += &format!("\\x{byte:02x}");
        }
    }
    shown
}

/// Whether a character is not seen, reorders or hides what is, or separates lines.
pub fn is_unsafe(character: char) -> bool {
    character.is_control() || is_hidden(character)
}

const fn is_hidden(character: char) -> bool {
    matches!(
        character,
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}' | '\u{200e}' | '\u{200f}'
            | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}'
            | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}'
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_seen_is_escaped_and_the_rest_stays() {
        for (text, expected) in [
            ("naïve 文件 🌊.txt", "naïve 文件 🌊.txt"),
            ("a\nb\tc\0", r"a\nb\tc\u{0}"),
            ("\u{1b}[2Jx\u{9b}1m", r"\u{1b}[2Jx\u{9b}1m"),
            ("a\u{202e}gpj.exe", r"a\u{202e}gpj.exe"),
            ("a\u{ad}\u{2066}\u{e0041}", r"a\u{ad}\u{2066}\u{e0041}"),
            ("\u{1f469}\u{200d}\u{1f52c}", "\u{1f469}\u{200d}\u{1f52c}"),
            ("می\u{200c}خواهم", "می\u{200c}خواهم"),
            (r"C:\a", r"C:\a"),
        ] {
            assert_eq!(escaped(text), expected, "{text:?}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_path_that_is_no_text_is_shown_byte_by_byte() {
        use std::{ffi::OsStr, os::unix::ffi::OsStrExt};
        let path = Path::new(OsStr::from_bytes(b"/a/caf\xe9\n/b"));
        assert_eq!(shown(path), r"/a/caf\xe9\n/b");
    }
}
