//! The sensor beside a command: a `picket run` in a process of its own, which gives up privileges
//! that the command may need.

use std::fs::File;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use event::State;
use rustix::process::{Pid, Signal, kill_process};

use super::launch::Launch;
use super::note::End;
use super::said::{Log, read_log, read_records};
use super::scope::Scope;
use super::tally::Tally;
use super::verdict::Rules;

/// How long the sensor may take to see.
pub(crate) const START: Duration = Duration::from_secs(30);
/// How long the sensor may take to end. It takes two seconds at most, unless the machine is overrun.
pub(crate) const STOP: Duration = Duration::from_secs(10);
/// How often it is looked whether something has happened.
pub(crate) const STEP: Duration = Duration::from_millis(10);

/// A sensor that runs. It ends with this.
pub(crate) struct Sensor {
    child: Child,
    records: Option<JoinHandle<Tally>>,
    log: Arc<Mutex<Log>>,
    log_reader: Option<JoinHandle<()>>,
    ready: Receiver<State>,
}

/// What the sensor saw.
pub(crate) struct Watched {
    pub(crate) tally: Tally,
    /// Why it did not watch to the end, if it did not.
    pub(crate) broken: Option<String>,
    /// How it was at the end, if it said so.
    pub(crate) end: Option<End>,
    /// Whether there was a sensor at all.
    pub(crate) began: bool,
}

impl Watched {
    /// What nobody saw, and why.
    pub(crate) fn nothing(rules: Rules, why: String) -> Self {
        Self { tally: Tally::new(rules, Scope::Below), broken: Some(why), end: None, began: false }
    }
}

impl Sensor {
    /// Starts it. Errors of its own are told when it is waited for.
    pub(crate) fn start(
        launch: &Launch<'_>,
        rules: Rules,
        records: Option<(File, PathBuf)>,
    ) -> Result<Self> {
        let mut command = launch.command()?;
        // The terminal's signals are the command's business.
        command.process_group(0);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().context("cannot start the sensor")?;
        let (out, err) = (child.stdout.take(), child.stderr.take());
        let log = Arc::<Mutex<Log>>::default();
        let (begun, ready) = mpsc::channel();
        let mut sensor = Self { child, records: None, log, log_reader: None, ready };
        if let Some(err) = err {
            let log = Arc::clone(&sensor.log);
            sensor.log_reader = Some(spawn("picket-ci-log", move || read_log(err, &log))?);
        }
        if let Some(out) = out {
            let tally = Tally::new(rules, Scope::Below);
            // Only the first word is waited for.
            let begun = move |state| {
                let _ = begun.send(state);
            };
            sensor.records =
                Some(spawn("picket-ci", move || read_records(out, tally, begun, records))?);
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

    /// Says what the sensor has said since this was last asked.
    pub(crate) fn pass_log_on(&self) {
        self.log.lock().unwrap_or_else(PoisonError::into_inner).pass_on();
    }

    /// Asks it to end once all was seen, and takes what it saw.
    pub(crate) fn stop(mut self) -> Result<Watched> {
        let mut broken = None;
        if let Ok(Some(status)) = self.child.try_wait() {
            broken = Some(format!("the sensor ended before the command did: {status}"));
        } else {
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
        let end = self.log.lock().unwrap_or_else(PoisonError::into_inner).end.take();
        match (records, log) {
            (Some(Ok(tally)), Some(Ok(()))) => Ok(Watched { tally, broken, end, began: true }),
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
