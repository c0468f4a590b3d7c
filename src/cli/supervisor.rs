//! Notifies the supervisor that started this process: systemd, by `NOTIFY_SOCKET`.

/// The phases that a supervisor can follow.
#[derive(Clone, Copy, Debug)]
pub(super) enum Phase {
    /// The node is ready.
    Ready,
    /// The node is stopping.
    Stopping,
}

/// Notifies the supervisor, if there is one.
pub(super) fn notify(phase: Phase) {
    #[cfg(target_os = "linux")]
    {
        use sd_notify::NotifyState;
        let state = match phase {
            Phase::Ready => NotifyState::Ready,
            Phase::Stopping => NotifyState::Stopping,
        };
        if let Err(error) = sd_notify::notify(&[state]) {
            tracing::warn!(%error, ?phase, "the supervisor could not be notified");
        }
    }
    #[cfg(not(target_os = "linux"))]
    tracing::trace!(?phase, "no supervisor on this system");
}
