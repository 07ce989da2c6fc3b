//! All processes that lineage keeps, read in one go: who of them lives, and from whom they descend.

use std::collections::HashMap;
use std::os::fd::{AsFd, AsRawFd};

use event::ProcessKey;
use libbpf_rs::{Map, libbpf_sys};

use crate::Probe;
use crate::error::Error;
use crate::lineage::{LONGEST, Up, up};
use crate::skel::types;

/// Entries that are read at a time.
const BATCH: u32 = 4096;

impl Probe {
    /// The living processes of which this holds, each with what the kernel calls it. It is asked with
    /// a process and those that it descends from, nearest first, as far as they are known.
    pub fn living(
        &self,
        holds: impl Fn(&[ProcessKey]) -> bool,
    ) -> Result<Vec<(ProcessKey, String)>, Error> {
        let mut kept = HashMap::new();
        each(&self.skel.maps.procs, |process, proc| {
            let parent = match up(proc) {
                Up::To(parent) => Some(parent),
                Up::Top | Up::Unknown => None,
            };
            kept.insert(process, (parent, proc.alive != 0));
        })?;
        let mut found = Vec::new();
        for process in kept.iter().filter(|(_, (_, alive))| *alive).map(|(process, _)| *process) {
            let parent = |process: &ProcessKey| kept.get(process).and_then(|(parent, _)| *parent);
            let chain = std::iter::successors(Some(process), parent).take(LONGEST);
            if holds(&chain.collect::<Vec<_>>()) {
                let comm = self.lineage().memory(process).map(|memory| memory.comm);
                found.push((process, comm.unwrap_or_default()));
            }
        }
        found.sort();
        Ok(found)
    }
}

/// Tells of every entry. Of those that come and go meanwhile it may tell or not.
pub(crate) fn each(
    map: &Map<'_>,
    mut tell: impl FnMut(ProcessKey, &types::proc),
) -> Result<(), Error> {
    let mut keys = vec![types::proc_key::default(); BATCH as usize];
    let mut values = vec![types::proc::default(); BATCH as usize];
    // Where the next batch begins, in the kernel's words.
    let mut at = [0_u8; size_of::<types::proc_key>()];
    let mut next = at;
    let mut first = true;
    loop {
        let mut count = BATCH;
        let from = if first { std::ptr::null_mut() } else { at.as_mut_ptr().cast() };
        // SAFETY: there is room for as many keys and values as `count` says, and for a place as
        // large as a key; all are plain memory.
        let error = unsafe {
            libbpf_sys::bpf_map_lookup_batch(
                map.as_fd().as_raw_fd(),
                from,
                next.as_mut_ptr().cast(),
                keys.as_mut_ptr().cast(),
                values.as_mut_ptr().cast(),
                &raw mut count,
                std::ptr::null(),
            )
        };
        let last = error == -libc::ENOENT;
        if error == -libc::EINTR {
            continue;
        }
        if error != 0 && !last {
            let error = libbpf_rs::Error::from_raw_os_error(-error);
            return Err(Error::map("list the processes that are kept", &error));
        }
        for (key, proc) in keys.iter().zip(&values).take(count as usize) {
            tell(ProcessKey { pid: key.pid, start_boot_ns: key.start }, proc);
        }
        if last {
            return Ok(());
        }
        at = next;
        first = false;
    }
}
