//! Checks all texts against CONTRIBUTING.md: plain technical English, with the actor named.

#![allow(clippy::unwrap_used)] // a test fails by panicking

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use regex::Regex;

/// Rejected phrases as regular expressions, and what to write instead. Each has a bracket, so that
/// it does not match itself.
const REJECTED: [(&str, &str); 8] = [
    (r"\b[Ww]ho[e]ver\b", "name the actor: \"peers that ...\""),
    (
        r"\b[Ww]hat[e]ver\b",
        "\"any\", \"all\", or the thing itself",
    ),
    (
        r"\b([Nn]o|[Ss]ome)[b]ody\b",
        "name the actor, or \"no peer\", \"another user\"",
    ),
    (
        r"\b([Gg]o|[Gg]oes|[Gg]oing|[Ww]ent) [o]n\b",
        "\"continues\", \"resumes\", \"persists\"",
    ),
    (
        r"\b[Ll]ie[s]?\b",
        "\"is stored\", \"is\"; of peers: \"sends wrong data\"",
    ),
    (
        r"\b([Ii]s|[Aa]re|was|were) [n]o\b",
        "\"is not a\", \"has no\"",
    ),
    (
        r"\b([Ii]s|[Aa]re|was|were|be|been) [t]old\b",
        "\"receives\", \"X tells Y\"",
    ),
    (
        r"\b([Ii]s|[Aa]re|was|were|be|been) [s]aid\b",
        "\"X reports\"",
    ),
];

/// Ordinary English that one of the rejected phrases would match.
const ACCEPTED: &str = r"\b[Tt]here (is|are|was|were) no\b|\bno longer\b";

/// The folders with texts.
const FOLDERS: [&str; 14] = [
    ".github",
    "behaviour",
    "config",
    "content",
    "contrib",
    "docs",
    "engine",
    "examples",
    "fuzz/src",
    "scripts",
    "src",
    "store",
    "tests",
    ".ci",
];

const FILES: [&str; 9] = [
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "Cargo.toml",
    "Dockerfile",
    "README.md",
    "compose.yaml",
    "deny.toml",
    "fuzz/target.rs",
    "test",
];

/// Endings of files that are not text, or not ours.
const OTHER: [&str; 6] = ["gz", "png", "svg", "ico", "lock", "json"];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(folder) else {
        return;
    };
    for path in entries.map(|entry| entry.unwrap().path()) {
        let extension = path.extension().and_then(|extension| extension.to_str());
        if path.is_dir() {
            files(&path, found);
        } else if extension.is_none_or(|extension| !OTHER.contains(&extension)) {
            found.push(path);
        }
    }
}

/// Finds rejected phrases, line by line.
struct Judge {
    rejected: Vec<(Regex, &'static str)>,
    accepted: Regex,
}

impl Judge {
    fn new() -> Self {
        let compiled = |(phrase, instead)| (Regex::new(phrase).unwrap(), instead);
        Self {
            rejected: REJECTED.into_iter().map(compiled).collect(),
            accepted: Regex::new(ACCEPTED).unwrap(),
        }
    }

    fn rejected(&self, name: &str, text: &str) -> Vec<String> {
        let mut found = Vec::new();
        for (number, line) in (1..).zip(text.lines()) {
            let judged = self.accepted.replace_all(line, "");
            for (phrase, instead) in &self.rejected {
                if phrase.is_match(&judged) {
                    found.push(format!("{name}:{number}: {}\n    {instead}", line.trim()));
                }
            }
        }
        found
    }
}

/// Code, comments, messages, the page, settings, docs and scripts. Identifiers are single words, so
/// that phrases do not match code.
#[test]
fn no_rejected_phrase_in_what_is_written() {
    let mut paths: Vec<_> = FILES.iter().map(|name| root().join(name)).collect();
    for folder in FOLDERS {
        files(&root().join(folder), &mut paths);
    }
    let (judge, mut found) = (Judge::new(), Vec::new());
    for path in paths {
        let Ok(text) = fs::read_to_string(&path) else {
            continue;
        };
        let name = path.strip_prefix(root()).unwrap().display().to_string();
        found.extend(judge.rejected(&name, &text));
    }
    assert!(
        found.is_empty(),
        "{} lines:\n{}",
        found.len(),
        found.join("\n")
    );
}

/// Help and manual pages, with the texts that the argument parser adds.
#[test]
fn no_rejected_phrase_in_the_manual() {
    let folder = tempfile::tempdir().unwrap();
    let written = Command::new(env!("CARGO_BIN_EXE_pelago"))
        .args(["man", "--output"])
        .arg(folder.path())
        .output()
        .unwrap();
    assert!(written.status.success(), "{written:?}");
    let mut pages = Vec::new();
    files(folder.path(), &mut pages);
    assert!(pages.len() > 20, "{pages:?}");
    let judge = Judge::new();
    let found: Vec<_> = pages
        .iter()
        .flat_map(|page| {
            let name = page.file_name().unwrap().to_str().unwrap();
            judge.rejected(name, &fs::read_to_string(page).unwrap())
        })
        .collect();
    assert!(found.is_empty(), "{}", found.join("\n"));
}
