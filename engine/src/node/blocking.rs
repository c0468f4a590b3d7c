//! Work that may block, off the threads of the runtime.

use tokio::task::spawn_blocking;

use crate::network::Closed;

/// Runs `work` on a thread that may block. It fails only when the runtime is shutting down.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Closed> {
    spawn_blocking(work).await.map_err(|_| Closed)
}
