//! What a service manager is told (sd_notify(3)): that the node is ready, that it reads its configuration again, that it stops. Where none
//! asks to be told, nothing happens.

use sd_notify::NotifyState;

/// What is configured was read, and is served.
pub(super) fn ready() {
    tell(&[NotifyState::Ready]);
}

/// The configuration and all files are read again; [`ready`] follows.
pub(super) fn reloading() {
    // The manager tells by it which of its signals is meant.
    if let Ok(now) = NotifyState::monotonic_usec_now() {
        tell(&[NotifyState::Reloading, now]);
    }
}

/// The node ends, which is told in the log too.
pub(super) fn stopping() {
    tracing::info!("stopping");
    tell(&[NotifyState::Stopping]);
}

fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::warn!("the service manager cannot be told how the node is: {error}");
    }
}
