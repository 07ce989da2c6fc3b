//! A process that is no child of this one: its pid alone may be somebody else's by now.

use std::os::fd::OwnedFd;
use std::time::Duration;

use probe::home;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use serde::{Deserialize, Serialize};

/// Who it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Process {
    pub(crate) pid: u32,
    /// When it started, in clock ticks since boot.
    started: u64,
}

/// A process that surely was alive when it was looked for.
pub(crate) struct Held(OwnedFd);

impl Process {
    /// The one that has this pid now.
    pub(crate) fn of(pid: u32) -> Option<Self> {
        Some(Self { pid, started: home::started(pid)? })
    }

    /// Takes hold of it, if it still runs.
    pub(crate) fn hold(self) -> Option<Held> {
        let pid = Pid::from_raw(i32::try_from(self.pid).ok()?)?;
        let held = Held(pidfd_open(pid, PidfdFlags::empty()).ok()?);
        // Looked at afterwards: what is held is what this pid is now, and stays so.
        (home::started(self.pid) == Some(self.started) && !held.ends_within(Duration::ZERO))
            .then_some(held)
    }
}

impl Held {
    /// Sends it a signal. That it has ended meanwhile is fine.
    pub(crate) fn signal(&self, signal: Signal) {
        let _ = pidfd_send_signal(&self.0, signal);
    }

    /// Waits until it has ended, but no longer than this. Says whether it has.
    pub(crate) fn ends_within(&self, patience: Duration) -> bool {
        let Ok(timeout) = Timespec::try_from(patience) else { return false };
        let mut fds = [PollFd::new(&self.0, PollFlags::IN)];
        matches!(poll(&mut fds, Some(&timeout)), Ok(1..))
    }
}
