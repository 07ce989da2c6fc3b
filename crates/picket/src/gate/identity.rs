//! What makes a finding the same the next time.

use sha2::{Digest, Sha256};

use super::context::Context;
use super::report::Found;

impl Found {
    /// The same for the same finding, in every run and on every machine: process ids, ports, versions and
    /// line numbers have no part in it.
    pub(crate) fn fingerprint(&self, context: &Context) -> String {
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
        hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }
}
