//! How much picket could see.

use serde::{Deserialize, Serialize};

use crate::Stamp;

/// What the sensor could see in a stretch of time, and what it lost.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Coverage {
    /// When this was said.
    pub time: Stamp,
    /// The machine.
    pub host: String,
    /// How much was seen.
    pub state: State,
    /// Why it is not full, in words.
    pub reasons: Vec<String>,
    /// The stretch of time that this speaks of; where something was lost, from the first loss to the
    /// last, as far as that is known.
    pub window: Window,
    /// What was lost in it, by place.
    pub lost: Lost,
    /// Executions seen since the start, those that no recipe could match included.
    pub seen: u64,
    /// Of these, the executions that user space had to look at.
    #[serde(default)]
    pub crossed: u64,
    /// Executions of which there was room for little more than the fact since the last record, or
    /// since the start in the last one: long arguments and the working directory may be missing.
    #[serde(default)]
    pub thinned: u64,
}

/// A stretch of time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Window {
    /// Its beginning.
    pub from: Stamp,
    /// Its end.
    pub to: Stamp,
}

/// Events lost, by the place that lost them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lost {
    /// In the kernel: no room in a ring, or a hook that was skipped.
    pub kernel: u64,
    /// Between the threads of picket: listeners that nobody had the time to look into.
    pub queue: u64,
    /// On the way out: records that were not read as fast as they came.
    pub sink: u64,
    /// What may have been a server, and nobody could tell: executions whose file could not be read
    /// before the process ended and whose name says nothing, interpreters and tools with more
    /// arguments than are taken or than there was room for.
    #[serde(default)]
    pub unread: u64,
    /// Processes of which the kernel could not keep where they came from.
    #[serde(default)]
    pub lineage: u64,
}

impl Lost {
    /// Whether nothing was lost anywhere.
    pub fn is_zero(&self) -> bool {
        *self == Self::default()
    }

    /// What came on top of an earlier count.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        Self {
            kernel: self.kernel.saturating_sub(earlier.kernel),
            queue: self.queue.saturating_sub(earlier.queue),
            sink: self.sink.saturating_sub(earlier.sink),
            unread: self.unread.saturating_sub(earlier.unread),
            lineage: self.lineage.saturating_sub(earlier.lineage),
        }
    }
}

/// How much was seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Everything.
    Full,
    /// Not everything; the reasons say what is missing.
    Degraded,
    /// Nothing: clean means nothing.
    None,
}

impl std::fmt::Display for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Full => "full",
            Self::Degraded => "degraded",
            Self::None => "none",
        })
    }
}
