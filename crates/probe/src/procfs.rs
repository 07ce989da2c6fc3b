//! The few facts of `/proc` that complete what the kernel side told.

use std::fs;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;

use event::FileId;
use rustix::fs::{major, minor};

use crate::decode;
use crate::home::{self, proc};

/// Argument lists longer than this are cut. The kernel side cuts them much earlier.
pub(crate) const ARGS_LEN: u64 = 128 << 10;

/// The file that a process runs, as the kernel names it. `None` if it is gone or not allowed.
pub(crate) fn exe(pid: u32) -> Option<String> {
    let target = fs::read_link(proc(pid, "exe")).ok()?;
    Some(decode::text(target.as_os_str().as_bytes()))
}

/// The path of the file that a process runs, if that is still this very file, and if the process
/// sees the same tree of files as we do.
pub(crate) fn exe_if(pid: u32, file: &FileId, deleted: bool) -> Option<String> {
    let link = proc(pid, "exe");
    let same = || {
        let meta = fs::metadata(&link).ok()?;
        let device = FileId::pack_device(major(meta.dev()), minor(meta.dev()));
        (meta.ino() == file.inode && device == file.device).then_some(())
    };
    same()?;
    shares_root(pid)?;
    let path = exe(pid)?;
    same()?;
    let bare = if deleted { path.strip_suffix(" (deleted)") } else { None };
    Some(bare.map_or_else(|| path.clone(), str::to_owned))
}

/// The working directory of a process, if it sees the same tree of files as we do.
pub(crate) fn cwd(pid: u32) -> Option<String> {
    shares_root(pid)?;
    let target = fs::read_link(proc(pid, "cwd")).ok()?;
    Some(decode::text(target.as_os_str().as_bytes()))
}

fn shares_root(pid: u32) -> Option<()> {
    let theirs = fs::metadata(proc(pid, "root")).ok()?;
    let ours = fs::metadata("/").ok()?;
    (theirs.dev() == ours.dev() && theirs.ino() == ours.ino()).then_some(())
}

/// The arguments of a process, raw.
pub(crate) fn cmdline(pid: u32) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    fs::File::open(proc(pid, "cmdline")).ok()?.take(ARGS_LEN).read_to_end(&mut bytes).ok()?;
    Some(bytes)
}

/// The kernel's short name for a process, raw.
pub(crate) fn comm(pid: u32) -> Option<Vec<u8>> {
    Some(fs::read(proc(pid, "comm")).ok()?.trim_ascii_end().to_vec())
}

/// When a process started, in clock ticks since boot.
pub(crate) fn start_ticks(pid: u32) -> Option<u64> {
    stat(pid, 22)?.try_into().ok()
}

/// When this process started, in the same ticks.
pub(crate) fn own_start_ticks() -> Option<u64> {
    number(&fs::read("/proc/self/stat").ok()?, 22)?.try_into().ok()
}

/// A field of `/proc/PID/stat`, as proc(5) numbers them; one after the command.
pub(crate) fn stat(pid: u32, field: usize) -> Option<i64> {
    number(&fs::read(proc(pid, "stat")).ok()?, field)
}

fn number(stat: &[u8], field: usize) -> Option<i64> {
    // The command may hold bytes that are no text. What it holds does not matter: it is in
    // parentheses, and the last ")" ends it.
    let stat = decode::text(stat);
    let (_, fields) = stat.rsplit_once(") ")?;
    fields.split(' ').nth(field.checked_sub(3)?)?.trim_end().parse().ok()
}

/// The real ids of a process's user or group: the first word of a line of `/proc/PID/status`.
pub(crate) fn real_id(pid: u32, line: &str) -> Option<u32> {
    let status = decode::text(&fs::read(proc(pid, "status")).ok()?);
    let words = status.lines().find_map(|l| l.strip_prefix(line)?.strip_prefix(':'))?;
    words.split_whitespace().next()?.parse().ok()
}

/// The number of a process's namespace; 0 where it may not be seen.
pub(crate) fn namespace(pid: u32, kind: &str) -> u32 {
    let meta = fs::metadata(proc(pid, &format!("ns/{kind}")));
    meta.ok().and_then(|meta| meta.ino().try_into().ok()).unwrap_or_default()
}

/// The root directory of a process, as seen from ours.
pub(crate) fn root(pid: u32) -> Option<String> {
    let target = fs::read_link(proc(pid, "root")).ok()?;
    Some(decode::text(target.as_os_str().as_bytes()))
}

/// Whether the process of this pid is still the one that started then.
pub(crate) fn is_still(pid: u32, start_boot_ns: u64) -> bool {
    has_started(start_ticks(pid), start_boot_ns)
}

/// Whether a start as `/proc` tells it is this one.
pub(crate) fn has_started(ticks: Option<u64>, start_boot_ns: u64) -> bool {
    ticks.is_some_and(|own| own.abs_diff(self::ticks(start_boot_ns)) <= 1)
}

/// A start as `/proc` would tell it.
pub(crate) fn ticks(start_boot_ns: u64) -> u64 {
    let ticks_per_second = rustix::param::clock_ticks_per_second().max(1);
    // Times in `/proc` are of the clock that this process is shown.
    let shown = start_boot_ns.saturating_add_signed(home::boot_offset_ns());
    shown / (1_000_000_000 / ticks_per_second)
}
