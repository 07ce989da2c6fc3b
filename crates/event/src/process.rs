//! Processes and the files they run.

use serde::{Deserialize, Serialize};

use crate::{Content, Stamp, Target};

/// Who a process is: a pid alone may be used again, with its start time it is unique.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ProcessKey {
    /// Process id (thread group), in the initial pid namespace.
    pub pid: u32,
    /// Start, in nanoseconds since the machine booted.
    pub start_boot_ns: u64,
}

/// A process as the kernel described it at the execution.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Process {
    /// Process id, in the initial pid namespace.
    pub pid: u32,
    /// When the process (not this execution) started.
    pub start: Stamp,
    /// The same, in nanoseconds since boot: with the pid it names the process for good.
    pub start_boot_ns: u64,
    /// The parent's process id; 0 where there is none.
    pub ppid: u32,
    /// User id, in the initial user namespace.
    pub uid: u32,
    /// The user's name on this machine, where known.
    pub user: Option<String>,
    /// Group id.
    pub gid: u32,
    /// Session id (the session leader's pid).
    pub session: u32,
    /// Whether it has a controlling terminal.
    pub tty: bool,
    /// The terminal's name, `pts/3`, where known.
    #[serde(default)]
    pub tty_name: Option<String>,
    /// Cgroup (version 2) id.
    pub cgroup: u64,
    /// The cgroup's path, as the whole machine sees it: of version 2, or, where that says nothing
    /// (`/`), of version 1.
    #[serde(default)]
    pub cgroup_path: Option<String>,
    /// The path in version 1, where version 2 says something else.
    #[serde(default)]
    pub cgroup_v1_path: Option<String>,
    /// Whether a path was deeper than what was taken: names at its end are missing.
    #[serde(default)]
    pub cgroup_path_truncated: bool,
    /// Namespaces it lives in.
    pub namespaces: Namespaces,
    /// The kernel's short name for it; for display only, anyone can change it.
    pub comm: String,
    /// Working directory, seen from the process's own root.
    pub cwd: Option<String>,
    /// Arguments, the program's own name first.
    pub args: Vec<String>,
    /// Whether there were more arguments than were taken.
    pub args_truncated: bool,
    /// The path that was asked for, as it was given to the kernel.
    pub invoked_as: String,
    /// The interpreter that the kernel put in place of a script, else `null`.
    pub interpreter: Option<String>,
    /// The file that really runs.
    pub exe: Executable,
    /// The file that it was given to run, where it is a loader, interpreter or virtual machine,
    /// and where that file was read.
    #[serde(default)]
    pub target: Option<Target>,
}

impl Process {
    /// Who this process is.
    pub fn key(&self) -> ProcessKey {
        ProcessKey { pid: self.pid, start_boot_ns: self.start_boot_ns }
    }
}

/// Inode numbers of a process's namespaces, as in `/proc/PID/ns`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Namespaces {
    /// Mounts.
    pub mnt: u32,
    /// Process ids.
    pub pid: u32,
    /// Network.
    pub net: u32,
    /// Users.
    pub user: u32,
}

/// The file that runs.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Executable {
    /// Its path, resolved by the kernel, seen from the process's own root.
    pub path: String,
    /// Whether the path was longer than what was taken.
    pub path_truncated: bool,
    /// Device, `major:minor`.
    pub device: String,
    /// Inode number.
    pub inode: u64,
    /// The inode's generation, which changes when the number is used again.
    pub generation: u32,
    /// When the inode last changed: content, owner, mode or links.
    pub changed: Stamp,
    /// Bytes.
    pub size: u64,
    /// Type and permission bits.
    pub mode: u32,
    /// Hard links.
    pub links: u32,
    /// SHA-256 of the content, where it was read.
    pub sha256: Option<String>,
    /// GNU build id, where it was read.
    pub build_id: Option<String>,
    /// Whether its name was already removed when it was executed.
    pub deleted: bool,
    /// Whether it exists in memory only (`memfd_create`).
    pub memfd: bool,
    /// The package that owns it, where known.
    pub package: Option<String>,
    /// Whether it is as the package brought it, where the package says how it was.
    #[serde(default)]
    pub intact: Option<bool>,
    /// What it contains, where it was read.
    #[serde(default)]
    pub content: Option<Content>,
}

/// A file's identity: a changed file is another file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct FileId {
    /// Device, as the kernel numbers it.
    pub device: u32,
    /// Generation.
    pub generation: u32,
    /// Inode number.
    pub inode: u64,
    /// Change time, nanoseconds since 1970.
    pub changed_ns: i64,
    /// Bytes.
    pub size: u64,
    /// The file system's magic number; of an overlay, that of the layer it writes to.
    pub filesystem: u64,
    /// Whether it is a file of an overlay, whose device and inode are not those that `stat` tells.
    pub overlay: bool,
}

impl FileId {
    /// A device as the kernel packs it in memory.
    pub fn pack_device(major: u32, minor: u32) -> u32 {
        major << 20 | minor
    }
}

/// A process further up, as it was when it made the next one of the chain. What one ran that made
/// it before picket watched is not known: there, it is what it ran when picket began.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Ancestor {
    /// Process id.
    pub pid: u32,
    /// When it started.
    pub start: Stamp,
    /// The same, in nanoseconds since boot: with the pid it names the process for good.
    #[serde(default)]
    pub start_boot_ns: u64,
    /// The kernel's short name for it.
    pub comm: String,
    /// What it runs, where known.
    pub exe: Option<String>,
    /// Its first arguments, as far as they were kept.
    pub args: Vec<String>,
    /// Whether it still lives.
    pub alive: bool,
}

impl Ancestor {
    /// Who it is.
    pub fn key(&self) -> ProcessKey {
        ProcessKey { pid: self.pid, start_boot_ns: self.start_boot_ns }
    }
}
