//! What the tests share: a running picket, and processes that surely end.

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::os::unix::fs::symlink;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use libtest_mimic::{Failed, Trial};
use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use serde_json::Value;

/// Nothing here takes this long; a test that waits longer has failed.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A test from a function.
pub(crate) fn trial(name: &str, test: fn()) -> Trial {
    Trial::test(name, move || outcome(test))
}

/// Runs a test; a panic in it is its failure.
pub(crate) fn outcome(test: impl FnOnce()) -> Result<(), Failed> {
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(test)).map_err(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|s| (*s).to_owned()));
        Failed::from(text.unwrap_or_else(|| "panicked".to_owned()))
    })
}

/// The repository's root.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// The command to run picket itself.
pub(crate) fn picket() -> Command {
    outside_ci(env!("CARGO_BIN_EXE_picket"))
}

/// A command that knows nothing of the pipeline that runs these tests: it must not change what they
/// see.
pub(crate) fn outside_ci(program: &str) -> Command {
    let mut command = Command::new(program);
    for (name, _) in std::env::vars() {
        if ["CI", "GITHUB_", "GITLAB_", "SUDO_"].iter().any(|start| name.starts_with(start)) {
            command.env_remove(name);
        }
    }
    command
}

/// A running `picket run --format json`, and the records it has written.
pub(crate) struct Sensor {
    child: Option<Child>,
    records: Arc<Records>,
    log: Arc<Mutex<String>>,
}

#[derive(Default)]
struct Records {
    lines: Mutex<Vec<Value>>,
    more: Condvar,
}

impl Sensor {
    /// Starts picket and waits until it is ready and sees everything.
    pub(crate) fn start(args: &[&str]) -> Self {
        let (sensor, line) = Self::start_anyhow(args);
        assert_eq!(line, "picket: watching, coverage full");
        sensor
    }

    /// Starts picket and waits for its ready line, whatever it says.
    pub(crate) fn start_anyhow(args: &[&str]) -> (Self, String) {
        let mut command = picket();
        command.args(args);
        Self::start_command(command)
    }

    /// Starts picket by a command that runs it, and waits for its ready line, whatever it says.
    pub(crate) fn start_command(mut command: Command) -> (Self, String) {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let records = Arc::new(Records::default());
        let log = Arc::new(Mutex::new(String::new()));
        let out = BufReader::new(child.stdout.take().unwrap());
        let into = Arc::clone(&records);
        std::thread::spawn(move || {
            for line in out.lines().map_while(Result::ok) {
                let value = serde_json::from_str(&line)
                    .unwrap_or_else(|e| panic!("not a JSON line: {e}: {line}"));
                into.lines.lock().unwrap().push(value);
                into.more.notify_all();
            }
        });
        let (ready, is_ready) = std::sync::mpsc::channel();
        let err = BufReader::new(child.stderr.take().unwrap());
        let into = Arc::clone(&log);
        std::thread::spawn(move || {
            for line in err.lines().map_while(Result::ok) {
                into.lock().unwrap().push_str(&format!("{line}\n"));
                if line.starts_with("picket: watching") {
                    let _ = ready.send(line);
                }
            }
        });
        let sensor = Self { child: Some(child), records, log };
        let line = is_ready
            .recv_timeout(PATIENCE)
            .unwrap_or_else(|_| panic!("picket is not ready: {}", sensor.log()));
        (sensor, line)
    }

    /// What picket wrote to stderr so far.
    pub(crate) fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    /// picket's own process id.
    pub(crate) fn pid(&self) -> u32 {
        self.child.as_ref().unwrap().id()
    }

    /// All records so far.
    pub(crate) fn records(&self) -> Vec<Value> {
        self.records.lines.lock().unwrap().clone()
    }

    /// How many records there are. Process ids are used again, so a test looks only at what
    /// comes after it began.
    pub(crate) fn mark(&self) -> usize {
        self.records.lines.lock().unwrap().len()
    }

    /// All records since a mark.
    pub(crate) fn since(&self, mark: usize) -> Vec<Value> {
        self.records.lines.lock().unwrap()[mark..].to_vec()
    }

    /// Waits for a record.
    pub(crate) fn wait_for(&self, what: &str, is_it: impl Fn(&Value) -> bool) -> Value {
        let deadline = Instant::now() + PATIENCE;
        let mut looked_at = 0;
        loop {
            // Copied, so that the question itself may look at the records.
            let new: Vec<Value> = self.records.lines.lock().unwrap()[looked_at..].to_vec();
            if let Some(found) = new.iter().find(|r| is_it(r)) {
                return found.clone();
            }
            looked_at += new.len();
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "waited in vain for {what}; picket said: {}", self.log());
            let lines = self.records.lines.lock().unwrap();
            if lines.len() == looked_at {
                drop(self.records.more.wait_timeout(lines, left).unwrap());
            }
        }
    }

    /// Executes something that is surely detected and waits until it was: everything that was
    /// executed before has then been dealt with.
    pub(crate) fn barrier(&self) {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("nginx");
        symlink("/bin/true", &file).unwrap();
        let mark = format!("barrier-{}", dir.path().display());
        assert!(Command::new(&file).arg(&mark).status().unwrap().success());
        self.wait_for("the barrier", |r| args_of(r).iter().any(|a| *a == mark));
    }

    /// Sends a signal to picket.
    pub(crate) fn signal(&self, signal: Signal) {
        kill(self.pid(), signal);
    }

    /// Asks picket to end and waits for it. Returns its exit code and everything it wrote.
    pub(crate) fn stop(self) -> (Option<i32>, Vec<Value>, String) {
        self.signal(Signal::INT);
        self.wait()
    }

    /// Waits for picket to end by itself. Returns its exit code and everything it wrote.
    pub(crate) fn wait(mut self) -> (Option<i32>, Vec<Value>, String) {
        let mut child = self.child.take().unwrap();
        let code = wait(&mut child).code();
        // The readers end with the pipes; give them a moment to hand over the last lines.
        let deadline = Instant::now() + PATIENCE;
        while Arc::strong_count(&self.records) > 1 && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(5));
        }
        (code, self.records(), self.log())
    }
}

impl Drop for Sensor {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

static SHARED: Mutex<Option<Arc<Sensor>>> = Mutex::new(None);

/// One sensor for all tests that only look.
pub(crate) fn shared() -> Arc<Sensor> {
    let mut shared = SHARED.lock().unwrap_or_else(|e| e.into_inner());
    Arc::clone(shared.get_or_insert_with(|| {
        let args = ["run", "--format", "json", "--severity", "info", "--environment", "production"];
        Arc::new(Sensor::start(&args))
    }))
}

/// Ends the shared sensor; a static is never dropped.
pub(crate) fn stop_shared() {
    *SHARED.lock().unwrap_or_else(|e| e.into_inner()) = None;
}

/// A port that was free a moment ago, that no other test is given, and that the kernel gives to
/// nobody who asks for any.
pub(crate) fn free_port() -> u16 {
    const FIRST: u16 = 15_000;
    const COUNT: u16 = 17_000;
    static NEXT: AtomicU16 = AtomicU16::new(0);
    // Two runs at once begin at different places.
    let begin = u16::try_from(std::process::id() * 997 % u32::from(COUNT)).unwrap();
    loop {
        let next = NEXT.fetch_add(1, Ordering::Relaxed);
        let port = FIRST + (begin + next % COUNT) % COUNT;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

/// Waits for a child to end, but not for ever.
pub(crate) fn wait(child: &mut Child) -> ExitStatus {
    wait_long(child, PATIENCE)
}

/// Waits for a child that takes its time.
pub(crate) fn wait_long(child: &mut Child, patience: Duration) -> ExitStatus {
    let deadline = Instant::now() + patience;
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status;
        }
        if Instant::now() > deadline {
            let _ = child.kill();
            panic!("pid {} did not end", child.id());
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Copies a program that is to be executed. Not by this process: another thread's child could have
/// the copy open for writing a moment longer, and then it cannot be executed.
pub(crate) fn copy_program(from: impl AsRef<Path>, to: impl AsRef<Path>, mode: &str) {
    let mut install = Command::new("install");
    install.args(["-m", mode]).arg(from.as_ref()).arg(to.as_ref());
    assert!(install.status().unwrap().success(), "cannot copy {}", from.as_ref().display());
}

/// Sends a signal to a process that this test started.
pub(crate) fn kill(pid: u32, signal: Signal) {
    if let Some(pid) = Pid::from_raw(i32::try_from(pid).unwrap()) {
        let _ = kill_process(pid, signal);
    }
}

/// A process in a group of its own, which is ended as a whole.
pub(crate) struct Group {
    pub(crate) child: Child,
}

impl Group {
    pub(crate) fn start(command: &mut Command) -> Self {
        let child = command.process_group(0).stdin(Stdio::null()).spawn();
        let name = command.get_program().to_string_lossy().into_owned();
        Self { child: child.unwrap_or_else(|e| panic!("cannot start {name}: {e}")) }
    }

    fn signal(&self, signal: Signal) {
        if let Some(group) = Pid::from_raw(i32::try_from(self.child.id()).unwrap()) {
            let _ = kill_process_group(group, signal);
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.signal(Signal::TERM);
        let deadline = Instant::now() + Duration::from_secs(5);
        while matches!(self.child.try_wait(), Ok(None)) && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(5));
        }
        self.signal(Signal::KILL);
        let _ = self.child.wait();
    }
}

/// The arguments that a record speaks of.
pub(crate) fn args_of(record: &Value) -> Vec<&str> {
    let args = record["process"]["args"].as_array();
    args.into_iter().flatten().filter_map(Value::as_str).collect()
}

/// Whether a record is a detection in the tree below a process, itself included.
pub(crate) fn is_below(record: &Value, pid: u32) -> bool {
    record["type"] == "detection"
        && (record["process"]["pid"] == pid
            || record["ancestry"].as_array().into_iter().flatten().any(|a| a["pid"] == pid))
}
