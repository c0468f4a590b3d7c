//! Ctrl-C during a download.

use super::{
    valve::Valve,
    world::{Ended, World, assert_content, eventually, noise},
};

/// Bytes of the content.
const SIZE: usize = 8 << 20;

/// The command with which an interrupted download can be resumed, as the command printed it.
pub(crate) fn resume_line(ended: &Ended) -> String {
    let line = ended
        .stderr
        .lines()
        .find_map(|line| line.trim().strip_prefix("to resume: "));
    line.unwrap_or_else(|| panic!("it does not say how to resume: {ended:#?}"))
        .to_owned()
}

/// ```text
///   B ──valve── A      B is interrupted after some bytes, and resumes
/// ```
#[test]
fn an_interrupted_download_keeps_what_was_verified_and_resumes() {
    let world = World::new();
    let (a, b) = (world.home("a"), world.home("b"));
    let content = noise(1, SIZE);
    let node = a.start(&[]);
    let hash = a.share(&world.file("x.bin", &content));
    for (round, passing) in [0, 3_000, 1 << 20, 5 << 20].into_iter().enumerate() {
        let valve = Valve::new(&node.address(), passing);
        let b = world.home(&format!("b{round}"));
        let run = b.spawn(&[
            "download",
            &hash,
            "--peer",
            &valve.address(),
            "-o",
            "it's here",
        ]);
        valve.is_shut();
        let has_some = passing >= 1 << 20;
        if has_some {
            // It reports progress once some bytes are verified.
            run.has_some();
        }
        run.signal("INT");
        let ended = run.end().failed().says(match has_some {
            true => " of 8.4 MB: verified data is kept",
            false => "paused: nothing was downloaded yet",
        });
        assert!(
            ended.stdout.is_empty() && !b.path("it's here").exists(),
            "{ended:?}"
        );

        valve.open();
        let again = b
            .run_line(&format!("{} --json", resume_line(&ended)))
            .done()
            .document();
        assert_content(&b.path("it's here"), &content);
        let resumed = again["resumed_bytes"].as_u64().unwrap();
        assert_eq!(resumed > 0, has_some, "{again}");
        assert_eq!(
            resumed + again["fetched_bytes"].as_u64().unwrap(),
            SIZE as u64
        );
        assert!(!b.path("it's here.part").exists());
    }
    drop(b);
}

/// ```text
///   B      looks for content without a source
/// ```
#[test]
fn a_search_can_be_interrupted() {
    let world = World::new();
    let b = world.home("b");
    for target in ["ab".repeat(32), "a name".to_owned()] {
        let run = b.spawn(&["download", &target, "-v"]);
        // The search begins once the command's node has an API.
        run.err.line("");
        eventually("its API", || {
            b.data().join("api.json").exists().then_some(())
        });
        run.signal("INT");
        let ended = run.end().failed();
        assert!(resume_line(&ended).contains(" download "), "{ended:?}");
    }
}

/// ```text
///   B's command ── B's node ──valve── A      B interrupts the command, not the node
/// ```
#[test]
fn interrupting_a_command_pauses_the_download_of_the_node() {
    let world = World::new();
    let (a, b) = (world.home("a"), world.home("b"));
    let content = noise(1, SIZE);
    let node = a.start(&[]);
    let hash = a.share(&world.file("x.bin", &content));
    let valve = Valve::new(&node.address(), 2 << 20);
    let _b_node = b.start(&[]);
    let run = b.spawn(&["download", &hash, "--peer", &valve.address(), "-o", "got"]);
    valve.is_shut();
    let verified = |state: &str| {
        let downloads = b.json(&["downloads"]);
        let download = &downloads.as_array().unwrap().last()?;
        (download["state"] == state).then(|| download["verified_bytes"].as_u64().unwrap())
    };
    eventually("some of it", || {
        verified("downloading").filter(|bytes| *bytes > 0)
    });
    run.signal("INT");
    let ended = run.end().failed();
    eventually("the node to pause it", || verified("paused"));
    valve.open();
    let again = b
        .run_line(&format!("{} --json", resume_line(&ended)))
        .done()
        .document();
    assert!(again["resumed_bytes"].as_u64().unwrap() > 0, "{again}");
    assert_content(&b.path("got"), &content);
}

/// ```text
///   B ──valve── A      B is killed, and what it had verified remains
/// ```
#[test]
fn a_killed_download_resumes_where_it_was() {
    let world = World::new();
    let (a, b) = (world.home("a"), world.home("b"));
    let content = noise(1, SIZE);
    let node = a.start(&[]);
    let hash = a.share(&world.file("x.bin", &content));
    let valve = Valve::new(&node.address(), 4 << 20);
    let arguments = [
        "download",
        &hash,
        "--peer",
        &valve.address(),
        "-o",
        "got",
        "--json",
    ];
    let run = b.spawn(&arguments);
    valve.is_shut();
    run.has_some();
    run.signal("KILL");
    run.end();
    assert!(b.path("got.part").exists());
    valve.open();
    let again = b.run(&arguments).done().document();
    assert!(again["resumed_bytes"].as_u64().unwrap() > 0, "{again}");
    assert_content(&b.path("got"), &content);
}
