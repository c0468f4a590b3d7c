//! Every decoder and parser of what comes from elsewhere, called with any bytes: what `fuzz/` runs for
//! hours, and what ordinary tests replay from its corpora.
//!
//! A target never fails: what it was given is refused or understood. What can be written as well is
//! written and read again, and has to be the same.

use futures::executor::block_on;
use pelago_behaviour::{Protocols, availability, catalogue, chunk, group, name_from_agent};
use pelago_engine::transfer;
use pelago_groups::Statement;

use crate::{
    api, config,
    content::{Descriptor, Expander, Hash, Link, Manifest},
    node::{self, PeerAddress},
    store::{self, Selection},
};

/// A target by its name.
type Target = (&'static str, fn(&[u8]));

/// The targets: each has its corpus in `fuzz/corpus/NAME`.
pub const TARGETS: [Target; 22] = [
    ("agent", agent),
    ("api_file", api::fuzzing::api_file),
    ("availability", availability),
    ("catalogue", catalogue),
    ("chunk", chunk),
    ("conditions", api::fuzzing::conditions),
    ("descriptor", descriptor),
    ("gateway_path", gateway_path),
    ("group", group),
    ("link", link),
    ("listing", listing),
    ("manifest", manifest),
    ("part_record", store::fuzzing::part_record),
    ("range", api::fuzzing::range),
    ("receipt", store::fuzzing::receipt),
    ("received_folder", store::fuzzing::received_folder),
    ("rows", store::fuzzing::rows),
    ("saved_downloads", transfer::fuzzing::saved_downloads),
    ("saved_sessions", api::fuzzing::saved_sessions),
    ("sealed_user", store::fuzzing::sealed_user),
    ("selector", selector),
    ("settings", settings),
];

/// Runs one target.
///
/// # Panics
/// There is no such target; or it does what it never does, which is what fuzzing looks for.
pub fn run(target: &str, data: &[u8]) {
    let known = TARGETS.iter().find(|(name, _)| *name == target);
    let (_, run) = known.unwrap_or_else(|| panic!("no target {target:?}"));
    run(data);
}

/// The same as text, where that is what comes.
fn text(data: &[u8]) -> &str {
    match std::str::from_utf8(data) {
        Ok(text) => text,
        Err(error) => std::str::from_utf8(&data[..error.valid_up_to()]).unwrap_or_default(),
    }
}

/// The bytes as one frame: a fuzzer does not guess lengths.
fn framed(data: &[u8]) -> Vec<u8> {
    let len = u32::try_from(data.len()).unwrap_or(u32::MAX);
    [&len.to_be_bytes(), data].concat()
}

/// As one frame, and as the bytes that a peer sends.
fn streams(data: &[u8]) -> [Vec<u8>; 2] {
    [framed(data), data.to_vec()]
}

fn chunk(data: &[u8]) {
    for bytes in streams(data) {
        if let Ok(Some(items)) = block_on(chunk::read_request(&mut &bytes[..])) {
            let mut written = Vec::new();
            block_on(chunk::write_request(&mut written, &items)).expect("it was read");
            let again = block_on(chunk::read_request(&mut &written[..]));
            assert_eq!(again.expect("it was written"), Some(items));
        }
        if let Ok(answer) = block_on(chunk::read_answer(&mut &bytes[..])) {
            let mut written = Vec::new();
            block_on(chunk::write_answer(&mut written, &answer, &[])).expect("it was read");
            let again = block_on(chunk::read_answer(&mut &written[..])).expect("it was written");
            assert_eq!(again, answer);
        }
    }
}

fn availability(data: &[u8]) {
    for bytes in streams(data) {
        let _ = block_on(availability::read_request(&mut &bytes[..]));
        let _ = block_on(availability::read_listed_request(&mut &bytes[..]));
        let _ = block_on(availability::read_update(&mut &bytes[..]));
    }
}

fn catalogue(data: &[u8]) {
    for bytes in streams(data) {
        if let Ok(Some(request)) = block_on(catalogue::read_request(&mut &bytes[..])) {
            let mut written = Vec::new();
            block_on(catalogue::write_request(&mut written, &request)).expect("it was read");
        }
        let _ = block_on(catalogue::read_page(&mut &bytes[..]));
    }
}

fn group(data: &[u8]) {
    for bytes in streams(data) {
        if let Ok(Some(request)) = block_on(group::read_request(&mut &bytes[..])) {
            let mut written = Vec::new();
            block_on(group::write_request(&mut written, &request)).expect("it was read");
            let again = block_on(group::read_request(&mut &written[..]));
            assert_eq!(again.expect("it was written"), Some(request));
        }
        if let Ok(answer) = block_on(group::read_answer(&mut &bytes[..])) {
            let mut written = Vec::new();
            block_on(group::write_answer(&mut written, &answer)).expect("it was read");
            let again = block_on(group::read_answer(&mut &written[..])).expect("it was written");
            assert_eq!(again, answer);
        }
        let _ = block_on(group::read_batch(&mut &bytes[..]));
    }
    for read in [Statement::from_bytes, Statement::from_stored] {
        if let Ok(statement) = read(data) {
            assert_eq!(read(statement.as_bytes()).as_ref(), Ok(&statement));
        }
    }
}

fn agent(data: &[u8]) {
    let text = text(data);
    if let Some(name) = name_from_agent(text) {
        assert!(text.contains(name));
    }
    let _ = Protocols::new(text);
    if let Ok(address) = text.parse::<PeerAddress>() {
        let shown = address.to_string();
        assert_eq!(
            shown.parse::<PeerAddress>().as_ref(),
            Ok(&address),
            "{shown}"
        );
    }
}

fn gateway_path(data: &[u8]) {
    api::fuzzing::gateway_path(text(data));
}

/// What is selected among downloads or shares; and, line by line, among the files of a folder.
fn selector(data: &[u8]) {
    let text = text(data);
    node::fuzzing::selector(text);
    let globs: Vec<_> = text.lines().map(str::to_owned).collect();
    let _ = Selection::new(&globs);
}

fn settings(data: &[u8]) {
    config::fuzzing::settings(text(data));
}

fn descriptor(data: &[u8]) {
    if let Ok(descriptor) = Descriptor::from_bytes(data) {
        assert_eq!(&descriptor.to_bytes()[..], data);
    }
    if let Ok(hash) = text(data).parse::<Hash>() {
        assert_eq!(hash.to_string(), text(data).to_ascii_lowercase());
    }
}

fn link(data: &[u8]) {
    if let Ok(link) = text(data).parse::<Link>() {
        let shown = link.to_string();
        assert_eq!(shown.parse::<Link>().as_ref(), Ok(&link), "{shown}");
    }
}

fn manifest(data: &[u8]) {
    if let Ok(manifest) = Manifest::from_bytes(data) {
        assert_eq!(manifest.to_bytes(), data);
    }
}

/// Several manifests, each behind its length in two bytes: the folder of the first.
fn listing(data: &[u8]) {
    let (mut rest, mut manifests) = (data, Vec::new());
    while let Some((len, bytes)) = rest.split_first_chunk::<2>() {
        let len = usize::from(u16::from_be_bytes(*len)).min(bytes.len());
        let (one, others) = bytes.split_at(len);
        manifests.extend(Manifest::from_bytes(one));
        rest = others;
    }
    let Some(first) = manifests.first() else {
        return;
    };
    let Ok(mut expander) = Expander::new(first.descriptor()) else {
        return;
    };
    loop {
        let wanted = expander.wanted();
        if wanted.is_empty() {
            break;
        }
        for hash in wanted.iter().map(Descriptor::hash) {
            let found = manifests.iter().find(|one| one.descriptor().hash() == hash);
            let Some(manifest) = found else { return };
            if expander.take(&hash, manifest.clone()).is_err() {
                return;
            }
        }
    }
    let _ = expander.finish();
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, fs, path::Path};

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_fuzzing_found_is_refused_or_understood() {
        let corpora = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus");
        let mut replayed = BTreeSet::new();
        for folder in fs::read_dir(&corpora).unwrap() {
            let folder = folder.unwrap();
            let target = folder.file_name().into_string().unwrap();
            for input in fs::read_dir(folder.path()).unwrap() {
                run(&target, &fs::read(input.unwrap().path()).unwrap());
                replayed.insert(target.clone());
            }
        }
        let targets = TARGETS.map(|(name, _)| name.to_owned());
        assert_eq!(replayed, targets.into(), "each target has a corpus");
    }

    proptest! {
        #[test]
        fn any_bytes_are_refused_or_understood(data in proptest::collection::vec(any::<u8>(), 0..300)) {
            TARGETS.iter().for_each(|(_, run)| run(&data));
        }
    }
}
