//! What the kernel is asked to forbid this process: system calls and paths. Only the asking; what is
//! forbidden is decided by the caller.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

/// One instruction of a seccomp filter, as the kernel takes it.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Instruction {
    /// What to do.
    pub code: u16,
    /// Instructions to skip if true.
    pub jt: u8,
    /// Instructions to skip if false.
    pub jf: u8,
    /// The operand.
    pub k: u32,
}

#[repr(C)]
struct Filter {
    len: u16,
    instructions: *const Instruction,
}

/// Puts every thread of this process under a filter. `no_new_privs` must be set.
pub fn filter(instructions: &[Instruction]) -> io::Result<()> {
    let len = u16::try_from(instructions.len()).map_err(io::Error::other)?;
    let filter = Filter { len, instructions: instructions.as_ptr() };
    // Speculation: since 5.16 the kernel leaves it alone by itself; before that, every filter
    // would make the process slower, for the sake of programs that run the code of others.
    let flags = libc::SECCOMP_FILTER_FLAG_TSYNC | libc::SECCOMP_FILTER_FLAG_SPEC_ALLOW;
    // SAFETY: the structure is laid out as the kernel reads it, and outlives the call.
    let done = unsafe {
        libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, flags, &raw const filter)
    };
    match done {
        0 => Ok(()),
        error if error < 0 => Err(io::Error::last_os_error()),
        thread => Err(io::Error::other(format!("thread {thread} has another filter"))),
    }
}

/// The version of Landlock that this kernel speaks; 0 if it has none.
pub fn landlock_version() -> u32 {
    const VERSION: u32 = 1;
    // SAFETY: with this flag the kernel reads no memory.
    let version = unsafe {
        libc::syscall(libc::SYS_landlock_create_ruleset, std::ptr::null::<u8>(), 0_usize, VERSION)
    };
    u32::try_from(version).unwrap_or_default()
}

/// Forbids this thread, and those that it starts, all accesses to files that are named. Files that
/// are open stay usable. `no_new_privs` must be set.
///
/// A process under Landlock may no longer look at any that is not: `/proc/PID/exe`, `root` and
/// `mem` of all others are closed to it.
pub fn landlock(accesses: u64) -> io::Result<()> {
    let size = size_of_val(&accesses);
    // SAFETY: the first field of the structure alone, and its size.
    let ruleset = unsafe {
        libc::syscall(libc::SYS_landlock_create_ruleset, &raw const accesses, size, 0_u32)
    };
    let ruleset = i32::try_from(ruleset).unwrap_or(-1);
    if ruleset < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: a new descriptor, nobody else's.
    let ruleset = unsafe { OwnedFd::from_raw_fd(ruleset) };
    // SAFETY: no memory is passed.
    match unsafe { libc::syscall(libc::SYS_landlock_restrict_self, ruleset.as_raw_fd(), 0_u32) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Landlock holds for a thread, so this one is lost, and nothing else. Where the kernel has
    /// none, that is all there is to see.
    #[test]
    fn landlock_forbids_what_is_named_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let (old, new) = (dir.path().join("old"), dir.path().join("new"));
        std::fs::write(&old, "x").unwrap();
        let open = std::fs::File::options().append(true).open(&old).unwrap();
        let locked = std::thread::spawn(move || {
            rustix::thread::set_no_new_privs(true).unwrap();
            // Writing, and making files.
            let done = landlock(1 << 1 | 1 << 8);
            let kinds = (
                std::fs::File::create(&new).map_err(|e| e.kind()).err(),
                std::fs::File::options().write(true).open(&old).map_err(|e| e.kind()).err(),
            );
            std::io::Write::write_all(&mut &open, b"y").unwrap();
            (done, kinds, std::fs::read_to_string(&old).unwrap())
        });
        let (done, kinds, text) = locked.join().unwrap();
        assert_eq!(text, "xy");
        match landlock_version() {
            0 => assert!(done.is_err() && kinds == (None, None)),
            _ => {
                done.unwrap();
                let denied = Some(io::ErrorKind::PermissionDenied);
                assert_eq!(kinds, (denied, denied));
            }
        }
    }
}
