//! What systemd is told (sd_notify(3)). Without systemd nothing is.

use std::time::{Duration, Instant};

use libsystemd::daemon::{NotifyState, notify, watchdog_enabled};

use crate::report::note;

/// The connection to the service manager.
#[derive(Debug)]
pub(super) struct Notify {
    /// How often it wants to hear that the event loop makes progress, and when
    /// it heard last.
    watchdog: Option<(Duration, Instant)>,
    failed: bool,
}

impl Notify {
    pub(super) fn new() -> Self {
        Self {
            // Twice as often as it asks for.
            watchdog: watchdog_enabled(false).map(|period| (period / 2, Instant::now())),
            failed: false,
        }
    }

    /// Every probe is attached.
    pub(super) fn ready(&mut self, status: &str) {
        self.send(&[NotifyState::Ready, NotifyState::Status(status.to_owned())]);
    }

    /// The configuration is read again; [`Notify::ready`] follows.
    pub(super) fn reloading(&mut self) {
        self.send(&[NotifyState::Reloading]);
    }

    pub(super) fn stopping(&mut self) {
        self.send(&[NotifyState::Stopping]);
    }

    /// The event loop came round: records were read and judged.
    pub(super) fn progressed(&mut self) {
        if let Some((period, last)) = &mut self.watchdog
            && last.elapsed() >= *period
        {
            *last = Instant::now();
            self.send(&[NotifyState::Watchdog]);
        }
    }

    fn send(&mut self, state: &[NotifyState]) {
        if let Err(error) = notify(false, state)
            && !self.failed
        {
            self.failed = true;
            note(format_args!("cannot tell systemd how it goes: {error}"));
        }
    }
}
