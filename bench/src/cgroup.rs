//! A control group of its own for a work load: the kernel adds up its CPU time to the
//! microsecond, whoever waited for whom, and can end all of it at once.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

/// How long killed processes may take to be gone.
const PATIENCE: Duration = Duration::from_secs(10);

static NEXT: AtomicU32 = AtomicU32::new(0);

/// The group. Dropping it ends what is in it and removes it.
pub(crate) struct Group {
    path: PathBuf,
}

impl Group {
    /// Makes an empty one.
    pub(crate) fn new() -> Result<Self> {
        let root = root()?;
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = root.join(format!("picket-bench-{}-{number}", std::process::id()));
        fs::create_dir(&path)
            .with_context(|| format!("cannot make the control group {}", path.display()))?;
        Ok(Self { path })
    }

    /// The file through which a process joins it.
    pub(crate) fn door(&self) -> PathBuf {
        self.path.join("cgroup.procs")
    }

    /// CPU time of everything that was ever in it.
    pub(crate) fn cpu(&self) -> Result<Duration> {
        let path = self.path.join("cpu.stat");
        let text =
            fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let usage = text
            .lines()
            .find_map(|line| line.strip_prefix("usage_usec ")?.parse().ok())
            .with_context(|| format!("{} does not tell usage_usec", path.display()))?;
        Ok(Duration::from_micros(usage))
    }

    /// Whether anything runs in it.
    fn is_empty(&self) -> bool {
        fs::read_to_string(self.door()).is_ok_and(|pids| pids.trim().is_empty())
    }

    /// Ends everything in it.
    pub(crate) fn kill(&self) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        while !self.is_empty() {
            fs::write(self.path.join("cgroup.kill"), "1").context("cannot kill a work load")?;
            ensure!(Instant::now() < deadline, "a work load cannot be killed");
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // Whatever is wrong here, there is nobody left to tell, and an empty group costs nothing.
        let _ = self.kill();
        let _ = fs::remove_dir(&self.path);
    }
}

/// Where the unified hierarchy is mounted.
fn root() -> Result<PathBuf> {
    let mounts = fs::read_to_string("/proc/self/mounts").context("cannot read the mounts")?;
    let mount = mounts.lines().find_map(|line| {
        let mut words = line.split(' ');
        let place = words.nth(1)?;
        (words.next()? == "cgroup2").then(|| Path::new(place).to_owned())
    });
    mount.context("no cgroup2 is mounted: mount -t cgroup2 none /sys/fs/cgroup")
}
