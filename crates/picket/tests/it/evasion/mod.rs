//! The evasion matrix: every server executed with every trick, and what picket makes of it.
//!
//! One test for each trick. What each cell must come to is in `evasion.expect`; a cell that is better
//! or worse than that fails. `PICKET_UPDATE=1` writes the file anew, `PICKET_EVASION_TABLE=1` the
//! table in docs/figures.md.

mod rows;
mod table;
mod tricks;

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Child;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use libtest_mimic::Trial;
use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::Value;

use crate::harness::{PATIENCE, Sensor, is_below, kill, outcome};
use rows::{Place, Row};
use table::{Columns, Outcome, State};
use tricks::{Cell, TRICKS, Tools};

/// Cells that run side by side.
const BATCH: usize = 4;
/// How long a server that was not found at its execution may take until it listens.
const UNTIL_LISTENING: Duration = Duration::from_secs(8);
/// How long picket may take to look into a server that listens.
const UNTIL_LOOKED_AT: Duration = Duration::from_secs(3);
/// How often a server that was not found is asked for a page.
const BETWEEN_REQUESTS: Duration = Duration::from_millis(300);
/// How long after the end of a process something may still be said of it.
const UNTIL_GIVEN_UP: Duration = Duration::from_millis(500);

pub(crate) fn trials() -> Vec<Trial> {
    let test = |(name, _): &(&'static str, _)| {
        let name = *name;
        Trial::test(format!("root::evasion::{name}"), move || outcome(|| play(name)))
    };
    TRICKS.iter().map(test).collect()
}

/// What all tricks share.
struct Lab {
    tools: Tools,
    rows: Vec<Row>,
    sensor: Sensor,
    run: Mutex<Columns>,
    _base: tempfile::TempDir,
}

static LAB: Mutex<Option<Arc<Lab>>> = Mutex::new(None);

fn lab() -> Arc<Lab> {
    let mut lab = LAB.lock().unwrap_or_else(PoisonError::into_inner);
    Arc::clone(lab.get_or_insert_with(|| {
        // On a disk, and not where anyone may write.
        let place = env!("CARGO_TARGET_TMPDIR");
        let base = tempfile::Builder::new().prefix("evasion").tempdir_in(place).unwrap();
        let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        fs::set_permissions(base.path(), open).unwrap();
        let args = ["run", "--format", "json", "--severity", "info", "--environment", "production"];
        Arc::new(Lab {
            tools: Tools::new(base.path()),
            rows: rows::all(),
            sensor: Sensor::start(&args),
            run: Mutex::default(),
            _base: base,
        })
    }))
}

/// Ends what is left and writes what was asked for. Says false if that failed.
pub(crate) fn finish() -> bool {
    let lab = LAB.lock().unwrap_or_else(PoisonError::into_inner).take();
    let Some(lab) = lab else { return true };
    let rows: Vec<String> = lab.rows.iter().map(|r| r.name.clone()).collect();
    let run = lab.run.lock().unwrap_or_else(PoisonError::into_inner);
    if std::env::var_os("PICKET_UPDATE").is_some() {
        table::update(&rows, &run);
    }
    // For whoever looks into it.
    let _ = fs::write(Path::new(env!("CARGO_TARGET_TMPDIR")).join("evasion.log"), lab.sensor.log());
    let _ = fs::write(
        Path::new(env!("CARGO_TARGET_TMPDIR")).join("evasion.txt"),
        table::faults(&rows, &run),
    );
    let mut fine = true;
    let mut err = std::io::stderr();
    let _ = writeln!(err, "evasion: {}", table::totals(&run));
    if std::env::var_os("PICKET_EVASION_TABLE").is_some()
        && let Err(why) = table::publish(&rows, &run)
    {
        let _ = writeln!(err, "evasion: {why}");
        fine = false;
    }
    fine
}

/// Where one trick is played. When it is over, whatever was started there and got away (into a
/// session of its own, say) is ended.
struct Stage(tempfile::TempDir);

impl Stage {
    fn new(base: &Path) -> Self {
        let dir = tempfile::Builder::new().prefix("trick").tempdir_in(base).unwrap();
        let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        fs::set_permissions(dir.path(), open).unwrap();
        Self(dir)
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        let Ok(processes) = fs::read_dir("/proc") else { return };
        for entry in processes.flatten() {
            let Ok(pid) = entry.file_name().to_string_lossy().parse::<u32>() else { continue };
            if pid != std::process::id() && is_from(self.0.path(), pid) {
                kill(pid, Signal::KILL);
            }
        }
    }
}

/// Whether a process was started below a directory: by what it inherited.
fn is_from(dir: &Path, pid: u32) -> bool {
    let proc = PathBuf::from(format!("/proc/{pid}"));
    let at = |what: &str| fs::read_link(proc.join(what)).is_ok_and(|path| path.starts_with(dir));
    let environment = fs::read(proc.join("environ")).unwrap_or_default();
    let marked = |word: &[u8]| {
        let cell = word.strip_prefix(b"PICKET_EVASION=").map(OsStr::from_bytes);
        cell.is_some_and(|cell| Path::new(cell).starts_with(dir))
    };
    environment.split(|b| *b == 0).any(marked) || at("cwd") || at("root")
}

/// One server that runs.
struct Running<'a> {
    row: &'a Row,
    cell: Cell,
    place: Place,
    child: Child,
    pid: u32,
    ended: Option<Instant>,
    listened: Option<Instant>,
    asked: Instant,
}

impl<'a> Running<'a> {
    /// Starts a cell and waits until its program was executed.
    fn start(tools: &Tools, row: &'a Row, place: Place, mut cell: Cell) -> Self {
        let child = cell.command.process_group(0).spawn().unwrap();
        let pid = child.id();
        let asked = Instant::now();
        let mut running = Self { row, cell, place, child, pid, ended: None, listened: None, asked };
        let deadline = Instant::now() + PATIENCE;
        if let Some(file) = running.cell.pid_file.clone() {
            running.pid = loop {
                if let Ok(text) = fs::read_to_string(&file) {
                    break text.trim().parse().unwrap();
                }
                assert!(Instant::now() < deadline, "{}: no pid: {}", row.name, running.output());
                std::thread::sleep(Duration::from_millis(1));
            };
        }
        let exe = PathBuf::from(format!("/proc/{}/exe", running.pid));
        while fs::read_link(&exe).is_ok_and(|exe| tools.is_helper(&exe)) {
            assert!(Instant::now() < deadline, "{}: not executed: {}", row.name, running.output());
            std::thread::sleep(Duration::from_millis(1));
        }
        running
    }

    fn output(&self) -> String {
        fs::read_to_string(self.place.path("test-output")).unwrap_or_default()
    }

    /// What picket said of it.
    fn judge(&self, records: &[Value]) -> Outcome {
        let mut best = Outcome { state: State::Missed, why: self.last_words() };
        for detection in records {
            // A server may listen in a process that it forked.
            if !is_below(detection, self.pid) {
                continue;
            }
            // With what was added to it later.
            let later = records.iter().rev().find(|r| r["id"] == detection["id"]);
            let server = &later.unwrap_or(detection)["server"];
            let name = server["name"].as_str().unwrap_or_default();
            if server["purpose"] == "manage" {
                best.why = format!("as {name} that does not serve");
                continue;
            }
            let masquerade = server["masquerade"] == true;
            let state = if !self.cell.names.iter().any(|n| n == name) {
                State::Name
            } else if self.cell.masquerade.is_some_and(|m| m != masquerade) {
                State::Mask
            } else {
                State::Found
            };
            let why = match state {
                State::Name => format!("called {name}"),
                State::Mask if masquerade => {
                    let evidence = server["evidence"].as_array().into_iter().flatten();
                    let lies: Vec<&str> = evidence
                        .filter(|e| e["kind"] == "name" && e["agrees"] == false)
                        .filter_map(|e| e["detail"].as_str())
                        .collect();
                    format!("no name lies, yet: {}", lies.join("; "))
                }
                _ => String::new(),
            };
            let better = |s: &State| match s {
                State::Found => 3,
                State::Mask => 2,
                State::Name => 1,
                State::Missed | State::Absent => 0,
            };
            if better(&state) > better(&best.state) {
                best = Outcome { state, why };
            }
        }
        best
    }

    /// How far it came, for whoever asks why it was not found.
    fn last_words(&self) -> String {
        if self.listened.is_some() {
            return "it listened".to_owned();
        }
        let output = self.output();
        let last = output.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or_default();
        let last: String = last.chars().take(100).filter(|c| !c.is_control()).collect();
        match self.ended {
            Some(_) => format!("it ended: {last}"),
            None => format!("it ran: {last}"),
        }
    }

    /// Whether nothing more is to be expected of it. A server that listens is asked for a page: what
    /// it answers is a sign, too.
    fn is_over(&mut self, since: Instant) -> bool {
        if self.ended.is_none()
            // Not awaited before it is dropped, so that its process id stays its own.
            && fs::read_link(format!("/proc/{}/exe", self.pid)).is_err()
        {
            self.ended = Some(Instant::now());
        }
        if self.asked.elapsed() > BETWEEN_REQUESTS
            && let Ok(mut stream) = TcpStream::connect(("127.0.0.1", self.place.port))
        {
            let _ = stream.set_read_timeout(Some(Duration::from_millis(200)));
            let _ = stream.write_all(b"GET / HTTP/1.0\r\nHost: localhost\r\n\r\n");
            let _ = stream.read(&mut [0; 16]);
            self.listened.get_or_insert_with(Instant::now);
            self.asked = Instant::now();
        }
        let over = |at: Option<Instant>, long: Duration| at.is_some_and(|at| at.elapsed() > long);
        if self.listened.is_some() {
            return over(self.listened, UNTIL_LOOKED_AT);
        }
        over(self.ended, UNTIL_GIVEN_UP) || since.elapsed() > UNTIL_LISTENING
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        if let Some(group) = Pid::from_raw(self.child.id().cast_signed()) {
            let _ = kill_process_group(group, Signal::KILL);
        }
        // Nobody's child here: its process id may have become somebody else's.
        if self.pid != self.child.id() && is_from(self.place.dir(), self.pid) {
            kill(self.pid, Signal::KILL);
        }
        let _ = self.child.wait();
    }
}

/// Plays one trick with all servers, and compares with what is expected.
fn play(trick: &str) {
    let lab = lab();
    let mark = lab.sensor.mark();
    let stage = Stage::new(&lab.tools.base);
    let mut outcomes: BTreeMap<String, Outcome> = BTreeMap::new();
    let mut waiting: Vec<Running<'_>> = Vec::new();
    for rows in lab.rows.chunks(BATCH) {
        let mut batch = Vec::new();
        for row in rows {
            let place = Place::new(stage.0.path(), row);
            match lab.tools.prepare(trick, row, &place) {
                Ok(cell) => batch.push(Running::start(&lab.tools, row, place, cell)),
                Err(why) => {
                    outcomes.insert(row.name.clone(), Outcome { state: State::Absent, why });
                }
            }
        }
        lab.sensor.barrier();
        let records = lab.sensor.since(mark);
        for running in batch {
            let outcome = running.judge(&records);
            if outcome.state == State::Found {
                outcomes.insert(running.row.name.clone(), outcome);
            } else {
                waiting.push(running);
            }
        }
    }
    // The others may be found by what they do.
    let since = Instant::now();
    while !waiting.is_empty() {
        std::thread::sleep(Duration::from_millis(50));
        let over: Vec<bool> = waiting.iter_mut().map(|r| r.is_over(since)).collect();
        let records = lab.sensor.since(mark);
        let mut left = Vec::new();
        for (running, over) in waiting.into_iter().zip(over) {
            let outcome = running.judge(&records);
            if over || outcome.state == State::Found {
                outcomes.insert(running.row.name.clone(), outcome);
            } else {
                left.push(running);
            }
        }
        waiting = left;
    }
    lab.run.lock().unwrap().insert(trick.to_owned(), outcomes.clone());
    compare(trick, &lab.rows, &outcomes);
}

fn compare(trick: &str, rows: &[Row], outcomes: &BTreeMap<String, Outcome>) {
    if std::env::var_os("PICKET_UPDATE").is_some() {
        return;
    }
    let expected = table::expected().remove(trick).unwrap_or_default();
    let mut wrong = Vec::new();
    for row in rows {
        let is = &outcomes[&row.name];
        let should = expected.get(&row.name).map_or(&[][..], Vec::as_slice);
        if !should.contains(&is.state) {
            let words: Vec<&str> = should.iter().map(State::word).collect();
            let (should, state) = (words.join("|"), is.state.word());
            wrong.push(format!("{}: {should} → {state} {}", row.name, is.why));
        }
    }
    assert!(
        wrong.is_empty(),
        "{trick}: not as evasion.expect has it (PICKET_UPDATE=1 writes it anew):\n{}",
        wrong.join("\n")
    );
}
