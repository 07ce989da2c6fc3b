//! Units of systemd: services, and the containers of podman's units.

use crate::site::{Sites, inside};
use crate::text::Piece;

use super::ini::{self, GoesOn};
use super::split;

pub(super) fn unit(text: &str, sites: &mut Sites) {
    let entries = ini::entries(text, GoesOn::Backslash);
    let container = |key: &str| entries.iter().find(|e| e.section == "Container" && e.key == key);
    if let Some(image) = container("Image") {
        let command = container("Exec").map(|e| split::words(&e.value)).unwrap_or_default();
        sites.image(&inside(&Vec::new(), "key", "Image"), &image.value, None, command);
    }
    for entry in &entries {
        if entry.section != "Service" || !entry.key.starts_with("Exec") {
            continue;
        }
        let place = inside(&Vec::new(), "key", &entry.key);
        // Marks before the path say how it is run.
        let value = entry.value.as_str();
        let bare = value.trim_start_matches(['@', '-', ':', '+', '!', '|']);
        // `@bindir@/nginx`: filled in before anybody reads it.
        let template = bare.split_ascii_whitespace().next().is_some_and(|word| word.contains('@'));
        let marks = value.len() - bare.len() - usize::from(template && value.starts_with('@'));
        let words = split::words(&entry.value.slice(marks..value.len()));
        let own_name = value[..marks].contains('@');
        for command in words.split(|word| word.as_str() == ";") {
            let mut command: Vec<Piece> = command.to_vec();
            if own_name && command.len() > 1 {
                command.remove(1);
            }
            sites.words(&place, command);
        }
    }
}
