//! A cgroup that bounds how many processes there are in it, of either version.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::harness::kill;

/// The cgroup; what runs in it when it is dropped is ended.
pub(super) struct Pids(PathBuf);

impl Pids {
    /// Makes one. Panics where the kernel has no such controller, or does not let us.
    pub(super) fn new(most: u32) -> Self {
        let base = base().unwrap_or_else(|| {
            panic!(
                "no pids controller is to be had: mount one, or enable it in cgroup.subtree_control"
            )
        });
        let dir = base.join(format!("picket-flood-{}", std::process::id()));
        fs::create_dir(&dir).unwrap_or_else(|e| panic!("{}: {e}", dir.display()));
        let cgroup = Self(dir);
        fs::write(cgroup.0.join("pids.max"), most.to_string()).unwrap();
        cgroup
    }

    /// The file that takes processes in.
    pub(super) fn procs(&self) -> PathBuf {
        self.0.join("cgroup.procs")
    }

    /// How often the limit refused a process.
    pub(super) fn refused(&self) -> u64 {
        let text = fs::read_to_string(self.0.join("pids.events")).unwrap();
        text.lines().find_map(|l| l.strip_prefix("max ")).unwrap().trim().parse().unwrap()
    }

    /// Waits until all that ran in it has ended by itself.
    pub(super) fn wait_until_empty(&self, patience: Duration) {
        let deadline = Instant::now() + patience;
        while !self.members().is_empty() {
            assert!(Instant::now() < deadline, "there is no end to {:?}", self.members());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn members(&self) -> Vec<u32> {
        let text = fs::read_to_string(self.procs()).unwrap_or_default();
        text.lines().filter_map(|pid| pid.parse().ok()).collect()
    }
}

impl Drop for Pids {
    fn drop(&mut self) {
        let deadline = Instant::now() + Duration::from_secs(30);
        // No more may be made, so that they can be ended.
        let _ = fs::write(self.0.join("pids.max"), "0");
        while !self.members().is_empty() && Instant::now() < deadline {
            self.members().into_iter().for_each(|pid| kill(pid, Signal::KILL));
            std::thread::sleep(Duration::from_millis(10));
        }
        let _ = fs::remove_dir(&self.0);
    }
}

/// Where a cgroup with a pids controller can be made.
fn base() -> Option<PathBuf> {
    let mounts = fs::read_to_string("/proc/self/mounts").ok()?;
    let mut second = None;
    for line in mounts.lines() {
        let fields: Vec<&str> = line.split(' ').collect();
        let [_, dir, kind, options, ..] = fields[..] else { continue };
        if kind == "cgroup" && options.split(',').any(|o| o == "pids") {
            return Some(PathBuf::from(dir));
        }
        if kind == "cgroup2" {
            second = Some(PathBuf::from(dir));
        }
    }
    let second = second?;
    let enabled = fs::read_to_string(second.join("cgroup.subtree_control")).unwrap_or_default();
    let has = |text: &str| text.split_whitespace().any(|c| c == "pids");
    let can = has(&enabled)
        || fs::write(Path::new(&second).join("cgroup.subtree_control"), "+pids").is_ok();
    can.then_some(second)
}
