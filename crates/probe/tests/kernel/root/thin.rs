//! Under a flood detail makes room for facts, and every loss has its time.

use std::collections::HashSet;

use event::Exec;
use probe::{Clock, Options, Probe, Seen};

use super::plain::{allowed_cpus, run_on};
use crate::kid::{self, Kid};
use crate::place::Place;
use crate::program;
use crate::watch::{Watch, attached};

/// Arguments that make a full record of more than 4 KiB.
const LONG: usize = 4000;
/// As in `wire.h`.
const THIN_ARGS: usize = 256;

fn with_ring(ring_bytes: u32) -> Probe {
    attached(&Options { everything: true, ring_bytes, ..Options::default() }, &[])
}

fn ours(watch: &Watch<'_>, pids: &HashSet<u32>) -> Vec<Exec> {
    let exec = |seen: &Seen| match seen {
        Seen::Exec { exec, .. } if pids.contains(&exec.process.pid) => Some((**exec).clone()),
        _ => None,
    };
    watch.seen.iter().filter_map(exec).collect()
}

/// Runs a program to its end so many times; the pids.
fn run(path: &std::path::Path, args: &[&str], times: usize) -> HashSet<u32> {
    let once = |_| {
        let mut kid = Kid::run(path, args);
        assert_eq!(kid.wait(), 0);
        kid.pid()
    };
    (0..times).map(once).collect()
}

#[test]
fn a_crowded_ring_takes_facts_without_detail() {
    // Half of the ring holds a hundred full records, the other half a thousand thin ones, those of
    // the rest of the machine included.
    const MANY: usize = 300;
    let place = Place::new();
    let path = place.file("crowd", &program::exits());
    let long = "x".repeat(LONG);
    let probe = with_ring(1 << 20);
    let mut watch = Watch::new(&probe);
    let pids = run(&path, &["crowd", "first", &long], MANY);
    let counts = probe.counts().unwrap();
    watch.drain();
    let seen = ours(&watch, &pids);
    assert_eq!(counts.lost_execs, 0, "there was room for all: {counts:?}");
    assert_eq!(seen.len(), MANY, "every fact came");
    let (thin, full): (Vec<_>, Vec<_>) = seen.iter().partition(|e| e.process.args_truncated);
    assert!(full.len() > 20 && thin.len() > MANY / 3, "{} full, {} thin", full.len(), thin.len());
    assert!(counts.thinned >= thin.len() as u64, "{counts:?}");
    for exec in full {
        assert_eq!(exec.process.args, ["crowd", "first", &long]);
        assert!(exec.process.cwd.is_some());
    }
    let path = path.to_str().unwrap();
    let rest = THIN_ARGS - "crowd\0first\0".len();
    for exec in thin {
        let p = &exec.process;
        assert_eq!((p.exe.path.as_str(), p.exe.path_truncated), (path, false));
        assert_eq!((p.invoked_as.as_str(), p.comm.as_str()), (path, "crowd"));
        assert_eq!(p.args, ["crowd", "first", &long[..rest]]);
        assert_eq!(p.cwd, None, "it is gone, and so is what it could tell");
        assert!(exec.file.is_some() && p.uid == 0 && p.ppid == std::process::id());
        assert_eq!(exec.ancestry[0].pid, std::process::id());
    }
}

#[test]
fn a_long_path_is_cut_from_its_far_end() {
    let place = Place::new();
    let filler = place.file("filler", &program::exits());
    let mut dir = place.path();
    for _ in 0..10 {
        dir = dir.join("d".repeat(200));
    }
    std::fs::create_dir_all(&dir).unwrap();
    let path = dir.join("far");
    crate::place::executable(&path, &program::exits());
    let probe = with_ring(1 << 20);
    let mut watch = Watch::new(&probe);
    let long = "x".repeat(LONG);
    run(&filler, &["filler", &long], 150);
    let pids = run(&path, &["far"], 1);
    watch.drain();
    let seen = ours(&watch, &pids);
    let p = &seen[0].process;
    assert!(p.exe.path_truncated);
    assert!(path.to_str().unwrap().ends_with(&p.exe.path), "{}", p.exe.path);
    assert!(p.exe.path.starts_with(&format!("/{}/", "d".repeat(200))), "{}", p.exe.path);
    assert!(p.exe.path.len() > 800, "{}", p.exe.path);
}

/// What the kernel had no room for, `/proc` tells as long as the process lives.
#[test]
fn what_was_thinned_is_completed_while_the_process_lives() {
    let place = Place::new();
    let filler = place.file("filler", &program::exits());
    let path = place.file("stays", &program::stays());
    let probe = with_ring(1 << 20);
    let mut watch = Watch::new(&probe);
    let long = "x".repeat(LONG);
    run(&filler, &["filler", &long], 150);
    let thinned = probe.counts().unwrap().thinned;
    assert!(thinned > 0, "the ring is not crowded");
    // With arguments of more than one record, too, of which the pieces are not sent then.
    for words in [LONG, 20_000] {
        let word = "y".repeat(words);
        let kid = Kid::run(&path, &["stays", &word, "last"]);
        kid::until_runs(kid.pid(), &path);
        assert!(probe.counts().unwrap().thinned > thinned);
        let exec = watch.exec(kid.pid());
        assert_eq!(exec.process.args, ["stays", &word, "last"]);
        assert!(!exec.process.args_truncated);
        let cwd = std::env::current_dir().unwrap();
        assert_eq!(exec.process.cwd.as_deref(), cwd.to_str());
        // The ring was emptied: once more.
        run(&filler, &["filler", &long], 150);
    }
}

/// Without a reader, everything is either in the ring or counted as lost.
#[test]
fn what_was_sent_and_what_was_lost_is_what_was_executed() {
    const MANY: usize = 400;
    let place = Place::new();
    let path = place.file("flood", &program::exits());
    let probe = with_ring(64 << 10);
    let mut watch = Watch::new(&probe);
    let pids = run(&path, &["flood", &"x".repeat(LONG)], MANY);
    let counts = probe.counts().unwrap();
    // The rest of the machine goes on while the CPUs are added up.
    let off = (counts.crossed + counts.lost_execs).abs_diff(counts.execs);
    assert!(off <= allowed_cpus().len() as u64, "{counts:?}");
    assert!(counts.execs >= MANY as u64 && counts.lost_execs > 0 && counts.thinned > 0);
    watch.drain();
    let seen = ours(&watch, &pids).len() as u64;
    let others = counts.execs - MANY as u64;
    let missing = MANY as u64 - seen;
    assert!(missing <= counts.lost_execs, "{missing} are missing: {counts:?}");
    assert!(counts.lost_execs <= missing + others, "{missing} are missing: {counts:?}");
    // 32 KiB of thin facts, of some 600 bytes each.
    assert!(counts.crossed > 40, "{counts:?}");
}

/// The windows of losses follow each other, and each holds what was lost in it.
#[test]
fn each_window_begins_with_its_first_loss() {
    let place = Place::new();
    let path = place.file("window", &program::exits());
    let probe = with_ring(4096);
    let mut watch = Watch::new(&probe);
    let lose = || {
        let before = Clock::boot_ns();
        for _ in 0..50 {
            for cpu in allowed_cpus() {
                assert_eq!(run_on(cpu, &path).wait(), 0);
            }
        }
        (before, Clock::boot_ns())
    };
    assert_eq!(probe.losses().unwrap().1, None, "nothing is lost yet");
    let first = lose();
    let (counts, window) = probe.losses().unwrap();
    let lost = counts.lost_execs;
    let (from, to) = window.unwrap();
    assert!(lost > 50 && from < first.1 && to > first.0, "{from}..{to} of {first:?}");

    // More than the tolerance later: the rest of the machine may lose something at any time, but
    // the window must not reach back.
    std::thread::sleep(std::time::Duration::from_millis(300));
    let asked = Clock::boot_ns();
    probe.losses().unwrap();
    std::thread::sleep(std::time::Duration::from_millis(300));
    let second = lose();
    let (counts, window) = probe.losses().unwrap();
    let (from, to) = window.unwrap();
    assert!(counts.lost_execs >= lost + 50, "{counts:?}");
    assert!(from <= second.1 && to >= second.0, "{from}..{to} of {second:?}");
    assert!(from + 100_000_000 >= asked, "{from} is before {asked}");
    assert!(to <= Clock::boot_ns());

    // With room again, nothing more is lost.
    watch.drain();
    let mut quiet = false;
    for _ in 0..100 {
        watch.drain();
        let before = probe.losses().unwrap().0;
        std::thread::sleep(std::time::Duration::from_millis(150));
        watch.drain();
        probe.losses().unwrap();
        std::thread::sleep(std::time::Duration::from_millis(150));
        let (after, window) = probe.losses().unwrap();
        if after.lost_execs == before.lost_execs {
            assert_eq!(window, None);
            quiet = true;
            break;
        }
    }
    assert!(quiet, "the rest of the machine did not leave a quiet moment");
}
