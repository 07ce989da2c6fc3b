//! What to do about an incident, by what happened in it, first things first.

use std::collections::BTreeSet;

use event::{Peer, StageKind};

use super::entry::Entry;
use super::peer::Reach;

/// Things that one sentence names.
const MOST: usize = 6;

/// What to do.
pub(super) fn actions(host: &str, server: &str, entries: &[Entry], peers: &[Peer]) -> Vec<String> {
    let keys = |kind: StageKind| {
        let of_kind = entries.iter().filter(|entry| entry.kind == kind);
        list(of_kind.map(|entry| entry.key.clone()))
    };
    let strange = || entries.iter().filter(|entry| entry.points > 0);
    let pids: BTreeSet<u32> = strange().map(|entry| entry.stage().pid).collect();
    let pids = list(pids.iter().map(u32::to_string)).unwrap_or_default();
    let mut actions = vec![format!(
        "Keep the evidence before anything is stopped: memory, open files and connections of the \
         processes {pids}, and of those below them."
    )];
    if let Some(peers) = keys(StageKind::Outbound) {
        actions.push(format!(
            "Cut {host} off from {peers}, and find out what else in your networks talks to them."
        ));
    }
    if peers.iter().any(|peer| Reach::of(&peer.address) == Some(Reach::Metadata)) {
        actions.push(format!(
            "Take the credentials that the cloud gives to {host} for stolen: revoke them, and look \
             where they were used."
        ));
    }
    if let Some(places) = keys(StageKind::ChildListens) {
        actions.push(format!(
            "Let nobody connect to {places} on {host}: a back door looks like that."
        ));
    }
    if let Some(servers) = keys(StageKind::SecondServer) {
        actions.push(format!("Stop {servers} unless a deployment accounts for it."));
    }
    if let Some(first) = strange().next() {
        let time = first.time.to_string();
        let clock = time.get(11..19).unwrap_or_default();
        actions.push(format!(
            "Find how it came in: see in the access log of {server} what it was asked for shortly \
             before {clock} UTC."
        ));
    }
    if let Some(files) = keys(StageKind::WrittenFile) {
        actions.push(format!(
            "Copy {files}, see what else was written since {server} started, and look for the same \
             files on other machines."
        ));
    }
    actions
}

/// The first few, and how many more; `None` for nothing.
fn list(all: impl Iterator<Item = String>) -> Option<String> {
    let all: Vec<String> = all.collect();
    let more = all.len().saturating_sub(MOST);
    let first = all.iter().take(MOST).map(String::as_str).collect::<Vec<_>>().join(", ");
    match (all.len(), more) {
        (0, _) => None,
        (_, 0) => Some(first),
        _ => Some(format!("{first} and {more} more")),
    }
}

#[cfg(test)]
mod tests {
    use super::list;

    #[test]
    fn lists_are_short() {
        let say = |n: usize| list((1..=n).map(|i| i.to_string()));
        assert_eq!(say(0), None);
        assert_eq!(say(2).as_deref(), Some("1, 2"));
        assert_eq!(say(9).as_deref(), Some("1, 2, 3, 4, 5, 6 and 3 more"));
    }
}
