//! The goals, and whether they were met.

use crate::Figures;
use crate::contest::{Contest, Standing};
use crate::cost_goals::{self, with_interval};
use crate::coverage::Coverage;
use crate::jobs::{COMPILE, FLOOD, STORM};
use crate::kernel::Cost;
use crate::latency::Latency;
use crate::loss::{Burst, Rush};
use crate::stats::Sample;

const P99_MS: f64 = 1.0;
const RATIO: f64 = 1.02;
const SHARE_OF_EXECSNOOP: f64 = 0.1;
const RESIDENT_MIB: f64 = 20.0;
const READY_MS: f64 = 500.0;
const STOP_MS: f64 = 200.0;
const GATE_START_MS: f64 = 1000.0;
const GATE_STOP_MS: f64 = 2000.0;
const GO_MS: f64 = 50.0;
const CROSSING: f64 = 1.0;
const BENIGN_US: f64 = 0.5;

/// A figure beside its goal.
pub(crate) struct Goal {
    pub(crate) what: &'static str,
    pub(crate) measured: String,
    pub(crate) goal: String,
    pub(crate) verdict: Verdict,
    /// Missed means that picket is broken, not that it is slow.
    pub(crate) hard: bool,
}

/// How a figure stands to its goal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    Met,
    Missed,
    /// The measurement is too coarse to tell.
    Undecided,
    NotMeasured,
}

impl Verdict {
    fn of(met: bool) -> Self {
        if met { Self::Met } else { Self::Missed }
    }

    /// Whether a value that lies between the two is at most this.
    pub(crate) fn of_interval(low: f64, high: f64, most: f64) -> Self {
        if high <= most {
            Self::Met
        } else if low > most {
            Self::Missed
        } else {
            Self::Undecided
        }
    }
}

/// All goals.
pub(crate) fn all(figures: &Figures) -> Vec<Goal> {
    let mut goals = speed(figures);
    goals.extend(cost_goals::all(figures));
    goals.extend(size(figures));
    goals.extend(truth(figures));
    goals
}

pub(crate) fn soft(what: &'static str, measured: String, goal: String, verdict: Verdict) -> Goal {
    Goal { what, measured, goal, verdict, hard: false }
}

fn hard(what: &'static str, measured: String, goal: &str, met: bool) -> Goal {
    Goal { what, measured, goal: goal.to_owned(), verdict: Verdict::of(met), hard: true }
}

fn under(what: &'static str, value: f64, limit: f64, unit: &str, digits: usize) -> Goal {
    let measured = format!("{value:.digits$} {unit}");
    soft(what, measured, format!("under {limit} {unit}"), Verdict::of(value < limit))
}

fn speed(figures: &Figures) -> Vec<Goal> {
    let Latency { own, whole, .. } = &figures.latency;
    let what = "vfork to JSON line read by another process, p99";
    let mut goals = vec![
        under("execution to JSON line, p99, as picket says", own.quantile(0.99), P99_MS, "ms", 2),
        under(what, whole.quantile(0.99), P99_MS, "ms", 2),
    ];
    let storm = figures.contest(STORM);
    if let Some(picket) = storm.and_then(|storm| storm.standing("picket")) {
        goals.extend(cost(picket));
        goals.extend(shares(picket, storm.and_then(|storm| storm.standing("execsnoop"))));
    }
    goals.extend(inside(figures));
    goals.extend(reading(figures));
    goals
}

/// Files are read fast, and seldom.
#[expect(clippy::cast_precision_loss, reason = "counts of executions")]
fn reading(figures: &Figures) -> Vec<Goal> {
    let reading = &figures.reading;
    let compile = &reading.compile;
    let share = 100.0 * compile.crossed as f64 / compile.executions.max(1) as f64;
    let hook = figures.costs.iter().find(|cost| cost.name == "picket");
    let exec = hook.and_then(|cost| cost.hooks.iter().find(|(name, _)| name.contains("exec")));
    let mut goals = vec![
        under("a Go program of 50 MiB, classified", reading.go.median(), GO_MS, "ms", 1),
        under("executions of a compile job that reach user space", share, CROSSING, "%", 2),
    ];
    if let Some((_, ns)) = exec {
        let what = "eBPF time of a benign execution, its hook alone";
        goals.push(under(what, ns / 1000.0, BENIGN_US, "µs", 2));
    }
    goals
}

/// What a storm costs under picket.
fn cost(picket: &Standing) -> [Goal; 2] {
    let row = |what, ratios: &Sample| {
        let (low, high) = ratios.median_interval();
        let verdict = Verdict::of_interval(low, high, RATIO);
        soft(what, with_interval(ratios), format!("at most {RATIO}"), verdict)
    };
    [
        row("storm of executions, time against no tool", &picket.ratios),
        row("storm of executions, CPU time against no tool", &picket.cpu_ratios),
    ]
}

/// What picket adds, as a part of what execsnoop adds.
fn shares(picket: &Standing, execsnoop: Option<&Standing>) -> [Goal; 2] {
    let time = "time it adds, as a part of what execsnoop adds";
    let cpu = "CPU time it adds, as a part of what execsnoop adds";
    let goal = || format!("at most {SHARE_OF_EXECSNOOP}");
    let Some(peer) = execsnoop else {
        return [time, cpu].map(|what| soft(what, "–".into(), goal(), Verdict::NotMeasured));
    };
    let row = |what, ours: &Sample, theirs: &Sample| {
        let share = (ours.median() - 1.0) / (theirs.median() - 1.0);
        let verdict = share_verdict(ours.median_interval(), theirs.median_interval());
        soft(what, format!("{share:.2}"), goal(), verdict)
    };
    [row(time, &picket.ratios, &peer.ratios), row(cpu, &picket.cpu_ratios, &peer.cpu_ratios)]
}

fn share_verdict((our_low, our_high): (f64, f64), (their_low, their_high): (f64, f64)) -> Verdict {
    // Where execsnoop may add nothing, there is nothing to compare with.
    if their_low <= 1.0 {
        return Verdict::Undecided;
    }
    let share = |ours: f64, theirs: f64| (ours - 1.0) / (theirs - 1.0);
    Verdict::of_interval(share(our_low, their_high), share(our_high, their_low), SHARE_OF_EXECSNOOP)
}

/// The same from the kernel's own statistics, which scatter far less than storms do.
#[expect(clippy::cast_precision_loss, reason = "counts of executions")]
fn inside(figures: &Figures) -> Vec<Goal> {
    let total = |name| figures.costs.iter().find(|cost| cost.name == name).map(Cost::total);
    let storm = figures.contest(STORM);
    let none = storm.and_then(|storm| Some((storm, storm.standing("none")?)));
    let (Some(ours), Some((storm, none))) = (total("picket"), none) else {
        return Vec::new();
    };
    let part = ours / 1e9 / (none.seconds.median() / storm.work.execs as f64);
    let mut goals = vec![soft(
        "eBPF time for an execution, as a part of the execution",
        format!("{part:.3}"),
        format!("at most {:.2}", RATIO - 1.0),
        Verdict::of(part <= RATIO - 1.0),
    )];
    if let Some(theirs) = total("execsnoop") {
        let share = ours / theirs;
        goals.push(soft(
            "eBPF time for an execution, as a part of execsnoop's",
            format!("{share:.2}"),
            format!("at most {SHARE_OF_EXECSNOOP}"),
            Verdict::of(share <= SHARE_OF_EXECSNOOP),
        ));
    }
    goals
}

fn size(figures: &Figures) -> Vec<Goal> {
    let life = &figures.lifecycle;
    let memories = [life.after_ready, life.after_storm, figures.latency.memory];
    let peak = memories.iter().map(|memory| memory.peak).max().unwrap_or(0);
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
    let peak = peak as f64 / 1024.0;
    vec![
        under("resident memory, largest peak", peak, RESIDENT_MIB, "MiB", 1),
        under("start to ready, slowest", life.ready.max(), READY_MS, "ms", 0),
        under("SIGINT to exit, slowest", life.stop.max(), STOP_MS, "ms", 0),
        under("picket ci start, slowest", figures.gate.start.max(), GATE_START_MS, "ms", 0),
        under("picket ci stop, slowest", figures.gate.stop.max(), GATE_STOP_MS, "ms", 0),
    ]
}

fn truth(figures: &Figures) -> Vec<Goal> {
    let latency = &figures.latency;
    let mut goals = vec![hard(
        "servers executed one by one, detected",
        format!("{} of {}, {} events lost", latency.detected, latency.executed, latency.lost),
        "all, 0 lost",
        latency.detected == latency.executed && latency.lost == 0,
    )];
    goals.push(soft_or_silent(&figures.rush));
    for contest in &figures.contests {
        goals.extend(contest.standing("picket").into_iter().flat_map(|one| losses(contest, one)));
    }
    let Burst { executed, coverage } = &figures.burst;
    goals.push(hard(
        "a burst that cannot fit is reported as lost",
        format!(
            "{} lost, {} of {executed} seen, coverage {}",
            coverage.lost, coverage.seen, coverage.state
        ),
        "more than 0 lost, all seen, degraded",
        coverage.lost > 0 && coverage.seen >= *executed && coverage.state == "degraded",
    ));
    goals
}

/// What picket lost of a work load.
fn losses(contest: &Contest, picket: &Standing) -> Vec<Goal> {
    let coverage = picket.coverage.clone().unwrap_or_default();
    let Coverage { lost, unread, seen, .. } = coverage;
    let goal = "0, all seen";
    let all_seen = seen >= picket.executed;
    let row = |what, lost: u64, fine: bool| {
        let measured = format!("{lost} ({seen} of {} executions seen)", picket.executed);
        hard(what, measured, goal, fine && lost == 0 && all_seen)
    };
    // The storms execute nothing new, so that there is nothing to be read.
    let full = coverage.state == "full";
    let (what, what_unread) = match contest.work.name {
        STORM => return vec![row("events lost in the storms", lost, full)],
        FLOOD => {
            return vec![row("events lost in storms on all processors at once", lost, full)];
        }
        COMPILE => (
            "events lost in the compile jobs",
            "programs gone before they were read, meanwhile, whoever ran them",
        ),
        _ => (
            "events lost in the configure scripts",
            "the same in the configure scripts, which remove what they try",
        ),
    };
    let verdict = Verdict::of(unread == 0);
    let unread_row = soft(what_unread, unread.to_string(), "0".to_owned(), verdict);
    vec![row(what, lost.saturating_sub(unread), true), unread_row]
}

/// Detections at the highest rate: a loss is not good, and one that is not told is a fault.
#[expect(clippy::cast_precision_loss, reason = "counts of executions")]
fn soft_or_silent(rush: &Rush) -> Goal {
    let Rush { executed, detected, took, coverage } = rush;
    let measured = format!(
        "{detected} of {executed} at {:.0} a second, {} events lost",
        *executed as f64 / took.as_secs_f64(),
        coverage.lost
    );
    let what = "servers executed on all processors at once, detected";
    let met = detected == executed && coverage.lost == 0;
    let told = detected + coverage.lost >= *executed && (met || coverage.state != "full");
    let verdict = Verdict::of(met);
    Goal { what, measured, goal: "all, 0 lost".to_owned(), verdict, hard: !told }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interval_around_the_goal_decides_nothing() {
        assert_eq!(Verdict::of_interval(1.0, 1.01, 1.02), Verdict::Met);
        assert_eq!(Verdict::of_interval(1.0, 1.03, 1.02), Verdict::Undecided);
        assert_eq!(Verdict::of_interval(1.025, 1.03, 1.02), Verdict::Missed);
    }

    #[test]
    fn a_share_of_nothing_decides_nothing() {
        assert_eq!(share_verdict((1.0, 1.01), (0.99, 1.2)), Verdict::Undecided);
        assert_eq!(share_verdict((0.99, 1.01), (1.15, 1.2)), Verdict::Met);
        assert_eq!(share_verdict((1.01, 1.02), (1.15, 1.2)), Verdict::Undecided);
        assert_eq!(share_verdict((1.05, 1.06), (1.15, 1.2)), Verdict::Missed);
    }
}
