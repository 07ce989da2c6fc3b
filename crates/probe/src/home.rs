//! Where this process lives: which processes its `/proc` shows, and which clock it is shown.
//!
//! The kernel side speaks of processes by the numbers of the initial pid namespace, and of times by
//! the initial clock. In namespaces of its own, this process is shown others.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::sync::OnceLock;

use crate::procfs;

/// The number of the initial pid namespace, the same on every kernel.
const INITIAL: u64 = 0xEFFF_FFFC;
/// A thread of the kernel, in field 9 of `/proc/PID/stat`.
const KERNEL_THREAD: u32 = 0x0020_0000;

/// Whether this process lives in the initial pid namespace: then its pid is the one that the kernel
/// side tells.
pub fn is_initial() -> bool {
    static IS: OnceLock<bool> = OnceLock::new();
    *IS.get_or_init(|| fs::metadata("/proc/self/ns/pid").is_ok_and(|ns| ns.ino() == INITIAL))
}

/// Whether `/proc` shows processes under the numbers that the kernel side tells.
pub fn is_proc_whole() -> bool {
    static IS: OnceLock<bool> = OnceLock::new();
    *IS.get_or_init(|| {
        if is_initial() {
            let own = fs::read_link("/proc/self").unwrap_or_default();
            return own.to_str() == Some(std::process::id().to_string().as_str());
        }
        // Process 2 of the machine is a thread of the kernel, which no other namespace has.
        let stat = fs::read("/proc/2/stat").unwrap_or_default();
        let stat = String::from_utf8_lossy(&stat);
        let fields = stat.rsplit_once(") ").map_or("", |(_, fields)| fields);
        let flags = fields.split(' ').nth(6).and_then(|flags| flags.parse::<u32>().ok());
        flags.is_some_and(|flags| flags & KERNEL_THREAD != 0)
    })
}

/// Set once the kernel side is loaded: from then on it is the one that tells of processes.
static KERNEL_TELLS: OnceLock<()> = OnceLock::new();

/// From here on, processes have the numbers that the kernel side tells.
pub(crate) fn kernel_tells() {
    let _ = KERNEL_TELLS.set(());
}

/// Something in the directory of a process. Where `/proc` shows other processes under the numbers
/// that the kernel side tells, it is a path that never exists.
pub fn proc(pid: u32, what: &str) -> String {
    let wrong = KERNEL_TELLS.get().is_some() && !is_proc_whole();
    let pid = if wrong { 0 } else { pid };
    format!("/proc/{pid}/{what}")
}

/// Whether a process that the kernel side told of still runs; `None` where `/proc` does not show it.
pub fn runs(pid: u32, start_boot_ns: u64) -> Option<bool> {
    let stat = || fs::read(format!("/proc/{pid}/stat")).unwrap_or_default();
    // One that has ended and that nobody has asked for yet.
    let ended = |stat: &[u8]| String::from_utf8_lossy(stat).contains(") Z ");
    is_proc_whole().then(|| procfs::is_still(pid, start_boot_ns) && !ended(&stat()))
}

/// When a process started, in clock ticks since boot, as this process's `/proc` shows both.
pub fn started(pid: u32) -> Option<u64> {
    procfs::start_ticks(pid)
}

/// The parent of a process, as this process's `/proc` shows both.
pub fn parent(pid: u32) -> Option<u32> {
    procfs::stat(pid, 4)?.try_into().ok()
}

/// Whether a process that the kernel side told of is this one. Where this process cannot know its own
/// number, its start and its name decide.
pub fn is_self(pid: u32, start_boot_ns: u64, comm: &str) -> bool {
    let own = || fs::read_link("/proc/self").ok()?.to_str()?.parse::<u32>().ok();
    let same = match if is_proc_whole() { own() } else { None } {
        Some(own) => own == pid,
        None => fs::read_to_string("/proc/self/comm").is_ok_and(|own| own.trim_end() == comm),
    };
    same && procfs::has_started(procfs::own_start_ticks(), start_boot_ns)
}

/// Whether a process that started then is younger than this one.
pub fn is_younger(start_boot_ns: u64) -> bool {
    procfs::own_start_ticks().is_none_or(|own| procfs::ticks(start_boot_ns) >= own)
}

/// How far the boot time that this process is shown is ahead of the kernel's own, in nanoseconds.
pub fn boot_offset_ns() -> i64 {
    static OFFSET: OnceLock<i64> = OnceLock::new();
    *OFFSET.get_or_init(|| {
        let text = fs::read_to_string("/proc/self/timens_offsets").unwrap_or_default();
        boottime(&text).unwrap_or_default()
    })
}

fn boottime(offsets: &str) -> Option<i64> {
    let line = offsets.lines().find_map(|line| line.strip_prefix("boottime"))?;
    let mut numbers = line.split_whitespace().map(str::parse::<i64>);
    let (seconds, nanos) = (numbers.next()?.ok()?, numbers.next()?.ok()?);
    seconds.checked_mul(1_000_000_000)?.checked_add(nanos)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_are_read_as_the_kernel_writes_them() {
        let text = "monotonic           7         0\nboottime        -3600 500000000\n";
        assert_eq!(boottime(text), Some(-3_599_500_000_000));
        assert_eq!(boottime(""), None);
        assert_eq!(boottime("boottime x 0"), None);
    }
}
