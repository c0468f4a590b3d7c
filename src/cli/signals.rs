//! Signals that end this process.

use std::{io, process};

/// SIGINT and SIGTERM, or Ctrl-C on systems without signals.
pub(super) struct Signals {
    #[cfg(unix)]
    interrupt: tokio::signal::unix::Signal,
    #[cfg(unix)]
    terminate: tokio::signal::unix::Signal,
}

/// From now on, Ctrl-C ends the processes that this one runs in the terminal, but not this one.
pub(super) fn outlive_interrupts() -> io::Result<()> {
    // The handler stays when its stream is dropped. Unlike an ignored signal, it is not inherited
    // by the processes that are started here.
    #[cfg(unix)]
    drop(tokio::signal::unix::signal(
        tokio::signal::unix::SignalKind::interrupt(),
    )?);
    #[cfg(not(unix))]
    tokio::spawn(async { while tokio::signal::ctrl_c().await.is_ok() {} });
    Ok(())
}

/// From now on, a write beyond the limit on the size of files (`ulimit -f`) returns an error instead
/// of ending this process.
pub(super) fn outlive_size_limit() {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let number = rustix::process::Signal::XFSZ.as_raw();
        // The handler stays when its stream is dropped.
        if let Err(error) = signal(SignalKind::from_raw(number)) {
            tracing::warn!(%error, "a write beyond the file size limit (ulimit -f) ends this process");
        }
    }
}

impl Signals {
    /// From now on, signals no longer end the process by themselves.
    pub(super) fn listen() -> io::Result<Self> {
        #[cfg(unix)]
        {
            use tokio::signal::unix::{SignalKind, signal};
            let interrupt = signal(SignalKind::interrupt())?;
            let terminate = signal(SignalKind::terminate())?;
            Ok(Self {
                interrupt,
                terminate,
            })
        }
        #[cfg(not(unix))]
        Ok(Self {})
    }

    /// Waits for a signal.
    pub(super) async fn next(&mut self) {
        #[cfg(unix)]
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
        #[cfg(not(unix))]
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// From now on, the next signal ends the process immediately.
    pub(super) fn exit_on_next(mut self) {
        tokio::spawn(async move {
            self.next().await;
            process::exit(1)
        });
    }
}
