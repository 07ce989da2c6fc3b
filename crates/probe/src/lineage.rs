//! Parents, looked up in the kernel's own memory of them.

use event::{Ancestor, ProcessKey};
use libbpf_rs::{MapCore, MapFlags};

use crate::clock::Clock;
use crate::decode;
use crate::procfs;
use crate::skel::{ProbeSkel, types};

/// A chain longer than this is cut.
const LONGEST: usize = 64;

fn key(process: ProcessKey) -> types::proc_key {
    types::proc_key { start: process.start_boot_ns, pid: process.pid, pad: 0 }
}

fn proc(skel: &ProbeSkel<'_>, process: ProcessKey) -> Option<types::proc> {
    let bytes = skel.maps.procs.lookup(decode::bytes_of(&key(process)), MapFlags::ANY).ok()??;
    decode::read(&bytes)
}

/// The parents of a process, nearest first, as keys only.
pub(crate) fn parents(skel: &ProbeSkel<'_>, process: ProcessKey, most: usize) -> Vec<ProcessKey> {
    let mut found = Vec::new();
    let mut next = process;
    while found.len() < most
        && let Some(entry) = proc(skel, next)
        && entry.parent.pid != 0
    {
        next = ProcessKey { pid: entry.parent.pid, start_boot_ns: entry.parent.start };
        found.push(next);
    }
    found
}

/// The parents of a process, nearest first, with what each runs.
///
/// The lineage map knows who created the process; should it have forgotten, the parent that the
/// kernel named in the record is the way up.
pub(crate) fn ancestry(
    skel: &ProbeSkel<'_>,
    clock: &Clock,
    process: ProcessKey,
    named: ProcessKey,
) -> Vec<Ancestor> {
    let mut chain = parents(skel, process, LONGEST);
    if chain.is_empty() && named.pid != 0 {
        chain.push(named);
        chain.extend(parents(skel, named, LONGEST - 1));
    }
    chain.into_iter().map(|parent| ancestor(skel, clock, parent)).collect()
}

fn ancestor(skel: &ProbeSkel<'_>, clock: &Clock, process: ProcessKey) -> Ancestor {
    let entry = proc(skel, process);
    let image = entry.and_then(|e| {
        let id = e.image.to_ne_bytes();
        decode::read::<types::image>(&skel.maps.images.lookup(&id, MapFlags::ANY).ok()??)
    });
    let alive = entry
        .map_or_else(|| procfs::is_still(process.pid, process.start_boot_ns), |e| e.exited == 0);
    let mut found = Ancestor {
        pid: process.pid,
        start: clock.stamp(process.start_boot_ns),
        alive,
        ..Ancestor::default()
    };
    // What a seeded process runs was asked already; that it could not be told does not change.
    let ask = match &image {
        None => true,
        Some(image) => image.path_len > 1 && image.path[0] != b'/'.cast_signed(),
    };
    if let Some(image) = image {
        found.comm = decode::c_text(&image.comm);
        let path = cut(&image.path, image.path_len);
        let path = path.split(|b| *b == 0).next().unwrap_or_default();
        found.exe = (!path.is_empty()).then(|| decode::text(path));
        let args = cut(&image.args, image.args_len);
        found.args = decode::arguments(&args, !args.ends_with(&[0]));
    }
    if alive && ask && procfs::is_still(process.pid, process.start_boot_ns) {
        found.exe = procfs::exe(process.pid).or(found.exe);
        if found.args.is_empty() {
            let args = procfs::cmdline(process.pid).unwrap_or_default();
            found.args = decode::arguments(&args, false);
        }
        if found.comm.is_empty() {
            found.comm = decode::text(&procfs::comm(process.pid).unwrap_or_default());
        }
    }
    found
}

#[expect(clippy::cast_sign_loss, reason = "C characters are bytes")]
fn cut(chars: &[i8], len: u32) -> Vec<u8> {
    chars.iter().take(len as usize).map(|c| *c as u8).collect()
}
