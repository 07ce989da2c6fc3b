//! GitHub Actions: workflows, and actions of one's own.

use crate::site::{Place, Sites, inside};
use crate::text::Piece;
use crate::yaml::Node;

use super::{command, split};

pub(super) fn workflow(root: Node<'_>, sites: &mut Sites) {
    let default = shell_of(root);
    for (id, job) in root.get("jobs").map(Node::entries).unwrap_or_default() {
        let place = inside(&Vec::new(), "job", job.str("name").unwrap_or(id));
        let shell = shell_of(job).or(default);
        // The job's own container waits for steps, whatever its image is; those beside it serve.
        for (name, service) in job.get("services").map(Node::entries).unwrap_or_default() {
            let place = inside(&place, "service", name);
            let image = service.text().or_else(|| service.get("image")?.text());
            if let Some(image) = image {
                sites.image(&place, image, None, command(service.get("command")));
            }
        }
        steps(job.get("steps"), &place, shell, sites);
    }
}

pub(super) fn action(root: Node<'_>, sites: &mut Sites) {
    let Some(runs) = root.get("runs") else { return };
    let place = inside(&Vec::new(), "action", root.str("name").unwrap_or_default());
    steps(runs.get("steps"), &place, None, sites);
    if let Some(image) = runs.get("image").and_then(Node::text)
        && image.as_str().starts_with("docker://")
    {
        let entrypoint = runs.get("entrypoint").map(|node| command(Some(node)));
        sites.image(&place, image, entrypoint, command(runs.get("args")));
    }
}

fn shell_of(node: Node<'_>) -> Option<&str> {
    node.get("defaults")?.get("run")?.str("shell")
}

fn steps(steps: Option<Node<'_>>, place: &Place, shell: Option<&str>, sites: &mut Sites) {
    for (number, step) in (1..).zip(steps.into_iter().flat_map(Node::items)) {
        let numbered = format!("{number}");
        let name = step.str("name").or(step.str("id")).unwrap_or(&numbered);
        let place = inside(place, "step", name);
        if let Some(run) = step.get("run").and_then(Node::text) {
            let shell = step.str("shell").or(shell).unwrap_or("bash");
            let interpreter = shell.split_ascii_whitespace().next().unwrap_or("bash");
            sites.script(&place, interpreter, &expressions(run));
        }
        if let Some(image) = step.get("uses").and_then(Node::text)
            && image.as_str().starts_with("docker://")
        {
            let with = step.get("with");
            let text = |key: &str| with.and_then(|w| w.get(key)).and_then(Node::text);
            let entrypoint = text("entrypoint").map(split::words);
            let args = text("args").map(split::words).unwrap_or_default();
            sites.image(&place, image, entrypoint, args);
        }
    }
}

/// What the runner fills in before a shell sees the text.
fn expressions(text: &Piece) -> Piece {
    text.fill_in("${{", "}}")
}
