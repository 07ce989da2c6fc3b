//! Processes that a test starts, and that surely end.

use std::ffi::{CString, OsStr};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::{Child, Command};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::facts;

/// Held while a process is made or a program is written: a program cannot be executed while a
/// process that another test just made has inherited it open for writing.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

pub(crate) fn one_at_a_time() -> MutexGuard<'static, ()> {
    ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A child of this process. Killed and awaited when dropped.
pub(crate) struct Kid {
    pid: libc::pid_t,
    ended: bool,
}

impl Kid {
    /// Forks. The child runs `child`, which must allocate nothing, take no lock and panic never:
    /// of the many threads here it has but one. It is expected to end in an execution.
    pub(crate) fn fork(child: impl FnOnce()) -> Self {
        let _alone = one_at_a_time();
        // SAFETY: the child calls `child`, which only makes system calls, and never returns.
        match unsafe { libc::fork() } {
            -1 => panic!("fork: {}", std::io::Error::last_os_error()),
            0 => {
                child();
                quit(127)
            }
            pid => Self::of(pid),
        }
    }

    /// Executes a file with these arguments, its name first.
    pub(crate) fn run(path: &Path, args: &[&str]) -> Self {
        let call = Call::new(path, args);
        Self::fork(|| call.exec())
    }

    /// Takes over a child, by its pid.
    pub(crate) fn of(pid: libc::pid_t) -> Self {
        Self { pid, ended: false }
    }

    /// Takes over a child that is not awaited yet.
    pub(crate) fn adopt(child: &Child) -> Self {
        Self::of(child.id().cast_signed())
    }

    pub(crate) fn pid(&self) -> u32 {
        self.pid.cast_unsigned()
    }

    /// Waits for its end; the exit code.
    pub(crate) fn wait(&mut self) -> i32 {
        let mut status = 0;
        // SAFETY: `status` is writable.
        let pid = unsafe { libc::waitpid(self.pid, &raw mut status, 0) };
        assert_eq!(pid, self.pid, "waitpid: {}", std::io::Error::last_os_error());
        self.ended = true;
        if libc::WIFEXITED(status) { libc::WEXITSTATUS(status) } else { -libc::WTERMSIG(status) }
    }
}

impl Drop for Kid {
    fn drop(&mut self) {
        if self.ended {
            return;
        }
        // SAFETY: the pid is this process's child and not yet awaited, so it is nobody else's.
        unsafe {
            libc::kill(self.pid, libc::SIGKILL);
            libc::waitpid(self.pid, std::ptr::null_mut(), 0);
        }
    }
}

/// A process that is no child of this one any more. Killed when dropped, if it is still the same.
pub(crate) struct Stray {
    pid: u32,
    start: u64,
}

impl Stray {
    pub(crate) fn new(pid: u32) -> Self {
        Self { pid, start: facts::stat(pid, facts::START) }
    }
}

impl Drop for Stray {
    fn drop(&mut self) {
        if facts::try_stat(self.pid, facts::START) == Some(self.start) {
            // SAFETY: plain system call.
            unsafe { libc::kill(self.pid.cast_signed(), libc::SIGKILL) };
        }
    }
}

/// Starts a command the way the standard library does; it must end well. Its pid.
pub(crate) fn run(path: &Path) -> u32 {
    let mut child = spawn(&mut Command::new(path));
    assert!(child.wait().unwrap().success(), "{path:?} failed");
    child.id()
}

/// Starts a command.
pub(crate) fn spawn(command: &mut Command) -> Child {
    let _alone = one_at_a_time();
    command.spawn().unwrap_or_else(|e| panic!("{command:?}: {e}"))
}

/// Waits until something is so.
pub(crate) fn until(what: &str, so: impl Fn() -> bool) {
    let begin = Instant::now();
    while !so() {
        assert!(begin.elapsed() < Duration::from_secs(10), "{what}: not within 10 s");
        sleep(Duration::from_millis(2));
    }
}

/// Waits until a process runs this file, and rests in it.
pub(crate) fn until_runs(pid: u32, path: &Path) {
    until(&format!("{pid} runs {path:?}"), || {
        std::fs::read_link(format!("/proc/{pid}/exe")).is_ok_and(|exe| exe == path) && rests(pid)
    });
}

/// Whether a process waits in a system call that is no execution. What it runs is named before
/// the kernel is done with executing it: on a slow machine long before.
fn rests(pid: u32) -> bool {
    let text = std::fs::read_to_string(format!("/proc/{pid}/syscall")).unwrap();
    let call = text.split(' ').next().and_then(|word| word.parse::<libc::c_long>().ok());
    call.is_some_and(|n| n >= 0 && n != libc::SYS_execve && n != libc::SYS_execveat)
}

/// Strings as the kernel takes them.
pub(crate) struct Words {
    pointers: Vec<*const libc::c_char>,
    _text: Vec<CString>,
}

impl Words {
    pub(crate) fn new<W: AsRef<OsStr>>(words: &[W]) -> Self {
        let text: Vec<CString> =
            words.iter().map(|w| CString::new(w.as_ref().as_bytes()).unwrap()).collect();
        let mut pointers: Vec<_> = text.iter().map(|w| w.as_ptr()).collect();
        pointers.push(std::ptr::null());
        Self { pointers, _text: text }
    }
}

/// An execution that is ready to be asked for, without another allocation.
pub(crate) struct Call {
    path: CString,
    args: Words,
    env: Words,
}

impl Call {
    pub(crate) fn new<W: AsRef<OsStr>>(path: &Path, args: &[W]) -> Self {
        Self {
            path: c(path),
            args: Words::new(args),
            env: Words::new(&["PICKET_TEST=1", "PATH=/usr/bin:/bin"]),
        }
    }

    /// `execve()`: returns only if it failed.
    pub(crate) fn exec(&self) {
        let (args, env) = (self.args.pointers.as_ptr(), self.env.pointers.as_ptr());
        // SAFETY: ended strings in ended lists, all alive.
        unsafe { libc::execve(self.path.as_ptr(), args, env) };
    }

    /// `execveat()`: returns only if it failed.
    pub(crate) fn exec_at(&self, dir: i32, flags: i32) {
        let (args, env) = (self.args.pointers.as_ptr(), self.env.pointers.as_ptr());
        // SAFETY: ended strings in ended lists, all alive.
        unsafe { libc::syscall(libc::SYS_execveat, dir, self.path.as_ptr(), args, env, flags) };
    }
}

pub(crate) fn c(path: &Path) -> CString {
    CString::new(path.as_os_str().as_bytes()).unwrap()
}

/// In a forked child: a system call that must succeed.
pub(crate) fn must(result: i32) -> i32 {
    if result < 0 {
        quit(126);
    }
    result
}

/// In a forked child: the end.
pub(crate) fn quit(code: i32) -> ! {
    // SAFETY: ends the process and runs nothing else.
    unsafe { libc::_exit(code) }
}

/// In a forked child: sleeps until killed.
pub(crate) fn pause() -> ! {
    loop {
        // SAFETY: plain system call.
        unsafe { libc::pause() };
    }
}

/// Numbers that a process and those it forks share.
pub(crate) struct Slate {
    page: *mut AtomicU32,
}

const SLATE: usize = 4096;

impl Slate {
    pub(crate) fn new() -> Self {
        // SAFETY: a new anonymous mapping touches nothing else.
        let page = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                SLATE,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED | libc::MAP_ANONYMOUS,
                -1,
                0,
            )
        };
        assert_ne!(page, libc::MAP_FAILED);
        Self { page: page.cast() }
    }

    fn at(&self, place: usize) -> &AtomicU32 {
        assert!(place < SLATE / size_of::<AtomicU32>());
        // SAFETY: within the mapping, aligned, zeroed by the kernel, alive as long as `self`.
        unsafe { &*self.page.add(place) }
    }

    pub(crate) fn put(&self, place: usize, value: u32) {
        self.at(place).store(value, Ordering::SeqCst);
    }

    pub(crate) fn get(&self, place: usize) -> u32 {
        self.at(place).load(Ordering::SeqCst)
    }

    /// Waits for a number that is not 0.
    pub(crate) fn wait(&self, place: usize) -> u32 {
        until("a number from a child", || self.get(place) != 0);
        self.get(place)
    }
}

impl Drop for Slate {
    fn drop(&mut self) {
        // SAFETY: the mapping is this one's own, and no reference outlives it.
        unsafe { libc::munmap(self.page.cast(), SLATE) };
    }
}
