//! The storm: one thread that starts a tiny program and waits for it, again and again.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};
use rustix::thread::CpuSet;

use crate::{interrupt, procfs};

/// What a storm took.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Took {
    /// Time on the clock.
    pub(crate) wall: Duration,
    /// CPU time of the storm's own processes, the kernel's work for them included.
    pub(crate) cpu: Duration,
}

/// How long a storm is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Length {
    /// Executions before it is measured, to fill a tool's tables as hours of use would. Every
    /// tool gets them, and no tool, too: the kernel has work left over from them.
    pub(crate) warm_up: u32,
    /// Executions that are measured.
    pub(crate) execs: u32,
}

/// Executes the program `execs` times, each time waiting for its end.
///
/// The standard library starts it by `posix_spawn`, that is vfork and execve. The storm stays on
/// one processor, which takes the scheduler's choices out of the comparison. Its thread is new
/// each time, because whether the kernel audits a thread is settled when it is made.
pub(crate) fn run(program: &Path, execs: u32) -> Result<Took> {
    std::thread::scope(|scope| {
        scope
            .spawn(|| {
                stay_on_one_processor()?;
                let cpu = procfs::own_cpu()?;
                let begin = Instant::now();
                let mut command = Command::new(program);
                for _ in 0..execs {
                    let status = command.status().context("cannot execute the program")?;
                    ensure!(status.success(), "the program ended with {status}");
                    interrupt::check()?;
                }
                let wall = begin.elapsed();
                Ok(Took { wall, cpu: procfs::own_cpu()?.saturating_sub(cpu) })
            })
            .join()
            .map_err(|_| anyhow!("the storm panicked"))?
    })
}

/// The last one of those allowed: the first one often has the interrupts.
fn stay_on_one_processor() -> Result<()> {
    let what = "cannot choose a processor";
    let allowed = rustix::thread::sched_getaffinity(None).context(what)?;
    let last = (0..CpuSet::MAX_CPU).rev().find(|cpu| allowed.is_set(*cpu)).context(what)?;
    let mut one = CpuSet::new();
    one.set(last);
    rustix::thread::sched_setaffinity(None, &one).context(what)
}
