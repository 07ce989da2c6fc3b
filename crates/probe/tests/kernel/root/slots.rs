//! The slots that images lie in: none is lost, none is given twice.

use std::path::Path;
use std::process::Command;
use std::sync::{Mutex, PoisonError};
use std::thread::sleep;

use detect::plan::Verdict;
use probe::audit::audit;
use probe::{Options, Probe};

use super::filter::SETTLED;
use super::plain::allowed_cpus;
use crate::facts;
use crate::kid::{self, Call, Kid, Slate, must, quit};
use crate::place::Place;
use crate::program;
use crate::watch::{FENCE, Watch, attached};

const ROUNDS: u32 = 400;

pub(super) fn stay_on(cpu: usize) {
    // SAFETY: a set is plain memory, and this thread's own.
    unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        libc::CPU_SET(cpu, &mut set);
        assert_eq!(libc::sched_setaffinity(0, size_of_val(&set), &raw const set), 0);
    }
}

/// Parents that execute again and again while their children live, children that outlive them.
fn generations(shell: &Path, leaf: &Path) {
    let again = "\"$LEAF\" & (\"$LEAF\"; \"$LEAF\") & exec \"$SHELL\" -c \"$NEXT\" more";
    let next = "\"$LEAF\" & exec \"$SHELL\" -c '\"$LEAF\"; wait; exec \"$LEAF\"' still more";
    let mut command = Command::new(shell);
    command.args(["-c", again]).env("NEXT", next).env("SHELL", shell).env("LEAF", leaf);
    assert!(kid::spawn(&mut command).wait().unwrap().success());
}

extern "C" fn ends_with_the_others(slate: *mut libc::c_void) -> libc::c_int {
    // SAFETY: the caller's, which outlives this thread; plain system call.
    unsafe {
        let slate = &*slate.cast::<Slate>();
        while slate.get(0) == 0 {
            std::hint::spin_loop();
        }
        libc::syscall(libc::SYS_exit, 0);
    }
    0
}

/// Threads that end at the same time: each of the last may find that it is the last.
fn threads_that_end_together() {
    const STACK: usize = 16 << 10;
    let mut stacks = vec![0_u8; 4 * STACK];
    let mut slate = Slate::new();
    let mut kid = Kid::fork(|| {
        let flags = libc::CLONE_VM
            | libc::CLONE_FS
            | libc::CLONE_FILES
            | libc::CLONE_SIGHAND
            | libc::CLONE_THREAD
            | libc::CLONE_SYSVSEM;
        for n in 1..=3 {
            let top = stacks.as_mut_ptr().wrapping_add(n * STACK);
            let slate = (&raw mut slate).cast();
            // SAFETY: a stack of its own, aligned well enough, and a slate that outlives it.
            must(unsafe { libc::clone(ends_with_the_others, top.cast(), flags, slate) });
        }
        // It has a child, so that it is kept when it has ended.
        // SAFETY: plain system call; the child only ends.
        if must(unsafe { libc::fork() }) == 0 {
            quit(0);
        }
        slate.put(0, 1);
        // SAFETY: ends this thread only.
        unsafe { libc::syscall(libc::SYS_exit, 0) };
        quit(1);
    });
    assert_eq!(kid.wait(), 0);
}

/// Has the kernel take these files for harmless: nobody is told of their executions, and a process
/// that only did that is forgotten when it ends.
fn benign(probe: &Probe, place: &Place, files: [&Path; 2]) {
    let fence = place.file(FENCE, &program::exits());
    let mut watch = Watch::new(probe);
    sleep(SETTLED);
    for file in files {
        let mut run = || {
            let mut kid = Kid::run(file, &["x", "-c", ":"]);
            assert_eq!(kid.wait(), 0);
            watch.crossed(kid.pid(), &fence)
        };
        let ask = run().and_then(|crossed| crossed.ask).expect("an unknown file crosses");
        watch.remember(&ask, Verdict::Benign);
    }
}

/// Returns how many of the dead had to make room.
fn storm(options: &Options) -> u64 {
    // The programs of another storm would be strangers to this one.
    static ALONE: Mutex<()> = Mutex::new(());
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let probe = attached(options, &[]);
    let place = Place::new();
    let (shell, leaf) = (place.shell("shell"), place.file("leaf", &program::exits()));
    benign(&probe, &place, [&shell, &leaf]);
    std::thread::scope(|scope| {
        for cpu in allowed_cpus() {
            let (shell, leaf) = (&shell, &leaf);
            scope.spawn(move || {
                stay_on(cpu);
                let call = Call::new(leaf, &["leaf"]);
                for round in 0..ROUNDS {
                    let mut kid = Kid::fork(|| call.exec());
                    if round % 4 == 0 {
                        generations(shell, leaf);
                    }
                    assert_eq!(kid.wait(), 0);
                }
            });
        }
        scope.spawn(|| (0..ROUNDS).for_each(|_| threads_that_end_together()));
    });
    let counts = probe.counts().unwrap();
    assert_eq!(counts.skipped, 0);
    let audit = audit(probe);
    assert_eq!(audit.problems, Vec::<String>::new());
    assert_eq!(audit.free + audit.held, audit.used, "{audit:?} {counts:?}");
    assert!(audit.again > u64::from(ROUNDS) && audit.dead > 0, "{audit:?} {counts:?}");
    let start = facts::stat(std::process::id(), facts::START);
    let ghosts: Vec<_> =
        audit.ghosts.iter().filter(|g| facts::ticks(g.start_boot_ns) >= start).collect();
    assert!(ghosts.is_empty(), "dead, and taken for living: {ghosts:?}");
    counts.evicted
}

#[test]
fn a_storm_loses_no_slot() {
    storm(&Options::default());
}

/// There are fewer slots than images that are asked for: the dead make room all the time.
#[test]
fn a_storm_with_few_slots_loses_none() {
    let few = Options { processes: 1024, ..Options::default() };
    assert!(storm(&few) > 0, "there was room for all: the test tests nothing");
}
