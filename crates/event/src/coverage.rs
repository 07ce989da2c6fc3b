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
    /// The stretch of time that this speaks of.
    pub window: Window,
    /// What was lost in it, by place.
    pub lost: Lost,
    /// Executions seen since the start, those that no recipe could match included.
    pub seen: u64,
    /// Of these, the executions that user space had to look at.
    #[serde(default)]
    pub crossed: u64,
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
    /// In the kernel: no room in the ring, or a hook that was skipped.
    pub kernel: u64,
    /// Between the threads of picket.
    pub queue: u64,
    /// On the way out.
    pub sink: u64,
    /// What may have been a server, and nobody could tell: executions whose file could not be read
    /// before the process ended and whose name says nothing, interpreters and tools with more
    /// arguments than are taken, listeners that nobody had the time to look into.
    #[serde(default)]
    pub unread: u64,
}

impl Lost {
    /// Whether nothing was lost anywhere.
    pub fn is_zero(&self) -> bool {
        *self == Self::default()
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
