//! Trees of processes: which of them the kernel side need not watch. See `bpf/tree.h`.

use std::os::fd::{AsFd, AsRawFd};

use event::ProcessKey;
use libbpf_rs::{ErrorKind, MapCore, MapFlags, libbpf_sys};

use crate::Probe;
use crate::error::Error;
use crate::lineage::is_seeded;
use crate::skel::types;

/// Entries that are read at a time.
const BATCH: u32 = 4096;

/// A process that lineage keeps, and the tree that it belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Member {
    /// The process, which may have ended.
    pub process: ProcessKey,
    /// The number of its tree.
    pub tree: u64,
    /// Whether that is the tree of a process that ran before the hooks were on.
    pub seeded: bool,
}

impl Probe {
    /// There is no server in a tree, nor above it: what it executes and connects to need not be
    /// told any more.
    ///
    /// What was said may be forgotten after a while. Then it is told again, and must be said again.
    pub fn clear(&self, tree: u64) -> Result<(), Error> {
        self.skel
            .maps
            .cleared
            .update(&tree.to_ne_bytes(), &[1], MapFlags::ANY)
            .map_err(|e| Error::map("take note of processes without a server", &e))
    }

    /// Takes back what was said of a tree.
    pub fn watch(&self, tree: u64) -> Result<(), Error> {
        match self.skel.maps.cleared.delete(&tree.to_ne_bytes()) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                Err(Error::map("watch the processes below a server", &error))
            }
            _ => Ok(()),
        }
    }

    /// The tree that a process belongs to; `None` if it is in none.
    pub fn tree(&self, process: ProcessKey) -> Option<u64> {
        let tree = self.lineage().entry(process)?.tree;
        (tree != 0).then_some(tree)
    }

    /// The parents of a process, nearest first, as the kernel side took note.
    pub fn parents(&self, process: ProcessKey) -> Vec<ProcessKey> {
        self.lineage().parents(process, crate::lineage::LONGEST)
    }

    /// All processes that are in a tree. Those that come and go meanwhile may be among them or not.
    pub fn members(&self) -> Result<Vec<Member>, Error> {
        let map = &self.skel.maps.procs;
        let mut keys = vec![types::proc_key::default(); BATCH as usize];
        let mut values = vec![types::proc::default(); BATCH as usize];
        let mut members = Vec::new();
        // Where the next batch begins, in the kernel's words.
        let mut at = [0_u8; size_of::<types::proc_key>()];
        let mut next = at;
        let mut first = true;
        loop {
            let mut count = BATCH;
            let from = if first { std::ptr::null_mut() } else { at.as_mut_ptr().cast() };
            // SAFETY: there is room for as many keys and values as `count` says, and for a place
            // as large as a key; all are plain memory.
            let error = unsafe {
                libbpf_sys::bpf_map_lookup_batch(
                    map.as_fd().as_raw_fd(),
                    from,
                    next.as_mut_ptr().cast(),
                    keys.as_mut_ptr().cast(),
                    values.as_mut_ptr().cast(),
                    &raw mut count,
                    std::ptr::null(),
                )
            };
            let last = error == -libc::ENOENT;
            if error == -libc::EINTR {
                continue;
            }
            if error != 0 && !last {
                let error = libbpf_rs::Error::from_raw_os_error(-error);
                return Err(Error::map("list the processes that are kept", &error));
            }
            let found = keys.iter().zip(&values).take(count as usize);
            members.extend(found.filter(|(_, proc)| proc.tree != 0).map(|(key, proc)| Member {
                process: ProcessKey { pid: key.pid, start_boot_ns: key.start },
                tree: proc.tree,
                seeded: is_seeded(proc.tree),
            }));
            if last {
                return Ok(members);
            }
            at = next;
            first = false;
        }
    }
}
