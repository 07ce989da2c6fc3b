//! The command line of `picket ci`.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use super::{ReportArgs, SeverityChoice};

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
#[command(disable_help_subcommand = true)]
pub(crate) struct CiArgs {
    #[command(subcommand)]
    pub(crate) step: Option<CiStep>,
    #[command(flatten)]
    pub(crate) expected: ExpectedArgs,
    /// The command and its arguments
    #[arg(last = true, required = true, value_name = "CMD")]
    pub(crate) command: Vec<OsString>,
    // What follows would be under the heading of the reports.
    #[command(flatten)]
    pub(crate) verdict: VerdictArgs,
}

#[derive(Debug, Subcommand)]
pub(crate) enum CiStep {
    /// Open the gate: from here on what the job executes is watched, until `picket ci stop`
    ///
    /// Returns once it is known how much is seen; exits with 81 if that is nothing.
    Start(StartArgs),
    /// Close the gate: report, and fail if the job started a web server since `picket ci start`
    Stop(Box<StopArgs>),
}

#[derive(Debug, Args)]
pub(crate) struct StartArgs {
    #[command(flatten)]
    pub(crate) state: StateArgs,
    /// End a gate that is open there already: of a job that ended without closing it
    #[arg(long)]
    pub(crate) replace: bool,
    /// What becomes of a job that picket cannot see
    #[arg(long, value_enum, default_value = "fail")]
    pub(crate) without_evidence: WithoutEvidence,
    #[command(flatten)]
    pub(crate) expected: ExpectedArgs,
}

#[derive(Debug, Args)]
pub(crate) struct StopArgs {
    #[command(flatten)]
    pub(crate) state: StateArgs,
    #[command(flatten)]
    pub(crate) verdict: VerdictArgs,
}

#[derive(Debug, Args)]
pub(crate) struct StateArgs {
    /// Directory of the gate, for this user alone [default: picket-ci in $RUNNER_TEMP,
    /// $XDG_RUNTIME_DIR or /run]
    #[arg(long, value_name = "DIR")]
    pub(crate) state: Option<PathBuf>,
}

/// What is expected of the job. Read before anything of it runs.
#[derive(Debug, Args)]
pub(crate) struct ExpectedArgs {
    /// Baseline file: what it accepts passes [default: .picket/baseline.yaml in the repository, if it
    /// is there, else the configuration's]
    #[arg(long, value_name = "FILE")]
    pub(crate) baseline: Option<PathBuf>,
    /// The baseline of the base branch, to tell what this change brought [default: the same file
    /// where this change left the base branch, if git knows that]
    #[arg(long, value_name = "FILE")]
    pub(crate) base_baseline: Option<PathBuf>,
    /// The base branch, or a commit of it [default: as the pipeline's variables say]
    #[arg(long, value_name = "BRANCH")]
    pub(crate) base: Option<String>,
}

/// What decides, and where it is told.
#[derive(Debug, Args)]
pub(crate) struct VerdictArgs {
    /// Detections from this severity on fail the run
    #[arg(long, value_enum, value_name = "LEVEL", default_value = "high")]
    pub(crate) fail_on: SeverityChoice,
    /// What becomes of a run that picket could not see in full
    #[arg(long, value_enum, default_value = "fail")]
    pub(crate) without_evidence: WithoutEvidence,
    /// Append a summary in Markdown to this file [default: $GITHUB_STEP_SUMMARY, if set]
    #[arg(long, value_name = "FILE")]
    pub(crate) summary: Option<PathBuf>,
    /// Write all records into this file, as JSON lines
    #[arg(long, value_name = "FILE")]
    pub(crate) records: Option<PathBuf>,
    /// Write what was started into this file, as a baseline that accepts it
    #[arg(long, value_name = "FILE")]
    pub(crate) write_baseline: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) reports: ReportArgs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum WithoutEvidence {
    Fail,
    Pass,
}
