//! Findings in SARIF, for code scanning.

use std::collections::HashMap;
use std::path::Path;

use detect::recipe::Recipe;
use serde_json::{Map, json};

use super::finding::Finding;
use crate::sarif::{Logical, Place, Run};

/// The log of a scan.
pub(super) fn render(
    root: &Path,
    findings: &[Finding],
    unread: &[String],
    recipes: &[Recipe],
) -> Vec<u8> {
    // The same command may stand in one place more than once.
    let mut counts: HashMap<Vec<String>, usize> = HashMap::new();
    let mut results: Vec<_> = findings.iter().map(|finding| result(finding, &mut counts)).collect();
    results.sort_by_key(|result| std::cmp::Reverse(result.severity));
    let run = Run {
        category: "scan",
        rules: recipes,
        results,
        unlisted: 0,
        root: root.canonicalize().ok().filter(|root| root.is_dir()),
        complete: unread.is_empty(),
        notes: unread.to_vec(),
        window: None,
        properties: Map::new(),
    };
    run.to_json()
}

fn result(finding: &Finding, counts: &mut HashMap<Vec<String>, usize>) -> crate::sarif::Finding {
    let whereabouts = finding.whereabouts();
    let mut identity = vec![finding.file.clone(), whereabouts.clone(), finding.server.name.clone()];
    identity.extend(finding.command.iter().cloned());
    let count = counts.entry(identity.clone()).or_default();
    *count += 1;
    identity.push(count.to_string());
    let number = |n: usize| u32::try_from(n).ok();
    let place = Place {
        path: finding.file.clone(),
        line: number(finding.line),
        column: number(finding.column),
        text: Some(finding.started_by()),
    };
    let logical = finding.place.last().map(|part| Logical {
        name: part.name.clone(),
        full: whereabouts.clone(),
        kind: part.kind,
    });
    let mut properties = Map::new();
    properties.insert("server".to_owned(), json!(finding.server));
    properties.insert("kind".to_owned(), json!(finding.kind));
    properties.insert("reasons".to_owned(), json!(finding.reasons));
    properties.insert("actions".to_owned(), json!(finding.guidance.actions));
    crate::sarif::Finding {
        rule: finding.recipe.name.clone(),
        severity: finding.severity,
        message: format!(
            "{} is started by {}. {}",
            finding.server.title,
            finding.started_by(),
            finding.guidance.implication
        ),
        places: vec![place],
        logical,
        flow: Vec::new(),
        identity,
        properties,
    }
}
