//! What ran before picket: one pass over all tasks, completed from `/proc`.

use std::collections::{BTreeSet, HashMap};
use std::io::Read;

use event::ProcessKey;
use libbpf_rs::{Iter, Link, MapCore, MapFlags};

use crate::decode;
use crate::error::Error;
use crate::lineage::{NOBODY_KNOWS, seeded_image, wire_key};
use crate::procfs;
use crate::skel::{ProbeSkel, types};

/// How the kernel marks a file that has no name any more.
const DELETED: &[u8] = b" (deleted)";

/// What the processes run that ran before, by the references that the kernel's lineage has to it.
#[derive(Default)]
pub(crate) struct Seeds {
    images: HashMap<u64, Box<types::image>>,
    /// Those that were named as parents, and that the kernel hides from its iterators.
    pub(crate) hidden: Vec<ProcessKey>,
    /// How many processes were learned of.
    pub(crate) processes: usize,
}

impl Seeds {
    pub(crate) fn get(&self, reference: u64) -> Option<&types::image> {
        self.images.get(&reference).map(|image| &**image)
    }

    /// Runs the task iterator and keeps what each process runs.
    pub(crate) fn sow(skel: &ProbeSkel<'_>) -> Result<Self, Error> {
        let bytes = read(skel.links.on_task.as_ref(), "task iterator")?;
        let size = size_of::<types::seed_record>();
        let found: Vec<types::seed_record> =
            bytes.chunks_exact(size).filter_map(decode::read).collect();
        let mut seeds = Self::default();
        for seed in &found {
            seeds.keep(seed);
        }
        let unseen = unseen_parents(&found);
        for parent in &unseen {
            seeds.add(skel, *parent);
        }
        seeds.processes = found.len() + unseen.len();
        seeds.hidden = unseen.into_iter().collect();
        Ok(seeds)
    }

    fn add(&mut self, skel: &ProbeSkel<'_>, process: ProcessKey) {
        let key = wire_key(process);
        // The first process has no parent. Of another one that is hidden from us, nobody can tell.
        let parent = if process.pid == 1 { 0 } else { NOBODY_KNOWS };
        let proc = types::proc {
            parent: types::proc_key { pid: parent, ..Default::default() },
            alive: process.start_boot_ns + 1,
            image: seeded_image(process),
            keep: 1,
            tree: seeded_image(process),
            ..Default::default()
        };
        let (map, key_bytes) = (&skel.maps.procs, decode::bytes_of(&key));
        if map.update(key_bytes, decode::bytes_of(&proc), MapFlags::NO_EXIST).is_err() {
            return; // a hook was faster
        }
        let mut seed = types::seed_record { key, ..Default::default() };
        put_chars(&mut seed.comm[..15], &procfs::comm(process.pid).unwrap_or_default());
        self.keep(&seed);
    }

    /// Keeps what a process runs, as `/proc` tells it.
    fn keep(&mut self, seed: &types::seed_record) {
        let process = key(&seed.key);
        let mut image = types::image { comm: seed.comm, ..Default::default() };
        // A kernel thread has neither; a process that just ended has nothing to tell, and another
        // that has its pid by now has nothing to say for it.
        let path = procfs::exe(process.pid).unwrap_or_default();
        let args = procfs::cmdline(process.pid).unwrap_or_default();
        if procfs::is_still(process.pid, process.start_boot_ns) {
            let path = path.as_bytes();
            let name = path.strip_suffix(DELETED).unwrap_or(path);
            let name = name.rsplit(|b| *b == b'/').next().unwrap_or_default();
            let last = image.name.len() - 1;
            put_chars(&mut image.name[..last], name);
            image.path_len = put_chars(&mut image.path, path);
            image.args_len = put_chars(&mut image.args, &args);
        }
        self.images.insert(seeded_image(process), Box::new(image));
    }
}

/// Everything that an iterator has to say.
pub(crate) fn read(link: Option<&Link>, what: &str) -> Result<Vec<u8>, Error> {
    let link = link.ok_or_else(|| Error::Load {
        what: "attach".to_owned(),
        why: format!("the {what} has no link"),
        again: false,
    })?;
    let mut bytes = Vec::with_capacity(64 << 10);
    Iter::new(link)
        .map_err(|e| Error::map(&format!("start the {what}"), &e))?
        .read_to_end(&mut bytes)
        .map_err(|e| Error::Map { what: format!("read the {what}"), why: e.to_string() })?;
    Ok(bytes)
}

fn key(key: &types::proc_key) -> ProcessKey {
    ProcessKey { pid: key.pid, start_boot_ns: key.start }
}

/// Parents that the iterator named but did not hand out: some kernels hide the first process.
fn unseen_parents(seeds: &[types::seed_record]) -> BTreeSet<ProcessKey> {
    let seen: BTreeSet<_> = seeds.iter().map(|seed| key(&seed.key)).collect();
    let parents: BTreeSet<_> = seeds.iter().map(|seed| key(&seed.parent)).collect();
    parents.difference(&seen).filter(|parent| parent.pid != 0).copied().collect()
}

#[expect(clippy::cast_possible_wrap, reason = "C characters are bytes")]
fn put_chars(into: &mut [i8], bytes: &[u8]) -> u32 {
    let mut len = 0;
    for (place, byte) in into.iter_mut().zip(bytes) {
        *place = *byte as i8;
        len += 1;
    }
    len
}
