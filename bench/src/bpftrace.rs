//! bpftrace's execsnoop: a script at the entry of execve and execveat.
//!
//! It records what was asked for, so attempts that fail are among its records.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rustix::process::Signal;

use crate::execsnoop::START;
use crate::scratch::Scratch;
use crate::tool::{self, Report, Running, Tool, Wanted};
use crate::work;

const PROGRAM: &str = "/usr/bin/bpftrace";
const SCRIPTS: [&str; 2] = ["/usr/sbin/execsnoop.bt", "/usr/share/bpftrace/tools/execsnoop.bt"];
/// It compiles its script first.
const PATIENCE: Duration = Duration::from_secs(30);

/// An installed bpftrace and its script. It writes to a file.
pub(crate) struct Bpftrace {
    script: &'static str,
    /// What is executed until it has a record of that.
    mark: PathBuf,
    output: PathBuf,
    errors: PathBuf,
}

impl Bpftrace {
    /// Finds it and sees it work. The error says why it cannot be measured.
    pub(crate) fn find(scratch: &Scratch) -> Result<Self> {
        let script = SCRIPTS.into_iter().find(|path| Path::new(path).exists());
        ensure!(Path::new(PROGRAM).exists(), "not installed: apt-get install bpftrace");
        let found = Self {
            script: script.context("bpftrace came without execsnoop.bt")?,
            mark: scratch.mark.clone(),
            output: scratch.path("bpftrace.out"),
            errors: scratch.path("bpftrace.err"),
        };
        tool::trial(&found, scratch)?;
        Ok(found)
    }
}

impl Tool for Bpftrace {
    fn name(&self) -> &'static str {
        "bpftrace execsnoop.bt"
    }

    fn start(&self) -> Result<Box<dyn Running>> {
        let errors = File::create(&self.errors)?;
        // Else what an earlier one wrote would count.
        File::create(&self.output)?;
        let child = Command::new("unshare")
            .args(["--mount", "sh", "-c", START, "sh", PROGRAM, "-o"])
            .arg(&self.output)
            .arg(self.script)
            .stdin(Stdio::null())
            .stdout(errors.try_clone()?)
            .stderr(errors)
            .spawn()
            .context("cannot start unshare")?;
        let tracing = Tracing { child, output: self.output.clone(), errors: self.errors.clone() };
        // It says nothing when it has attached: it has when it records.
        let mark = Wanted::Program(self.mark.clone());
        tool::until("bpftrace recorded an execution", PATIENCE, || {
            let executed = Command::new(&self.mark).status().is_ok_and(|status| status.success());
            executed && tool::count_lines(&self.output, |l| mark.names(l)).is_ok_and(|n| n > 0)
        })
        .with_context(|| format!("it said: {}", work::last_line(&self.errors)))?;
        Ok(Box::new(tracing))
    }
}

struct Tracing {
    child: Child,
    output: PathBuf,
    errors: PathBuf,
}

impl Running for Tracing {
    fn pids(&self) -> Vec<u32> {
        vec![self.child.id()]
    }

    fn stop(mut self: Box<Self>, wanted: &Wanted) -> Result<Report> {
        tool::end(&mut self.child, Signal::INT, PATIENCE)?;
        let records = |line: &[u8]| match wanted {
            Wanted::Program(_) => u64::from(wanted.names(line)),
            Wanted::All => begun(line),
        };
        let recorded = tool::sum_lines(&self.output, records)?;
        let lost = tool::told_losses(&self.output)? + tool::told_losses(&self.errors)?;
        Ok(Report { coverage: None, recorded: Some(recorded), lost })
    }
}

impl Drop for Tracing {
    fn drop(&mut self) {
        // What goes wrong here went wrong before.
        let _ = tool::end(&mut self.child, Signal::INT, PATIENCE);
    }
}

/// How many records begin in a line: each with a time and a pid. It writes them and the arguments
/// one after the other, so that those of two processors may mix; and an argument may break a line.
fn begun(line: &[u8]) -> u64 {
    let words = line.split(|b| *b == b' ').filter(|word| !word.is_empty());
    let numbers = words.take_while(|word| word.iter().all(u8::is_ascii_digit)).count();
    numbers as u64 / 2
}

#[cfg(test)]
mod tests {
    use super::begun;

    #[test]
    fn records_that_mix_are_told_apart() {
        assert_eq!(begun(b"TIME(ms)   PID   ARGS\n"), 0);
        assert_eq!(begun(b"5809       11656 wc -l out err\n"), 1);
        assert_eq!(begun(b"5809       11656 5810       11657 wc -l\n"), 2);
        assert_eq!(begun(b"cat out\n"), 0);
    }
}
