//! Starting, stopping, and the memory held in between.

use std::time::Duration;

use anyhow::Result;

use crate::interrupt;
use crate::procfs::{self, Memory};
use crate::scratch::Scratch;
use crate::sensor::Picket;
use crate::stats::Sample;
use crate::storm;

/// What was measured.
#[derive(Debug, Clone, Default)]
pub(crate) struct Lifecycle {
    /// From starting it to its ready line, in milliseconds.
    pub(crate) ready: Sample,
    /// From SIGINT to its exit, in milliseconds.
    pub(crate) stop: Sample,
    pub(crate) after_ready: Memory,
    pub(crate) after_storm: Memory,
    /// Memory of the eBPF maps, which the kernel holds, in bytes.
    pub(crate) maps_bytes: u64,
    /// How many executions the storm had.
    pub(crate) storm: u32,
}

/// Starts and stops it `times` times; the last time with a storm in between.
pub(crate) fn measure(
    picket: &Picket,
    scratch: &Scratch,
    times: u32,
    execs: u32,
) -> Result<Lifecycle> {
    let mut measured = Lifecycle { storm: execs, ..Lifecycle::default() };
    let (mut ready, mut stop): (Vec<Duration>, Vec<Duration>) = Default::default();
    for time in 0..times {
        interrupt::check()?;
        let sensor = picket.launch()?;
        ready.push(sensor.ready);
        if time + 1 == times {
            measured.after_ready = procfs::memory(sensor.pid())?;
            storm::run(&scratch.benign, execs)?;
            measured.after_storm = procfs::memory(sensor.pid())?;
            measured.maps_bytes = procfs::bpf(sensor.pid())?.maps_bytes;
        }
        stop.push(sensor.finish()?.took);
    }
    measured.ready = Sample::millis(&ready);
    measured.stop = Sample::millis(&stop);
    Ok(measured)
}
