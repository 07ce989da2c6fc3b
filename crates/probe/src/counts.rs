//! What was seen and what was lost, added up over all CPUs.

use std::os::fd::{AsFd, AsRawFd};

use libbpf_rs::{MapCore, MapFlags, libbpf_sys};

use crate::decode;
use crate::error::Error;
use crate::skel::{ProbeSkel, types};

/// Counters since loading.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Executions seen.
    pub execs: u64,
    /// Executions sent to user space.
    pub crossed: u64,
    /// Executions that found no room in the ring.
    pub lost_execs: u64,
    /// Listeners that found no room in theirs.
    pub lost_listens: u64,
    /// Answers of servers that found no room in theirs.
    pub lost_answers: u64,
    /// Beginnings and ends of connections that found no room in theirs.
    pub lost_connects: u64,
    /// Executions among those sent that were sent because somebody above may be a server.
    pub below: u64,
    /// Connections that were not told of, as one of many to the same place. The next one that is
    /// says so.
    pub repeated: u64,
    /// Executions of which only the fact and what identifies it were sent, since little room was
    /// left, or of which arguments beyond the first 8 KiB found no room. None of them is lost.
    pub thinned: u64,
    /// Runs of a hook that the kernel skipped.
    pub skipped: u64,
    /// Processes or images that lineage could not keep: all that it keeps are alive.
    pub lost_lineage: u64,
    /// Boot time of the first of those and of the last, if there was any.
    pub lineage_window: Option<(u64, u64)>,
    /// Dead processes that lineage forgot, the oldest first, to make room. No loss by itself: an
    /// ancestry that needs one of them says that it is cut.
    pub evicted: u64,
    /// Boot time of the first loss and of the last, if there was any. Skipped hooks and lineage
    /// have no part in it.
    pub lost_window: Option<(u64, u64)>,
}

impl Counts {
    /// Everything that was lost in the kernel.
    pub fn lost(&self) -> u64 {
        self.lost_execs + self.lost_listens + self.lost_answers + self.lost_connects + self.skipped
    }
}

/// A hook may have begun this long before it counts what it could not send.
const SLOWEST: u64 = 100_000_000;

/// Counts, and the time of the first loss and of the last since it was last asked for.
pub(crate) fn read_since(
    skel: &ProbeSkel<'_>,
    before: u64,
    now: u64,
) -> Result<(Counts, Option<(u64, u64)>), Error> {
    // First: what is lost from here on begins a new window, and may be counted already.
    skel.maps
        .known_losses
        .update(&0_u32.to_ne_bytes(), &now.to_ne_bytes(), MapFlags::ANY)
        .map_err(|e| Error::map("begin a new window of losses", &e))?;
    let mut window: Option<(u64, u64)> = None;
    let counts = read_each(skel, |cpu| {
        let new = |time: &u64| *time != 0 && *time >= before.saturating_sub(SLOWEST);
        for time in [cpu.former_lost, cpu.new_lost, cpu.last_lost].iter().filter(|t| new(t)) {
            let (first, last) = window.unwrap_or((u64::MAX, 0));
            window = Some((first.min(*time), last.max(*time)));
        }
    })?;
    Ok((counts, window))
}

pub(crate) fn read(skel: &ProbeSkel<'_>) -> Result<Counts, Error> {
    read_each(skel, |_| {})
}

fn read_each(
    skel: &ProbeSkel<'_>,
    mut each: impl FnMut(&types::counters),
) -> Result<Counts, Error> {
    let cpus = skel
        .maps
        .counts
        .lookup_percpu(&0_u32.to_ne_bytes(), MapFlags::ANY)
        .map_err(|e| Error::map("read the kernel's counters", &e))?
        .unwrap_or_default();
    let mut sum = Counts::default();
    for bytes in cpus {
        let Some(cpu) = decode::read::<types::counters>(&bytes) else {
            continue;
        };
        each(&cpu);
        sum.execs += cpu.execs;
        sum.crossed += cpu.crossed;
        sum.lost_execs += cpu.lost_execs;
        sum.lost_listens += cpu.lost_listens;
        sum.lost_answers += cpu.lost_answers;
        sum.lost_connects += cpu.lost_connects;
        sum.below += cpu.below;
        sum.repeated += cpu.repeated;
        sum.thinned += cpu.thinned + cpu.lost_args;
        sum.lost_lineage += cpu.lost_lineage;
        sum.evicted += cpu.evicted;
        widen(&mut sum.lost_window, cpu.first_lost, cpu.last_lost);
        widen(&mut sum.lineage_window, cpu.first_unkept, cpu.last_unkept);
    }
    sum.skipped = [
        skel.progs.on_exec.as_fd(),
        skel.progs.on_fork.as_fd(),
        skel.progs.on_exit.as_fd(),
        skel.progs.on_listen.as_fd(),
    ]
    .into_iter()
    .map(|program| skipped(program.as_raw_fd()))
    .sum();
    Ok(sum)
}

/// Adds the window of one CPU; 0 where nothing was lost there.
fn widen(window: &mut Option<(u64, u64)>, first: u64, last: u64) {
    if last != 0 {
        let (begin, end) = window.unwrap_or((u64::MAX, 0));
        *window = Some((begin.min(first), end.max(last)));
    }
}

/// How often the kernel skipped a program because it was already running on that CPU.
fn skipped(program: i32) -> u64 {
    let mut info = libbpf_sys::bpf_prog_info::default();
    let mut size = u32::try_from(size_of_val(&info)).unwrap_or_default();
    // SAFETY: the kernel writes at most `size` bytes into `info`, which is plain memory.
    let failed = unsafe {
        libbpf_sys::bpf_obj_get_info_by_fd(program, (&raw mut info).cast(), &raw mut size)
    };
    if failed == 0 { info.recursion_misses } else { 0 }
}
