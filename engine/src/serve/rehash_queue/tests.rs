use futures::FutureExt;

use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn file(path: &str, reason: RehashReason, due: Instant) -> QueuedFile {
    QueuedFile {
        path: path.into(),
        reason,
        due,
        tries: 0,
    }
}

fn queue(files: &[QueuedFile]) -> Queue {
    let mut queue = Queue::default();
    files.iter().cloned().for_each(|file| queue.add(file));
    queue
}

#[test]
fn files_that_cannot_be_served_come_before_files_in_doubt() {
    let now = Instant::now();
    let doubted = file("doubted", RehashReason::Doubted, now);
    let changed = file("changed", RehashReason::Changed, now + SETTLE);
    let second = file("second", RehashReason::Changed, now + SETTLE);
    let no_tree = file("no tree", RehashReason::NoTree, now);
    let all = [doubted, changed, second, no_tree];
    let mut queue = queue(&all);
    let later = now + SETTLE;
    for expected in [3, 1, 2, 0] {
        assert_eq!(queue.next(later), Next::File(all[expected].clone()));
    }
    assert_eq!(queue.next(later), Next::Never);
}

#[test]
fn a_changed_file_waits_until_it_has_settled_and_others_go_first() {
    let now = Instant::now();
    let changed = file("changed", RehashReason::Changed, now + SETTLE);
    let doubted = file("doubted", RehashReason::Doubted, now);
    let mut queue = queue(&[changed.clone(), doubted.clone()]);
    assert_eq!(queue.next(now), Next::File(doubted));
    assert_eq!(queue.next(now), Next::At(now + SETTLE));
    assert_eq!(queue.next(now + SETTLE), Next::File(changed));
}

#[test]
fn files_in_doubt_are_hashed_in_a_fifth_of_the_time_and_others_do_not_wait_for_that() {
    let now = Instant::now();
    let doubted = file("doubted", RehashReason::Doubted, now);
    let no_tree = file("no tree", RehashReason::NoTree, now);
    let mut queue = queue(&[doubted.clone(), no_tree.clone()]);
    queue.paused_until = Some(now + PAUSE_FACTOR * SECOND);
    assert_eq!(queue.next(now), Next::File(no_tree));
    assert_eq!(queue.next(now), Next::At(now + PAUSE_FACTOR * SECOND));
    let rested = now + PAUSE_FACTOR * SECOND;
    assert_eq!(queue.next(rested), Next::File(doubted));
    assert_eq!(PAUSE_FACTOR, 4, "one part of five");
}

#[test]
fn a_file_that_changes_again_and_again_costs_a_twentieth_of_the_time() {
    let now = Instant::now();
    let mut queue = Queue::default();
    queue.hashed("log".into(), SECOND, now);
    let [log, other] = ["log", "other"].map(|path| file(path, RehashReason::Changed, now));
    queue.add(log);
    queue.add(other.clone());
    assert_eq!(queue.next(now), Next::File(other));
    assert_eq!(queue.next(now), Next::At(now + COST_FACTOR * SECOND));
    assert!(matches!(
        queue.next(now + COST_FACTOR * SECOND),
        Next::File(_)
    ));
}

#[test]
fn a_file_waits_once_for_the_most_pressing_reason() {
    let now = Instant::now();
    let doubted = file("file", RehashReason::Doubted, now);
    let no_tree = file("file", RehashReason::NoTree, now);
    for files in [
        [doubted.clone(), no_tree.clone()],
        [no_tree.clone(), doubted.clone()],
    ] {
        let mut queue = queue(&files);
        assert_eq!(queue.next(now), Next::File(no_tree.clone()));
        assert_eq!(queue.next(now), Next::Never);
    }
}

#[test]
fn the_queue_is_bounded_and_served_files_yield() {
    let now = Instant::now();
    let mut queue = Queue::default();
    for n in 0..MAX_WAITING + 10 {
        queue.add(file(&n.to_string(), RehashReason::Doubted, now));
    }
    assert_eq!(queue.waiting.len(), MAX_WAITING);
    let changed = file("changed", RehashReason::Changed, now);
    queue.add(changed.clone());
    assert_eq!(queue.waiting.len(), MAX_WAITING);
    assert_eq!(queue.next(now), Next::File(changed));
}

#[tokio::test]
async fn a_file_is_retried_a_few_times_and_may_be_queued_again_once_taken() {
    let queue = RehashQueue::default();
    assert!(queue.next().now_or_never().is_none());
    queue.enqueue_doubted("file".into());
    queue.enqueue_doubted("file".into());
    let mut taken = queue.next().await;
    assert!(queue.next().now_or_never().is_none());
    for _ in 1..MAX_TRIES {
        assert!(queue.retry(taken));
        let (_, (_, again)) = queue.0.queue.lock().waiting.drain().next().unwrap();
        taken = again;
    }
    assert!(!queue.retry(taken));
    queue.hashed("other".into(), Duration::from_secs(100));
    queue.enqueue_doubted("file".into());
    assert!(queue.next().now_or_never().is_none(), "it rests");
    queue.enqueue("file".into(), RehashReason::NoTree);
    assert_eq!(queue.next().await.reason, RehashReason::NoTree);
}
