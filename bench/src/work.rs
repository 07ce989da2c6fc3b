//! The work loads: what is done under each tool, each as one process tree in a group of its own.

use std::ffi::OsString;
use std::fs::File;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use crate::cgroup::Group;
use crate::interrupt;

/// A shell joins the group, and then is the command.
pub(crate) const JOIN: &str = r#"echo 0 >"$0" && exec "$@""#;
/// How often it is looked whether the bench was asked to end.
const GLANCE: Timespec = Timespec { tv_sec: 0, tv_nsec: 200_000_000 };

/// What a piece of work took.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Took {
    /// Time on the clock.
    pub(crate) wall: Duration,
    /// CPU time of all its processes, the kernel's work for them included.
    pub(crate) cpu: Duration,
}

/// What puts everything back before work is done again. No tool runs then.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Prepare {
    Nothing,
    /// `make clean`
    Clean,
}

/// A command line that is work, and what must be done before it.
#[derive(Debug, Clone)]
pub(crate) struct Work {
    /// What it is called in the tables.
    pub(crate) name: &'static str,
    pub(crate) prepare: Prepare,
    /// Before each measurement, under the tool: fills caches and the tool's tables.
    pub(crate) warm_up: Vec<OsString>,
    /// What is measured.
    pub(crate) command: Vec<OsString>,
    /// Where.
    pub(crate) dir: PathBuf,
    /// Executions of the measured part.
    pub(crate) execs: u64,
    /// Executions of the warm-up.
    pub(crate) before: u64,
    /// The program whose executions these are. Without one, they are all there are.
    pub(crate) program: Option<PathBuf>,
    /// Where its complaints go.
    pub(crate) errors: PathBuf,
}

impl Work {
    /// Puts everything back.
    pub(crate) fn prepare(&self) -> Result<()> {
        match self.prepare {
            Prepare::Nothing => Ok(()),
            Prepare::Clean => self.run(&["make".into(), "clean".into()]).map(drop),
        }
    }

    /// Does what comes before the measurement.
    pub(crate) fn warm(&self) -> Result<()> {
        if self.warm_up.is_empty() { Ok(()) } else { self.run(&self.warm_up).map(drop) }
    }

    /// Does it.
    pub(crate) fn measured(&self) -> Result<Took> {
        self.run(&self.command)
    }

    fn run(&self, words: &[OsString]) -> Result<Took> {
        let group = Group::new()?;
        let mut command = Command::new("sh");
        command.arg("-c").arg(JOIN).arg(group.door()).args(words);
        // In a process group of its own, so that Ctrl-C reaches the bench alone.
        command.current_dir(&self.dir).stdin(Stdio::null()).process_group(0);
        command.stdout(Stdio::null()).stderr(File::create(&self.errors)?);
        let begin = Instant::now();
        let mut child = command.spawn().context("cannot start sh")?;
        let ended = wait(&mut child, &group);
        let wall = begin.elapsed();
        let status = ended?;
        ensure!(status.success(), "{}: {status}: {}", self.name, last_line(&self.errors));
        Ok(Took { wall, cpu: group.cpu()? })
    }
}

/// Waits for a child; kills its group if the bench is asked to end.
fn wait(child: &mut Child, group: &Group) -> Result<std::process::ExitStatus> {
    let pid = Pid::from_raw(child.id().cast_signed()).context("a child without a pid")?;
    let handle = pidfd_open(pid, PidfdFlags::empty()).context("cannot watch a process")?;
    loop {
        let mut one = [PollFd::new(&handle, PollFlags::IN)];
        // An interrupted wait is answered below like one that took too long.
        if poll(&mut one, Some(&GLANCE)).is_ok_and(|ready| ready > 0) {
            return child.wait().context("cannot wait");
        }
        if let Err(error) = interrupt::check() {
            group.kill()?;
            child.wait().context("cannot wait")?;
            return Err(error);
        }
    }
}

/// The last thing that was said, as the reason for a failure.
pub(crate) fn last_line(path: &Path) -> String {
    let said = std::fs::read(path).unwrap_or_default();
    let said = String::from_utf8_lossy(&said);
    said.lines().last().unwrap_or("nothing").to_owned()
}
