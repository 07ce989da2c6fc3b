//! Names of users, from `/etc/passwd`.

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::time::{Duration, Instant};

use event::Process;

/// A user that is not there may just have been made, but a flood of unknown ids must not read
/// the file each time.
const AGAIN: Duration = Duration::from_secs(10);

/// Knows users by their ids.
#[derive(Debug, Default)]
pub(crate) struct Users {
    names: HashMap<u32, String>,
    read: Option<Instant>,
    /// picket's own user and pid namespaces.
    own: Option<(u32, u32)>,
}

impl Users {
    /// The name of a process's user, if this machine has one of that id. A process in other
    /// namespaces (a container) has users of its own, whom this machine does not know.
    pub(crate) fn name(&mut self, process: &Process) -> Option<String> {
        let own = *self.own.get_or_insert_with(|| (namespace("user"), namespace("pid")));
        if (process.namespaces.user, process.namespaces.pid) != own {
            return None;
        }
        let uid = process.uid;
        if !self.names.contains_key(&uid) && self.read.is_none_or(|at| at.elapsed() > AGAIN) {
            self.names = parse(&fs::read("/etc/passwd").unwrap_or_default());
            self.read = Some(Instant::now());
        }
        self.names.get(&uid).cloned()
    }
}

/// The inode number of one of our own namespaces.
fn namespace(kind: &str) -> u32 {
    let inode = fs::metadata(format!("/proc/self/ns/{kind}")).map(|meta| meta.ino());
    inode.ok().and_then(|inode| u32::try_from(inode).ok()).unwrap_or(0)
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
