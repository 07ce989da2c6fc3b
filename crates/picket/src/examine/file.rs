//! Opening the very file that runs, or that a process was given to run.
//!
//! Everything here happens on behalf of processes that may be hostile: paths are resolved below the
//! process's own root, nothing but regular files is opened, and what was opened is compared with
//! what the kernel said.

use std::ffi::CString;
use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use detect::content::Source;
use event::{Exec, FileId};
use probe::home::proc;
use probe::pinned::{Inside, open_inside};
use rustix::fd::OwnedFd;
use rustix::fs::{Mode, OFlags, major, minor};

/// A file system whose devices are not those that `stat` tells.
const BTRFS: u64 = 0x9123_683e;

/// Bytes read so far, by whichever thread: as long as it grows, nothing hangs.
static PROGRESS: AtomicU64 = AtomicU64::new(0);

/// More was read.
pub(crate) fn note_progress(bytes: usize) {
    PROGRESS.fetch_add(bytes as u64, Ordering::Relaxed);
}

/// How far reading is.
pub(crate) fn progress() -> u64 {
    PROGRESS.load(Ordering::Relaxed)
}

/// A file's bytes.
pub(crate) struct FileSource<'f> {
    file: &'f File,
    len: u64,
}

impl<'f> FileSource<'f> {
    pub(crate) fn new(file: &'f File) -> io::Result<Self> {
        Ok(Self { file, len: file.metadata()?.len() })
    }
}

impl Source for FileSource<'_> {
    fn len(&self) -> u64 {
        self.len
    }

    fn read_at(&mut self, offset: u64, into: &mut [u8]) -> Result<usize, String> {
        let mut got = 0;
        while got < into.len() {
            match self.file.read_at(&mut into[got..], offset + got as u64) {
                Ok(0) => break,
                Ok(more) => {
                    got += more;
                    note_progress(more);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.to_string()),
            }
        }
        Ok(got)
    }
}

/// The root directory of a process, while it lives: what its paths begin at.
pub(crate) fn root_of(pid: u32) -> io::Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    Ok(rustix::fs::open(proc(pid, "root"), flags, Mode::empty())?)
}

/// The file that an execution runs: through the process while it lives, else by its path. Either
/// way it is the very file, or it is an error.
pub(crate) fn of_exec(exec: &Exec, root: Option<&OwnedFd>) -> io::Result<File> {
    let process = &exec.process;
    let id = exec.file.ok_or(io::ErrorKind::NotFound)?;
    let live = open(Path::new(&proc(process.pid, "exe")));
    if let Ok(file) = live
        && is_inode(&file, &id)?
    {
        return Ok(file);
    }
    if process.exe.memfd || process.exe.deleted {
        return Err(io::ErrorKind::NotFound.into());
    }
    let file = by_path(exec, root, &process.exe.path)?;
    if is(&file, &id)? { Ok(file) } else { Err(io::ErrorKind::NotFound.into()) }
}

/// A file by the path that a process knows it by.
pub(crate) fn by_path(exec: &Exec, root: Option<&OwnedFd>, path: &str) -> io::Result<File> {
    let process = &exec.process;
    let absolute = match (path.starts_with('/'), &process.cwd) {
        (true, _) => path.to_owned(),
        (false, Some(cwd)) => format!("{cwd}/{path}"),
        (false, None) => return Err(io::ErrorKind::NotFound.into()),
    };
    if let Some(root) = root {
        return inside(root, &absolute);
    }
    // The process is gone; its parent sees the same files, mostly, and so do we when we live in
    // the same mount namespace.
    let same = |ns: Option<u32>| ns.is_some_and(|ns| ns == process.namespaces.mnt);
    if process.ppid != 0 && same(mount_namespace(&proc(process.ppid, "ns/mnt"))) {
        let root = root_of(process.ppid)?;
        return inside(&root, &absolute);
    }
    if same(mount_namespace("/proc/self/ns/mnt")) {
        return open(Path::new(&absolute));
    }
    Err(io::ErrorKind::NotFound.into())
}

/// Whether a path below a root leads to an open file.
pub(crate) fn leads_to(root: &OwnedFd, path: &str, file: &File) -> bool {
    let there = inside(root, path).and_then(|f| f.metadata());
    match (there, file.metadata()) {
        (Ok(there), Ok(here)) => there.dev() == here.dev() && there.ino() == here.ino(),
        _ => false,
    }
}

/// The number of a mount namespace, from a link in a process's `ns` directory.
pub(crate) fn mount_namespace(link: &str) -> Option<u32> {
    let link = std::fs::read_link(link).ok()?;
    link.to_str()?.strip_prefix("mnt:[")?.strip_suffix(']')?.parse().ok()
}

/// Opens a regular file below a root directory.
fn inside(root: &OwnedFd, path: &str) -> io::Result<File> {
    regular(open_inside(root.as_fd(), &CString::new(path)?, Inside::File)?)
}

/// Opens a regular file of this process's own tree.
pub(crate) fn open(path: &Path) -> io::Result<File> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    regular(rustix::fs::open(path, flags, Mode::empty())?)
}

/// A regular file and nothing else: a pipe or a device may block for ever.
fn regular(fd: OwnedFd) -> io::Result<File> {
    let file = File::from(fd);
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("it is not a regular file"));
    }
    Ok(file)
}

/// Whether what was read of an open file is what was executed: it is unchanged, or its process
/// still runs it, and nobody can write to a file that runs. (Its name may be gone by now, or have
/// company, which changes the change time and no content.)
pub(crate) fn is_as_executed(file: &File, exec: &Exec) -> bool {
    let Some(id) = exec.file else { return false };
    if is(file, &id).unwrap_or(false) {
        return true;
    }
    let exe = std::fs::metadata(proc(exec.process.pid, "exe"));
    let runs = |exe: std::fs::Metadata| {
        file.metadata().is_ok_and(|own| own.dev() == exe.dev() && own.ino() == exe.ino())
    };
    exe.is_ok_and(runs)
}

/// Whether an open file is the one that the kernel named.
fn is_inode(file: &File, id: &FileId) -> io::Result<bool> {
    let meta = file.metadata()?;
    let device = FileId::pack_device(major(meta.dev()), minor(meta.dev()));
    Ok(meta.len() == id.size
        && (id.overlay || meta.ino() == id.inode)
        && (id.overlay || id.filesystem == BTRFS || device == id.device))
}

/// Whether an open file is the one that the kernel named, unchanged since.
fn is(file: &File, id: &FileId) -> io::Result<bool> {
    let meta = file.metadata()?;
    let changed = meta.ctime().saturating_mul(1_000_000_000).saturating_add(meta.ctime_nsec());
    Ok(changed == id.changed_ns && is_inode(file, id)?)
}
