//! What a recipe says of a start that has not happened: a command that stands in a file.

use event::{Environment, Purpose, Severity};

use super::{EventKind, Recipe};
use crate::identify::Identity;
use crate::subject::ANYONES;
use crate::unwrap::Program;
use crate::words::glob;

impl Recipe {
    /// Whether it would tell of a web server that a file starts, as far as the file says. What depends on
    /// who starts it, below what, or on what else is known only then, is not foreseen.
    pub fn foresees(&self, identity: &Identity<'_>, program: &Program) -> bool {
        let m = &self.file.r#match;
        let fits = |globs: &[String], text: &str| globs.iter().any(|pattern| glob(pattern, text));
        self.file.event == EventKind::Exec
            && self.when.is_none()
            && m.below.is_empty()
            && m.launcher.is_empty()
            && (m.environment.is_empty() || m.environment.contains(&Environment::Ci))
            && (m.purpose.is_empty() || m.purpose.contains(&identity.purpose))
            && m.server.iter().any(|pattern| glob(&pattern.value, identity.server.name()))
            && (m.program.is_empty() || program.names.iter().any(|name| fits(&m.program, name)))
            && (m.path.is_empty() || fits(&m.path, program.file()))
    }

    /// How serious that is, and why, as for a detection.
    pub fn foreseen(&self, identity: &Identity<'_>, program: &Program) -> (Severity, Vec<String>) {
        let importance = self.file.importance;
        let mut severity = importance;
        let mut reasons = vec![format!("{} is of {importance} importance", self.name())];
        let path = program.file();
        if ANYONES.iter().any(|dir| path.starts_with(dir)) {
            severity = severity.max(Severity::Critical);
            reasons.push(format!("the program lies where anyone may write: {path}"));
        } else if identity.purpose == Purpose::Unknown {
            severity = severity.min(Severity::Medium);
            reasons.push("whether it is to serve, its arguments do not tell".to_owned());
        }
        (severity, reasons)
    }
}
