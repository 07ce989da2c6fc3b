//! Where a run is told of: what cannot be written is said before anything runs.

use std::ffi::OsString;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result};
use event::Stamp;

use crate::ci;
use crate::cli::{Common, VerdictArgs};
use crate::config::Config;
use crate::gate::report::Report;
use crate::gate::reports::Reports;
use crate::gate::{annotations, started, summary};
use crate::sink;

/// Files that are written, each with its name.
pub(super) struct Outputs {
    summary: Option<(File, PathBuf)>,
    /// Written while the sensor is read.
    pub(super) records: Option<(File, PathBuf)>,
    started: Option<PathBuf>,
    reports: Reports,
}

impl Outputs {
    pub(super) fn open(
        args: &VerdictArgs,
        common: &Common,
        config: &Config,
        command: &[OsString],
    ) -> Result<Self> {
        let started = args.write_baseline.clone();
        if let Some(path) = &started {
            open(path, "baseline", true)?;
        }
        Ok(Self {
            summary: summary_file(args).map(|path| open(&path, "summary", true)).transpose()?,
            records: args
                .records
                .as_deref()
                .map(|path| open(path, "records", false))
                .transpose()?,
            started,
            reports: Reports::open(&args.reports, common, config, command)?,
        })
    }

    /// The job began before this process.
    pub(super) fn began(&mut self, when: Stamp) {
        self.reports.began(when);
    }

    /// Tells all, and says which exit code follows.
    pub(super) fn tell(self, mut report: Report) -> ExitCode {
        report.print();
        if std::env::var_os("GITHUB_ACTIONS").is_some_and(|value| value == "true") {
            annotations::print(&report);
        }
        let summary = self.summary.map(|(mut file, path)| {
            summary::append(&report, &mut file)
                .with_context(|| format!("cannot write the summary {}", path.display()))
        });
        let started = report.take_started();
        let started = self.started.map(|path| {
            let job = ci::own().and_then(|ci| ci.sha);
            let why = job.map_or_else(
                || "seen in a run".to_owned(),
                |sha| format!("seen in a run of {sha}"),
            );
            started::write(&path, started, &why)
        });
        let records = report.records_failed().map(|error| Err(anyhow::anyhow!("{error}")));
        let mut failed: Vec<anyhow::Error> =
            [summary, started, records].into_iter().flatten().filter_map(Result::err).collect();
        failed.extend(self.reports.write(&report));
        for error in &failed {
            sink::log(&format!("{error:#}"));
        }
        match report.verdict.code() {
            0 if !failed.is_empty() => ExitCode::FAILURE,
            code => ExitCode::from(code),
        }
    }
}

fn summary_file(args: &VerdictArgs) -> Option<PathBuf> {
    let default = || std::env::var_os("GITHUB_STEP_SUMMARY").filter(|path| !path.is_empty());
    args.summary.clone().or_else(|| default().map(PathBuf::from))
}

fn open(path: &Path, what: &str, append: bool) -> Result<(File, PathBuf)> {
    let mut options = File::options();
    let options = options.create(true).write(true).append(append).truncate(!append);
    let file = options.open(path).with_context(|| {
        format!("cannot write the {what} {}: name another file", path.display())
    })?;
    Ok((file, path.to_owned()))
}
