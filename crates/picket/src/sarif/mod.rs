//! SARIF 2.1.0: what was found, for code scanning and editors.
//!
//! This knows the format, and the limits of those who read it; what was found, and how, it is told. Texts
//! are given as they are and made inert here.

mod attack;
#[cfg(test)]
mod tests;
mod write;

use std::path::PathBuf;

use detect::recipe::Recipe;
use event::{Severity, Stamp};
use serde_json::{Map, Value};

/// One run of picket.
pub(crate) struct Run<'a> {
    /// What kind of run: code scanning keeps the results of each apart.
    pub(crate) category: &'a str,
    /// What was looked for.
    pub(crate) rules: &'a [Recipe],
    /// What was found, the most serious first: what is too much is left out from the end, and counted.
    pub(crate) results: Vec<Finding>,
    /// How many were found besides, and are not among those.
    pub(crate) unlisted: u64,
    /// The directory of the repository; files in it are told by their path below it.
    pub(crate) root: Option<PathBuf>,
    /// Whether it could look at all that it was to look at.
    pub(crate) complete: bool,
    /// What is to be known of the run besides.
    pub(crate) notes: Vec<String>,
    /// From when to when, where that matters.
    pub(crate) window: Option<(Stamp, Stamp)>,
    /// Facts of the run.
    pub(crate) properties: Map<String, Value>,
}

/// Something that was found.
pub(crate) struct Finding {
    /// The recipe's name.
    pub(crate) rule: String,
    pub(crate) severity: Severity,
    pub(crate) message: String,
    /// Where, the most telling first: that is the one which is shown.
    pub(crate) places: Vec<Place>,
    /// What it is in terms of the system.
    pub(crate) logical: Option<Logical>,
    /// How it came to it, from the first step to the last.
    pub(crate) flow: Vec<Step>,
    /// What makes it the same finding the next time: nothing that changes from run to run, as process
    /// ids, ports and line numbers do.
    pub(crate) identity: Vec<String>,
    /// Facts of it.
    pub(crate) properties: Map<String, Value>,
}

/// A place in a file.
#[derive(Debug, Clone, Default)]
pub(crate) struct Place {
    /// Absolute, or below the root.
    pub(crate) path: String,
    /// From 1 on; without one, it is the file.
    pub(crate) line: Option<u32>,
    /// From 1 on, in characters.
    pub(crate) column: Option<u32>,
    /// What is there, in words.
    pub(crate) text: Option<String>,
}

/// Something that has a name in the system, and no place in a file.
#[derive(Debug, Clone)]
pub(crate) struct Logical {
    pub(crate) name: String,
    /// With all that makes it unique.
    pub(crate) full: String,
    /// `process`, `job`, `service` ….
    pub(crate) kind: &'static str,
}

/// A step on the way to a finding.
#[derive(Debug, Clone)]
pub(crate) struct Step {
    pub(crate) text: String,
    pub(crate) place: Option<Place>,
    pub(crate) logical: Option<Logical>,
}

impl Run<'_> {
    /// The log, as a file has it.
    pub(crate) fn to_json(&self) -> Vec<u8> {
        crate::escape::json(&write::log(self))
    }
}
