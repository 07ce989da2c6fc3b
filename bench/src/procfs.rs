//! What `/proc` tells of a process: CPU time, memory, eBPF programs.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

/// A process that does next to nothing for so long has nothing to do.
const REST: Duration = Duration::from_millis(150);
/// A process that never has has something wrong.
const PATIENCE: Duration = Duration::from_secs(60);

/// CPU time of the living threads of a process, to the nanosecond.
pub(crate) fn cpu(pid: u32) -> Result<Duration> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task"))
        .with_context(|| format!("process {pid} is gone"))?;
    let mut total = 0;
    for task in tasks {
        // A thread may end at any moment.
        let Ok(text) = fs::read_to_string(task?.path().join("schedstat")) else { continue };
        total += text.split(' ').next().and_then(|ns| ns.parse::<u64>().ok()).unwrap_or(0);
    }
    Ok(Duration::from_nanos(total))
}

/// CPU time of a process once it has nothing more to do.
pub(crate) fn at_rest(pid: u32) -> Result<Duration> {
    all_at_rest(&[pid])
}

/// The same of several processes together.
pub(crate) fn all_at_rest(pids: &[u32]) -> Result<Duration> {
    let deadline = Instant::now() + PATIENCE;
    let all = || pids.iter().map(|pid| cpu(*pid)).sum::<Result<Duration>>();
    let mut last = all()?;
    loop {
        std::thread::sleep(REST);
        let now = all()?;
        // A process looks around now and then even when nothing happens. One that waits for a
        // processor uses no CPU time either, and is not at rest.
        let waits = pids.iter().any(|pid| is_runnable(*pid));
        if now.saturating_sub(last) < REST / 100 && !waits {
            return Ok(now);
        }
        ensure!(Instant::now() < deadline, "a tool does not come to rest");
        last = now;
    }
}

/// Whether a thread of a process runs, or would if it had a processor.
fn is_runnable(pid: u32) -> bool {
    fs::read_dir(format!("/proc/{pid}/task")).is_ok_and(|tasks| {
        tasks.flatten().any(|task| {
            let stat = fs::read_to_string(task.path().join("stat")).unwrap_or_default();
            stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('R'))
        })
    })
}

/// The pid of the first process of this name.
pub(crate) fn named(name: &str) -> Option<u32> {
    fs::read_dir("/proc").ok()?.flatten().find_map(|entry| {
        let comm = fs::read_to_string(entry.path().join("comm")).ok()?;
        (comm.trim_end() == name).then(|| entry.file_name().to_str()?.parse().ok())?
    })
}

/// Whether a process runs, or has ended and was not waited for.
pub(crate) fn is_alive(pid: u32) -> bool {
    Path::new(&format!("/proc/{pid}")).exists()
}

/// Memory of a process, in KiB.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Memory {
    pub(crate) resident: u64,
    pub(crate) peak: u64,
    pub(crate) anonymous: u64,
    pub(crate) file: u64,
    pub(crate) shared: u64,
}

/// Reads it.
pub(crate) fn memory(pid: u32) -> Result<Memory> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))
        .with_context(|| format!("process {pid} is gone"))?;
    let fields = fields(&status);
    let get = |name: &str| {
        fields
            .get(name)
            .and_then(|value| value.split(' ').next()?.parse().ok())
            .with_context(|| format!("/proc/{pid}/status has no {name}"))
    };
    Ok(Memory {
        resident: get("VmRSS")?,
        peak: get("VmHWM")?,
        anonymous: get("RssAnon")?,
        file: get("RssFile")?,
        shared: get("RssShmem")?,
    })
}

/// What several processes hold together, in KiB.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Footprint {
    /// Resident now, each shared page counted in parts.
    pub(crate) proportional: u64,
    /// Resident at most, the sum of each process's own peak.
    pub(crate) peak: u64,
}

impl Footprint {
    /// The larger of two, figure by figure.
    pub(crate) fn max(self, other: Self) -> Self {
        Self {
            proportional: self.proportional.max(other.proportional),
            peak: self.peak.max(other.peak),
        }
    }
}

/// Reads it. Threads of the kernel have none.
pub(crate) fn footprint(pids: &[u32]) -> Result<Footprint> {
    let mut sum = Footprint::default();
    for pid in pids {
        let read = |name: &str| {
            let path = format!("/proc/{pid}/{name}");
            fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))
        };
        let kib = |text: &str, name: &str| -> Option<u64> {
            fields(text).get(name)?.split(' ').next()?.parse().ok()
        };
        let status = read("status")?;
        let Some(peak) = kib(&status, "VmHWM") else { continue };
        sum.peak += peak;
        let rollup = read("smaps_rollup")?;
        sum.proportional += kib(&rollup, "Pss").context("smaps_rollup does not tell Pss")?;
    }
    Ok(sum)
}

/// The children of a process that have this name.
pub(crate) fn children(pid: u32, name: &str) -> Vec<u32> {
    let path = format!("/proc/{pid}/task/{pid}/children");
    let text = fs::read_to_string(path).unwrap_or_default();
    let is = |child: &u32| {
        fs::read_to_string(format!("/proc/{child}/comm")).is_ok_and(|comm| comm.trim() == name)
    };
    text.split_whitespace().filter_map(|word| word.parse().ok()).filter(is).collect()
}

/// A loaded eBPF program and what it cost so far, if the kernel counts that.
#[derive(Debug, Clone)]
pub(crate) struct Program {
    /// The tracepoint it is attached to, or its type.
    pub(crate) hook: String,
    pub(crate) run_time_ns: u64,
    pub(crate) run_count: u64,
}

/// What a process holds of eBPF.
#[derive(Debug, Clone, Default)]
pub(crate) struct Bpf {
    /// By the kernel's number.
    pub(crate) programs: BTreeMap<u64, Program>,
    /// Memory of the maps, in bytes.
    pub(crate) maps_bytes: u64,
}

/// Reads it from the descriptors of a process.
pub(crate) fn bpf(pid: u32) -> Result<Bpf> {
    let mut found = Bpf::default();
    let mut hooks = BTreeMap::new();
    let mut maps = BTreeMap::new();
    for text in fdinfo(pid)? {
        let fields = fields(&text);
        let number = |name: &str| fields.get(name).and_then(|value| value.parse::<u64>().ok());
        if let (Some(id), Some(run_time_ns), Some(run_count)) =
            (number("prog_id"), number("run_time_ns"), number("run_cnt"))
        {
            let hook = format!("type {}", fields.get("prog_type").unwrap_or(&"?"));
            found.programs.insert(id, Program { hook, run_time_ns, run_count });
        } else if let (Some(id), Some(hook)) = (number("prog_id"), fields.get("tp_name")) {
            hooks.insert(id, (*hook).to_owned());
        } else if let (Some(id), Some(bytes)) = (number("map_id"), number("memlock")) {
            maps.insert(id, bytes);
        }
    }
    for (id, hook) in hooks {
        if let Some(program) = found.programs.get_mut(&id) {
            program.hook = hook;
        }
    }
    found.maps_bytes = maps.values().sum();
    Ok(found)
}

/// Whether a process has a descriptor of this kind.
pub(crate) fn holds(pid: u32, kind: &str) -> bool {
    fs::read_dir(format!("/proc/{pid}/fd")).is_ok_and(|fds| {
        fds.flatten()
            .filter_map(|fd| fs::read_link(fd.path()).ok())
            .any(|target| target == Path::new(kind))
    })
}

fn fdinfo(pid: u32) -> Result<Vec<String>> {
    let dir = fs::read_dir(format!("/proc/{pid}/fdinfo"))
        .with_context(|| format!("process {pid} is gone"))?;
    Ok(dir.flatten().filter_map(|fd| fs::read_to_string(fd.path()).ok()).collect())
}

/// `name: value` lines.
fn fields(text: &str) -> BTreeMap<&str, &str> {
    text.lines()
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.trim(), value.trim()))
        .collect()
}
