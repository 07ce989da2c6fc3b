//! What a file contains, as far as it was read: the facts behind identification by content.

use serde::{Deserialize, Serialize};

/// What was found in a file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Content {
    /// What kind of file it is.
    pub kind: FileKind,
    /// What could not be read of it, and why; `null` when all was read.
    pub problem: Option<String>,
    /// Who packed or encrypted it, so that its texts do not show: `UPX`, or how that is seen.
    pub packed: Option<String>,
    /// What the Go tool chain wrote into it.
    pub go: Option<GoBuild>,
    /// Programs of the catalogue whose texts are in it.
    pub signs: Vec<Sign>,
}

/// What kind of file.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FileKind {
    /// A program of this system's own format.
    Elf,
    /// A library of that format, which is not executed by itself.
    Library,
    /// A text that names its interpreter.
    Script,
    /// An archive: a Java program, mostly.
    Archive,
    /// Anything else.
    #[default]
    Other,
}

/// Build information of a Go program.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GoBuild {
    /// Version of Go.
    pub go: String,
    /// Path of the main package.
    pub path: String,
    /// Path of the main module, where known.
    pub module: Option<String>,
    /// Its version, where known.
    pub version: Option<String>,
}

/// Texts of a program of the catalogue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sign {
    /// What the catalogue knows the program as.
    pub kind: SignKind,
    /// Its name in the catalogue.
    pub name: String,
    /// What was found, in words: texts, a Go package, a Rust crate.
    pub found: Vec<String>,
    /// The version that the file tells, where it does.
    pub version: Option<String>,
}

/// What the catalogue knows a program as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SignKind {
    /// A web server.
    Server,
    /// An interpreter or virtual machine.
    Runtime,
    /// One program that is many.
    Multicall,
    /// A program that runs another file in its own process.
    Loader,
}

impl Content {
    /// Whether it holds the texts of this program.
    pub fn shows(&self, kind: SignKind, name: &str) -> bool {
        self.signs.iter().any(|sign| sign.kind == kind && sign.name == name)
    }
}

/// A file that a loader, interpreter or virtual machine was given to run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Target {
    /// Its path, as the process sees it.
    pub path: String,
    /// What it contains.
    pub content: Content,
    /// SHA-256 of the content, where it was read.
    #[serde(default)]
    pub sha256: Option<String>,
}
