//! Storms: this test's own binary, started again, makes them. A process of its own, so that a storm
//! can be put into a cgroup, and stopped as a whole.

use std::ffi::OsStr;
use std::io::Write;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::harness;

#[path = "../../../../probe/tests/kernel/program.rs"]
#[expect(dead_code, reason = "a part of it is used here")]
mod program;

/// The variable that says which storm, and of what.
pub(crate) const STORM: &str = "PICKET_FLOOD_STORM";

/// A program of a few instructions that ends at once, under a name of choice.
pub(super) fn tiny(dir: &Path, name: &str) -> PathBuf {
    let path = dir.join(name);
    std::fs::write(&path, program::exits()).unwrap();
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
    path
}

/// A storm that is under way, and that says at its end how much it did.
pub(super) struct Storm(Child);

impl Storm {
    /// Executes a program so many times, on all CPUs, with a mark and so many bytes of arguments.
    pub(super) fn of_execs(path: &Path, mark: &str, bytes: usize, times: u64) -> Self {
        Self::start(&format!("exec\n{}\n{mark}\n{bytes}\n{times}", path.display()))
    }

    /// Listens so many times on loopback.
    pub(super) fn of_listeners(times: u64) -> Self {
        Self::start(&format!("listen\n{times}"))
    }

    fn start(what: &str) -> Self {
        // Arguments of more than 2 MiB are allowed with a larger stack only.
        let mut command = Command::new("sh");
        command.args(["-c", "ulimit -s 65536; exec \"$0\""]).arg(std::env::current_exe().unwrap());
        let command = command.env(STORM, what).stdin(Stdio::null()).stdout(Stdio::piped());
        Self(command.spawn().unwrap())
    }

    /// Waits for its end; how much it did.
    pub(super) fn count(mut self) -> u64 {
        let status = harness::wait_long(&mut self.0, super::LONGEST);
        assert!(status.success(), "the storm failed: {status}");
        let mut text = String::new();
        std::io::Read::read_to_string(self.0.stdout.as_mut().unwrap(), &mut text).unwrap();
        text.trim().parse().unwrap()
    }
}

impl Drop for Storm {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What the process is for that was started as a storm.
pub(crate) fn main(what: &OsStr) -> ExitCode {
    let what = what.to_str().unwrap_or_default();
    let words: Vec<&str> = what.split('\n').collect();
    let done = match words[..] {
        ["exec", path, mark, bytes, times] => {
            execs(path, mark, bytes.parse().unwrap(), times.parse().unwrap())
        }
        ["listen", times] => listeners(times.parse().unwrap()),
        _ => return ExitCode::FAILURE,
    };
    match writeln!(std::io::stdout(), "{done}") {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

fn execs(path: &str, mark: &str, bytes: usize, times: u64) -> u64 {
    // No single argument may be longer than 128 KiB.
    const LONGEST: usize = 120 << 10;
    let filler = "x".repeat(LONGEST);
    let mut words = vec![mark];
    let mut left = bytes;
    while left > 0 {
        let len = left.min(LONGEST);
        words.push(&filler[..len]);
        left -= len;
    }
    let (next, done) = (AtomicU64::new(0), AtomicU64::new(0));
    let cpus = std::thread::available_parallelism().map_or(2, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..cpus {
            scope.spawn(|| {
                while next.fetch_add(1, Ordering::Relaxed) < times {
                    let status = Command::new(path).args(&words).env_clear().status();
                    assert!(status.unwrap_or_else(|e| panic!("{path}: {e}")).success());
                    done.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
    });
    done.into_inner()
}

fn listeners(times: u64) -> u64 {
    for _ in 0..times {
        drop(TcpListener::bind(("127.0.0.1", 0)).unwrap());
    }
    times
}
