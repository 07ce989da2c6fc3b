//! This program, executed once more, to be another process that a test can do without.

use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use crate::kid::{self, Kid};

/// What the other process shall do; nobody sets it else.
const PART: &str = "PICKET_TEST_PART";

/// Runs a test of this program that begins with [`part`], in a process of its own. `before` is
/// called there, before it executes. What it writes goes to a pipe, the child's standard output.
#[expect(clippy::zombie_processes, reason = "a Kid is awaited when dropped")]
pub(crate) fn play(
    test: &str,
    part: &str,
    before: impl FnMut() -> std::io::Result<()> + Send + Sync + 'static,
) -> (Kid, std::process::ChildStdout) {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", test, "--nocapture"]).env(PART, part);
    command.stdin(Stdio::null()).stdout(Stdio::piped());
    // SAFETY: `before` only makes system calls.
    unsafe { command.pre_exec(before) };
    let mut child = kid::spawn(&mut command);
    let out = child.stdout.take().unwrap();
    (Kid::adopt(&child), out)
}

/// What this process was started for, if it is another's.
pub(crate) fn part() -> Option<String> {
    std::env::var(PART).ok()
}
