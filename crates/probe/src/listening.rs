//! What listened before picket: one pass over all open files.

use std::collections::{BTreeSet, HashSet};
use std::fs;

use event::{Listen, Listener, ProcessKey};

use crate::error::Error;
use crate::home::proc;
use crate::reader::LISTENER_PARENTS;
use crate::skel::types;
use crate::{Probe, cgroup, decode, procfs, seed};

/// Listeners that were there already.
#[derive(Debug, Default)]
pub struct Listening {
    /// Each with a process that has it open; one that several have is there for each of them.
    pub found: Vec<Listen>,
    /// Processes whose open files could not be seen.
    pub unseen: Vec<u32>,
}

pub(crate) fn all(probe: &Probe) -> Result<Listening, Error> {
    let bytes = seed::read(probe.skel.links.on_file.as_ref(), "iterator over open files")?;
    let size = size_of::<types::listen_record>();
    let records = bytes.chunks_exact(size);
    let mut all: Vec<Listen> =
        records.filter_map(|record| decode::listen(record, &probe.clock)).collect();
    let mut unseen = Vec::new();
    // Whom the kernel hides from the one iterator it hides from the other.
    for process in &probe.seeds.hidden {
        match of_hidden(*process) {
            Some(listeners) => {
                all.extend(listeners.into_iter().map(|l| listen(probe, *process, l)))
            }
            None => unseen.push(process.pid),
        }
    }
    let mut known = HashSet::new();
    let one = |l: &Listen| (l.key(), l.netns, l.listener.address.clone(), l.listener.port);
    all.retain(|listen| known.insert(one(listen)));
    for listen in &mut all {
        (listen.program, listen.parents) = probe.lineage().kin(listen.key(), LISTENER_PARENTS);
    }
    Ok(Listening { found: all, unseen })
}

fn listen(probe: &Probe, process: ProcessKey, listener: Listener) -> Listen {
    Listen {
        time: probe.clock.stamp(crate::Clock::boot_ns()),
        pid: process.pid,
        start_boot_ns: process.start_boot_ns,
        comm: decode::text(&procfs::comm(process.pid).unwrap_or_default()),
        netns: procfs::namespace(process.pid, "net"),
        cgroup: cgroup::id_of(process.pid).unwrap_or_default(),
        listener,
        ..Listen::default()
    }
}

/// The listeners of a process, from `/proc`. `None` where that may not be seen.
fn of_hidden(process: ProcessKey) -> Option<Vec<Listener>> {
    let pid = process.pid;
    let mut sockets = BTreeSet::new();
    for entry in fs::read_dir(proc(pid, "fd")).ok()?.flatten() {
        let link = fs::read_link(entry.path()).unwrap_or_default();
        let inode = link.to_str().and_then(|l| l.strip_prefix("socket:[")?.strip_suffix(']'));
        sockets.extend(inode.map(str::to_owned));
    }
    let mut found = Vec::new();
    for table in ["tcp", "tcp6"] {
        let text = fs::read_to_string(proc(pid, &format!("net/{table}"))).unwrap_or_default();
        let lines = text.lines().skip(1).filter_map(decode::listening_line);
        found.extend(lines.filter(|(inode, _)| sockets.contains(*inode)).map(|(_, at)| at));
    }
    procfs::is_still(pid, process.start_boot_ns).then_some(found)
}
