//! The goals, and whether they were met.

use crate::Figures;
use crate::contest::Standing;
use crate::loss::Burst;

const P99_MS: f64 = 1.0;
const RATIO: f64 = 1.02;
const SHARE_OF_EXECSNOOP: f64 = 0.1;
const RESIDENT_MIB: f64 = 20.0;
const READY_MS: f64 = 500.0;
const STOP_MS: f64 = 200.0;

/// A figure beside its goal.
pub(crate) struct Goal {
    pub(crate) what: &'static str,
    pub(crate) measured: String,
    pub(crate) goal: String,
    /// Absent when it was not measured.
    pub(crate) met: Option<bool>,
    /// Broken means that picket is broken, not that it is slow.
    pub(crate) hard: bool,
}

/// All goals.
pub(crate) fn all(figures: &Figures) -> Vec<Goal> {
    let mut goals = speed(figures);
    goals.extend(size(figures));
    goals.extend(truth(figures));
    goals
}

fn soft(what: &'static str, measured: String, goal: String, met: bool) -> Goal {
    Goal { what, measured, goal, met: Some(met), hard: false }
}

fn hard(what: &'static str, measured: String, goal: &str, met: bool) -> Goal {
    Goal { what, measured, goal: goal.to_owned(), met: Some(met), hard: true }
}

fn speed(figures: &Figures) -> Vec<Goal> {
    let latency = &figures.latency;
    let mut goals: Vec<Goal> = [
        ("execution to JSON line, p99, as picket says", &latency.own),
        ("vfork to JSON line read by another process, p99", &latency.whole),
    ]
    .into_iter()
    .map(|(what, sample)| {
        let p99 = sample.quantile(0.99);
        soft(what, format!("{p99:.2} ms"), format!("under {P99_MS} ms"), p99 < P99_MS)
    })
    .collect();
    if let Some(picket) = figures.standing("picket") {
        let median = picket.ratios.median();
        goals.push(soft(
            "storm of executions, against no tool",
            format!("{median:.3}"),
            format!("at most {RATIO}"),
            median <= RATIO,
        ));
        goals.push(share(picket, figures.standing("execsnoop")));
    }
    goals
}

/// What picket adds, as a part of what execsnoop adds.
fn share(picket: &Standing, execsnoop: Option<&Standing>) -> Goal {
    let added = |standing: &Standing| standing.ratios.median() - 1.0;
    let execsnoop = execsnoop.filter(|standing| standing.not_measured.is_none());
    let share = execsnoop.map(|standing| (added(picket) / added(standing), added(standing)));
    let (measured, met) = match share {
        None => ("not measured".to_owned(), None),
        Some((_, theirs)) if theirs <= 0.0 => ("execsnoop added nothing".to_owned(), None),
        Some((share, _)) => (format!("{share:.2}"), Some(share <= SHARE_OF_EXECSNOOP)),
    };
    let goal = format!("at most {SHARE_OF_EXECSNOOP}");
    Goal {
        what: "what it adds, as a part of what execsnoop adds",
        measured,
        goal,
        met,
        hard: false,
    }
}

fn size(figures: &Figures) -> Vec<Goal> {
    let life = &figures.lifecycle;
    let memories = [life.after_ready, life.after_storm, figures.latency.memory];
    let peak = memories.iter().map(|memory| memory.peak).max().unwrap_or(0);
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
    let peak = peak as f64 / 1024.0;
    let (ready, stop) = (life.ready.max(), life.stop.max());
    vec![
        soft(
            "resident memory, largest peak",
            format!("{peak:.1} MiB"),
            format!("under {RESIDENT_MIB} MiB"),
            peak < RESIDENT_MIB,
        ),
        soft(
            "start to ready, slowest",
            format!("{ready:.0} ms"),
            format!("under {READY_MS} ms"),
            ready < READY_MS,
        ),
        soft(
            "SIGINT to exit, slowest",
            format!("{stop:.0} ms"),
            format!("under {STOP_MS} ms"),
            stop < STOP_MS,
        ),
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
