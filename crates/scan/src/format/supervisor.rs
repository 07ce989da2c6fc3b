//! Configuration of supervisord.

use crate::site::{Sites, inside};

use super::ini::{self, GoesOn};
use super::split;

pub(super) fn file(text: &str, sites: &mut Sites) {
    for entry in ini::entries(text, GoesOn::Indented) {
        let kind = ["program", "fcgi-program", "eventlistener"]
            .into_iter()
            .find_map(|kind| Some((kind, entry.section.strip_prefix(kind)?.strip_prefix(':')?)));
        let Some((_, name)) = kind.filter(|_| entry.key == "command") else { continue };
        // Behind a blank a semicolon begins a comment.
        let end = entry.value.as_str().find(" ;").unwrap_or(entry.value.as_str().len());
        let words = split::words(&entry.value.slice(0..end));
        sites.words(&inside(&Vec::new(), "program", name), words);
    }
}
