//! The report in SARIF, for code scanning.

use detect::engine::socket;
use detect::recipe::Recipe;
use event::{Ancestor, Process};
use serde_json::{Map, Value, json};

use super::context::Context;
use super::report::{Found, Report};
use crate::sarif::{Finding, Logical, Place, Run, Step};
use crate::sink::text::headline;

pub(super) fn render(report: &Report, context: &Context, rules: &[Recipe]) -> Vec<u8> {
    let coverage = report.coverage();
    let mut notes = report.gaps.clone();
    notes.extend(coverage.into_iter().flat_map(|c| c.reasons.iter().cloned()));
    let run = Run {
        category: "ci",
        rules,
        results: report.found.iter().map(|found| finding(found, context)).collect(),
        unlisted: report.count - report.found.len() as u64,
        root: Some(context.root.clone()),
        complete: report.gaps.is_empty(),
        notes,
        window: coverage.map(|c| (c.window.from, c.window.to)),
        properties: properties(report, context),
    };
    run.to_json()
}

fn properties(report: &Report, context: &Context) -> Map<String, Value> {
    let mut properties = Map::new();
    properties.insert("verdict".to_owned(), json!(report.headline()));
    properties.insert("exitCode".to_owned(), json!(report.verdict.code()));
    properties.insert("ci".to_owned(), json!(context.ci));
    properties
}

fn finding(found: &Found, context: &Context) -> Finding {
    let d = &found.detection;
    Finding {
        rule: d.recipe.name.clone(),
        severity: d.severity,
        message: format!(
            "{}. {} Command: {}",
            headline(d),
            d.guidance.implication,
            d.process.args.join(" ")
        ),
        places: found.places(),
        logical: Some(logical(&d.process.comm, d.process.pid)),
        flow: flow(found),
        identity: vec![found.fingerprint(context)],
        properties: facts(found),
    }
}

fn facts(found: &Found) -> Map<String, Value> {
    let d = &found.detection;
    let listen: Vec<String> = d.listen.iter().map(|l| socket(&l.address, l.port)).collect();
    let facts = json!({
        "detection": d.id,
        "time": d.time,
        "environment": d.environment,
        "server": d.server.as_ref().map(|server| &server.name),
        "pid": d.process.pid,
        "user": d.process.user,
        "exe": d.process.exe.path,
        "sha256": d.process.exe.sha256,
        "args": d.process.args,
        "launcher": d.launcher.detail,
        "listen": listen,
        "runs": found.runs,
        "reasons": d.reasons,
        "actions": d.guidance.actions,
    });
    match facts {
        Value::Object(facts) => facts,
        _ => Map::new(),
    }
}

/// The chain of processes, from the command to the server.
fn flow(found: &Found) -> Vec<Step> {
    let d = &found.detection;
    let mut flow: Vec<Step> = found.chain().iter().rev().map(parent).collect();
    flow.push(last(&d.process));
    flow
}

fn parent(parent: &Ancestor) -> Step {
    Step {
        text: format!("{} ({}): {}", parent.comm, parent.pid, parent.args.join(" ")),
        place: parent.exe.as_deref().and_then(program),
        logical: Some(logical(&parent.comm, parent.pid)),
    }
}

fn last(process: &Process) -> Step {
    Step {
        text: format!("{} ({}): {}", process.comm, process.pid, process.args.join(" ")),
        place: program(&process.exe.path),
        logical: Some(logical(&process.comm, process.pid)),
    }
}

fn program(path: &str) -> Option<Place> {
    let place = || Place { path: path.to_owned(), ..Place::default() };
    path.starts_with('/').then(place)
}

fn logical(comm: &str, pid: u32) -> Logical {
    Logical { name: comm.to_owned(), full: format!("{comm} ({pid})"), kind: "process" }
}
