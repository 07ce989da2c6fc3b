//! What the world may do to a running picket: kill it, stop it, starve it, fill its disk, give it
//! other processes to look at, or another clock.

mod left;
mod memory;

use std::fs;
use std::io::Read;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use libtest_mimic::Trial;
use rustix::process::Signal;
use serde_json::Value;

use crate::harness::{Group, PATIENCE, Sensor, args_of, copy_program, kill, picket, trial};
use left::Attached;

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial("root::hostile::killed_leaves_nothing_behind", killed),
        trial("root::hostile::stopped_for_a_while_it_counts_or_catches_up", stopped),
        trial("root::hostile::too_few_descriptors_are_said", few_descriptors),
        trial("root::hostile::without_descriptors_it_counts_and_recovers", no_descriptors),
        trial("root::hostile::a_disk_that_fills_up_is_said", disk_fills_up),
        trial("root::hostile::a_read_only_disk_is_said", read_only_disk),
        trial("root::hostile::in_a_pid_namespace_it_knows_what_it_cannot_tell", pid_namespace),
        trial("root::hostile::with_the_machines_proc_a_namespace_does_not_matter", shared_proc),
        trial("root::hostile::in_a_time_namespace_times_are_right", time_namespace),
        trial("root::hostile::out_of_memory_nothing_is_left_behind", memory::out_of_memory),
    ]
}

const RUN: [&str; 5] = ["run", "--format", "json", "--severity", "info"];

/// A directory with an `nginx` that does nothing, on a disk.
struct Place {
    dir: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        let dir = tempfile::Builder::new().prefix("hostile").tempdir_in("/var/lib").unwrap();
        symlink("/bin/true", dir.path().join("nginx")).unwrap();
        Self { dir }
    }

    fn path(&self) -> &Path {
        self.dir.path()
    }

    /// Executes it with a mark as its argument.
    fn nginx(&self, mark: &str) {
        let status = Command::new(self.path().join("nginx")).arg(mark).status().unwrap();
        assert!(status.success());
    }

    /// A real nginx that is called otherwise, and is another file than any before.
    fn renamed(&self, name: &str) -> PathBuf {
        let path = self.path().join(name);
        copy_program("/usr/sbin/nginx", &path, "755");
        path
    }
}

fn run(path: &Path) -> u32 {
    let mut child = Command::new(path).arg("-v").stderr(Stdio::null()).spawn().unwrap();
    assert!(child.wait().unwrap().success());
    child.id()
}

fn is_detection_of(record: &Value, pid: u32) -> bool {
    record["type"] == "detection" && record["process"]["pid"] == pid
}

/// The children of a process, all its threads together.
fn children(pid: u32) -> Vec<u32> {
    let mut found = Vec::new();
    for task in fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten() {
        let text = fs::read_to_string(task.path().join("children")).unwrap_or_default();
        found.extend(text.split_whitespace().map(|pid| pid.parse::<u32>().unwrap()));
    }
    found
}

fn killed() {
    let sensor = Sensor::start(&RUN);
    // A server under suspicion: a program is attached to its cgroup, too.
    let port = crate::harness::free_port();
    let code = format!(
        "import socket,time\ns=socket.create_server(('127.0.0.1',{port}))\nprint(1,flush=True)\n\
         time.sleep(600)"
    );
    let mut command = Command::new("python3");
    let mut listener = Group::start(command.args(["-c", &code]).stdout(Stdio::piped()));
    let mut said = listener.child.stdout.take().unwrap();
    said.read_exact(&mut [0; 1]).unwrap();
    sensor.barrier();
    let pid = sensor.pid();
    let attached = Attached::of(pid);
    assert_eq!(children(pid), [0_u32; 0], "it keeps children");
    sensor.signal(Signal::KILL);
    let (code, ..) = sensor.wait();
    assert_eq!(code, None, "it was not killed");
    attached.is_gone();
    // What it looked at goes on.
    let state = fs::read_to_string(format!("/proc/{}/stat", listener.child.id())).unwrap();
    assert!(state.contains(") S "), "{state}");
    assert!(std::net::TcpStream::connect(("127.0.0.1", port)).is_ok());
    drop(said);
}

/// Nobody reads the rings meanwhile. (A minute and more of it is the same: what counts is how much
/// happens, not how long it takes.)
fn stopped() {
    let place = Place::new();
    let sensor = Sensor::start(&RUN);
    let mark = place.path().to_str().unwrap();
    sensor.signal(Signal::STOP);
    const SERVERS: u64 = 400;
    for _ in 0..SERVERS {
        place.nginx(mark);
        Command::new("/bin/true").status().unwrap();
    }
    std::thread::sleep(Duration::from_secs(3));
    sensor.signal(Signal::CONT);
    // Behind the others in the same ring.
    sensor.barrier();
    let (code, records, log) = sensor.stop();
    assert_eq!(code, Some(0));
    let found = |r: &&Value| r["type"] == "detection" && args_of(r).contains(&mark);
    let seen = records.iter().filter(found).count() as u64;
    let last = records.iter().rev().find(|r| r["type"] == "coverage").unwrap();
    let lost = last["lost"]["kernel"].as_u64().unwrap();
    // Other programs of this machine may have come and gone, and be unread.
    let nothing = last["lost"].as_object().unwrap().values().all(|lost| *lost == 0);
    assert!(seen == SERVERS || seen + lost >= SERVERS, "{seen} seen, {lost} lost: {log}");
    assert_eq!(last["state"], if nothing { "full" } else { "degraded" }, "{last:#}");
}

fn few_descriptors() {
    let mut command = Command::new("prlimit");
    command.args(["--nofile=16:16", env!("CARGO_BIN_EXE_picket"), "run", "--format", "json"]);
    let out = command.output().unwrap();
    assert_eq!(out.status.code(), Some(1), "{out:?}");
    let log = String::from_utf8(out.stderr).unwrap();
    assert!(log.contains("Too many open files"), "{log}");
    assert!(out.stdout.is_empty());
}

fn limit_descriptors(pid: u32, limit: &str) {
    // Only root with all its capabilities may do that to another user's process.
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let id = |name| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.split_whitespace().next().unwrap()
    };
    let status = Command::new("setpriv")
        .args(["--reuid", id("Uid:"), "--regid", id("Gid:"), "--clear-groups", "prlimit"])
        .args(["--pid", &pid.to_string(), &format!("--nofile={limit}:")])
        .status()
        .unwrap();
    assert!(status.success());
}

fn no_descriptors() {
    let place = Place::new();
    let sensor = Sensor::start(&RUN);
    sensor.barrier();
    let pid = sensor.pid();
    let before = sensor.mark();
    // From here on nothing can be opened.
    limit_descriptors(pid, "8");
    let path = place.renamed("kworkerd");
    run(&path);
    place.nginx("named");
    sensor.wait_for("nginx, by its name", |r| args_of(r).contains(&"named"));
    sensor.wait_for("the gap", |r| {
        r["type"] == "coverage" && r["state"] == "degraded" && r["lost"]["unread"] != 0
    });
    limit_descriptors(pid, "1024");
    // The very file that could not be read is no less suspect for that.
    let again = run(&path);
    let found = sensor.wait_for("the renamed server", |r| is_detection_of(r, again));
    assert_eq!(found["server"]["name"], "nginx");
    assert_eq!(found["server"]["masquerade"], true);
    // And coverage is what it was, once a while passed without a loss.
    let deadline = Instant::now() + PATIENCE;
    loop {
        let records = sensor.since(before);
        let last = records.iter().rev().find(|r| r["type"] == "coverage").cloned().unwrap();
        if last["state"] == "full" {
            break;
        }
        assert!(Instant::now() < deadline, "it does not recover: {last:#}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// A small file system of its own; unmounted at the end.
struct Disk {
    dir: tempfile::TempDir,
}

impl Disk {
    fn mount(options: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let status = Command::new("mount")
            .args(["-t", "tmpfs", "-o", options, "tmpfs"])
            .arg(dir.path())
            .status()
            .unwrap();
        assert!(status.success());
        Self { dir }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.dir.path()).status();
    }
}

fn disk_fills_up() {
    let disk = Disk::mount("size=64k");
    let to = disk.path("recording");
    let sensor = Sensor::start(&["record", "--events", "--output", to.to_str().unwrap()]);
    let deadline = Instant::now() + PATIENCE;
    // It ends by itself.
    while !sensor.log().contains("the disk is full") {
        Command::new("/bin/true").arg("x".repeat(512)).status().unwrap();
        assert!(Instant::now() < deadline, "{}", sensor.log());
    }
    let (code, _, log) = sensor.wait();
    assert_eq!(code, Some(1), "{log}");
    let last = log.lines().last().unwrap();
    assert!(last.starts_with("picket: the disk is full: make room, or write elsewhere"), "{log}");
    // What is in the file is whole, up to where there was no more room.
    let text = fs::read_to_string(&to).unwrap();
    let (whole, _) = text.rsplit_once('\n').unwrap();
    assert!(whole.lines().count() > 10);
    for line in whole.lines() {
        serde_json::from_str::<Value>(line).unwrap_or_else(|e| panic!("{e}: {line}"));
    }
}

fn read_only_disk() {
    let disk = Disk::mount("size=64k,ro");
    let to = disk.path("recording");
    let out = picket().args(["record", "--output", to.to_str().unwrap()]).output().unwrap();
    assert_eq!(out.status.code(), Some(1));
    let log = String::from_utf8(out.stderr).unwrap();
    let expected = format!("picket: cannot write the recording {}: Read-only file", to.display());
    assert!(log.contains(&expected), "{log}");
}

/// picket in namespaces of its own. Its pid is that of the one child that `unshare` has.
fn unshared(options: &[&str]) -> (Sensor, String, u32) {
    let mut command = Command::new("unshare");
    command.args(options).arg("--kill-child").arg(env!("CARGO_BIN_EXE_picket")).args(RUN);
    command.args(["--environment", "production"]);
    let (sensor, line) = Sensor::start_command(command);
    let inner = children(sensor.pid());
    assert_eq!(inner.len(), 1, "{inner:?}");
    (sensor, line, inner[0])
}

fn ends_well(sensor: Sensor, pid: u32) -> Vec<Value> {
    kill(pid, Signal::INT);
    let (code, records, log) = sensor.wait();
    assert_eq!(code, Some(0), "{log}");
    records
}

fn pid_namespace() {
    let place = Place::new();
    let (sensor, line, pid) = unshared(&["--pid", "--fork", "--mount-proc"]);
    let why = "picket runs in a pid namespace of its own and sees no other's /proc";
    assert!(line.starts_with("picket: watching, coverage degraded: "), "{line}");
    assert!(line.contains(why), "{line}");
    // It saw its canary, although it does not know itself by that number.
    assert!(!line.contains("canary"), "{line}");
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    assert!(status.contains(&format!("NSpid:\t{pid}\t1\n")), "{status}");
    place.nginx("named");
    let found = sensor.wait_for("nginx, by its name", |r| args_of(r).contains(&"named"));
    assert_eq!(found["ancestry"][0]["pid"], std::process::id());
    // Process 1 of the machine is not process 1 of its own /proc, which is picket.
    for ancestor in found["ancestry"].as_array().unwrap() {
        let exe = ancestor["exe"].as_str().unwrap_or_default();
        assert!(!exe.ends_with("/picket"), "{ancestor:#}");
        assert_ne!(ancestor["comm"], "picket", "{ancestor:#}");
    }
    let mut child = Command::new(place.renamed("kworkerd")).arg("-v").stderr(Stdio::null()).spawn();
    let _ = child.as_mut().map(Child::wait);
    sensor.wait_for("the gap", |r| r["type"] == "coverage" && r["lost"]["unread"] != 0);
    let records = ends_well(sensor, pid);
    for record in records.iter().filter(|r| r["type"] == "coverage") {
        assert_eq!(record["state"], "degraded");
        assert!(record["reasons"].to_string().contains(why), "{record:#}");
    }
}

fn shared_proc() {
    let place = Place::new();
    let (sensor, line, pid) = unshared(&["--pid", "--fork"]);
    assert_eq!(line, "picket: watching, coverage full");
    let server = run(&place.renamed("kworkerd"));
    let found = sensor.wait_for("the renamed server", |r| is_detection_of(r, server));
    assert_eq!(found["server"]["name"], "nginx");
    assert_eq!(found["server"]["masquerade"], true);
    ends_well(sensor, pid);
}

fn time_namespace() {
    let place = Place::new();
    let (sensor, line, pid) =
        unshared(&["--time", "--boottime", "1000000", "--monotonic", "2000000", "--fork"]);
    assert_eq!(line, "picket: watching, coverage full");
    let seconds = || {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        i64::try_from(now.unwrap().as_secs()).unwrap()
    };
    let before = seconds();
    let mut command = Command::new(place.renamed("kworkerd"));
    let conf = place.path().join("nginx.conf");
    let port = crate::harness::free_port();
    let text = format!(
        "daemon off;\npid {0}/pid;\nerror_log {0}/log;\nevents {{}}\n\
         http {{ access_log off; server {{ listen 127.0.0.1:{port}; }} }}\n",
        place.path().display()
    );
    fs::write(&conf, text).unwrap();
    let group = Group::start(command.arg("-c").arg(&conf).stderr(Stdio::null()));
    let server = group.child.id();
    let found = sensor.wait_for("the server", |r| is_detection_of(r, server));
    let after = seconds();
    let time = found["time"].as_str().unwrap();
    let out = Command::new("date").args(["+%s", "-d", time]).output().unwrap();
    let time: i64 = String::from_utf8(out.stdout).unwrap().trim().parse().unwrap();
    assert!((before - 1..=after + 1).contains(&time), "{time} is not in {before}..{after}");
    // A latency of weeks would be another clock's.
    let latency = found["latency_us"].as_u64().unwrap();
    assert!(latency < 60_000_000, "{latency}");
    // That it still is the same process is told by when it started.
    assert_eq!(found["ancestry"][0]["alive"], true);
    sensor.wait_for("that it listens", |r| r["type"] == "update" && r["id"] == found["id"]);
    drop(group);
    ends_well(sensor, pid);
}
