//! Files of sections and keys, as systemd and supervisord read them.

use crate::text::Piece;

/// An entry of a section.
pub(super) struct Entry {
    pub(super) section: String,
    pub(super) key: String,
    pub(super) value: Piece,
}

/// How a value goes on in the next line.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum GoesOn {
    /// Behind a backslash.
    Backslash,
    /// Where the next line is indented.
    Indented,
}

pub(super) fn entries(text: &str, goes_on: GoesOn) -> Vec<Entry> {
    let mut entries: Vec<Entry> = Vec::new();
    let mut section = String::new();
    let mut open = false;
    for line in Piece::at(text, 0).lines() {
        let trimmed = line.trim();
        let plain = trimmed.as_str();
        if plain.starts_with(['#', ';']) {
            continue;
        }
        let indented = line.as_str().starts_with([' ', '\t']) && !plain.is_empty();
        let more = if goes_on == GoesOn::Backslash { open } else { indented };
        let ends_open = goes_on == GoesOn::Backslash && plain.ends_with('\\');
        let part = trimmed.slice(0..plain.len() - usize::from(ends_open));
        open = ends_open;
        match entries.last_mut() {
            Some(entry) if more && entry.section == section => {
                entry.value.push(" ", part.origin(0).saturating_sub(1));
                entry.value.append(&part);
            }
            _ if plain.starts_with('[') => {
                section = plain.trim_matches(['[', ']']).to_owned();
            }
            _ => {
                if let Some((key, _)) = part.as_str().split_once('=') {
                    let value = part.slice(key.len() + 1..part.as_str().len()).trim();
                    let (section, key) = (section.clone(), key.trim().to_owned());
                    entries.push(Entry { section, key, value });
                }
            }
        }
    }
    entries
}
