//! Annotations of GitHub Actions: commands to its runner, which reads stderr as well.

use std::io::{self, Write};

use super::change::Line;
use super::report::{Found, Report};
use crate::escape;
use crate::sink::text::headline;

/// The runner shows no more of one step.
const MOST: usize = 10;

/// Writes them to stderr.
pub(crate) fn print(report: &Report) {
    let text = lines(report).concat();
    // Nowhere is left to say that stderr cannot be written to.
    let _ = io::stderr().write_all(text.as_bytes());
}

fn lines(report: &Report) -> Vec<String> {
    let mut lines = Vec::new();
    if !report.gaps.is_empty() {
        let level = if report.rules.without_evidence_fails { "error" } else { "warning" };
        lines.push(line(level, "picket: no evidence", &report.gaps.join("; ")));
    }
    lines.extend(report.found.iter().map(|found| of(found, report)));
    if lines.len() > MOST || report.count > report.found.len() as u64 {
        let before = lines.len();
        lines.truncate(MOST - 1);
        let unsaid = before - lines.len();
        let more = report.count - report.found.len() as u64 + unsaid as u64;
        let text = format!("{more} more detections: see the log and the summary");
        lines.push(line("error", "picket: and more", &text));
    }
    lines
}

fn of(found: &Found, report: &Report) -> String {
    let d = &found.detection;
    let level = if d.severity >= report.rules.fail_on { "error" } else { "warning" };
    let first = d.guidance.actions.first().map_or("", String::as_str);
    let title = format!("picket: {}", found.name());
    let text = format!("{}. {first}", headline(d));
    match found.lines.iter().find(|line| !line.hint) {
        Some(source) => placed(level, source, &title, &text),
        None => line(level, &title, &text),
    }
}

/// At a line of the repository, where reviewers of the change see it.
fn placed(level: &str, source: &Line, title: &str, text: &str) -> String {
    let numbers = [("line", source.line), ("col", source.column)];
    let numbers: String =
        numbers.iter().filter_map(|(name, n)| Some(format!("{name}={},", (*n)?))).collect();
    let (file, title) = (escape::property(&source.file), escape::property(title));
    format!("::{level} file={file},{numbers}title={title}::{}\n", escape::command(text))
}

fn line(level: &str, title: &str, text: &str) -> String {
    format!("::{level} title={}::{}\n", escape::property(title), escape::command(text))
}
