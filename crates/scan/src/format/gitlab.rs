//! GitLab CI.

use crate::site::{Place, Sites, inside};
use crate::yaml::Node;

use super::{command, lines};

/// Keys of a pipeline that are no jobs.
const NO_JOBS: &[&str] =
    &["stages", "variables", "include", "workflow", "image", "cache", "spec", "pages:deploy"];

pub(super) fn pipeline(root: Node<'_>, sites: &mut Sites) {
    job(root, &Vec::new(), sites);
    for (name, entry) in root.entries() {
        if entry.is_map() && !NO_JOBS.contains(&name) {
            job(entry, &inside(&Vec::new(), "job", name), sites);
        }
    }
}

fn job(job: Node<'_>, place: &Place, sites: &mut Sites) {
    for service in job.get("services").into_iter().flat_map(Node::items) {
        let name = service.text().or_else(|| service.get("name")?.text());
        if let Some(image) = name {
            let alias = service.str("alias").unwrap_or(image.as_str());
            let entrypoint = service.get("entrypoint").map(|node| command(Some(node)));
            let words = command(service.get("command"));
            sites.image(&inside(place, "service", alias), image, entrypoint, words);
        }
    }
    // One shell runs what comes before and the script.
    for key in ["before_script", "script", "after_script"] {
        if let Some(texts) = job.get(key).map(Node::flat_texts).filter(|t| !t.is_empty()) {
            sites.shell(&inside(place, "section", key), &lines(&texts));
        }
    }
}
