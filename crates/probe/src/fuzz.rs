//! The decoder of what crosses from the kernel, for the fuzzer in `fuzz/`.
//!
//! Records come out of the rings only, and nothing else is to decode them: that is why this is not
//! documented. But a decoder that is fed by hostile programs must be tried with hostile bytes, and
//! those cannot be sent through a kernel.

use event::{Connect, Exec, Listen};

use crate::clock::Clock;
use crate::skel::types;
use crate::{decode, lineage};

/// Decodes an execution.
pub fn exec(bytes: &[u8], clock: &Clock) -> Option<Exec> {
    decode::exec(bytes, &[], clock).map(|decoded| decoded.exec)
}

/// Reads a piece of arguments.
pub fn piece(bytes: &[u8]) -> Option<Vec<u8>> {
    decode::piece(bytes).map(|(_, piece)| piece.to_vec())
}

/// Decodes a listener.
pub fn listen(bytes: &[u8], clock: &Clock) -> Option<Listen> {
    decode::listen(bytes, clock)
}

/// Decodes a connection.
pub fn connect(bytes: &[u8], clock: &Clock) -> Option<Connect> {
    decode::connect(bytes, clock)
}

/// Reads what a process ran, as the kernel remembers it: path and arguments.
pub fn image(bytes: &[u8]) -> Option<(Option<String>, Vec<String>)> {
    decode::read::<types::image>(bytes).map(|image| lineage::told(&image, false))
}

/// An execution as the kernel writes it. The tail: path, working directory, what was asked for,
/// interpreter, cgroup, cgroup of version 1, terminal, arguments.
pub fn exec_record(flags: u32, tail: [&[u8]; 8]) -> Vec<u8> {
    let len = |part: &[u8]| u32::try_from(part.len()).unwrap_or(u32::MAX);
    let [path, cwd, asked, interpreter, cgroup, cgroup_v1, tty, args] = tail.map(len);
    let head = types::exec_head {
        flags,
        pid: 4711,
        ppid: 1,
        boot_ns: 1_000_000_000,
        path_len: path,
        cwd_len: cwd,
        asked_len: asked,
        interpreter_len: interpreter,
        cgroup_len: cgroup,
        cgroup_v1_len: cgroup_v1,
        tty_len: tty,
        args_len: args,
        ..Default::default()
    };
    let mut record = decode::bytes_of(&head).to_vec();
    let [path, cwd, asked, interpreter, cgroup, cgroup_v1, tty, args] = tail;
    let parts = [path, asked, interpreter, args, cwd, cgroup, cgroup_v1, tty];
    parts.iter().for_each(|part| record.extend_from_slice(part));
    record
}

/// A listener as the kernel writes it.
pub fn listen_record(family: u16, port: u16, address: [u8; 16]) -> Vec<u8> {
    let record = types::listen_record { family, port, address, pid: 4711, ..Default::default() };
    decode::bytes_of(&record).to_vec()
}

/// A connection as the kernel writes it.
pub fn connect_record(kind: u16, family: u16, local: [u8; 16], peer: [u8; 16]) -> Vec<u8> {
    let record = types::connect_record {
        connection: types::connection { pid: 4711, began: 1_000_000_000, ..Default::default() },
        boot_ns: 2_000_000_000,
        kind,
        family,
        peer_port: 443,
        local,
        peer,
        ..Default::default()
    };
    decode::bytes_of(&record).to_vec()
}

/// What a process ran, as the kernel keeps it.
pub fn image_record(path: &[u8], args: &[u8]) -> Vec<u8> {
    let mut image = types::image::default();
    let name = path.rsplit(|b| *b == b'/').next().unwrap_or_default();
    put(&mut image.name, name);
    image.path_len = put(&mut image.path, path);
    image.args_len = put(&mut image.args, args);
    decode::bytes_of(&image).to_vec()
}

fn put(into: &mut [i8], bytes: &[u8]) -> u32 {
    into.iter_mut().zip(bytes).map(|(place, byte)| *place = byte.cast_signed()).count() as u32
}
