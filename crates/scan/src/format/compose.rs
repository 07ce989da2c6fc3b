//! Compose files.

use crate::site::{Place, Sites, inside};
use crate::yaml::Node;

use super::command;

pub(super) fn file(root: Node<'_>, sites: &mut Sites) {
    // Files of the first version are the services themselves.
    let services = root.get("services").unwrap_or(root);
    for (name, service) in services.entries() {
        if service.is_map() {
            self::service(service, &inside(&Vec::new(), "service", name), sites);
        }
    }
}

fn service(service: Node<'_>, place: &Place, sites: &mut Sites) {
    let entrypoint = service.get("entrypoint").map(|node| command(Some(node)));
    let words = command(service.get("command"));
    // What is built here is called as one likes, and its Dockerfile says what runs.
    let image = service.get("image").filter(|_| service.get("build").is_none());
    let image = image.and_then(Node::text).cloned().unwrap_or_default();
    if !image.is_empty() || entrypoint.is_some() || !words.is_empty() {
        sites.image(place, &image, entrypoint.filter(|words| !words.is_empty()), words);
    }
    let Some(test) = service.get("healthcheck").and_then(|check| check.get("test")) else { return };
    let place = inside(place, "hook", "healthcheck");
    match (test.text(), test.texts().as_slice()) {
        (Some(text), _) => sites.shell(&place, text),
        (None, [how, text]) if how.as_str() == "CMD-SHELL" => sites.shell(&place, text),
        (None, [how, words @ ..]) if how.as_str() == "CMD" => {
            sites.words(&place, words.iter().copied().cloned().collect());
        }
        _ => {}
    }
}
