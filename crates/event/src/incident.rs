//! An incident: what detections and connections around one web server have to do with each other.

use serde::{Deserialize, Serialize};

use crate::{Severity, Stamp};

/// What has happened around a web server so far, in order.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Incident {
    /// UUID version 7; detections that belong to it carry it as `incident`.
    pub id: String,
    /// The earlier incident around the same server, which had ended for lack of news.
    pub former: Option<String>,
    /// When what it tells of began.
    pub opened: Stamp,
    /// How serious it is by now.
    pub severity: Severity,
    /// What its stages have in common: a container, a unit, or the processes below a server.
    pub workload: String,
    /// What happened, in order. The last one is the news.
    pub stages: Vec<Stage>,
    /// Whom it connected to, with what went there and came back.
    pub peers: Vec<Peer>,
    /// What to do, first things first.
    pub actions: Vec<String>,
}

/// One thing that happened in an incident.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stage {
    /// What kind of thing.
    pub kind: StageKind,
    /// When.
    pub time: Stamp,
    /// The process that it is about.
    pub pid: u32,
    /// What happened, in words.
    pub detail: String,
    /// The detection that told of it, where one did.
    pub detection: Option<String>,
}

/// Kinds of stages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StageKind {
    /// A web server was started, or ran before picket did.
    ServerStarted,
    /// It listens.
    Listens,
    /// It executed a program that a recipe is about: a shell, a downloader.
    Child,
    /// It executed a file that was written after it had started.
    WrittenFile,
    /// What it executed listens in its turn.
    ChildListens,
    /// It, or what it executed, connected to a peer that was new.
    Outbound,
    /// Such a connection ended; what went over it is known.
    Transferred,
    /// Another web server was started, below the first or beside it in its workload.
    SecondServer,
}

/// Somebody whom an incident connected to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Peer {
    /// Address, as text.
    pub address: String,
    /// Port.
    pub port: u16,
    /// Protocol: `tcp`.
    pub protocol: String,
    /// Connections to it so far.
    pub connections: u64,
    /// Bytes sent over those that have ended; `null` before the first has.
    pub bytes_sent: Option<u64>,
    /// Bytes received over them.
    pub bytes_received: Option<u64>,
}
