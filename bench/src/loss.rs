//! Is anything lost, and would it be said? A burst that cannot fit, and as many detections as can be.

use std::time::{Duration, Instant};

use anyhow::Result;
use rustix::process::Signal;

use crate::coverage::{self, Coverage};
use crate::procfs;
use crate::scratch::Scratch;
use crate::sensor::Picket;
use crate::storm;

/// What was done, and what picket said of it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Burst {
    pub(crate) executed: u64,
    pub(crate) coverage: Coverage,
}

/// With the smallest ring, stops picket, executes a burst of candidates, and lets it go on.
pub(crate) fn provoke(picket: &Picket, scratch: &Scratch, execs: u32) -> Result<Burst> {
    let sensor = picket.launch()?;
    sensor.signal(Signal::STOP)?;
    let burst = storm::run(&scratch.server, execs);
    sensor.signal(Signal::CONT)?;
    burst?;
    let coverage = sensor.finish()?.coverage;
    Ok(Burst { executed: u64::from(execs), coverage })
}

/// Servers executed as fast as this machine can, and what became of them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Rush {
    pub(crate) executed: u64,
    pub(crate) detected: u64,
    pub(crate) took: Duration,
    pub(crate) coverage: Coverage,
}

/// Executes servers on every processor at once; each of them is to be detected.
pub(crate) fn rush(picket: &Picket, scratch: &Scratch, execs: u32) -> Result<Rush> {
    let processors = storm::processors()?;
    let sensor = picket.launch()?;
    let begin = Instant::now();
    storm::together(&scratch.server, execs, &processors)?;
    let took = begin.elapsed();
    procfs::at_rest(sensor.pid())?;
    let ended = sensor.finish()?;
    let exe = scratch.server.display().to_string();
    let lines = ended.lines.iter();
    let detected = lines.filter(|line| coverage::detected(&line.text, &exe).is_some()).count();
    let executed = processors.len() as u64 * u64::from(execs);
    Ok(Rush { executed, detected: detected as u64, took, coverage: ended.coverage })
}
