//! The command line: plain values, no behaviour.

mod ci;
mod reports;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::gate::scope::Watches;
pub(crate) use ci::*;
pub(crate) use reports::ReportArgs;

/// Knows, the moment it happens, that a web server was executed, whatever it is called, what
/// that means here, and what to do about it.
#[derive(Debug, Parser)]
#[command(name = "picket", version, propagate_version = true, max_term_width = 100)]
#[command(after_help = "\
Examples:
  picket run                          watch this machine
  picket run --format json | jq .     the same, as JSON lines
  picket ci -- make test              run a command under watch, fail if it starts a web server
  picket identify /usr/sbin/nginx     which web server is this file?
  picket identify -- nohup php -S :80 which one would this command line start?
  picket scan                         where do the files here start a web server?
  picket doctor                       can picket work here, and if not, why?

Exit codes: 0 fine, 1 failure, 2 wrong usage; those of `ci` are its own.")]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) common: Common,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Options of every command.
#[derive(Debug, Args)]
pub(crate) struct Common {
    /// Configuration file [default: /etc/picket/config.yaml, if it exists]
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Where this runs; `auto` recognises a pipeline by its variables, else it is production
    #[arg(long, global = true, value_enum)]
    pub(crate) environment: Option<EnvironmentChoice>,
    /// How to write; `text` on a terminal, `json` lines otherwise
    #[arg(long, global = true, value_enum)]
    pub(crate) format: Option<Format>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Watch this machine until SIGINT or SIGTERM; detections on stdout
    ///
    /// Prints "picket: watching, coverage full" on stderr once every hook is attached, running
    /// processes are known and every hook has seen its part of a test program, the canary. It is
    /// executed again every few minutes (`canary_seconds`), and on SIGHUP, which also has the recipes
    /// read again: all of them, or none if anything is wrong with one. Needs root, which it then
    /// gives up, or CAP_BPF and CAP_PERFMON.
    Run(RunArgs),
    /// Run a command of a pipeline under watch, report, and fail if it started a web server
    ///
    /// The command runs as whoever calls, with its own input and output. What counts is what descends
    /// from it, daemons included; the report goes to stderr. The exit code is the command's own if it
    /// failed, else 81 if picket could not see (clean would mean nothing), else 80 if something was
    /// found, else 0. Where the steps are not one command, `picket ci start` opens the gate and
    /// `picket ci stop` closes it, reports and decides. The environment is `ci` unless told
    /// otherwise. See docs/ci.md.
    Ci(Box<CiArgs>),
    /// Write raw events as JSON lines, for `replay` and for samples of recipes
    ///
    /// Secrets in arguments are masked here too.
    Record(RecordArgs),
    /// Run the recipes over recorded events: the same engine as `run`, no root needed
    ///
    /// A line that cannot be read is named by its number on stderr, the others are processed,
    /// and the exit code is 1.
    Replay(ReplayArgs),
    /// Say which web server a file, a running process or a command line is, and on what evidence
    Identify(IdentifyArgs),
    /// Say where the files of a repository start a web server, before anything runs
    ///
    /// Reads pipelines, Dockerfiles, compose files, manifests, units, makefiles and scripts. Needs no
    /// root, and runs nothing. The exit code is 0 whatever is found, unless --fail-on is given: then it
    /// is 80 if something is. See docs/scan.md.
    Scan(ScanArgs),
    /// List, explain, check and test the recipes
    Recipe(RecipeArgs),
    /// Show, accept and compare what is expected here
    ///
    /// What was accepted is told with severity `info`, what is new says so. See docs/baseline.md.
    Baseline(BaselineArgs),
    /// Print the effective configuration
    Config,
    /// Say what this kernel and these privileges allow, and how to fix what is missing
    ///
    /// Loads the programs, attaches them and executes a harmless test program, of which each hook must
    /// see its part.
    Doctor,
    /// Print the JSON Schema of a file format
    Schema {
        /// Which format
        #[arg(value_enum)]
        what: SchemaKind,
    },
    /// Write the manual pages into a directory
    Man {
        /// Directory, made if it does not exist
        dir: PathBuf,
    },
    /// Print completions for a shell
    Completions {
        /// Shell
        #[arg(value_enum)]
        shell: clap_complete::Shell,
    },
}

#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    /// Turn the kernel's filter off and write every execution and listener as an event, too
    #[arg(long)]
    pub(crate) events: bool,
    /// Show detections from this severity on; `info` also shows what does not serve
    ///
    /// Without it, web servers that ran before are shown as well, however little serious.
    #[arg(long, value_enum, value_name = "LEVEL")]
    pub(crate) severity: Option<SeverityChoice>,
    /// Baseline file [default: the configuration's]
    #[arg(long, value_name = "FILE")]
    pub(crate) baseline: Option<PathBuf>,
    /// For the gate of a pipeline, which reads what this one says
    #[arg(long, value_enum, hide = true)]
    pub(crate) beside: Option<Watches>,
}

#[derive(Debug, Args)]
pub(crate) struct RecordArgs {
    /// Record every execution, not only those that could be a web server
    #[arg(long)]
    pub(crate) events: bool,
    /// File to write [default: stdout]
    #[arg(long, short, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct ReplayArgs {
    /// Recording; `-` is stdin
    pub(crate) file: PathBuf,
    /// Show detections from this severity on
    #[arg(long, value_enum, value_name = "LEVEL")]
    pub(crate) severity: Option<SeverityChoice>,
}

#[derive(Debug, Args)]
#[command(group(clap::ArgGroup::new("subject").required(true).args(["path", "pid", "command"])))]
pub(crate) struct IdentifyArgs {
    /// Files, or directories whose programs are all looked at
    #[arg(value_name = "PATH")]
    pub(crate) path: Vec<PathBuf>,
    /// Of a directory, tell of every program, not only of web servers
    #[arg(long)]
    pub(crate) all: bool,
    /// A running process
    #[arg(long)]
    pub(crate) pid: Option<u32>,
    /// A command line that nobody has run
    #[arg(last = true, value_name = "WORD")]
    pub(crate) command: Vec<String>,
}

#[derive(Debug, Args)]
pub(crate) struct ScanArgs {
    /// Directory, or a file
    #[arg(default_value = ".")]
    pub(crate) dir: PathBuf,
    /// Exit with 80 if there is a finding of this severity or more
    #[arg(long, value_enum, value_name = "LEVEL")]
    pub(crate) fail_on: Option<SeverityChoice>,
    /// Do not enter directories of this name, beside .git, node_modules and vendor
    #[arg(long, value_name = "NAME")]
    pub(crate) skip: Vec<String>,
    /// Write what was found as SARIF 2.1.0 too, for code scanning
    #[arg(long, value_name = "FILE")]
    pub(crate) sarif: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct RecipeArgs {
    #[command(subcommand)]
    pub(crate) command: RecipeCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum RecipeCommand {
    /// List the recipes
    List,
    /// Explain one recipe
    Show {
        /// Its name
        name: String,
    },
    /// List the facts that a recipe's `when` may name
    Fields,
    /// Check recipe and catalogue files; errors as file:line:column
    ///
    /// Says of each recipe what the kernel decides and what is left to user space.
    Check {
        /// Files or directories [default: all that `run` would use]
        path: Vec<PathBuf>,
    },
    /// Run the samples of recipes and of the catalogue; one without samples fails
    ///
    /// The samples of `NAME.yaml` are `NAME.match.jsonl` and `NAME.no-match.jsonl` beside it:
    /// recorded events. A line of the former may say what must come out: "expect":"nginx serve".
    /// "before":[…] holds the events that came before it.
    Test {
        /// Files or directories [default: all that `run` would use]
        path: Vec<PathBuf>,
    },
    /// Make recipes of rules of other formats: Jibril's, Sigma's, Falco's
    ///
    /// A rule that picket cannot express exactly is refused, with the place and the name of what it
    /// cannot express; the others are made.
    Import(ImportArgs),
    /// Write recipes as rules of another format
    ///
    /// A recipe that the other format cannot express is refused, with the name of what it lacks.
    Export(ExportArgs),
}

#[derive(Debug, Args)]
pub(crate) struct ImportArgs {
    /// What the files hold; `auto` goes by their keys
    #[arg(long, value_enum, default_value_t = FormatOfRules::Auto)]
    pub(crate) from: FormatOfRules,
    /// Directory for the recipes, one file each, made if it does not exist [default: stdout]
    #[arg(long, value_name = "DIR")]
    pub(crate) to: Option<PathBuf>,
    /// Replace recipes that are there
    #[arg(long, requires = "to")]
    pub(crate) force: bool,
    /// Files, or directories with .yml and .yaml files
    #[arg(value_name = "FILE", required = true)]
    pub(crate) file: Vec<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct ExportArgs {
    /// As Sigma rules, for executions on Linux
    #[arg(long, required = true)]
    pub(crate) sigma: bool,
    /// Names of recipes [default: all that `run` would use]
    pub(crate) name: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum FormatOfRules {
    Auto,
    Jibril,
    Sigma,
    Falco,
}

impl FormatOfRules {
    pub(crate) fn format(self) -> Option<detect::import::Format> {
        use detect::import::Format;
        match self {
            Self::Auto => None,
            Self::Jibril => Some(Format::Jibril),
            Self::Sigma => Some(Format::Sigma),
            Self::Falco => Some(Format::Falco),
        }
    }
}

#[derive(Debug, Args)]
pub(crate) struct BaselineArgs {
    #[command(subcommand)]
    pub(crate) command: BaselineCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum BaselineCommand {
    /// Show what is expected, what was seen and nobody accepted, and the exceptions with their uses
    Show {
        /// Baseline file [default: the configuration's]
        #[arg(long, value_name = "FILE")]
        file: Option<PathBuf>,
    },
    /// Accept what was seen: from now on it is expected here
    ///
    /// Takes what the running picket has seen (see `state` in the configuration), or the records of
    /// --from, and writes the baseline file. A running picket reads it again on SIGHUP.
    Accept(AcceptArgs),
    /// Say what two baseline files do not have in common
    Diff {
        /// The old one
        old: PathBuf,
        /// The new one
        new: PathBuf,
        /// Exit with 1 if there is a difference
        #[arg(long)]
        exit_code: bool,
    },
    /// Check files of baselines and exceptions; errors as file:line:column
    Check {
        /// Files [default: all that `run` would use]
        path: Vec<PathBuf>,
    },
}

#[derive(Debug, Args)]
#[command(group(clap::ArgGroup::new("what").required(true).args(["id", "all_new"])))]
pub(crate) struct AcceptArgs {
    /// What to accept: the key of a detection's `baseline`, or a detection's id
    pub(crate) id: Vec<String>,
    /// Accept everything that is not expected yet
    #[arg(long)]
    pub(crate) all_new: bool,
    /// Who accepts it
    #[arg(long, value_name = "NAME")]
    pub(crate) by: String,
    /// Why
    #[arg(long, value_name = "TEXT")]
    pub(crate) why: String,
    /// The last day that it is expected, like 2027-01-31 [default: for good]
    #[arg(long, value_name = "DATE")]
    pub(crate) until: Option<String>,
    /// Records as JSON lines, with detections among them; `-` is stdin
    #[arg(long, value_name = "FILE")]
    pub(crate) from: Option<PathBuf>,
    /// Baseline file to write [default: the configuration's]
    #[arg(long, value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum EnvironmentChoice {
    Auto,
    Ci,
    Staging,
    Production,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    Text,
    Json,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum SeverityChoice {
    Info,
    Low,
    Medium,
    High,
    Critical,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum SchemaKind {
    Catalogue,
    Unwrap,
    Recipe,
    Baseline,
    Exceptions,
    Config,
}

impl From<SeverityChoice> for event::Severity {
    fn from(choice: SeverityChoice) -> Self {
        match choice {
            SeverityChoice::Info => Self::Info,
            SeverityChoice::Low => Self::Low,
            SeverityChoice::Medium => Self::Medium,
            SeverityChoice::High => Self::High,
            SeverityChoice::Critical => Self::Critical,
        }
    }
}
