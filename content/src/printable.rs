//! Untrusted text made safe for people to see: on one line, without characters that could deceive
//! a reader or control a terminal.
//!
//! All text that a peer chose (names, addresses, protocol names, errors that quote them) passes
//! through here before it becomes part of a message. Programs get the exact text.

use std::{
    borrow::Cow,
    fmt::{self, Display, Write},
};

/// Displays untrusted text, with an escape (`
/// `, `\u{1b}`) for each character that is invisible or has other effects.
///
/// ```
/// use pelago_content::Printable;
///
/// assert_eq!(Printable("a\nb\u{202e}").to_string(), r"a\nb\u{202e}");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Printable<T>(pub T);

impl<T: Display> Display for Printable<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(Escaping(f), "{}", self.0)
    }
}

/// Escapes all text that is written to it.
struct Escaping<'f, 'b>(&'f mut fmt::Formatter<'b>);

impl Write for Escaping<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let mut rest = text;
        while let Some(at) = rest.find(is_unsafe) {
            self.0.write_str(&rest[..at])?;
            let mut characters = rest[at..].chars();
            if let Some(character) = characters.next() {
                write!(self.0, "{}", character.escape_default())?;
            }
            rest = characters.as_str();
        }
        self.0.write_str(rest)
    }
}

/// The text, escaped as [`Printable`] does.
#[must_use]
pub fn escaped(text: &str) -> Cow<'_, str> {
    if text.contains(is_unsafe) {
        Printable(text).to_string().into()
    } else {
        text.into()
    }
}

/// Whether a character is invisible, reorders or hides others, or separates lines. Joiners are
/// safe: words of some languages, and many emoji, need them.
#[must_use]
pub const fn is_unsafe(character: char) -> bool {
    matches!(
        character,
        '\0'..='\u{1f}' | '\u{7f}'..='\u{9f}' | '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'
            | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}'
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
            ("\u{7}\u{2028}\u{85}", r"\u{7}\u{2028}\u{85}"),
            ("a\u{202e}gpj.exe", r"a\u{202e}gpj.exe"),
            ("a\u{ad}\u{2066}\u{e0041}", r"a\u{ad}\u{2066}\u{e0041}"),
            ("\u{1f469}\u{200d}\u{1f52c}", "\u{1f469}\u{200d}\u{1f52c}"),
            ("می\u{200c}خواهم", "می\u{200c}خواهم"),
            (r"C:\a", r"C:\a"),
        ] {
            assert_eq!(escaped(text), expected, "{text:?}");
            assert_eq!(Printable(text).to_string(), expected, "{text:?}");
            assert_eq!(escaped(&escaped(text)), expected, "twice");
        }
    }
}
