//! What a supervisor that started this process is told, where there is one: systemd, by `NOTIFY_SOCKET`.

/// What is told.
#[derive(Clone, Copy, Debug)]
pub(super) enum Told {
    /// The node can be used.
    Ready,
    /// It ends.
    Stopping,
}

/// Tells it, if anyone wants to know.
pub(super) fn tell(what: Told) {
    #[cfg(target_os = "linux")]
    {
        use sd_notify::NotifyState;
        let state = match what {
            Told::Ready => NotifyState::Ready,
            Told::Stopping => NotifyState::Stopping,
        };
        if let Err(error) = sd_notify::notify(&[state]) {
            tracing::warn!(%error, ?what, "the supervisor could not be told");
        }
    }
    #[cfg(not(target_os = "linux"))]
    tracing::trace!(?what, "there is no supervisor to tell");
}
