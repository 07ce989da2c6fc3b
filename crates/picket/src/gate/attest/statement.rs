//! The statement: a `runtime-trace` of in-toto, with every field that it has.

use detect::recipe::Recipe;
use serde_json::{Value, json};

use super::super::context::{Context, to_the_second};
use super::super::report::Report;
use super::{Attestation, MONITOR, log};

pub(super) fn statement(
    attestation: &Attestation,
    subjects: Vec<Value>,
    report: &Report,
    context: &Context,
    rules: &[Recipe],
) -> Value {
    json!({
        "_type": "https://in-toto.io/Statement/v1",
        "subject": subjects,
        "predicateType": "https://in-toto.io/attestation/runtime-trace/v0.1",
        "predicate": predicate(attestation, report, context, rules),
    })
}

fn predicate(
    attestation: &Attestation,
    report: &Report,
    context: &Context,
    rules: &[Recipe],
) -> Value {
    let (from, to) = context.window(report);
    let time = |stamp| format!("{}Z", to_the_second(stamp));
    let job = &attestation.job;
    let (log, listed) = log::log(report, &attestation.command);
    json!({
        "monitor": {
            "type": format!("{MONITOR}@{}", env!("CARGO_PKG_VERSION")),
            // Without a file it is the one that is built in.
            "configSource": attestation.configuration,
            "tracePolicy": policy(report, rules),
            "program": attestation.program,
        },
        "monitoredProcess": {
            "hostID": job.host,
            "type": job.kind,
            "event": job.event,
            "machine": context.host,
            "command": attestation.command,
        },
        "monitorLog": log,
        "metadata": {"buildStartedOn": time(from), "buildFinishedOn": time(to)},
        // The name is ours, as the predicate asks of additions.
        "picketResult": result(report, context, listed),
    })
}

/// What was looked for, and what of it is told.
fn policy(report: &Report, rules: &[Recipe]) -> Value {
    let recipes: Vec<Value> = rules
        .iter()
        .map(|recipe| json!({"name": recipe.name(), "version": recipe.file.version}))
        .collect();
    json!({
        "recipes": recipes,
        "failOn": report.rules.fail_on,
        "showFrom": report.rules.shown(),
        "withoutEvidence": if report.rules.without_evidence_fails { "fail" } else { "pass" },
        "process": "the command; what was detected, with the processes that led to it; other \
                    executions are only counted, in picketResult.coverage.seen",
        "network": "where detected servers listen, and whom they and what they executed connected to",
        "fileAccess": "the programs and scripts that were detected; their digests were taken from the \
                       open file after the execution had begun",
    })
}

fn result(report: &Report, context: &Context, listed: usize) -> Value {
    let coverage = report.coverage().map(|c| {
        json!({
            "state": c.state,
            "reasons": c.reasons,
            "window": c.window,
            "lost": c.lost,
            "seen": c.seen,
        })
    });
    json!({
        "verdict": report.headline(),
        "exitCode": report.verdict.code(),
        "evidence": report.gaps.is_empty(),
        "gaps": report.gaps,
        "detections": report.count,
        "failing": report.failing,
        "listed": listed,
        "coverage": coverage,
        "ci": context.ci,
    })
}
