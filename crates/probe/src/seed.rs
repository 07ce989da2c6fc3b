//! What ran before picket: one pass over all tasks, completed from `/proc`.

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
    })?;
    let mut bytes = Vec::new();
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
    Ok(seeds.len())
}

fn keep(skel: &ProbeSkel<'_>, seed: &types::seed_record) -> Result<(), Error> {
    let mut image = types::image { comm: seed.comm, ..Default::default() };
    // A kernel thread has neither; a process that just ended has nothing to tell.
    let path = procfs::exe(seed.key.pid).unwrap_or_default();
    let args = procfs::cmdline(seed.key.pid).unwrap_or_default();
    image.path_len = put(&mut image.path, path.as_bytes());
    image.args_len = put(&mut image.args, &args);
    skel.maps
        .images
        .update(&seed.image.to_ne_bytes(), decode::bytes_of(&image), MapFlags::ANY)
        .map_err(|e| Error::map("keep what a running process runs", &e))
}

#[expect(clippy::cast_possible_wrap, reason = "C characters are bytes")]
fn put(into: &mut [i8], bytes: &[u8]) -> u32 {
    let mut len = 0;
    for (place, byte) in into.iter_mut().zip(bytes) {
        *place = *byte as i8;
        len += 1;
    }
    len
}
