//! What the sensor tells the gate beside its records: lines of its log that only the gate reads.

use std::io::{self, Write};

use event::ProcessKey;
use serde::{Deserialize, Serialize};

use crate::escape::Json;

/// What such a line begins with.
const MARK: &str = "picket: gate: ";
/// Processes that run on and are named.
const MOST_LEFT: usize = 20;

/// What is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Note {
    /// Those that the sensor descends from, nearest first.
    Above(Vec<ProcessKey>),
    /// It has seen all that there was to see.
    End(End),
}

/// How it was at the end.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct End {
    /// What descends from the gate and runs on, as far as there is room.
    pub(crate) left: Vec<Left>,
    /// Others that do.
    pub(crate) more: usize,
    /// What the last canary could not prove and the first one could.
    pub(crate) unproved: Vec<String>,
}

/// A process that runs on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Left {
    pub(crate) pid: u32,
    pub(crate) start_boot_ns: u64,
    pub(crate) comm: String,
}

impl End {
    /// What is told of these.
    pub(crate) fn new(left: Vec<(ProcessKey, String)>, unproved: Vec<String>) -> Self {
        let more = left.len().saturating_sub(MOST_LEFT);
        let left = left.into_iter().take(MOST_LEFT);
        let left =
            left.map(|(ProcessKey { pid, start_boot_ns }, comm)| Left { pid, start_boot_ns, comm });
        Self { left: left.collect(), more, unproved }
    }
}

impl Note {
    /// Tells it.
    pub(crate) fn tell(&self) -> io::Result<()> {
        let mut line = MARK.as_bytes().to_vec();
        self.serialize(&mut serde_json::Serializer::with_formatter(&mut line, Json))?;
        line.push(b'\n');
        io::stderr().write_all(&line)
    }

    /// The note in a line of the log, if it is one.
    pub(crate) fn read(line: &str) -> Option<Self> {
        serde_json::from_str(line.strip_prefix(MARK)?).ok()
    }
}
