//! The gate of several steps: opened by one command, closed by another.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use libtest_mimic::Trial;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open};
use serde_json::Value;
use tempfile::TempDir;

use super::{err, until_it_listens};
use crate::harness::{Group, free_port, kill, outside_ci, picket, trial, wait};

pub(super) fn trials() -> Vec<Trial> {
    vec![
        trial("root::ci::a_server_between_start_and_stop_is_found", between),
        trial("root::ci::what_ran_before_starts_what_does_not_count", before),
        trial("root::ci::one_gate_for_each_directory", one_each),
        trial("root::ci::a_gate_without_its_sensor_is_no_evidence", without_sensor),
        trial("root::ci::another_process_of_the_same_pid_is_let_be", same_pid),
        trial("root::ci::a_gate_that_was_never_opened_is_no_evidence", never),
        trial("root::ci::a_gate_that_sees_nothing_does_not_open", blind),
        trial("root::ci::steps_work_in_a_pid_namespace", pid_namespace),
    ]
}

/// A gate in a directory of its own.
struct Gate {
    dir: TempDir,
}

impl Gate {
    fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap() }
    }

    fn state(&self) -> PathBuf {
        self.dir.path().join("state")
    }

    fn run(&self, step: &str, options: &[&str]) -> Output {
        let mut command = picket();
        command.args(["ci", step, "--state"]).arg(self.state()).args(options);
        command.output().unwrap()
    }

    fn open(&self) {
        let out = self.run("start", &[]);
        let text = err(&out);
        assert_eq!(out.status.code(), Some(0), "{text}");
        assert!(text.contains("ci: watching, coverage full; `picket ci stop` reports"), "{text}");
    }

    fn known(&self) -> Value {
        let text = std::fs::read_to_string(self.state().join("gate.json")).unwrap();
        serde_json::from_str(&text).unwrap()
    }

    fn sensor(&self) -> u32 {
        u32::try_from(self.known()["sensor"]["pid"].as_u64().unwrap()).unwrap()
    }
}

/// A test that fails leaves no sensor behind.
impl Drop for Gate {
    fn drop(&mut self) {
        if self.state().join("gate.json").exists() {
            self.run("stop", &[]);
        }
    }
}

/// Waits until a process that is no child is gone.
fn gone(pid: u32) {
    let pid = Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
    let Ok(process) = pidfd_open(pid, PidfdFlags::empty()) else { return };
    // All its threads: the first one may have ended before the others.
    let timeout = Timespec::try_from(crate::harness::PATIENCE).unwrap();
    let ended = poll(&mut [PollFd::new(&process, PollFlags::IN)], Some(&timeout));
    assert_eq!(ended, Ok(1), "pid {pid:?} does not end");
}

fn between() {
    let gate = Gate::new();
    // The shell that opens it ends at once, and its session with it.
    let opened = outside_ci("setsid")
        .args([
            "--wait",
            "sh",
            "-c",
            "\"$0\" ci start --state \"$1\"",
            env!("CARGO_BIN_EXE_picket"),
        ])
        .arg(gate.state())
        .output()
        .unwrap();
    assert_eq!(opened.status.code(), Some(0), "{}", err(&opened));
    let sensor = gate.sensor();
    let mode = gate.state().metadata().unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o700);
    let port = free_port();
    let server = format!("python3 -m http.server --bind 127.0.0.1 {port}");
    let script =
        format!("{server} >/dev/null 2>&1 </dev/null & echo $!; {}", until_it_listens(port));
    let step = Command::new("sh").args(["-c", &script]).stderr(Stdio::null()).output().unwrap();
    let pid: u32 = String::from_utf8_lossy(&step.stdout).trim().parse().unwrap();
    let records = gate.dir.path().join("records.jsonl");
    let out = gate.run("stop", &["--records", records.to_str().unwrap()]);
    kill(pid, Signal::KILL);
    let text = err(&out);
    assert_eq!(out.status.code(), Some(80), "{text}");
    assert!(text.contains("HIGH python-http-server started"), "{text}");
    assert!(text.contains(&format!("runs on   python-http-server ({pid})")), "{text}");
    let records = std::fs::read_to_string(records).unwrap();
    let last: Value = serde_json::from_str(records.lines().last().unwrap()).unwrap();
    assert_eq!(last["type"], "coverage");
    assert!(!gate.state().exists(), "the state is left");
    gone(sensor);
}

/// A process that is older than the gate, and no parent of who opened it.
fn before() {
    let gate = Gate::new();
    let port = free_port();
    let script =
        format!("read line; python3 -m http.server --bind 127.0.0.1 {port} >/dev/null 2>&1");
    let mut old = Command::new("setsid");
    old.args(["sh", "-c", &script]).stdin(Stdio::piped());
    let mut old = old.spawn().unwrap();
    // So that it surely is older, by the kernel's clock.
    std::thread::sleep(std::time::Duration::from_millis(20));
    gate.open();
    drop(old.stdin.take());
    let deadline = std::time::Instant::now() + crate::harness::PATIENCE;
    while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(std::time::Instant::now() < deadline, "the server does not listen");
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    let out = gate.run("stop", &[]);
    // The server is its child, in a session of their own.
    let _ = Command::new("pkill").args(["-s", &old.id().to_string()]).status();
    wait(&mut old);
    let text = err(&out);
    assert_eq!(out.status.code(), Some(0), "{text}");
    assert!(text.contains("of what others started on this machine meanwhile"), "{text}");
}

fn one_each() {
    let gate = Gate::new();
    gate.open();
    let first = gate.sensor();
    let out = gate.run("start", &[]);
    assert_eq!(out.status.code(), Some(1), "{}", err(&out));
    assert!(err(&out).contains("and is still open, in "), "{}", err(&out));
    assert_eq!(gate.sensor(), first, "the second one changed the first");
    // A machine that is used again, by a job after one that never closed its gate.
    let out = gate.run("start", &["--replace"]);
    assert_eq!(out.status.code(), Some(0), "{}", err(&out));
    assert!(err(&out).contains("never closed; it is ended, this is a new one"), "{}", err(&out));
    gone(first);
    let second = gate.sensor();
    kill(second, Signal::KILL);
    gone(second);
    let out = gate.run("start", &[]);
    assert_eq!(out.status.code(), Some(0), "{}", err(&out));
    assert!(err(&out).contains("its sensor is gone, this is a new one"), "{}", err(&out));
    let out = gate.run("stop", &[]);
    assert_eq!(out.status.code(), Some(0), "{}", err(&out));
    assert!(err(&out).contains("passed: no web server was started"), "{}", err(&out));
}

fn without_sensor() {
    let gate = Gate::new();
    gate.open();
    let sensor = gate.sensor();
    kill(sensor, Signal::KILL);
    gone(sensor);
    let out = gate.run("stop", &[]);
    assert_eq!(out.status.code(), Some(81), "{}", err(&out));
    assert!(err(&out).contains("the sensor ended before it was asked to"), "{}", err(&out));
    assert!(!gate.state().exists(), "the state is left");
}

fn same_pid() {
    let gate = Gate::new();
    gate.open();
    let sensor = gate.sensor();
    let other = Group::start(Command::new("sleep").arg("60"));
    let mut known = gate.known();
    known["sensor"]["pid"] = other.child.id().into();
    std::fs::write(gate.state().join("gate.json"), known.to_string()).unwrap();
    let out = gate.run("stop", &[]);
    kill(sensor, Signal::KILL);
    gone(sensor);
    assert_eq!(out.status.code(), Some(81), "{}", err(&out));
    let mut other = other;
    assert!(matches!(other.child.try_wait(), Ok(None)), "it was ended");
}

fn never() {
    let gate = Gate::new();
    let out = gate.run("stop", &[]);
    let text = err(&out);
    assert_eq!(out.status.code(), Some(81), "{text}");
    assert!(text.contains("there is no gate in "), "{text}");
    assert!(!text.contains("doctor"), "{text}");
    let out = gate.run("stop", &["--without-evidence", "pass"]);
    assert_eq!(out.status.code(), Some(0), "{}", err(&out));
    // Where others may write, they say what was found.
    std::fs::create_dir(gate.state()).unwrap();
    std::fs::set_permissions(gate.state(), PermissionsExt::from_mode(0o755)).unwrap();
    let out = gate.run("start", &[]);
    assert_eq!(out.status.code(), Some(1), "{}", err(&out));
    assert!(err(&out).contains("expected a directory of the user 0 alone"), "{}", err(&out));
    let out = gate.run("stop", &[]);
    assert_eq!(out.status.code(), Some(81), "{}", err(&out));
}

fn blind() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::set_permissions(dir.path(), PermissionsExt::from_mode(0o777)).unwrap();
    let run = |step: &str, options: &[&str]| {
        let mut command = outside_ci("setpriv");
        command.args(["--bounding-set=-all", "--inh-caps=-all", "--reuid=65534", "--clear-groups"]);
        command.arg(env!("CARGO_BIN_EXE_picket")).args(["ci", step, "--state"]);
        command.arg(dir.path().join("state")).args(options).output().unwrap()
    };
    let out = run("start", &[]);
    assert_eq!(out.status.code(), Some(81), "{}", err(&out));
    assert!(err(&out).contains("ci: picket cannot watch: "), "{}", err(&out));
    assert!(!Path::new(&dir.path().join("state")).exists(), "the state is left");
    let out = run("start", &["--without-evidence", "pass"]);
    assert_eq!(out.status.code(), Some(0), "{}", err(&out));
    let out = run("stop", &[]);
    assert_eq!(out.status.code(), Some(81), "{}", err(&out));
    assert!(err(&out).contains("the sensor never watched"), "{}", err(&out));
}

/// As in the containers that pipelines run in.
fn pid_namespace() {
    let gate = Gate::new();
    let port = free_port();
    let server = format!("python3 -m http.server --bind 127.0.0.1 {port}");
    let script = format!(
        "\"$0\" ci start --state \"$1\" && {{ {server} >/dev/null 2>&1 & {}; }} && \
         \"$0\" ci stop --state \"$1\"; code=$?; kill $!; exit $code",
        until_it_listens(port)
    );
    let mut command = outside_ci("unshare");
    command.args(["--pid", "--fork", "--mount-proc", "sh", "-c", &script]);
    let out = command.arg(env!("CARGO_BIN_EXE_picket")).arg(gate.state()).output().unwrap();
    assert_eq!(out.status.code(), Some(80), "{}", err(&out));
}
