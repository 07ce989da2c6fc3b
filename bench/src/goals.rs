//! The goals, and whether they were met.

use crate::Figures;
use crate::contest::Standing;
use crate::kernel::Cost;
use crate::latency::Latency;
use crate::loss::Burst;

const P99_MS: f64 = 1.0;
const RATIO: f64 = 1.02;
const SHARE_OF_EXECSNOOP: f64 = 0.1;
const RESIDENT_MIB: f64 = 20.0;
const READY_MS: f64 = 500.0;
const STOP_MS: f64 = 200.0;
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
    fn of_interval(low: f64, high: f64, most: f64) -> Self {
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
    goals.extend(size(figures));
    goals.extend(truth(figures));
    goals
}

fn soft(what: &'static str, measured: String, goal: String, verdict: Verdict) -> Goal {
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
    if let Some(picket) = figures.standing("picket") {
        goals.extend(cost(picket));
        let execsnoop = figures.standing("execsnoop").filter(|peer| peer.not_measured.is_none());
        goals.extend(shares(picket, execsnoop));
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
    let goal = || format!("at most {RATIO}");
    let row = |what, value: f64, (low, high): (f64, f64)| {
        let measured = format!("{value:.3} ({low:.3} to {high:.3})");
        soft(what, measured, goal(), Verdict::of_interval(low, high, RATIO))
    };
    [
        row(
            "storm of executions, time against no tool",
            picket.ratios.median(),
            picket.ratios.median_interval(),
        ),
        row(
            "storm of executions, CPU time against no tool",
            picket.cpu_ratio,
            picket.cpu_interval(),
        ),
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
    let row = |what, ours, our_interval, theirs, their_interval| {
        let share = (ours - 1.0) / (theirs - 1.0);
        let verdict = share_verdict(our_interval, their_interval);
        soft(what, format!("{share:.2}"), goal(), verdict)
    };
    let (ours, theirs) = (&picket.ratios, &peer.ratios);
    let (our_median, their_median) = (ours.median(), theirs.median());
    [
        row(time, our_median, ours.median_interval(), their_median, theirs.median_interval()),
        row(cpu, picket.cpu_ratio, picket.cpu_interval(), peer.cpu_ratio, peer.cpu_interval()),
    ]
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
fn inside(figures: &Figures) -> Vec<Goal> {
    let total = |name| figures.costs.iter().find(|cost| cost.name == name).map(Cost::total);
    let (Some(ours), Some(none)) = (total("picket"), figures.standing("none")) else {
        return Vec::new();
    };
    let part = ours / 1e3 / none.micros.median();
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
    if let Some(picket) = figures.standing("picket") {
        let coverage = picket.coverage.clone().unwrap_or_default();
        goals.push(hard(
            "events lost in the storms",
            format!("{} ({} of {} executions seen)", coverage.lost, coverage.seen, picket.executed),
            "0, all seen",
            coverage.state == "full" && coverage.lost == 0 && coverage.seen >= picket.executed,
        ));
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
