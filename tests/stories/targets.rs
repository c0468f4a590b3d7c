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
