//! execsnoop of libbpf-tools: an eBPF program that sends every execution to user space.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rustix::process::Signal;

use crate::coverage::Coverage;
use crate::scratch::Scratch;
use crate::tool::{self, Running, Tool};
use crate::{procfs, storm};

const PLACES: [&str; 2] = ["/usr/sbin/execsnoop", "/usr/sbin/execsnoop-libbpf"];
const PATIENCE: Duration = Duration::from_secs(15);
/// It attaches by way of tracefs. Where that is not mounted it is, for this process only.
const START: &str = "
    [ -e /sys/kernel/tracing/events ] || mount -t tracefs tracefs /sys/kernel/tracing
    exec \"$0\"
";

/// An installed execsnoop.
pub(crate) struct Execsnoop {
    binary: PathBuf,
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
        let found = Self { binary, errors: scratch.path("execsnoop.err") };
        let output = scratch.path("execsnoop.out");
        let trial = found.launch(File::create(&output)?.into())?;
        storm::run(&scratch.benign, 20)?;
        Box::new(trial).stop()?;
        let seen = std::fs::read_to_string(&output)?;
        let program = scratch.benign.display().to_string();
        ensure!(seen.contains(&program), "it started but saw nothing");
        Ok(found)
    }

    fn launch(&self, stdout: Stdio) -> Result<Snooping> {
        let mut command = Command::new("unshare");
        command.args(["--mount", "sh", "-c", START]).arg(&self.binary);
        let child = command
            .stdin(Stdio::null())
            .stdout(stdout)
            .stderr(File::create(&self.errors)?)
            .spawn()
            .context("cannot start unshare")?;
        let snooping = Snooping { child };
        let pid = snooping.child.id();
        // It makes its buffers once its programs are attached.
        tool::until("execsnoop got ready", PATIENCE, || {
            comm(pid).is_some_and(|name| name.starts_with("execsnoop"))
                && procfs::holds(pid, "anon_inode:[eventpoll]")
        })
        .with_context(|| last_line(&self.errors))?;
        Ok(snooping)
    }
}

impl Tool for Execsnoop {
    fn name(&self) -> &'static str {
        "execsnoop"
    }

    fn start(&self) -> Result<Box<dyn Running>> {
        Ok(Box::new(self.launch(Stdio::null())?))
    }
}

struct Snooping {
    child: Child,
}

impl Running for Snooping {
    fn pids(&self) -> Vec<u32> {
        vec![self.child.id()]
    }

    fn stop(mut self: Box<Self>) -> Result<Option<Coverage>> {
        tool::end(&mut self.child, Signal::INT, PATIENCE)?;
        Ok(None)
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

/// The last thing that was said, as the reason for a failure.
fn last_line(path: &Path) -> String {
    let said = std::fs::read_to_string(path).unwrap_or_default();
    said.lines().last().unwrap_or("it said nothing").to_owned()
}
