//! What makes a finding the same the next time, and the findings that are the same.

use sha2::{Digest, Sha256};

use super::context::Context;
use super::report::{Found, Report};

/// Findings that are the same, of which the first is told.
pub(super) struct Group<'a> {
    pub(super) first: &'a Found,
    pub(super) fingerprint: String,
    pub(super) count: u64,
}

impl Report {
    /// The findings, each once, the most serious first.
    pub(super) fn groups(&self, context: &Context) -> Vec<Group<'_>> {
        let mut groups: Vec<Group<'_>> = Vec::new();
        for found in &self.found {
            let fingerprint = found.fingerprint(context);
            match groups.iter_mut().find(|group| group.fingerprint == fingerprint) {
                Some(group) => group.count += 1,
                None => groups.push(Group { first: found, fingerprint, count: 1 }),
            }
        }
        groups
    }

    /// What there is to say of detections that are not listed, those among them that a report had no
    /// room for; `None` if all are.
    pub(super) fn unlisted(&self, no_room: u64) -> Option<String> {
        let more = self.count - self.found.len() as u64 + no_room;
        (more > 0).then(|| format!("{more} more detections were made than are listed here"))
    }
}

impl Group<'_> {
    /// What follows a text on the first one.
    pub(super) fn more(&self) -> String {
        match self.count - 1 {
            0 => String::new(),
            more => format!(", and {more} more like it"),
        }
    }
}

impl Found {
    /// The same for the same finding, in every run and on every machine: process ids, ports, versions and
    /// line numbers have no part in it.
    pub(super) fn fingerprint(&self, context: &Context) -> String {
        let d = &self.detection;
        let ci = context.ci.as_ref();
        let of = |field: Option<&Option<String>>| field.cloned().flatten().unwrap_or_default();
        let server = d.server.as_ref().map(|server| server.name.clone()).unwrap_or_default();
        let program = d.process.exe.path.rsplit('/').next().unwrap_or_default().to_owned();
        // Only places that every machine has: programs lie elsewhere on another one.
        let source = self.sources.first().map(|place| context.relative(&place.path).to_owned());
        let parts = [
            d.recipe.name.clone(),
            server,
            program,
            d.launcher.kind.to_string(),
            of(ci.map(|ci| &ci.workflow)),
            of(ci.map(|ci| &ci.job)),
            source.unwrap_or_default(),
        ];
        let mut hash = Sha256::new();
        for part in parts {
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part);
        }
        hex(&hash.finalize())
    }
}

/// Bytes in hexadecimal digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
