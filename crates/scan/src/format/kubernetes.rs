//! Manifests of Kubernetes: whatever has containers in it.

use std::collections::HashSet;

use crate::site::{Place, Sites, inside};
use crate::yaml::Node;

use super::{DEEPEST, command};

pub(super) fn resource(root: Node<'_>, sites: &mut Sites) {
    let items: Vec<Node<'_>> = root.get("items").into_iter().flat_map(Node::items).collect();
    for resource in std::iter::once(root).chain(items) {
        let kind = resource.str("kind").unwrap_or_default();
        let name = resource.get("metadata").and_then(|m| m.str("name")).unwrap_or_default();
        let place = inside(&inside(&Vec::new(), "kind", kind), "name", name);
        if let Some(spec) = resource.get("spec") {
            walk(spec, &place, DEEPEST, &mut HashSet::new(), sites);
        }
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
        if matches!(key, "containers" | "initContainers" | "ephemeralContainers") {
            for container in value.items() {
                let name = container.str("name").unwrap_or_default();
                self::container(container, &inside(place, "container", name), sites);
            }
        } else if value.text().is_none() {
            walk(value, place, deepest - 1, seen, sites);
        }
    }
    for item in node.items() {
        walk(item, place, deepest - 1, seen, sites);
    }
}

fn container(container: Node<'_>, place: &Place, sites: &mut Sites) {
    if let Some(image) = container.get("image").and_then(Node::text) {
        let entrypoint = container.get("command").map(|node| command(Some(node)));
        sites.image(place, image, entrypoint, command(container.get("args")));
    }
    let lifecycle = container.get("lifecycle");
    let hooks =
        ["postStart", "preStop"].iter().filter_map(|key| Some((*key, lifecycle?.get(key)?)));
    let probes = ["livenessProbe", "readinessProbe", "startupProbe"];
    let probes = probes.iter().filter_map(|key| Some((*key, container.get(key)?)));
    for (key, hook) in hooks.chain(probes) {
        let words = command(hook.get("exec").and_then(|exec| exec.get("command")));
        sites.words(&inside(place, "hook", key), words);
    }
}
