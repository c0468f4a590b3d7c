//! The supervisor: runs background duties, and restarts a duty that fails or panics, with back-off.
//!
//! Owns the tasks of all duties and what is known of each. Decides nothing about what a duty does: a
//! duty is a function that makes a future. `Ok` ends the duty, an error or a panic restarts it.
//! `Backoff` is the pure decision of when to restart; other retries use it, too.

mod backoff;
mod supervise;

use std::{collections::BTreeMap, error::Error, future::Future, sync::Arc, time::SystemTime};

use parking_lot::{Mutex, MutexGuard};
use tokio::task::JoinHandle;

pub use backoff::Backoff;

/// How one run of a duty ends. `Ok`: nothing is left to do.
pub type Outcome = Result<(), Box<dyn Error + Send + Sync>>;

/// The duties of a node. A handle: clones are the same.
#[derive(Clone, Default)]
pub struct Duties(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    duties: BTreeMap<String, Entry>,
    is_stopped: bool,
}

struct Entry {
    duty: Duty,
    task: Option<JoinHandle<()>>,
    /// A duty of one task only, such as sharing one download on: it shows only after a failure.
    is_single: bool,
}

/// A duty and how it fares.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Duty {
    /// Its name, the same in every version.
    pub name: String,
    /// What it does now.
    pub state: DutyState,
    /// How often the supervisor has restarted it.
    pub restarts: u64,
    /// Its last failure.
    pub failure: Option<DutyFailure>,
}

/// What a duty does now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DutyState {
    /// It runs.
    Running,
    /// It failed, and the supervisor restarts it at this time.
    Waiting(SystemTime),
    /// Nothing is left to do.
    Ended,
}

/// A failure of a duty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DutyFailure {
    /// What went wrong.
    pub error: String,
    /// When.
    pub at: SystemTime,
}

impl Duties {
    /// Runs `duty` in the background until it ends or the node stops. The supervisor calls it again
    /// after each failure.
    pub fn run<F, Fut>(&self, name: &str, duty: F)
    where
        F: FnMut() -> Fut + Send + 'static,
        Fut: Future<Output = Outcome> + Send + 'static,
    {
        self.begin(name, false, duty);
    }

    /// The same for a duty of one task among many alike: it shows in [`Duties::report`] only after a
    /// failure, and disappears when it ends.
    pub fn run_single<F, Fut>(&self, name: &str, duty: F)
    where
        F: FnMut() -> Fut + Send + 'static,
        Fut: Future<Output = Outcome> + Send + 'static,
    {
        self.begin(name, true, duty);
    }

    fn begin<F, Fut>(&self, name: &str, is_single: bool, duty: F)
    where
        F: FnMut() -> Fut + Send + 'static,
        Fut: Future<Output = Outcome> + Send + 'static,
    {
        let mut state = self.lock();
        if state.is_stopped {
            return;
        }
        let entry = Entry {
            duty: Duty {
                name: name.to_owned(),
                state: DutyState::Running,
                restarts: 0,
                failure: None,
            },
            task: None,
            is_single,
        };
        let before = state.duties.insert(name.to_owned(), entry);
        if let Some(task) = before.and_then(|before| before.task) {
            task.abort();
        }
        // The task waits for this lock before it changes the entry.
        let task = tokio::spawn(supervise::supervise(self.clone(), name.to_owned(), duty));
        if let Some(entry) = state.duties.get_mut(name) {
            entry.task = Some(task);
        }
    }

    /// All lasting duties, and the single ones that have failed, by name.
    #[must_use]
    pub fn report(&self) -> Vec<Duty> {
        let state = self.lock();
        let shown = |entry: &&Entry| !entry.is_single || entry.duty.failure.is_some();
        let entries = state.duties.values().filter(shown);
        entries.map(|entry| entry.duty.clone()).collect()
    }

    /// How many duties there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.lock().duties.len()
    }

    /// Ends one duty, and waits until everything that it holds is dropped.
    pub async fn end(&self, name: &str) {
        let entry = self.lock().duties.remove(name);
        if let Some(task) = entry.and_then(|entry| entry.task) {
            task.abort();
            // It ends by being aborted.
            let _ = task.await;
        }
    }

    /// Ends all duties. None begins after that.
    pub fn stop(&self) {
        let mut state = self.lock();
        state.is_stopped = true;
        for entry in state.duties.values() {
            if let Some(task) = &entry.task {
                task.abort();
            }
        }
    }

    /// Changes what is known of a duty.
    fn note(&self, name: &str, change: impl FnOnce(&mut Duty)) {
        if let Some(entry) = self.lock().duties.get_mut(name) {
            change(&mut entry.duty);
        }
    }

    fn ended(&self, name: &str) {
        let mut state = self.lock();
        if state.duties.get(name).is_some_and(|entry| entry.is_single) {
            state.duties.remove(name);
        } else if let Some(entry) = state.duties.get_mut(name) {
            entry.duty.state = DutyState::Ended;
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock()
    }
}
