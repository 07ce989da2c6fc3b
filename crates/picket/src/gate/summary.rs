//! The summary of a step, in Markdown.

use std::fmt::Write as _;
use std::io::{self, Write};

use detect::engine::socket;

use super::report::{Found, Report};
use crate::escape::{markdown as code, markdown_prose as prose};
use crate::sink::text::headline;

/// GitHub takes one mebibyte of a step. The table ends here; what follows it is bounded.
const LONGEST_TABLE: usize = 500_000;
/// Detections that are told with what to do.
const ADVISED: usize = 3;
/// What is to be done, of each.
const MOST_ACTIONS: usize = 8;

/// Appends it.
pub(crate) fn append(report: &Report, out: &mut impl Write) -> io::Result<()> {
    out.write_all(markdown(report).as_bytes())
}

fn markdown(report: &Report) -> String {
    let mut out = format!("### picket: {}\n\n", prose(&report.headline()));
    if let Some(first) = report.found.first() {
        let _ = writeln!(out, "{}\n", prose(&headline(&first.detection)));
    }
    for (label, fact) in report.facts() {
        let _ = writeln!(out, "- {label}: {}", prose(&fact));
    }
    let _ = writeln!(out, "- exit code: {}\n", report.verdict.code());
    table(&mut out, report);
    for found in report.found.iter().take(ADVISED) {
        let d = &found.detection;
        let _ = writeln!(out, "#### {}\n", prose(&headline(d)));
        let _ = writeln!(out, "{}\n", prose(&d.guidance.implication));
        for line in &found.lines {
            let _ = writeln!(out, "- {}: {}", code(&line.place()), prose(&line.rest()));
        }
        if !found.lines.is_empty() {
            out.push('\n');
        }
        for action in d.guidance.actions.iter().take(MOST_ACTIONS) {
            let _ = writeln!(out, "1. {}", prose(action));
        }
        out.push('\n');
    }
    out
}

fn table(out: &mut String, report: &Report) {
    if report.found.is_empty() {
        return;
    }
    out.push_str("| severity | what | command | started by | listens on | process |\n");
    out.push_str("|---|---|---|---|---|---|\n");
    let mut rest = report.found.iter();
    for found in rest.by_ref() {
        row(out, found);
        if out.len() > LONGEST_TABLE {
            break;
        }
    }
    let left = rest.count();
    if left > 0 {
        let _ = writeln!(out, "\n{left} more do not fit in here.");
    }
    out.push('\n');
}

fn row(out: &mut String, found: &Found) {
    let d = &found.detection;
    let listens: Vec<String> = d.listen.iter().map(|l| socket(&l.address, l.port)).collect();
    let runs = match found.runs {
        Some(true) => "runs on",
        Some(false) => "ended",
        None => "",
    };
    let _ = writeln!(
        out,
        "| {} | {} | {} | {} | {} | {} {runs} |",
        d.severity,
        code(&found.name()),
        code(&d.process.args.join(" ")),
        code(&d.launcher.detail),
        code(&listens.join(", ")),
        d.process.pid,
    );
}
