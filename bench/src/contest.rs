//! The same storm under each tool in turn: what does each add?

use std::time::Duration;

use anyhow::{Result, ensure};

use crate::coverage::Coverage;
use crate::scratch::Scratch;
use crate::stats::Sample;
use crate::storm::{self, Length, Took};
use crate::tool::Tool;
use crate::{interrupt, procfs, progress};

/// Before a storm, so that a tool's start is over, and after it, so that its work is done.
const SETTLE: Duration = Duration::from_millis(150);

/// A tool in the contest, or why it is not in it.
pub(crate) struct Contestant {
    pub(crate) name: &'static str,
    pub(crate) tool: Result<Box<dyn Tool>>,
    runs: Vec<Run>,
}

/// One storm under one tool.
#[derive(Debug, Clone, Default)]
struct Run {
    took: Took,
    /// CPU time of the tool's own processes.
    own: Duration,
    /// Executions while it ran, those before the storm included.
    executed: u64,
    coverage: Option<Coverage>,
}

/// What came out for one tool.
#[derive(Debug, Clone, Default)]
pub(crate) struct Standing {
    pub(crate) name: &'static str,
    /// Time on the clock against that of the same round without a tool.
    pub(crate) ratios: Sample,
    /// CPU time of all storms and of the tool, against that of all storms without a tool.
    pub(crate) cpu_ratio: f64,
    /// How far off that may be, with 95 % confidence, because CPU time is told in ticks.
    pub(crate) cpu_error: f64,
    /// Microseconds for an execution.
    pub(crate) micros: Sample,
    /// CPU seconds of the tool's own processes for 100,000 executions.
    pub(crate) own_cpu: f64,
    /// Executions that were timed.
    pub(crate) execs: u64,
    /// Executions while it ran.
    pub(crate) executed: u64,
    /// Of all storms together.
    pub(crate) coverage: Option<Coverage>,
    /// Why it was not measured.
    pub(crate) not_measured: Option<String>,
}

impl Standing {
    /// Where the ratio of CPU times lies with 95 % confidence.
    pub(crate) fn cpu_interval(&self) -> (f64, f64) {
        (self.cpu_ratio - self.cpu_error, self.cpu_ratio + self.cpu_error)
    }
}

impl Contestant {
    pub(crate) fn new(name: &'static str, tool: Result<Box<dyn Tool>>) -> Self {
        Self { name, tool, runs: Vec::new() }
    }
}

/// Runs `rounds` rounds of one storm under each tool. The first contestant
/// is the one without a tool, and each round begins with another one.
pub(crate) fn run(
    contestants: &mut [Contestant],
    scratch: &Scratch,
    rounds: u32,
    length: Length,
) -> Result<Vec<Standing>> {
    for round in 0..rounds {
        progress(&format!("storms: round {} of {rounds}", round + 1));
        let first = round as usize % contestants.len();
        for turn in 0..contestants.len() {
            let at = (first + turn) % contestants.len();
            // The two that matter must work; a peer that fails leaves the contest.
            let must = at < 2;
            one_run(&mut contestants[at], scratch, length).or_else(|error| {
                interrupt::check()?;
                ensure!(!must, error);
                contestants[at].tool = Err(error);
                Ok(())
            })?;
        }
    }
    let (none, _) = contestants.split_at(1);
    Ok(contestants.iter().map(|one| standing(one, &none[0].runs, length.execs)).collect())
}

fn one_run(contestant: &mut Contestant, scratch: &Scratch, length: Length) -> Result<()> {
    interrupt::check()?;
    let Ok(tool) = &contestant.tool else { return Ok(()) };
    let running = tool.start()?;
    storm::run(&scratch.benign, length.warm_up)?;
    std::thread::sleep(SETTLE);
    let before = running.cpu()?;
    let took = storm::run(&scratch.benign, length.execs)?;
    std::thread::sleep(SETTLE);
    let own = running.cpu()?.saturating_sub(before);
    let coverage = running.stop()?;
    let executed = u64::from(length.warm_up) + u64::from(length.execs);
    contestant.runs.push(Run { took, own, executed, coverage });
    Ok(())
}

#[expect(clippy::cast_precision_loss, reason = "some 100,000")]
fn standing(one: &Contestant, none: &[Run], execs: u32) -> Standing {
    let not_measured = one.tool.as_ref().err().map(|error| format!("{error:#}"));
    if not_measured.is_some() {
        return Standing { name: one.name, not_measured, ..Standing::default() };
    }
    let seconds = |run: &Run| run.took.wall.as_secs_f64();
    let cpu = |runs: &[Run]| runs.iter().map(|run| run.took.cpu).sum::<Duration>().as_secs_f64();
    let total = one.runs.len() as u64 * u64::from(execs);
    let own: Duration = one.runs.iter().map(|run| run.own).sum();
    let ratios = one.runs.iter().zip(none).map(|(run, none)| seconds(run) / seconds(none));
    // Two standard deviations, of two sums.
    let scatter = 2.0 * (2.0 * one.runs.len() as f64).sqrt() * procfs::OWN_CPU_SCATTER;
    let micros = one.runs.iter().map(|run| seconds(run) * 1e6 / f64::from(execs));
    let own_cpu = own.as_secs_f64() * 1e5 / total as f64;
    Standing {
        name: one.name,
        ratios: Sample::new(ratios.collect()),
        cpu_ratio: (cpu(&one.runs) + own.as_secs_f64()) / cpu(none),
        cpu_error: scatter / cpu(none),
        micros: Sample::new(micros.collect()),
        own_cpu,
        execs: total,
        executed: one.runs.iter().map(|run| run.executed).sum(),
        coverage: together(&one.runs),
        not_measured: None,
    }
}

/// Sums of what the coverage records say; the worst state.
fn together(runs: &[Run]) -> Option<Coverage> {
    let all: Vec<&Coverage> = runs.iter().filter_map(|run| run.coverage.as_ref()).collect();
    let worst = all.iter().find(|c| c.state != "full").or(all.first())?;
    Some(Coverage {
        state: worst.state.clone(),
        seen: all.iter().map(|c| c.seen).sum(),
        crossed: all.iter().map(|c| c.crossed).sum(),
        lost: all.iter().map(|c| c.lost).sum(),
    })
}
