//! Work that may block, off the threads of the runtime.

use std::ops::ControlFlow;

use tokio::{sync::oneshot, task::spawn_blocking};

use crate::network::Closed;

/// Runs `work` on a thread that may block. It fails only when the runtime is shutting down.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Closed> {
    // Boxed: a task of its own type for each piece of work would be compiled each time.
    let work: Box<dyn FnOnce() -> T + Send> = Box::new(work);
    spawn_blocking(work).await.map_err(|_| Closed)
}

/// The caller of such work, as the work sees it: threads that block end only by themselves.
pub(super) struct Caller(oneshot::Sender<()>);

impl Caller {
    /// For the work, and what the caller holds while it waits. Dropping that stops the work.
    #[must_use]
    pub(super) fn new() -> (Self, oneshot::Receiver<()>) {
        let (caller, waiting) = oneshot::channel();
        (Self(caller), waiting)
    }

    /// Stops work for which its caller no longer waits.
    pub(super) fn check(&self) -> ControlFlow<()> {
        match self.0.is_closed() {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        }
    }
}
