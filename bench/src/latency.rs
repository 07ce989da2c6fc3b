//! From the execution to the line of JSON.

use std::os::unix::process::CommandExt;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use crate::coverage;
use crate::interrupt;
use crate::procfs::{self, Memory};
use crate::scratch::Scratch;
use crate::sensor::Picket;
use crate::stats::Sample;
use crate::storm::Weather;

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

/// Executes a program that counts as a server, `times` times. With `storms`, each processor
/// executes another program as fast as it can meanwhile.
pub(crate) fn measure(
    picket: &Picket,
    scratch: &Scratch,
    times: u32,
    storms: bool,
) -> Result<Latency> {
    let sensor = picket.launch()?;
    let mut weather = if storms { Some(Weather::begin(&scratch.benign)?) } else { None };
    let mut begins = Vec::new();
    for _ in 0..times {
        interrupt::check()?;
        let mut command = Command::new(&scratch.server);
        command.arg0("nginx");
        let begin = Instant::now();
        let mut child = command.spawn().context("cannot execute the program")?;
        begins.push((begin, child.id()));
        child.wait().context("cannot wait")?;
        std::thread::sleep(SPACE);
    }
    if let Some(weather) = &mut weather {
        ensure!(weather.lasts()?, "the storms ended before the measurement did");
    }
    drop(weather);
    let memory = procfs::memory(sensor.pid())?;
    let ended = sensor.finish()?;
    let exe = scratch.server.display().to_string();
    let found: Vec<(Instant, coverage::Detected)> = ended
        .lines
        .iter()
        .filter_map(|line| Some((line.at, coverage::detected(&line.text, &exe)?)))
        .collect();
    // They come in the order of the executions. One may lack, and then its pid does.
    let mut rest = found.iter();
    let whole: Vec<Duration> = begins
        .iter()
        .filter_map(|(begin, pid)| {
            let mut ahead = rest.clone();
            let (arrived, _) = ahead.find(|(_, detected)| detected.pid == *pid)?;
            rest = ahead;
            Some(arrived.saturating_duration_since(*begin))
        })
        .collect();
    ensure!(found.is_empty() || !whole.is_empty(), "picket's pids are not those of this process");
    Ok(Latency {
        own: Sample::new(found.iter().map(|(_, one)| one.latency_us / 1e3).collect()),
        whole: Sample::millis(&whole),
        executed: u64::from(times),
        detected: found.len() as u64,
        lost: ended.coverage.lost,
        memory,
    })
}
