use std::fs;

use super::*;

const MINUTE: Duration = Duration::from_secs(60);

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// A file that changes, and a clock that the test moves.
struct Scene {
    settling: Settling,
    begin: Instant,
    now: Instant,
    path: PathBuf,
    fingerprint: Fingerprint,
    changed: Instant,
    folder: tempfile::TempDir,
    size: usize,
}

impl Scene {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let begin = Instant::now();
        let mut scene = Self {
            settling: Settling::default(),
            begin,
            now: begin,
            path: folder.path().join("file"),
            fingerprint: fingerprint(folder.path()),
            changed: begin,
            folder,
            size: 0,
        };
        scene.change();
        scene
    }

    fn change(&mut self) {
        self.size += 1;
        let path = self.folder.path().join("content");
        fs::write(&path, vec![0; self.size]).unwrap();
        (self.fingerprint, self.changed) = (fingerprint(&path), self.now);
    }

    fn seen(&self, writers: Writers) -> Observation {
        Observation {
            fingerprint: self.fingerprint,
            unchanged: self.now - self.changed,
            writers,
        }
    }

    fn judge(&mut self, writers: Writers) -> Verdict {
        let seen = self.seen(writers);
        self.settling.judge(&self.path, seen, self.now)
    }

    /// When to check it again, measured from the beginning.
    #[track_caller]
    fn waits(&mut self, writers: Writers) -> Duration {
        match self.judge(writers) {
            Verdict::CheckAgain(again) => again - self.begin,
            verdict => panic!("{verdict:?}"),
        }
    }

    fn hash(&mut self, took: Duration) {
        assert_eq!(self.judge(Writers::Absent), Verdict::Share);
        self.now += took;
        let seen = self.seen(Writers::Absent);
        self.settling.hashed(&self.path, seen, took, self.now);
    }

    fn waiting(&self) -> usize {
        self.settling.waiting().count()
    }
}

fn fingerprint(path: &Path) -> Fingerprint {
    Fingerprint::new(&fs::metadata(path).unwrap())
}

#[test]
fn a_file_that_no_program_writes_to_is_shared_a_second_after_its_last_change() {
    let mut scene = Scene::new();
    assert_eq!(scene.waits(Writers::Absent), QUIET);
    scene.now += QUIET - Duration::from_millis(1);
    assert_eq!(scene.waits(Writers::Absent), QUIET);
    assert_eq!(scene.waiting(), 1);
    scene.now += Duration::from_millis(1);
    scene.hash(Duration::ZERO);
    assert_eq!(scene.waiting(), 0);
}

#[test]
fn a_file_that_is_held_open_waits_until_it_is_closed() {
    let mut scene = Scene::new();
    let mut checks = 0;
    while scene.now < scene.begin + HELD_OPEN - QUIET {
        let again = scene.begin + scene.waits(Writers::Present);
        assert!(again > scene.now && again - scene.now <= MINUTE);
        scene.now = again;
        checks += 1;
        if checks % 10 == 0 {
            scene.change();
            scene.begin = scene.now;
        }
        if checks == 100 {
            break;
        }
    }
    assert_eq!(scene.waiting(), 1);
    // Closed, without another change.
    scene.now += QUIET;
    assert_eq!(scene.judge(Writers::Absent), Verdict::Share);
}

#[test]
fn a_file_that_is_held_open_and_left_alone_is_shared_in_doubt_after_ten_minutes() {
    let mut scene = Scene::new();
    scene.waits(Writers::Present);
    scene.now += HELD_OPEN / 2;
    scene.change();
    scene.waits(Writers::Present);
    scene.now += HELD_OPEN - QUIET;
    assert_eq!(
        scene.waits(Writers::Present),
        HELD_OPEN * 3 / 2,
        "checked when it is due"
    );
    scene.now += QUIET;
    assert_eq!(scene.judge(Writers::Present), Verdict::ShareInDoubt);
    // The same by its own timestamps alone: after a start nothing else is known.
    scene.settling = Settling::default();
    assert_eq!(scene.judge(Writers::Present), Verdict::ShareInDoubt);
}

#[test]
fn if_writers_are_unknown_the_wait_grows_with_the_file() {
    let mut scene = Scene::new();
    assert_eq!(scene.waits(Writers::Unknown), QUIET);
    for (growing, demanded) in [(5, 1), (30, 3), (300, 30), (3600, 60), (90_000, 60)] {
        scene.now = scene.begin + seconds(growing);
        scene.change();
        let again = scene.waits(Writers::Unknown);
        assert_eq!(again, seconds(growing + demanded), "after {growing} s");
    }
    scene.now += seconds(59);
    assert!(matches!(
        scene.judge(Writers::Unknown),
        Verdict::CheckAgain(_)
    ));
    scene.now += seconds(1);
    assert_eq!(scene.judge(Writers::Unknown), Verdict::Share);
}

#[test]
fn each_hashing_in_vain_doubles_the_wait_until_the_file_settles() {
    let mut scene = Scene::new();
    let mut demanded = QUIET;
    for _ in 0..12 {
        scene.now += demanded;
        scene.hash(Duration::ZERO);
        scene.now += demanded - Duration::from_millis(500);
        scene.change();
        demanded = (demanded * 2).min(MAX_QUIET);
        let again = scene.begin + scene.waits(Writers::Absent);
        assert_eq!(again - scene.now, demanded);
    }
    assert_eq!(demanded, MAX_QUIET);
    // Changes while it waits cost nothing and change nothing.
    scene.now += MINUTE;
    scene.change();
    scene.waits(Writers::Absent);
    scene.now += demanded;
    scene.hash(Duration::ZERO);
    scene.now += demanded;
    scene.change();
    let again = scene.begin + scene.waits(Writers::Absent);
    assert_eq!(again - scene.now, QUIET, "it had settled");
}

#[test]
fn a_file_that_is_expensive_to_hash_waits_for_twenty_times_the_cost() {
    let mut scene = Scene::new();
    scene.now += QUIET;
    scene.hash(seconds(3));
    scene.now += seconds(59);
    scene.change();
    let again = scene.begin + scene.waits(Writers::Absent);
    assert_eq!(again - scene.now, MINUTE);

    scene.now = again;
    let seen = scene.seen(Writers::Absent);
    let (path, took) = (scene.path.clone(), seconds(100));
    scene.now += took;
    scene.change();
    let again = scene.settling.overtaken(&path, seen, took, scene.now);
    assert_eq!(again - scene.now, seconds(2000));
    assert_eq!(scene.begin + scene.waits(Writers::Absent), again);
    assert_eq!(scene.waiting(), 1);
}

#[test]
fn a_change_a_second_is_hashed_twice_at_most() {
    let mut scene = Scene::new();
    let mut hashed = 0;
    for _ in 0..600 {
        // Just as long as a file has to be unchanged.
        scene.now += QUIET;
        if scene.judge(Writers::Absent) == Verdict::Share {
            scene.hash(Duration::from_millis(300));
            hashed += 1;
        }
        scene.change();
    }
    assert!(hashed <= 2, "{hashed} times");
}

#[test]
fn the_number_of_remembered_files_is_bounded() {
    let mut scene = Scene::new();
    for at in 0..MAX_FILES + 10 {
        scene.path = at.to_string().into();
        scene.waits(Writers::Present);
    }
    assert_eq!(scene.waiting(), MAX_FILES);
    // A further file is judged by its own timestamps.
    scene.now += QUIET;
    assert_eq!(scene.judge(Writers::Absent), Verdict::Share);
    // A file that was hashed and has settled is forgotten in favour of others.
    scene.path = "0".into();
    scene.hash(Duration::ZERO);
    scene.now += QUIET;
    (scene.path, scene.changed) = ("new".into(), scene.now);
    scene.waits(Writers::Absent);
    assert_eq!(scene.waiting(), MAX_FILES);

    scene.settling.forget(Path::new("new"));
    let since = scene.now;
    scene.path = "1".into();
    scene.waits(Writers::Present);
    scene.settling.forget_unseen(since);
    assert_eq!(scene.waiting(), 1);
}

#[test]
fn the_timestamps_of_a_file_show_when_it_last_changed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    let file = fs::File::create(&path).unwrap();
    // As after `cp -p`.
    file.set_modified(SystemTime::UNIX_EPOCH + MINUTE).unwrap();
    assert!(unchanged(&file.metadata().unwrap()) < MINUTE);
    file.set_modified(SystemTime::now() + MINUTE).unwrap();
    assert!(
        unchanged(&file.metadata().unwrap()) < MINUTE,
        "it has just been made"
    );
}

#[test]
fn a_time_ahead_of_the_clock_keeps_no_file_waiting() {
    let now = SystemTime::now();
    assert_eq!(since(now - MINUTE, now), MINUTE);
    assert_eq!(since(now + CLOCK_TOLERANCE, now), Duration::ZERO);
    for ahead in [MINUTE, MINUTE * 60 * 24 * 3650] {
        assert_eq!(since(now + ahead, now), MAX_QUIET);
    }
    assert!(since(SystemTime::UNIX_EPOCH - MINUTE, now) > MAX_QUIET);
    // It is shared, even if the bound is reached.
    let mut scene = Scene::new();
    for at in 0..MAX_FILES {
        scene.path = at.to_string().into();
        scene.waits(Writers::Present);
    }
    let seen = Observation {
        unchanged: since(now + MINUTE, now),
        ..scene.seen(Writers::Absent)
    };
    let verdict = scene.settling.judge(Path::new("ahead"), seen, scene.now);
    assert_eq!(verdict, Verdict::Share);
}
