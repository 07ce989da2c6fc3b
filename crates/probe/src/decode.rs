//! From the kernel's bytes to events. Nothing in a record is trusted: every length is checked,
//! and no byte becomes a Rust enum.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use event::{
    Connect, Endpoint, Exec, Executable, FileId, Listen, Listener, Namespaces, Process, ProcessKey,
    Stamp, Tree,
};

use crate::clock::Clock;
use crate::place;
use crate::procfs::ARGS_LEN;
use crate::skel::types;

// As in `wire.h`.
const EXEC_TTY: u32 = 1 << 0;
const EXEC_DELETED: u32 = 1 << 1;
const EXEC_MEMFD: u32 = 1 << 2;
const EXEC_SCRIPT: u32 = 1 << 3;
const EXEC_ARGS_TRUNCATED: u32 = 1 << 4;
const EXEC_ARGS_UNREADABLE: u32 = 1 << 5;
const EXEC_PATH_TRUNCATED: u32 = 1 << 6;
const EXEC_CWD_TRUNCATED: u32 = 1 << 7;
const EXEC_OVERLAY: u32 = 1 << 8;
const EXEC_THIN: u32 = 1 << 9;
const EXEC_CGROUP_TRUNCATED: u32 = 1 << 10;
const WHY_UNKNOWN: u32 = 3;
const AF_INET: u16 = 2;
const AF_INET6: u16 = 10;
const CONNECT_BEGAN: u16 = 1;
const CONNECT_ENDED: u16 = 2;
const CONNECT_FAILED: u16 = 3;

/// Types of the wire: plain integers and arrays of them, without padding that matters.
///
/// # Safety
/// Every bit pattern must be a value of the type.
pub(crate) unsafe trait Wire: Copy + Default {}
// SAFETY: integers and arrays of integers only.
unsafe impl Wire for types::exec_head {}
// SAFETY: as above.
unsafe impl Wire for types::listen_record {}
// SAFETY: as above.
unsafe impl Wire for types::answer_record {}
// SAFETY: as above.
unsafe impl Wire for types::connect_record {}
// SAFETY: as above.
unsafe impl Wire for types::suspect_key {}
// SAFETY: as above.
unsafe impl Wire for types::suspect {}
// SAFETY: as above.
unsafe impl Wire for types::seed_record {}
// SAFETY: as above.
unsafe impl Wire for types::counters {}
// SAFETY: as above.
unsafe impl Wire for types::proc {}
// SAFETY: as above.
unsafe impl Wire for types::proc_key {}
// SAFETY: as above.
unsafe impl Wire for types::image {}
// SAFETY: as above.
unsafe impl Wire for types::file_key {}

/// Reads a wire type from the beginning of a slice, if it is long enough.
pub(crate) fn read<T: Wire>(bytes: &[u8]) -> Option<T> {
    if bytes.len() < size_of::<T>() {
        return None;
    }
    // SAFETY: long enough, any alignment is allowed, and `Wire` says any bits will do.
    Some(unsafe { bytes.as_ptr().cast::<T>().read_unaligned() })
}

/// The bytes of a wire type.
pub(crate) fn bytes_of<T: Wire>(value: &T) -> &[u8] {
    // SAFETY: `Wire` types are plain memory, and the slice lives as long as the value.
    unsafe { std::slice::from_raw_parts(std::ptr::from_ref(value).cast(), size_of::<T>()) }
}

/// A decoded execution, with what only this crate needs to know of it.
pub(crate) struct Decoded {
    pub(crate) exec: Exec,
    pub(crate) parent: ProcessKey,
    pub(crate) unknown_file: bool,
    /// Its arguments are worth a look into `/proc`.
    pub(crate) args_wanted: bool,
}

/// A piece of arguments: the CPU and number of the record it belongs to, and its bytes.
pub(crate) fn piece(bytes: &[u8]) -> Option<((u32, u64), &[u8])> {
    let number = |at: usize, len: usize| bytes.get(at..at + len);
    let seq = u64::from_ne_bytes(number(0, 8)?.try_into().ok()?);
    let cpu = u32::from_ne_bytes(number(8, 4)?.try_into().ok()?);
    let len = u32::from_ne_bytes(number(12, 4)?.try_into().ok()?);
    Some(((cpu, seq), bytes.get(16..)?.get(..len as usize)?))
}

/// The CPU and number of an execution; `None` if the bytes are none.
pub(crate) fn number(bytes: &[u8]) -> Option<(u32, u64)> {
    let head: types::exec_head = read(bytes)?;
    Some((head.cpu, head.seq))
}

/// Decodes an execution; `None` if the bytes are none. `rest`: its arguments beyond those that the
/// record holds, as far as they came.
pub(crate) fn exec(bytes: &[u8], rest: &[u8], clock: &Clock) -> Option<Decoded> {
    let head: types::exec_head = read(bytes)?;
    let mut tail = bytes.get(size_of::<types::exec_head>()..)?;
    let mut take = |len: u32| {
        let (part, rest) = tail.split_at_checked(len as usize)?;
        tail = rest;
        Some(part)
    };
    let path = whole_components(take(head.path_len)?);
    let asked = take(head.asked_len)?;
    let interpreter = take(head.interpreter_len)?;
    let args = take(head.args_len)?;
    let cwd = take(head.cwd_len)?;
    let (cgroup, cgroup_v1) = (take(head.cgroup_len)?, take(head.cgroup_v1_len)?);
    let tty = take(head.tty_len)?;
    // Of a record that was thinned after its pieces were sent, a part in the middle is missing.
    let rest = if head.flags & EXEC_THIN == 0 { rest } else { &[] };
    let args = [args, rest].concat();

    let has = |flag| head.flags & flag != 0;
    let memfd = has(EXEC_MEMFD);
    // Whole if all that was sent came, and if that was all there was.
    let whole =
        rest.len() == head.more_args as usize && args.len() as u64 == u64::from(head.all_args);
    let cut = has(EXEC_ARGS_TRUNCATED) && !whole;
    // What was cut for want of room may be had elsewhere; what is too long may not.
    let args_wanted = has(EXEC_ARGS_UNREADABLE) || (cut && u64::from(head.all_args) < ARGS_LEN);
    let changed_ns = head
        .file
        .changed_sec
        .saturating_mul(1_000_000_000)
        .saturating_add(i64::from(head.file.changed_nsec));
    let key = ProcessKey { pid: head.pid, start_boot_ns: head.start };
    let (cgroup_path, cgroup_v1_path) =
        place::cgroups(path_text(cgroup, false), path_text(cgroup_v1, false));
    let exec = Exec {
        time: clock.stamp(head.boot_ns),
        seq: head.seq,
        cpu: head.cpu,
        boot_ns: head.boot_ns,
        seeded: false,
        ci: None,
        process: Process {
            pid: key.pid,
            start: clock.stamp(key.start_boot_ns),
            start_boot_ns: key.start_boot_ns,
            ppid: head.ppid,
            uid: head.uid,
            user: None,
            gid: head.gid,
            session: head.session,
            tty: has(EXEC_TTY),
            tty_name: place::tty(&first_text(tty)),
            cgroup: head.cgroup,
            cgroup_path,
            cgroup_v1_path,
            cgroup_path_truncated: has(EXEC_CGROUP_TRUNCATED),
            namespaces: Namespaces {
                mnt: head.mnt_ns,
                pid: head.pid_ns,
                net: head.net_ns,
                user: head.user_ns,
            },
            comm: c_text(&head.comm),
            cwd: (!has(EXEC_CWD_TRUNCATED)).then(|| path_text(cwd, false)),
            args: arguments(&args, cut),
            args_truncated: cut || has(EXEC_ARGS_UNREADABLE),
            invoked_as: first_text(asked),
            interpreter: has(EXEC_SCRIPT).then(|| first_text(interpreter)),
            exe: Executable {
                path: path_text(path, memfd),
                path_truncated: has(EXEC_PATH_TRUNCATED),
                device: device(head.file.device),
                inode: head.file.inode,
                generation: head.file.generation,
                changed: Stamp::from_unix_nanos(changed_ns),
                size: head.file.size,
                mode: head.mode,
                links: head.links,
                sha256: None,
                build_id: None,
                deleted: has(EXEC_DELETED),
                memfd,
                package: None,
                intact: None,
                content: None,
            },
            target: None,
        },
        ancestry: Vec::new(),
        ancestry_truncated: false,
        listen: Vec::new(),
        file: Some(FileId {
            device: head.file.device,
            generation: head.file.generation,
            inode: head.file.inode,
            changed_ns,
            size: head.file.size,
            filesystem: head.filesystem,
            overlay: has(EXEC_OVERLAY),
        }),
        tree: Tree { id: head.tree, outer: head.outer },
    };
    Some(Decoded {
        exec,
        parent: ProcessKey { pid: head.ppid, start_boot_ns: head.parent_start },
        unknown_file: head.why == WHY_UNKNOWN,
        args_wanted,
    })
}

/// Decodes a listener; `None` if the bytes are none.
pub(crate) fn listen(bytes: &[u8], clock: &Clock) -> Option<Listen> {
    let r: types::listen_record = read(bytes)?;
    Some(Listen {
        time: clock.stamp(r.boot_ns),
        seq: r.seq,
        cpu: r.cpu,
        pid: r.pid,
        start_boot_ns: r.start,
        comm: c_text(&r.comm),
        program: None,
        parents: Vec::new(),
        netns: r.net_ns,
        cgroup: r.cgroup,
        listener: Listener {
            address: address(r.family, r.address).to_string(),
            port: r.port,
            protocol: "tcp".to_owned(),
        },
        may_serve: false,
        tree: Tree { id: r.tree, outer: r.outer },
    })
}

/// Decodes a connection; `None` if the bytes are none.
pub(crate) fn connect(bytes: &[u8], clock: &Clock) -> Option<Connect> {
    let r: types::connect_record = read(bytes)?;
    let (ended, established) = match r.kind {
        CONNECT_BEGAN => (false, false),
        CONNECT_ENDED => (true, true),
        CONNECT_FAILED => (true, false),
        _ => return None,
    };
    if r.family != AF_INET && r.family != AF_INET6 {
        return None;
    }
    // What is reached by IPv4 is told so, whatever the socket was made for.
    let side = |of: [u8; 16], port| Endpoint {
        address: address(r.family, of).to_canonical().to_string(),
        port,
        protocol: "tcp".to_owned(),
    };
    let of = r.connection;
    Some(Connect {
        time: clock.stamp(r.boot_ns),
        seq: r.seq,
        cpu: r.cpu,
        began_boot_ns: of.began,
        pid: of.pid,
        start_boot_ns: of.start,
        comm: c_text(&of.comm),
        program: None,
        parents: Vec::new(),
        netns: of.net_ns,
        local: side(r.local, r.local_port),
        peer: side(r.peer, r.peer_port),
        repeats: of.repeats,
        ended,
        established: ended.then_some(established),
        bytes_sent: ended.then_some(r.sent),
        bytes_received: ended.then_some(r.received),
        duration_us: ended.then(|| r.boot_ns.saturating_sub(of.began) / 1000),
        tree: Tree { id: of.tree, outer: of.tree },
    })
}

fn address(family: u16, bytes: [u8; 16]) -> IpAddr {
    if family == AF_INET6 {
        return Ipv6Addr::from(bytes).into();
    }
    let [a, b, c, d, ..] = bytes;
    Ipv4Addr::new(a, b, c, d).into()
}

/// A listener and the inode of its socket, from a line of `/proc/net/tcp` or `tcp6`.
pub(crate) fn listening_line(line: &str) -> Option<(&str, Listener)> {
    let mut fields = line.split_ascii_whitespace().skip(1);
    let (address, port) = fields.next()?.rsplit_once(':')?;
    let state = fields.nth(1)?;
    let inode = fields.nth(5)?;
    // Words of 32 bits, each written as a number of this machine.
    let word = |at: usize| u32::from_str_radix(address.get(at * 8..at * 8 + 8)?, 16).ok();
    let address = if address.len() == 32 {
        let mut bytes = [0; 16];
        for (at, place) in bytes.chunks_exact_mut(4).enumerate() {
            place.copy_from_slice(&word(at)?.to_ne_bytes());
        }
        Ipv6Addr::from(bytes).to_string()
    } else {
        Ipv4Addr::from(word(0)?.to_ne_bytes()).to_string()
    };
    let port = u16::from_str_radix(port, 16).ok()?;
    (state == "0A").then(|| (inode, Listener { address, port, protocol: "tcp".to_owned() }))
}

/// Text from outside: valid UTF-8 is kept, any other byte becomes `\xNN`.
pub(crate) fn text(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        out.push_str(chunk.valid());
        for byte in chunk.invalid() {
            out.push_str(&format!("\\x{byte:02x}"));
        }
    }
    out
}

/// A fixed array of C characters, up to its NUL.
pub(crate) fn c_text(chars: &[i8]) -> String {
    #[expect(clippy::cast_sign_loss, reason = "C characters are bytes")]
    let bytes: Vec<u8> = chars.iter().take_while(|c| **c != 0).map(|c| *c as u8).collect();
    text(&bytes)
}

fn first_text(bytes: &[u8]) -> String {
    text(bytes.split(|b| *b == 0).next().unwrap_or_default())
}

/// A path's components, without half of one where a thin record cut it.
fn whole_components(bytes: &[u8]) -> &[u8] {
    let end = bytes.iter().rposition(|b| *b == 0).map_or(bytes.len(), |nul| nul + 1);
    &bytes[..end]
}

/// A path from its components, last first.
fn path_text(bytes: &[u8], memfd: bool) -> String {
    let bytes = bytes.strip_suffix(&[0]).unwrap_or(bytes);
    if bytes.is_empty() {
        return "/".to_owned();
    }
    let mut out = String::new();
    for component in bytes.rsplit(|b| *b == 0) {
        out.push('/');
        out.push_str(&text(component));
    }
    if memfd { out.trim_start_matches('/').to_owned() } else { out }
}

/// Arguments, each ended by a NUL. The last one of a cut list may be half of itself.
pub(crate) fn arguments(bytes: &[u8], truncated: bool) -> Vec<String> {
    if bytes.is_empty() {
        return Vec::new();
    }
    let whole = if truncated { bytes } else { bytes.strip_suffix(&[0]).unwrap_or(bytes) };
    whole.split(|b| *b == 0).map(text).collect()
}

/// `major:minor`, as the kernel packs it in memory.
fn device(packed: u32) -> String {
    format!("{}:{}", packed >> 20, packed & 0xf_ffff)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_turned_round() {
        assert_eq!(path_text(b"nginx\0sbin\0usr\0", false), "/usr/sbin/nginx");
        assert_eq!(path_text(b"", false), "/");
        assert_eq!(path_text(b"memfd:x\0", true), "memfd:x");
        assert_eq!(whole_components(b"nginx\0sbin\0us"), b"nginx\0sbin\0");
        assert_eq!(whole_components(b"ngi"), b"ngi");
    }

    #[test]
    fn lines_of_the_table_of_sockets() {
        let line = "   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     \
                    0        0 4711 1 0000 100 0 0 10 0";
        let (inode, at) = listening_line(line).unwrap();
        assert_eq!((inode, &*at.address, at.port), ("4711", "127.0.0.1", 8080));
        let six = "1: 00000000000000000000000001000000:0050 0:0 0A 0:0 00:0 0 0 0 8 1";
        let (inode, at) = listening_line(six).unwrap();
        assert_eq!((inode, &*at.address, at.port), ("8", "::1", 80));
        assert_eq!(listening_line(&line.replace(" 0A ", " 01 ")), None);
        assert_eq!(listening_line("rubbish"), None);
    }

    #[test]
    fn hostile_bytes_stay_visible() {
        assert_eq!(text(b"a\xffb\xc3\xa9"), "a\\xffb\u{e9}");
        assert_eq!(arguments(b"a\0\0b\0", false), ["a", "", "b"]);
        assert_eq!(arguments(b"", false), Vec::<String>::new());
        assert_eq!(arguments(b"\0", false), [""]);
    }

    #[test]
    fn short_or_lying_records_are_refused() {
        let clock = Clock::now();
        let head = types::exec_head { path_len: u32::MAX, ..Default::default() };
        for cut in 0..size_of::<types::exec_head>() {
            assert!(exec(&bytes_of(&head)[..cut], &[], &clock).is_none());
        }
        assert!(exec(bytes_of(&head), &[], &clock).is_none());
        let empty = types::exec_head::default();
        assert!(exec(bytes_of(&empty), &[], &clock).is_some());
    }
}
