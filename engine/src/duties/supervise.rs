//! Runs one duty, and restarts it after each failure.

use std::{
    any::Any,
    panic::AssertUnwindSafe,
    time::{Instant, SystemTime},
};

use futures::{FutureExt, future::BoxFuture};
use tokio::time::sleep;

use super::{Backoff, DutyFailure, DutyState, Outcome, registry::Registry};

/// Makes the future of each run.
pub(super) type BoxedDuty = Box<dyn FnMut() -> BoxFuture<'static, Outcome> + Send>;

/// Runs `duty` until it ends by itself.
pub(super) async fn supervise(registry: Registry, name: String, mut duty: BoxedDuty) {
    let mut backoff = Backoff::default();
    loop {
        // The call may panic, and so may the future. The next run reads nothing that a failed run
        // leaves behind, except what a lock that survives panics protects.
        let run = async { duty().await };
        let error = match AssertUnwindSafe(run).catch_unwind().await {
            Ok(Ok(())) => return registry.ended(&name),
            Ok(Err(error)) => error.to_string(),
            Err(panic) => panic_text(&*panic),
        };
        let pause = backoff.failed(Instant::now());
        tracing::warn!(
            duty = name,
            error,
            "a background task failed: it restarts in {pause:?}"
        );
        let at = SystemTime::now();
        registry.note(&name, |duty| {
            duty.state = DutyState::Waiting(at + pause);
            duty.failure = Some(DutyFailure { error, at });
        });
        sleep(pause).await;
        registry.note(&name, |duty| {
            duty.state = DutyState::Running;
            duty.restarts += 1;
        });
    }
}

fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
    format!("it panicked: {}", text.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use std::{
        sync::{
            Arc,
            atomic::{AtomicU32, Ordering},
        },
        time::Duration,
    };

    use tokio::sync::{Mutex, mpsc};

    use super::*;
    use crate::duties::Duties;

    #[tokio::test(start_paused = true)]
    async fn a_duty_that_fails_or_panics_is_restarted_and_shows() {
        let (duties, runs) = (Duties::default(), Arc::new(AtomicU32::new(0)));
        let counted = Arc::clone(&runs);
        duties.run("test", move || {
            let run = counted.fetch_add(1, Ordering::Relaxed);
            async move {
                match run {
                    0 => Err("the disk is full".into()),
                    1 => panic!("number {run}"),
                    2 => std::future::pending().await,
                    _ => Ok(()),
                }
            }
        });
        let duty = || duties.report().remove(0);
        assert_eq!((duty().state, duty().failure), (DutyState::Running, None));
        sleep(Duration::from_millis(500)).await;
        assert!(matches!(duty().state, DutyState::Waiting(_)));
        assert_eq!(duty().failure.unwrap().error, "the disk is full");
        sleep(Duration::from_secs(1)).await;
        assert_eq!(duty().failure.unwrap().error, "it panicked: number 1");
        assert_eq!(duty().restarts, 1);
        sleep(Duration::from_secs(2)).await;
        assert_eq!(duty().state, DutyState::Running);
        assert_eq!((duty().restarts, runs.load(Ordering::Relaxed)), (2, 3));
        duties.stop();
    }

    #[tokio::test(start_paused = true)]
    async fn the_queue_of_a_duty_survives_its_panic() {
        let duties = Duties::default();
        let (sender, receiver) = mpsc::channel(8);
        let (sent, mut received) = mpsc::channel(8);
        let receiver = Arc::new(Mutex::new(receiver));
        duties.run("test", move || {
            let (receiver, sent) = (Arc::clone(&receiver), sent.clone());
            async move {
                let mut receiver = receiver.lock().await;
                while let Some(number) = receiver.recv().await {
                    assert_ne!(number, 2, "it cannot do this one");
                    let _ = sent.send(number).await;
                }
                Ok(())
            }
        });
        for number in 1..=3 {
            sender.send(number).await.unwrap();
        }
        assert_eq!(received.recv().await, Some(1));
        assert_eq!(received.recv().await, Some(3));
        drop(sender);
        assert_eq!(received.recv().await, None);
        assert_eq!(duties.report()[0].state, DutyState::Ended);
    }

    #[tokio::test(start_paused = true)]
    async fn a_single_duty_shows_only_while_it_fails() {
        let (duties, runs) = (Duties::default(), Arc::new(AtomicU32::new(0)));
        let counted = Arc::clone(&runs);
        duties.run_single("sharing on x", move || {
            let run = counted.fetch_add(1, Ordering::Relaxed);
            async move { if run == 0 { Err("no".into()) } else { Ok(()) } }
        });
        assert!(duties.report().is_empty());
        sleep(Duration::from_millis(10)).await;
        assert_eq!(duties.report().len(), 1);
        sleep(Duration::from_secs(2)).await;
        assert!(duties.report().is_empty());
        assert_eq!(runs.load(Ordering::Relaxed), 2);
        duties.stop();
        duties.run("late", || async { Ok(()) });
        assert!(duties.report().is_empty(), "nothing begins after the stop");
    }
}
