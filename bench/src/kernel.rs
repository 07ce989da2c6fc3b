//! The cost inside the kernel, from its own statistics of eBPF programs.

use std::fs;

use anyhow::{Context, Result};

use crate::interrupt;
use crate::jobs::Length;
use crate::procfs::{self, Bpf};
use crate::scratch::Scratch;
use crate::storm;
use crate::tool::{Tool, Wanted};

const SWITCH: &str = "/proc/sys/kernel/bpf_stats_enabled";

/// What the programs of one tool cost.
#[derive(Debug, Clone, Default)]
pub(crate) struct Cost {
    pub(crate) name: &'static str,
    /// Each hook and nanoseconds for one run of it.
    pub(crate) hooks: Vec<(String, f64)>,
}

impl Cost {
    /// Nanoseconds for one process: each hook runs once in its life.
    pub(crate) fn total(&self) -> f64 {
        self.hooks.iter().map(|(_, ns)| ns).sum()
    }
}

/// Runs a storm under each tool with the statistics on. They cost time themselves, so these
/// storms are not timed.
pub(crate) fn measure(tools: &[&dyn Tool], scratch: &Scratch, length: Length) -> Result<Vec<Cost>> {
    let _on = Statistics::on()?;
    tools.iter().map(|tool| cost(*tool, scratch, length)).collect()
}

fn cost(tool: &dyn Tool, scratch: &Scratch, length: Length) -> Result<Cost> {
    interrupt::check()?;
    let running = tool.start()?;
    let pid = running.pids().into_iter().next().context("a tool without a process")?;
    storm::run(&scratch.benign, length.warm_up)?;
    let before = procfs::bpf(pid)?;
    storm::run(&scratch.benign, length.execs)?;
    let after = procfs::bpf(pid)?;
    running.stop(&Wanted::All)?;
    Ok(Cost { name: tool.name(), hooks: hooks(&before, &after, length.execs) })
}

/// Each hook that ran for nearly every execution, and nanoseconds for one run of it.
pub(crate) fn hooks(before: &Bpf, after: &Bpf, execs: u32) -> Vec<(String, f64)> {
    let mut hooks = Vec::new();
    for (id, program) in &after.programs {
        let Some(then) = before.programs.get(id) else { continue };
        let runs = program.run_count.saturating_sub(then.run_count);
        let ns = program.run_time_ns.saturating_sub(then.run_time_ns);
        // Others run for sockets, or not at all in a storm.
        if runs > u64::from(execs) / 2 {
            #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
            hooks.push((program.hook.clone(), ns as f64 / runs as f64));
        }
    }
    hooks
}

/// The kernel's statistics, on until this is dropped.
pub(crate) struct Statistics {
    before: String,
}

impl Statistics {
    pub(crate) fn on() -> Result<Self> {
        let before = fs::read_to_string(SWITCH).with_context(|| format!("cannot read {SWITCH}"))?;
        fs::write(SWITCH, "1").with_context(|| format!("cannot write {SWITCH}"))?;
        Ok(Self { before })
    }
}

impl Drop for Statistics {
    fn drop(&mut self) {
        // It could be written a moment ago; if not now, there is nobody to tell.
        let _ = fs::write(SWITCH, &self.before);
    }
}
