//! Opening and closing the gate of a pipeline: what each takes of a job's time.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use crate::interrupt;
use crate::scratch::Scratch;
use crate::stats::Sample;
use crate::storm;

/// What was measured, in milliseconds.
#[derive(Debug, Clone, Default)]
pub(crate) struct Gate {
    /// `picket ci start`.
    pub(crate) start: Sample,
    /// `picket ci stop`, of a job that executed something.
    pub(crate) stop: Sample,
    /// `picket ci -- true`.
    pub(crate) around: Sample,
    /// How many executions the job had.
    pub(crate) job: u32,
}

/// Opens and closes it `times` times, with a job in between.
pub(crate) fn measure(
    binary: &Path,
    config: &Path,
    scratch: &Scratch,
    times: u32,
    job: u32,
) -> Result<Gate> {
    let state = scratch.path("gate");
    let ci = |arguments: &[&str]| -> Result<Duration> {
        let mut command = Command::new(binary);
        command.arg("--config").arg(config).arg("ci").args(arguments);
        if arguments.first() != Some(&"--") {
            command.arg("--state").arg(&state);
        }
        // In a pipeline of the bench's own it would write there, too.
        command.env_remove("GITHUB_STEP_SUMMARY").env_remove("GITHUB_ACTIONS");
        let begin = Instant::now();
        let out = command.stdin(Stdio::null()).output().context("cannot run picket ci")?;
        let took = begin.elapsed();
        let said = String::from_utf8_lossy(&out.stderr);
        ensure!(out.status.success(), "picket ci {}: {said}", arguments.join(" "));
        Ok(took)
    };
    let (mut start, mut stop, mut around): (Vec<_>, Vec<_>, Vec<_>) = Default::default();
    for _ in 0..times {
        interrupt::check()?;
        start.push(ci(&["start", "--replace"])?);
        storm::run(&scratch.benign, job)?;
        stop.push(ci(&["stop"])?);
        around.push(ci(&["--", "true"])?);
    }
    let [start, stop, around] = [start, stop, around].map(|times| Sample::millis(&times));
    Ok(Gate { start, stop, around, job })
}
