//! Folders that are invalid, and peers that send wrong data about valid ones.
//!
//! ```text
//!   liar <--- getter      the getter refuses manifests with a reason, or writes to its folder only
//! ```

use std::fs;

use cbor4ii::core::Value;
use pelago::{Descriptor, Difference, Finished, Kind, Links, Output};
use pelago_content::{MAX_MANIFEST_LEN, MAX_SIZE, Manifest};

use crate::{
    content::{Content, THREE_CHUNKS},
    nodes::{Home, ended, request},
    scripted::{Act, Asked, Script, Scripted},
    tree::{
        Tree, descriptor, file, files_in, folder, manifest, map, of_bytes, of_value, symlink, text,
    },
};

/// Asserts that the download fails with all of `words`, and returns what the getter requested.
async fn is_refused(tree: &Tree, words: &[&str]) -> Asked {
    let peer = Scripted::start(tree.script()).await;
    let getter = Home::start("getter").await;
    let download = getter.download(tree.hash(), &[peer.address()]).await;
    let error = ended(&download).await.unwrap_err();
    assert_eq!(error.code(), "folder-refused", "{error}");
    let message = error.to_string();
    assert!(words.iter().all(|word| message.contains(word)), "{message}");
    has_nothing(&getter);
    peer.asked()
}

/// Asserts that the node's folder is empty, and that no download has a record.
fn has_nothing(getter: &Home) {
    assert_eq!(fs::read_dir(getter.folder.path()).unwrap().count(), 0);
    assert_eq!(getter.store.partials().unwrap(), []);
}

fn anything() -> Content {
    Content::new(10, 1)
}

/// A folder with `inner` as its only sub-folder, with the right totals.
fn with_sub_folder(inner: Content, files: &[Content]) -> Tree {
    let bytes = files.iter().map(|file| file.descriptor.size()).sum();
    let sub = folder("sub", &inner.descriptor, bytes, files.len() as u64);
    let blocks = files.iter().map(|file| file.descriptor.geometry().blocks());
    let blocks = blocks.sum();
    let contents = [manifest(vec![sub]), inner];
    Tree::new(contents.into_iter().chain(files.iter().cloned()), blocks)
}

#[tokio::test]
async fn invalid_names_are_refused() {
    let long = "n".repeat(256);
    for (name, why) in [
        ("", "it is empty"),
        (".", "stands for a folder itself or the one above"),
        ("..", "stands for a folder itself or the one above"),
        ("../outside", "holds the separator"),
        ("/etc/passwd", "holds the separator"),
        ("sub/file", "holds the separator"),
        ("file\0", "holds a NUL character"),
        (&long, "256 bytes, over the limit of 255"),
    ] {
        let named = format!("may not be called {:?}", &name[..name.len().min(255)]);
        let wrong = manifest(vec![file(name, &anything())]);
        is_refused(&Tree::of(wrong.clone()), &[&named, why]).await;
        is_refused(&with_sub_folder(wrong, &[anything()]), &[&named, why]).await;
    }
}

#[tokio::test]
async fn invalid_names_of_folders_and_links_are_refused() {
    let empty = Manifest::default().descriptor();
    for wrong in [folder("..", &empty, 0, 0), symlink("..", "somewhere")] {
        is_refused(
            &Tree::of(manifest(vec![wrong])),
            &["may not be called \"..\""],
        )
        .await;
    }
}

#[tokio::test]
async fn the_same_name_twice_is_refused() {
    let twice = vec![file("file", &anything()), symlink("file", "else")];
    is_refused(&Tree::of(manifest(twice)), &["two entries called \"file\""]).await;
}

/// Downloads a folder that contains the folder `inner` with `files`, to `copy`.
async fn arrives(inner: Content, files: &[Content], links: Links) -> (Home, Finished) {
    let tree = with_sub_folder(inner, files);
    let peer = Scripted::start(tree.script()).await;
    let getter = Home::start("getter").await;
    let mut wanted = request(
        tree.hash(),
        Output::At(getter.path("copy")),
        &[peer.address()],
    );
    wanted.links = links;
    let finished = ended(&getter.begin(wanted).await).await.unwrap();
    (getter, finished)
}

/// Asserts that the node's folder contains nothing but the download.
fn is_all_there_is(getter: &Home) {
    let names = fs::read_dir(getter.folder.path()).unwrap();
    let names: Vec<_> = names.map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["copy"]);
}

/// Names that lead out of a folder on some system. Here each is an ordinary name, or is replaced by
/// one.
#[tokio::test]
async fn no_name_leads_out_of_the_folder_on_any_system() {
    let names = [
        "..\\..\\outside",
        "..\\outside",
        "AUX.txt",
        "Aux.txt",
        "C:outside",
        "C:\\outside",
        "COM\u{b9}",
        "FILE",
        "\\\\host\\share",
        "\\outside",
        "e\u{301}",
        "file",
        "file ",
        "file.",
        "file:stream",
        "nul",
        "~",
        "-rf",
        "...",
        "\u{1b}[2J",
        "\u{e9}",
    ];
    let mut names = names;
    names.sort_unstable();
    let files: Vec<_> = (0..).zip(names).map(|(n, _)| Content::new(10, n)).collect();
    let entries = names
        .iter()
        .zip(&files)
        .map(|(name, content)| file(name, content));
    let inner = manifest(entries.collect());
    let (getter, finished) = arrives(inner, &files, Links::Inside).await;
    is_all_there_is(&getter);
    let found = files_in(&finished.path);
    assert_eq!(found.len(), names.len(), "{found:?}");
    let mut expected: Vec<_> = files.iter().map(|content| content.bytes.clone()).collect();
    let mut contents: Vec<_> = found.into_iter().map(|(_, bytes)| bytes).collect();
    expected.sort();
    contents.sort();
    assert_eq!(contents, expected);
    #[cfg(target_os = "linux")]
    assert!(
        finished.differences.is_empty(),
        "{:?}",
        finished.differences
    );
}

const LEADING_OUT: [&str; 7] = [
    "/etc/passwd",
    "//host/share",
    "../../outside",
    "../..",
    "x/../../..",
    "gone/..",
    "./.././../outside",
];

/// A folder of links that lead out, with a file, and the content of that file.
fn leading_out() -> (Content, Content) {
    let content = anything();
    let links = LEADING_OUT.iter().enumerate();
    let links = links.map(|(number, target)| symlink(&format!("link {number}"), target));
    (
        manifest([file("file", &content)].into_iter().chain(links).collect()),
        content,
    )
}

#[tokio::test]
async fn links_that_lead_out_are_left_out_and_named() {
    for links in [Links::Inside, Links::None] {
        let (inner, content) = leading_out();
        let (getter, finished) = arrives(inner, &[content], links).await;
        is_all_there_is(&getter);
        let entries = fs::read_dir(finished.path.join("sub")).unwrap();
        assert_eq!(entries.count(), 1);
        let named = finished
            .differences
            .listed
            .iter()
            .map(|difference| match difference {
                Difference::LinkLeftOut { path, target, .. } => (path.as_str(), target.as_str()),
                Difference::Renamed { .. } => panic!("{difference}"),
            });
        let paths: Vec<_> = (0..LEADING_OUT.len())
            .map(|n| format!("sub/link {n}"))
            .collect();
        let paths = paths.iter().map(String::as_str);
        assert!(named.eq(paths.zip(LEADING_OUT)));
    }
}

#[cfg(unix)]
#[tokio::test]
async fn links_that_lead_out_are_created_on_request_and_never_followed() {
    let (inner, content) = leading_out();
    let (getter, finished) = arrives(inner, &[content], Links::All).await;
    is_all_there_is(&getter);
    assert!(finished.differences.is_empty());
    for (number, target) in LEADING_OUT.iter().enumerate() {
        let link = finished.path.join(format!("sub/link {number}"));
        assert_eq!(fs::read_link(link).unwrap().to_str(), Some(*target));
    }
    // The same download again, over the first result: now there are links where it writes a folder.
    let outside = getter.path("outside");
    fs::create_dir(&outside).unwrap();
    let content = anything();
    let inner = manifest(vec![file("file", &content)]);
    let tree = with_sub_folder(inner, std::slice::from_ref(&content));
    let peer = Scripted::start(tree.script()).await;
    let target = getter.path("copy 2");
    fs::create_dir(&target).unwrap();
    std::os::unix::fs::symlink(&outside, target.join("sub")).unwrap();
    for overwrite in [false, true] {
        let mut wanted = request(tree.hash(), Output::At(target.clone()), &[peer.address()]);
        wanted.output = Output::Exactly(target.clone());
        wanted.links = Links::All;
        wanted.overwrite = overwrite;
        ended(&getter.begin(wanted).await).await.unwrap_err();
        assert_eq!(fs::read_dir(&outside).unwrap().count(), 0);
    }
}

#[tokio::test]
async fn a_manifest_in_any_other_form_is_refused() {
    let (a, b) = (file("a", &anything()), file("b", &anything()));
    let one = Value::Integer(1);
    let right = manifest(vec![a.clone()]);
    let version = |version: i128| {
        let fields = [
            ("v", Value::Integer(version)),
            ("entries", Value::Array(Vec::new())),
        ];
        of_value(&map(&fields))
    };
    let name_first = map(&[("n", text("a")), ("f", descriptor(&anything().descriptor))]);
    let more = |key, value: Value| {
        let file = descriptor(&anything().descriptor);
        let fields = [("f", file), ("n", text("a")), (key, value)];
        manifest(vec![map(&fields)])
    };
    let is_form = "not in the one form";
    // The number 1 in two bytes instead of one.
    let mut long_number = right.bytes.clone();
    long_number.splice(3..4, [0x18, 0x01]);
    let endless = [&[0xbf], &right.bytes[1..], &[0xff]].concat();
    let cases = [
        (manifest(vec![b, a.clone()]), is_form),
        (manifest(vec![name_first]), is_form),
        (more("x", Value::Bool(false)), is_form),
        (of_bytes([&right.bytes[..], &[0]].concat()), is_form),
        (of_bytes(long_number), is_form),
        (of_bytes(endless), is_form),
        (more("n", text("a")), is_form),
        (more("y", one.clone()), "entry 1 has the unknown key \"y\""),
        (more("l", text("b")), "is neither a file, nor a folder"),
        (version(0), "manifests of version 0 are unknown"),
        (version(2), "manifests of version 2 are unknown"),
        (of_value(&map(&[("v", one)])), "malformed"),
        (of_bytes(right.bytes[..40].to_vec()), "malformed"),
        (of_bytes(Vec::new()), "malformed"),
        (of_bytes(b"<html>".to_vec()), "malformed"),
    ];
    for (wrong, why) in cases {
        is_refused(&Tree::of(wrong), &[why]).await;
    }
}

#[tokio::test]
async fn an_entry_whose_descriptor_is_of_the_other_kind_is_refused() {
    let (a_file, a_folder) = (anything(), manifest(Vec::new()));
    let cases = [
        (
            file("x", &a_folder),
            "\"x\" is a file, but its descriptor is that of a folder",
        ),
        (
            folder("x", &a_file.descriptor, 0, 0),
            "\"x\" is a folder, but its descriptor is that of a file",
        ),
        (
            map(&[("f", Value::Bytes(vec![0; 40])), ("n", text("x"))]),
            "the descriptor of \"x\" is invalid",
        ),
        (
            map(&[("f", Value::Bytes(vec![9; 41])), ("n", text("x"))]),
            "the descriptor of \"x\" is invalid",
        ),
    ];
    for (wrong, why) in cases {
        is_refused(&Tree::of(manifest(vec![wrong])), &[why]).await;
    }
}

#[tokio::test]
async fn manifests_with_a_claimed_length_over_the_limit_are_not_requested() {
    let claimed = |size, seed| Descriptor::new(Kind::Folder, size, [seed; 32]).unwrap();
    let too_long = MAX_MANIFEST_LEN + 1;
    let root = Content {
        bytes: Vec::new(),
        descriptor: claimed(too_long, 7),
    };
    let limit = ["67108865 bytes, over the limit"];
    let asked = is_refused(&Tree::of(root), &limit).await;
    assert_eq!(asked.items, []);

    let sub = folder("sub", &claimed(too_long, 7), 0, 0);
    let root = Tree::of(manifest(vec![sub]));
    let asked = is_refused(&root, &["\"sub\"", limit[0]]).await;
    assert_eq!(asked.items.len(), 1);

    // Each is short enough, and all together are not.
    let sub = |n: u8| folder(&n.to_string(), &claimed(MAX_MANIFEST_LEN, n), 0, 0);
    let root = Tree::of(manifest((1..10).map(sub).collect()));
    let asked = is_refused(&root, &["its manifests have", "536870912 are accepted"]).await;
    assert_eq!(asked.items.len(), 1);
}

#[tokio::test]
async fn totals_that_prove_wrong_are_refused() {
    let content = anything();
    let inner = manifest(vec![file("file", &content)]);
    for (bytes, files) in [(9, 1), (11, 1), (10, 0), (10, 2), (u64::MAX, 1), (0, 0)] {
        let sub = folder("sub", &inner.descriptor, bytes, files);
        let tree = Tree::new([manifest(vec![sub]), inner.clone()], 1);
        let claimed = format!("\"sub\" claims to have {files} files of {bytes} bytes");
        is_refused(&tree, &[&claimed, "but has 1 of 10"]).await;
    }
}

/// A folder that contains `inner` twice, a folder that contains that one twice, and so on for
/// `levels`.
fn doubled(inner: Content, levels: u32, (bytes, files): (u64, u64)) -> Tree {
    let mut contents = vec![inner];
    for level in 0..levels {
        let inner = contents[0].descriptor;
        let times = 1 << level;
        let twice = ["a", "b"].map(|name| folder(name, &inner, bytes * times, files * times));
        contents.insert(0, manifest(twice.to_vec()));
    }
    Tree::new(contents, 0)
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_folder_that_unfolds_without_end_costs_nothing_and_is_refused() {
    let before = crate::dishonest::peak_memory();
    let too_many = ["unfolds to more than 10000000 entries"];
    is_refused(&doubled(manifest(Vec::new()), 40, (0, 0)), &too_many).await;
    let one = manifest(vec![file("file", &anything())]);
    is_refused(&doubled(one.clone(), 40, (10, 1)), &too_many).await;
    // The totals are too small.
    is_refused(&doubled(one, 40, (0, 0)), &["claims to have 0 files"]).await;
    // A few entries, whose sizes overflow.
    let huge = Content {
        bytes: Vec::new(),
        descriptor: Descriptor::new(Kind::File, MAX_SIZE, [7; 32]).unwrap(),
    };
    let names = (0..1 << 14).map(|n| file(&format!("{n:05}"), &huge));
    is_refused(&Tree::of(manifest(names.collect())), &["2^64 bytes"]).await;
    let grown = crate::dishonest::peak_memory() - before;
    assert!(grown < 256 << 20, "{grown} bytes more");
}

/// Nested folders with one file, whose path has `names` names.
fn deep(names: usize) -> Tree {
    let content = anything();
    let mut contents = vec![manifest(vec![file("file", &content)])];
    for _ in 1..names {
        let sub = folder("d", &contents[0].descriptor, 10, 1);
        contents.insert(0, manifest(vec![sub]));
    }
    contents.push(content);
    Tree::new(contents, 1)
}

#[tokio::test]
async fn sixty_four_levels_are_the_most() {
    is_refused(&deep(65), &["deeper than 64 levels"]).await;
    is_refused(&deep(100), &["deeper than 64 levels"]).await;

    let tree = deep(64);
    let peer = Scripted::start(tree.script()).await;
    let getter = Home::start("getter").await;
    let download = getter.download(tree.hash(), &[peer.address()]).await;
    let finished = ended(&download).await.unwrap();
    let path = format!("{}file", "d/".repeat(63));
    assert_eq!(files_in(&finished.path), [(path, anything().bytes)]);
}

/// The content of the following tests: a folder with `sub/file`, the manifest of `sub`, and the
/// file.
fn honest_tree() -> (Tree, Content, Content) {
    let content = Content::new(THREE_CHUNKS, 1);
    let inner = manifest(vec![file("file", &content)]);
    let tree = with_sub_folder(inner.clone(), std::slice::from_ref(&content));
    (tree, inner, content)
}

/// Asserts that the folder arrives, though the peer with `script` is asked first. Returns what that
/// peer and the honest one were asked.
async fn comes_from_another(script: Script) -> (Asked, Asked) {
    let (tree, _, content) = honest_tree();
    let liar = Scripted::start(script).await;
    let honest = Scripted::start(tree.script()).await;
    let getter = Home::asking_one_at_a_time("getter").await;
    let peers = [liar.address(), honest.address(), liar.other_address()];
    let download = getter.download(tree.hash(), &peers).await;
    let finished = ended(&download).await.unwrap();
    let expected = [("sub/file".to_owned(), content.bytes)];
    assert_eq!(files_in(&finished.path), expected);
    (liar.asked(), honest.asked())
}

/// The script of a peer that is honest except about `about`, for which it does `act`.
fn liar_about(about: &Content, act: impl Fn(Vec<u8>) -> Act + Send + Sync + 'static) -> Script {
    let (tree, hash) = (honest_tree().0, about.hash());
    let truth = tree.clone();
    tree.doing(move |_, item| {
        let truth = truth.truth(&item);
        if item.hash == hash {
            act(truth)
        } else {
            Act::Send(truth)
        }
    })
}

fn flipped(mut bytes: Vec<u8>) -> Act {
    bytes.last_mut().into_iter().for_each(|last| *last ^= 1);
    Act::Send(bytes)
}

#[tokio::test]
async fn a_manifest_that_does_not_arrive_comes_from_another_and_none_twice() {
    let (tree, inner, _) = honest_tree();
    let (_, honest) = comes_from_another(liar_about(&inner, |_| Act::Silence)).await;
    assert!(honest.items.iter().all(|item| item.hash != tree.hash()));
}

#[tokio::test]
async fn a_manifest_of_wrong_bytes_is_found_out_and_comes_from_another() {
    let (tree, inner, content) = honest_tree();
    let root = liar_about(tree.manifest(), flipped);
    // A source whose file, and not manifest, is wrong gets a question about it.
    for (script, truths, streams) in [
        (root, 0, 1),
        (liar_about(&inner, flipped), 1, 1),
        (liar_about(&content, flipped), 2, 2),
    ] {
        let (liar, honest) = comes_from_another(script).await;
        assert_eq!(liar.chunk_streams, streams, "asked no more: {liar:?}");
        let before = [tree.hash(), inner.hash()];
        let kept = &before[..truths];
        assert!(honest.items.iter().all(|item| !kept.contains(&item.hash)));
    }
}

#[tokio::test]
async fn a_folder_whose_manifest_no_source_sends_ends_with_an_error_and_nothing_is_left() {
    let (tree, inner, _) = honest_tree();
    let acts: [fn(Vec<u8>) -> Act; 2] = [|_| Act::Silence, flipped];
    for act in acts {
        let liar = Scripted::start(liar_about(&inner, act)).await;
        let getter = Home::start("getter").await;
        let copy = Output::At(getter.path("copy"));
        let mut wanted = request(tree.hash(), copy, &[liar.address()]);
        wanted.timeout = std::time::Duration::from_millis(1500);
        let error = ended(&getter.begin(wanted).await).await.unwrap_err();
        assert_eq!(error.code(), "no-source", "{error}");
        has_nothing(&getter);
    }
}

#[tokio::test]
async fn claims_of_more_blocks_than_the_folder_has_are_harmless() {
    let (tree, _, content) = honest_tree();
    let most = MAX_SIZE / pelago_content::BLOCK_SIZE;
    for claimed in [0..most, 1..most, most - 1..most] {
        let boaster = Scripted::start(tree.claiming(claimed).script()).await;
        let honest = Scripted::start(tree.script()).await;
        let getter = Home::start("getter").await;
        let peers = [boaster.address(), honest.address()];
        let download = getter.download(tree.hash(), &peers).await;
        let finished = ended(&download).await.unwrap();
        let expected = [("sub/file".to_owned(), content.bytes.clone())];
        assert_eq!(files_in(&finished.path), expected);
    }
}
