//! Directories of cgroups (version 2), found by the id that the kernel gives.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::home::proc;

/// The magic number of a cgroup2 file system.
const MAGIC: u64 = 0x6367_7270;
/// A file handle that holds the 64-bit id of a kernfs node.
const FILEID_KERNFS: i32 = 0xfe;

/// Where the hierarchy is mounted, its own root first.
pub(crate) fn mounts() -> Vec<PathBuf> {
    let info = fs::read("/proc/self/mountinfo").unwrap_or_default();
    let mut found: Vec<_> = info.split(|b| *b == b'\n').filter_map(mount).collect();
    found.sort_by_key(|(whole, _)| !whole);
    found.into_iter().map(|(_, dir)| dir).collect()
}

/// A line of `mountinfo`: whether the root of the hierarchy is mounted there, and where that is.
fn mount(line: &[u8]) -> Option<(bool, PathBuf)> {
    let mut words = line.split(|b| *b == b' ');
    let root = words.nth(3)?;
    let dir = words.next()?;
    // Optional words follow, up to a "-"; then the type.
    words.find(|word| *word == b"-")?;
    (words.next()? == b"cgroup2")
        .then(|| (root == b"/", PathBuf::from(OsString::from_vec(unescaped(dir)))))
}

/// Blanks and the like are written as three octal digits.
fn unescaped(word: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(word.len());
    let mut rest = word;
    while let [first, tail @ ..] = rest {
        let digits = tail.get(..3).and_then(|d| std::str::from_utf8(d).ok());
        match digits.and_then(|d| u8::from_str_radix(d, 8).ok()) {
            Some(byte) if *first == b'\\' => {
                out.push(byte);
                rest = &tail[3..];
            }
            _ => {
                out.push(*first);
                rest = tail;
            }
        }
    }
    out
}

/// The id of the cgroup that a process is in now.
pub(crate) fn id_of(pid: u32) -> Option<u64> {
    let mounts = mounts();
    mounts.iter().find_map(|mount| fs::metadata(dir_of(pid, mount)?).ok()).map(|meta| meta.ino())
}

/// Opens the directory of a cgroup: where the process is, or, since a socket stays where it was
/// made, wherever it is.
pub(crate) fn open(id: u64, pid: u32) -> io::Result<OwnedFd> {
    let mounts = mounts();
    let mut last = io::Error::from(io::ErrorKind::NotFound);
    for mount in &mounts {
        let dir = dir_of(pid, mount);
        let by_path = dir.and_then(|dir| open_dir(&dir).ok()).filter(|dir| is(dir, id));
        if let Some(dir) = by_path {
            return Ok(dir.into());
        }
        match by_handle(mount, id) {
            Ok(dir) if is(&dir, id) => return Ok(dir.into()),
            Ok(_) => {}
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// The directory of a process's cgroup, as far as it can be told from here.
fn dir_of(pid: u32, mount: &Path) -> Option<PathBuf> {
    let text = fs::read(proc(pid, "cgroup")).ok()?;
    let path = text.split(|b| *b == b'\n').find_map(|line| line.strip_prefix(b"0::/"))?;
    Some(mount.join(Path::new(std::ffi::OsStr::from_bytes(path))))
}

fn open_dir(path: &Path) -> io::Result<File> {
    fs::OpenOptions::new().read(true).custom_flags(libc::O_DIRECTORY).open(path)
}

/// Whether this is the directory of that cgroup: the id is the number of its inode.
fn is(dir: &File, id: u64) -> bool {
    let cgroup2 = rustix::fs::fstatfs(dir).is_ok_and(|fs| u64::try_from(fs.f_type) == Ok(MAGIC));
    cgroup2 && dir.metadata().is_ok_and(|meta| meta.ino() == id)
}

fn by_handle(mount: &Path, id: u64) -> io::Result<File> {
    #[repr(C)]
    struct Handle {
        bytes: u32,
        kind: i32,
        id: u64,
    }
    let mount = open_dir(mount)?;
    let mut handle = Handle { bytes: 8, kind: FILEID_KERNFS, id };
    let flags = libc::O_RDONLY | libc::O_DIRECTORY | libc::O_CLOEXEC;
    // SAFETY: the handle is laid out as the kernel takes it, with as many bytes as it says.
    let fd = unsafe { libc::open_by_handle_at(mount.as_raw_fd(), (&raw mut handle).cast(), flags) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: a new descriptor, nobody else's.
    Ok(unsafe { File::from_raw_fd(fd) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_mountinfo() {
        let of = |line: &str| mount(line.as_bytes());
        let plain = "34 25 0:29 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw";
        assert_eq!(of(plain), Some((true, PathBuf::from("/sys/fs/cgroup"))));
        let part = "1 2 0:29 /pod /a\\040b rw - cgroup2 none rw";
        assert_eq!(of(part), Some((false, PathBuf::from("/a b"))));
        assert_eq!(of("1 2 0:29 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu"), None);
        assert_eq!(of(""), None);
    }

    #[test]
    fn a_process_is_in_a_cgroup_that_can_be_opened() {
        let own = std::process::id();
        let Some(id) = id_of(own) else { return };
        let dir = File::from(open(id, own).unwrap());
        assert!(is(&dir, id));
        assert!(open(u64::MAX, own).is_err());
    }
}
