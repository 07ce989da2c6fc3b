//! Drone, and Woodpecker, which came of it.

use crate::site::{Place, Sites, inside};
use crate::yaml::Node;

use super::{command, lines};

pub(super) fn pipeline(root: Node<'_>, sites: &mut Sites) {
    let place = inside(&Vec::new(), "pipeline", root.str("name").unwrap_or_default());
    for (kind, key) in
        [("step", "steps"), ("step", "pipeline"), ("service", "services"), ("step", "clone")]
    {
        let Some(list) = root.get(key) else { continue };
        for step in list.items() {
            read(step, &inside(&place, kind, step.str("name").unwrap_or_default()), sites);
        }
        for (name, step) in list.entries() {
            read(step, &inside(&place, kind, name), sites);
        }
    }
}

fn read(step: Node<'_>, place: &Place, sites: &mut Sites) {
    let texts = step.get("commands").map(Node::flat_texts).unwrap_or_default();
    if !texts.is_empty() {
        sites.shell(place, &lines(&texts));
    } else if let Some(image) = step.get("image").and_then(Node::text) {
        let entrypoint = step.get("entrypoint").map(|node| command(Some(node)));
        sites.image(place, image, entrypoint, command(step.get("command")));
    }
}
