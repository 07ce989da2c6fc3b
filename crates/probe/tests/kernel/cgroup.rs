//! Cgroups of a test's own.

use std::fs::{self, File};
use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::sleep;
use std::time::Duration;

use libbpf_rs::libbpf_sys;

use crate::facts;

/// Gone when dropped.
pub(crate) struct Cgroup(PathBuf);

impl Cgroup {
    pub(crate) fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("picket-test-{}-{number}", std::process::id());
        let path = facts::cgroup2().join(name);
        fs::create_dir(&path).unwrap();
        Self(path)
    }

    /// The file that takes processes in.
    pub(crate) fn procs(&self) -> PathBuf {
        self.0.join("cgroup.procs")
    }

    pub(crate) fn id(&self) -> u64 {
        fs::metadata(&self.0).unwrap().ino()
    }

    /// How many programs look at what is sent from it.
    pub(crate) fn programs(&self) -> u32 {
        programs(&self.0)
    }
}

/// How many programs are attached to this cgroup itself, to look at what is sent from it.
pub(crate) fn programs(dir: &Path) -> u32 {
    const EGRESS: libbpf_sys::bpf_attach_type = libbpf_sys::BPF_CGROUP_INET_EGRESS;
    let dir = File::open(dir).unwrap();
    let (mut ids, mut count) = ([0_u32; 64], 64);
    // SAFETY: the kernel writes at most `count` numbers.
    let result = unsafe {
        libbpf_sys::bpf_prog_query(
            dir.as_raw_fd(),
            EGRESS,
            0,
            std::ptr::null_mut(),
            ids.as_mut_ptr(),
            &raw mut count,
        )
    };
    assert_eq!(result, 0, "{}", std::io::Error::last_os_error());
    count
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        // The last process may need a moment to leave.
        for _ in 0..500 {
            if fs::remove_dir(&self.0).is_ok() {
                break;
            }
            sleep(Duration::from_millis(2));
        }
    }
}
