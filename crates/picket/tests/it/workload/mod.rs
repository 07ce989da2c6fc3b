//! What a server belongs to and who started it: real cgroups, real containers, real launchers.

mod cgroups;
mod containers;
mod launchers;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use libtest_mimic::Trial;
use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::Value;

use crate::harness::{PATIENCE, Sensor, args_of, kill, outcome, shared};

pub(crate) fn trials() -> Vec<Trial> {
    let parts = [cgroups::trials(), containers::trials(), launchers::trials()];
    parts.into_iter().flatten().collect()
}

/// A test that only looks at what the shared sensor sees, which must run before it begins.
fn watched(name: &str, test: fn()) -> Trial {
    Trial::test(name, move || {
        outcome(|| {
            let _sensor = shared();
            test();
        })
    })
}

/// A process in a session of its own, without a terminal, which is ended as a whole.
struct Session(Child);

impl Session {
    fn start(words: &[&str]) -> Self {
        Self::start_with(Command::new("setsid").args(words))
    }

    fn start_with(command: &mut Command) -> Self {
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn();
        Self(child.unwrap_or_else(|e| panic!("cannot start {command:?}: {e}")))
    }

    fn pid(&self) -> u32 {
        self.0.id()
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let group = Pid::from_raw(i32::try_from(self.pid()).unwrap()).unwrap();
        let _ = kill_process_group(group, Signal::TERM);
        let deadline = Instant::now() + Duration::from_secs(10);
        while matches!(self.0.try_wait(), Ok(None)) && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(10));
        }
        let _ = kill_process_group(group, Signal::KILL);
        let _ = self.0.wait();
    }
}

/// A server that somebody else started, found by a detection: ended by its pid.
struct Stray(u32);

impl Drop for Stray {
    fn drop(&mut self) {
        kill(self.0, Signal::KILL);
    }
}

/// Waits for the detection of the server on a port.
fn detection(sensor: &Sensor, port: u16) -> Value {
    let port = port.to_string();
    let mine =
        |r: &Value| r["type"] == "detection" && args_of(r).iter().any(|arg| arg.ends_with(&*port));
    sensor.wait_for(&format!("a server on port {port}"), |r| {
        // A shell that was told to start it is no server.
        mine(r) && !args_of(r).contains(&"-c")
    })
}

/// Runs a command to its end, and returns what it said.
fn run(words: &[&str]) -> String {
    let out = Command::new("timeout")
        .args(["-k", "5", "120"])
        .args(words)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    assert!(out.status.success(), "{words:?} failed: {} {}", text(&out.stdout), text(&out.stderr));
    text(&out.stdout)
}

/// Waits until something is there.
fn wait_until(what: &str, is_it: impl Fn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_it() {
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A directory on a real file system, open to all.
fn place() -> tempfile::TempDir {
    let dir = tempfile::Builder::new()
        .prefix("workload")
        .tempdir_in(env!("CARGO_TARGET_TMPDIR"))
        .unwrap();
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    fs::set_permissions(dir.path(), open).unwrap();
    dir
}

fn string(path: &Path) -> String {
    path.to_str().unwrap().to_owned()
}

/// Where a hierarchy of cgroups is mounted: version 2, or the controller of version 1.
fn hierarchy(controller: Option<&str>) -> Option<PathBuf> {
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
    let found = mounts.lines().find(|line| {
        let (_, kind) = line.split_once(" - ").unwrap();
        match controller {
            None => kind.starts_with("cgroup2 "),
            Some(controller) => {
                kind.starts_with("cgroup ")
                    && kind.rsplit(' ').next().unwrap().split(',').any(|c| c == controller)
            }
        }
    })?;
    Some(PathBuf::from(found.split(' ').nth(4).unwrap()))
}

/// All hierarchies.
fn hierarchies() -> Vec<PathBuf> {
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
    let cgroups = mounts.lines().filter(|l| l.contains(" - cgroup"));
    cgroups.map(|line| PathBuf::from(line.split(' ').nth(4).unwrap())).collect()
}

/// Directories of cgroups that were not there before one of these tests needed them.
static MADE: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());

/// A cgroup that is gone when dropped, and those above it that nobody needs any more.
struct Tree {
    leaf: PathBuf,
}

impl Tree {
    /// Makes a cgroup and those above it that are not there.
    fn new(hierarchy: &Path, path: &str) -> Self {
        let tree = Self::of(hierarchy.join(path.trim_start_matches('/')));
        // Another test may just be removing what both need.
        for _ in 0..100 {
            if fs::create_dir_all(&tree.leaf).is_ok() {
                return tree;
            }
        }
        panic!("cannot make {}", tree.leaf.display());
    }

    /// What an engine makes in every hierarchy.
    fn of_engine(path: &str) -> Vec<Self> {
        hierarchies().into_iter().map(|dir| Self::of(dir.join(path))).collect()
    }

    fn of(leaf: PathBuf) -> Self {
        let missing = leaf.ancestors().take_while(|dir| !dir.exists()).map(Path::to_owned);
        MADE.lock().unwrap().extend(missing);
        Self { leaf }
    }

    fn procs(&self) -> String {
        string(&self.leaf.join("cgroup.procs"))
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        let ours = |dir: &&Path| MADE.lock().unwrap().contains(*dir);
        let dirs: Vec<&Path> = self.leaf.ancestors().take_while(ours).collect();
        // The last process may need a moment to leave; others may still need what is above.
        for _ in 0..500 {
            if let Some(leaf) = dirs.first() {
                remove_below(leaf);
            }
            for dir in &dirs {
                let _ = fs::remove_dir(dir);
            }
            if !self.leaf.exists() || dirs.is_empty() {
                break;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

/// Removes what was made below a cgroup of ours.
fn remove_below(dir: &Path) {
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove_below(&entry.path());
            let _ = fs::remove_dir(entry.path());
        }
    }
}

/// Enters cgroups, then becomes something else, without a change of its pid.
const ENTER: &str =
    "while [ \"$1\" != -- ]; do echo $$ > \"$1\" || exit 9; shift; done; shift; exec \"$@\"";

/// Starts a command in these cgroups.
fn start_in(trees: &[&Tree], words: &[&str]) -> Session {
    let procs: Vec<String> = trees.iter().map(|tree| tree.procs()).collect();
    let mut all = vec!["sh", "-c", ENTER, "sh"];
    all.extend(procs.iter().map(String::as_str));
    all.push("--");
    all.extend(words);
    Session::start(&all)
}
