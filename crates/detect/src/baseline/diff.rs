//! What two baselines do not have in common.

use super::entry::{Accepted, Entry};
use super::key::Same;

/// A difference.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change<'a> {
    /// Only the new one expects it.
    Added(&'a Entry),
    /// Only the old one expected it.
    Removed(&'a Entry),
    /// The same start of the same package, of another version.
    Upgraded(&'a Entry, &'a Entry),
    /// The same start of another file, script or command.
    Replaced(&'a Entry, &'a Entry),
    /// The same, accepted in another way: who, why, until when, how grave.
    Renewed(&'a Entry, &'a Entry),
}

/// What is different, in the order of the new one, then what is gone.
pub fn diff<'a>(old: &'a Accepted, new: &'a Accepted) -> Vec<Change<'a>> {
    let has = |accepted: &Accepted, entry: &Entry| {
        accepted.entries().iter().any(|other| other.key == entry.key)
    };
    let mut gone: Vec<&Entry> = old.entries().iter().filter(|entry| !has(new, entry)).collect();
    let mut changes = Vec::new();
    for entry in new.entries() {
        if let Some(known) = old.entries().iter().find(|known| known.key == entry.key) {
            if known != entry {
                changes.push(Change::Renewed(known, entry));
            }
            continue;
        }
        // The best partner among those that are gone: the same package before the same path.
        let upgraded = |old: &&Entry| {
            same_start(old, entry)
                && matches!(old.key.file.compare(&entry.key.file), Same::Upgrade { .. })
        };
        let replaced =
            |old: &&Entry| same_start(old, entry) && old.key.file.path == entry.key.file.path;
        if let Some(at) = gone.iter().position(upgraded) {
            changes.push(Change::Upgraded(gone.remove(at), entry));
        } else if let Some(at) = gone.iter().position(replaced) {
            changes.push(Change::Replaced(gone.remove(at), entry));
        } else {
            changes.push(Change::Added(entry));
        }
    }
    changes.extend(gone.into_iter().map(Change::Removed));
    changes
}

/// Whether two entries are of one recipe, server, workload and launcher.
fn same_start(one: &Entry, other: &Entry) -> bool {
    let (one, other) = (&one.key, &other.key);
    one.recipe == other.recipe
        && one.server == other.server
        && one.workload == other.workload
        && one.launcher == other.launcher
}
