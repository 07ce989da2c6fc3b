//! The lines that picket writes.

use serde::{Deserialize, Serialize};

use crate::{Behaviour, Connect, Coverage, Detection, Exec, Listen, Response, Stamp, Update};

/// One line of output.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum Record {
    /// Something was detected.
    Detection(Box<Detection>),
    /// More is known of an earlier detection.
    Update(Box<Update>),
    /// How much could be seen.
    Coverage(Box<Coverage>),
    /// What was done about a detection.
    Response(Box<Response>),
    /// A raw event.
    Event(Box<Event>),
}

/// A raw event, as recordings hold it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Event {
    /// A program was executed.
    Exec {
        /// The machine.
        host: String,
        /// What happened.
        #[serde(flatten)]
        exec: Box<Exec>,
    },
    /// A socket began to listen.
    Listen {
        /// The machine.
        host: String,
        /// What happened.
        #[serde(flatten)]
        listen: Listen,
    },
    /// A process that nobody recognised listens.
    Behaviour {
        /// The machine.
        host: String,
        /// What was seen.
        #[serde(flatten)]
        behaviour: Box<Behaviour>,
    },
    /// A web server, or a process below one, made a connection.
    Connect {
        /// The machine.
        host: String,
        /// What happened.
        #[serde(flatten)]
        connect: Box<Connect>,
    },
}

impl Event {
    /// When it happened.
    pub fn time(&self) -> Stamp {
        match self {
            Self::Exec { exec, .. } => exec.time,
            Self::Listen { listen, .. } => listen.time,
            Self::Behaviour { behaviour, .. } => behaviour.time,
            Self::Connect { connect, .. } => connect.time,
        }
    }
}
