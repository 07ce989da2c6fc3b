//! What `/proc` tells of a process: CPU time, memory, eBPF programs.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};

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

/// By how much the difference of two `own_cpu` scatters: four counters, each in ticks of 10 ms.
pub(crate) const OWN_CPU_SCATTER: f64 = 0.0082;

/// CPU time of this process and of the children it has waited for. In ticks of 10 ms, so that
/// only the sum over many runs is precise.
pub(crate) fn own_cpu() -> Result<Duration> {
    let stat = fs::read_to_string("/proc/self/stat").context("cannot read /proc/self/stat")?;
    let (_, fields) = stat.rsplit_once(") ").context("/proc/self/stat is not as expected")?;
    // utime, stime, cutime, cstime: fields 14 to 17, of which 1 and 2 are cut off.
    let ticks: u64 = fields.split(' ').skip(11).take(4).filter_map(|f| f.parse::<u64>().ok()).sum();
    let tick = 1_000_000_000 / rustix::param::clock_ticks_per_second().max(1);
    Ok(Duration::from_nanos(ticks * tick))
}

/// The pid of the first process of this name.
pub(crate) fn named(name: &str) -> Option<u32> {
    fs::read_dir("/proc").ok()?.flatten().find_map(|entry| {
        let comm = fs::read_to_string(entry.path().join("comm")).ok()?;
        (comm.trim_end() == name).then(|| entry.file_name().to_str()?.parse().ok())?
    })
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
