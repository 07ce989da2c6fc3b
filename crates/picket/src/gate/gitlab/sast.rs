//! A security report of type SAST, version 15: GitLab has no type for what was seen at run time. It says
//! what a version 14 wants, too.

use event::Severity;
use serde_json::{Map, Value, json};

use super::super::context::{Context, to_the_second};
use super::super::identity::Group;
use super::super::report::Report;
use super::{pieces, place};
use crate::escape::{self, markdown_prose as prose, terminal};
use crate::sink::text::headline;

/// GitLab takes names and solutions of this length at most.
const LONGEST_NAME: usize = 255;
const LONGEST_SOLUTION: usize = 7000;

pub(in crate::gate) fn render(report: &Report, context: &Context) -> Vec<u8> {
    let (from, to) = context.window(report);
    let (found, unlisted) = pieces(report, context, vulnerability);
    let mut messages: Vec<Value> = report
        .gaps
        .iter()
        .map(|gap| json!({"level": "fatal", "value": terminal(&format!("No evidence: {gap}"))}))
        .collect();
    messages.extend(unlisted.map(|more| json!({"level": "warn", "value": more})));
    let scanner = scanner();
    escape::json(&json!({
        "version": "15.0.2",
        "scan": {
            "type": "sast",
            "status": if report.gaps.is_empty() { "success" } else { "failure" },
            "start_time": to_the_second(from),
            "end_time": to_the_second(to),
            "analyzer": scanner,
            "scanner": scanner,
            "messages": messages,
        },
        "vulnerabilities": found,
    }))
}

fn scanner() -> Value {
    json!({
        "id": "picket",
        "name": "picket",
        "version": env!("CARGO_PKG_VERSION"),
        "vendor": {"name": "picket"},
    })
}

fn vulnerability(group: &Group<'_>, context: &Context) -> Value {
    let d = &group.first.detection;
    let (file, line) = place(group.first, context);
    let mut identifiers = vec![json!({
        "type": "picket",
        "name": format!("picket {}", d.recipe.name),
        "value": d.recipe.name,
    })];
    identifiers.extend(d.attack.techniques.iter().map(|technique| {
        json!({
            "type": "attack",
            "name": format!("ATT&CK {} {}", technique.id, technique.name),
            "value": technique.id,
            "url": format!(
                "https://attack.mitre.org/techniques/{}/",
                technique.id.replace('.', "/")
            ),
        })
    }));
    // Each paragraph is escaped for itself, so that it stays one.
    let text = [format!("{}{}", headline(d), group.more()), d.guidance.implication.clone()];
    let text = text.map(|paragraph| prose(&paragraph));
    let actions: Vec<String> =
        d.guidance.actions.iter().map(|a| format!("1. {}", prose(a))).collect();
    json!({
        "id": d.id,
        "category": "sast",
        "cve": group.fingerprint,
        "scanner": {"id": "picket", "name": "picket"},
        "name": cut(&terminal(&d.recipe.description), LONGEST_NAME),
        "message": cut(&terminal(&d.recipe.description), LONGEST_NAME),
        "description": text.join("\n\n"),
        "solution": cut(&actions.join("\n"), LONGEST_SOLUTION),
        "severity": severity(d.severity),
        "confidence": "High",
        "identifiers": identifiers,
        "location": {"file": file, "start_line": line},
        "details": details(group),
    })
}

/// Facts, which GitLab shows as what they are.
fn details(group: &Group<'_>) -> Map<String, Value> {
    let d = &group.first.detection;
    let text =
        |name: &str, value: &str| json!({"name": name, "type": "text", "value": terminal(value)});
    let steps = group.first.chain().iter().rev().map(|a| (&a.comm, a.pid, &a.args));
    let steps = steps.chain([(&d.process.comm, d.process.pid, &d.process.args)]);
    let chain: Vec<Value> = steps
        .map(|(comm, pid, args)| {
            let step = format!("{comm} ({pid}): {}", args.join(" "));
            json!({"type": "text", "value": terminal(&step)})
        })
        .collect();
    let mut details = Map::new();
    let command = terminal(&d.process.args.join(" "));
    details
        .insert("command".to_owned(), json!({"name": "Command", "type": "code", "value": command}));
    details.insert("program".to_owned(), text("Program", &d.process.exe.path));
    details.insert("launcher".to_owned(), text("Started by", &d.launcher.detail));
    details
        .insert("chain".to_owned(), json!({"name": "Processes", "type": "list", "items": chain}));
    details
}

fn severity(severity: Severity) -> &'static str {
    match severity {
        Severity::Critical => "Critical",
        Severity::High => "High",
        Severity::Medium => "Medium",
        Severity::Low => "Low",
        Severity::Info => "Info",
    }
}

fn cut(text: &str, most: usize) -> &str {
    text.char_indices().nth(most).map_or(text, |(at, _)| &text[..at])
}
