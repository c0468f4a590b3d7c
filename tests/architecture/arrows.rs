//! Which file names items of which other file, and circles of such files.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    path::PathBuf,
};

use proc_macro2::{TokenStream, TokenTree};
use quote::ToTokens as _;
use syn::{Item, Type};

use crate::modules::{ModulePath, Modules};

/// For each file, the files of which it names items, with the items.
pub(crate) type Arrows = BTreeMap<PathBuf, BTreeMap<PathBuf, BTreeSet<String>>>;

/// An item, and the module that defines it.
struct Named {
    module: ModulePath,
    item: String,
}

/// The arrows of a crate. `mod` and `pub use` are not arrows. Items of the parent module that a
/// file names only to implement methods of the parent's types are not either, if the parent names
/// nothing of the file.
pub(crate) fn arrows(modules: &Modules) -> Arrows {
    let mut arrows = Arrows::new();
    for (at, module) in &modules.0 {
        let own = module.imports.values().filter(|import| !import.exported);
        let mut paths: Vec<_> = own.map(|import| import.path.clone()).collect();
        for item in &module.items {
            collect_paths(item.to_token_stream(), &mut paths);
        }
        for path in paths {
            let Some(named) = resolve(modules, at, &path, &mut HashSet::new()) else {
                continue;
            };
            let target = &modules.0[&named.module].file;
            if *target != module.file {
                let from = arrows.entry(module.file.clone()).or_default();
                from.entry(target.clone()).or_default().insert(named.item);
            }
        }
    }
    without_methods_of_parents(modules, arrows)
}

/// The top-level modules that each file names, with the paths. A re-exported item counts as an item
/// of the module that re-exports it.
pub(crate) fn modules_named(modules: &Modules) -> BTreeMap<PathBuf, BTreeMap<String, String>> {
    let mut named = BTreeMap::<_, BTreeMap<_, _>>::new();
    for (at, module) in &modules.0 {
        let imports = module.imports.values().chain(&module.globs);
        let mut paths: Vec<_> = imports.map(|import| import.path.clone()).collect();
        for item in &module.items {
            collect_paths(item.to_token_stream(), &mut paths);
        }
        for path in paths {
            if let Some(absolute) = absolute(at, &path)
                && let Some(first) = absolute.first()
            {
                let from = named.entry(module.file.clone()).or_default();
                from.insert(first.clone(), absolute.join("::"));
            }
        }
    }
    named
}

/// The path from the root of the crate; `None` for paths of other crates.
fn absolute(at: &ModulePath, path: &[String]) -> Option<Vec<String>> {
    let (first, mut rest) = path.split_first()?;
    let mut absolute = match first.as_str() {
        "crate" => Vec::new(),
        "self" => at.clone(),
        "super" => at.split_last()?.1.to_vec(),
        _ => return None,
    };
    while let Some(("super", further)) = rest.split_first().map(|(name, rest)| (&**name, rest)) {
        absolute.pop();
        rest = further;
    }
    absolute.extend_from_slice(rest);
    Some(absolute)
}

fn without_methods_of_parents(modules: &Modules, mut arrows: Arrows) -> Arrows {
    for (at, module) in &modules.0 {
        let Some((_, parent)) = at.split_last() else {
            continue;
        };
        let parent = &modules.0[parent].file;
        let named_back = arrows
            .get(parent)
            .is_some_and(|targets| targets.contains_key(&module.file));
        let Some(targets) = arrows.get_mut(&module.file) else {
            continue;
        };
        let given_methods: BTreeSet<_> = module.items.iter().filter_map(implemented).collect();
        let only_methods = targets
            .get(parent)
            .is_some_and(|items| items.is_subset(&given_methods));
        if only_methods && !named_back {
            targets.remove(parent);
        }
    }
    arrows.retain(|_, targets| !targets.is_empty());
    arrows
}

/// The type of an `impl` without a trait.
fn implemented(item: &Item) -> Option<String> {
    let Item::Impl(block) = item else { return None };
    let Type::Path(path) = &*block.self_ty else {
        return None;
    };
    (block.trait_.is_none())
        .then(|| path.path.segments.last())
        .flatten()
        .map(|segment| segment.ident.to_string())
}

/// All paths in the tokens, also within macros.
fn collect_paths(tokens: TokenStream, paths: &mut Vec<Vec<String>>) {
    let mut path = Vec::new();
    let mut colons = 0;
    for token in tokens {
        match token {
            TokenTree::Ident(ident) => {
                if colons != 2 {
                    paths.push(std::mem::take(&mut path));
                }
                path.push(ident.to_string());
                colons = 0;
            }
            TokenTree::Punct(punct) if punct.as_char() == ':' => colons += 1,
            TokenTree::Group(group) => {
                paths.push(std::mem::take(&mut path));
                colons = 0;
                collect_paths(group.stream(), paths);
            }
            TokenTree::Punct(_) | TokenTree::Literal(_) => {
                paths.push(std::mem::take(&mut path));
                colons = 0;
            }
        }
    }
    paths.push(path);
    paths.retain(|path| path.len() > 1);
}

/// The item of this crate to which a path in the module at `at` leads.
fn resolve(
    modules: &Modules,
    at: &ModulePath,
    path: &[String],
    seen: &mut HashSet<(ModulePath, Vec<String>)>,
) -> Option<Named> {
    if !seen.insert((at.clone(), path.to_vec())) {
        return None;
    }
    let (first, rest) = path.split_first()?;
    match first.as_str() {
        "crate" => return resolve(modules, &Vec::new(), rest, seen),
        "self" => return resolve(modules, at, rest, seen),
        "super" => return resolve(modules, &at.split_last()?.1.to_vec(), rest, seen),
        _ => {}
    }
    let module = modules.0.get(at)?;
    if module.defined.contains(first) {
        return Some(Named {
            module: at.clone(),
            item: first.clone(),
        });
    }
    let mut child = at.clone();
    child.push(first.clone());
    if modules.0.contains_key(&child) {
        return resolve(modules, &child, rest, seen);
    }
    if let Some(import) = module.imports.get(first) {
        let whole: Vec<_> = import.path.iter().chain(rest).cloned().collect();
        return resolve(modules, at, &whole, seen);
    }
    module.globs.iter().find_map(|glob| {
        let whole: Vec<_> = glob.path.iter().chain(path).cloned().collect();
        resolve(modules, at, &whole, seen)
    })
}

/// The groups of files that reach each other, among those for which `belongs` holds. Compares
/// reachable files, which is fast enough for a few hundred files.
pub(crate) fn circles(arrows: &Arrows, belongs: impl Fn(&PathBuf) -> bool) -> Vec<Vec<PathBuf>> {
    let reachable = |from: &PathBuf| {
        let mut reached = BTreeSet::new();
        let mut open = vec![from];
        while let Some(file) = open.pop() {
            let targets = arrows.get(file).into_iter().flat_map(BTreeMap::keys);
            for target in targets.filter(|target| belongs(target)) {
                if reached.insert(target) {
                    open.push(target);
                }
            }
        }
        reached
    };
    let reached: BTreeMap<_, _> = arrows
        .keys()
        .filter(|file| belongs(file))
        .map(|file| (file, reachable(file)))
        .collect();
    let mut circles = BTreeSet::new();
    for (file, from_it) in &reached {
        let circle: Vec<_> = from_it
            .iter()
            .filter(|other| reached.get(**other).is_some_and(|back| back.contains(file)))
            .map(|other| (*other).clone())
            .collect();
        if circle.len() > 1 {
            circles.insert(circle);
        }
    }
    circles.into_iter().collect()
}
