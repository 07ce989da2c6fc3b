//! What the contestants have in common: they start, they run, they stop.

use std::process::Child;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};

use crate::coverage::Coverage;
use crate::procfs;

/// Something whose cost can be measured.
pub(crate) trait Tool {
    /// Its name in the tables.
    fn name(&self) -> &'static str;
    /// Starts it; it sees executions when this returns.
    fn start(&self) -> Result<Box<dyn Running>>;
}

/// A started tool. Dropping it stops it, too.
pub(crate) trait Running {
    /// The processes whose CPU time is its own.
    fn pids(&self) -> Vec<u32>;
    /// Stops it. picket says what it saw.
    fn stop(self: Box<Self>) -> Result<Option<Coverage>>;

    /// CPU time of its processes so far.
    fn cpu(&self) -> Result<Duration> {
        self.pids().into_iter().map(procfs::cpu).sum()
    }
}

/// No tool at all: what the others are compared with.
pub(crate) struct Nothing;

impl Tool for Nothing {
    fn name(&self) -> &'static str {
        "none"
    }

    fn start(&self) -> Result<Box<dyn Running>> {
        Ok(Box::new(Self))
    }
}

impl Running for Nothing {
    fn pids(&self) -> Vec<u32> {
        Vec::new()
    }

    fn stop(self: Box<Self>) -> Result<Option<Coverage>> {
        Ok(None)
    }
}

/// Sends a signal to a child of this process.
pub(crate) fn signal(child: &Child, signal: Signal) -> Result<()> {
    let pid = Pid::from_raw(child.id().cast_signed()).context("a child without a pid")?;
    kill_process(pid, signal).context("cannot send a signal")
}

/// Asks a child to end and waits for it. One that does not is killed, and that is an error.
pub(crate) fn end(child: &mut Child, how: Signal, patience: Duration) -> Result<()> {
    if child.try_wait().context("cannot wait")?.is_some() {
        return Ok(());
    }
    signal(child, how)?;
    let deadline = Instant::now() + patience;
    while child.try_wait().context("cannot wait")?.is_none() {
        if Instant::now() > deadline {
            child.kill().and_then(|()| child.wait()).context("cannot kill")?;
            bail!("process {} did not end within {patience:?} and was killed", child.id());
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    Ok(())
}

/// Waits until something is so.
pub(crate) fn until(what: &str, patience: Duration, so: impl Fn() -> bool) -> Result<()> {
    let deadline = Instant::now() + patience;
    while !so() {
        if Instant::now() > deadline {
            bail!("{what}: not within {patience:?}");
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    Ok(())
}
