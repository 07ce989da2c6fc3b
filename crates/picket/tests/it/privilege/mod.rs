//! What a running picket still may do, asked of its kernel; that it sees everything nevertheless;
//! and what it says when it may do less.

mod inject;
mod unit;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use libtest_mimic::Trial;
use serde_json::Value;

use crate::harness::{Sensor, args_of, copy_program, picket, trial};
use inject::Stopped;

pub(crate) fn trials() -> Vec<Trial> {
    let mut trials = vec![
        trial("root::privilege::every_thread_has_given_up", every_thread),
        trial("root::privilege::nothing_else_is_possible", nothing_else),
        trial("root::privilege::without_a_sandbox_all_of_it_is", without_sandbox),
        trial("root::privilege::what_only_root_may_read_is_read", only_root),
        trial("root::privilege::a_deleted_library_is_read", deleted_library),
        trial("root::privilege::another_user_can_be_named", another_user),
        trial("root::privilege::two_capabilities_suffice", two_capabilities),
        trial("root::privilege::doctor_says_what_is_missing", doctor),
    ];
    trials.extend(unit::trials());
    trials
}

const CAP_DAC_READ_SEARCH: u64 = 1 << 2;
const CAP_NET_ADMIN: u64 = 1 << 12;
const CAP_SYS_PTRACE: u64 = 1 << 19;
const CAP_BPF: u64 = 1 << 39;
const CAP_CHECKPOINT_RESTORE: u64 = 1 << 40;

/// What a picket that began as root keeps.
fn kept() -> u64 {
    let kept = CAP_DAC_READ_SEARCH | CAP_NET_ADMIN | CAP_SYS_PTRACE | CAP_CHECKPOINT_RESTORE;
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    let mut numbers = release.split('.').map(|number| number.parse::<u32>().unwrap_or(0));
    let version = (numbers.next().unwrap(), numbers.next().unwrap());
    if version < (5, 19) { kept | CAP_BPF } else { kept }
}

/// The lines of a `status` file.
fn status(path: &Path) -> BTreeMap<String, String> {
    let text = fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let lines = text.lines().filter_map(|line| line.split_once(":\t"));
    lines.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

/// Looks at every thread: what it may do, and who it is.
fn check_threads(pid: u32, user: u32, kept: u64, bounding: u64) {
    let tasks: Vec<PathBuf> =
        fs::read_dir(format!("/proc/{pid}/task")).unwrap().map(|t| t.unwrap().path()).collect();
    assert!(tasks.len() >= 4, "it has {} threads only: are these all?", tasks.len());
    for path in tasks.iter().map(|task| task.join("status")) {
        let status = status(&path);
        let name = &status["Name"];
        for ids in ["Uid", "Gid"] {
            let found: Vec<u32> =
                status[ids].split('\t').map(|id| id.trim().parse().unwrap()).collect();
            assert!(!found.contains(&0), "{name}: {ids} {found:?}");
            assert!(ids != "Uid" || found == [user; 4], "{name}: {ids} {found:?}");
        }
        assert_eq!(status["Groups"].trim(), "", "{name}");
        for (set, expected) in
            [("CapEff", kept), ("CapPrm", kept), ("CapBnd", bounding), ("CapInh", 0), ("CapAmb", 0)]
        {
            let found = u64::from_str_radix(&status[set], 16).unwrap();
            assert_eq!(found, expected, "{name}: {set} is {found:x}, not {expected:x}");
        }
        assert_eq!(status["NoNewPrivs"], "1", "{name}");
        assert_eq!(status["Seccomp"], "2", "{name}");
    }
}

fn id_of(user: &str) -> Option<u32> {
    let passwd = fs::read_to_string("/etc/passwd").unwrap();
    let mut lines = passwd.lines().map(|line| line.split(':').collect::<Vec<_>>());
    lines.find(|fields| fields[0] == user).map(|fields| fields[2].parse().unwrap())
}

fn every_thread() {
    let sensor = Sensor::start(&["run", "--format", "json"]);
    sensor.barrier();
    let user = id_of("picket").or_else(|| id_of("nobody")).unwrap();
    check_threads(sensor.pid(), user, kept(), kept());
    // Nobody else can look into it, or take it over.
    let dumpable = fs::metadata(format!("/proc/{}/environ", sensor.pid())).unwrap();
    assert_eq!(std::os::unix::fs::MetadataExt::uid(&dumpable), 0, "it can be dumped");
    // `record` is no different.
    let dir = tempfile::tempdir().unwrap();
    let to = dir.path().join("recording");
    let sensor = Sensor::start(&["record", "--output", to.to_str().unwrap()]);
    check_threads(sensor.pid(), user, kept(), kept());
    // The file was open before, and is written although nothing can be opened for that any more.
    let nginx = dir.path().join("nginx");
    std::os::unix::fs::symlink("/bin/true", &nginx).unwrap();
    assert!(Command::new(&nginx).arg("recorded").status().unwrap().success());
    sensor.signal(rustix::process::Signal::INT);
    let deadline = std::time::Instant::now() + crate::harness::PATIENCE;
    while !fs::read_to_string(&to).unwrap().contains("\"recorded\"") {
        assert!(std::time::Instant::now() < deadline, "it did not record: {}", sensor.log());
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
}

fn another_user() {
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("config.yaml");
    fs::write(&config, "user: daemon\n").unwrap();
    let config = config.to_str().unwrap();
    let sensor = Sensor::start(&["run", "--format", "json", "--config", config]);
    check_threads(sensor.pid(), id_of("daemon").unwrap(), kept(), kept());
    fs::write(config, "user: root\n").unwrap();
    let out = picket().args(["run", "--config", config]).output().unwrap();
    assert_eq!(out.status.code(), Some(1));
    let log = String::from_utf8(out.stderr).unwrap();
    assert!(log.contains("user root is root: name one without privileges"), "{log}");
}

const EPERM: i64 = -1;
const READ: u64 = libc::PROT_READ as u64;
const WRITE: u64 = libc::PROT_WRITE as u64;
const EXEC: u64 = libc::PROT_EXEC as u64;
const NOWHERE: u64 = u64::MAX;
/// The lowest page, which rules rest on.
const PAGE: u64 = 0x1_0000;

/// What must not be possible: what it is, and the call.
fn forbidden(
    stopped: &mut Stopped,
    place: &Path,
    other: u32,
) -> Vec<(&'static str, i64, Vec<u64>)> {
    let file = stopped.text(place.join("made").to_str().unwrap());
    let open = place.join("open");
    fs::write(&open, "x").unwrap();
    fs::set_permissions(&open, fs::Permissions::from_mode(0o666)).unwrap();
    let open = stopped.text(open.to_str().unwrap());
    let memory = stopped.text("/proc/self/mem");
    let program = stopped.text("/bin/true");
    let none = stopped.put(&[0; 16]);
    // `struct open_how`: for writing, and otherwise as picket does it.
    let how = [libc::O_WRONLY as u64, 0, 0].map(u64::to_ne_bytes).concat();
    let how = stopped.put(&how);
    let at = libc::AT_FDCWD as u64;
    let create = (libc::O_WRONLY | libc::O_CREAT) as u64;
    let flags = |flags: i32| flags as u64;
    let anonymous = flags(libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
    let other = u64::from(other);
    let namespace = flags(libc::CLONE_NEWUSER | libc::SIGCHLD);
    vec![
        ("make a file", libc::SYS_openat, vec![at, file, create, 0o600]),
        ("make a file, the old way", libc::SYS_open, vec![file, create, 0o600]),
        ("write to a file of all", libc::SYS_openat, vec![at, open, flags(libc::O_RDWR)]),
        ("empty a file of all", libc::SYS_openat, vec![at, open, flags(libc::O_TRUNC)]),
        ("write to a file, the new way", libc::SYS_openat2, vec![at, open, how, 24]),
        ("write to its own code", libc::SYS_openat, vec![at, memory, flags(libc::O_RDWR)]),
        ("execute a program", libc::SYS_execve, vec![program, none, none]),
        ("execute it otherwise", libc::SYS_execveat, vec![at, program, none, none, 0]),
        ("remove a file", libc::SYS_unlink, vec![open]),
        ("rename a file", libc::SYS_rename, vec![open, file]),
        ("change its mode", libc::SYS_chmod, vec![open, 0o777]),
        ("make a TCP socket", libc::SYS_socket, vec![flags(libc::AF_INET), 1, 0]),
        ("make a UDP socket", libc::SYS_socket, vec![flags(libc::AF_INET6), 2, 0]),
        ("configure the network", libc::SYS_socket, vec![flags(libc::AF_NETLINK), 3, 0]),
        ("read packets", libc::SYS_socket, vec![flags(libc::AF_PACKET), 3, 0]),
        ("trace a process", libc::SYS_ptrace, vec![flags(libc::PTRACE_SEIZE as i32), other, 0, 0]),
        ("write its memory", libc::SYS_process_vm_writev, vec![other, none, 0, none, 0, 0]),
        ("end it", libc::SYS_kill, vec![other, 9]),
        ("end a thread of it", libc::SYS_tgkill, vec![other, other, 9]),
        ("load an eBPF program", libc::SYS_bpf, vec![5, none, 16]),
        ("make an eBPF map", libc::SYS_bpf, vec![0, none, 16]),
        ("make code", libc::SYS_mmap, vec![0, 4096, READ | EXEC, anonymous, NOWHERE, 0]),
        (
            "replace memory",
            libc::SYS_mmap,
            vec![PAGE, 4096, READ | WRITE, anonymous | flags(libc::MAP_FIXED), NOWHERE, 0],
        ),
        ("write to the lowest page", libc::SYS_mprotect, vec![PAGE, 4096, READ | WRITE]),
        ("unmap it", libc::SYS_munmap, vec![PAGE, 4096]),
        ("unmap everything", libc::SYS_munmap, vec![0, 1 << 46]),
        ("forget it", libc::SYS_madvise, vec![PAGE, 4096, 4]),
        ("move it", libc::SYS_mremap, vec![PAGE, 4096, 8192, 1]),
        ("become root", libc::SYS_setuid, vec![0]),
        ("have its own users", libc::SYS_unshare, vec![flags(libc::CLONE_NEWUSER)]),
        ("give them to a child", libc::SYS_clone, vec![namespace, 0, 0, 0, 0]),
        ("mount", libc::SYS_mount, vec![file, file, 0, flags(libc::MS_BIND as i32), 0]),
        ("load a module", libc::SYS_init_module, vec![none, 16, none]),
        ("raise a limit", libc::SYS_prlimit64, vec![0, 7, none, 0]),
        ("type on a terminal", libc::SYS_ioctl, vec![0, libc::TIOCSTI, none]),
    ]
}

fn nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o777)).unwrap();
    let sensor = Sensor::start(&["run", "--format", "json"]);
    let mut bystander = Command::new("sleep").arg("600").spawn().unwrap();
    let pid = sensor.pid();
    let canary = fs::read_dir(format!("/proc/{pid}/fd")).unwrap().flatten().find(|fd| {
        fs::read_link(fd.path())
            .is_ok_and(|to| to.to_string_lossy().starts_with("/memfd:picket-canary"))
    });
    let canary = canary.unwrap().file_name().to_str().unwrap().parse::<u64>().unwrap();
    {
        let mut stopped = Stopped::stop(pid);
        // That calls can be made at all, and what must stay possible.
        assert_eq!(stopped.call(libc::SYS_getpid, &[]), i64::from(pid));
        let shadow = stopped.text("/etc/shadow");
        let fd = stopped.call(libc::SYS_openat, &[libc::AT_FDCWD as u64, shadow, 0]);
        assert!(fd > 2, "what only root may read cannot be read: {fd}");
        assert_eq!(stopped.call(libc::SYS_close, &[fd.cast_unsigned()]), 0);
        let fd = stopped.call(libc::SYS_socket, &[libc::AF_UNIX as u64, 1, 0]);
        assert!(fd > 2, "no socket to other services: {fd}");
        assert_eq!(stopped.call(libc::SYS_close, &[fd.cast_unsigned()]), 0);
        for (what, number, args) in forbidden(&mut stopped, dir.path(), bystander.id()) {
            assert_eq!(stopped.call(number, &args), EPERM, "it can {what}");
        }
        // What is executed is what the canary's descriptor holds.
        for (what, number, args) in [
            ("close the canary", libc::SYS_close, vec![canary]),
            ("close it with others", libc::SYS_close_range, vec![0, 1000, 0]),
            ("put another in its place", libc::SYS_dup2, vec![1, canary]),
            ("put another there, the new way", libc::SYS_dup3, vec![1, canary, 0]),
            ("write to it", libc::SYS_write, vec![canary, shadow, 4]),
        ] {
            assert_eq!(stopped.call(number, &args), EPERM, "it can {what}");
        }
        let enosys = i64::from(-libc::ENOSYS);
        assert_eq!(stopped.call(libc::SYS_clone3, &[shadow, 88]), enosys);
    }
    assert!(bystander.try_wait().unwrap().is_none());
    let _ = bystander.kill();
    let _ = bystander.wait();
    assert!(!dir.path().join("made").exists());
    assert_eq!(fs::read_to_string(dir.path().join("open")).unwrap(), "x");
    // Nothing lies where the canary's calls come from.
    let maps = fs::read_to_string(format!("/proc/{pid}/maps")).unwrap();
    let first = maps.lines().nth(1).unwrap().split('-').next().unwrap();
    assert!(maps.starts_with("00010000-00011000 r--p"), "{maps}");
    assert!(u64::from_str_radix(first, 16).unwrap() >= 0x41_0000, "{maps}");
    // It goes on as before.
    sensor.barrier();
    let (code, ..) = sensor.stop();
    assert_eq!(code, Some(0));
}

/// The same calls, by the same means, where the configuration turns the sandbox off: so it was the
/// sandbox that refused them.
fn without_sandbox() {
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("config.yaml");
    fs::write(&config, "sandbox: false\n").unwrap();
    let config = config.to_str().unwrap();
    let sensor = Sensor::start(&["run", "--format", "json", "--config", config]);
    assert!(sensor.log().contains("picket: sandbox: the configuration says `sandbox: false`"));
    let mut stopped = Stopped::stop(sensor.pid());
    // Those that would end it or do harm are left out.
    const HARMLESS: [&str; 8] = [
        "make a file",
        "make a file, the old way",
        "write to a file of all",
        "write to a file, the new way",
        "write to its own code",
        "make a TCP socket",
        "make code",
        "change its mode",
    ];
    let mut done = 0;
    for (what, number, args) in forbidden(&mut stopped, dir.path(), 1) {
        if HARMLESS.contains(&what) {
            let result = stopped.call(number, &args);
            assert!(result >= 0, "{what}: error {result}");
            done += 1;
        }
    }
    assert_eq!(done, HARMLESS.len());
    assert!(dir.path().join("made").exists());
}

/// A program that only its owner may read, in a directory that only its owner may enter.
fn only_root() {
    let dir = tempfile::Builder::new().prefix("only-root").tempdir_in("/var/lib").unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o700)).unwrap();
    let path = dir.path().join("kworkerd");
    copy_program("/usr/sbin/nginx", &path, "700");
    let sensor = Sensor::start(&["run", "--format", "json", "--severity", "info"]);
    let mut child = Command::new(&path).arg("-v").stderr(Stdio::null()).spawn().unwrap();
    assert!(child.wait().unwrap().success());
    let pid = child.id();
    let found = sensor
        .wait_for("the renamed server", |r| r["type"] == "detection" && r["process"]["pid"] == pid);
    assert_eq!(found["server"]["name"], "nginx");
    assert_eq!(found["server"]["masquerade"], true, "{:#}", found["server"]);
    assert!(found["process"]["exe"]["sha256"].is_string());
    // Where its package brought it, the package database says so.
    let config = dir.path().join("nginx.conf");
    let port = crate::harness::free_port();
    let text = format!(
        "daemon off;\npid {0}/pid;\nerror_log {0}/log;\nevents {{}}\n\
         http {{ access_log off; server {{ listen 127.0.0.1:{port}; }} }}\n",
        dir.path().display()
    );
    fs::write(&config, text).unwrap();
    let mut command = Command::new("/usr/sbin/nginx");
    let group = crate::harness::Group::start(command.arg("-c").arg(&config).stderr(Stdio::null()));
    let pid = group.child.id();
    let found =
        sensor.wait_for("nginx itself", |r| r["type"] == "detection" && r["process"]["pid"] == pid);
    let package = found["process"]["exe"]["package"].as_str().unwrap_or_default();
    assert!(package.starts_with("nginx"), "{:#}", found["process"]["exe"]);
}

/// A library that is gone by the time its server listens is reached through the process that has
/// it, which takes a capability of its own.
fn deleted_library() {
    let dir = tempfile::Builder::new().prefix("library").tempdir_in("/var/lib").unwrap();
    let source = dir.path().join("host.c");
    let code = "#include <dlfcn.h>\n#include <unistd.h>\nint main(int n, char **a) {\
        void *l = dlopen(a[1], RTLD_NOW);\
        void *(*start)(void *, void *, const char **) = dlsym(l, \"mg_start\");\
        const char *options[] = {\"listening_ports\", a[2], \"document_root\", \"/var/empty\", 0};\
        char callbacks[4096] = {0};\
        unlink(a[1]);\
        if (!start || !start(callbacks, 0, options)) return 1;\
        for (;;) pause(); }";
    fs::write(&source, code).unwrap();
    let program = dir.path().join("editor");
    let done = Command::new("gcc").args(["-w", "-o"]).args([&program, &source]).status().unwrap();
    assert!(done.success());
    let library = dir.path().join("lib.so");
    let real = format!("/usr/lib/{}-linux-gnu/libcivetweb.so.1", std::env::consts::ARCH);
    fs::copy(&real, &library).unwrap_or_else(|e| {
        panic!("{real}: {e} (libcivetweb1 is installed by scripts/test-servers-setup.sh)")
    });
    let sensor = Sensor::start(&["run", "--format", "json"]);
    let at = format!("127.0.0.1:{}", crate::harness::free_port());
    let group = crate::harness::Group::start(Command::new(&program).arg(&library).arg(&at));
    let pid = group.child.id();
    let found = sensor.wait_for("the server in the library", |r| crate::harness::is_below(r, pid));
    assert_eq!(found["server"]["name"], "civetweb", "{:#}", found["server"]);
}

/// A picket that another user can execute, with these ambient capabilities.
pub(super) struct Unprivileged {
    dir: tempfile::TempDir,
}

impl Unprivileged {
    pub(super) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
        copy_program(env!("CARGO_BIN_EXE_picket"), dir.path().join("picket"), "755");
        Self { dir }
    }

    /// The command that runs it as `nobody`, with capabilities as setpriv writes them.
    pub(super) fn command(&self, capabilities: &[&str]) -> Command {
        let list: Vec<String> = capabilities.iter().map(|name| format!("+{name}")).collect();
        let list = format!("-all,{}", list.join(","));
        let mut command = Command::new("setpriv");
        command
            .args(["--reuid", "65534", "--regid", "65534", "--clear-groups"])
            .args(["--inh-caps", &list, "--ambient-caps", &list, "--bounding-set", &list])
            .arg("--")
            .arg(self.dir.path().join("picket"));
        command
    }
}

fn two_capabilities() {
    let unprivileged = Unprivileged::new();
    let mut command = unprivileged.command(&["bpf", "perfmon"]);
    command.args(["run", "--format", "json"]);
    let (sensor, line) = Sensor::start_command(command);
    let blind = [
        "without CAP_SYS_PTRACE, programs of other users",
        "without CAP_DAC_READ_SEARCH, programs that only their owners may read",
        "servers that nobody knows are not found by their answers: missing CAP_NET_ADMIN",
    ];
    assert!(line.starts_with("picket: watching, coverage degraded: "), "{line}");
    for reason in blind {
        assert!(line.contains(reason), "{line}");
    }
    // Both are gone again, too. Without CAP_SETPCAP the bounding set stays.
    let two = CAP_BPF | 1 << 38;
    let rest = if kept() & CAP_BPF == 0 { 0 } else { CAP_BPF };
    check_threads(sensor.pid(), 65534, rest, two);
    let dir = tempfile::tempdir().unwrap();
    let nginx = dir.path().join("nginx");
    std::os::unix::fs::symlink("/bin/true", &nginx).unwrap();
    let mark = dir.path().to_str().unwrap();
    assert!(Command::new(&nginx).arg(mark).status().unwrap().success());
    let found = sensor.wait_for("nginx, by its name", |r| args_of(r).contains(&mark));
    assert_eq!(found["server"]["name"], "nginx");
    let (code, records, _) = sensor.stop();
    assert_eq!(code, Some(0));
    let coverage: Vec<&Value> = records.iter().filter(|r| r["type"] == "coverage").collect();
    assert!(coverage.len() >= 2);
    for record in coverage {
        assert_eq!(record["state"], "degraded");
        for reason in blind {
            assert!(record["reasons"].to_string().contains(reason), "{record}");
        }
    }
}

fn doctor() {
    let checks = |mut command: Command| -> BTreeMap<String, Value> {
        let out = command.args(["doctor", "--format", "json"]).output().unwrap();
        assert!(out.status.success(), "{out:?}");
        let text = String::from_utf8(out.stdout).unwrap();
        let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        lines.map(|check| (check["name"].as_str().unwrap().to_owned(), check)).collect()
    };
    let root = checks(picket());
    let sandbox = root["sandbox"]["found"].as_str().unwrap();
    assert!(sandbox.contains("user ") && sandbox.contains("seccomp"), "{sandbox}");
    assert!(sandbox.contains("CAP_SYS_PTRACE") && !sandbox.contains("CAP_SYS_ADMIN"), "{sandbox}");
    assert!(!root.contains_key("coverage"), "{root:#?}");
    let few = checks(Unprivileged::new().command(&["bpf", "perfmon"]));
    let sandbox = few["sandbox"]["found"].as_str().unwrap();
    assert!(sandbox.contains("capabilities: none, Landlock, seccomp"), "{sandbox}");
    assert_eq!(few["coverage"]["found"], "degraded");
    assert_eq!(few["CAP_DAC_READ_SEARCH"]["ok"], Value::Null);
    assert!(few["CAP_DAC_READ_SEARCH"]["fix"].is_string());
}
