//! Whether the kernel's memory of lineage adds up, for the tests.
//!
//! References are counted by hand in there, by several CPUs at once. A mistake would show after
//! days: as memory that is nobody's any more, or as one process that is shown with what another
//! ran.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use event::ProcessKey;
use libbpf_rs::{MapCore, MapFlags};

use crate::lineage::wire_key;
use crate::skel::types;
use crate::{Probe, decode, procfs};

/// What was found.
#[derive(Debug, Default)]
pub struct Audit {
    /// Slots of images there are.
    pub slots: u64,
    /// Of those, how many were ever used.
    pub used: u64,
    /// Of those, how many some process refers to.
    pub held: u64,
    /// Of those, how many are free, on the list or as a CPU's spare.
    pub free: u64,
    /// How often a slot was taken that had been free again.
    pub again: u64,
    /// Processes that are kept and have ended.
    pub dead: u64,
    /// Processes that are kept as living, and are gone.
    pub ghosts: Vec<ProcessKey>,
    /// What does not add up.
    pub problems: Vec<String>,
}

/// How long a program that runs on another CPU may take to end.
const LONGEST_RUN: Duration = Duration::from_millis(200);

/// Turns the probe off and looks at what it leaves.
pub fn audit(mut probe: Probe) -> Audit {
    let mut audit = Audit { ghosts: ghosts(&probe), ..Audit::default() };
    probe.skel.links = Default::default();
    std::thread::sleep(LONGEST_RUN);
    let maps = &probe.skel.maps;
    audit.slots = maps.rodata_data.map_or(0, |data| data.image_slots);
    audit.used = maps.bss_data.as_deref().map_or(0, |data| data.images_used).min(audit.slots);

    let mut references: HashMap<u64, u64> = HashMap::new();
    let mut dead = HashSet::new();
    for (key, proc) in processes(&probe) {
        if proc.alive == 0 {
            dead.insert(key);
        }
        for reference in [proc.born, proc.image] {
            if reference != 0 && reference >> 63 == 0 {
                *references.entry(reference & 0xffff_ffff).or_default() += 1;
                check_number(&probe, reference, key, &mut audit.problems);
            }
        }
    }
    audit.dead = dead.len() as u64;
    while let Ok(Some(bytes)) = maps.dead.lookup_and_delete(&[]) {
        let key = decode::read::<types::proc_key>(&bytes).map(from_wire);
        if key.is_none_or(|key| !dead.remove(&key)) {
            audit.problems.push(format!("{key:?} waits to make room, and is not dead"));
        }
    }
    if !dead.is_empty() {
        audit.problems.push(format!("{dead:?} are dead, and will never make room"));
    }

    let mut free = HashSet::new();
    let mut give = |slot: u64, problems: &mut Vec<String>| {
        if !free.insert(slot) {
            problems.push(format!("slot {slot} is free twice"));
        }
    };
    while let Ok(Some(bytes)) = maps.free_images.lookup_and_delete(&[]) {
        give(bytes.try_into().map_or(0, u64::from_ne_bytes), &mut audit.problems);
    }
    let cpus = maps.counts.lookup_percpu(&0_u32.to_ne_bytes(), MapFlags::ANY);
    for bytes in cpus.ok().flatten().unwrap_or_default() {
        let spare = decode::read::<types::counters>(&bytes).map_or(0, |cpu| cpu.spare);
        if spare != 0 {
            give(spare, &mut audit.problems);
        }
    }
    audit.free = free.len() as u64;
    for number in 1..=audit.used {
        let image = image(&probe, number);
        let refs = image.map(|image| image.refs);
        audit.again += image.map_or(0, |image| image.taken.saturating_sub(1));
        let expected = references.remove(&number).unwrap_or_default();
        if expected > 0 {
            audit.held += 1;
        }
        if refs != Some(expected) {
            audit.problems.push(format!("slot {number} counts {refs:?}, {expected} refer to it"));
        }
        if (expected == 0) != free.contains(&number) {
            audit
                .problems
                .push(format!("slot {number} has {expected} references, and is not free"));
        }
    }
    if !references.is_empty() {
        audit.problems.push(format!("slots that were never used are referred to: {references:?}"));
    }
    audit
}

/// Processes that are said to live, twice, and do not.
fn ghosts(probe: &Probe) -> Vec<ProcessKey> {
    let gone = |key: &ProcessKey| !procfs::is_still(key.pid, key.start_boot_ns);
    let living = processes(probe).into_iter().filter(|(_, proc)| proc.alive != 0);
    let gone: Vec<_> = living.map(|(key, _)| key).filter(gone).collect();
    std::thread::sleep(LONGEST_RUN);
    let still = |key: &ProcessKey| probe.lineage().entry(*key).is_some_and(|proc| proc.alive != 0);
    gone.into_iter().filter(still).collect()
}

fn processes(probe: &Probe) -> Vec<(ProcessKey, types::proc)> {
    let maps = &probe.skel.maps;
    let one = |key: Vec<u8>| {
        let key = from_wire(decode::read(&key)?);
        let key_bytes = wire_key(key);
        let value = maps.procs.lookup(decode::bytes_of(&key_bytes), MapFlags::ANY).ok()??;
        Some((key, decode::read(&value)?))
    };
    maps.procs.keys().filter_map(one).collect()
}

fn from_wire(key: types::proc_key) -> ProcessKey {
    ProcessKey { pid: key.pid, start_boot_ns: key.start }
}

fn image(probe: &Probe, number: u64) -> Option<types::image> {
    let slot = u32::try_from(number.checked_sub(1)?).ok()?.to_ne_bytes();
    decode::read(&probe.skel.maps.images.lookup(&slot, MapFlags::ANY).ok()??)
}

/// A slot that is referred to must not have been taken again.
fn check_number(probe: &Probe, reference: u64, whose: ProcessKey, problems: &mut Vec<String>) {
    let taken = image(probe, reference & 0xffff_ffff).map(|image| image.taken & 0x7fff_ffff);
    if taken != Some(reference >> 32) {
        problems.push(format!("{whose:?} refers to a slot that was taken again: {taken:?}"));
    }
}
