//! The figures as Markdown.

use std::fmt::Write;

use crate::Figures;
use crate::content;
use crate::contest::Standing;
use crate::goals::{self, Goal, Verdict};
use crate::procfs::Memory;
use crate::stats::Sample;

/// The whole section.
pub(crate) fn render(figures: &Figures) -> String {
    let parts = [
        head(figures),
        goals(figures),
        storms(figures),
        kernel(figures),
        latency(figures),
        reading(figures),
        size(figures),
    ];
    parts.join("\n\n")
}

fn head(figures: &Figures) -> String {
    let machine = &figures.machine;
    let crowd = if machine.crowded { " Another picket was running, too." } else { "" };
    format!(
        "Measured on {} with picket {}: {}, {} ({} cores, {} GiB). Load average before {}, after \
         {}: whatever ran beside the bench is in the figures.{crowd}",
        machine.date,
        figures.version,
        machine.kernel,
        machine.processor,
        machine.cores,
        machine.memory_gib,
        machine.load,
        figures.load_after
    )
}

fn goals(figures: &Figures) -> String {
    let rows = goals::all(figures).into_iter().map(|goal| {
        let verdict = verdict(&goal);
        [goal.what.to_owned(), goal.measured, goal.goal, verdict.to_owned()]
    });
    format!("## Goals\n\n{}", table(&["figure", "measured", "goal", ""], rows))
}

fn verdict(goal: &Goal) -> &'static str {
    match (goal.verdict, goal.hard) {
        (Verdict::Met, _) => "met",
        (Verdict::Missed, true) => "**broken**",
        (Verdict::Missed, false) => "**not met**",
        (Verdict::Undecided, _) => "undecided: the interval spans the goal",
        (Verdict::NotMeasured, _) => "not measured",
    }
}

fn storms(figures: &Figures) -> String {
    let execs = figures.standings.first().map_or(0, |none| none.execs);
    let rounds = figures.standings.first().map_or(0, |none| none.ratios.len());
    let rows = figures.standings.iter().map(standing);
    let header = [
        "tool",
        "time against none: median (quartiles)",
        "95 % interval of the median",
        "CPU time, the tool's included, against none",
        "µs per execution",
        "CPU seconds of the tool's processes per 100,000",
    ];
    format!(
        "## A storm of executions\n\n{execs} times vfork, execve and wait of a tiny static program \
         under each tool, in {rounds} rounds; each round has one storm under each tool, and the \
         order rotates.{}\n\n{}",
        warm_up(figures.warm_up),
        table(&header, rows)
    )
}

fn standing(one: &Standing) -> [String; 6] {
    if let Some(why) = &one.not_measured {
        let rest = || String::from("–");
        return [one.name.into(), format!("not measured: {why}"), rest(), rest(), rest(), rest()];
    }
    let (low, high) = one.ratios.median_interval();
    let quartiles = (one.ratios.quantile(0.25), one.ratios.quantile(0.75));
    [
        one.name.to_owned(),
        format!("{:.3} ({:.3} to {:.3})", one.ratios.median(), quartiles.0, quartiles.1),
        format!("{low:.3} to {high:.3}"),
        format!("{:.3} ± {:.3}", one.cpu_ratio, one.cpu_error),
        format!("{:.1}", one.micros.median()),
        format!("{:.2}", one.own_cpu),
    ]
}

/// What came before each storm.
fn warm_up(execs: u32) -> String {
    if execs == 0 {
        return String::new();
    }
    format!(
        " Before each storm came {execs} executions that were not measured, so that caches and tables \
         were warm."
    )
}

fn kernel(figures: &Figures) -> String {
    let rows = figures.costs.iter().map(|cost| {
        let hooks: Vec<String> =
            cost.hooks.iter().map(|(hook, ns)| format!("{hook} {ns:.0}")).collect();
        [cost.name.to_owned(), format!("{:.0}", cost.total()), hooks.join(", ")]
    });
    let header = ["tool", "ns for a process: fork, exec, exit", "of which each hook"];
    format!(
        "## Inside the kernel\n\nThe kernel's own statistics of eBPF programs (they cost some \
         20 ns a run themselves), in a storm of its own.{}\n\n{}",
        warm_up(figures.warm_up),
        table(&header, rows)
    )
}

fn latency(figures: &Figures) -> String {
    let latency = &figures.latency;
    let row = |what: &str, sample: &Sample| {
        let cell = |value: f64| format!("{value:.3}");
        [
            what.to_owned(),
            cell(sample.quantile(0.5)),
            cell(sample.quantile(0.99)),
            cell(sample.max()),
        ]
    };
    let rows = [
        row("from the kernel's event to writing the line, as picket says", &latency.own),
        row("from just before vfork until another process has the line", &latency.whole),
    ];
    format!(
        "## From execution to detection\n\n{} executions of a program called `nginx`, 2 ms apart; \
         milliseconds.\n\n{}",
        latency.executed,
        table(&["", "median", "p99", "largest"], rows)
    )
}

#[expect(clippy::cast_precision_loss, reason = "counts for people")]
fn reading(figures: &Figures) -> String {
    let reading = &figures.reading;
    let giga = |sample: &Sample| format!("{:.2}", sample.median() / 1e9);
    let rows = [
        ["adding up memory, one thread, GB/s".to_owned(), giga(&reading.memory)],
        [
            format!(
                "content scan of {} ({:.0} MB), GB/s",
                reading.program.display(),
                reading.program_bytes as f64 / 1e6
            ),
            giga(&reading.scan),
        ],
        [
            "the scan's part of the memory's speed".to_owned(),
            format!("{:.2}", reading.scan.median() / reading.memory.median()),
        ],
        [
            format!("a Go program of {} MiB, ms: median", content::GO_MIB),
            format!("{:.1}", reading.go.median()),
        ],
        ["the same, slowest".to_owned(), format!("{:.1}", reading.go.max())],
        [
            "executions of a compile job (gcc, cc1, as) that reached user space".to_owned(),
            format!("{} of {}", reading.compile.crossed, reading.compile.executions),
        ],
    ];
    format!(
        "## Reading files\n\nThe content of {} servers is looked for at once; files are in the page \
         cache.\n\n{}",
        reading.servers,
        table(&["", "measured"], rows)
    )
}

fn size(figures: &Figures) -> String {
    let life = &figures.lifecycle;
    let memory = |when: String, memory: Memory| {
        let cells = [memory.resident, memory.peak, memory.anonymous, memory.file, memory.shared];
        let mut row = vec![when];
        row.extend(cells.map(|kib| format!("{kib}")));
        row
    };
    let rows = [
        memory("ready".to_owned(), life.after_ready),
        memory(format!("after {} executions", life.storm), life.after_storm),
        memory(format!("after {} detections", figures.latency.detected), figures.latency.memory),
    ];
    let header = ["KiB", "resident", "peak", "anonymous", "file", "shared"];
    let times =
        [("start to ready", &life.ready), ("SIGINT to exit", &life.stop)].map(|(what, sample)| {
            [what.to_owned(), format!("{:.0}", sample.median()), format!("{:.0}", sample.max())]
        });
    format!(
        "## Memory\n\n{}\n\nThe eBPF maps hold {} KiB more in the kernel.\n\n## Starting and \
         stopping\n\n{} times; milliseconds.\n\n{}",
        table(&header, rows),
        life.maps_bytes / 1024,
        life.ready.len(),
        table(&["", "median", "slowest"], times)
    )
}

fn table<R>(header: &[&str], rows: impl IntoIterator<Item = R>) -> String
where
    R: IntoIterator<Item = String>,
{
    let mut text = format!("| {} |\n|{}", header.join(" | "), "---|".repeat(header.len()));
    for row in rows {
        let cells: Vec<String> = row.into_iter().collect();
        // Writing to a string cannot fail.
        let _ = write!(text, "\n| {} |", cells.join(" | ").replace('\n', " "));
    }
    text
}
