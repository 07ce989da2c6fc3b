//! A socket that began to listen.

use serde::{Deserialize, Serialize};

use crate::{ProcessKey, Stamp};

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
    /// Its parents, nearest first.
    pub parents: Vec<ProcessKey>,
    /// Network namespace, as in `/proc/PID/ns/net`.
    pub netns: u32,
    /// Where it listens.
    pub listener: Listener,
}

impl Listen {
    /// The process that listens.
    pub fn key(&self) -> ProcessKey {
        ProcessKey { pid: self.pid, start_boot_ns: self.start_boot_ns }
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
