//! An attestation: what was seen, as a statement of in-toto that is signed.

mod commit;
mod envelope;
mod job;
mod key;
mod log;
mod statement;
mod subject;

use std::ffi::OsString;
use std::path::Path;

use anyhow::{Context as _, Result};
use detect::recipe::Recipe;
use serde_json::Value;

use self::key::Key;
use self::subject::Subjects;
use super::context::Context;
use super::report::Report;
use crate::cli::ReportArgs;

/// What watches, as a URI without its version.
const MONITOR: &str = "pkg:generic/picket";

/// What was found out before the command ran, which could have changed it.
pub(super) struct Attestation {
    key: Key,
    subjects: Subjects,
    /// The program that watches, and its configuration: descriptors of resources.
    program: Value,
    configuration: Option<Value>,
    job: job::Job,
    command: Vec<String>,
}

impl Attestation {
    /// Prepares it. What it lacks is said here.
    pub(super) fn open(
        args: &ReportArgs,
        key: &Path,
        configuration: &Path,
        command: &[OsString],
        context: &Context,
    ) -> Result<Self> {
        let key = Key::read(key)?;
        let subjects = Subjects::new(&args.attest_subject, context)?;
        let program = Path::new("/proc/self/exe");
        let what = || "cannot read the program that runs, to attest it";
        let own = std::env::current_exe().with_context(what)?;
        let program = subject::descriptor(&own.to_string_lossy(), program).with_context(what)?;
        let configuration = match configuration.exists() {
            true => {
                let name = configuration.display().to_string();
                Some(subject::descriptor(&name, configuration)?)
            }
            false => None,
        };
        let command: Vec<String> =
            command.iter().map(|word| word.to_string_lossy().into_owned()).collect();
        let command = detect::mask::arguments(&command);
        let job = job::Job::of(context, &command, |name| std::env::var(name).ok());
        Ok(Self { key, subjects, program, configuration, job, command })
    }

    /// The signed statement, as a file has it.
    pub(super) fn render(
        &self,
        report: &Report,
        context: &Context,
        rules: &[Recipe],
    ) -> Result<Vec<u8>> {
        let subjects = self.subjects.describe()?;
        let statement = statement::statement(self, subjects, report, context, rules);
        Ok(envelope::seal(&crate::escape::json(&statement), &self.key))
    }
}
