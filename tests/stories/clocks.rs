//! Clocks that are wrong, or were wrong before.

use std::{
    fs,
    time::{Duration, Instant, SystemTime},
};

use super::{
    system::Disk,
    world::{World, text},
};

/// Files of one folder. A wait of 20 ms for each would take two threads 6 s.
const FILES: usize = 600;

/// ```text
///   A      hashes a folder whose files have times that are years ahead
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

/// ```text
///   A      starts with a data folder that has times of tomorrow
/// ```
#[test]
fn a_clock_that_went_back_shows_in_status_and_doctor() {
    let world = World::new();
    let a = world.home("a");
    let _node = a.start(&[]);
    let clock_notice = || {
        let status = a.json(&["status"]);
        let notices = status["health"]["notices"].as_array().unwrap().clone();
        notices.into_iter().find(|notice| notice["kind"] == "clock")
    };
    assert_eq!(clock_notice(), None);
    let tomorrow = SystemTime::now() + Duration::from_secs(24 * 3600);
    let written = fs::File::create(a.data().join("written")).unwrap();
    written.set_modified(tomorrow).unwrap();
    assert_eq!(clock_notice().unwrap()["problem"], true);
    let doctor = a.run(&["doctor"]).code(1).stdout;
    let clocks: Vec<_> = doctor
        .lines()
        .filter(|line| line.contains("behind"))
        .collect();
    assert_eq!(clocks.len(), 1, "{doctor}");
}
