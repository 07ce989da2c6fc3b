//! CircleCI.

use crate::site::{Place, Sites, inside};
use crate::yaml::Node;

use super::{DEEPEST, command};

pub(super) fn config(root: Node<'_>, sites: &mut Sites) {
    for (kind, key) in [("executor", "executors"), ("job", "jobs"), ("command", "commands")] {
        for (name, part) in root.get(key).map(Node::entries).unwrap_or_default() {
            let place = inside(&Vec::new(), kind, name);
            containers(part, &place, sites);
            let shell = part.str("shell").unwrap_or("bash");
            steps(part.get("steps"), &place, shell, DEEPEST, sites);
        }
    }
}

/// Images behind the first run beside it, and are services.
fn containers(part: Node<'_>, place: &Place, sites: &mut Sites) {
    for service in part.get("docker").into_iter().flat_map(Node::items).skip(1) {
        let Some(image) = service.get("image").and_then(Node::text) else { continue };
        let place = inside(place, "service", service.str("name").unwrap_or(image.as_str()));
        let entrypoint = service.get("entrypoint").map(|node| command(Some(node)));
        sites.image(&place, image, entrypoint, command(service.get("command")));
    }
}

fn steps(list: Option<Node<'_>>, place: &Place, shell: &str, deepest: usize, sites: &mut Sites) {
    for (number, step) in (1..).zip(list.into_iter().flat_map(Node::items)) {
        for (kind, what) in step.entries() {
            match kind {
                "run" => {
                    let numbered = format!("{number}");
                    let place = inside(place, "step", what.str("name").unwrap_or(&numbered));
                    let text = what.text().or_else(|| what.get("command")?.text());
                    let shell = what.str("shell").unwrap_or(shell);
                    let interpreter = shell.split_ascii_whitespace().next().unwrap_or("bash");
                    if let Some(text) = text {
                        sites.script(&place, interpreter, &text.fill_in("<<", ">>"));
                    }
                }
                "when" | "unless" if deepest > 0 => {
                    steps(what.get("steps"), place, shell, deepest - 1, sites);
                }
                _ => {}
            }
        }
    }
}
