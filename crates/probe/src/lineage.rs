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

/// Whether the exit hook took note of a process.
pub(crate) fn has_ended(skel: &ProbeSkel<'_>, process: ProcessKey) -> bool {
    proc(skel, process).is_none_or(|entry| entry.exited != 0)
}

/// What a process runs, by the name of the file.
fn program(skel: &ProbeSkel<'_>, process: ProcessKey) -> Option<String> {
    let entry = proc(skel, process)?;
    let bytes = skel.maps.images.lookup(&entry.image.to_ne_bytes(), MapFlags::ANY).ok()??;
    let name = decode::c_text(&decode::read::<types::image>(&bytes)?.name);
    (!name.is_empty()).then_some(name)
}

/// What a process runs, and those of its parents, nearest first, that run the same: a program that
/// it executed instead does nothing on their behalf.
pub(crate) fn kin(
    skel: &ProbeSkel<'_>,
    process: ProcessKey,
    most: usize,
) -> (Option<String>, Vec<ProcessKey>) {
    let own = program(skel, process);
    let other = |parent: &ProcessKey| {
        let theirs = program(skel, *parent);
        own.is_some() && theirs.is_some() && theirs != own
    };
    let mut parents = parents(skel, process, most);
    if let Some(end) = parents.iter().position(other) {
        parents.truncate(end);
    }
    (own, parents)
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
    parent_image: u64,
) -> Vec<Ancestor> {
    let mut chain = parents(skel, process, LONGEST);
    if chain.is_empty() && named.pid != 0 {
        chain.push(named);
        chain.extend(parents(skel, named, LONGEST - 1));
    }
    let image = |at| if at == 0 && parent_image != 0 { Some(parent_image) } else { None };
    chain.into_iter().zip(0..).map(|(key, at)| ancestor(skel, clock, key, image(at))).collect()
}

/// One process of a chain. Which image it ran, the record says of the parent; of those further up
/// what they run by now is taken.
fn ancestor(
    skel: &ProbeSkel<'_>,
    clock: &Clock,
    process: ProcessKey,
    image: Option<u64>,
) -> Ancestor {
    let entry = proc(skel, process);
    let id = image.or(entry.map(|e| e.image));
    let moved_on = entry.is_some_and(|e| Some(e.image) != id);
    let image = id.and_then(|id| image_of(skel, id));
    let alive = entry
        .map_or_else(|| procfs::is_still(process.pid, process.start_boot_ns), |e| e.exited == 0);
    let mut found = Ancestor {
        pid: process.pid,
        start: clock.stamp(process.start_boot_ns),
        alive,
        ..Ancestor::default()
    };
    // What a seeded process runs was asked already; that it could not be told does not change.
    let seeded = id.is_some_and(is_seeded);
    if let Some(image) = &image {
        found.comm = decode::c_text(&image.comm);
        (found.exe, found.args) = told(image, seeded);
    }
    let ask = !moved_on && (image.is_none() || (found.exe.is_none() && !seeded));
    if alive && ask && procfs::is_still(process.pid, process.start_boot_ns) {
        found.exe = procfs::exe(process.pid);
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

fn image_of(skel: &ProbeSkel<'_>, id: u64) -> Option<types::image> {
    decode::read(&skel.maps.images.lookup(&id.to_ne_bytes(), MapFlags::ANY).ok()??)
}

/// Images that user space numbered: of processes that ran before the hooks were on.
fn is_seeded(id: u64) -> bool {
    id >> 63 == 1
}

/// What is kept of what a process runs.
pub(crate) struct Memory {
    pub(crate) comm: String,
    /// The name of the file, cut.
    pub(crate) name: String,
    /// The path of the file, where it is certain.
    pub(crate) path: Option<String>,
    /// The path that was asked for, cut. Nothing where nobody saw it asked for.
    pub(crate) asked: Option<String>,
    /// The first arguments.
    pub(crate) args: Vec<String>,
    /// Whether there may have been more of them.
    pub(crate) args_cut: bool,
    /// Whether it was found running, not seen starting.
    pub(crate) seeded: bool,
}

/// What is kept of what a process runs, if it is remembered at all.
pub(crate) fn memory(skel: &ProbeSkel<'_>, process: ProcessKey) -> Option<Memory> {
    let id = proc(skel, process)?.image;
    let image = image_of(skel, id)?;
    let seeded = is_seeded(id);
    let args = cut(&image.args, image.args_len);
    let args_cut = args.len() == image.args.len();
    let asked = cut(&image.path, image.path_len);
    let asked = decode::text(asked.split(|b| *b == 0).next().unwrap_or_default());
    Some(Memory {
        comm: decode::c_text(&image.comm),
        name: decode::c_text(&image.name),
        path: path_of(&image, seeded),
        asked: (!seeded && !asked.is_empty()).then_some(asked),
        args: decode::arguments(&args, args_cut),
        args_cut,
        seeded,
    })
}

/// The path and the arguments that an image tells.
pub(crate) fn told(image: &types::image, seeded: bool) -> (Option<String>, Vec<String>) {
    let args = cut(&image.args, image.args_len);
    (path_of(image, seeded), decode::arguments(&args, !args.ends_with(&[0])))
}

/// The path of an image, if it is known to be that of the file. Only what was asked for was kept:
/// a relative path, a descriptor, a link of another name or half a path say nothing for sure.
fn path_of(image: &types::image, seeded: bool) -> Option<String> {
    let path = cut(&image.path, image.path_len);
    let whole = path.len() < image.path.len();
    let path = decode::text(path.split(|b| *b == 0).next().unwrap_or_default());
    let name = path.rsplit('/').next().unwrap_or_default();
    let cut_name: String = name.chars().take(image.name.len() - 1).collect();
    let same = seeded || decode::c_text(&image.name) == cut_name;
    (whole && same && path.starts_with('/')).then_some(path)
}

#[expect(clippy::cast_sign_loss, reason = "C characters are bytes")]
fn cut(chars: &[i8], len: u32) -> Vec<u8> {
    chars.iter().take(len as usize).map(|c| *c as u8).collect()
}
