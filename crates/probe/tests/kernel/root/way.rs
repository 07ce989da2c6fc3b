//! Ways to an execution.

use crate::facts::{assert_paths, assert_process, string};
use crate::kid::{self, Call, Kid, Slate, must, pause, quit};
use crate::place::Place;
use crate::program;
use crate::watch::{Watch, everything};

const STACK: usize = 64 << 10;

/// What a clone is given: an execution and a place to leave numbers.
struct Task<'a> {
    call: &'a Call,
    slate: &'a Slate,
}

extern "C" fn execute(task: *mut libc::c_void) -> libc::c_int {
    // SAFETY: `clone_with` passes a task that outlives the clone.
    let task = unsafe { &*task.cast::<Task<'_>>() };
    // SAFETY: plain system call.
    task.slate.put(1, unsafe { libc::gettid() }.cast_unsigned());
    task.call.exec();
    quit(127)
}

/// `clone()` with a stack of its own, so that it may share memory.
///
/// # Safety
/// `stack` must be large enough and live as long as the clone uses it.
unsafe fn clone_with(flags: i32, stack: &mut [u128], task: &mut Task<'_>) -> i32 {
    let top = stack.as_mut_ptr_range().end;
    // SAFETY: as the caller promises.
    unsafe { libc::clone(execute, top.cast(), flags, std::ptr::from_mut(task).cast()) }
}

#[test]
fn a_thread_that_is_not_the_leader() {
    let place = Place::new();
    let path = place.file("threaded", &program::stays());
    let probe = everything();
    let mut watch = Watch::new(&probe);
    let call = Call::new(&path, &["x"]);
    let slate = Slate::new();
    let mut stack = vec![0_u128; STACK / 16];
    let mut task = Task { call: &call, slate: &slate };
    let kid = Kid::fork(|| {
        let flags = libc::CLONE_VM
            | libc::CLONE_FS
            | libc::CLONE_FILES
            | libc::CLONE_SIGHAND
            | libc::CLONE_THREAD
            | libc::CLONE_SYSVSEM;
        // SAFETY: the stack is there as long as the process.
        must(unsafe { clone_with(flags, &mut stack, &mut task) });
        pause();
    });
    let exec = watch.exec(kid.pid());
    assert_ne!(slate.get(1), kid.pid(), "a thread executed");
    assert_process(&exec);
    assert_paths(&exec);
    assert_eq!(exec.process.ppid, std::process::id());
    assert_eq!(exec.process.exe.path, string(&path));
    assert_eq!(exec.ancestry[0].pid, std::process::id());
}

#[test]
fn a_child_that_borrows_the_memory() {
    let place = Place::new();
    let path = place.file("borrowed", &program::stays());
    let probe = everything();
    let mut watch = Watch::new(&probe);
    let call = Call::new(&path, &["x"]);
    let slate = Slate::new();
    let mut stack = vec![0_u128; STACK / 16];
    let mut task = Task { call: &call, slate: &slate };
    // As vfork() does, with a stack of its own, and in a process of its own.
    let middle = Kid::fork(|| {
        let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::SIGCHLD;
        // SAFETY: the stack is there as long as the process.
        let pid = must(unsafe { clone_with(flags, &mut stack, &mut task) });
        slate.put(0, pid.cast_unsigned());
        pause();
    });
    let pid = slate.wait(0);
    let _end = kid::Stray::new(pid);
    let exec = watch.exec(pid);
    assert_process(&exec);
    assert_paths(&exec);
    assert_eq!(exec.process.ppid, middle.pid());
    assert_eq!(exec.process.exe.path, string(&path));
    assert_eq!(exec.ancestry[0].pid, middle.pid());
    assert_eq!(exec.ancestry[1].pid, std::process::id());
}

/// The parent can be chosen, the creator cannot.
#[test]
fn a_child_that_was_given_another_parent() {
    let place = Place::new();
    let path = place.file("given-away", &program::stays());
    let probe = everything();
    let mut watch = Watch::new(&probe);
    let call = Call::new(&path, &["x"]);
    let slate = Slate::new();
    let mut stack = vec![0_u128; STACK / 16];
    let mut task = Task { call: &call, slate: &slate };
    let middle = Kid::fork(|| {
        // SAFETY: the clone has a copy of the stack.
        must(unsafe { clone_with(libc::CLONE_PARENT | libc::SIGCHLD, &mut stack, &mut task) });
        pause();
    });
    let kid = Kid::of(slate.wait(1).cast_signed());
    let exec = watch.exec(kid.pid());
    assert_process(&exec);
    assert_paths(&exec);
    assert_eq!(exec.process.ppid, std::process::id());
    assert_eq!(exec.ancestry[0].pid, middle.pid());
    assert_eq!(exec.ancestry[1].pid, std::process::id());
}

#[test]
fn posix_spawn() {
    let place = Place::new();
    let path = place.file("spawned", &program::stays());
    let probe = everything();
    let mut watch = Watch::new(&probe);
    let text = kid::c(&path);
    let mut pid = 0;
    let args = [text.as_ptr().cast_mut(), std::ptr::null_mut()];
    let alone = kid::one_at_a_time();
    // SAFETY: ended strings in ended lists; `pid` is writable.
    let error = unsafe {
        libc::posix_spawn(
            &raw mut pid,
            text.as_ptr(),
            std::ptr::null(),
            std::ptr::null(),
            args.as_ptr(),
            args[1..].as_ptr(),
        )
    };
    drop(alone);
    assert_eq!(error, 0);
    let kid = Kid::of(pid);
    let exec = watch.exec(kid.pid());
    assert_process(&exec);
    assert_paths(&exec);
    assert_eq!(exec.process.ppid, std::process::id());
    assert_eq!(exec.process.args, [string(&path)]);
}

#[test]
fn one_process_after_another_program() {
    let place = Place::new();
    let shell = place.shell("before");
    let path = place.file("after", &program::stays());
    let probe = everything();
    let mut watch = Watch::new(&probe);
    let kid = Kid::run(&shell, &["before", "-c", "exec \"$1\"", "x", path.to_str().unwrap()]);
    let first = watch.exec_as(kid.pid(), "before");
    let second = watch.exec_as(kid.pid(), "after");
    assert_process(&second);
    assert_paths(&second);
    assert_eq!(first.process.key(), second.process.key());
    assert!(first.boot_ns < second.boot_ns);
    assert_eq!(first.process.exe.path, string(&shell));
    assert_eq!(first.ancestry[0].pid, std::process::id());
    assert_eq!(second.ancestry[0].pid, std::process::id());
}
