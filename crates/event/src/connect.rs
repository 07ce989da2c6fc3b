//! A connection that a process made to somebody else.

use serde::{Deserialize, Serialize};

use crate::{ProcessKey, Stamp};

/// An outbound TCP connection of a web server, or of a process below one. It is told when it is
/// asked for, and again when it has ended.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Connect {
    /// When it was asked for, or when it ended.
    pub time: Stamp,
    /// Number of this record on its CPU; a gap is a loss.
    pub seq: u64,
    /// The CPU that recorded it.
    pub cpu: u32,
    /// When it was asked for, in nanoseconds since boot: with the process and the other side it
    /// names the connection, in both records.
    pub began_boot_ns: u64,
    /// The process that asked for it.
    pub pid: u32,
    /// Its start, nanoseconds since boot.
    pub start_boot_ns: u64,
    /// The kernel's short name for it.
    pub comm: String,
    /// The name of the file that it runs, as far as lineage keeps it (31 bytes).
    pub program: Option<String>,
    /// Its parents, nearest first, as far as lineage knows them.
    pub parents: Vec<ProcessKey>,
    /// Network namespace, as in `/proc/PID/ns/net`.
    pub netns: u32,
    /// This side; the port is 0 where the kernel had not chosen it yet.
    pub local: Endpoint,
    /// The other side.
    pub peer: Endpoint,
    /// Connections to the same place before this one that were left out: of those by one server
    /// and what is below it, only the first ones in a minute are told.
    pub repeats: u64,
    /// Whether it has ended. What follows is known by then.
    pub ended: bool,
    /// Whether the other side had ever answered.
    pub established: Option<bool>,
    /// Bytes that this side sent, each counted once.
    pub bytes_sent: Option<u64>,
    /// Bytes that came from the other side.
    pub bytes_received: Option<u64>,
    /// Microseconds from its beginning to its end.
    pub duration_us: Option<u64>,
}

impl Connect {
    /// The process that made it.
    pub fn key(&self) -> ProcessKey {
        ProcessKey { pid: self.pid, start_boot_ns: self.start_boot_ns }
    }
}

/// One side of a connection.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Endpoint {
    /// Address, as text.
    pub address: String,
    /// Port.
    pub port: u16,
    /// Protocol: `tcp`.
    pub protocol: String,
}
