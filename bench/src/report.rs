//! The figures as Markdown.

use std::fmt::Write;

use crate::Figures;
use crate::content;
use crate::goals::{self, Goal, Verdict};
use crate::latency::Latency;
use crate::procfs::Memory;
use crate::stats::Sample;
use crate::work_report;

/// The whole section.
pub(crate) fn render(figures: &Figures) -> String {
    let parts = [
        head(figures),
        goals(figures),
        work_report::all(figures),
        kernel(figures),
        work_report::growth(figures),
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

/// What came before each storm.
pub(crate) fn warm_up(execs: u32) -> String {
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
        [
            cost.name.to_owned(),
            format!("{:.0}", cost.total()),
            format!("{:.2}", cost.total() / 1e4),
            hooks.join(", "),
        ]
    });
    let header = [
        "tool",
        "ns for a process: fork, exec, exit",
        "CPU seconds for 100,000",
        "of which each hook, in ns",
    ];
    format!(
        "## Inside the kernel\n\nThe kernel's own statistics of eBPF programs (they cost some \
         20 ns a run themselves), in a storm of its own.{}\n\n{}",
        warm_up(figures.warm_up),
        table(&header, rows)
    )
}

fn latency(figures: &Figures) -> String {
    let rows = |when: &str, latency: &Latency| {
        let row = |what: &str, sample: &Sample| {
            let cell = |part| format!("{:.3}", sample.quantile(part));
            [
                format!("{when}: {what}"),
                cell(0.5),
                cell(0.99),
                format!("{:.3}", sample.max()),
                format!("{} of {}", latency.detected, latency.executed),
            ]
        };
        [
            row("from the kernel's event to writing the line, as picket says", &latency.own),
            row("from just before vfork until another process has the line", &latency.whole),
        ]
    };
    let mut all = Vec::from(rows("idle", &figures.latency));
    all.extend(rows("under storms", &figures.busy));
    format!(
        "## From execution to detection\n\n{} executions of a program called `nginx`, 2 ms apart; \
         milliseconds. Under storms, every processor executes another program as fast as it can at \
         the same time, so that picket, and the process that reads its lines, have to wait for their \
         turn.\n\n{}",
        figures.latency.executed,
        table(&["", "median", "p99", "largest", "detected"], all)
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
    let gate = &figures.gate;
    let stop = format!("picket ci stop, after {} executions", gate.job);
    let times = [
        ("start to ready", &life.ready),
        ("SIGINT to exit", &life.stop),
        ("picket ci start", &gate.start),
        (&stop, &gate.stop),
        ("picket ci -- true", &gate.around),
    ]
    .map(|(what, sample)| {
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

pub(crate) fn table<R>(header: &[&str], rows: impl IntoIterator<Item = R>) -> String
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
