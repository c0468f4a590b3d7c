//! Holds the arrows of docs/ARCHITECTURE.md against the sources: nothing knows who is above it.

#![allow(clippy::unwrap_used)] // a test fails by panicking

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

/// Which rooms each room may name. A room that is not listed here has no place in the house.
const MAY_NAME: [(&str, &[&str]); 16] = [
    ("main", &["cli"]),
    (
        "cli",
        &["api", "config", "node", "store", "duties", "memory"],
    ),
    ("config", &["limits", "durable"]),
    ("api", &["config", "node", "durable", "duties"]),
    (
        "node",
        &[
            "transfer", "serve", "publish", "network", "store", "access", "limits", "duties",
            "memory",
        ],
    ),
    ("transfer", &["network", "store", "access", "limits"]),
    ("serve", &["network", "store", "access", "limits"]),
    ("publish", &["network", "store", "access", "duties"]),
    ("access", &["store"]),
    ("limits", &[]),
    ("network", &["duties"]),
    ("store", &["durable"]),
    ("durable", &[]),
    ("duties", &[]),
    ("memory", &[]),
    (
        "fuzzing",
        &["api", "config", "node", "network", "store", "transfer"],
    ),
];

/// What must not occur in the crates below the package.
const CRATES_WITHOUT: [(&str, &[&str]); 2] = [
    (
        "content",
        &[
            "std::fs",
            "std::net",
            "std::thread",
            "tokio",
            "libp2p",
            "async fn",
        ],
    ),
    ("behaviour", &["std::fs", "tokio::spawn", "clap"]),
];

fn sources(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    let mut found = Vec::new();
    for path in entries.map(|entry| entry.unwrap().path()) {
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The rooms that a source names: after `crate::`, or in the list behind `crate::{`.
fn rooms_named(text: &str) -> Vec<String> {
    let mut rooms = Vec::new();
    for after in text.split("crate::").skip(1) {
        let first_word = |text: &str| {
            text.trim_start()
                .split(|c: char| !c.is_alphanumeric() && c != '_')
                .next()
                .map(str::to_owned)
        };
        match after.strip_prefix('{') {
            None => rooms.extend(first_word(after)),
            Some(list) => {
                let mut depth = 0;
                let mut start = true;
                for (index, c) in list.char_indices() {
                    match c {
                        '{' => depth += 1,
                        '}' if depth == 0 => break,
                        '}' => depth -= 1,
                        ',' if depth == 0 => start = true,
                        c if start && c.is_alphabetic() => {
                            rooms.extend(first_word(&list[index..]));
                            start = false;
                        }
                        _ => {}
                    }
                }
            }
        }
    }
    rooms
}

#[test]
fn arrows_run_one_way() {
    let allowed: BTreeMap<_, _> = MAY_NAME.into();
    let src = root().join("src");
    let mut wrong = Vec::new();
    for path in sources(&src) {
        let relative = path.strip_prefix(&src).unwrap();
        let room = relative
            .iter()
            .next()
            .unwrap()
            .to_str()
            .unwrap()
            .trim_end_matches(".rs");
        if room == "lib" {
            continue;
        }
        let may = allowed
            .get(room)
            .unwrap_or_else(|| panic!("{room} has no place in the house"));
        let text = fs::read_to_string(&path).unwrap();
        for named in rooms_named(&text) {
            if allowed.contains_key(named.as_str())
                && named != room
                && !may.contains(&named.as_str())
            {
                wrong.push(format!("{} names {named}", relative.display()));
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "against the arrows:\n{}",
        wrong.join("\n")
    );
}

#[test]
fn the_crates_below_stay_pure() {
    for (name, without) in CRATES_WITHOUT {
        for path in sources(&root().join(name).join("src")) {
            if path.file_stem().is_some_and(|name| name == "tests") {
                continue;
            }
            let text = fs::read_to_string(&path).unwrap();
            let code = text.split("#[cfg(test)]").next().unwrap();
            let code: String = code
                .lines()
                .filter(|line| !line.trim_start().starts_with("//"))
                .collect();
            for word in without {
                assert!(!code.contains(word), "{} has {word}", path.display());
            }
        }
    }
}

/// That place states who named the addresses of each dial, so that the policy can judge them.
#[test]
fn the_swarm_is_dialed_in_one_place() {
    let calls = |path: &PathBuf| {
        let text = fs::read_to_string(path).unwrap();
        text.matches("swarm.dial(").count()
    };
    let found: Vec<_> = sources(&root().join("src"))
        .into_iter()
        .filter(|path| calls(path) > 0)
        .map(|path| (calls(&path), path.file_name().unwrap().to_owned()))
        .collect();
    assert_eq!(found, [(1, "connections.rs".into())]);
}

#[test]
fn the_reader_of_sources_sees_what_is_named() {
    let text = "use crate::{store::{A, B}, network::C};\nlet x = crate::node::d();";
    assert_eq!(rooms_named(text), ["store", "network", "node"]);
}
