//! A socket that began to listen, and what it was then heard to answer.

use serde::{Deserialize, Serialize};

use crate::{ProcessKey, Stamp, Tree};

/// A TCP socket entered LISTEN.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Listen {
    /// When.
    pub time: Stamp,
    /// Number of this record on its CPU; a gap is a loss.
    pub seq: u64,
    /// The CPU that recorded it.
    pub cpu: u32,
    /// The process that asked for it.
    pub pid: u32,
    /// Its start, nanoseconds since boot.
    pub start_boot_ns: u64,
    /// The kernel's short name for it.
    pub comm: String,
    /// The name of the file that it runs, as far as lineage keeps it (31 bytes).
    #[serde(default)]
    pub program: Option<String>,
    /// Its parents that run a file of the same name, nearest first: what it does, it does for them.
    pub parents: Vec<ProcessKey>,
    /// Network namespace, as in `/proc/PID/ns/net`.
    pub netns: u32,
    /// Cgroup (version 2) id of the socket, which is that of the process that made it; 0 where it
    /// is not known.
    #[serde(default)]
    pub cgroup: u64,
    /// Where it listens.
    pub listener: Listener,
    /// Nobody recognised it, and what it runs may turn out to be a web server: an interpreter, or a
    /// program that no package brought.
    #[serde(default)]
    pub may_serve: bool,
    /// The tree of the process.
    #[serde(skip)]
    pub tree: Tree,
}

impl Listen {
    /// The process that listens.
    pub fn key(&self) -> ProcessKey {
        ProcessKey { pid: self.pid, start_boot_ns: self.start_boot_ns }
    }
}

/// A listener answered HTTP to somebody who asked.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Answer {
    /// When.
    pub time: Stamp,
    /// Nanoseconds since boot, the kernel's own stamp.
    pub boot_ns: u64,
    /// The listener, as it was told of when it began to listen.
    pub listen: Listen,
    /// What its first bytes on a connection were: `HTTP/1.0`, `HTTP/1.1` or `HTTP/2`.
    pub protocol: String,
}

impl Answer {
    /// The process that listens.
    pub fn key(&self) -> ProcessKey {
        self.listen.key()
    }
}

/// An address that is listened on.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listener {
    /// Address, as text.
    pub address: String,
    /// Port.
    pub port: u16,
    /// Protocol: `tcp`.
    pub protocol: String,
}
