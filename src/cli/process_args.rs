//! The arguments of this process.
//!
//! Every user of the machine can read the arguments of a process, but only its owner can read its
//! environment. So the shell passes the words of a command, which may hold a link, in a variable.

use std::{
    env,
    ffi::{OsStr, OsString},
    process::Command,
};

use pelago_groups::GroupLink;

/// The variable that holds further arguments.
const VARIABLE: &str = "PELAGO_SHELL_WORDS";

/// Separates two words: a character that no keyboard types.
const SEPARATOR: char = '\u{1f}';

/// The program and its arguments, then those in the variable.
pub(super) fn given() -> impl Iterator<Item = OsString> {
    let hidden = env::var(VARIABLE).ok();
    let hidden = hidden.map(|words| words.split(SEPARATOR).map(OsString::from).collect());
    let hidden: Vec<_> = hidden.unwrap_or_default();
    env::args_os().chain(hidden)
}

/// Whether one of them has a link to a group in it.
pub(super) fn have_invitation() -> bool {
    given().any(|word| GroupLink::is_in(&word.to_string_lossy()))
}

/// Passes `words` to `command` in the variable; as arguments if they are not UTF-8.
pub(super) fn give<W: AsRef<OsStr>>(command: &mut Command, words: &[W]) {
    let texts = words.iter().map(|word| {
        let text = word.as_ref().to_str();
        text.filter(|text| !text.contains(SEPARATOR))
    });
    match texts.collect::<Option<Vec<_>>>() {
        Some(texts) if !texts.is_empty() => {
            command.env(VARIABLE, texts.join(&SEPARATOR.to_string()));
        }
        _ => {
            command.env_remove(VARIABLE).args(words);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn typed_words_are_not_arguments() {
        let mut command = Command::new("x");
        give(&mut command, &["download", "pelago:ab?name=a b"]);
        assert_eq!(command.get_args().count(), 0);
        let words = command.get_envs().next().unwrap();
        let expected = OsStr::new("download\u{1f}pelago:ab?name=a b");
        assert_eq!(words, (OsStr::new(VARIABLE), Some(expected)));
        give(&mut command, &["a\u{1f}b"]);
        assert_eq!(command.get_args().next().unwrap(), "a\u{1f}b");
        assert_eq!(command.get_envs().next().unwrap().1, None);
    }
}
