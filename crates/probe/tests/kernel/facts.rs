//! What `/proc` and `stat(2)` say, to compare with.

use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use event::{Exec, Executable};

// Fields of /proc/PID/stat, as proc(5) numbers them.
pub(crate) const PPID: usize = 4;
pub(crate) const SESSION: usize = 6;
pub(crate) const TTY: usize = 7;
pub(crate) const START: usize = 22;

/// A field of `/proc/PID/stat`.
pub(crate) fn stat(pid: u32, field: usize) -> u64 {
    try_stat(pid, field).unwrap_or_else(|| panic!("no /proc/{pid}/stat"))
}

pub(crate) fn try_stat(pid: u32, field: usize) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, after_comm) = text.rsplit_once(") ")?;
    after_comm.split(' ').nth(field - 3)?.trim().parse().ok()
}

/// The words of a line of `/proc/PID/status`.
pub(crate) fn status(pid: u32, key: &str) -> Vec<u32> {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = text.lines().find_map(|l| l.strip_prefix(key)).unwrap();
    line.trim_start_matches(':').split_whitespace().map(|w| w.parse().unwrap()).collect()
}

/// Text of `/proc/PID/...`.
pub(crate) fn text(pid: u32, file: &str) -> String {
    fs::read_to_string(format!("/proc/{pid}/{file}")).unwrap()
}

pub(crate) fn link(pid: u32, file: &str) -> String {
    fs::read_link(format!("/proc/{pid}/{file}")).unwrap().into_os_string().into_string().unwrap()
}

pub(crate) fn string(path: &Path) -> String {
    path.to_str().unwrap().to_owned()
}

/// Where cgroup version 2 is mounted.
pub(crate) fn cgroup2() -> PathBuf {
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
    let line = mounts.lines().find(|l| l.contains(" - cgroup2 ")).expect("cgroup2 is mounted");
    PathBuf::from(line.split(' ').nth(4).unwrap())
}

/// When a process started, in clock ticks since boot, from the kernel's nanoseconds.
pub(crate) fn ticks(start_boot_ns: u64) -> u64 {
    // SAFETY: plain system call.
    let per_second = unsafe { libc::sysconf(libc::_SC_CLK_TCK) };
    start_boot_ns / (1_000_000_000 / u64::try_from(per_second).unwrap())
}

/// Compares an execution with what `/proc` says of its process, which must still run it.
/// Paths are left out: they depend on who looks.
#[track_caller]
pub(crate) fn assert_process(exec: &Exec) {
    let p = &exec.process;
    let pid = p.pid;
    assert_eq!(status(pid, "Tgid"), [pid]);
    assert_eq!(ticks(p.start_boot_ns), stat(pid, START), "start");
    assert_eq!(u64::from(p.ppid), stat(pid, PPID), "ppid");
    assert_eq!(u64::from(p.session), stat(pid, SESSION), "session");
    assert_eq!(p.tty, stat(pid, TTY) != 0, "tty");
    assert_eq!(p.uid, status(pid, "Uid")[0], "uid");
    assert_eq!(p.gid, status(pid, "Gid")[0], "gid");
    assert_eq!(p.comm, text(pid, "comm").trim_end_matches('\n'), "comm");
    let cmdline = text(pid, "cmdline");
    let cmdline: Vec<&str> = cmdline.strip_suffix('\0').unwrap().split('\0').collect();
    assert_eq!(p.args, cmdline, "args");
    assert!(!p.args_truncated);
    let ns = |name| fs::metadata(format!("/proc/{pid}/ns/{name}")).unwrap().ino();
    assert_eq!(u64::from(p.namespaces.mnt), ns("mnt"), "mount namespace");
    assert_eq!(u64::from(p.namespaces.pid), ns("pid"), "pid namespace");
    assert_eq!(u64::from(p.namespaces.net), ns("net"), "network namespace");
    assert_eq!(u64::from(p.namespaces.user), ns("user"), "user namespace");
    let cgroups = text(pid, "cgroup");
    let own = cgroups.lines().find_map(|l| l.strip_prefix("0::/")).unwrap();
    assert_eq!(p.cgroup, fs::metadata(cgroup2().join(own)).unwrap().ino(), "cgroup");
    assert_place(exec, &cgroups);
    assert_file(&p.exe, &fs::metadata(format!("/proc/{pid}/exe")).unwrap());
    assert!(!exec.seeded);
}

/// Compares the paths of an execution's cgroups, and its terminal, with what `/proc` says. The tests
/// are in the machine's own cgroup namespace.
#[track_caller]
pub(crate) fn assert_place(exec: &Exec, cgroups: &str) {
    let p = &exec.process;
    let path = |wanted: &dyn Fn(&str) -> bool| {
        let mut fields = cgroups.lines().map(|line| line.splitn(3, ':').collect::<Vec<_>>());
        fields.find(|f| wanted(f[1])).map_or("/", |f| f[2]).to_owned()
    };
    let v2 = path(&str::is_empty);
    let controllers = ["name=systemd", "pids", "memory", "devices"];
    let v1 = controllers.map(|wanted| path(&|of| of.split(',').any(|c| c == wanted)));
    let v1 = v1.into_iter().find(|path| path != "/").unwrap_or_else(|| "/".to_owned());
    let (first, second) = if v2 == "/" { (v1, None) } else { (v2.clone(), Some(v1)) };
    let second = second.filter(|v1| v1 != "/" && *v1 != v2);
    assert_eq!(p.cgroup_path, Some(first), "cgroup's path");
    assert_eq!(p.cgroup_v1_path, second, "cgroup's path in version 1");
    assert!(!p.cgroup_path_truncated);
    let device = stat(p.pid, TTY);
    // The majors of pseudo terminals are 136 to 143; there are no others here.
    let number = ((device >> 8 & 0xfff).saturating_sub(136) << 8) | device & 0xff;
    let tty = (device != 0).then(|| format!("pts/{number}"));
    assert_eq!(p.tty_name, tty, "terminal");
}

/// Compares the paths of an execution with those of `/proc`, where the process has our root.
#[track_caller]
pub(crate) fn assert_paths(exec: &Exec) {
    let p = &exec.process;
    assert_eq!(p.exe.path, link(p.pid, "exe"), "path");
    assert!(!p.exe.path_truncated);
    assert_eq!(p.cwd.as_deref(), Some(&*link(p.pid, "cwd")), "cwd");
}

/// Compares a file with what `stat(2)` says of it.
#[track_caller]
pub(crate) fn assert_file(exe: &Executable, file: &Metadata) {
    let device = format!("{}:{}", libc::major(file.dev()), libc::minor(file.dev()));
    assert_eq!(exe.device, device, "device");
    assert_eq!(exe.inode, file.ino(), "inode");
    assert_eq!(exe.size, file.size(), "size");
    assert_eq!(exe.mode, file.mode(), "mode");
    assert_eq!(u64::from(exe.links), file.nlink(), "links");
    assert_eq!(
        exe.changed.unix_nanos(),
        file.ctime() * 1_000_000_000 + file.ctime_nsec(),
        "change time"
    );
}

/// The time of day, in nanoseconds since 1970.
pub(crate) fn now() -> i64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    i64::try_from(now.as_nanos()).unwrap()
}
