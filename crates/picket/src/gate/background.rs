//! The sensor of a gate that was opened: it goes on when who opened it has ended, and writes into the
//! gate's directory.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use anyhow::{Context, Result};
use event::{Record, State};
use rustix::process::Signal;

use super::launch::Launch;
use super::process::{Held, Process};
use super::said::{Log, read_log, read_records};
use super::scope::{Scope, Since};
use super::sensor::{START, STEP, STOP, Watched};
use super::state::{Directory, Gate, boot};
use super::tally::Tally;
use super::verdict::Rules;

/// A sensor that was just started. It goes on when this is gone.
pub(crate) struct Started {
    child: Child,
    records: File,
    log: File,
}

impl Started {
    pub(crate) fn start(launch: &Launch<'_>, directory: &Directory) -> Result<Self> {
        let what = "cannot start the sensor";
        let (records, log) = directory.begin()?;
        let mut command = launch.command()?;
        command.stdin(Stdio::null());
        command.stdout(records.try_clone().context(what)?);
        command.stderr(log.try_clone().context(what)?);
        Ok(Self { child: command.spawn().context(what)?, records, log })
    }

    /// Waits until it is known how much is seen. `None` if it does not watch, or if the wait was to
    /// end.
    pub(crate) fn wait_until_ready(
        &mut self,
        mut stop: impl FnMut() -> bool,
    ) -> Result<Option<State>> {
        let deadline = Instant::now() + START;
        while Instant::now() < deadline && !stop() {
            let ended = self.child.try_wait().context("cannot wait for the sensor")?.is_some();
            let state = self.first_word()?;
            if state.is_some() || ended {
                return Ok(state);
            }
            std::thread::sleep(STEP);
        }
        Ok(None)
    }

    /// What it first said of coverage.
    fn first_word(&mut self) -> Result<Option<State>> {
        let mut text = Vec::new();
        let what = "cannot read what the sensor wrote";
        self.records.seek(SeekFrom::Start(0)).context(what)?;
        self.records.read_to_end(&mut text).context(what)?;
        let word = |line: &[u8]| match serde_json::from_slice(line) {
            Ok(Record::Coverage(coverage)) => Some(coverage.state),
            // A line may be there in part.
            _ => None,
        };
        Ok(text.split(|byte| *byte == b'\n').find_map(word))
    }

    /// Who it is.
    pub(crate) fn process(&self) -> Option<Process> {
        Process::of(self.child.id())
    }

    /// What it said on stderr so far.
    pub(crate) fn log(&mut self) -> Result<Log> {
        self.log.seek(SeekFrom::Start(0)).context("cannot read the sensor's log")?;
        let log = Mutex::<Log>::default();
        read_log(&self.log, &log);
        Ok(log.into_inner().unwrap_or_else(PoisonError::into_inner))
    }

    /// Ends it, whatever it saw.
    pub(crate) fn end(mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Whether the sensor of a gate still runs.
pub(crate) fn is_open(gate: &Gate) -> bool {
    hold(gate).is_some()
}

/// Takes hold of the sensor of a gate, if it still runs.
fn hold(gate: &Gate) -> Option<Held> {
    gate.sensor.filter(|_| gate.boot == boot())?.hold()
}

/// Ends the sensor of a gate, whatever it saw.
pub(crate) fn abandon(gate: &Gate) {
    if let Some(sensor) = hold(gate) {
        sensor.signal(Signal::KILL);
        sensor.ends_within(STOP);
    }
}

/// Asks the sensor of a gate to end once all was seen, and takes what it saw.
pub(crate) fn close(
    directory: &Directory,
    gate: &Gate,
    rules: Rules,
    records: Option<(File, PathBuf)>,
) -> Result<Watched> {
    let broken = if gate.boot != boot() {
        Some("the machine was started anew since the gate was opened".to_owned())
    } else {
        match hold(gate) {
            None => Some("the sensor ended before it was asked to".to_owned()),
            Some(sensor) => {
                sensor.signal(Signal::TERM);
                let ended = sensor.ends_within(STOP);
                if !ended {
                    sensor.signal(Signal::KILL);
                    sensor.ends_within(STOP);
                }
                (!ended).then(|| "the sensor did not end when it was asked to".to_owned())
            }
        }
    };
    let tally = Tally::new(rules, Scope::Since(Since::new(&gate.above)));
    let Some((out, err)) = directory.written()? else {
        let broken = Some("what the sensor wrote is gone".to_owned());
        return Ok(Watched { tally, broken, end: None, began: true });
    };
    let tally = read_records(out, tally, |_| {}, records);
    let log = Mutex::<Log>::default();
    read_log(err, &log);
    let mut log = log.into_inner().unwrap_or_else(PoisonError::into_inner);
    log.pass_on();
    let mut end = log.end.take();
    if let Some(end) = &mut end {
        let own = own_chain();
        end.left.retain(|left| !own.contains(&left.pid));
    }
    Ok(Watched { tally, broken, end, began: true })
}

/// This process and those that it descends from, which do not run on.
fn own_chain() -> Vec<u32> {
    let parent = |pid: &u32| probe::home::parent(*pid).filter(|parent| *parent > 0);
    std::iter::successors(Some(std::process::id()), parent).take(64).collect()
}
