//! The kernel's filter, filled from the plan.

use std::collections::BTreeSet;

use detect::plan::{Plan, Verdict};
use event::FileId;
use libbpf_rs::{MapCore, MapFlags};

use crate::error::Error;
use crate::skel::types;

/// As in `wire.h`.
const COMM_LEN: usize = 16;
const VERDICT_BENIGN: u8 = 1;
const VERDICT_WATCH: u8 = 2;

/// A file that changed less than this ago may change again within one tick of its file system's
/// clock (two seconds on FAT), and nobody could tell: no verdict is kept of it.
const SETTLED_NS: i64 = 2_000_000_000;

/// Puts a plan in force, in the place of the one before.
pub(crate) fn put(
    names: &impl MapCore,
    everything: &impl MapCore,
    plan: &Plan,
    all: bool,
) -> Result<(), Error> {
    let wanted: BTreeSet<[u8; COMM_LEN]> = plan.names.iter().map(|n| kernel_name(n)).collect();
    // First what is new, so that nothing slips through in between.
    let switch = u32::from(all || !plan.everything.is_empty());
    everything
        .update(&0_u32.to_ne_bytes(), &switch.to_ne_bytes(), MapFlags::ANY)
        .map_err(|e| Error::map("switch the kernel's filter", &e))?;
    for name in &wanted {
        names.update(name, &[1], MapFlags::ANY).map_err(|e| {
            let name = String::from_utf8_lossy(name);
            let name = name.trim_end_matches('\0');
            Error::map(&format!("put {name:?} into the kernel's filter"), &e)
        })?;
    }
    let stale = names.keys().filter(|key| !wanted.iter().any(|name| name == key.as_slice()));
    for key in stale.collect::<Vec<_>>() {
        names.delete(&key).map_err(|e| Error::map("clear the kernel's filter", &e))?;
    }
    Ok(())
}

/// A name as the kernel looks it up: in small letters, cut to the length of `comm`, then without a
/// version. `known_name` in `bpf/hook/exec.h` does the same, and a test compares the two.
pub(crate) fn kernel_name(name: &str) -> [u8; COMM_LEN] {
    let bytes = &name.as_bytes()[..name.len().min(COMM_LEN - 1)];
    let end = bytes
        .iter()
        .rposition(|b| !b.is_ascii_digit() && !matches!(b, b'.' | b'-' | b'_'))
        .map_or(0, |last| last + 1);
    let mut key = [0; COMM_LEN];
    key[..end].copy_from_slice(&bytes[..end]);
    key.make_ascii_lowercase();
    key
}

/// File systems on which no content changes without the change time. Not so tmpfs, where a shared
/// mapping is written without a trace, nor network and FUSE file systems, whose server says what
/// the change time is: their files are looked at every time. An overlay counts as what it writes to.
const HONEST: &[u64] = &[
    0xef53,      // ext2, ext3, ext4
    0x5846_5342, // xfs
    0x9123_683e, // btrfs
    0xf2f5_2010, // f2fs
    0x7371_7368, // squashfs
    0xe0f5_e1e2, // erofs
];

/// Whether what is known of a file stays true as long as its identity is the same.
pub(crate) fn lasts(file: &FileId, now_unix_ns: i64) -> bool {
    let settled = now_unix_ns.saturating_sub(file.changed_ns) >= SETTLED_NS;
    settled && is_honest(file.filesystem)
}

/// Whether a file system, by its magic number, changes no content without the change time.
pub(crate) fn is_honest(filesystem: u64) -> bool {
    HONEST.contains(&filesystem)
}

/// Remembers a verdict, if the file has been still for long enough.
pub(crate) fn remember(
    files: &impl MapCore,
    file: &FileId,
    now_unix_ns: i64,
    verdict: Verdict,
) -> Result<bool, Error> {
    if verdict == Verdict::Benign && !lasts(file, now_unix_ns) {
        return Ok(false);
    }
    let key = types::file_key {
        inode: file.inode,
        size: file.size,
        changed_sec: file.changed_ns.div_euclid(1_000_000_000),
        changed_nsec: u32::try_from(file.changed_ns.rem_euclid(1_000_000_000)).unwrap_or(0),
        device: file.device,
        generation: file.generation,
        ..types::file_key::default()
    };
    let value = match verdict {
        Verdict::Benign => VERDICT_BENIGN,
        Verdict::Watch => VERDICT_WATCH,
    };
    files
        .update(crate::decode::bytes_of(&key), &[value], MapFlags::ANY)
        .map_err(|e| Error::map("remember a verdict on a file", &e))?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_cut_as_in_the_kernel() {
        let text = |name| {
            let key = kernel_name(name);
            String::from_utf8(key.iter().copied().take_while(|b| *b != 0).collect()).unwrap()
        };
        for (name, expected) in [
            ("nginx", "nginx"),
            ("php-fpm8.2", "php-fpm"),
            ("apache2", "apache"),
            ("transmission-daemon", "transmission-da"),
            ("waitress-serve-3.11", "waitress-serve"),
            ("HTTPd-2.4", "httpd"),
            ("7", ""),
            ("", ""),
            ("memfd:picket-canary", "memfd:picket-ca"),
        ] {
            assert_eq!(text(name), expected);
        }
    }
}
