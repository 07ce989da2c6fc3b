//! What a sensor says: its records on stdout, its log and its notes on stderr.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::PoisonError;

use event::{ProcessKey, Record, State};

use super::note::{End, Note};
use super::tally::Tally;
use crate::sink;

/// Lines of the sensor's log that are kept.
const MOST_LINES: usize = 100;
/// Longer lines are cut. Notes are no longer.
const LONGEST_LINE: u64 = 16 << 10;

/// What it said on stderr.
#[derive(Debug, Default)]
pub(crate) struct Log {
    lines: Vec<String>,
    /// Those that it descends from.
    pub(crate) above: Vec<ProcessKey>,
    /// How it was at the end.
    pub(crate) end: Option<End>,
}

impl Log {
    /// Says what the sensor has said since this was last asked. Not while the command runs: its
    /// output is its own.
    pub(crate) fn pass_on(&mut self) {
        for line in self.lines.drain(..).filter(|line| !line.starts_with("watching, ")) {
            sink::log(&format!("sensor: {line}"));
        }
    }

    fn take(&mut self, line: &str) {
        match Note::read(line) {
            // The first one is the sensor's: it is told before anything could be quoted.
            Some(Note::Above(above)) if self.above.is_empty() => self.above = above,
            Some(Note::Above(_)) => {}
            Some(Note::End(end)) => self.end = Some(end),
            None if self.lines.len() < MOST_LINES => {
                self.lines.push(line.strip_prefix("picket: ").unwrap_or(line).to_owned());
            }
            None => {}
        }
    }
}

/// Keeps what it says on stderr.
pub(crate) fn read_log(err: impl Read, log: &Mutex<Log>) {
    let mut err = BufReader::new(err);
    let mut line = Vec::new();
    while matches!(err.by_ref().take(LONGEST_LINE).read_until(b'\n', &mut line), Ok(1..)) {
        let text = String::from_utf8_lossy(&line);
        log.lock().unwrap_or_else(PoisonError::into_inner).take(text.trim_end());
        line.clear();
    }
}

/// Takes all records. They are read as fast as they come, whatever becomes of them. `begun` is told
/// of each word on coverage.
pub(crate) fn read_records(
    out: impl Read,
    mut tally: Tally,
    begun: impl Fn(State),
    mut file: Option<(File, PathBuf)>,
) -> Tally {
    for line in BufReader::new(out).split(b'\n') {
        let Ok(mut line) = line else { break };
        match serde_json::from_slice::<Record>(&line) {
            Ok(record) => {
                if let Record::Coverage(coverage) = &record {
                    begun(coverage.state);
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
