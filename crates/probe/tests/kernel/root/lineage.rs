//! Long lines of descent: each ancestor with what it ran when it made the next one.

use std::path::PathBuf;

use event::{Ancestor, Exec};

use super::family::assert_leads_through_this_process;
use crate::facts::{self, string};
use crate::kid::{Call, Kid, Slate, Stray, must, pause, quit, until};
use crate::place::Place;
use crate::program;
use crate::watch::{Watch, everything};

/// Generations; the shell at the top starts the next one, and so on.
const GENERATIONS: usize = 12;

/// A line of shells, each of another file and with another word, in which each starts the next
/// one and ends, and the last one executes `last`. What each was given, the eldest first.
fn line(place: &Place, generations: usize, last: &str) -> (Vec<PathBuf>, Vec<Vec<String>>) {
    let shells: Vec<_> = (0..generations).map(|n| place.shell(&format!("elder{n}"))).collect();
    let mut script = format!("exec '{last}'");
    let mut all = Vec::new();
    for (n, shell) in shells.iter().enumerate().rev() {
        let args = vec![string(shell), "-c".into(), script.clone(), format!("word{n}")];
        script = format!("\"$E{n}\" -c \"$S{n}\" word{n} & :");
        all.push(args);
    }
    all.reverse();
    (shells, all)
}

/// Runs the line. The scripts are handed down in the environment: inside each other they would
/// be longer than what is kept.
fn run(place: &Place, last: &str) -> Vec<Vec<String>> {
    let (shells, args) = line(place, GENERATIONS, last);
    let mut command = std::process::Command::new(&shells[0]);
    command.args(&args[0][1..]);
    for (n, shell) in shells.iter().enumerate() {
        command.env(format!("E{n}"), shell).env(format!("S{n}"), &args[n][2]);
    }
    let mut child = crate::kid::spawn(&mut command);
    assert!(child.wait().unwrap().success());
    args
}

#[test]
fn a_long_line_of_the_dead() {
    let place = Place::new();
    let path = place.file("youngest", &program::stays());
    let probe = everything();
    let mut watch = Watch::new(&probe);
    let args = run(&place, &string(&path));
    let exe = string(&path);
    let exec = watch.crossing("the youngest", |e| e.process.exe.path == exe).exec;
    let _end = Stray::new(exec.process.pid);
    // The last shell executed the program itself: it is no ancestor.
    let chain: Vec<&Ancestor> = exec.ancestry.iter().take(GENERATIONS - 1).collect();
    for (ancestor, args) in chain.iter().zip(args[..GENERATIONS - 1].iter().rev()) {
        assert_eq!(ancestor.exe.as_ref(), args.first(), "{:#?}", exec.ancestry);
        assert_eq!(&ancestor.args, args);
    }
    // Those at the top have surely ended by now, and were awaited.
    assert!(!exec.ancestry[GENERATIONS - 2].alive);
    assert_leads_through_this_process(&exec.ancestry[GENERATIONS - 1..]);
    assert!(!exec.ancestry_truncated);
}

/// A grandparent that makes a parent, and then executes something else, and again.
#[test]
#[expect(clippy::zombie_processes, reason = "a Kid is awaited when dropped")]
fn a_grandparent_is_what_it_was_when_it_made_the_parent() {
    let place = Place::new();
    let [first, parent] = ["first", "parent"].map(|name| place.shell(name));
    let second = place.shell("second");
    let stays = place.file("third", &program::stays());
    let path = place.file("grandchild", &program::stays());
    let probe = everything();
    let mut watch = Watch::new(&probe);
    let go = place.path().join("go");
    let wait =
        format!("until test -e '{}'; do sleep 0.01; done; '{}' & :", go.display(), path.display());
    let script =
        format!("'{}' -c \"$WAIT\" & exec '{}' -c \"$THEN\"", parent.display(), second.display());
    let mut command = std::process::Command::new(&first);
    command.args(["-c", &script, "word"]);
    command.env("WAIT", wait).env("THEN", format!("exec '{}'", stays.display()));
    let child = crate::kid::spawn(&mut command);
    let grandparent = Kid::adopt(&child);
    crate::kid::until_runs(grandparent.pid(), &stays);
    std::fs::write(&go, "").unwrap();
    let exe = string(&path);
    let exec = watch.crossing("the grandchild", |e| e.process.exe.path == exe).exec;
    let _end = Stray::new(exec.process.pid);
    let [parent_now, grand, rest @ ..] = &exec.ancestry[..] else { panic!("{exec:?}") };
    assert_eq!(parent_now.exe, Some(string(&parent)));
    assert_eq!((grand.pid, grand.alive, &*grand.comm), (grandparent.pid(), true, "first"));
    assert_eq!(grand.exe, Some(string(&first)));
    let (all, kept) = ([&*string(&first), "-c", &script, "word"].join(" "), grand.args.join(" "));
    assert!(all.starts_with(&kept) && kept.len() > 100, "{kept}");
    assert_leads_through_this_process(rest);
}

/// A daemon of the old school under a subreaper: two forks, a session of its own, and a parent
/// that is none of its ancestors.
#[test]
fn a_double_fork_leads_past_the_reaper() {
    let place = Place::new();
    let path = place.file("daemon", &program::stays());
    let probe = everything();
    let mut watch = Watch::new(&probe);
    let (call, slate) = (Call::new(&path, &["daemon", "word"]), Slate::new());
    let reaper = Kid::fork(|| {
        // SAFETY: plain system calls; the children only make more of them.
        unsafe {
            must(libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1));
            let launcher = must(libc::fork());
            if launcher == 0 {
                let middle = must(libc::fork());
                if middle == 0 {
                    must(libc::setsid());
                    let daemon = must(libc::fork());
                    if daemon == 0 {
                        while slate.get(2) == 0 {
                            libc::usleep(1000);
                        }
                        call.exec();
                        quit(127);
                    }
                    slate.put(1, daemon.cast_unsigned());
                    quit(0);
                }
                let mut status = 0;
                must(libc::waitpid(middle, &raw mut status, 0));
                slate.put(3, middle.cast_unsigned());
                slate.put(4, libc::getpid().cast_unsigned());
                quit(0);
            }
            let mut status = 0;
            must(libc::waitpid(launcher, &raw mut status, 0));
            slate.put(0, 1);
        }
        pause();
    });
    slate.wait(0);
    let daemon = slate.wait(1);
    let _end = Stray::new(daemon);
    let parent = || facts::stat(daemon, facts::PPID) == u64::from(reaper.pid());
    until("it is the reaper's child", parent);
    slate.put(2, 1);
    let exec: Exec = watch.exec(daemon);
    assert_eq!(exec.process.ppid, reaper.pid());
    let own = std::env::current_exe().unwrap();
    let expected = [(slate.get(3), false), (slate.get(4), false), (reaper.pid(), true)];
    for (ancestor, (pid, alive)) in exec.ancestry.iter().zip(expected) {
        assert_eq!((ancestor.pid, ancestor.alive), (pid, alive), "{:#?}", exec.ancestry);
        assert_eq!(ancestor.exe, Some(string(&own)));
    }
    assert_leads_through_this_process(&exec.ancestry[3..]);
    assert!(!exec.ancestry_truncated);
}

/// In a pid namespace of its own, the first process there is no end: the chain goes on outside.
#[test]
fn the_first_process_of_a_namespace_has_ancestors() {
    let place = Place::new();
    let path = place.file("inside", &program::stays());
    let probe = everything();
    let mut watch = Watch::new(&probe);
    let (call, slate) = (Call::new(&path, &["inside"]), Slate::new());
    let outer = Kid::fork(|| {
        // SAFETY: plain system calls; the children only make more of them.
        unsafe {
            must(libc::unshare(libc::CLONE_NEWPID));
            let first = must(libc::fork());
            if first == 0 {
                must(libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL));
                let second = must(libc::fork());
                if second == 0 {
                    call.exec();
                    quit(127);
                }
                pause();
            }
            slate.put(0, first.cast_unsigned());
        }
        pause();
    });
    let first = slate.wait(0);
    let exe = string(&path);
    let exec = watch.crossing("inside", |e| e.process.exe.path == exe).exec;
    let pids: Vec<u32> = exec.ancestry.iter().take(2).map(|a| a.pid).collect();
    assert_eq!(pids, [first, outer.pid()]);
    assert_leads_through_this_process(&exec.ancestry[2..]);
    assert!(!exec.ancestry_truncated);
}

/// A chain that is longer than what is shown says so.
#[test]
fn more_ancestors_than_are_shown() {
    const MANY: u32 = 80;
    let place = Place::new();
    let path = place.file("deep", &program::stays());
    let probe = everything();
    let mut watch = Watch::new(&probe);
    let call = Call::new(&path, &["deep"]);
    let slate = Slate::new();
    let _top = Kid::fork(|| {
        // SAFETY: plain system calls; the children only make more of them.
        unsafe {
            for depth in 0..MANY {
                must(libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL));
                if must(libc::fork()) != 0 {
                    pause();
                }
                slate.put(0, depth);
            }
        }
        call.exec();
    });
    let exe = string(&path);
    let exec = watch.crossing("the deepest", |e| e.process.exe.path == exe).exec;
    let _end = Stray::new(exec.process.pid);
    assert_eq!(exec.ancestry.len(), 64);
    assert!(exec.ancestry_truncated);
}
