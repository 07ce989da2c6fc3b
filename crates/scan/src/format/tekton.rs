//! Tekton: tasks, pipelines and their runs.

use std::collections::HashSet;

use crate::site::{Place, Sites, inside};
use crate::yaml::Node;

use super::{DEEPEST, command, shebang};

pub(super) fn resource(root: Node<'_>, sites: &mut Sites) {
    let name = root.get("metadata").and_then(|m| m.str("name")).unwrap_or_default();
    let kind = match root.str("kind") {
        Some("Pipeline" | "PipelineRun") => "pipeline",
        _ => "task",
    };
    let place = inside(&Vec::new(), kind, name);
    if let Some(spec) = root.get("spec") {
        walk(spec, &place, DEEPEST, &mut HashSet::new(), sites);
    }
}

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
            "steps" | "sidecars" => {
                for (number, step) in (1..).zip(value.items()) {
                    let numbered = format!("{number}");
                    let name = step.str("name").unwrap_or(&numbered);
                    let kind = if key == "steps" { "step" } else { "sidecar" };
                    self::step(step, &inside(place, kind, name), sites);
                }
            }
            "tasks" | "finally" => {
                for task in value.items() {
                    let place = inside(place, "task", task.str("name").unwrap_or_default());
                    walk(task, &place, deepest - 1, seen, sites);
                }
            }
            _ if value.is_map() => walk(value, place, deepest - 1, seen, sites),
            _ => {}
        }
    }
}

fn step(step: Node<'_>, place: &Place, sites: &mut Sites) {
    if let Some(script) = step.get("script").and_then(|script| script.text()) {
        sites.script(place, shebang(script.as_str()), script);
    } else if let Some(image) = step.get("image").and_then(|image| image.text()) {
        let entrypoint = step.get("command").map(|node| command(Some(node)));
        sites.image(place, image, entrypoint, command(step.get("args")));
    }
}
