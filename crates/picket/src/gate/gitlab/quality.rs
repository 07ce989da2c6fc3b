//! Code quality: a subset of Code Climate's format. All users of GitLab see it.

use event::Severity;
use serde_json::{Value, json};

use super::super::context::Context;
use super::super::identity::Group;
use super::super::report::Report;
use super::{PIPELINE, pieces, place};
use crate::escape;
use crate::sink::text::headline;

pub(in crate::gate) fn render(report: &Report, context: &Context) -> Vec<u8> {
    let (mut issues, unlisted) = pieces(report, context, issue);
    if !report.gaps.is_empty() {
        let what = format!("No evidence: {}", report.gaps.join("; "));
        issues.push(notice("no_evidence", "blocker", &what));
    }
    if let Some(more) = unlisted {
        issues.push(notice("more_detections", "critical", &more));
    }
    escape::json(&issues)
}

fn issue(group: &Group<'_>, context: &Context) -> Value {
    let d = &group.first.detection;
    let (path, line) = place(group.first, context);
    let text = format!("{}{}", headline(d), group.more());
    json!({
        "type": "issue",
        "check_name": d.recipe.name,
        "description": escape::markdown_prose(&text),
        "content": {"body": escape::markdown_prose(&d.guidance.implication)},
        "categories": ["Security"],
        "severity": severity(d.severity),
        "fingerprint": group.fingerprint,
        "location": {"path": path, "lines": {"begin": line, "end": line}},
    })
}

/// Something about the run itself, which there is no other place for.
fn notice(name: &str, severity: &str, text: &str) -> Value {
    json!({
        "type": "issue",
        "check_name": name,
        "description": escape::markdown_prose(text),
        "categories": ["Security"],
        "severity": severity,
        "fingerprint": format!("picket-{name}"),
        "location": {"path": PIPELINE, "lines": {"begin": 1, "end": 1}},
    })
}

fn severity(severity: Severity) -> &'static str {
    match severity {
        Severity::Critical => "blocker",
        Severity::High => "critical",
        Severity::Medium => "major",
        Severity::Low => "minor",
        Severity::Info => "info",
    }
}
