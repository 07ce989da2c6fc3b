//! Bitbucket Pipelines.

use std::collections::HashSet;

use crate::site::{Place, Sites, inside};
use crate::yaml::Node;

use super::{DEEPEST, lines};

pub(super) fn pipelines(root: Node<'_>, sites: &mut Sites) {
    let services = root.get("definitions").and_then(|d| d.get("services"));
    for (name, service) in services.map(Node::entries).unwrap_or_default() {
        if let Some(image) =
            service.get("image").and_then(|i| i.text().or_else(|| i.get("name")?.text()))
        {
            sites.image(&inside(&Vec::new(), "service", name), image, None, Vec::new());
        }
    }
    let mut seen = HashSet::new();
    for key in ["pipelines", "definitions"] {
        if let Some(part) = root.get(key) {
            walk(part, &Vec::new(), DEEPEST, &mut seen, sites);
        }
    }
}

/// Steps stand in lists, in parallel groups and stages, below branches and tags.
fn walk(
    node: Node<'_>,
    place: &Place,
    deepest: usize,
    seen: &mut HashSet<usize>,
    sites: &mut Sites,
) {
    if deepest == 0 || !seen.insert(node.id()) {
        return;
    }
    for (key, value) in node.entries() {
        match key {
            "step" => step(value, place, seen, sites),
            "parallel" | "steps" | "definitions" => walk(value, place, deepest - 1, seen, sites),
            "stage" => {
                let place = inside(place, "stage", value.str("name").unwrap_or_default());
                walk(value, &place, deepest - 1, seen, sites);
            }
            _ if value.text().is_none() => {
                walk(value, &inside(place, "pipeline", key), deepest - 1, seen, sites);
            }
            _ => {}
        }
    }
    for item in node.items() {
        walk(item, place, deepest - 1, seen, sites);
    }
}

fn step(step: Node<'_>, place: &Place, seen: &mut HashSet<usize>, sites: &mut Sites) {
    if !seen.insert(step.id()) {
        return;
    }
    let place = inside(place, "step", step.str("name").unwrap_or_default());
    for key in ["script", "after-script"] {
        let texts = step.get(key).map(Node::flat_texts).unwrap_or_default();
        if !texts.is_empty() {
            sites.shell(&place, &lines(&texts));
        }
    }
}
