//! What is known of each duty, and the task that runs it.

use std::{collections::BTreeMap, error::Error, sync::Arc, time::SystemTime};

use parking_lot::{Mutex, MutexGuard};
use tokio::task::JoinHandle;

/// How one run of a duty ends. `Ok`: nothing is left to do.
pub type Outcome = Result<(), Box<dyn Error + Send + Sync>>;

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

/// All duties by name. A handle: clones share the same duties.
#[derive(Clone, Default)]
pub(super) struct Registry(Arc<Mutex<Registered>>);

#[derive(Default)]
pub(super) struct Registered {
    pub(super) duties: BTreeMap<String, RegisteredDuty>,
    pub(super) is_stopped: bool,
}

pub(super) struct RegisteredDuty {
    pub(super) duty: Duty,
    pub(super) task: Option<JoinHandle<()>>,
    /// A duty of one task only, such as seeding one download: it shows only after a failure.
    pub(super) is_single: bool,
}

impl Registry {
    /// Changes what is known of a duty.
    pub(super) fn note(&self, name: &str, change: impl FnOnce(&mut Duty)) {
        if let Some(registered) = self.lock().duties.get_mut(name) {
            change(&mut registered.duty);
        }
    }

    /// Notes that a duty has ended. A single one disappears.
    pub(super) fn ended(&self, name: &str) {
        let mut registered = self.lock();
        if registered
            .duties
            .get(name)
            .is_some_and(|duty| duty.is_single)
        {
            registered.duties.remove(name);
        } else if let Some(ended) = registered.duties.get_mut(name) {
            ended.duty.state = DutyState::Ended;
        }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Registered> {
        self.0.lock()
    }
}
