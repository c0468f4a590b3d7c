//! Downloads resume from what a kill or a power cut leaves of them.

use std::{
    fs::{self, OpenOptions},
    io::{Seek, SeekFrom, Write},
    path::Path,
};

use rustix::fs::XattrFlags;

use super::{
    valve::Valve,
    world::{World, assert_content, noise},
};

/// How often B is killed in one download.
const KILLS: u64 = 20;

/// Bytes of the content.
const SIZE: u64 = 48 << 20;

/// Bytes that may pass between two kills, at most; half of that on average.
const MOST: u64 = 4 << 20;

/// Received bytes that one kill may cost on average: those of the chunk in flight, and of chunks
/// that wait to be verified or written.
const LOST_A_KILL: u64 = 1 << 20;

/// ```text
///   B ──valve── A      B is killed 20 times, each time after some more bytes
/// ```
#[test]
fn kills_cost_no_more_than_what_was_not_yet_verified() {
    let world = World::new();
    let (a, b) = (world.home("a"), world.home("b"));
    let content = noise(1, SIZE as usize);
    let node = a.start(&[]);
    let hash = a.share(&world.file("x.bin", &content));
    let points = noise(2, 8 * KILLS as usize);
    let points = points.as_chunks::<8>().0.iter();
    let mut passed = 0;
    for bytes in points.map(|point| u64::from_le_bytes(*point) % MOST) {
        let valve = Valve::new(&node.address(), bytes);
        let run = b.spawn(&["download", &hash, "--peer", &valve.address(), "-o", "got"]);
        valve.is_shut();
        run.signal("KILL");
        run.end();
        passed += valve.passed();
    }
    assert!(
        passed > KILLS * LOST_A_KILL,
        "too little to tell: {passed} bytes"
    );

    let last = b.json(&["download", &hash, "--peer", &node.address(), "-o", "got"]);

    assert_content(&b.path("got"), &content);
    let kept = last["resumed_bytes"].as_u64().unwrap();
    assert_eq!(kept + last["fetched_bytes"].as_u64().unwrap(), SIZE);
    assert!(
        passed <= kept + KILLS * LOST_A_KILL,
        "of {passed} bytes that came, {kept} were kept"
    );
}

/// What a power cut may do to a file that is being written.
type Harm = fn(&Path);

fn edit(path: &Path, at: SeekFrom, bytes: &[u8]) {
    let mut file = OpenOptions::new().write(true).open(path).unwrap();
    file.seek(at).unwrap();
    file.write_all(bytes).unwrap();
}

fn cut_in_half(path: &Path) {
    let file = OpenOptions::new().write(true).open(path).unwrap();
    file.set_len(file.metadata().unwrap().len() / 2).unwrap();
}

fn emptied(path: &Path) {
    fs::write(path, []).unwrap();
}

fn zeroed_in_places(path: &Path) {
    let len = fs::metadata(path).unwrap().len();
    for at in (0..len.saturating_sub(4096)).step_by(600_000) {
        edit(path, SeekFrom::Start(at), &[0; 4096]);
    }
}

fn torn_at_the_start(path: &Path) {
    edit(path, SeekFrom::Start(20), &[0xff; 100]);
}

fn overwritten_at_the_end(path: &Path) {
    edit(path, SeekFrom::End(-5000), &noise(9, 5000));
}

fn removed(path: &Path) {
    fs::remove_file(path).unwrap();
}

fn untouched(_: &Path) {}

const HARMS: [Harm; 7] = [
    untouched,
    cut_in_half,
    emptied,
    zeroed_in_places,
    torn_at_the_start,
    overwritten_at_the_end,
    removed,
];

/// ```text
///   B ──valve── A      B is killed, its disk loses some of the written bytes, and B resumes
/// ```
#[test]
fn a_file_is_correct_after_any_power_cut() {
    let world = World::new();
    let (a, b) = (world.home("a"), world.home("b"));
    let content = noise(1, 4_000_000);
    let node = a.start(&[]);
    let hash = a.share(&world.file("x.bin", &content));
    let valve = Valve::new(&node.address(), 2_500_000);
    let run = b.spawn(&["download", &hash, "--peer", &valve.address(), "-o", "got"]);
    valve.is_shut();
    run.has_some();
    run.signal("KILL");
    run.end();

    let (part, record) = (b.path("got.part"), b.data().join("partial").join(&hash));
    let before = [&part, &record].map(|path| fs::read(path).unwrap());
    let mut mark = [0; 64];
    let len = rustix::fs::getxattr(&part, "user.pelago.part", &mut mark).unwrap();
    let to_part = HARMS.iter().map(|harm| (*harm, untouched as Harm));
    let to_record = HARMS.iter().map(|harm| (untouched as Harm, *harm));
    let to_both = HARMS.iter().map(|harm| (*harm, *harm));
    let rounds = to_part.chain(to_record).chain(to_both).enumerate();
    for (round, (harm_part, harm_record)) in rounds {
        fs::write(&part, &before[0]).unwrap();
        // The file gets its mark again: a power cut removes the mark only together with the file.
        rustix::fs::setxattr(&part, "user.pelago.part", &mark[..len], XattrFlags::empty()).unwrap();
        fs::write(&record, &before[1]).unwrap();
        harm_part(&part);
        harm_record(&record);

        let last = b.json(&["download", &hash, "--peer", &node.address(), "-o", "got"]);
        assert_content(&b.path("got"), &content);
        assert!(!part.exists() && !record.exists());
        fs::remove_file(b.path("got")).unwrap();
        let resumed = last["resumed_bytes"].as_u64().unwrap();
        // Without damage B resumes with what it had.
        let expected = if round == 0 {
            1..2_500_000
        } else {
            0..2_500_000
        };
        assert!(expected.contains(&resumed), "round {round}: {last}");
    }
}
