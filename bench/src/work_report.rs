//! The tables of the work loads and of growth.

use crate::Figures;
use crate::contest::{Contest, Standing};
use crate::growth::{Growth, Kind, Point};
use crate::jobs::{COMPILE, CONFIGURE, FLOOD, STORM};
use crate::report::{table, warm_up};
use crate::stats::{Sample, interval};

/// A table for each work load, and why some were not measured.
pub(crate) fn all(figures: &Figures) -> String {
    let mut parts: Vec<String> =
        figures.contests.iter().map(|contest| one(figures, contest)).collect();
    if let Some(why) = &figures.no_jobs {
        parts.push(format!("## A compile job, a configure script\n\nNot measured: {why}."));
    }
    parts.join("\n\n")
}

fn one(figures: &Figures, contest: &Contest) -> String {
    let rows = contest.standings.iter().map(standing);
    let header = [
        "tool",
        "time against none: median",
        "95 % interval",
        "CPU time, the tool's included, against none: median",
        "95 % interval",
        "CPU seconds it adds for 100,000 executions, wherever",
        "of which its processes",
        "memory: PSS, peak RSS, MiB",
        "executions in its records",
        "missed",
        "lost, as it says",
    ];
    format!("{}\n\n{}", head(figures, contest), table(&header, rows))
}

fn head(figures: &Figures, contest: &Contest) -> String {
    let none = contest.standing("none");
    let rounds = none.map_or(0, |none| none.ratios.len());
    let seconds = none.map_or(f64::NAN, |none| none.seconds.median());
    let execs = contest.work.execs;
    #[expect(clippy::cast_precision_loss, reason = "some 100,000")]
    let rate = execs as f64 / seconds;
    let often = format!(
        "{rounds} rounds, the peers in every second one; each round has the work once under each \
         tool, and the order rotates. Without a tool it takes {seconds:.2} s, {rate:.0} executions a \
         second."
    );
    let storm = |how: &str| {
        format!(
            "{execs} times vfork, execve and wait of a tiny static program{how}. {often}{}",
            warm_up(figures.warm_up)
        )
    };
    let version = &figures.sources;
    let known = "How many executions it has was counted by the kernel's own trace of its processes; \
                 the tools record those of others, too, and bpftrace attempts that fail, so that a \
                 few missed ones would not show.";
    match contest.work.name {
        STORM => format!("## A storm of executions\n\n{}", storm(", on one processor")),
        FLOOD => format!(
            "## Storms on all processors at once\n\nAs fast as this machine can execute: {}",
            storm(", shared by a thread on each processor")
        ),
        COMPILE => format!(
            "## A compile job\n\nThe library of {version} made by `make` with gcc, one job for each \
             processor: {execs} executions. One object file was made before, so that the programs \
             were known. {known} {often}"
        ),
        CONFIGURE => format!(
            "## A configure script\n\nThat of {version}, {}. {known} {often}",
            if contest.work.warm_up.is_empty() {
                format!("once: {execs} executions")
            } else {
                format!("twice: {execs} executions. It ran once before")
            }
        ),
        other => format!("## {other}\n\n{often}"),
    }
}

fn standing(one: &Standing) -> Vec<String> {
    if let Some(why) = &one.not_measured {
        let mut row = vec![one.name.to_owned(), format!("not measured: {why}")];
        row.resize(11, "–".to_owned());
        return row;
    }
    #[expect(clippy::cast_precision_loss, reason = "KiB for people")]
    let mib = |kib: u64| format!("{:.1}", kib as f64 / 1024.0);
    let tool = one.recorded.is_some();
    let if_tool = |text: String| if tool { text } else { "–".to_owned() };
    vec![
        one.name.to_owned(),
        format!("{:.3}", one.ratios.median()),
        interval(one.ratios.median_interval()),
        format!("{:.3}", one.cpu_ratios.median()),
        interval(one.cpu_ratios.median_interval()),
        if_tool(format!("{:.2}", one.added.median())),
        if_tool(format!("{:.2}", one.own.median())),
        if_tool(format!("{}, {}", mib(one.memory.proportional), mib(one.memory.peak))),
        if_tool(format!("{} of {}", one.recorded.unwrap_or(0), one.executed)),
        if_tool(one.missed.to_string()),
        if_tool(one.lost.to_string()),
    ]
}

/// What an execution costs with more recipes and entries.
pub(crate) fn growth(figures: &Figures) -> String {
    let parts = figures.growth.iter().map(one_growth);
    format!(
        "## With more recipes, with a larger catalogue\n\nPaired rounds with so many further recipes \
         (of another server) or catalogue entries (each with a name and two texts of its own) beside \
         those that picket carries. In the kernel: all eBPF programs for one process that is of no \
         interest. In user space: picket's own CPU time for one server, detected and written.\n\n{}",
        parts.collect::<Vec<_>>().join("\n\n")
    )
}

fn one_growth(growth: &Growth) -> String {
    let median = |values: &[f64]| Sample::new(values.to_vec()).median();
    let rows = growth.points.iter().map(|point| {
        let mut row = vec![
            point.size.to_string(),
            format!("{:.0}", median(&point.kernel)),
            format!("{:.1}", median(&point.user)),
        ];
        row.extend(point.scan.map(|rate| format!("{:.2}", rate / 1e9)));
        row
    });
    let mut header =
        vec!["further", "kernel: ns for a benign process", "user space: µs for a detection"];
    if growth.kind == Kind::Entries {
        header.push("looking a file through, GB/s");
    }
    let line = |what: &str, of: fn(&Point) -> &Vec<f64>, unit: &str, digits: usize| {
        let ratio = growth.ratio(of);
        format!(
            "{what}: {:+.digits$} {unit} for each; 1000 against 1: {:.3} ({})",
            growth.slope(of),
            ratio.median(),
            interval(ratio.median_interval())
        )
    };
    format!(
        "Further {}:\n\n{}\n\nSlope, {}; {}.",
        growth.kind.name(),
        table(&header, rows),
        line("kernel", |point| &point.kernel, "ns", 3),
        line("user space", |point| &point.user, "µs", 4)
    )
}
