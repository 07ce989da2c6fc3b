//! Measures picket and writes `docs/figures.md`.
#![expect(clippy::print_stdout, reason = "the figures of a quick run")]
#![expect(clippy::print_stderr, reason = "what is being measured, and what went wrong")]

mod auditd;
mod bpftrace;
mod cgroup;
mod content;
mod contest;
mod cost_goals;
mod count;
mod coverage;
mod execsnoop;
mod figures;
mod gate;
mod goals;
mod growth;
mod interrupt;
mod jobs;
mod kernel;
mod latency;
mod laurel;
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
mod work;
mod work_report;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::rc::Rc;

use anyhow::{Context, Result, anyhow, ensure};
use clap::{Parser, Subcommand};

use crate::auditd::{Auditd, LeaveAlone};
use crate::contest::{Contest, Contestant};
use crate::goals::Verdict;
use crate::jobs::{Length, Sources};
use crate::machine::Machine;
use crate::scratch::Scratch;
use crate::sensor::Picket;
use crate::tool::{Nothing, Tool};

/// Measures picket and writes docs/figures.md. Needs root; about 20 minutes on a quiet machine.
///
/// Exit codes: 0 fine, even if goals were missed; 1 a hard property is broken (events lost in
/// silence, executions not detected) or measuring failed.
#[derive(Debug, Parser)]
struct Args {
    /// Little of everything, in two minutes: proves that every part works. Prints, writes no
    /// file, and fails if a tool or a work load cannot be measured
    #[arg(long)]
    quick: bool,
    /// File whose marked section is written
    #[arg(long, value_name = "FILE", default_value = "docs/figures.md")]
    output: PathBuf,
    /// picket to measure [default: the one beside this program]
    #[arg(long, value_name = "FILE")]
    picket: Option<PathBuf>,
    /// Rounds of each work load, growth included [default: storm 30, the others 12, growth 8]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: Option<u32>,
    #[command(subcommand)]
    part: Option<Part>,
}

/// What the bench starts itself as.
#[derive(Debug, Subcommand)]
enum Part {
    /// Only executes a program, again and again: a work load
    #[command(hide = true)]
    Storm {
        dir: PathBuf,
        name: PathBuf,
        execs: u32,
        /// On every processor at once
        #[arg(long)]
        everywhere: bool,
    },
}

/// How much of everything.
struct Amount {
    detections: u32,
    storms: u32,
    jobs: u32,
    growth: u32,
    length: Length,
    storm: u32,
    repetitions: u32,
    burst: u32,
    rush: u32,
    /// Only a part of the jobs.
    haste: bool,
}

const FULL: Amount = Amount {
    detections: 2000,
    storms: 30,
    jobs: 12,
    growth: 8,
    length: Length { warm_up: 5_000, execs: 10_000 },
    storm: 20_000,
    repetitions: 20,
    burst: 1000,
    rush: 10_000,
    haste: false,
};
const QUICK: Amount = Amount {
    detections: 100,
    storms: 2,
    jobs: 1,
    growth: 1,
    length: Length { warm_up: 0, execs: 500 },
    storm: 1000,
    repetitions: 3,
    burst: 300,
    rush: 500,
    haste: true,
};

/// Everything that was measured.
struct Figures {
    version: String,
    machine: Machine,
    load_after: String,
    latency: latency::Latency,
    /// The same under storms.
    busy: latency::Latency,
    lifecycle: lifecycle::Lifecycle,
    gate: gate::Gate,
    contests: Vec<Contest>,
    /// What is compiled.
    sources: String,
    /// Why nothing was compiled.
    no_jobs: Option<String>,
    costs: Vec<kernel::Cost>,
    growth: Vec<growth::Growth>,
    burst: loss::Burst,
    rush: loss::Rush,
    reading: content::Reading,
    warm_up: u32,
}

impl Figures {
    fn contest(&self, work: &str) -> Option<&Contest> {
        self.contests.iter().find(|contest| contest.work.name == work)
    }

    /// What could not be measured, and why.
    fn lacking(&self) -> BTreeSet<String> {
        let standings = self.contests.iter().flat_map(|contest| &contest.standings);
        let tools = standings.filter_map(|one| {
            Some(format!("{} is not measured: {}", one.name, one.not_measured.as_ref()?))
        });
        let jobs = self.no_jobs.iter().map(|why| format!("nothing is compiled: {why}"));
        tools.chain(jobs).collect()
    }
}

fn main() -> ExitCode {
    let args = Args::parse();
    let done = match &args.part {
        Some(Part::Storm { dir, name, execs, everywhere }) => {
            only_storm(&dir.join(name), *execs, *everywhere).map(|()| Vec::new())
        }
        None => bench(&args),
    };
    match done {
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

fn only_storm(program: &Path, execs: u32, everywhere: bool) -> Result<()> {
    if everywhere {
        storm::together(program, execs, &storm::processors()?)
    } else {
        storm::run(program, execs)
    }
}

/// Measures and reports; returns the hard properties that are broken.
fn bench(args: &Args) -> Result<Vec<String>> {
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
    let mut broken: Vec<String> = broken.map(|goal| goal.what.to_owned()).collect();
    if args.quick {
        broken.extend(figures.lacking());
    }
    Ok(broken)
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
    let latency = latency::measure(&picket, &scratch, amount.detections, false)?;
    progress("from execution to detection, under storms");
    let busy = latency::measure(&picket, &scratch, amount.detections, true)?;
    progress("starting and stopping");
    let lifecycle = lifecycle::measure(&picket, &scratch, amount.repetitions, amount.storm)?;
    progress("opening and closing the gate of a pipeline");
    let usual = config(&scratch, "gate", "")?;
    let gate = gate::measure(&binary, &usual, &scratch, amount.repetitions, amount.storm / 10)?;
    progress("a burst that cannot fit");
    let everything = Picket::new(&binary, &small, &["--events"]);
    let burst = loss::provoke(&everything, &scratch, amount.burst)?;
    progress("servers on all processors at once");
    let rush = loss::rush(&picket, &scratch, amount.rush)?;
    progress("reading files");
    let reading = content::measure(&picket, &scratch, amount.repetitions)?;
    let rounds = args.rounds.unwrap_or(amount.growth);
    let length = Length { execs: amount.storm / 2, ..amount.length };
    let growth = growth::measure(&binary, &scratch, rounds, length, amount.storm / 10)?;
    let Compared { contests, costs, sources } = compare(&picket, &scratch, args.rounds, &amount)?;
    let (sources, no_jobs) = match sources {
        Ok(version) => (version, None),
        Err(error) => (String::new(), Some(format!("{error:#}"))),
    };
    let load_after = machine::load();
    let warm_up = amount.length.warm_up;
    Ok(Figures {
        version,
        machine,
        load_after,
        latency,
        busy,
        lifecycle,
        gate,
        contests,
        sources,
        no_jobs,
        costs,
        growth,
        burst,
        rush,
        reading,
        warm_up,
    })
}

/// picket and its peers at the same work.
struct Compared {
    contests: Vec<Contest>,
    costs: Vec<kernel::Cost>,
    /// What was compiled, or why nothing was.
    sources: Result<String>,
}

fn compare(
    picket: &Picket,
    scratch: &Scratch,
    rounds: Option<u32>,
    amount: &Amount,
) -> Result<Compared> {
    let mut contestants = vec![
        Contestant::new("none", Ok(Box::new(Nothing))),
        Contestant::new("picket", Ok(Box::new(picket.clone()))),
    ];
    contestants.extend(peers(scratch));
    let mut works = vec![
        (jobs::storm(scratch, amount.length)?, amount.storms),
        (jobs::flood(scratch, amount.length)?, amount.jobs),
    ];
    progress("making the jobs ready");
    let sources = Sources::find().and_then(|sources| {
        works.push((sources.compile(scratch, amount.haste)?, amount.jobs));
        works.push((sources.script(scratch, amount.haste)?, amount.jobs));
        Ok(sources.version)
    });
    interrupt::check()?;
    if let Err(error) = &sources {
        progress(&format!("nothing is compiled: {error:#}"));
    }
    let contests = works
        .iter()
        .map(|(work, usual)| contest::run(&mut contestants, work, rounds.unwrap_or(*usual)))
        .collect::<Result<_>>()?;
    progress("inside the kernel");
    let with_programs = contestants.iter().filter(|c| WITH_PROGRAMS.contains(&c.name));
    let tools: Vec<&dyn Tool> = with_programs.filter_map(|c| c.tool.as_deref().ok()).collect();
    let costs = kernel::measure(&tools, scratch, Length { execs: amount.storm, ..amount.length })?;
    Ok(Compared { contests, costs, sources })
}

/// Those that consist of eBPF programs.
const WITH_PROGRAMS: [&str; 3] = ["picket", "execsnoop", "bpftrace execsnoop.bt"];

fn peers(scratch: &Scratch) -> [Contestant; 4] {
    let boxed = |tool: Result<Box<dyn Tool>>, name| {
        if let Err(error) = &tool {
            progress(&format!("{name} is not measured: {error:#}"));
        }
        Contestant::new(name, tool)
    };
    let execsnoop = execsnoop::Execsnoop::find(scratch).map(|tool| Box::new(tool) as _);
    let bpftrace = bpftrace::Bpftrace::find(scratch).map(|tool| Box::new(tool) as _);
    let alone = LeaveAlone::begin();
    let audit = |find: fn(&Scratch, Rc<LeaveAlone>) -> Result<Auditd>| {
        let alone = alone.as_ref().map_err(|error| anyhow!("{error:#}"))?;
        find(scratch, Rc::clone(alone)).map(|tool| Box::new(tool) as _)
    };
    let (auditd, laurel) = (audit(Auditd::find), audit(Auditd::find_with_laurel));
    [
        boxed(execsnoop, "execsnoop"),
        boxed(bpftrace, "bpftrace execsnoop.bt"),
        boxed(auditd, "auditd, one rule"),
        boxed(laurel, "auditd with laurel"),
    ]
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
