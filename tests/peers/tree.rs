//! Folders of a scripted peer. Manifests are written key by key, so that they can be invalid.

use std::{fs, path::Path, sync::Arc};

use cbor4ii::core::{Value, enc::Encode, utils::BufWriter};
use pelago::{Descriptor, Hash, Kind};
use pelago_behaviour::chunk::{Answer, Item};
use pelago_content::BlockRanges;

use crate::{
    content::{Content, encoded},
    scripted::{Act, Script, having_all, update},
};

pub(crate) fn map(fields: &[(&str, Value)]) -> Value {
    let field = |(key, value): &(&str, Value)| (text(key), value.clone());
    Value::Map(fields.iter().map(field).collect())
}

pub(crate) fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}

pub(crate) fn descriptor(descriptor: &Descriptor) -> Value {
    Value::Bytes(descriptor.to_bytes().to_vec())
}

/// The entry of a file.
pub(crate) fn file(name: &str, content: &Content) -> Value {
    map(&[("f", descriptor(&content.descriptor)), ("n", text(name))])
}

/// The entry of a sub-folder, with claimed totals.
pub(crate) fn folder(name: &str, manifest: &Descriptor, bytes: u64, files: u64) -> Value {
    map(&[
        ("b", Value::Integer(bytes.into())),
        ("c", Value::Integer(files.into())),
        ("d", descriptor(manifest)),
        ("n", text(name)),
    ])
}

pub(crate) fn symlink(name: &str, target: &str) -> Value {
    map(&[("l", text(target)), ("n", text(name))])
}

/// A manifest of these entries, in this order.
pub(crate) fn manifest(entries: Vec<Value>) -> Content {
    of_value(&map(&[
        ("v", Value::Integer(1)),
        ("entries", Value::Array(entries)),
    ]))
}

/// Any CBOR value, offered as a manifest.
pub(crate) fn of_value(value: &Value) -> Content {
    let mut bytes = BufWriter::new(Vec::new());
    value.encode(&mut bytes).unwrap();
    of_bytes(bytes.into_inner())
}

/// Any bytes, offered as a manifest.
pub(crate) fn of_bytes(bytes: Vec<u8>) -> Content {
    Content::of_kind(Kind::Folder, bytes)
}

/// A folder: manifests and files.
#[derive(Clone)]
pub(crate) struct Tree {
    /// Manifests and files; the manifest of the folder comes first.
    contents: Arc<[Content]>,
    /// The blocks of its sequence that the peer claims.
    claimed: BlockRanges,
}

impl Tree {
    /// A folder of which only the manifest is requested.
    pub(crate) fn of(manifest: Content) -> Self {
        Self::new([manifest], 0)
    }

    /// A folder whose sequence has `blocks`.
    pub(crate) fn new(contents: impl IntoIterator<Item = Content>, blocks: u64) -> Self {
        Self {
            contents: contents.into_iter().collect(),
            claimed: BlockRanges::from(0..blocks),
        }
    }

    /// This folder, of which the peer claims these blocks only.
    pub(crate) fn claiming(&self, blocks: std::ops::Range<u64>) -> Self {
        Self {
            claimed: BlockRanges::from(blocks),
            ..self.clone()
        }
    }

    pub(crate) fn manifest(&self) -> &Content {
        &self.contents[0]
    }

    pub(crate) fn hash(&self) -> Hash {
        self.manifest().hash()
    }

    /// The bytes of the right answer to `item`.
    pub(crate) fn truth(&self, item: &Item) -> Vec<u8> {
        let mut contents = self.contents.iter();
        match contents.find(|content| content.hash() == item.hash) {
            Some(content) => content.truth(item),
            None => encoded(&Answer::Absent, &[]),
        }
    }

    /// The script of a peer that answers correctly.
    pub(crate) fn script(&self) -> Script {
        let tree = self.clone();
        self.doing(move |_, item| Act::Send(tree.truth(&item)))
    }

    /// The script of a peer that answers each chunk request with `act`.
    pub(crate) fn doing(&self, act: impl Fn(usize, Item) -> Act + Send + Sync + 'static) -> Script {
        let root = self.manifest().descriptor;
        let mut has = having_all(&root);
        has.blocks = self.claimed.clone();
        let mut script = Script::claiming(root, act);
        script.availability = Box::new(move |_| Act::Send(update(has.clone())));
        script
    }
}

/// The paths and contents of the files below a folder, in order.
pub(crate) fn files_in(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        if path.is_dir() {
            let below = files_in(&path).into_iter();
            files.extend(below.map(|(inner, bytes)| (format!("{name}/{inner}"), bytes)));
        } else {
            files.push((name, fs::read(&path).unwrap()));
        }
    }
    files.sort();
    files
}
