//! What the catalogue knows of a program's content.

use schemars::JsonSchema;
use serde::Deserialize;

use super::texts::SHORTEST;

/// Texts and marks that stay in a program's file when it is renamed, stripped or linked statically.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Signature {
    /// Independent texts of the file, 12 bytes or longer: messages, header names, paths. For a
    /// hosted server they are those of its script, or names of entries of its archive.
    #[serde(default)]
    pub literals: Vec<String>,
    /// How many different ones of them must be found: 2 unless told otherwise, 1 where `of` is
    /// given or the server is hosted.
    #[serde(default)]
    pub least: Option<usize>,
    /// Go: paths of the main package or module in the build information; what lies below counts.
    #[serde(default)]
    pub go: Vec<String>,
    /// Rust: names of the program's own crate.
    #[serde(default)]
    pub crates: Vec<String>,
    /// GNU build ids of builds that are known, in hexadecimal.
    #[serde(default)]
    pub build_ids: Vec<String>,
    /// Another server of the catalogue whose program this one is, or is built on. Without
    /// literals of its own the two have the same file and are told apart by name and arguments.
    #[serde(default)]
    pub of: Option<String>,
    /// Texts that stand directly before the version in the file.
    #[serde(default)]
    pub version: Vec<String>,
}

impl Signature {
    /// How many of the literals must be found.
    pub fn least(&self, hosted: bool) -> usize {
        self.least.unwrap_or(if self.of.is_some() || hosted { 1 } else { 2 })
    }

    /// Whether it has a sign of its own, not only that of another server.
    pub fn has_own(&self) -> bool {
        !self.literals.is_empty()
            || !self.go.is_empty()
            || !self.crates.is_empty()
            || !self.build_ids.is_empty()
    }

    /// Whether it makes sense. The message goes behind the server's name.
    pub(crate) fn check(&self, hosted: bool) -> Result<(), String> {
        if !self.has_own() && self.of.is_none() {
            return Err("content says nothing: expected literals, go, crates or of".to_owned());
        }
        let least = self.least(hosted);
        // Beside a Go package or a crate, fewer texts still tell more than none.
        let alone = self.go.is_empty() && self.crates.is_empty() && self.build_ids.is_empty();
        let too_few = !self.literals.is_empty() && self.literals.len() < least;
        if least == 0 || alone && too_few {
            return Err(format!(
                "content needs {least} of {} literals: expected at least as many literals, and at \
                 least one needed",
                self.literals.len()
            ));
        }
        for (i, literal) in self.literals.iter().enumerate() {
            if literal.len() < SHORTEST {
                return Err(format!(
                    "content literal {literal:?} has {} bytes: expected {SHORTEST} or more",
                    literal.len()
                ));
            }
            let others = self.literals.iter().enumerate().filter(|(j, _)| *j != i);
            if let Some((_, other)) =
                others.into_iter().find(|(_, other)| other.contains(literal.as_str()))
            {
                return Err(format!(
                    "content literal {literal:?} is part of {other:?}: expected independent texts"
                ));
            }
        }
        if self.version.iter().chain(&self.go).chain(&self.crates).any(String::is_empty) {
            return Err("content has an empty version, go or crates entry".to_owned());
        }
        Ok(())
    }
}
