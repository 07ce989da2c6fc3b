//! Measures picket and writes `docs/figures.md`.
#![expect(clippy::print_stdout, reason = "the figures of a quick run")]
#![expect(clippy::print_stderr, reason = "what is being measured, and what went wrong")]

mod auditd;
mod content;
mod contest;
mod coverage;
mod execsnoop;
mod figures;
mod goals;
mod interrupt;
mod kernel;
mod latency;
mod lifecycle;
mod loss;
mod machine;
mod procfs;
mod program;
mod report;
mod scratch;
mod sensor;
mod stats;
mod storm;
mod tool;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, ensure};
use clap::Parser;

use crate::contest::{Contestant, Standing};
use crate::goals::Verdict;
use crate::machine::Machine;
use crate::scratch::Scratch;
use crate::sensor::Picket;
use crate::storm::Length;
use crate::tool::{Nothing, Tool};

/// Measures picket and writes docs/figures.md. Needs root; about 15 minutes on a quiet machine.
///
/// Exit codes: 0 fine, even if goals were missed; 1 a hard property is broken (events lost in
/// silence, executions not detected) or measuring failed.
#[derive(Debug, Parser)]
struct Args {
    /// Little of everything, without the peers; prints and writes no file
    #[arg(long)]
    quick: bool,
    /// File whose marked section is written
    #[arg(long, value_name = "FILE", default_value = "docs/figures.md")]
    output: PathBuf,
    /// picket to measure [default: the one beside this program]
    #[arg(long, value_name = "FILE")]
    picket: Option<PathBuf>,
    /// Rounds of storms [default: 40, quick 4]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: Option<u32>,
}

/// How much of everything.
struct Amount {
    detections: u32,
    rounds: u32,
    length: Length,
    storm: u32,
    repetitions: u32,
    burst: u32,
}

const FULL: Amount = Amount {
    detections: 2000,
    rounds: 40,
    length: Length { warm_up: 5_000, execs: 10_000 },
    storm: 20_000,
    repetitions: 20,
    burst: 1000,
};
const QUICK: Amount = Amount {
    detections: 100,
    rounds: 4,
    length: Length { warm_up: 0, execs: 500 },
    storm: 1000,
    repetitions: 3,
    burst: 300,
};

/// Everything that was measured.
struct Figures {
    version: String,
    machine: Machine,
    load_after: String,
    latency: latency::Latency,
    lifecycle: lifecycle::Lifecycle,
    standings: Vec<Standing>,
    costs: Vec<kernel::Cost>,
    burst: loss::Burst,
    reading: content::Reading,
    warm_up: u32,
}

impl Figures {
    fn standing(&self, name: &str) -> Option<&Standing> {
        self.standings.iter().find(|standing| standing.name == name)
    }
}

fn main() -> ExitCode {
    match bench(&Args::parse()) {
        Ok(broken) if broken.is_empty() => ExitCode::SUCCESS,
        Ok(broken) => {
            for what in broken {
                eprintln!("bench: broken: {what}");
            }
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Measures and reports; returns the hard properties that are broken.
fn bench(args: &Args) -> Result<Vec<&'static str>> {
    ensure!(rustix::process::geteuid().is_root(), "needs root, as picket and its peers do");
    if !args.quick {
        figures::check(&args.output)?;
    }
    interrupt::catch()?;
    let figures = measure(args)?;
    let section = report::render(&figures);
    if args.quick {
        println!("{section}");
    } else {
        figures::rewrite(&args.output, &section)?;
        progress(&format!("wrote {}", args.output.display()));
    }
    let broken =
        goals::all(&figures).into_iter().filter(|g| g.hard && g.verdict == Verdict::Missed);
    Ok(broken.map(|goal| goal.what).collect())
}

fn measure(args: &Args) -> Result<Figures> {
    let amount = if args.quick { QUICK } else { FULL };
    let binary = picket_binary(args.picket.as_deref())?;
    let version = version(&binary)?;
    let machine = machine::look()?;
    let scratch = Scratch::new()?;
    let picket =
        Picket::new(&binary, &config(&scratch, "usual", "environment: production\n")?, &[]);
    let small = config(&scratch, "small", "environment: production\nring_bytes: 4096\n")?;

    progress("from execution to detection");
    let latency = latency::measure(&picket, &scratch, amount.detections)?;
    progress("starting and stopping");
    let lifecycle = lifecycle::measure(&picket, &scratch, amount.repetitions, amount.storm)?;
    progress("a burst that cannot fit");
    let everything = Picket::new(&binary, &small, &["--events"]);
    let burst = loss::provoke(&everything, &scratch, amount.burst)?;
    progress("reading files");
    let reading = content::measure(&picket, &scratch, amount.repetitions)?;
    let rounds = args.rounds.unwrap_or(amount.rounds);
    let (standings, costs) = compare(&picket, &scratch, args.quick, rounds, &amount)?;
    let load_after = machine::load();
    let warm_up = amount.length.warm_up;
    Ok(Figures {
        version,
        machine,
        load_after,
        latency,
        lifecycle,
        standings,
        costs,
        burst,
        reading,
        warm_up,
    })
}

/// picket beside its peers.
fn compare(
    picket: &Picket,
    scratch: &Scratch,
    quick: bool,
    rounds: u32,
    amount: &Amount,
) -> Result<(Vec<Standing>, Vec<kernel::Cost>)> {
    let mut contestants = vec![
        Contestant::new("none", Ok(Box::new(Nothing))),
        Contestant::new("picket", Ok(Box::new(picket.clone()))),
    ];
    if !quick {
        contestants.extend(peers(scratch));
    }
    let standings = contest::run(&mut contestants, scratch, rounds, amount.length)?;
    progress("inside the kernel");
    let with_programs = contestants.iter().filter(|c| ["picket", "execsnoop"].contains(&c.name));
    let tools: Vec<&dyn Tool> = with_programs.filter_map(|c| c.tool.as_deref().ok()).collect();
    let costs = kernel::measure(&tools, scratch, Length { execs: amount.storm, ..amount.length })?;
    Ok((standings, costs))
}

fn peers(scratch: &Scratch) -> [Contestant; 2] {
    let boxed = |tool: Result<Box<dyn Tool>>, name| {
        if let Err(error) = &tool {
            progress(&format!("{name} is not measured: {error:#}"));
        }
        Contestant::new(name, tool)
    };
    let execsnoop = execsnoop::Execsnoop::find(scratch).map(|tool| Box::new(tool) as _);
    let auditd = auditd::Auditd::find(scratch).map(|tool| Box::new(tool) as _);
    [boxed(execsnoop, "execsnoop"), boxed(auditd, "auditd, one rule")]
}

fn picket_binary(named: Option<&Path>) -> Result<PathBuf> {
    let binary = match named {
        Some(path) => path.to_owned(),
        None => std::env::current_exe().context("cannot find myself")?.with_file_name("picket"),
    };
    let how = "build it first: cargo build --release -p picket";
    ensure!(binary.exists(), "{} does not exist; {how}", binary.display());
    Ok(binary)
}

fn version(binary: &Path) -> Result<String> {
    let output = Command::new(binary).arg("--version").output().context("cannot start picket")?;
    let text = String::from_utf8_lossy(&output.stdout);
    Ok(text.split_whitespace().nth(1).unwrap_or("unknown").to_owned())
}

fn config(scratch: &Scratch, name: &str, text: &str) -> Result<PathBuf> {
    let path = scratch.path(&format!("{name}.yaml"));
    fs::write(&path, text).context("cannot write a configuration")?;
    Ok(path)
}

/// Says on stderr what is going on.
fn progress(what: &str) {
    eprintln!("bench: {what}");
}
