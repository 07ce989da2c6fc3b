//! Trees of processes: which of them the kernel side need not watch. See `bpf/tree.h`.

use event::ProcessKey;
use libbpf_rs::{ErrorKind, MapCore, MapFlags};

use crate::Probe;
use crate::error::Error;
use crate::kept;
use crate::lineage::is_seeded;

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
        let mut members = Vec::new();
        kept::each(&self.skel.maps.procs, |process, proc| {
            if proc.tree != 0 {
                let seeded = is_seeded(proc.tree);
                members.push(Member { process, tree: proc.tree, seeded });
            }
        })?;
        Ok(members)
    }
}
