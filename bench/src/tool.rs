//! What the contestants have in common: they start, they run, they stop.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::Child;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};

use crate::coverage::Coverage;
use crate::procfs::{self, Footprint};
use crate::scratch::Scratch;
use crate::storm;

/// So that what a tool has under way is done.
pub(crate) const SETTLE: Duration = Duration::from_millis(150);

/// Something whose cost can be measured.
pub(crate) trait Tool {
    /// Its name in the tables.
    fn name(&self) -> &'static str;
    /// Starts it; it sees executions when this returns.
    fn start(&self) -> Result<Box<dyn Running>>;
}

/// Which of a tool's records are counted.
#[derive(Debug, Clone)]
pub(crate) enum Wanted {
    /// Of executions of this program.
    Program(PathBuf),
    /// Of all executions.
    All,
}

impl Wanted {
    /// Whether a record that names the program somewhere is wanted.
    pub(crate) fn names(&self, record: &[u8]) -> bool {
        match self {
            Self::All => true,
            Self::Program(path) => contains(record, path.as_os_str().as_encoded_bytes()),
        }
    }
}

/// What a tool says at its end.
#[derive(Debug, Clone, Default)]
pub(crate) struct Report {
    /// picket's last word on its coverage.
    pub(crate) coverage: Option<Coverage>,
    /// Wanted executions in its records. `None` if there was no tool.
    pub(crate) recorded: Option<u64>,
    /// What it says itself that it lost.
    pub(crate) lost: u64,
}

/// A started tool. Dropping it stops it, too.
pub(crate) trait Running {
    /// The processes whose CPU time and memory are its own.
    fn pids(&self) -> Vec<u32>;
    /// Stops it, once it has recorded what happened, and counts its records.
    fn stop(self: Box<Self>, wanted: &Wanted) -> Result<Report>;

    /// Memory of its processes.
    fn footprint(&self) -> Result<Footprint> {
        procfs::footprint(&self.pids())
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

    fn stop(self: Box<Self>, _: &Wanted) -> Result<Report> {
        Ok(Report::default())
    }
}

/// Executions that a tool must record before it is measured.
const TRIAL: u32 = 20;

/// Sees a tool work: one that records nothing is an error, not a row of zeros.
pub(crate) fn trial(tool: &dyn Tool, scratch: &Scratch) -> Result<()> {
    let running = tool.start()?;
    storm::run(&scratch.benign, TRIAL)?;
    std::thread::sleep(SETTLE);
    let report = running.stop(&Wanted::Program(scratch.benign.clone()))?;
    let recorded = report.recorded.unwrap_or(0);
    ensure!(
        recorded >= u64::from(TRIAL),
        "{} started, and recorded {recorded} of {TRIAL} executions",
        tool.name()
    );
    Ok(())
}

/// Adds up the losses that a tool tells in a file: `Lost 17 events`, maybe amid a record.
pub(crate) fn told_losses(path: &Path) -> Result<u64> {
    let text = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    Ok(losses(&String::from_utf8_lossy(&text)))
}

fn losses(text: &str) -> u64 {
    let parts = text.split("Lost ").skip(1);
    let number = |part: &str| {
        let (number, rest) = part.split_once(' ')?;
        if rest.starts_with("events") { number.parse::<u64>().ok() } else { None }
    };
    parts.filter_map(number).sum()
}

/// Counts the lines of a file that are a wanted record.
pub(crate) fn count_lines(path: &Path, is_one: impl Fn(&[u8]) -> bool) -> Result<u64> {
    sum_lines(path, |line| u64::from(is_one(line)))
}

/// Counts the records of a file whose lines may hold several.
pub(crate) fn sum_lines(path: &Path, records: impl Fn(&[u8]) -> u64) -> Result<u64> {
    let file = File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
    let mut reader = BufReader::with_capacity(1 << 18, file);
    let mut line = Vec::new();
    let mut count = 0;
    while reader.read_until(b'\n', &mut line).context("cannot read a tool's records")? > 0 {
        count += records(&line);
        line.clear();
    }
    Ok(count)
}

/// Whether bytes are part of others.
pub(crate) fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
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

#[cfg(test)]
mod tests {
    use super::losses;

    #[test]
    fn losses_are_found_amid_records() {
        assert_eq!(losses("Lost 2 events\n12 34 Lost 5 events\nLost 7 events on CPU #1!\n"), 14);
        assert_eq!(losses("1 2 echo Lost and found\n"), 0);
    }
}
