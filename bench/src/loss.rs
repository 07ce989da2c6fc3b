//! Proof that a loss would be reported: a burst that cannot fit.

use anyhow::Result;
use rustix::process::Signal;

use crate::coverage::Coverage;
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
