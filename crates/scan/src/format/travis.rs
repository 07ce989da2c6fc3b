//! Travis CI.

use crate::site::{Place, Sites, inside};
use crate::yaml::Node;

use super::lines;

const PHASES: &[&str] = &[
    "before_install",
    "install",
    "before_script",
    "script",
    "after_script",
    "after_success",
    "after_failure",
    "before_deploy",
    "after_deploy",
];

pub(super) fn build(root: Node<'_>, sites: &mut Sites) {
    phases(root, &Vec::new(), sites);
    for key in ["jobs", "matrix"] {
        let jobs = root.get(key).and_then(|jobs| jobs.get("include"));
        for job in jobs.into_iter().flat_map(Node::items) {
            let name = ["name", "stage"].iter().find_map(|key| job.str(key));
            phases(job, &inside(&Vec::new(), "job", name.unwrap_or_default()), sites);
        }
    }
}

fn phases(job: Node<'_>, place: &Place, sites: &mut Sites) {
    for phase in PHASES {
        let texts = job.get(phase).map(Node::flat_texts).unwrap_or_default();
        if !texts.is_empty() {
            sites.shell(&inside(place, "phase", phase), &lines(&texts));
        }
    }
}
