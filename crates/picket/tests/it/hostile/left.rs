//! What a process has attached to the kernel, and whether it is still there without it.
#![expect(unsafe_code, reason = "bpf has no safe form")]

use std::collections::BTreeSet;
use std::fs;
use std::os::fd::{FromRawFd, OwnedFd};
use std::time::{Duration, Instant};

use crate::harness::PATIENCE;

/// Programs, maps and links of eBPF, by kind and id.
pub(super) struct Attached(BTreeSet<(&'static str, u32)>);

const KINDS: [(&str, libc::c_int); 3] = [("prog_id", 13), ("map_id", 14), ("link_id", 30)];

impl Attached {
    /// All that a process holds.
    pub(super) fn of(pid: u32) -> Self {
        let mut found = BTreeSet::new();
        for info in fs::read_dir(format!("/proc/{pid}/fdinfo")).unwrap().flatten() {
            let text = fs::read_to_string(info.path()).unwrap_or_default();
            for (kind, _) in KINDS {
                let id = text.lines().find_map(|line| line.strip_prefix(kind)?.strip_prefix(":\t"));
                if let Some(id) = id {
                    found.insert((kind, id.trim().parse().unwrap()));
                }
            }
        }
        let count = |kind| found.iter().filter(|(other, _)| *other == kind).count();
        assert!(
            count("prog_id") >= 4 && count("map_id") >= 4 && count("link_id") >= 4,
            "{found:?}"
        );
        let attached = Self(found);
        assert_eq!(attached.left().len(), attached.0.len(), "the test cannot see what there is");
        attached
    }

    /// What of it the kernel still has.
    fn left(&self) -> Vec<(&'static str, u32)> {
        self.0.iter().copied().filter(|(kind, id)| exists(kind, *id)).collect()
    }

    /// Waits until the kernel has nothing of it any more: it frees things a little later.
    pub(super) fn is_gone(&self) {
        let deadline = Instant::now() + PATIENCE;
        while !self.left().is_empty() {
            assert!(Instant::now() < deadline, "left behind: {:?}", self.left());
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

fn exists(kind: &str, id: u32) -> bool {
    let command = KINDS.iter().find(|(other, _)| *other == kind).unwrap().1;
    let attributes = [id, 0, 0, 0];
    // SAFETY: the kernel reads as many bytes as it is told.
    let fd = unsafe {
        libc::syscall(libc::SYS_bpf, command, &raw const attributes, size_of_val(&attributes))
    };
    let fd = i32::try_from(fd).unwrap();
    if fd < 0 {
        let error = std::io::Error::last_os_error();
        assert_eq!(error.raw_os_error(), Some(libc::ENOENT), "{kind} {id}: {error}");
        return false;
    }
    // SAFETY: a new descriptor, nobody else's.
    drop(unsafe { OwnedFd::from_raw_fd(fd) });
    true
}
