//! Buildkite.

use crate::site::{Place, Sites, inside};
use crate::yaml::Node;

use super::{DEEPEST, command, lines};

pub(super) fn pipeline(root: Node<'_>, sites: &mut Sites) {
    let list = root.get("steps").unwrap_or(root);
    steps(list, &Vec::new(), DEEPEST, sites);
}

fn steps(list: Node<'_>, place: &Place, deepest: usize, sites: &mut Sites) {
    for (number, step) in (1..).zip(list.items()) {
        let numbered = format!("{number}");
        let label = ["label", "name", "group", "key"].iter().find_map(|key| step.str(key));
        let place = inside(place, "step", label.unwrap_or(&numbered));
        if let Some(group) = step.get("steps").filter(|_| deepest > 0) {
            steps(group, &place, deepest - 1, sites);
        }
        let mut texts = Vec::new();
        for key in ["command", "commands"] {
            texts.extend(step.get(key).map(Node::flat_texts).unwrap_or_default());
        }
        if !texts.is_empty() {
            sites.shell(&place, &lines(&texts));
        }
        let plugins = step.get("plugins");
        let listed = plugins.into_iter().flat_map(Node::items).flat_map(Node::entries);
        for (name, plugin) in listed.chain(plugins.map(Node::entries).unwrap_or_default()) {
            let docker = name
                .split('#')
                .next()
                .is_some_and(|name| name.rsplit('/').next() == Some("docker"));
            if let Some(image) = plugin.get("image").and_then(Node::text).filter(|_| docker) {
                let words = command(plugin.get("command"));
                // The step's own command runs in it instead.
                if texts.is_empty() {
                    sites.image(&place, image, None, words);
                }
            }
        }
    }
}
