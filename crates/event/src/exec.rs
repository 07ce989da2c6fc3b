//! An execution: a process replaced its program.

use serde::{Deserialize, Serialize};

use crate::{Ancestor, Ci, FileId, Listener, Process, Stamp, Tree};

/// A successful execution, told by the kernel after the point of no return.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Exec {
    /// When.
    pub time: Stamp,
    /// Number of this record on its CPU; a gap is a loss.
    pub seq: u64,
    /// The CPU that recorded it.
    pub cpu: u32,
    /// Nanoseconds since boot, the kernel's own stamp.
    pub boot_ns: u64,
    /// Whether this process ran before picket did, and was found, not seen starting.
    pub seeded: bool,
    /// Who executed what.
    pub process: Process,
    /// Parents, nearest first.
    pub ancestry: Vec<Ancestor>,
    /// Whether there are more parents than those: the chain was too long, or lineage had to forget.
    #[serde(default)]
    pub ancestry_truncated: bool,
    /// Where it listened already when it was found, if it was found and not seen starting.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub listen: Vec<Listener>,
    /// What its environment says of the pipeline that it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ci: Option<Box<Ci>>,
    /// The file's identity; lives in this process only.
    #[serde(skip)]
    pub file: Option<FileId>,
    /// The tree of the process.
    #[serde(skip)]
    pub tree: Tree,
}
