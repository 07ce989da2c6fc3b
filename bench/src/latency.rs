//! From the execution to the line of JSON.

use std::os::unix::process::CommandExt;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::coverage;
use crate::interrupt;
use crate::procfs::{self, Memory};
use crate::scratch::Scratch;
use crate::sensor::Picket;
use crate::stats::Sample;

/// Between two executions, so that each is seen on its own.
const SPACE: Duration = Duration::from_millis(2);

/// What was measured.
#[derive(Debug, Clone, Default)]
pub(crate) struct Latency {
    /// What picket says of itself, in milliseconds.
    pub(crate) own: Sample,
    /// From just before vfork to the arrival of the line, in milliseconds.
    pub(crate) whole: Sample,
    pub(crate) executed: u64,
    pub(crate) detected: u64,
    pub(crate) lost: u64,
    /// picket's memory after all these detections.
    pub(crate) memory: Memory,
}

/// Executes a program that counts as a server, `times` times.
pub(crate) fn measure(picket: &Picket, scratch: &Scratch, times: u32) -> Result<Latency> {
    let sensor = picket.launch()?;
    let mut begins = Vec::new();
    for _ in 0..times {
        interrupt::check()?;
        let mut command = Command::new(&scratch.server);
        command.arg0("nginx");
        begins.push(Instant::now());
        command.status().context("cannot execute the program")?;
        std::thread::sleep(SPACE);
    }
    let memory = procfs::memory(sensor.pid())?;
    let ended = sensor.finish()?;
    let exe = scratch.server.display().to_string();
    let found: Vec<(Instant, f64)> = ended
        .lines
        .iter()
        .filter_map(|line| Some((line.at, coverage::latency_of(&line.text, &exe)?)))
        .collect();
    // They come in the order of the executions.
    let whole: Vec<Duration> = begins
        .iter()
        .zip(&found)
        .map(|(begin, (arrived, _))| arrived.saturating_duration_since(*begin))
        .collect();
    Ok(Latency {
        own: Sample::new(found.iter().map(|(_, micros)| micros / 1e3).collect()),
        whole: Sample::millis(&whole),
        executed: u64::from(times),
        detected: found.len() as u64,
        lost: ended.coverage.lost,
        memory,
    })
}
