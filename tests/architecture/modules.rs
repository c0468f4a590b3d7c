//! A crate as a tree of modules, with the items and the imports of each.

use std::{
    collections::{BTreeMap, HashMap},
    fs,
    path::{Path, PathBuf},
};

use quote::ToTokens as _;
use syn::{Attribute, Item, ItemMod, ItemUse, UseTree, Visibility};

/// The names from the root of the crate to a module. The path of the root is empty.
pub(crate) type ModulePath = Vec<String>;

/// A name that a module imports.
pub(crate) struct Import {
    pub(crate) path: Vec<String>,
    /// Whether other modules see the name here: `pub use` with any visibility.
    pub(crate) exported: bool,
}

/// A module, in its own file or in the file of another one.
pub(crate) struct Module {
    /// Its file, relative to the sources of the crate.
    pub(crate) file: PathBuf,
    pub(crate) defined: Vec<String>,
    pub(crate) imports: HashMap<String, Import>,
    /// The paths of imports with `*`.
    pub(crate) globs: Vec<Import>,
    /// All items except imports and modules.
    pub(crate) items: Vec<Item>,
}

/// All modules of a crate, except those for tests.
pub(crate) struct Modules(pub(crate) BTreeMap<ModulePath, Module>);

impl Modules {
    /// Reads the crate whose root is `lib.rs`, or `main.rs`, in `src`.
    pub(crate) fn read(src: &Path) -> Self {
        let mut modules = Self(BTreeMap::new());
        let root = ["lib.rs", "main.rs"]
            .into_iter()
            .find(|name| src.join(name).exists())
            .expect("a crate has a root");
        modules.add_file(src, Path::new(root), Vec::new());
        modules
    }

    fn add_file(&mut self, src: &Path, file: &Path, path: ModulePath) {
        let text = fs::read_to_string(src.join(file))
            .unwrap_or_else(|e| panic!("{}: {e}", file.display()));
        let parsed = syn::parse_file(&text).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
        self.add(src, file, path, parsed.items);
    }

    fn add(&mut self, src: &Path, file: &Path, path: ModulePath, items: Vec<Item>) {
        let mut module = Module {
            file: file.to_owned(),
            defined: Vec::new(),
            imports: HashMap::new(),
            globs: Vec::new(),
            items: Vec::new(),
        };
        for item in items {
            if attributes(&item).is_some_and(for_tests_only) {
                continue;
            }
            match item {
                Item::Use(import) => module.import(&import),
                Item::Mod(child) => self.add_child(src, file, &path, child),
                item => {
                    module.defined.extend(name(&item));
                    module.items.push(item);
                }
            }
        }
        self.0.insert(path, module);
    }

    fn add_child(&mut self, src: &Path, file: &Path, parent: &ModulePath, child: ItemMod) {
        let name = child.ident.to_string();
        let mut path = parent.clone();
        path.push(name.clone());
        if let Some((_, items)) = child.content {
            return self.add(src, file, path, items);
        }
        let folder = match file.file_stem().and_then(|stem| stem.to_str()) {
            Some("lib" | "main" | "mod") => file.parent().expect("a file is in a folder").into(),
            _ => file.with_extension(""),
        };
        let own = folder.join(format!("{name}.rs"));
        let index = folder.join(name).join("mod.rs");
        let found = if src.join(&own).exists() { own } else { index };
        self.add_file(src, &found, path);
    }
}

impl Module {
    fn import(&mut self, import: &ItemUse) {
        let exported = !matches!(import.vis, Visibility::Inherited);
        self.flatten(&import.tree, &mut Vec::new(), exported);
    }

    fn flatten(&mut self, tree: &UseTree, before: &mut Vec<String>, exported: bool) {
        let import = |path: &[String]| Import {
            path: path.to_vec(),
            exported,
        };
        match tree {
            UseTree::Path(path) => {
                before.push(path.ident.to_string());
                self.flatten(&path.tree, before, exported);
                before.pop();
            }
            UseTree::Name(name) if name.ident == "self" => {
                if let Some(name) = before.last() {
                    self.imports.insert(name.clone(), import(before));
                }
            }
            UseTree::Name(name) => {
                before.push(name.ident.to_string());
                self.imports.insert(name.ident.to_string(), import(before));
                before.pop();
            }
            UseTree::Rename(renamed) => {
                before.push(renamed.ident.to_string());
                self.imports
                    .insert(renamed.rename.to_string(), import(before));
                before.pop();
            }
            UseTree::Glob(_) => self.globs.push(import(before)),
            UseTree::Group(group) => {
                for tree in &group.items {
                    self.flatten(tree, before, exported);
                }
            }
        }
    }
}

fn attributes(item: &Item) -> Option<&[Attribute]> {
    Some(match item {
        Item::Const(item) => &item.attrs,
        Item::Enum(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Macro(item) => &item.attrs,
        Item::Mod(item) => &item.attrs,
        Item::Static(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        Item::Trait(item) => &item.attrs,
        Item::Type(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        _ => return None,
    })
}

/// Whether an item is compiled only for tests, fuzzing or benchmarks.
fn for_tests_only(attributes: &[Attribute]) -> bool {
    attributes
        .iter()
        .filter(|attribute| attribute.path().is_ident("cfg"))
        .any(|attribute| {
            let condition = attribute.meta.to_token_stream().to_string();
            ["test", "\"fuzzing\"", "\"benchmarks\""]
                .iter()
                .any(|word| condition.contains(word) && !condition.contains("not"))
        })
}

fn name(item: &Item) -> Option<String> {
    let ident = match item {
        Item::Const(item) => &item.ident,
        Item::Enum(item) => &item.ident,
        Item::Fn(item) => &item.sig.ident,
        Item::Macro(item) => item.ident.as_ref()?,
        Item::Static(item) => &item.ident,
        Item::Struct(item) => &item.ident,
        Item::Trait(item) => &item.ident,
        Item::Type(item) => &item.ident,
        _ => return None,
    };
    Some(ident.to_string())
}
