//! Lineage that has no more room: who has to go, and what is said of it.

use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use event::Exec;
use probe::{Options, Probe};

use super::family::assert_leads_through_this_process;
use crate::facts::string;
use crate::kid::{self, Call, Kid, Slate, Stray, must, pause, quit};
use crate::place::Place;
use crate::program;
use crate::watch::{Watch, attached};

/// One test at a time: the crowd of one is everybody's.
static ALONE: Mutex<()> = Mutex::new(());

fn alone() -> MutexGuard<'static, ()> {
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Processes that run now, of anybody.
fn living() -> u32 {
    let pid = |name: std::ffi::OsString| name.to_str().is_some_and(|n| n.parse::<u32>().is_ok());
    let all = std::fs::read_dir("/proc").unwrap().flatten();
    u32::try_from(all.filter(|entry| pid(entry.file_name())).count()).unwrap()
}

fn small(processes: u32) -> Probe {
    attached(&Options { everything: true, processes, ..Options::default() }, &[])
}

/// Processes of which each has a child, so that it is kept when it has ended.
fn dead_parents(many: u32) {
    let mut kid = Kid::fork(|| {
        for _ in 0..many {
            // SAFETY: plain system calls; the children only end.
            unsafe {
                let parent = must(libc::fork());
                if parent == 0 {
                    let child = must(libc::fork());
                    if child == 0 {
                        quit(0);
                    }
                    must(libc::waitpid(child, std::ptr::null_mut(), 0));
                    quit(0);
                }
                must(libc::waitpid(parent, std::ptr::null_mut(), 0));
            }
        }
        quit(0);
    });
    assert_eq!(kid.wait(), 0);
}

/// A family: `launcher` starts `middle`, that starts a process that executes `path` when told to;
/// the two are dead by then.
struct Family {
    slate: Slate,
    pid: u32,
    launcher: u32,
    middle: u32,
    _end: Stray,
}

impl Family {
    fn new(path: &Path) -> Self {
        let (call, slate) = (Call::new(path, &["x"]), Slate::new());
        let mut launcher = Kid::fork(|| {
            // SAFETY: plain system calls; the children only make more of them.
            unsafe {
                let middle = must(libc::fork());
                if middle == 0 {
                    let last = must(libc::fork());
                    if last == 0 {
                        while slate.get(1) == 0 {
                            libc::usleep(1000);
                        }
                        call.exec();
                        quit(127);
                    }
                    slate.put(0, last.cast_unsigned());
                    quit(0);
                }
                slate.put(2, middle.cast_unsigned());
                must(libc::waitpid(middle, std::ptr::null_mut(), 0));
            }
            quit(0);
        });
        assert_eq!(launcher.wait(), 0);
        let (pid, middle) = (slate.get(0), slate.get(2));
        Self { pid, launcher: launcher.pid(), middle, _end: Stray::new(pid), slate }
    }

    fn execute(&self, watch: &mut Watch<'_>) -> Exec {
        self.slate.put(1, 1);
        watch.exec(self.pid)
    }
}

#[test]
fn the_oldest_dead_make_room_and_the_living_stay() {
    let _alone = alone();
    let place = Place::new();
    let path = place.file("descendant", &program::stays());
    let room = living() + 2000;
    let probe = small(room);
    let mut watch = Watch::new(&probe);
    let old = Family::new(&path);
    let before = Family::new(&path);
    assert_eq!(probe.counts().unwrap().evicted, 0, "there is room yet");
    let exec = before.execute(&mut watch);
    assert_eq!([exec.ancestry[0].pid, exec.ancestry[1].pid], [before.middle, before.launcher]);
    assert_leads_through_this_process(&exec.ancestry[2..]);
    assert!(!exec.ancestry_truncated);

    dead_parents(2 * room);
    let young = Family::new(&path);
    let counts = probe.counts().unwrap();
    assert!(counts.evicted >= u64::from(room), "{counts:?}");
    assert_eq!((counts.lost_lineage, counts.lineage_window), (0, None), "only the dead had to go");
    assert_eq!(counts.lost(), 0, "and nobody lost anything by it");

    // The young family is whole, and so are the living above it.
    let exec = young.execute(&mut watch);
    assert_eq!([exec.ancestry[0].pid, exec.ancestry[1].pid], [young.middle, young.launcher]);
    assert_leads_through_this_process(&exec.ancestry[2..]);
    assert!(!exec.ancestry_truncated);

    // Of the old one the parent is still told, since its child knows it; and that more is missing.
    let exec = old.execute(&mut watch);
    let [parent] = &exec.ancestry[..] else { panic!("{:#?}", exec.ancestry) };
    assert_eq!((parent.pid, parent.alive), (old.middle, false));
    assert_eq!(parent.exe, Some(string(&std::env::current_exe().unwrap())));
    assert!(exec.ancestry_truncated);
}

#[test]
fn when_all_live_the_named_parent_is_left_and_it_is_said() {
    let _alone = alone();
    let place = Place::new();
    let path = place.file("late", &program::stays());
    let room = living() + 50;
    let probe = small(room);
    let mut watch = Watch::new(&probe);
    let begin = probe::Clock::boot_ns();
    let pausing = || {
        Kid::fork(|| {
            // SAFETY: plain system call.
            unsafe { libc::alarm(120) };
            pause();
        })
    };
    let crowd: Vec<Kid> = (0..400).map(|_| pausing()).collect();
    let counts = probe.counts().unwrap();
    assert!(counts.lost_lineage >= 300, "{counts:?}");
    let (first, last) = counts.lineage_window.unwrap();
    assert!(begin < first && first < last && last <= probe::Clock::boot_ns());

    // Whenever somebody ends there is room for one; the crowd does not, so soon there is none.
    let cut = (0..100).find_map(|_| {
        let kid = Kid::run(&path, &["late"]);
        let exec = watch.exec(kid.pid());
        exec.ancestry_truncated.then_some(exec)
    });
    let exec = cut.expect("one for which there was no room");
    assert_eq!(exec.process.ppid, std::process::id());
    assert_eq!(exec.ancestry[0].pid, std::process::id(), "the parent that the kernel named");
    assert!(exec.ancestry[0].alive);
    assert_eq!(exec.ancestry[0].exe, Some(string(&std::env::current_exe().unwrap())));
    drop(crowd);

    // There is room again.
    kid::until("room", || {
        let kid = Kid::run(&path, &["late"]);
        let before = probe.counts().unwrap().lost_lineage;
        drop(kid);
        drop(Kid::run(&path, &["late"]));
        probe.counts().unwrap().lost_lineage == before
    });
}
