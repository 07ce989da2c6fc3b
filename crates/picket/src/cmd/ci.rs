//! `picket ci`: run a command under watch, report, and decide.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result};

use crate::cli::{CiArgs, Common, WithoutEvidence};
use crate::config::{Config, EnvironmentSetting};
use crate::gate::change::Change;
use crate::gate::command::{self, Signals};
use crate::gate::report::Report;
use crate::gate::reports::Reports;
use crate::gate::sensor::Sensor;
use crate::gate::verdict::Rules;
use crate::gate::{annotations, summary};
use crate::sink;

pub(crate) fn run(common: &Common, args: &CiArgs) -> Result<ExitCode> {
    let config = Config::load(common)?;
    // What cannot be written is said before anything runs.
    let summary = summary_file(args).map(|path| open(&path, "summary", true)).transpose()?;
    let records = args.records.as_deref().map(|path| open(path, "records", false)).transpose()?;
    let reports = Reports::open(&args.reports, common, &config, &args.command)?;
    let change = Change::look(&args.command);
    let mut signals = Signals::catch()?;
    let environment = match config.environment {
        EnvironmentSetting::Auto if common.environment.is_none() => Some("ci"),
        _ => None,
    };
    let rules = Rules {
        fail_on: args.fail_on.into(),
        show: config.severity,
        without_evidence_fails: args.without_evidence == WithoutEvidence::Fail,
    };
    let sensor = Sensor::start(common, environment, rules, records)?;
    let mut asked = None;
    let began = sensor.wait_until_ready(|| {
        asked = signals.asked_to_end();
        asked.is_some()
    });
    if let Some(signal) = asked {
        return Ok(ExitCode::from(command::code_of_signal(signal)));
    }
    match began {
        Some(state) => sink::log(&format!("ci: watching, coverage {state}")),
        None => sink::log("ci: picket cannot watch; the command runs all the same"),
    }
    sensor.pass_log_on();
    let ended = command::run(&args.command, &mut signals);
    let watched = sensor.stop()?;
    let mut report = Report::new(rules, ended.code, watched);
    report.trace(&change);
    report.print();
    if std::env::var_os("GITHUB_ACTIONS").is_some_and(|value| value == "true") {
        annotations::print(&report);
    }
    let written = match summary {
        Some((mut file, path)) => summary::append(&report, &mut file)
            .with_context(|| format!("cannot write the summary {}", path.display())),
        None => Ok(()),
    };
    let records = report.records_failed().map(|error| anyhow::anyhow!("{error}"));
    let written = written.err().into_iter().chain(records).chain(reports.write(&report));
    for error in written.collect::<Vec<_>>() {
        sink::log(&format!("{error:#}"));
        if report.verdict.code() == 0 {
            return Ok(ExitCode::FAILURE);
        }
    }
    Ok(ExitCode::from(report.verdict.code()))
}

fn summary_file(args: &CiArgs) -> Option<PathBuf> {
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
