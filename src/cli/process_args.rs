//! The words that this process was started with.
//!
//! Every user of this machine can read the arguments of a process, and only its owner its environment. So
//! the words of a verb that was typed in the shell, a link among them, come by a variable.

use std::{
    env,
    ffi::{OsStr, OsString},
    process::Command,
};

/// The variable that holds further words.
const VARIABLE: &str = "PELAGO_SHELL_WORDS";

/// Between two words: what no keyboard types.
const SEPARATOR: char = '\u{1f}';

/// The program and its arguments, with those that came unseen.
pub(super) fn given() -> impl Iterator<Item = OsString> {
    let unseen = env::var(VARIABLE).ok();
    let unseen = unseen.map(|words| words.split(SEPARATOR).map(OsString::from).collect());
    let unseen: Vec<_> = unseen.unwrap_or_default();
    env::args_os().chain(unseen)
}

/// Has `command` be given `words` unseen; those that are no text, as arguments.
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
    fn what_is_typed_is_no_argument() {
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
