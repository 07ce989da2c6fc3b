//! The sensor: a `picket run` in a process of its own, which gives up privileges that the command
//! may need.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, ChildStderr, ChildStdout, Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use event::{Record, State};
use rustix::process::{Pid, Signal, kill_process};

use super::tally::Tally;
use super::verdict::Rules;
use crate::cli::Common;
use crate::sink;

/// How long the sensor may take to see.
const START: Duration = Duration::from_secs(30);
/// What the command started last may not run yet when the command has ended.
const SETTLE: Duration = Duration::from_millis(250);
/// How long the sensor may take to end. It takes two seconds at most, unless the machine is overrun.
const STOP: Duration = Duration::from_secs(5);
/// How often it is looked whether something has happened.
const STEP: Duration = Duration::from_millis(10);
/// Lines of the sensor's log that are kept.
const MOST_LINES: usize = 100;
/// Longer lines are cut.
const LONGEST_LINE: u64 = 4096;

/// A sensor that runs. It ends with this.
pub(crate) struct Sensor {
    child: Child,
    records: Option<JoinHandle<Tally>>,
    log: Arc<Mutex<Vec<String>>>,
    log_reader: Option<JoinHandle<()>>,
    ready: Receiver<State>,
}

/// What the sensor saw.
pub(crate) struct Watched {
    pub(crate) tally: Tally,
    /// Why it did not watch to the end, if it did not.
    pub(crate) broken: Option<String>,
}

impl Sensor {
    /// Starts it. Errors of its own are told when it is waited for.
    pub(crate) fn start(
        common: &Common,
        environment: Option<&str>,
        rules: Rules,
        records: Option<(File, PathBuf)>,
    ) -> Result<Self> {
        let what = "cannot start the sensor";
        let mut command = Command::new(std::env::current_exe().context(what)?);
        command.args(["run", "--format", "json", "--severity", "info"]);
        if let Some(config) = &common.config {
            command.arg("--config").arg(config);
        }
        let told = common.environment.and_then(|choice| {
            clap::ValueEnum::to_possible_value(&choice).map(|value| value.get_name().to_owned())
        });
        if let Some(environment) = told.as_deref().or(environment) {
            command.args(["--environment", environment]);
        }
        // A service manager waits for picket, not for its sensor.
        command.env_remove("NOTIFY_SOCKET");
        // The terminal's signals are the command's business.
        command.process_group(0);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().context(what)?;
        let (out, err) = (child.stdout.take(), child.stderr.take());
        let log = Arc::new(Mutex::new(Vec::new()));
        let (begun, ready) = mpsc::channel();
        let mut sensor = Self { child, records: None, log, log_reader: None, ready };
        if let Some(err) = err {
            let log = Arc::clone(&sensor.log);
            sensor.log_reader = Some(spawn("picket-ci-log", move || read_log(err, &log))?);
        }
        if let Some(out) = out {
            let tally = Tally::new(rules);
            sensor.records =
                Some(spawn("picket-ci", move || read_records(out, tally, &begun, records))?);
        }
        Ok(sensor)
    }

    /// Waits until it is known how much is seen. `None` if it does not watch, or if the wait was to
    /// end.
    pub(crate) fn wait_until_ready(&self, mut stop: impl FnMut() -> bool) -> Option<State> {
        let deadline = Instant::now() + START;
        while Instant::now() < deadline && !stop() {
            match self.ready.recv_timeout(STEP) {
                Ok(state) => return Some(state),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return None,
            }
        }
        None
    }

    /// Says what the sensor has said since this was last asked. Not while the command runs: its
    /// output is its own.
    pub(crate) fn pass_log_on(&self) {
        let lines = std::mem::take(&mut *self.log.lock().unwrap_or_else(PoisonError::into_inner));
        let news = lines.iter().filter(|line| !line.starts_with("watching, "));
        news.for_each(|line| sink::log(&format!("sensor: {line}")));
    }

    /// Asks it to end once all was seen, and takes what it saw.
    pub(crate) fn stop(mut self) -> Result<Watched> {
        let mut broken = None;
        if let Ok(Some(status)) = self.child.try_wait() {
            broken = Some(format!("the sensor ended before the command did: {status}"));
        } else {
            std::thread::sleep(SETTLE);
            let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
            // It is not waited for yet: the number is its own.
            pid.map(|pid| kill_process(pid, Signal::TERM));
            let deadline = Instant::now() + STOP;
            loop {
                match self.child.try_wait() {
                    Ok(Some(status)) if status.success() => break,
                    Ok(Some(status)) => {
                        broken = Some(format!("the sensor failed: {status}"));
                        break;
                    }
                    Ok(None) if Instant::now() < deadline => std::thread::sleep(STEP),
                    Ok(None) | Err(_) => {
                        broken = Some("the sensor did not end when it was asked to".to_owned());
                        let _ = self.child.kill();
                        break;
                    }
                }
            }
        }
        let records = self.records.take().map(JoinHandle::join);
        let log = self.log_reader.take().map(JoinHandle::join);
        self.pass_log_on();
        match (records, log) {
            (Some(Ok(tally)), Some(Ok(()))) => Ok(Watched { tally, broken }),
            _ => anyhow::bail!("a thread that reads what the sensor says has panicked"),
        }
    }
}

impl Drop for Sensor {
    fn drop(&mut self) {
        // After an ordinary end both do nothing.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn spawn<T: Send + 'static>(
    name: &str,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<JoinHandle<T>> {
    let thread = std::thread::Builder::new().name(name.to_owned());
    thread.spawn(work).context("cannot start reading what the sensor says")
}

/// Takes all records. They are read as fast as they come, whatever becomes of them.
fn read_records(
    out: ChildStdout,
    mut tally: Tally,
    begun: &Sender<State>,
    mut file: Option<(File, PathBuf)>,
) -> Tally {
    for line in BufReader::new(out).split(b'\n') {
        let Ok(mut line) = line else { break };
        match serde_json::from_slice::<Record>(&line) {
            Ok(record) => {
                if let Record::Coverage(coverage) = &record {
                    // Only the first one is waited for.
                    let _ = begun.send(coverage.state);
                }
                tally.take(record);
            }
            Err(error) => tally.garbled(&error.to_string()),
        }
        line.push(b'\n');
        let written = file.as_mut().map(|(file, path)| (file.write_all(&line), path));
        if let Some((Err(error), path)) = written {
            tally.records_failed =
                Some(format!("cannot write the records {}: {error}", path.display()));
            file = None;
        }
    }
    tally
}

/// Keeps the lines of the sensor's log, without its name before them.
fn read_log(err: ChildStderr, log: &Mutex<Vec<String>>) {
    let mut err = BufReader::new(err);
    let mut line = Vec::new();
    while matches!(err.by_ref().take(LONGEST_LINE).read_until(b'\n', &mut line), Ok(1..)) {
        let text = String::from_utf8_lossy(&line);
        let text = text.trim_end();
        let mut lines = log.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.len() < MOST_LINES {
            lines.push(text.strip_prefix("picket: ").unwrap_or(text).to_owned());
        }
        line.clear();
    }
}
