//! The handle to the duties of a node: begins them, reports on them, ends them.

use std::future::Future;

use futures::FutureExt;

use super::{
    Duty, DutyState, Outcome,
    registry::{RegisteredDuty, Registry},
    supervise::{BoxedDuty, supervise},
};

/// The duties of a node. A handle: clones share the same duties.
#[derive(Clone, Default)]
pub struct Duties(Registry);

impl Duties {
    /// Runs `duty` in the background until it ends or the node stops. The supervisor calls it again
    /// after each failure.
    pub fn run<F, Fut>(&self, name: &str, duty: F)
    where
        F: FnMut() -> Fut + Send + 'static,
        Fut: Future<Output = Outcome> + Send + 'static,
    {
        self.begin(name, false, boxed(duty));
    }

    /// Runs a duty of one task among many alike. It shows in [`Duties::report`] only after a
    /// failure, and disappears when it ends.
    pub fn run_single<F, Fut>(&self, name: &str, duty: F)
    where
        F: FnMut() -> Fut + Send + 'static,
        Fut: Future<Output = Outcome> + Send + 'static,
    {
        self.begin(name, true, boxed(duty));
    }

    fn begin(&self, name: &str, is_single: bool, duty: BoxedDuty) {
        let mut registered = self.0.lock();
        if registered.is_stopped {
            return;
        }
        let new = RegisteredDuty {
            duty: Duty {
                name: name.to_owned(),
                state: DutyState::Running,
                restarts: 0,
                failure: None,
            },
            task: None,
            is_single,
        };
        let before = registered.duties.insert(name.to_owned(), new);
        if let Some(task) = before.and_then(|before| before.task) {
            task.abort();
        }
        // The task waits for this lock before it changes what is known of the duty.
        let task = tokio::spawn(supervise(self.0.clone(), name.to_owned(), duty));
        if let Some(new) = registered.duties.get_mut(name) {
            new.task = Some(task);
        }
    }

    /// All lasting duties, and the single ones that have failed, by name.
    #[must_use]
    pub fn report(&self) -> Vec<Duty> {
        let registered = self.0.lock();
        let shown = |duty: &&RegisteredDuty| !duty.is_single || duty.duty.failure.is_some();
        let duties = registered.duties.values().filter(shown);
        duties.map(|registered| registered.duty.clone()).collect()
    }

    /// How many duties there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.0.lock().duties.len()
    }

    /// Ends one duty, and waits until everything that it holds is dropped.
    pub async fn end(&self, name: &str) {
        let removed = self.0.lock().duties.remove(name);
        if let Some(task) = removed.and_then(|removed| removed.task) {
            task.abort();
            // Aborting it makes it fail.
            let _ = task.await;
        }
    }

    /// Ends all duties. Afterwards none begins.
    pub fn stop(&self) {
        let mut registered = self.0.lock();
        registered.is_stopped = true;
        for duty in registered.duties.values() {
            if let Some(task) = &duty.task {
                task.abort();
            }
        }
    }
}

/// One type for all duties, so that the supervisor is compiled once.
fn boxed<F, Fut>(mut duty: F) -> BoxedDuty
where
    F: FnMut() -> Fut + Send + 'static,
    Fut: Future<Output = Outcome> + Send + 'static,
{
    Box::new(move || duty().boxed())
}
