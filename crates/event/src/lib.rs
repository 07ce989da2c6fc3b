//! What happened: executions, listeners, connections, and what picket says of them.
//!
//! The JSON of these types is the promise to users (`docs/records.md`). Fields may be
//! added, never renamed; an absent fact is `null` or an empty list, never invented.

mod behaviour;
mod connect;
mod content;
mod coverage;
mod detection;
mod exec;
mod incident;
mod listen;
mod process;
mod record;
mod stamp;
mod tree;

pub use behaviour::{Behaviour, Mapped};
pub use connect::{Connect, Endpoint};
pub use content::{Content, FileKind, GoBuild, Sign, SignKind, Target};
pub use coverage::{Coverage, Lost, State, Window};
pub use detection::{
    Attack, Baseline, Below, Ci, CiOrigin, Confidence, Container, Detection, Environment, Evidence,
    EvidenceKind, Guidance, Launcher, LauncherKind, Purpose, RecipeInfo, Response, ServerInfo,
    Severity, Technique, Update,
};
pub use exec::Exec;
pub use incident::{Incident, Peer, Stage, StageKind};
pub use listen::{Answer, Listen, Listener};
pub use process::{Ancestor, Executable, FileId, Namespaces, Process, ProcessKey};
pub use record::{Event, Record};
pub use stamp::Stamp;
pub use tree::Tree;
