use super::*;

const CONTENT: Hash = Hash::from_bytes([1; 32]);

struct Clock(Now);

impl Clock {
    fn new() -> Self {
        Self(Now {
            instant: Instant::now(),
            unix_ms: 1_000_000,
        })
    }

    /// The time, `seconds` later.
    fn after(&mut self, seconds: u64) -> Now {
        self.0.instant += Duration::from_secs(seconds);
        self.0.unix_ms += 1000 * seconds;
        self.0
    }
}

/// A peer on a host of its own.
fn peer() -> (PeerId, Origin) {
    let peer = PeerId::random();
    (peer, Origin::new(peer, &"/memory/1".parse().unwrap()))
}

fn content(blocks: u64) -> UploadContent {
    UploadContent {
        name: "a".to_owned(),
        size: blocks * 100,
        blocks,
    }
}

fn states(table: &Table, now: Now) -> Vec<(UploadState, u64, Option<u64>)> {
    let listed = table.list(now).into_iter();
    listed
        .map(|upload| (upload.state, upload.sent_bytes, upload.held_blocks))
        .collect()
}

#[test]
fn an_upload_is_done_when_the_peer_says_so_however_much_was_sent() {
    let (mut table, mut clock) = (Table::default(), Clock::new());
    let (peer, origin) = peer();
    let key = (CONTENT, peer);
    table.subscribe(key, origin, None, clock.after(0));
    assert!(table.list(clock.0).is_empty(), "nothing was sent yet");
    assert!(table.record_sent(key, origin, 300, clock.after(1)));
    assert_eq!(states(&table, clock.0), [(UploadState::Sending, 300, None)]);
    let followed = table.begin_following(clock.0);
    assert_eq!(followed.len(), 1);
    assert!(table.begin_following(clock.0).is_empty(), "once");
    assert!(!table.record_held(key, 2, &content(3), Some("anna"), clock.after(1)));
    assert_eq!(
        states(&table, clock.0),
        [(UploadState::Sending, 300, Some(2))]
    );
    // The third block comes from another peer.
    assert!(table.record_held(key, 3, &content(3), None, clock.after(1)));
    table.unsubscribe(key, clock.after(100));
    table.unfollow(key, false, Duration::ZERO, clock.0);
    let listed = table.list(clock.0);
    assert_eq!(states(&table, clock.0), [(UploadState::Done, 300, Some(3))]);
    assert_eq!(listed[0].peer_name.as_deref(), Some("anna"));
    assert_eq!(listed[0].ended_unix_ms, Some(1_003_000));
    // It deletes the file, and comes again.
    table.subscribe(key, origin, None, clock.after(1));
    assert_eq!(states(&table, clock.0), [(UploadState::Done, 300, Some(3))]);
    assert!(table.record_sent(key, origin, 10, clock.after(1)));
    assert_eq!(states(&table, clock.0), [(UploadState::Sending, 310, None)]);
}

#[test]
fn a_peer_that_goes_away_has_left_and_one_that_pauses_has_not() {
    let (mut table, mut clock) = (Table::default(), Clock::new());
    let (peer, origin) = peer();
    let key = (CONTENT, peer);
    table.subscribe(key, origin, None, clock.after(0));
    table.record_sent(key, origin, 100, clock.after(0));
    table.record_held(key, 1, &content(3), None, clock.after(0));
    clock.after(1000);
    assert_eq!(
        states(&table, clock.0)[0].0,
        UploadState::Sending,
        "it listens"
    );
    table.unsubscribe(key, clock.0);
    assert_eq!(states(&table, clock.after(9))[0].0, UploadState::Sending);
    assert_eq!(table.silent_peers(), [peer]);
    table.gone(&peer);
    assert_eq!(
        states(&table, clock.0)[0],
        (UploadState::Left, 100, Some(1))
    );
    assert!(table.silent_peers().is_empty());
    table.subscribe(key, origin, None, clock.0);
    assert_eq!(states(&table, clock.0)[0].0, UploadState::Sending);
    table.unsubscribe(key, clock.0);
    assert_eq!(states(&table, clock.after(10))[0].0, UploadState::Left);
}

#[test]
fn few_peers_of_a_host_are_followed_and_the_next_one_when_one_ends() {
    let (mut table, mut clock) = (Table::default(), Clock::new());
    let (_, crowd) = peer();
    let add = |table: &mut Table, origin, now| {
        let key = (CONTENT, PeerId::random());
        table.subscribe(key, origin, None, now);
        table.record_sent(key, origin, 1, now);
    };
    for _ in 0..100 {
        add(&mut table, crowd, clock.after(1));
    }
    let followed = table.begin_following(clock.0);
    assert_eq!(followed.len(), MAX_FOLLOWED_OF_HOST);
    for _ in 0..100 {
        add(&mut table, peer().1, clock.after(1));
    }
    let others = table.begin_following(clock.0);
    assert_eq!(others.len(), MAX_FOLLOWED - MAX_FOLLOWED_OF_HOST);
    table.record_held(followed[0].key(), 3, &content(3), None, clock.0);
    table.unfollow(followed[0].key(), true, Duration::ZERO, clock.0);
    assert_eq!(table.begin_following(clock.0).len(), 1);
    table.unfollow(others[0].key(), true, Duration::from_secs(60), clock.0);
    assert_eq!(table.begin_following(clock.0).len(), 1, "another one");
}

#[test]
fn a_crowd_pushes_out_its_own_uploads_and_no_others() {
    let (mut table, mut clock) = (Table::default(), Clock::new());
    let ((friend, friends), (_, crowd)) = (peer(), peer());
    table.record_sent((CONTENT, friend), friends, 1, clock.after(1));
    for _ in 0..2 * MAX_LISTED {
        table.record_sent((CONTENT, PeerId::random()), crowd, 1, clock.after(1));
    }
    let listed = table.list(clock.0);
    assert_eq!(listed.len(), MAX_LISTED);
    assert_eq!(listed[0].peer, friend);
    assert_eq!(table.uploads.len(), MAX_LISTED);
}

#[test]
fn bytes_of_a_file_count_to_what_the_peer_listens_to() {
    let (mut table, clock) = (Table::default(), Clock::new());
    let (peer, origin) = peer();
    let [folder, other, file] = [1, 2, 3].map(|n| Hash::from_bytes([n; 32]));
    let root = |table: &Table| match table.root_of(file, &peer) {
        Root::Known(root) => vec![root],
        Root::OneOf(roots) => roots,
    };
    assert_eq!(root(&table), [file]);
    table.subscribe((folder, peer), origin, None, clock.0);
    assert_eq!(root(&table), [folder]);
    table.subscribe((other, peer), origin, None, clock.0);
    assert_eq!(root(&table), [folder, other]);
    table.subscribe((file, peer), origin, None, clock.0);
    assert_eq!(root(&table), [file]);
    for hash in [folder, other, file] {
        table.unsubscribe((hash, peer), clock.0);
    }
    assert!(table.uploads.is_empty() && table.roots.is_empty());
}

#[test]
fn uploads_survive_a_restart_and_live_ones_are_left_ones_then() {
    let (mut table, mut clock) = (Table::default(), Clock::new());
    let ((done, origin), (live, other)) = (peer(), peer());
    table.record_sent((CONTENT, done), origin, 300, clock.after(1));
    table.record_held((CONTENT, done), 3, &content(3), Some("anna"), clock.0);
    table.record_sent((CONTENT, live), other, 100, clock.after(1));
    let mut restarted = Table::default();
    restarted.restore(table.saved(clock.0), clock.after(60));
    assert_eq!(
        states(&restarted, clock.0),
        [
            (UploadState::Done, 300, Some(3)),
            (UploadState::Left, 100, None)
        ]
    );
    let listed = restarted.list(clock.0);
    assert_eq!(listed[0].content, Some(content(3)));
    assert_eq!(listed[1].ended_unix_ms, Some(1_002_000));
    restarted.subscribe((CONTENT, live), other, None, clock.0);
    restarted.record_sent((CONTENT, live), other, 50, clock.0);
    assert_eq!(
        states(&restarted, clock.0)[1],
        (UploadState::Sending, 150, None)
    );
}
