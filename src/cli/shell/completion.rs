//! Completes the word that is being typed. Commands and flags come from the definition of the
//! command line, so that a new one needs no code here.
//!
//! The name of a value tells its kind: for `HASH`, `NAME`, `PEER`, `ADDR`, `GROUP`, `MEMBER`, `USER`,
//! `SETTING` and paths, those that are known are suggested.

use std::{fs, path::MAIN_SEPARATOR};

use clap::{Arg, Command, ValueHint};
use rustyline::{
    Context, Helper,
    completion::{Completer, Pair},
    highlight::Highlighter,
    hint::Hinter,
    validate::Validator,
};

use super::split::typed;
use crate::cli::text::{escape, quoted};

/// Names that a person may currently want to type.
#[derive(Clone, Debug, Default)]
pub(super) struct Suggestions {
    pub(super) hashes: Vec<String>,
    pub(super) names: Vec<String>,
    pub(super) peers: Vec<String>,
    pub(super) addresses: Vec<String>,
    pub(super) groups: Vec<String>,
    pub(super) members: Vec<String>,
    /// Users who ask to join a group.
    pub(super) requesters: Vec<String>,
}

/// Asks the running node for suggestions; called only where a value is one of them.
pub(super) type AskNode = Box<dyn Fn() -> Suggestions + Send>;

/// Completes words of a line.
pub(super) struct Completion {
    root: Command,
    /// The names of all settings.
    settings: Vec<String>,
    ask_node: AskNode,
}

/// The kind of word that is expected.
enum Expected<'a> {
    Verb(&'a Command),
    Flag(&'a Command),
    Value(&'a Arg),
    Nothing,
}

impl Completion {
    pub(super) fn new(mut root: Command, settings: Vec<String>, ask_node: AskNode) -> Self {
        // This adds the global flags to all commands, and the command `help`.
        root.build();
        Self {
            root,
            settings,
            ask_node,
        }
    }

    /// All completions of `word` after the words `before`, sorted.
    fn candidates(&self, before: &[String], word: &str) -> Vec<String> {
        let mut candidates = match expected(&self.root, before, word) {
            Expected::Verb(command) => verbs(command),
            Expected::Flag(command) => flags(command),
            Expected::Value(arg) => self.values(arg, word),
            Expected::Nothing => Vec::new(),
        };
        // A person cannot recognise names that are shown escaped.
        candidates.retain(|text| text.starts_with(word) && escape(text) == *text);
        candidates.sort();
        candidates.dedup();
        candidates
    }

    fn values(&self, arg: &Arg, word: &str) -> Vec<String> {
        let mut values: Vec<_> = arg
            .get_possible_values()
            .iter()
            .map(|value| value.get_name().to_owned())
            .collect();
        let names: Vec<_> = arg
            .get_value_names()
            .unwrap_or_default()
            .iter()
            .flat_map(|name| name.split('|'))
            .collect();
        let is_one_of = |what: &[&str]| names.iter().any(|name| what.contains(name));
        if is_one_of(&["HASH", "PEER", "ADDR", "GROUP", "MEMBER", "USER"]) {
            let known = (self.ask_node)();
            if is_one_of(&["HASH"]) {
                values.extend(known.hashes);
            }
            // A `NAME` without `HASH` is a new name.
            if is_one_of(&["HASH"]) && is_one_of(&["NAME"]) {
                values.extend(known.names);
            }
            if is_one_of(&["PEER"]) {
                values.extend(known.peers);
            }
            if is_one_of(&["ADDR"]) {
                values.extend(known.addresses);
            }
            if is_one_of(&["GROUP"]) {
                values.extend(known.groups);
            }
            if is_one_of(&["MEMBER"]) {
                values.extend(known.members);
            }
            if is_one_of(&["USER"]) {
                values.extend(known.requesters);
            }
        }
        if is_one_of(&["SETTING"]) {
            values.extend_from_slice(&self.settings);
        }
        let is_path = matches!(
            arg.get_value_hint(),
            ValueHint::AnyPath | ValueHint::FilePath | ValueHint::DirPath
        );
        if is_path || is_one_of(&["PATH", "DIR", "FILE"]) {
            values.extend(paths(word));
        }
        values
    }
}

fn expected<'a>(root: &'a Command, before: &[String], word: &str) -> Expected<'a> {
    let mut command = root;
    let mut flag: Option<&Arg> = None;
    let mut values = 0;
    for word in before {
        if flag.take().is_some() {
            // The word is the value of the flag before it.
        } else if word.starts_with('-') {
            flag = command.get_opts().find(|arg| is_flag(arg, word));
        } else if let Some(verb) = command.find_subcommand(word) {
            command = verb;
        } else {
            values += 1;
        }
    }
    if let Some(flag) = flag.filter(|flag| needs_value(flag)) {
        return Expected::Value(flag);
    }
    if word.starts_with('-') {
        return Expected::Flag(command);
    }
    if command.has_subcommands() {
        return Expected::Verb(command);
    }
    let positionals: Vec<_> = command.get_positionals().collect();
    let last = positionals.last().filter(|arg| takes_many(arg));
    let value = positionals.get(values).or(last);
    value.map_or(Expected::Nothing, |arg| Expected::Value(arg))
}

/// Whether `word` is the flag `arg`, and its value is the next word.
fn is_flag(arg: &Arg, word: &str) -> bool {
    let is_long = word
        .strip_prefix("--")
        .is_some_and(|long| arg.get_long() == Some(long));
    let is_short = word.strip_prefix('-').is_some_and(|short| {
        arg.get_short()
            .is_some_and(|own| short.strip_prefix(own) == Some(""))
    });
    (is_long || is_short) && needs_value(arg)
}

fn needs_value(arg: &Arg) -> bool {
    arg.get_num_args()
        .is_none_or(|number| number.min_values() > 0)
}

fn takes_many(arg: &Arg) -> bool {
    arg.get_num_args()
        .is_some_and(|number| number.max_values() > 1)
}

fn verbs(command: &Command) -> Vec<String> {
    let verbs = command.get_subcommands().filter(|verb| !verb.is_hide_set());
    verbs
        .flat_map(|verb| {
            [verb.get_name()]
                .into_iter()
                .chain(verb.get_visible_aliases())
        })
        .map(str::to_owned)
        .collect()
}

fn flags(command: &Command) -> Vec<String> {
    let flags = command.get_arguments().filter(|arg| !arg.is_hide_set());
    flags
        .filter_map(|arg| Some(format!("--{}", arg.get_long()?)))
        .collect()
}

/// The paths that begin with `word`; folders end with a separator. Hidden files are suggested only
/// after a `.`.
fn paths(word: &str) -> Vec<String> {
    let name_at = word.rfind(MAIN_SEPARATOR).map_or(0, |at| at + 1);
    let (folder, name) = word.split_at(name_at);
    let entries = fs::read_dir(if folder.is_empty() { "." } else { folder });
    let path = |entry: fs::DirEntry| {
        let found = entry.file_name().into_string().ok()?;
        let is_asked_for = name.starts_with('.') || !found.starts_with('.');
        let end = if entry.path().is_dir() {
            MAIN_SEPARATOR.to_string()
        } else {
            String::new()
        };
        is_asked_for.then(|| format!("{folder}{found}{end}"))
    };
    entries
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(path)
        .collect()
}

impl Completer for Completion {
    type Candidate = Pair;

    fn complete(
        &self,
        line: &str,
        position: usize,
        _: &Context<'_>,
    ) -> rustyline::Result<(usize, Vec<Pair>)> {
        let Some((before, word)) = typed(&line[..position]) else {
            return Ok((position, Vec::new()));
        };
        let candidates = self.candidates(&before, &word.text);
        let pair = |text: String| Pair {
            replacement: finished(&text),
            display: text,
        };
        Ok((word.start, candidates.into_iter().map(pair).collect()))
    }
}

/// The word as a person would type it, with a space at its end unless it is a folder.
fn finished(text: &str) -> String {
    let end = if text.ends_with(MAIN_SEPARATOR) {
        ""
    } else {
        " "
    };
    format!("{}{end}", quoted(text))
}

impl Helper for Completion {}
impl Highlighter for Completion {}
impl Hinter for Completion {
    type Hint = String;
}
impl Validator for Completion {}

#[cfg(test)]
mod tests {
    use rustyline::history::DefaultHistory;

    use super::*;
    use crate::cli::verbs::definition;

    fn known() -> Suggestions {
        Suggestions {
            hashes: vec!["ab12".into(), "cd34".into()],
            names: vec!["a film.mkv".into(), "evil\u{202e}gpj".into()],
            peers: vec!["anna".into()],
            addresses: vec!["/ip4/192.0.2.1/tcp/1".into()],
            groups: vec!["family".into()],
            members: vec!["bert".into()],
            requesters: vec!["carl".into()],
        }
    }

    fn completed(line: &str) -> Vec<String> {
        let settings = ["network.name", "transfer.seed"].map(str::to_owned);
        let completion = Completion::new(definition(), settings.to_vec(), Box::new(known));
        let history = DefaultHistory::new();
        let (start, pairs) = completion
            .complete(line, line.len(), &Context::new(&history))
            .unwrap();
        let whole = |pair: Pair| format!("{}{}", &line[..start], pair.replacement);
        pairs.into_iter().map(whole).collect()
    }

    #[test]
    fn verbs_and_flags_come_from_the_definition() {
        assert_eq!(completed("unsh"), ["unshare "]);
        assert_eq!(completed("qu"), ["quit "]);
        assert_eq!(completed("help unsh"), ["help unshare "]);
        assert_eq!(completed("exi"), ["exit "]);
        assert_eq!(completed("star"), [""; 0], "a node would block the shell");
        assert_eq!(completed("--js"), ["--json "]);
        assert_eq!(completed("share --unl"), ["share --unlisted "]);
        // Global flags are also valid after the command.
        assert_eq!(completed("share --data"), ["share --data-dir "]);
        assert_eq!(completed("--json unsh"), ["--json unshare "]);
        assert!(completed("").len() > 10);
    }

    #[test]
    fn values_are_of_the_kind_that_belongs_there() {
        assert_eq!(
            completed("unshare a"),
            ["unshare 'a film.mkv' ", "unshare ab12 "]
        );
        assert_eq!(completed("unshare 'a f"), ["unshare 'a film.mkv' "]);
        assert_eq!(completed("link ab12 "), [""; 0]);
        assert_eq!(completed("download --hash c"), ["download --hash cd34 "]);
        assert_eq!(completed("download --from "), ["download --from anna "]);
        assert_eq!(
            completed("download ab12 --peer /ip"),
            ["download ab12 --peer /ip4/192.0.2.1/tcp/1 "]
        );
        assert_eq!(
            completed("share --name a"),
            [""; 0],
            "a new name is not a known one"
        );
    }

    #[test]
    fn groups_and_the_people_in_them_are_known() {
        assert_eq!(completed("group inv"), ["group invite ", "group invites "]);
        assert_eq!(completed("group invite f"), ["group invite family "]);
        assert_eq!(completed("share x --group f"), ["share x --group family "]);
        assert_eq!(
            completed("group remove family "),
            ["group remove family bert "]
        );
        assert_eq!(
            completed("group accept family "),
            ["group accept family carl "]
        );
        assert_eq!(
            completed("group owner drop family b"),
            ["group owner drop family bert "]
        );
        assert_eq!(completed("group create f"), [""; 0], "a new name");
    }

    #[test]
    fn settings_go_by_their_names() {
        assert_eq!(completed("settings tr"), ["settings transfer.seed "]);
        assert_eq!(completed("settings transfer.seed "), [""; 0]);
    }

    #[test]
    fn names_that_deceive_are_not_offered() {
        assert_eq!(completed("unshare ev"), [""; 0]);
    }

    #[test]
    fn paths_are_completed_folder_by_folder() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().to_str().unwrap();
        fs::create_dir_all(folder.path().join("a folder")).unwrap();
        fs::write(folder.path().join("a folder/one"), "").unwrap();
        fs::write(folder.path().join(".hidden"), "").unwrap();
        assert_eq!(
            completed(&format!("share {root}/")),
            [format!("share '{root}/a folder/'")]
        );
        assert_eq!(
            completed(&format!("share x '{root}/a folder/'")),
            [format!("share x '{root}/a folder/one' ")],
            "of several paths each is completed"
        );
        assert_eq!(
            completed(&format!("download ab -o {root}/.h")),
            [format!("download ab -o {root}/.hidden ")]
        );
    }
}
