//! The program that breaks a running picket, built from `breaker.c`.

use std::io::{BufRead, BufReader, Lines};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use tempfile::TempDir;

use crate::harness;

pub(crate) struct Breaker {
    dir: TempDir,
}

impl Breaker {
    pub(crate) fn build() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let source = harness::root().join("crates/picket/tests/it/canary/breaker.c");
        let mut gcc = Command::new("gcc");
        gcc.args(["-O1", "-Wall", "-Werror", "-o"]).arg(dir.path().join("breaker")).arg(source);
        assert!(gcc.status().unwrap().success(), "{gcc:?}");
        Self { dir }
    }

    pub(crate) fn path(&self) -> std::path::PathBuf {
        Path::new(self.dir.path()).join("breaker")
    }

    /// Closes the link of an eBPF program of a process.
    pub(crate) fn unhook(&self, pid: u32, program: &str) {
        let mut command = Command::new(self.path());
        let out = command.args(["unhook", &pid.to_string(), program]).output().unwrap();
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    }

    /// Lies in wait for the next process that a process makes: `kill` or `hold`.
    pub(super) fn ambush(&self, what: &str, pid: u32) -> Ambush {
        let mut child = Command::new(self.path())
            .args([what, &pid.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut ambush = Ambush { stdin: child.stdin.take(), child, lines };
        ambush.expect("ready");
        ambush
    }
}

/// A breaker that waits. When it is dropped, whatever it held goes on.
pub(super) struct Ambush {
    stdin: Option<ChildStdin>,
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Ambush {
    /// Waits until it says this; the number that it says.
    pub(super) fn expect(&mut self, word: &str) -> u32 {
        let line = self.lines.next().unwrap_or_else(|| panic!("the breaker ended")).unwrap();
        let (said, number) = line.split_once(' ').unwrap();
        assert_eq!(said, word);
        number.parse().unwrap()
    }

    /// Lets go.
    pub(super) fn end(mut self) {
        drop(self.stdin.take());
        assert!(harness::wait(&mut self.child).success());
    }
}

impl Drop for Ambush {
    fn drop(&mut self) {
        drop(self.stdin.take());
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
