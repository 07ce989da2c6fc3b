//! Opens files below a root directory that somebody else may have furnished.
//!
//! Every path is resolved by the kernel as if that directory were `/`, so that no symbolic link
//! leads out of it. A file is opened for reading only once it is known to be a regular one: a FIFO
//! would wait, and to open a device node can do things (a watchdog starts). What one lookup reads
//! is bounded, in one file and in all.
//!
//! Not covered: a file system that never answers (NFS, FUSE of the container's own).

use std::cell::Cell;
use std::collections::HashMap;
use std::ffi::CString;
use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::Path;
use std::time::{Duration, SystemTime};

use probe::pinned::{Inside, open_inside};
use rustix::fs::{Dir, FileType, Mode, OFlags};
use rustix::io::Errno;

use super::Problem;

/// The largest file of text that is read; real ones have a few megabytes.
const LARGEST: u64 = 64 << 20;
/// What one lookup may read in all. Two thousand packages have some 40 MiB of file lists.
const ALL: u64 = 512 << 20;
/// Real directories of a package database have some ten thousand entries.
const ENTRIES: usize = 100_000;
/// How many directories one lookup may compare.
const DIRECTORIES: usize = 1024;

/// A root directory, and what may still be read below it.
pub(super) struct Root {
    path: String,
    fd: OwnedFd,
    left: Cell<u64>,
}

/// A directory below a root.
pub(super) struct Directory<'r> {
    root: &'r Root,
    path: String,
    fd: OwnedFd,
}

impl Root {
    pub(super) fn open(path: &Path) -> Result<Self, Problem> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let fd = rustix::fs::open(path, flags, Mode::empty())
            .map_err(|error| Problem::new(path.display(), error))?;
        let path = path.to_string_lossy().trim_end_matches('/').to_owned();
        Ok(Self { path, fd, left: Cell::new(ALL) })
    }

    /// How a path below this root is called in errors.
    pub(super) fn show(&self, path: &str) -> String {
        format!("{}/{path}", self.path)
    }

    /// A regular file, if there is one.
    pub(super) fn file(&self, path: &str) -> Result<Option<File>, Problem> {
        let said = |error| Problem::new(self.show(path), error);
        match self.resolve(path.as_bytes(), Inside::Anything) {
            Ok(fd) => regular(&fd).map(Some).map_err(|why| Problem::new(self.show(path), why)),
            Err(error) => absent(error).map_err(said),
        }
    }

    /// The whole of a file of text, if there is one.
    pub(super) fn text(&self, path: &str) -> Result<Option<Vec<u8>>, Problem> {
        let Some(file) = self.file(path)? else {
            return Ok(None);
        };
        let mut text = Vec::new();
        self.read(&file, &mut text).map_err(|why| Problem::new(self.show(path), why))?;
        Ok(Some(text))
    }

    /// A directory, if there is one.
    pub(super) fn directory(&self, path: &str) -> Result<Option<Directory<'_>>, Problem> {
        match self.resolve(path.as_bytes(), Inside::Directory) {
            Ok(fd) => Ok(Some(Directory { root: self, path: self.show(path), fd })),
            Err(error) => absent(error).map_err(|error| Problem::new(self.show(path), error)),
        }
    }

    /// A bounded read, into a buffer that may be used again.
    fn read(&self, file: &File, into: &mut Vec<u8>) -> Result<(), String> {
        into.clear();
        let size = file.metadata().map_err(|error| error.to_string())?.len();
        let most = LARGEST.min(self.left.get());
        if size > most {
            return Err(format!("{size} bytes, more than the {most} that are still read"));
        }
        let read = file.take(most + 1).read_to_end(into).map_err(|error| error.to_string())?;
        let read = read as u64;
        if read > most {
            return Err(format!("more than the {most} bytes that are still read"));
        }
        self.left.set(self.left.get() - read);
        Ok(())
    }

    fn resolve(&self, path: &[u8], inside: Inside) -> Result<OwnedFd, Errno> {
        let path = CString::new(path).map_err(|_| Errno::INVAL)?;
        let mut tries = 0;
        loop {
            let opened = open_inside(self.fd.as_fd(), &path, inside);
            match opened.map_err(|e| Errno::from_io_error(&e).unwrap_or(Errno::IO)) {
                // Something was renamed meanwhile, and the kernel cannot tell that `..` is inside.
                Err(Errno::AGAIN) if tries < 8 => tries += 1,
                Err(Errno::INTR) => {}
                done => return done,
            }
        }
    }

    /// Which directory this is, and a descriptor that keeps it being that one.
    fn identity(&self, path: &[u8]) -> Option<((u64, u64), OwnedFd)> {
        let path = if path.is_empty() { b"/" } else { path };
        let fd = self.resolve(path, Inside::Place).ok()?;
        let stat = rustix::fs::fstat(&fd).ok()?;
        Some(((stat.st_dev, stat.st_ino), fd))
    }
}

/// Which directory, and when something in it came, went or was renamed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Changed {
    device: u64,
    inode: u64,
    at: Duration,
}

impl Changed {
    pub(super) fn time(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + self.at
    }
}

impl Directory<'_> {
    pub(super) fn changed(&self) -> Result<Changed, Problem> {
        let stat = rustix::fs::fstat(&self.fd).map_err(|error| Problem::new(&self.path, error))?;
        let seconds = u64::try_from(stat.st_mtime).unwrap_or_default();
        let nanos = u32::try_from(stat.st_mtime_nsec).unwrap_or_default();
        Ok(Changed { device: stat.st_dev, inode: stat.st_ino, at: Duration::new(seconds, nanos) })
    }

    /// Names of its entries, in order.
    pub(super) fn names(&self) -> Result<Vec<CString>, Problem> {
        let said = |error| Problem::new(&self.path, error);
        let mut names = Vec::new();
        for entry in Dir::read_from(&self.fd).map_err(said)? {
            let entry = entry.map_err(said)?;
            if names.len() >= ENTRIES {
                return Err(Problem::new(&self.path, format!("more than {ENTRIES} entries")));
            }
            names.push(entry.file_name().to_owned());
        }
        names.sort_unstable();
        Ok(names)
    }

    /// Reads one of its files into a buffer; false if there is none of that name.
    pub(super) fn read(&self, name: &CString, into: &mut Vec<u8>) -> Result<bool, Problem> {
        let place = || format!("{}/{}", self.path, name.to_string_lossy());
        // One component that is not followed cannot lead anywhere else.
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let fd = match rustix::fs::openat(&self.fd, name, flags, Mode::empty()) {
            Ok(fd) => fd,
            Err(Errno::NOENT) => return Ok(false),
            Err(error) => return Err(Problem::new(place(), error)),
        };
        let read = regular(&fd).and_then(|file| self.root.read(&file, into));
        read.map(|()| true).map_err(|why| Problem::new(place(), why))
    }
}

/// Opens for reading what a descriptor only points to, if it is a regular file.
fn regular(fd: &OwnedFd) -> Result<File, String> {
    let stat = rustix::fs::fstat(fd).map_err(|error| error.to_string())?;
    let kind = FileType::from_raw_mode(stat.st_mode);
    if kind != FileType::RegularFile {
        return Err(format!("{kind:?}, expected a regular file"));
    }
    let path = format!("/proc/self/fd/{}", fd.as_fd().as_raw_fd());
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let fd = rustix::fs::open(path, flags, Mode::empty()).map_err(|error| error.to_string())?;
    Ok(File::from(fd))
}

/// What is not there is no problem.
fn absent<T>(error: Errno) -> Result<Option<T>, Errno> {
    if error == Errno::NOENT || error == Errno::NOTDIR { Ok(None) } else { Err(error) }
}

/// Where a file is. A database may call its directory by another name: packages record
/// `/sbin/nginx` where `/sbin` is a symbolic link to `/usr/sbin`. So directories are the same if
/// they are, whatever they are called.
pub(super) struct Place<'a> {
    root: &'a Root,
    dir: &'a [u8],
    /// The last component of the path.
    pub(super) base: &'a [u8],
    identity: Option<((u64, u64), OwnedFd)>,
    known: HashMap<Vec<u8>, bool>,
}

impl<'a> Place<'a> {
    pub(super) fn of(root: &'a Root, path: &'a [u8]) -> Self {
        let (dir, base) = split(path);
        Self { root, dir, base, identity: root.identity(dir), known: HashMap::new() }
    }

    /// Whether this path is that place.
    pub(super) fn is(&mut self, path: &[u8]) -> bool {
        let (dir, base) = split(path);
        base == self.base && self.is_in(dir)
    }

    /// Whether the file is in the directory of this name.
    pub(super) fn is_in(&mut self, dir: &[u8]) -> bool {
        if dir == self.dir {
            return true;
        }
        let Some((identity, _)) = &self.identity else {
            return false;
        };
        if let Some(known) = self.known.get(dir) {
            return *known;
        }
        if self.known.len() >= DIRECTORIES || dir.contains(&0) {
            return false;
        }
        let same = self.root.identity(dir).is_some_and(|(other, _)| other == *identity);
        self.known.insert(dir.to_vec(), same);
        same
    }
}

/// A path's directory and last component.
pub(super) fn split(path: &[u8]) -> (&[u8], &[u8]) {
    match memchr::memrchr(b'/', path) {
        Some(at) => (&path[..at], &path[at + 1..]),
        None => (b"", path),
    }
}
