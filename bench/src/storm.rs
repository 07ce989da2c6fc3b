//! The storm: one thread that starts a tiny program and waits for it, again and again.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, anyhow, ensure};
use rustix::thread::CpuSet;

use crate::cgroup::Group;
use crate::{interrupt, work};

/// Executes the program `execs` times, each time waiting for its end.
///
/// The standard library starts it by `posix_spawn`, that is vfork and execve. The storm stays on
/// one processor, which takes the scheduler's choices out of the comparison. Its thread is new
/// each time, because whether the kernel audits a thread is settled when it is made.
pub(crate) fn run(program: &Path, execs: u32) -> Result<()> {
    // The last processor: the first one often has the interrupts.
    let last = *processors()?.last().context("no processor")?;
    together(program, execs, &[last])
}

/// One storm on each of these processors at once.
pub(crate) fn together(program: &Path, execs: u32, processors: &[usize]) -> Result<()> {
    std::thread::scope(|scope| {
        let storms: Vec<_> =
            processors.iter().map(|cpu| scope.spawn(|| one(program, execs, *cpu))).collect();
        storms
            .into_iter()
            .try_for_each(|storm| storm.join().map_err(|_| anyhow!("the storm panicked"))?)
    })
}

fn one(program: &Path, execs: u32, cpu: usize) -> Result<()> {
    stay_on(cpu)?;
    let mut command = Command::new(program);
    for _ in 0..execs {
        let status = command.status().context("cannot execute the program")?;
        ensure!(status.success(), "the program ended with {status}");
        interrupt::check()?;
    }
    Ok(())
}

/// Storms on all processors until this is dropped.
pub(crate) struct Weather {
    group: Option<Group>,
    child: Child,
}

impl Weather {
    /// Starts them: storms of this program that would never end by themselves.
    pub(crate) fn begin(program: &Path) -> Result<Self> {
        let group = Group::new()?;
        let child = Command::new("sh")
            .arg("-c")
            .arg(work::JOIN)
            .arg(group.door())
            .args(command(program, u32::MAX, true)?)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .process_group(0)
            .spawn()
            .context("cannot start a storm")?;
        Ok(Self { group: Some(group), child })
    }

    /// Whether it still rages.
    pub(crate) fn lasts(&mut self) -> Result<bool> {
        Ok(self.child.try_wait().context("cannot wait")?.is_none())
    }
}

impl Drop for Weather {
    fn drop(&mut self) {
        // The child must end before it is waited for. That it was killed is no news.
        drop(self.group.take());
        let _ = self.child.wait();
    }
}

/// The command line with which this program, as a process of its own, is a storm. It names the
/// directory and the file apart, so that in a tool's records the path is that of what it executes.
pub(crate) fn command(program: &Path, execs: u32, everywhere: bool) -> Result<Vec<OsString>> {
    let own = std::env::current_exe().context("cannot find myself")?;
    let (dir, name) = (program.parent(), program.file_name());
    let (dir, name) = dir.zip(name).context("a program without a directory")?;
    let mut words = vec![own.into_os_string(), "storm".into(), dir.into(), name.to_owned()];
    words.push(execs.to_string().into());
    if everywhere {
        words.push("--everywhere".into());
    }
    Ok(words)
}

/// Those that this process may run on.
pub(crate) fn processors() -> Result<Vec<usize>> {
    let allowed = rustix::thread::sched_getaffinity(None).context("cannot list the processors")?;
    Ok((0..CpuSet::MAX_CPU).filter(|cpu| allowed.is_set(*cpu)).collect())
}

fn stay_on(cpu: usize) -> Result<()> {
    let mut one = CpuSet::new();
    one.set(cpu);
    rustix::thread::sched_setaffinity(None, &one).context("cannot choose a processor")
}
