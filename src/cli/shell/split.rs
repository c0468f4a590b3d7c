//! Splits a line into words as a POSIX shell does: with spaces between words, quotes (`'...'` and
//! `"..."`), `\` to escape a character, and `#` for comments.
//!
//! One scanner serves lines that are run and lines that are being typed, for which it finds the
//! start of the word under the cursor. Variables and globs are not supported; a leading `~` is the
//! home folder.

use std::iter::Peekable;
use std::str::CharIndices;

/// A line that ends within quotes or after a backslash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the line ends before its {0} is closed")]
pub(in crate::cli) struct Unclosed(char);

/// A word, and where in the line it begins.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Word {
    pub(super) start: usize,
    pub(super) text: String,
}

/// The words of a whole line.
///
/// # Errors
///
/// [`Unclosed`].
pub(in crate::cli) fn split(line: &str) -> Result<Vec<String>, Unclosed> {
    let scanned = Scanner::new(line).scan();
    match scanned.unclosed {
        Some(unclosed) => Err(unclosed),
        None => Ok(scanned.words.into_iter().map(|word| word.text).collect()),
    }
}

/// The words before the one that is being typed at the end of `line`, and that one; none in a
/// comment.
pub(super) fn typed(line: &str) -> Option<(Vec<String>, Word)> {
    let Scanned {
        mut words,
        ended,
        is_comment,
        ..
    } = Scanner::new(line).scan();
    let last = if ended { None } else { words.pop() };
    let last = last.unwrap_or_else(|| Word {
        start: line.len(),
        text: String::new(),
    });
    let before = words.into_iter().map(|word| word.text).collect();
    (!is_comment).then_some((before, last))
}

struct Scanned {
    words: Vec<Word>,
    /// Whether the last word is complete.
    ended: bool,
    is_comment: bool,
    unclosed: Option<Unclosed>,
}

struct Scanner<'a> {
    rest: Peekable<CharIndices<'a>>,
    word: Option<Word>,
    unclosed: Option<Unclosed>,
}

impl<'a> Scanner<'a> {
    fn new(line: &'a str) -> Self {
        Self {
            rest: line.char_indices().peekable(),
            word: None,
            unclosed: None,
        }
    }

    fn scan(mut self) -> Scanned {
        let mut words = Vec::new();
        let mut is_comment = false;
        while let Some((at, c)) = self.rest.next() {
            match c {
                c if c.is_whitespace() => words.extend(self.word.take()),
                '#' if self.word.is_none() => {
                    is_comment = true;
                    break;
                }
                '~' if self.word.is_none() && self.is_home() => self.take(at, &home()),
                c => self.begin(at, c),
            }
        }
        let ended = self.word.is_none();
        words.extend(self.word.take());
        Scanned {
            words,
            ended,
            is_comment,
            unclosed: self.unclosed,
        }
    }

    /// Takes the part that begins with `c`: a character, or the text between quotes.
    fn begin(&mut self, at: usize, c: char) {
        self.take(at, "");
        match c {
            '\'' => self.quoted(c, |_| false),
            '"' => self.quoted(c, |next| matches!(next, '"' | '\\' | '$' | '`')),
            '\\' => match self.rest.next() {
                Some((at, c)) => self.take(at, c.encode_utf8(&mut [0; 4])),
                None => self.unclosed = Some(Unclosed(c)),
            },
            c => self.take(at, c.encode_utf8(&mut [0; 4])),
        }
    }

    /// Takes the text up to `quote`; a backslash is literal unless `is_escaped` holds for the next
    /// character.
    fn quoted(&mut self, quote: char, is_escaped: impl Fn(char) -> bool) {
        while let Some((at, mut c)) = self.rest.next() {
            if c == quote {
                return;
            }
            if c == '\\'
                && let Some((_, next)) = self.rest.next_if(|(_, next)| is_escaped(*next))
            {
                c = next;
            }
            self.take(at, c.encode_utf8(&mut [0; 4]));
        }
        self.unclosed = Some(Unclosed(quote));
    }

    fn take(&mut self, at: usize, text: &str) {
        let new = || Word {
            start: at,
            text: String::new(),
        };
        self.word.get_or_insert_with(new).text.push_str(text);
    }

    /// Whether the `~` just read stands alone or before a `/`.
    fn is_home(&mut self) -> bool {
        let next = self.rest.peek();
        next.is_none_or(|(_, next)| *next == '/' || next.is_whitespace())
    }
}

/// The home folder; without one, a literal `~`.
fn home() -> String {
    let home = std::env::home_dir().and_then(|home| home.into_os_string().into_string().ok());
    home.unwrap_or_else(|| "~".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_split_as_a_shell_does() {
        for (line, expected) in [
            ("", &[][..]),
            ("  list\t--network ", &["list", "--network"]),
            ("share 'a b' \"c d\" e\\ f", &["share", "a b", "c d", "e f"]),
            (
                r#"it\'s 'a\b' "a\b" "\"\$\\""#,
                &["it's", r"a\b", r"a\b", r#""$\"#],
            ),
            ("a''b '' \"\"", &["ab", "", ""]),
            ("list # all of it", &["list"]),
            ("pelago:ab?name=a#b&c", &["pelago:ab?name=a#b&c"]),
            ("a~ ~b naïve", &["a~", "~b", "naïve"]),
        ] {
            assert_eq!(split(line).unwrap(), expected, "{line}");
        }
        for (line, open) in [("'a", '\''), ("\"a'", '"'), ("a\\", '\\')] {
            assert_eq!(split(line), Err(Unclosed(open)), "{line}");
        }
    }

    #[test]
    fn quoted_words_are_read_back() {
        for word in ["it's", "a b", "", "\\", "~/x", "#", "\"$"] {
            let quoted = crate::cli::text::quoted(word);
            assert_eq!(split(&quoted).unwrap(), [word], "{quoted}");
        }
    }

    #[test]
    fn the_home_folder_is_a_tilde() {
        let home = home();
        assert_eq!(
            split("~ ~/x '~'").unwrap(),
            [home.clone(), format!("{home}/x"), "~".into()]
        );
    }

    #[test]
    fn the_word_that_is_being_typed_is_known_from_its_start() {
        let word = |start, text: &str| Word {
            start,
            text: text.to_owned(),
        };
        for (line, before, last) in [
            ("", &[][..], word(0, "")),
            ("li", &[], word(0, "li")),
            ("list ", &["list"], word(5, "")),
            ("share 'a b", &["share"], word(6, "a b")),
            ("share x\\ y", &["share"], word(6, "x y")),
            ("share 'a b'/c", &["share"], word(6, "a b/c")),
        ] {
            let before = before.iter().map(|word| (*word).to_owned()).collect();
            assert_eq!(typed(line), Some((before, last)), "{line}");
        }
        assert_eq!(typed("list # wh"), None);
    }
}
