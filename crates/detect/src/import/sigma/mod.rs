//! Sigma rules: of those for executions on Linux (`product: linux`, `category:
//! process_creation`), recipes.
//!
//! Texts are compared without regard to case, of ASCII, as Sigma has it.

mod condition;
mod search;

use event::Severity;

use super::cel::Expr;
use super::draft::{Draft, Tags};
use super::node::{Node, Value};
use crate::parse::ParseError;
use condition::Condition;

/// Keys of a rule. What is not among them changes what a rule means, in a way that is not known.
const KEYS: &[&str] = &[
    "title",
    "id",
    "name",
    "related",
    "taxonomy",
    "status",
    "description",
    "license",
    "author",
    "references",
    "date",
    "modified",
    "logsource",
    "detection",
    "fields",
    "falsepositives",
    "level",
    "tags",
    "scope",
    "regression_tests_path",
    "simulation",
];

/// Bytes of all searches of a rule; what is larger makes no recipe.
const LARGEST: usize = 64 << 10;
/// Bytes of a condition.
const LONGEST: usize = 4 << 10;

/// The recipe of a rule.
pub(super) fn draft(path: &str, rule: &Node) -> Result<Draft, Vec<ParseError>> {
    let mut errors = Vec::new();
    let Value::Map(entries) = &rule.value else {
        return Err(vec![rule.wrong(path, "expected a Sigma rule: a mapping")]);
    };
    for (key, _) in entries {
        let name = key.plain().unwrap_or_default();
        match name.as_str() {
            "correlation" => {
                errors.push(key.wrong(path, "correlations relate events, which a recipe does not"));
            }
            "filter" | "action" => {
                let message = format!("{name:?} changes other rules: import what comes of it");
                errors.push(key.wrong(path, message));
            }
            name if !KEYS.contains(&name) => {
                errors.push(key.wrong(path, format!("the key {name:?} is not known")));
            }
            _ => {}
        }
    }
    let title = rule.plain_of("title").unwrap_or_default();
    if title.trim().is_empty() {
        errors.push(rule.wrong(path, "a rule needs a title"));
    }
    errors.extend(source(path, rule));
    let mut notes = Vec::new();
    let importance = match level(path, rule, &mut notes) {
        Ok(level) => level,
        Err(error) => {
            errors.push(error);
            Severity::Medium
        }
    };
    let when = match detection(path, rule) {
        Ok(Expr::Is(is)) => {
            let word = if is { "every execution" } else { "no execution" };
            errors.push(rule.wrong(path, format!("the rule fits {word}")));
            return Err(errors);
        }
        Ok(when) => when,
        Err(more) => {
            errors.extend(more);
            return Err(errors);
        }
    };
    if !errors.is_empty() {
        return Err(errors);
    }
    let mut draft = Draft::new(&title, "Sigma");
    draft.at = rule.at;
    draft.version = rule.plain_of("modified").or_else(|| rule.plain_of("date")).unwrap_or_default();
    draft.importance = importance;
    draft.more = rule.plain_of("description");
    draft.tags = tags(rule);
    draft.when = Some(when);
    draft.notes.extend(notes);
    for key in ["id", "status", "license", "author", "date", "references"] {
        for value in rule.get(key).map(Node::each).unwrap_or_default() {
            draft.about.extend(value.plain().map(|text| (key, text)));
        }
    }
    for value in rule.get("falsepositives").map(Node::each).unwrap_or_default() {
        draft.harmless.extend(value.plain().filter(|text| !is_unknown(text)));
    }
    Ok(draft)
}

/// What authors write where they know of no false positive.
fn is_unknown(text: &str) -> bool {
    let word = text.trim().trim_end_matches('.').to_ascii_lowercase();
    matches!(word.as_str(), "" | "unknown" | "none" | "unlikely")
}

/// What is wrong with where the rule's events come from.
fn source(path: &str, rule: &Node) -> Vec<ParseError> {
    let Some(source) = rule.get("logsource") else {
        return vec![rule.wrong(path, "a rule needs a logsource")];
    };
    let mut errors = Vec::new();
    for (key, expected) in [("product", "linux"), ("category", "process_creation")] {
        match source.get(key) {
            Some(node) if node.text() == Some(expected) => {}
            Some(node) => {
                let found = node.plain().unwrap_or_else(|| node.kind().to_owned());
                let message = format!(
                    "{key} {found:?}: picket sees executions on Linux: expected {key}: {expected}"
                );
                errors.push(node.wrong(path, message));
            }
            None => errors.push(source.wrong(path, format!("expected {key}: {expected}"))),
        }
    }
    if let Some(service) = source.get("service") {
        errors.push(service.wrong(path, "a service's log is not what picket sees"));
    }
    errors
}

fn level(path: &str, rule: &Node, notes: &mut Vec<String>) -> Result<Severity, ParseError> {
    let Some(node) = rule.get("level") else {
        notes.push("The rule has no level; medium stands for it.".to_owned());
        return Ok(Severity::Medium);
    };
    Ok(match node.text() {
        Some("informational") => Severity::Info,
        Some("low") => Severity::Low,
        Some("medium") => Severity::Medium,
        Some("high") => Severity::High,
        Some("critical") => Severity::Critical,
        _ => {
            let levels = "informational, low, medium, high or critical";
            return Err(node.wrong(path, format!("level: expected {levels}")));
        }
    })
}

fn tags(rule: &Node) -> Tags {
    let mut tags = Tags::default();
    for tag in rule.get("tags").map(Node::each).unwrap_or_default() {
        let Some(tag) = tag.plain() else { continue };
        if let Some(word) = tag.to_ascii_lowercase().strip_prefix("attack.") {
            tags.add(word);
        }
    }
    tags
}

fn detection(path: &str, rule: &Node) -> Result<Expr, Vec<ParseError>> {
    let Some(detection) = rule.get("detection") else {
        return Err(vec![rule.wrong(path, "a rule needs a detection")]);
    };
    let Value::Map(entries) = &detection.value else {
        return Err(vec![detection.wrong(path, "detection: expected searches and a condition")]);
    };
    let mut errors = Vec::new();
    let mut searches = Vec::new();
    for (key, value) in entries {
        let name = key.plain().unwrap_or_default();
        match name.as_str() {
            "condition" => {}
            "timeframe" => {
                let message = "timeframe: a recipe counts within `limits` only, and never before";
                errors.push(key.wrong(path, message));
            }
            _ => match search::search(path, value) {
                Ok(e) => searches.push((name, e)),
                Err(error) => errors.push(error),
            },
        }
    }
    let size: usize = searches.iter().map(|(_, e)| e.size()).sum();
    if size > LARGEST {
        let message = format!("{size} bytes of searches: expected at most {LARGEST}");
        errors.push(detection.wrong(path, message));
    }
    let conditions = detection.get("condition").map(Node::each).unwrap_or_default();
    if conditions.is_empty() {
        errors.push(detection.wrong(path, "a detection needs a condition"));
    }
    if !errors.is_empty() {
        return Err(errors);
    }
    let mut any = Vec::new();
    for node in conditions {
        let resolved = match node.plain() {
            Some(text) if text.len() > LONGEST => {
                Err(format!("{} bytes: expected at most {LONGEST}", text.len()))
            }
            Some(text) => condition::parse(&text).and_then(|c| resolve(&c, &searches)),
            None => Err(format!("expected a text, found {}", node.kind())),
        };
        any.push(resolved.map_err(|e| vec![node.wrong(path, format!("condition: {e}"))])?);
    }
    Ok(Expr::or(any))
}

fn resolve(condition: &Condition, searches: &[(String, Expr)]) -> Result<Expr, String> {
    let all = |parts: &[Condition]| -> Result<Vec<Expr>, String> {
        parts.iter().map(|part| resolve(part, searches)).collect()
    };
    Ok(match condition {
        Condition::Name(name) => searches
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, e)| e.clone())
            .ok_or_else(|| format!("no search is called {name:?}"))?,
        Condition::Not(inner) => resolve(inner, searches)?.negated(),
        Condition::And(parts) => Expr::and(all(parts)?),
        Condition::Or(parts) => Expr::or(all(parts)?),
        Condition::Of { all, pattern } => {
            let named = |name: &str| match pattern.as_str() {
                "them" => !name.starts_with('_'),
                pattern => {
                    (pattern.starts_with('_') || !name.starts_with('_'))
                        && crate::words::glob(pattern, name)
                }
            };
            let found: Vec<Expr> =
                searches.iter().filter(|(name, _)| named(name)).map(|(_, e)| e.clone()).collect();
            if found.is_empty() {
                return Err(format!("no search is called like {pattern:?}"));
            }
            if *all { Expr::and(found) } else { Expr::or(found) }
        }
    })
}
