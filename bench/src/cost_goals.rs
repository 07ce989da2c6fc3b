//! The goals of real work, of the comparison with auditd, and of growth.

use crate::Figures;
use crate::goals::{Goal, Verdict, soft};
use crate::growth::{Growth, Kind, Point};
use crate::jobs::{COMPILE, CONFIGURE, STORM};
use crate::stats::{Sample, interval};

/// Slower than this is more than noise.
const JOB_RATIO: f64 = 1.01;
/// How many times the CPU time that picket adds auditd must add at least.
const TIMES_LESS: f64 = 20.0;
/// What costs no more than so many times as much with a thousand as with one does not grow.
const FLAT: f64 = 1.1;

/// Those that could be measured, and those that could not.
pub(crate) fn all(figures: &Figures) -> Vec<Goal> {
    let mut goals = jobs(figures);
    goals.push(beside_auditd(figures));
    goals.extend(figures.growth.iter().flat_map(growth));
    goals
}

fn jobs(figures: &Figures) -> Vec<Goal> {
    let goal = || format!("at most {JOB_RATIO}");
    let names = [
        (COMPILE, "compile job, time against no tool", "compile job, CPU time against no tool"),
        (
            CONFIGURE,
            "configure script, time against no tool",
            "configure script, CPU time against no tool",
        ),
    ];
    let mut goals = Vec::new();
    for (name, time, cpu) in names {
        let standing = figures.contest(name).and_then(|contest| contest.standing("picket"));
        let Some(picket) = standing else {
            goals.extend(
                [time, cpu].map(|what| soft(what, "–".to_owned(), goal(), Verdict::NotMeasured)),
            );
            continue;
        };
        goals.extend([(time, &picket.ratios), (cpu, &picket.cpu_ratios)].map(|(what, ratios)| {
            soft(what, with_interval(ratios), goal(), at_most(ratios, JOB_RATIO))
        }));
    }
    goals
}

/// CPU time that auditd adds to a storm against that which picket adds.
fn beside_auditd(figures: &Figures) -> Goal {
    let what = "CPU time that auditd adds, times that which picket adds";
    let goal = format!("at least {TIMES_LESS}");
    let storm = figures.contest(STORM);
    let added = |name| storm.and_then(|storm| Some(&storm.standing(name)?.added));
    let (Some(ours), Some(theirs)) = (added("picket"), added("auditd, one rule")) else {
        return soft(what, "–".to_owned(), goal, Verdict::NotMeasured);
    };
    let times = theirs.median() / ours.median();
    let verdict = times_verdict(ours.median_interval(), theirs.median_interval());
    let measured =
        format!("{times:.0} ({:.2} s and {:.2} s for 100,000)", theirs.median(), ours.median());
    soft(what, measured, goal, verdict)
}

/// Whether theirs is at least `TIMES_LESS` times ours. As a part of theirs, so that nothing is
/// divided by what may be 0.
fn times_verdict((our_low, our_high): (f64, f64), (their_low, their_high): (f64, f64)) -> Verdict {
    if their_low <= 0.0 {
        return Verdict::Undecided;
    }
    // A negative cost is noise, and the least cost there is is none.
    let part = |ours: f64, theirs: f64| ours.max(0.0) / theirs;
    Verdict::of_interval(part(our_low, their_high), part(our_high, their_low), 1.0 / TIMES_LESS)
}

fn growth(growth: &Growth) -> [Goal; 2] {
    let (kernel, user) = match growth.kind {
        Kind::Recipes => (
            "benign execution in the kernel, with 1000 further recipes against 1",
            "detection in user space, with 1000 further recipes against 1",
        ),
        Kind::Entries => (
            "benign execution in the kernel, with 1000 further catalogue entries against 1",
            "detection in user space, with 1000 further catalogue entries against 1",
        ),
    };
    let row = |what, of: fn(&Point) -> &Vec<f64>| {
        let ratio = growth.ratio(of);
        let verdict = at_most(&ratio, FLAT);
        soft(what, with_interval(&ratio), format!("at most {FLAT}"), verdict)
    };
    [row(kernel, |point| &point.kernel), row(user, |point| &point.user)]
}

fn at_most(sample: &Sample, most: f64) -> Verdict {
    let (low, high) = sample.median_interval();
    Verdict::of_interval(low, high, most)
}

/// The median and where it lies with 95 % confidence.
pub(crate) fn with_interval(sample: &Sample) -> String {
    format!("{:.3} ({})", sample.median(), interval(sample.median_interval()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn twenty_times_less_is_told_by_the_intervals() {
        assert_eq!(times_verdict((0.1, 0.2), (8.0, 8.4)), Verdict::Met);
        assert_eq!(times_verdict((0.3, 0.5), (8.0, 8.4)), Verdict::Undecided);
        assert_eq!(times_verdict((0.5, 0.6), (8.0, 8.4)), Verdict::Missed);
        assert_eq!(times_verdict((-0.1, 0.1), (8.0, 8.4)), Verdict::Met);
        assert_eq!(times_verdict((0.1, 0.2), (-0.1, 8.4)), Verdict::Undecided);
    }
}
