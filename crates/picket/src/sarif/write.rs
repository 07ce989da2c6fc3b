//! The log, put together.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use detect::recipe::Recipe;
use event::Severity;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::attack::Taxonomy;
use super::{Finding, Logical, Place, Run, Step};
use crate::escape::{sarif as text, uri};

/// GitHub shows so many results of a run.
const MOST_RESULTS: usize = 5000;
/// GitHub takes ten megabytes, compressed. This is before that, so that it fits in any case.
const LARGEST: usize = 8_000_000;
/// Places and steps of one result. GitHub shows a hundred places.
const MOST_PLACES: usize = 100;
/// Notes on the run.
const MOST_NOTES: usize = 100;
/// The repository's directory, as places name it.
const ROOT: &str = "%SRCROOT%";

pub(super) fn log(run: &Run<'_>) -> Value {
    let taxonomy = Taxonomy::of(run.rules);
    let root = run.root.as_deref();
    let rules: Vec<Value> = run.rules.iter().map(|recipe| rule(recipe, &taxonomy)).collect();
    let indices = run.rules.iter().enumerate().map(|(at, recipe)| (recipe.name(), at));
    let indices: HashMap<&str, usize> = indices.collect();
    let mut results = Vec::new();
    let mut size = 0;
    for finding in run.results.iter().take(MOST_RESULTS) {
        let at = indices.get(finding.rule.as_str()).copied();
        let taxa = at.map(|at| taxonomy.references(&run.rules[at]));
        let result = result(finding, at, taxa.unwrap_or_default(), root);
        size += result.to_string().len();
        if size > LARGEST {
            break;
        }
        results.push(result);
    }
    let left_out = run.unlisted + (run.results.len() - results.len()) as u64;
    let mut value = json!({
        "tool": {"driver": {
            "name": "picket",
            "version": env!("CARGO_PKG_VERSION"),
            "semanticVersion": env!("CARGO_PKG_VERSION"),
            "shortDescription": {"text": "Detects web servers that are executed"},
            "rules": rules,
            "supportedTaxonomies": Taxonomy::supported(),
        }},
        "taxonomies": [taxonomy.component()],
        "automationDetails": {"id": format!("picket/{}/", run.category)},
        "columnKind": "unicodeCodePoints",
        "invocations": [invocation(run, left_out)],
        "results": results,
        "properties": run.properties,
    });
    if let Some(root) = root {
        value["originalUriBaseIds"] =
            json!({ROOT: {"uri": format!("file://{}/", uri(&root.to_string_lossy()))}});
    }
    json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [value],
    })
}

fn invocation(run: &Run<'_>, left_out: u64) -> Value {
    let note = |level: &str, what: &str| json!({"level": level, "message": {"text": text(what)}});
    let level = if run.complete { "note" } else { "error" };
    let mut notes: Vec<Value> =
        run.notes.iter().take(MOST_NOTES).map(|what| note(level, what)).collect();
    if run.notes.len() > MOST_NOTES {
        notes.push(note(level, &format!("{} more notes", run.notes.len() - MOST_NOTES)));
    }
    if left_out > 0 {
        let what = format!("{left_out} more results were found than are listed here");
        notes.push(note("warning", &what));
    }
    let mut value = json!({
        "executionSuccessful": run.complete,
        "toolExecutionNotifications": notes,
    });
    if let Some((from, to)) = run.window {
        value["startTimeUtc"] = json!(from.to_string());
        value["endTimeUtc"] = json!(to.to_string());
    }
    value
}

fn rule(recipe: &Recipe, taxonomy: &Taxonomy<'_>) -> Value {
    let file = &recipe.file;
    let techniques = &recipe.attack.techniques;
    let relations: Vec<Value> = taxonomy
        .references(recipe)
        .into_iter()
        .map(|target| json!({"target": target, "kinds": ["relevant"]}))
        .collect();
    let named: Vec<String> = techniques.iter().map(|t| format!("{} {}", t.id, t.name)).collect();
    let mut tags = vec!["security".to_owned()];
    tags.extend(techniques.iter().map(|t| format!("attack/{}", t.id)));
    // GitHub takes no more.
    tags.truncate(20);
    let help = format!(
        "{}. {}, {}. ATT&CK: possibly {}. `picket recipe show {}` says what it looks for, what it \
         implies and what to do.",
        file.description,
        file.category,
        file.method,
        named.join(", "),
        recipe.name(),
    );
    json!({
        "id": recipe.name(),
        "shortDescription": {"text": text(&file.description)},
        "fullDescription": {"text": text(&format!("{}: {}", file.category, file.description))},
        "help": {"text": text(&help)},
        "defaultConfiguration": {"level": level(file.importance)},
        "relationships": relations,
        "properties": {
            "tags": tags,
            "security-severity": format!("{:.1}", score(file.importance)),
            "version": file.version,
        },
    })
}

fn result(finding: &Finding, rule: Option<usize>, taxa: Vec<Value>, root: Option<&Path>) -> Value {
    let severity = finding.severity;
    let mut places = finding.places.iter().take(MOST_PLACES).map(|place| location(place, root));
    let mut first = places.next().unwrap_or_else(|| json!({}));
    if let Some(what) = &finding.logical {
        first["logicalLocations"] = json!([logical(what)]);
    }
    let mut properties = finding.properties.clone();
    properties.insert("severity".to_owned(), json!(severity));
    let mut value = json!({
        "ruleId": finding.rule,
        "level": level(severity),
        "rank": score(severity) * 10.0,
        "message": {"text": text(&finding.message)},
        "locations": [first],
        "partialFingerprints": {"picket/v1": fingerprint(finding)},
        "taxa": taxa,
        "properties": properties,
    });
    if let Some(at) = rule {
        value["ruleIndex"] = json!(at);
    }
    let related: Vec<Value> = places.collect();
    if !related.is_empty() {
        value["relatedLocations"] = json!(related);
    }
    if !finding.flow.is_empty() {
        let steps = finding.flow.iter().take(MOST_PLACES);
        let steps: Vec<Value> = steps.map(|step| flow_step(step, root)).collect();
        value["codeFlows"] = json!([{"threadFlows": [{"locations": steps}]}]);
    }
    value
}

fn flow_step(step: &Step, root: Option<&Path>) -> Value {
    let mut value = step.place.as_ref().map_or_else(|| json!({}), |place| location(place, root));
    value["message"] = json!({"text": text(&step.text)});
    if let Some(what) = &step.logical {
        value["logicalLocations"] = json!([logical(what)]);
    }
    json!({"location": value})
}

fn location(place: &Place, root: Option<&Path>) -> Value {
    let path = Path::new(&place.path);
    let below = root.and_then(|root| path.strip_prefix(root).ok()).map(Path::to_path_buf);
    let below = below.or_else(|| path.is_relative().then(|| PathBuf::from(path)));
    let file = match below {
        Some(below) => json!({"uri": uri(&below.to_string_lossy()), "uriBaseId": ROOT}),
        None => json!({"uri": format!("file://{}", uri(&place.path))}),
    };
    // GitHub takes no place without a line.
    let mut region = json!({"startLine": place.line.unwrap_or(1).max(1)});
    if let Some(column) = place.column.filter(|_| place.line.is_some()) {
        region["startColumn"] = json!(column.max(1));
    }
    let mut value = json!({"physicalLocation": {"artifactLocation": file, "region": region}});
    if let Some(what) = &place.text {
        value["message"] = json!({"text": text(what)});
    }
    value
}

fn logical(what: &Logical) -> Value {
    json!({
        "name": text(&what.name),
        "fullyQualifiedName": text(&what.full),
        "kind": what.kind,
    })
}

fn fingerprint(finding: &Finding) -> String {
    let mut hash = Sha256::new();
    for part in std::iter::once(&finding.rule).chain(&finding.identity) {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn level(severity: Severity) -> &'static str {
    match severity {
        Severity::Critical | Severity::High => "error",
        Severity::Medium => "warning",
        Severity::Low | Severity::Info => "note",
    }
}

/// From 0 to 10, each in the middle of what GitHub calls the same.
fn score(severity: Severity) -> f64 {
    match severity {
        Severity::Critical => 9.5,
        Severity::High => 8.0,
        Severity::Medium => 5.5,
        Severity::Low => 2.0,
        Severity::Info => 0.0,
    }
}
