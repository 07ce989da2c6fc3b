//! Azure Pipelines.

use std::collections::{BTreeMap, HashSet};

use crate::site::{Place, Sites, inside};
use crate::text::Piece;
use crate::yaml::Node;

use super::DEEPEST;

pub(super) fn pipeline(root: Node<'_>, sites: &mut Sites) {
    let resources = root.get("resources").and_then(|r| r.get("containers"));
    let images = resources.into_iter().flat_map(Node::items).filter_map(|container| {
        Some((container.str("container")?, container.get("image")?.text()?))
    });
    let mut reader = Reader { images: images.collect(), seen: HashSet::new(), sites };
    reader.walk(root, &Vec::new(), DEEPEST);
}

struct Reader<'y, 's> {
    images: BTreeMap<&'y str, &'y Piece>,
    seen: HashSet<usize>,
    sites: &'s mut Sites,
}

impl<'y> Reader<'y, '_> {
    /// Stages, jobs, steps and what templates put around them nest in many ways.
    fn walk(&mut self, node: Node<'y>, place: &Place, deepest: usize) {
        if deepest == 0 || !self.seen.insert(node.id()) {
            return;
        }
        let mut place = place.clone();
        for (kind, key) in [("stage", "stage"), ("job", "job"), ("job", "deployment")] {
            if let Some(name) = node.str(key) {
                place = inside(&place, kind, node.str("displayName").unwrap_or(name));
            }
        }
        let step = inside(&place, "step", node.str("displayName").unwrap_or_default());
        if let Some(task) = node.str("task") {
            self.task(task, node, &step);
            return;
        }
        for (key, value) in node.entries() {
            match (key, value.text()) {
                ("script" | "bash", Some(text)) => self.shell(&step, text),
                ("services", None) => self.services(value, &place),
                (_, None) if key != "resources" => self.walk(value, &place, deepest - 1),
                _ => {}
            }
        }
        for item in node.items() {
            self.walk(item, &place, deepest - 1);
        }
    }

    fn task(&mut self, task: &str, node: Node<'y>, place: &Place) {
        let shells = ["Bash@", "CmdLine@", "ShellScript@", "SSH@"];
        let Some(inputs) =
            node.get("inputs").filter(|_| shells.iter().any(|t| task.starts_with(t)))
        else {
            return;
        };
        for key in ["script", "inline", "commands"] {
            if let Some(text) = inputs.get(key).and_then(Node::text) {
                self.shell(place, text);
            }
        }
    }

    fn services(&mut self, services: Node<'y>, place: &Place) {
        for (name, image) in services.entries() {
            let Some(image) = image.text() else { continue };
            let image = self.images.get(image.as_str()).copied().unwrap_or(image);
            self.sites.image(&inside(place, "service", name), image, None, Vec::new());
        }
    }

    fn shell(&mut self, place: &Place, text: &Piece) {
        self.sites.shell(place, &text.fill_in("${{", "}}"));
    }
}
