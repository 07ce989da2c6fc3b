//! Parents, looked up in the kernel's own memory of them.

use event::{Ancestor, ProcessKey};
use libbpf_rs::{MapCore, MapFlags};

use crate::clock::Clock;
use crate::decode;
use crate::procfs;
use crate::seed::Seeds;
use crate::skel::{ProbeSkel, types};

/// A chain longer than this is cut.
pub(crate) const LONGEST: usize = 64;
/// How often something that changes while it is read is read again.
const TRIES: usize = 16;

/// As in `wire.h`: an image of a process that ran before the hooks were on.
const SEEDED: u64 = 1 << 63;
/// The parent of a process whose parent nobody can tell. There is no such pid.
pub(crate) const NOBODY_KNOWS: u32 = u32::MAX;

/// The kernel's memory of processes, and what was learned of those that ran before.
#[derive(Clone, Copy)]
pub(crate) struct Lineage<'p> {
    pub(crate) skel: &'p ProbeSkel<'static>,
    pub(crate) seeds: &'p Seeds,
    pub(crate) clock: &'p Clock,
}

pub(crate) fn wire_key(process: ProcessKey) -> types::proc_key {
    types::proc_key { start: process.start_boot_ns, pid: process.pid, pad: 0 }
}

/// As `seeded_image` of the kernel side: what the image of a process that ran before is known by.
pub(crate) fn seeded_image(process: ProcessKey) -> u64 {
    SEEDED | (process.start_boot_ns ^ u64::from(process.pid) << 40)
}

/// Whether a reference is that of a process that ran before; so are the numbers of trees.
pub(crate) fn is_seeded(reference: u64) -> bool {
    reference & SEEDED != 0
}

impl Lineage<'_> {
    /// What is known of a process.
    ///
    /// The kernel uses the memory of an entry that is removed again at once. An entry that is
    /// there before and after, and the same, was that of this process in between.
    pub(crate) fn entry(&self, process: ProcessKey) -> Option<types::proc> {
        let key = wire_key(process);
        let look = || {
            let bytes =
                self.skel.maps.procs.lookup(decode::bytes_of(&key), MapFlags::ANY).ok()??;
            decode::read::<types::proc>(&bytes)
        };
        let mut before = look()?;
        for _ in 0..TRIES {
            let after = look()?;
            if decode::bytes_of(&before) == decode::bytes_of(&after) {
                return Some(after);
            }
            before = after;
        }
        None
    }

    /// An image, if what the reference says is still there.
    fn image(&self, reference: u64) -> Option<types::image> {
        if is_seeded(reference) {
            return self.seeds.get(reference).copied();
        }
        let slot = (reference & 0xffff_ffff).checked_sub(1)?;
        let slot = u32::try_from(slot).ok()?.to_ne_bytes();
        let look = || {
            let bytes = self.skel.maps.images.lookup(&slot, MapFlags::ANY).ok()??;
            decode::read::<types::image>(&bytes)
        };
        let image = look()?;
        // Looked at again: a slot that is taken for another image is marked first.
        let still = look()?;
        (still.taken & 0x7fff_ffff == reference >> 32).then_some(image)
    }

    /// The reference to what a process runs now.
    fn runs(process: ProcessKey, entry: &types::proc) -> u64 {
        match (entry.image, entry.born) {
            (0, 0) => seeded_image(process), // made by one that ran before, and before it was seen
            (0, born) => born,
            (image, _) => image,
        }
    }

    /// What a process runs now, and the reference to it.
    fn current(&self, process: ProcessKey) -> Option<(u64, types::image)> {
        for _ in 0..TRIES {
            let reference = Self::runs(process, &self.entry(process)?);
            if let Some(image) = self.image(reference) {
                return Some((reference, image));
            }
            if is_seeded(reference) {
                break; // that does not change
            }
        }
        None
    }

    /// The parents of a process, nearest first, as keys only.
    pub(crate) fn parents(&self, process: ProcessKey, most: usize) -> Vec<ProcessKey> {
        let mut found = Vec::new();
        let mut next = process;
        while found.len() < most
            && let Some(entry) = self.entry(next)
            && let Up::To(parent) = up(&entry)
        {
            next = parent;
            found.push(next);
        }
        found
    }

    /// What a process runs, by the name of the file.
    pub(crate) fn program(&self, process: ProcessKey) -> Option<String> {
        let name = decode::c_text(&self.current(process)?.1.name);
        (!name.is_empty()).then_some(name)
    }

    /// What a process runs, and those of its parents, nearest first, that run the same: a program
    /// that it executed instead does nothing on their behalf.
    pub(crate) fn kin(
        &self,
        process: ProcessKey,
        most: usize,
    ) -> (Option<String>, Vec<ProcessKey>) {
        let own = self.program(process);
        let other = |parent: &ProcessKey| {
            let theirs = self.program(*parent);
            own.is_some() && theirs.is_some() && theirs != own
        };
        let mut parents = self.parents(process, most);
        if let Some(end) = parents.iter().position(other) {
            parents.truncate(end);
        }
        (own, parents)
    }

    /// The parents of a process, nearest first, each with what it ran when it made the next one;
    /// and whether the chain is cut: there are more, or nobody knows.
    ///
    /// The kernel side knows who created the process; should it have forgotten, the parent that
    /// the record named is the way up, if there is one.
    pub(crate) fn ancestry(
        &self,
        process: ProcessKey,
        named: Option<ProcessKey>,
    ) -> (Vec<Ancestor>, bool) {
        let mut found = Vec::new();
        let mut next = process;
        let mut cut = false;
        if self.entry(process).is_none() {
            // The parent by now need not be the one that made it.
            cut = true;
            let Some(named) = named.filter(|named| named.pid != 0) else { return (found, cut) };
            found.push(self.ancestor(named, 0));
            next = named;
        }
        loop {
            let Some(entry) = self.entry(next) else { return (found, true) };
            match up(&entry) {
                Up::Top => return (found, cut),
                Up::To(parent) if found.len() < LONGEST => {
                    found.push(self.ancestor(parent, entry.born));
                    next = parent;
                }
                Up::To(_) | Up::Unknown => return (found, true),
            }
        }
    }

    /// One process of a chain, as the image says. Where that is not known, what it runs now.
    fn ancestor(&self, process: ProcessKey, born: u64) -> Ancestor {
        let entry = self.entry(process);
        let now = entry.as_ref().map(|entry| Self::runs(process, entry));
        let reference = if born == 0 { now } else { Some(born) };
        let moved_on = now != reference;
        let image = reference.and_then(|reference| self.image(reference));
        let alive = entry
            .map_or_else(|| procfs::is_still(process.pid, process.start_boot_ns), |e| e.alive != 0);
        let mut found = Ancestor {
            pid: process.pid,
            start: self.clock.stamp(process.start_boot_ns),
            start_boot_ns: process.start_boot_ns,
            alive,
            ..Ancestor::default()
        };
        // What a seeded process runs was asked already; that it could not be told stays so.
        let seeded = reference.is_some_and(is_seeded);
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

    /// What is kept of what a process runs, if it is remembered at all.
    pub(crate) fn memory(&self, process: ProcessKey) -> Option<Memory> {
        let (reference, image) = self.current(process)?;
        let seeded = is_seeded(reference);
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
}

/// Where the way up leads.
pub(crate) enum Up {
    To(ProcessKey),
    /// Nobody made it: the first process, and the kernel's own.
    Top,
    Unknown,
}

pub(crate) fn up(entry: &types::proc) -> Up {
    match entry.parent.pid {
        0 => Up::Top,
        NOBODY_KNOWS => Up::Unknown,
        pid => Up::To(ProcessKey { pid, start_boot_ns: entry.parent.start }),
    }
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
