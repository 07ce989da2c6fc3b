//! Names of users, from `/etc/passwd`.

use std::collections::HashMap;
use std::fs;
use std::time::{Duration, Instant};

/// A user that is not there may just have been made, but a flood of unknown ids must not read
/// the file each time.
const AGAIN: Duration = Duration::from_secs(10);

/// Knows users by their ids.
#[derive(Debug, Default)]
pub(crate) struct Users {
    names: HashMap<u32, String>,
    read: Option<Instant>,
}

impl Users {
    /// The name of a user, if the machine has one of that id.
    pub(crate) fn name(&mut self, uid: u32) -> Option<String> {
        if !self.names.contains_key(&uid) && self.read.is_none_or(|at| at.elapsed() > AGAIN) {
            self.names = parse(&fs::read("/etc/passwd").unwrap_or_default());
            self.read = Some(Instant::now());
        }
        self.names.get(&uid).cloned()
    }
}

fn parse(passwd: &[u8]) -> HashMap<u32, String> {
    let mut names = HashMap::new();
    for line in String::from_utf8_lossy(passwd).lines() {
        let mut fields = line.split(':');
        let (name, uid) = (fields.next(), fields.nth(1).and_then(|uid| uid.parse().ok()));
        if let (Some(name), Some(uid)) = (name, uid) {
            // The first of two names for one id is the one that the system uses.
            names.entry(uid).or_insert_with(|| name.to_owned());
        }
    }
    names
}
