//! What a supervisor that started this process is told, where there is one: systemd, by `NOTIFY_SOCKET`.

/// What is told.
#[derive(Clone, Copy, Debug)]
pub(super) enum Phase {
    /// The node can be used.
    Ready,
    /// It ends.
    Stopping,
}

/// Tells it, if anyone wants to know.
pub(super) fn notify(phase: Phase) {
    #[cfg(target_os = "linux")]
    {
        use sd_notify::NotifyState;
        let state = match phase {
            Phase::Ready => NotifyState::Ready,
            Phase::Stopping => NotifyState::Stopping,
        };
        if let Err(error) = sd_notify::notify(&[state]) {
            tracing::warn!(%error, ?phase, "the supervisor could not be told");
        }
    }
    #[cfg(not(target_os = "linux"))]
    tracing::trace!(?phase, "there is no supervisor to tell");
}
