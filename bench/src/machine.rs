//! Where and when the figures were measured.

use std::fs;
use std::process::Command;

use anyhow::{Context, Result};

use crate::procfs;

/// The machine, in words.
#[derive(Debug, Clone, Default)]
pub(crate) struct Machine {
    pub(crate) date: String,
    pub(crate) kernel: String,
    pub(crate) processor: String,
    pub(crate) cores: usize,
    pub(crate) memory_gib: u64,
    /// Load average before the bench: what else was going on.
    pub(crate) load: String,
    /// Whether another picket ran already, which slows everything else down.
    pub(crate) crowded: bool,
}

/// Asks the machine.
pub(crate) fn look() -> Result<Machine> {
    let name = rustix::system::uname();
    let date = Command::new("date").args(["-u", "+%F"]).output().context("cannot start date")?;
    let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let memory = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    Ok(Machine {
        date: String::from_utf8_lossy(&date.stdout).trim().to_owned(),
        kernel: format!(
            "{} {} {}",
            name.sysname().to_string_lossy(),
            name.release().to_string_lossy(),
            name.machine().to_string_lossy()
        ),
        processor: value(&cpu, "model name").unwrap_or("unknown processor").to_owned(),
        cores: std::thread::available_parallelism().map_or(1, usize::from),
        memory_gib: value(&memory, "MemTotal")
            .and_then(|kib| kib.split(' ').next()?.parse::<u64>().ok())
            .unwrap_or(0)
            .div_ceil(1 << 20),
        load: load(),
        crowded: procfs::named("picket").is_some(),
    })
}

/// Load average of the last minute.
pub(crate) fn load() -> String {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().unwrap_or("?").to_owned()
}

fn value<'t>(text: &'t str, name: &str) -> Option<&'t str> {
    text.lines()
        .find_map(|line| line.strip_prefix(name)?.trim_start().strip_prefix(':'))
        .map(str::trim)
}
