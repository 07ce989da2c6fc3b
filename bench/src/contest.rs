//! The same work under each tool in turn: what does each add?

use std::time::Duration;

use anyhow::{Result, ensure};

use crate::coverage::Coverage;
use crate::procfs::{self, Footprint};
use crate::stats::Sample;
use crate::tool::{Report, Tool, Wanted};
use crate::work::{Took, Work};
use crate::{interrupt, progress};

/// A tool in the contests, or why it is not in them.
pub(crate) struct Contestant {
    pub(crate) name: &'static str,
    pub(crate) tool: Result<Box<dyn Tool>>,
}

/// One piece of work under one tool.
#[derive(Debug, Clone, Default)]
struct Run {
    round: u32,
    took: Took,
    /// CPU time of the tool's own processes.
    own: Duration,
    memory: Footprint,
    report: Report,
}

impl Run {
    fn cpu(&self) -> f64 {
        (self.took.cpu + self.own).as_secs_f64()
    }
}

/// A work load and what came out for each tool.
#[derive(Debug, Clone)]
pub(crate) struct Contest {
    pub(crate) work: Work,
    pub(crate) standings: Vec<Standing>,
}

impl Contest {
    /// What came out for one tool, if it was measured.
    pub(crate) fn standing(&self, name: &str) -> Option<&Standing> {
        self.standings.iter().find(|one| one.name == name && one.not_measured.is_none())
    }
}

/// What came out for one tool. Everything against none is against the same round without a tool.
#[derive(Debug, Clone, Default)]
pub(crate) struct Standing {
    pub(crate) name: &'static str,
    /// Time on the clock against none.
    pub(crate) ratios: Sample,
    /// CPU time, the tool's included, against none.
    pub(crate) cpu_ratios: Sample,
    /// CPU seconds that it adds for 100,000 executions, wherever: in the work's system calls or
    /// in processes of its own.
    pub(crate) added: Sample,
    /// CPU seconds of its own processes for 100,000 executions.
    pub(crate) own: Sample,
    /// Seconds on the clock.
    pub(crate) seconds: Sample,
    /// The largest of all runs.
    pub(crate) memory: Footprint,
    /// Executions of all runs, as far as they are counted; those of the warm-ups included.
    pub(crate) executed: u64,
    /// In the tool's records.
    pub(crate) recorded: Option<u64>,
    /// In no record, summed over the runs that recorded too few.
    pub(crate) missed: u64,
    /// What it says itself that it lost.
    pub(crate) lost: u64,
    /// picket's, of all runs together.
    pub(crate) coverage: Option<Coverage>,
    /// Why it was not measured.
    pub(crate) not_measured: Option<String>,
}

impl Contestant {
    pub(crate) fn new(name: &'static str, tool: Result<Box<dyn Tool>>) -> Self {
        Self { name, tool }
    }
}

/// Runs `rounds` rounds of the work under each tool, each round beginning with another one. The
/// first contestant is the one without a tool, the second is picket; the others take part in
/// every second round, which is enough for what they add.
pub(crate) fn run(contestants: &mut [Contestant], work: &Work, rounds: u32) -> Result<Contest> {
    let mut runs: Vec<Vec<Run>> = vec![Vec::new(); contestants.len()];
    for round in 0..rounds {
        progress(&format!("{}: round {} of {rounds}", work.name, round + 1));
        let takes_part = if round % 2 == 0 { contestants.len() } else { 2 };
        for turn in 0..takes_part {
            let at = (round as usize / 2 + turn) % takes_part;
            let one = &mut contestants[at];
            let Ok(tool) = &one.tool else { continue };
            match one_run(tool.as_ref(), work, round) {
                Ok(run) => runs[at].push(run),
                Err(error) => {
                    interrupt::check()?;
                    // The two that matter must work; a peer that fails leaves the contest.
                    ensure!(at >= 2, error.context(format!("{} under {}", work.name, one.name)));
                    progress(&format!("{} leaves: {error:#}", one.name));
                    one.tool = Err(error);
                }
            }
        }
    }
    let standings =
        contestants.iter().zip(&runs).map(|(one, own)| standing(one, own, &runs[0], work));
    Ok(Contest { work: work.clone(), standings: standings.collect() })
}

fn one_run(tool: &dyn Tool, work: &Work, round: u32) -> Result<Run> {
    interrupt::check()?;
    work.prepare()?;
    let running = tool.start()?;
    work.warm()?;
    let before = procfs::all_at_rest(&running.pids())?;
    let took = work.measured()?;
    // What it does afterwards is its work, too.
    let own = procfs::all_at_rest(&running.pids())?.saturating_sub(before);
    let memory = running.footprint()?;
    let wanted = work.program.clone().map_or(Wanted::All, Wanted::Program);
    let report = running.stop(&wanted)?;
    Ok(Run { round, took, own, memory, report })
}

#[expect(clippy::cast_precision_loss, reason = "some 100,000")]
fn standing(one: &Contestant, runs: &[Run], none: &[Run], work: &Work) -> Standing {
    let not_measured = one.tool.as_ref().err().map(|error| format!("{error:#}"));
    if not_measured.is_some() {
        return Standing { name: one.name, not_measured, ..Standing::default() };
    }
    let pairs = || {
        let same = |run: &Run| none.iter().find(|other| other.round == run.round);
        runs.iter().filter_map(move |run| Some((run, same(run)?)))
    };
    let sample = |of: &dyn Fn(&Run, &Run) -> f64| {
        Sample::new(pairs().map(|(run, none)| of(run, none)).collect())
    };
    let per_100k = 1e5 / work.execs as f64;
    let known = work.execs + work.before;
    let missed = runs.iter().filter_map(|r| Some(known.saturating_sub(r.report.recorded?)));
    Standing {
        name: one.name,
        ratios: sample(&|run, none| run.took.wall.as_secs_f64() / none.took.wall.as_secs_f64()),
        cpu_ratios: sample(&|run, none| run.cpu() / none.cpu()),
        added: sample(&|run, none| (run.cpu() - none.cpu()) * per_100k),
        own: sample(&|run, _| run.own.as_secs_f64() * per_100k),
        seconds: sample(&|run, _| run.took.wall.as_secs_f64()),
        memory: runs.iter().fold(Footprint::default(), |most, run| most.max(run.memory)),
        executed: runs.len() as u64 * known,
        recorded: runs.iter().map(|run| run.report.recorded).sum(),
        missed: missed.sum(),
        lost: runs.iter().map(|run| run.report.lost).sum(),
        coverage: together(runs),
        not_measured: None,
    }
}

/// Sums of what the coverage records say; the worst state.
fn together(runs: &[Run]) -> Option<Coverage> {
    let all: Vec<&Coverage> = runs.iter().filter_map(|r| r.report.coverage.as_ref()).collect();
    let worst = all.iter().find(|c| c.state != "full").or(all.first())?;
    Some(Coverage {
        state: worst.state.clone(),
        seen: all.iter().map(|c| c.seen).sum(),
        crossed: all.iter().map(|c| c.crossed).sum(),
        lost: all.iter().map(|c| c.lost).sum(),
        unread: all.iter().map(|c| c.unread).sum(),
    })
}
