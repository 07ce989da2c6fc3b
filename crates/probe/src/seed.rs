//! What ran before picket: one pass over all tasks, completed from `/proc`.

use std::collections::BTreeSet;
use std::io::Read;

use libbpf_rs::{Iter, MapCore, MapFlags};

use crate::decode;
use crate::error::Error;
use crate::procfs;
use crate::skel::{ProbeSkel, types};

/// Runs the task iterator and keeps what each process runs. Returns how many were learned.
pub(crate) fn run(skel: &ProbeSkel<'_>) -> Result<usize, Error> {
    let link = skel.links.on_task.as_ref().ok_or_else(|| Error::Load {
        what: "attach".to_owned(),
        why: "the task iterator has no link".to_owned(),
        again: false,
    })?;
    let mut bytes = Vec::with_capacity(64 << 10);
    Iter::new(link)
        .map_err(|e| Error::map("start the task iterator", &e))?
        .read_to_end(&mut bytes)
        .map_err(|e| Error::Map { what: "read the task iterator".into(), why: e.to_string() })?;
    let size = size_of::<types::seed_record>();
    let seeds: Vec<types::seed_record> =
        bytes.chunks_exact(size).filter_map(decode::read).collect();
    for seed in &seeds {
        keep(skel, seed)?;
    }
    let unseen = unseen_parents(&seeds);
    for parent in &unseen {
        add(skel, *parent)?;
    }
    Ok(seeds.len() + unseen.len())
}

/// Parents that the iterator named but did not hand out: some kernels hide the first process.
fn unseen_parents(seeds: &[types::seed_record]) -> BTreeSet<(u32, u64)> {
    let key = |key: &types::proc_key| (key.pid, key.start);
    let seen: BTreeSet<_> = seeds.iter().map(|seed| key(&seed.key)).collect();
    let parents: BTreeSet<_> = seeds.iter().map(|seed| key(&seed.parent)).collect();
    parents.difference(&seen).filter(|(pid, _)| *pid != 0).copied().collect()
}

fn add(skel: &ProbeSkel<'_>, (pid, start): (u32, u64)) -> Result<(), Error> {
    let key = types::proc_key { start, pid, pad: 0 };
    let image = (1 << 63 | start) ^ u64::from(pid) << 40;
    let proc = types::proc { image, keep: 1, ..Default::default() };
    let put =
        skel.maps.procs.update(decode::bytes_of(&key), decode::bytes_of(&proc), MapFlags::NO_EXIST);
    if put.is_err() {
        return Ok(()); // a hook was faster
    }
    let mut seed = types::seed_record { key, image, ..Default::default() };
    put_chars(&mut seed.comm[..15], &procfs::comm(pid).unwrap_or_default());
    keep(skel, &seed)
}

fn keep(skel: &ProbeSkel<'_>, seed: &types::seed_record) -> Result<(), Error> {
    let mut image = types::image { comm: seed.comm, ..Default::default() };
    // A kernel thread has neither; a process that just ended has nothing to tell.
    let path = procfs::exe(seed.key.pid).unwrap_or_default();
    let args = procfs::cmdline(seed.key.pid).unwrap_or_default();
    image.path_len = put_chars(&mut image.path, path.as_bytes());
    image.args_len = put_chars(&mut image.args, &args);
    skel.maps
        .images
        .update(&seed.image.to_ne_bytes(), decode::bytes_of(&image), MapFlags::ANY)
        .map_err(|e| Error::map("keep what a running process runs", &e))
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
