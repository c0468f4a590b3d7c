//! Compares documents with the sources: a module names only modules below it, files of one module
//! name each other in no circle, and the tests that documents name exist.

#![allow(clippy::unwrap_used, clippy::expect_used)] // a test fails by panicking

mod arrows;
mod modules;
mod named_tests;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use crate::{
    arrows::{Arrows, arrows, circles, modules_named},
    modules::Modules,
    named_tests::{Names, named_tests},
};

/// The crates whose modules have an order among them. They name modules of other crates by the
/// alias that the root of the crate gives them: `crate::store`.
const WITH_MODULES: [&str; 2] = ["src", "engine/src"];

/// Which modules each module may name. Every module of these crates is in this table.
const MAY_NAME: [(&str, &[&str]); 17] = [
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
            "transfer", "serve", "publish", "groups", "network", "store", "access", "limits",
            "duties", "memory",
        ],
    ),
    ("transfer", &["network", "store", "access", "limits"]),
    ("serve", &["network", "store", "access", "limits"]),
    ("publish", &["network", "store", "access", "duties"]),
    (
        "groups",
        &["network", "store", "access", "limits", "duties"],
    ),
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

/// Text that must not occur in the crates below the package.
const CRATES_WITHOUT: [(&str, &[&str]); 4] = [
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
    // A clock that is wrong by years changes nothing about who is in a group.
    (
        "groups",
        &[
            "std::fs",
            "std::net",
            "std::time",
            "SystemTime",
            "tokio",
            "libp2p",
        ],
    ),
    ("store", &["std::net", "libp2p::", "clap"]),
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

/// The top-level module of a file.
fn top(file: &Path) -> &str {
    let first = file.iter().next().unwrap().to_str().unwrap();
    first.trim_end_matches(".rs")
}

fn named_items(arrows: &Arrows, from: &Path, to: &Path) -> String {
    let items: Vec<_> = arrows[from][to].iter().map(String::as_str).collect();
    items.join(", ")
}

#[test]
fn arrows_run_one_way() {
    let allowed: BTreeMap<&str, &[&str]> = MAY_NAME.into();
    let crates = WITH_MODULES.map(|src| modules_named(&Modules::read(&root().join(src))));
    let named: Vec<_> = crates.iter().flatten().collect();
    let mut wrong = Vec::new();
    for (from, paths) in named {
        for (named, path) in paths {
            let module = top(from);
            if module == named || module == "lib" || !allowed.contains_key(named.as_str()) {
                continue;
            }
            let may = allowed
                .get(module)
                .unwrap_or_else(|| panic!("{module} has no place in the package"));
            if !may.contains(&named.as_str()) {
                wrong.push(format!("{} names {path}", from.display()));
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "against the arrows:\n{}",
        wrong.join("\n")
    );
}

/// All modules of the table exist, so that the table stays up to date.
#[test]
fn every_module_has_its_place() {
    let crates = WITH_MODULES.map(|src| Modules::read(&root().join(src)));
    let modules = crates.iter().flat_map(|modules| modules.0.values());
    let there: BTreeSet<_> = modules.map(|module| top(&module.file)).collect();
    let placed: BTreeSet<_> = MAY_NAME.iter().map(|(module, _)| *module).collect();
    let missing: Vec<_> = there
        .difference(&placed)
        .filter(|name| **name != "lib")
        .collect();
    assert!(missing.is_empty(), "without a place: {missing:?}");
}

#[test]
fn no_circle_of_files_within_a_module() {
    let mut found = String::new();
    for src in [
        "src",
        "engine/src",
        "behaviour/src",
        "content/src",
        "store/src",
    ] {
        let modules = Modules::read(&root().join(src));
        let arrows = arrows(&modules);
        // Each other crate counts as one module.
        let module = |file: &Path| match src {
            _ if WITH_MODULES.contains(&src) => top(file).to_owned(),
            _ => src.to_owned(),
        };
        let names: BTreeSet<_> = modules.0.values().map(|one| module(&one.file)).collect();
        for name in names {
            for circle in circles(&arrows, |file| module(file) == name) {
                found += &format!("in {name}:\n");
                for from in &circle {
                    for to in arrows[from].keys().filter(|to| circle.contains(to)) {
                        let items = named_items(&arrows, from, to);
                        found +=
                            &format!("  {} names {items} of {}\n", from.display(), to.display());
                    }
                }
            }
        }
    }
    assert!(found.is_empty(), "circles of files\n{found}");
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

/// This one function states which peer named the addresses of a dial, so that the policy can judge
/// them.
#[test]
fn the_swarm_is_dialed_in_one_place() {
    let calls = |path: &PathBuf| {
        let text = fs::read_to_string(path).unwrap();
        text.matches("swarm.dial(").count()
    };
    let found: Vec<_> = sources(&root().join("engine/src"))
        .into_iter()
        .filter(|path| calls(path) > 0)
        .map(|path| (calls(&path), path.file_name().unwrap().to_owned()))
        .collect();
    assert_eq!(found, [(1, "connections.rs".into())]);
}

/// Paths are followed through imports, parents and re-exports, on which the tests above rely.
#[test]
fn names_are_followed_to_where_they_are_defined() {
    let package = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = package.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    write("lib.rs", "mod shop;\nmod till;");
    write(
        "shop/mod.rs",
        "mod goods;\nmod shelf;\npub(crate) use goods::Fruit;\npub struct Shop;",
    );
    write(
        "shop/goods.rs",
        "pub(crate) enum Fruit { Apple }\npub(super) fn weigh() {}",
    );
    write(
        "shop/shelf.rs",
        "use super::{Fruit, goods};\nfn fill() { goods::weigh(); vec![super::Shop]; }",
    );
    write(
        "till.rs",
        "fn pay() { crate::shop::Fruit::Apple; }\n#[cfg(test)]\nmod tests { use crate::shop::Shop; }",
    );
    let arrows = arrows(&Modules::read(package.path()));
    let flat: Vec<_> = arrows
        .iter()
        .flat_map(|(from, targets)| targets.keys().map(move |to| (from, to)))
        .map(|(from, to)| {
            let items = named_items(&arrows, from, to);
            format!("{} -> {}: {items}", from.display(), to.display())
        })
        .collect();
    assert_eq!(
        flat,
        [
            "shop/shelf.rs -> shop/goods.rs: Fruit, weigh",
            "shop/shelf.rs -> shop/mod.rs: Shop",
            "till.rs -> shop/goods.rs: Fruit",
        ]
    );
}

#[test]
fn methods_for_the_type_of_a_parent_are_no_circle() {
    let package = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| fs::write(package.path().join(name), text).unwrap();
    fs::create_dir(package.path().join("shop")).unwrap();
    write("lib.rs", "mod shop;");
    write(
        "shop/mod.rs",
        "mod goods;\nmod shelf;\npub struct Shop;\nfn a() { shelf::fill(); }",
    );
    write(
        "shop/goods.rs",
        "use super::Shop;\nimpl Shop { pub fn sell(&self) {} }",
    );
    write(
        "shop/shelf.rs",
        "use super::Shop;\nimpl Shop { fn b() {} }\npub fn fill() {}",
    );
    let arrows = arrows(&Modules::read(package.path()));
    assert!(!arrows.contains_key(Path::new("shop/goods.rs")));
    let circle = ["shop/mod.rs", "shop/shelf.rs"].map(PathBuf::from);
    assert_eq!(circles(&arrows, |_| true), [circle]);
}

/// A promise is worth as much as the test that holds it.
#[test]
fn the_tests_that_documents_name_exist() {
    let folders = [
        "src",
        "engine",
        "store",
        "behaviour",
        "groups",
        "content",
        "tests",
    ];
    let sources = folders.map(|folder| sources(&root().join(folder))).concat();
    let names = Names::read(sources.iter().map(PathBuf::as_path));
    for document in ["docs/SECURITY.md", "docs/ARCHITECTURE.md"] {
        let document = fs::read_to_string(root().join(document)).unwrap();
        let named = named_tests(&document);
        assert!(named.len() > 10, "{named:?}");
        let missing: Vec<_> = named.into_iter().filter(|path| !names.have(path)).collect();
        assert!(missing.is_empty(), "no such test: {missing:?}");
    }
}
