//! Targets of downloads: `-o`, and files that exist.

use std::fs;

use super::world::{World, assert_content, noise, text};

/// ```text
///   B ── A      B already has a file with the name
/// ```
#[test]
fn a_target_that_exists_stays_without_overwrite() {
    let world = World::new();
    let (a, b) = (world.home("a"), world.home("b"));
    let content = noise(1, 100_000);
    let node = a.start(&[]);
    let hash = a.share(&world.file("x.bin", &content));
    let address = node.address();
    let download = ["download", &hash, "--peer", &address, "-o", "got"];

    fs::write(b.path("got"), b"other content").unwrap();
    let refused = b.run(&download).failed();
    refused
        .says(&text(&b.path("got")))
        .says("exists already")
        .says("--overwrite");
    assert_content(&b.path("got"), b"other content");

    let replaced = b.run(&[&download[..], &["--overwrite"]].concat()).done();
    assert!(replaced.stdout.contains("1 source"), "{replaced:?}");
    assert_content(&b.path("got"), &content);
    // No peer has to find a command again.
    assert!(!b.data().join("identity.key").exists());

    // If the file has the same content, nothing is fetched, and no source is needed.
    node.stop();
    b.run(&download).done().prints("was here already");
    let again = b.json(&download);
    assert_eq!(
        (
            &again["fetched_bytes"],
            &again["resumed_bytes"],
            &again["sources"]
        ),
        (&0.into(), &100_000.into(), &0.into())
    );
}

/// ```text
///   B ── A      -o names a file, a folder, or an invalid path
/// ```
#[test]
fn an_existing_folder_means_inside_it_and_a_missing_one_is_named() {
    let world = World::new();
    let (a, b) = (world.home("a"), world.home("b"));
    let content = noise(1, 1000);
    let node = a.start(&[]);
    let hash = a.share(&world.file("x.bin", &content));
    let download =
        |output: &str| b.run(&["download", &hash, "--peer", &node.address(), "-o", output]);
    fs::create_dir(b.path("folder")).unwrap();
    download("folder")
        .done()
        .prints(&text(&b.path("folder/x.bin")));
    assert_content(&b.path("folder/x.bin"), &content);
    download("missing/x.bin")
        .failed()
        .says(&text(&b.path("missing")))
        .says("-o");
    assert!(!b.path("missing").exists(), "it may be a slip");
    fs::write(b.path("file"), b"").unwrap();
    download("file/x.bin").failed().says(&text(&b.path("file")));
    let error = &b
        .run(&[
            "download",
            &hash,
            "--peer",
            &node.address(),
            "-o",
            "missing/x",
            "--json",
        ])
        .failed()
        .document()["error"];
    assert_eq!(error["code"], "target-not-writable");
}

/// ```text
///   A, alone      what it shares is copied where it is wanted, and else found where it is
/// ```
#[test]
fn what_a_node_shares_needs_no_peer() {
    let world = World::new();
    let a = world.home("a");
    let content = noise(1, 1_000_000);
    let file = world.file("x.bin", &content);
    let folder = world.path("album");
    fs::create_dir_all(folder.join("empty")).unwrap();
    fs::write(folder.join("photo.jpg"), &content[..300_000]).unwrap();
    let album = text(&folder);
    let _node = a.start(&[]);
    let shared = [(a.share(&file), &file), (a.share(&album), &album)];
    for (hash, original) in &shared {
        let size = if *original == &file {
            1_000_000
        } else {
            300_000
        };
        let found = a.json(&["download", hash]);
        assert_eq!(&found["path"], *original, "{found}");
        assert_eq!(found["copied_bytes"], 0, "{found}");
        let copied = a.json(&["download", hash, "-o", hash]);
        assert_eq!(copied["path"], text(&a.path(hash)), "{copied}");
        let bytes = |field: &str| copied[field].as_u64();
        let fields = ["copied_bytes", "resumed_bytes", "fetched_bytes"].map(bytes);
        assert_eq!(fields, [Some(size), Some(0), Some(0)], "{copied}");
    }
    assert_content(&a.path(&shared[0].0), &content);
    assert_content(&a.path(&shared[1].0).join("photo.jpg"), &content[..300_000]);
    assert!(a.path(&shared[1].0).join("empty").is_dir());
    a.run(&["open", &shared[1].0, "--timeout", "0.1"])
        .done()
        .prints("folder of 1 file and 1 sub-folder");

    // A file in its folder is found as well.
    let inner = a.hash(&text(&folder.join("photo.jpg")));
    let found = a.json(&["download", &inner]);
    let path = found["path"].as_str().unwrap();
    assert!(path.ends_with("/photo.jpg"), "{found}");
    a.run(&["download", &inner, "-o", "again"])
        .done()
        .prints("copied from what this node shares");
}
