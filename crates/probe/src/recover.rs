//! The facts of a process whose execution did not cross: from the kernel's lineage, completed
//! from `/proc` as long as the process lives.

use std::fs::{self, File, Metadata};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};

use event::{Exec, Executable, FileId, Namespaces, Process, ProcessKey, Stamp};
use rustix::fs::{major, minor};

use crate::home::proc;
use crate::lineage::Memory;
use crate::{Probe, cgroup, decode, filter, place, procfs};

// Fields of /proc/PID/stat, as proc(5) numbers them.
const PPID: usize = 4;
const SESSION: usize = 6;
const TTY: usize = 7;

/// As `EXEC_MEMFD` of the kernel side: files in memory, of the kernel's own mounts.
const IN_MEMORY: [u64; 2] = [0x0102_1994, 0x9584_58f6];
/// Lineage cuts names to this.
const NAME: usize = 31;
const DELETED: &str = " (deleted)";

pub(crate) fn recover(probe: &Probe, key: ProcessKey) -> Option<Exec> {
    let lineage = probe.lineage();
    let memory = lineage.memory(key);
    let (ancestry, ancestry_truncated) = lineage.ancestry(key, None);
    let found = living(key);
    if memory.is_none() && found.is_none() {
        return None;
    }
    let remembered = memory.as_ref();
    let mut exec = Exec {
        time: probe.clock.stamp(key.start_boot_ns),
        boot_ns: key.start_boot_ns,
        seeded: remembered.is_some_and(|memory| memory.seeded),
        ancestry_truncated,
        ..Exec::default()
    };
    exec.process.ppid = ancestry.first().map_or(0, |parent| parent.pid);
    exec.ancestry = ancestry;
    if let Some((process, file)) = found {
        exec.process = process;
        exec.file = Some(file);
        exec.process.invoked_as = exec.process.exe.path.clone();
    }
    if let Some(memory) = memory {
        fill(&mut exec, memory);
    }
    exec.process.pid = key.pid;
    exec.process.start = probe.clock.stamp(key.start_boot_ns);
    exec.process.start_boot_ns = key.start_boot_ns;
    Some(exec)
}

/// Adds what is remembered to what was found, if anything was.
fn fill(exec: &mut Exec, memory: Memory) {
    let process = &mut exec.process;
    if exec.file.is_none() {
        process.exe.path = memory.path.unwrap_or_default();
        process.comm = memory.comm;
        process.invoked_as = process.exe.path.clone();
        process.args_truncated = memory.args_cut;
        process.args.clone_from(&memory.args);
    }
    let Some(asked) = memory.asked else { return };
    // A script is asked for, and its interpreter runs: the kernel puts that and an argument of the
    // first line before the script. (The arguments now may be a title that the process wrote.)
    let base = asked.rsplit('/').next().unwrap_or_default();
    let script =
        memory.name != base && !(memory.name.len() >= NAME && base.starts_with(&memory.name));
    if script && memory.args.iter().skip(1).take(2).any(|arg| *arg == asked) {
        process.interpreter = memory.args.first().cloned();
    }
    process.invoked_as = asked;
}

/// What `/proc` says of a process, if it is and stays the one that is meant, and runs one file
/// meanwhile.
fn living(key: ProcessKey) -> Option<(Process, FileId)> {
    let ProcessKey { pid, start_boot_ns } = key;
    let link = proc(pid, "exe");
    if !procfs::is_still(pid, start_boot_ns) {
        return None;
    }
    let before = fs::metadata(&link).ok()?;
    let filesystem = rustix::fs::statfs(&*link).ok()?.f_type;
    let filesystem = u64::try_from(filesystem).unwrap_or_default();
    let file = file_id(&before, filesystem, &link);
    let number = |field| procfs::stat(pid, field)?.try_into().ok();
    let args = procfs::cmdline(pid)?;
    let cut = args.len() as u64 >= procfs::ARGS_LEN;
    let (cgroup_path, cgroup_v1_path) = place::of(pid);
    let process = Process {
        pid,
        ppid: number(PPID)?,
        uid: procfs::real_id(pid, "Uid")?,
        gid: procfs::real_id(pid, "Gid")?,
        session: number(SESSION).unwrap_or_default(),
        tty: procfs::stat(pid, TTY).is_some_and(|tty| tty != 0),
        tty_name: procfs::stat(pid, TTY).and_then(place::tty_of_number),
        cgroup_path,
        cgroup_v1_path,
        cgroup: cgroup::id_of(pid).unwrap_or_default(),
        namespaces: Namespaces {
            mnt: procfs::namespace(pid, "mnt"),
            pid: procfs::namespace(pid, "pid"),
            net: procfs::namespace(pid, "net"),
            user: procfs::namespace(pid, "user"),
        },
        comm: decode::text(&procfs::comm(pid)?),
        cwd: procfs::cwd(pid),
        args: decode::arguments(&args, cut),
        args_truncated: cut,
        exe: executable(pid, &before, &file)?,
        ..Process::default()
    };
    let after = fs::metadata(&link).ok()?;
    let same = (before.dev(), before.ino(), before.ctime(), before.ctime_nsec())
        == (after.dev(), after.ino(), after.ctime(), after.ctime_nsec());
    (same && procfs::is_still(pid, start_boot_ns)).then_some((process, file))
}

/// Of an overlay, which layer a file is in is not known here.
const OVERLAY: u64 = 0x794c_7630;

fn file_id(meta: &Metadata, filesystem: u64, link: &str) -> FileId {
    // Opening may have effects on some file systems. Where it has none, the generation is asked.
    let generation = if filter::is_honest(filesystem) { generation(link) } else { None };
    FileId {
        device: FileId::pack_device(major(meta.dev()), minor(meta.dev())),
        generation: generation.unwrap_or_default(),
        inode: meta.ino(),
        changed_ns: meta.ctime().saturating_mul(1_000_000_000).saturating_add(meta.ctime_nsec()),
        size: meta.size(),
        filesystem,
        overlay: filesystem == OVERLAY,
    }
}

fn generation(link: &str) -> Option<u32> {
    let options = libc::O_NONBLOCK | libc::O_NOCTTY;
    let file = File::options().read(true).custom_flags(options).open(link).ok()?;
    let mut generation: libc::c_long = 0;
    // SAFETY: the kernel writes an int or a long.
    let failed = unsafe {
        libc::ioctl(
            std::os::fd::AsRawFd::as_raw_fd(&file),
            libc::FS_IOC_GETVERSION,
            &raw mut generation,
        )
    };
    (failed == 0).then(|| u32::try_from(generation & 0xffff_ffff).unwrap_or_default())
}

fn executable(pid: u32, meta: &Metadata, file: &FileId) -> Option<Executable> {
    let mut path = procfs::exe(pid)?;
    // A process that was locked into a directory sees its file from there.
    if let Some(root) = procfs::root(pid)
        && root != "/"
        && let Some(inner) = path.strip_prefix(&root)
        && inner.starts_with('/')
    {
        path = inner.to_owned();
    }
    // The kernel marks a file without a name; a name may also end like that.
    let marked = path.ends_with(DELETED) && (meta.nlink() == 0 || fs::metadata(&path).is_err());
    if marked {
        path.truncate(path.len() - DELETED.len());
    }
    let memfd = marked && path.starts_with("/memfd:") && IN_MEMORY.contains(&file.filesystem);
    if memfd {
        path.remove(0);
    }
    Some(Executable {
        path,
        device: format!("{}:{}", major(meta.dev()), minor(meta.dev())),
        inode: meta.ino(),
        generation: file.generation,
        changed: Stamp::from_unix_nanos(file.changed_ns),
        size: meta.size(),
        mode: meta.mode(),
        links: meta.nlink().try_into().unwrap_or(u32::MAX),
        deleted: marked && !memfd,
        memfd,
        ..Executable::default()
    })
}
