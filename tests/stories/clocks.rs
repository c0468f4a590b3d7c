//! Clocks that are, or were, wrong.

use std::{
    fs,
    time::{Duration, Instant},
};

use super::{
    system::Disk,
    world::{World, text},
};

/// Files of one folder: at 20 ms each, two threads took 6 s for them.
const FILES: usize = 600;

/// ```text
///   A      hashes a folder that was written by a clock that was years ahead
/// ```
#[test]
fn times_in_the_future_cost_nothing() {
    let world = World::new();
    let Some(disk) = Disk::new(world.path("disk"), "") else {
        return;
    };
    let a = world.home("a");
    let names: Vec<_> = (0..FILES).map(|at| format!("/folder/{at}.txt")).collect();
    fs::create_dir(world.path("disk/folder")).unwrap();
    for name in &names {
        fs::write(world.path(&format!("disk{name}")), name).unwrap();
    }
    let folder = text(&world.path("disk/folder"));
    let took = || {
        let began = Instant::now();
        (a.hash(&folder), began.elapsed())
    };
    let (hash, as_usual) = took();
    // The year 2037.
    disk.set_times(&names, 2_114_380_800);
    let metadata = fs::metadata(world.path("disk/folder/0.txt")).unwrap();
    let ahead = metadata
        .modified()
        .unwrap()
        .elapsed()
        .unwrap_err()
        .duration();
    assert!(ahead > Duration::from_secs(365 * 24 * 3600));
    let (again, in_the_future) = took();
    assert_eq!(again, hash);
    assert!(
        in_the_future < as_usual * 2 + Duration::from_secs(2),
        "{in_the_future:?}, and {as_usual:?} as usual"
    );
}
