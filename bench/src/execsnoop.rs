//! execsnoop of libbpf-tools: an eBPF program that sends every execution to user space.

use std::fs::File;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result};
use rustix::process::Signal;

use crate::scratch::Scratch;
use crate::tool::{self, Report, Running, Tool, Wanted};
use crate::{procfs, work};

const PLACES: [&str; 2] = ["/usr/sbin/execsnoop", "/usr/sbin/execsnoop-libbpf"];
const PATIENCE: Duration = Duration::from_secs(15);
/// It attaches by way of tracefs. Where that is not mounted it is, for this process only.
pub(crate) const START: &str = "
    [ -e /sys/kernel/tracing/events ] || mount -t tracefs tracefs /sys/kernel/tracing
    exec \"$@\"
";

/// An installed execsnoop. It writes to a file.
pub(crate) struct Execsnoop {
    binary: PathBuf,
    output: PathBuf,
    errors: PathBuf,
}

impl Execsnoop {
    /// Finds it and sees it work. The error says why it cannot be measured.
    pub(crate) fn find(scratch: &Scratch) -> Result<Self> {
        let binary = PLACES
            .map(PathBuf::from)
            .into_iter()
            .find(|path| path.exists())
            .context("not installed: apt-get install libbpf-tools")?;
        let found = Self {
            binary,
            output: scratch.path("execsnoop.out"),
            errors: scratch.path("execsnoop.err"),
        };
        tool::trial(&found, scratch)?;
        Ok(found)
    }

    fn launch(&self) -> Result<Snooping> {
        let mut command = Command::new("unshare");
        command.args(["--mount", "sh", "-c", START, "sh"]).arg(&self.binary);
        let child = command
            .stdin(Stdio::null())
            .stdout(File::create(&self.output)?)
            .stderr(File::create(&self.errors)?)
            .spawn()
            .context("cannot start unshare")?;
        let snooping = Snooping { child, output: self.output.clone(), errors: self.errors.clone() };
        let pid = snooping.child.id();
        // It makes its buffers once its programs are attached.
        tool::until("execsnoop got ready", PATIENCE, || {
            comm(pid).is_some_and(|name| name.starts_with("execsnoop"))
                && procfs::holds(pid, "anon_inode:[eventpoll]")
        })
        .with_context(|| format!("it said: {}", work::last_line(&self.errors)))?;
        Ok(snooping)
    }
}

impl Tool for Execsnoop {
    fn name(&self) -> &'static str {
        "execsnoop"
    }

    fn start(&self) -> Result<Box<dyn Running>> {
        Ok(Box::new(self.launch()?))
    }
}

struct Snooping {
    child: Child,
    output: PathBuf,
    errors: PathBuf,
}

impl Running for Snooping {
    fn pids(&self) -> Vec<u32> {
        vec![self.child.id()]
    }

    fn stop(mut self: Box<Self>, wanted: &Wanted) -> Result<Report> {
        tool::end(&mut self.child, Signal::INT, PATIENCE)?;
        let recorded =
            tool::count_lines(&self.output, |line| is_record(line) && wanted.names(line))?;
        let lost = tool::told_losses(&self.errors)?;
        Ok(Report { coverage: None, recorded: Some(recorded), lost })
    }
}

impl Drop for Snooping {
    fn drop(&mut self) {
        // What goes wrong here went wrong before.
        let _ = tool::end(&mut self.child, Signal::INT, PATIENCE);
    }
}

fn comm(pid: u32) -> Option<String> {
    std::fs::read_to_string(format!("/proc/{pid}/comm")).ok()
}

/// Whether a line begins a record: a name, which may have spaces in it, the pid, the parent's, and
/// what execve returned. The first line is the header, and an argument may break a line.
fn is_record(line: &[u8]) -> bool {
    let words: Vec<&[u8]> =
        line.split(|b| *b == b' ').filter(|word| !word.is_empty()).take(9).collect();
    let number = |word: &&[u8]| word.iter().all(u8::is_ascii_digit);
    words.get(1..).is_some_and(|rest| {
        rest.windows(3).any(|three| three.iter().all(number) && three[2] == b"0")
    })
}

#[cfg(test)]
mod tests {
    use super::is_record;

    #[test]
    fn records_are_told_from_other_lines() {
        assert!(!is_record(b"PCOMM            PID    PPID   RET ARGS\n"));
        assert!(is_record(b"sh               7      1        0 /bin/sh -c true\n"));
        assert!(is_record(b"a b              7      1        0 /bin/a\n"));
        assert!(!is_record(b"rest of an argument\n"));
    }
}
