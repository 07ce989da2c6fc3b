//! Lineage: who came from whom, the dead included.

use std::ffi::CString;
use std::fs;
use std::io::Write;
use std::os::fd::AsRawFd;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use event::{Ancestor, Exec};

use super::origin::{memfd, run_open};
use crate::facts::{self, assert_process, string};
use crate::kid::{self, Call, Kid, Slate, Stray, until, until_runs};
use crate::place::Place;
use crate::program;
use crate::watch::{Watch, everything};

/// Compares the upper end of a chain, from this process on, with `/proc`.
#[track_caller]
pub(super) fn assert_leads_through_this_process(chain: &[Ancestor]) {
    let (own, above) = chain.split_first().expect("this process is in the chain");
    assert_eq!(own.pid, std::process::id());
    assert!(own.alive);
    assert_eq!(own.exe, Some(string(&std::env::current_exe().unwrap())));
    let first = std::env::args().next().unwrap();
    assert_eq!(own.args.first(), Some(&first));
    let mut pid = own.pid;
    for parent in above {
        pid = u32::try_from(facts::stat(pid, facts::PPID)).unwrap();
        assert_eq!(parent.pid, pid, "parents above this process");
    }
    assert_eq!(facts::stat(pid, facts::PPID), 0, "the chain ends where /proc's does");
}

/// A child that can be told to go on: a line on its standard input.
fn spawn_told(command: &mut Command) -> Child {
    kid::spawn(command.stdin(Stdio::piped()))
}

fn tell(child: &mut Child) {
    child.stdin.as_mut().unwrap().write_all(b"go\n").unwrap();
}

/// A number that a shell wrote into a file.
fn number(path: &Path) -> u32 {
    let read = || fs::read_to_string(path).ok().filter(|text| text.ends_with('\n'));
    until("a number in a file", || read().is_some());
    read().unwrap().trim().parse().unwrap()
}

#[test]
fn a_daemon_keeps_its_dead_parents() {
    let place = Place::new();
    let [launcher, middle, inner] = ["launcher", "middle", "inner"].map(|n| place.shell(n));
    let served = place.file("served", &program::stays());
    let probe = everything();
    let mut watch = Watch::new(&probe);

    let launch = "\"$MIDDLE\" -c \"$FORK\" one two; :";
    let fork = "exec 3<&0; \"$INNER\" -c \"$WAIT\" <&3 & echo $$ >\"$OUT\"";
    let out = place.path().join("pid");
    let mut child = spawn_told(
        Command::new(&launcher)
            .args(["-c", launch, "three"])
            .env("MIDDLE", &middle)
            .env("INNER", &inner)
            .env("SERVED", &served)
            .env("OUT", &out)
            .env("FORK", fork)
            .env("WAIT", "read word && exec \"$SERVED\" four"),
    );
    let launcher_pid = child.id();
    let mut input = child.stdin.take().unwrap();
    assert!(child.wait().unwrap().success());
    let middle_pid = number(&out);
    assert!(!Path::new(&format!("/proc/{middle_pid}")).exists());
    assert!(!Path::new(&format!("/proc/{launcher_pid}")).exists());
    input.write_all(b"go\n").unwrap();

    let path = string(&served);
    let exec = watch.crossing("the daemon", |e| e.process.exe.path == path).exec;
    let _end = Stray::new(exec.process.pid);
    assert_process(&exec);
    assert_ne!(exec.process.ppid, middle_pid, "it has another parent now");
    let [first, second, rest @ ..] = &exec.ancestry[..] else {
        panic!("{:?}", exec.ancestry);
    };
    assert_eq!((first.pid, first.alive, &*first.comm), (middle_pid, false, "middle"));
    assert_eq!(first.exe, Some(string(&middle)));
    assert_eq!(first.args, [&string(&middle), "-c", fork, "one", "two"]);
    assert_eq!((second.pid, second.alive, &*second.comm), (launcher_pid, false, "launcher"));
    assert_eq!(second.exe, Some(string(&launcher)));
    assert_eq!(second.args, [&string(&launcher), "-c", launch, "three"]);
    assert!(second.start <= first.start && first.start <= exec.process.start);
    assert_leads_through_this_process(rest);
}

#[test]
fn a_fork_that_executes_nothing_stands_between() {
    let place = Place::new();
    let path = place.file("grandchild", &program::stays());
    let probe = everything();
    let mut watch = Watch::new(&probe);
    let (call, slate) = (Call::new(&path, &["x"]), Slate::new());
    let kid = Kid::fork(|| {
        // SAFETY: plain system call; the child only executes.
        let pid = kid::must(unsafe { libc::fork() });
        if pid == 0 {
            call.exec();
            kid::quit(127);
        }
        slate.put(0, pid.cast_unsigned());
        kid::pause();
    });
    let pid = slate.wait(0);
    let _end = Stray::new(pid);
    let exec = watch.exec(pid);
    assert_process(&exec);
    assert_eq!(exec.ancestry[0].pid, kid.pid());
    assert!(exec.ancestry[0].alive);
    assert_eq!(exec.ancestry[0].exe, Some(string(&std::env::current_exe().unwrap())));
    assert_leads_through_this_process(&exec.ancestry[1..]);
}

#[test]
fn who_ran_before_the_probe_is_known() {
    let place = Place::new();
    let elder = place.shell("elder");
    let path = place.file("younger", &program::stays());
    // The words make it longer than what is kept.
    let script = "read word && { \"$0\" & echo $! >\"$1\"; read word; }";
    let out = place.path().join("pid");
    let mut child = spawn_told(
        Command::new(&elder).args(["-c", script]).arg(&path).arg(&out).args(["word"; 40]),
    );
    let kid = Kid::adopt(&child);
    until_runs(kid.pid(), &elder);
    let probe = everything();
    let mut watch = Watch::new(&probe);
    tell(&mut child);
    let pid = number(&out);
    let _end = Stray::new(pid);
    let exec = watch.exec(pid);
    let parent = &exec.ancestry[0];
    assert_eq!((parent.pid, parent.alive, &*parent.comm), (kid.pid(), true, "elder"));
    assert_eq!(parent.exe, Some(string(&elder)));
    assert_eq!(parent.args[..3], [string(&elder), "-c".to_owned(), script.to_owned()]);
    assert_leads_through_this_process(&exec.ancestry[1..]);
}

/// `before` starts a child and then runs `after`.
struct MovesOn {
    kid: Kid,
    child: Child,
    place: Place,
}

const CHILD_FIRST: &str = "\"$CHILD\" & echo $! >\"$OUT\"; read word && exec \"$AFTER\"";
const CHILD_LAST: &str = "exec 3<&0; (read word && exec \"$CHILD\") <&3 & echo $! >\"$OUT\"; \
                          exec \"$AFTER\"";

impl MovesOn {
    fn new(script: &str) -> Self {
        let place = Place::new();
        let before = place.shell("before");
        let after = place.file("after", &program::stays());
        let path = place.file("child", &program::stays());
        let child = spawn_told(
            Command::new(&before)
                .args(["-c", script])
                .env("CHILD", path)
                .env("AFTER", after)
                .env("OUT", place.path().join("pid")),
        );
        Self { kid: Kid::adopt(&child), child, place }
    }

    /// The child's pid, once it runs what it should.
    fn child(&self) -> u32 {
        number(&self.place.path().join("pid"))
    }
}

/// An ancestor is as it was when it made the next one, whatever it executed before the record was
/// made.
#[test]
fn a_parent_that_moved_on_before_is_what_it_was_then() {
    let probe = everything();
    let mut watch = Watch::new(&probe);
    let mut family = MovesOn::new(CHILD_LAST);
    let pid = family.child();
    let _end = Stray::new(pid);
    until_runs(family.kid.pid(), &family.place.path().join("after"));
    tell(&mut family.child);
    let exec = watch.exec_as(pid, "child");
    assert_was_before(&exec, &family);
}

/// And however late it is read.
#[test]
fn a_parent_that_moves_on_afterwards_is_what_it_was_then() {
    let probe = everything();
    let mut watch = Watch::new(&probe);
    let mut family = MovesOn::new(CHILD_FIRST);
    let pid = family.child();
    let _end = Stray::new(pid);
    until_runs(pid, &family.place.path().join("child"));
    tell(&mut family.child);
    until_runs(family.kid.pid(), &family.place.path().join("after"));
    let exec = watch.exec_as(pid, "child");
    assert_was_before(&exec, &family);
}

#[track_caller]
fn assert_was_before(exec: &Exec, family: &MovesOn) {
    let before = string(&family.place.path().join("before"));
    let parent = &exec.ancestry[0];
    assert_eq!((parent.pid, parent.alive, &*parent.comm), (family.kid.pid(), true, "before"));
    assert_eq!(parent.args[..2], [before.clone(), "-c".to_owned()]);
    assert_eq!(parent.exe, Some(before));
    assert_eq!(exec.ancestry[1].pid, std::process::id());
    assert!(!exec.ancestry_truncated);
}

/// Forks with a pid of our choice. `None` if somebody else has it now.
fn fork_as(pid: u32, call: &Call) -> Option<Kid> {
    let wanted = [pid.cast_signed()];
    // SAFETY: all zeroes is a valid value.
    let mut args: libc::clone_args = unsafe { std::mem::zeroed() };
    args.exit_signal = u64::from(libc::SIGCHLD.cast_unsigned());
    args.set_tid = wanted.as_ptr() as u64;
    args.set_tid_size = 1;
    let _alone = kid::one_at_a_time();
    // SAFETY: without shared memory it is a fork; the child only executes.
    match unsafe { libc::syscall(libc::SYS_clone3, &raw mut args, size_of_val(&args)) } {
        0 => {
            call.exec();
            kid::quit(127)
        }
        -1 => {
            let error = std::io::Error::last_os_error();
            assert_eq!(error.raw_os_error(), Some(libc::EEXIST), "clone3: {error}");
            None
        }
        same => Some(Kid::of(i32::try_from(same).unwrap())),
    }
}

#[test]
fn a_pid_that_is_used_again_is_another_process() {
    let place = Place::new();
    let first = place.shell("first");
    let second = place.file("second", &program::stays());
    let orphan = place.file("orphan", &program::stays());
    let probe = everything();
    let mut watch = Watch::new(&probe);

    let out = place.path().join("pid");
    let script = "exec 3<&0; (read word && exec \"$ORPHAN\") <&3 & echo $! >\"$OUT\"";
    let call = Call::new(&second, &["second"]);
    let mut tries = 0;
    let (mut input, used) = loop {
        let mut child = spawn_told(
            Command::new(&first).args(["-c", script]).env("ORPHAN", &orphan).env("OUT", &out),
        );
        let input = child.stdin.take().unwrap();
        assert!(child.wait().unwrap().success());
        if let Some(kid) = fork_as(child.id(), &call) {
            break (input, kid);
        }
        tries += 1;
        assert!(tries < 50, "the pid is always taken");
    };
    let pid = number(&out);
    let _end = Stray::new(pid);
    let again = watch.exec_as(used.pid(), "second");
    assert_process(&again);
    assert_eq!(again.ancestry[0].pid, std::process::id());
    input.write_all(b"go\n").unwrap();

    let exec = watch.exec_as(pid, "orphan");
    let parent = &exec.ancestry[0];
    assert_eq!(parent.pid, used.pid(), "the same number");
    assert_eq!((&*parent.comm, parent.alive), ("first", false), "but the one that died");
    assert_eq!(parent.exe, Some(string(&first)));
    assert!(parent.start < again.process.start);
    let earlier = watch.exec_as(used.pid(), "first");
    assert_eq!(parent.start, earlier.process.start);
    assert_ne!(earlier.process.key(), again.process.key());
    assert_leads_through_this_process(&exec.ancestry[1..]);
}

/// Runs a parent that starts `child` and is dead when the record is read; what is told of it.
fn dead_parent(
    watch: &mut Watch<'_>,
    place: &Place,
    start: impl FnOnce(&[&str]) -> Kid,
) -> Ancestor {
    let path = place.file("child", &program::exits());
    let mut parent = start(&["parent", "-c", "\"$1\"; :", "x", path.to_str().unwrap()]);
    assert_eq!(parent.wait(), 0);
    let path = string(&path);
    let exec = watch.crossing("the child", |e| e.process.exe.path == path).exec;
    assert_eq!(exec.ancestry[0].pid, parent.pid());
    assert!(!exec.ancestry[0].alive);
    exec.ancestry[0].clone()
}

/// "What it runs, where known": the truth or nothing.
#[track_caller]
fn assert_true_or_unknown(parent: &Ancestor, path: &str) {
    assert!(
        parent.exe.as_deref().is_none_or(|exe| exe == path),
        "it ran {path:?}, not {:?}",
        parent.exe
    );
}

#[test]
fn a_dead_parent_that_was_a_memory_file_is_not_called_after_its_descriptor() {
    let place = Place::new();
    let probe = everything();
    let mut watch = Watch::new(&probe);
    let file = memfd(c"secret", &fs::read(place.shell("shell")).unwrap());
    let parent = dead_parent(&mut watch, &place, |args| run_open(&file, args));
    assert_true_or_unknown(&parent, "memfd:secret");
}

#[test]
fn a_dead_parent_behind_a_link_is_called_what_it_was() {
    let place = Place::new();
    let probe = everything();
    let mut watch = Watch::new(&probe);
    let shell = place.shell("shell");
    let link = place.path().join("harmless");
    symlink(&shell, &link).unwrap();
    let parent = dead_parent(&mut watch, &place, |args| Kid::run(&link, args));
    assert_true_or_unknown(&parent, &string(&shell));
}

#[test]
fn a_dead_parent_with_a_relative_path_is_called_what_it_was() {
    let place = Place::new();
    let probe = everything();
    let mut watch = Watch::new(&probe);
    let shell = place.shell("shell");
    let dir = fs::File::open(place.path()).unwrap();
    let parent = dead_parent(&mut watch, &place, |args| {
        let (call, fd) = (Call::new(Path::new("./shell"), args), dir.as_raw_fd());
        Kid::fork(|| {
            // SAFETY: an open directory.
            unsafe { kid::must(libc::fchdir(fd)) };
            call.exec();
        })
    });
    assert_true_or_unknown(&parent, &string(&shell));
}

#[test]
fn a_dead_parent_with_a_long_path_is_not_called_half_of_it() {
    let place = Place::new();
    let probe = everything();
    let mut watch = Watch::new(&probe);
    let shell = place.dir("l".repeat(150)).join("shell");
    fs::rename(place.shell("shell"), &shell).unwrap();
    let parent = dead_parent(&mut watch, &place, |args| Kid::run(&shell, args));
    assert_true_or_unknown(&parent, &string(&shell));
}

#[test]
fn the_arguments_of_a_dead_parent_are_those_it_was_given() {
    let place = Place::new();
    let probe = everything();
    let mut watch = Watch::new(&probe);
    let shell = place.shell("shell");
    let long = "w".repeat(300);
    let mut all = Vec::new();
    let parent = dead_parent(&mut watch, &place, |args| {
        all = args.iter().map(|a| (*a).to_owned()).collect();
        all.push(long);
        let call = Call::new(&shell, &all);
        Kid::fork(|| call.exec())
    });
    let (last, whole) = parent.args.split_last().unwrap();
    assert_eq!(whole, &all[..whole.len()]);
    assert!(all[whole.len()].starts_with(last.as_str()));
    let kept = CString::new(parent.args.join(" ")).unwrap();
    assert!(kept.as_bytes().len() >= 100, "{kept:?}");
}
