//! What a process that nobody recognised was seen doing.

use serde::{Deserialize, Serialize};

use crate::{Content, Exec, Listener, ProcessKey, Stamp};

/// A process listens, and what it was executed from did not tell that it is a server.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Behaviour {
    /// When it was seen.
    pub time: Stamp,
    /// Its execution, as far as it is still known: the kernel had called its file benign.
    pub exec: Box<Exec>,
    /// Its parents, nearest first.
    pub parents: Vec<ProcessKey>,
    /// Where it listens.
    pub listener: Listener,
    /// What it answered with: `HTTP/1.1`; `null` as long as it only listens.
    pub answered: Option<String>,
    /// Web servers in what it has mapped into its memory by now.
    pub mapped: Vec<Mapped>,
}

/// A file or memory that a process can execute or read, and not write.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mapped {
    /// Its path, or a name in brackets for memory that belongs to no file.
    pub path: String,
    /// What is in it.
    pub content: Content,
}
