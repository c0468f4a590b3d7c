//! Runs blocking work for peers: a bounded number of jobs at a time, shared fairly.
//!
//! A handle over the pure [`fair_queue`]. Owns no thread: jobs run on the runtime's blocking
//! threads, few at a time, so that work for the local user finds a free one immediately. Each job
//! is charged the processor time it took, and the cost of the bytes it read.

mod allowance;
mod fair_queue;
#[cfg(test)]
mod tests;

use std::{
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use tokio::{task::spawn_blocking, time::sleep_until};

pub(super) use self::fair_queue::JobKind;
use self::fair_queue::{FairQueue, JobLimits, NextJob, RunningJob};
use super::{
    request_queue::{QueueFull, Ticket, Tickets},
    requester::Requester,
};

/// The cost of reading 1 KiB, apart from processor time: 1 GB a second.
const COST_PER_KIB: Duration = Duration::from_micros(1);

/// The queue of one node. A handle: clones share it.
#[derive(Clone)]
pub(super) struct Work(Arc<Mutex<Shared>>);

struct Shared {
    queue: FairQueue,
    tickets: Tickets<JobPermit>,
    /// The next time at which a timer looks at the queue.
    wake: Option<Instant>,
}

/// The right to run a job. Charges its cost when dropped.
struct JobPermit {
    work: Work,
    turn: RunningJob,
    cost: Duration,
}

/// A job in the queue. Dropping this removes it.
struct Waiter<'a> {
    work: &'a Work,
    ticket: Ticket,
}

impl Work {
    /// At most `reads` chunks are read at a time, of which at most `reads_per_peer` for one peer.
    pub(super) fn new(reads: usize, reads_per_peer: usize) -> Self {
        let cores = thread::available_parallelism().map_or(1, usize::from);
        let limits = JobLimits {
            reads: reads.max(1),
            reads_per_peer: reads_per_peer.max(1),
            look_ups: (cores / 2).max(1),
        };
        Self(Arc::new(Mutex::new(Shared {
            queue: FairQueue::new(limits),
            tickets: Tickets::default(),
            wake: None,
        })))
    }

    /// Runs `job` for `requester` when it is its turn. The job returns, with its result, how many
    /// bytes of content it read. A job that has started is finished, even if its result is not
    /// needed any more.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        requester: Requester,
        kind: JobKind,
        job: impl FnOnce() -> (T, usize) + Send + 'static,
    ) -> Result<T, QueueFull> {
        let turn = self.turn(requester, kind).await?;
        let run = move || {
            let mut turn = turn;
            let began = processor_time();
            let (done, bytes_read) = job();
            let reading = COST_PER_KIB * u32::try_from(bytes_read >> 10).unwrap_or(u32::MAX);
            turn.cost = processor_time().saturating_sub(began) + reading;
            done
        };
        // Joining fails only when the runtime shuts down or the job panicked, which is logged.
        spawn_blocking(run).await.map_err(|_| QueueFull)
    }

    async fn turn(&self, requester: Requester, kind: JobKind) -> Result<JobPermit, QueueFull> {
        let (ticket, granted) = {
            let mut state = self.0.lock();
            let (ticket, granted) = state.tickets.issue();
            if let Some(dropped) = state.queue.wait(ticket, requester, kind) {
                state.tickets.take(dropped);
            }
            (ticket, granted)
        };
        let _waiter = Waiter { work: self, ticket };
        self.begin();
        granted.await.map_err(|_| QueueFull)
    }

    /// Starts all jobs that may run.
    fn begin(&self) {
        loop {
            let (sender, turn) = {
                let mut state = self.0.lock();
                match state.queue.next(Instant::now()) {
                    NextJob::Run(ticket, turn) => (state.tickets.take(ticket), turn),
                    NextJob::At(at) => return self.wake(&mut state, at),
                    NextJob::Nothing => return,
                }
            };
            let job = JobPermit {
                work: self.clone(),
                turn,
                cost: Duration::ZERO,
            };
            // If the requester stopped waiting, the permit is dropped here, outside of the lock.
            if let Some(sender) = sender {
                let _ = sender.send(job);
            }
        }
    }

    /// Looks at the queue again at `at`.
    fn wake(&self, state: &mut Shared, at: Instant) {
        if state.wake.is_some_and(|wake| wake <= at) {
            return;
        }
        state.wake = Some(at);
        let work = self.clone();
        tokio::spawn(async move {
            sleep_until(at.into()).await;
            let is_due = |wake: &mut Instant| *wake <= at;
            work.0.lock().wake.take_if(is_due);
            work.begin();
        });
    }

    /// How many jobs of a kind run, and how many wait.
    pub(super) fn depths(&self, kind: JobKind) -> (usize, usize) {
        self.0.lock().queue.depths(kind)
    }
}

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        let mut state = self.work.0.lock();
        if state.tickets.take(self.ticket).is_some() {
            state.queue.give_up(self.ticket);
        }
    }
}

impl Drop for JobPermit {
    fn drop(&mut self) {
        let (turn, cost) = (self.turn, self.cost);
        self.work.0.lock().queue.end(turn, cost, Instant::now());
        self.work.begin();
    }
}

/// The processor time of this thread; where the system does not report it, the elapsed time.
fn processor_time() -> Duration {
    #[cfg(unix)]
    {
        use rustix::time::{ClockId, clock_gettime};
        let time = clock_gettime(ClockId::ThreadCPUTime);
        let seconds = u64::try_from(time.tv_sec).unwrap_or_default();
        let nanoseconds = u32::try_from(time.tv_nsec).unwrap_or_default();
        Duration::new(seconds, nanoseconds)
    }
    #[cfg(not(unix))]
    {
        static BEGAN: std::sync::LazyLock<Instant> = std::sync::LazyLock::new(Instant::now);
        BEGAN.elapsed()
    }
}
