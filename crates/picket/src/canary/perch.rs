//! Where the canary sits between its flights: its file in memory, and the thread that executes it.
//!
//! A thread of its own, since executing waits for the new process to have begun, and whoever can
//! stop that process must not be able to stop picket.

use std::ffi::CString;
use std::os::unix::process::ExitStatusExt;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};

use anyhow::{Context, Result};
use detect::plan::CANARY;
use probe::pinned::Program;
use rustix::event::{EventfdFlags, eventfd};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};

use super::program;

/// How a flight ended: by an exit code, by a signal, or before it began.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Landing {
    Code(i32),
    Signal(i32),
    Failed(String),
}

/// The canary's file. It stays open as long as picket runs, so that its inode is nobody else's, and
/// it is sealed: whoever opens it can do no more than execute what it is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Egg(&'static Program);

impl Egg {
    fn lay() -> Result<Self> {
        let program = Program::pin(CANARY, &program::file()).context(
            "cannot make a file in memory for it (the sysctl vm.memfd_noexec may forbid it)",
        )?;
        Ok(Self(program))
    }

    /// Whether this is its file, as the kernel tells of it.
    pub(super) fn is(&self, device: &str, inode: u64) -> bool {
        inode == self.0.inode() && device == self.0.device()
    }

    /// Executes it and waits for its end.
    fn fly(self, word: &str) -> Result<Landing> {
        let args = [CANARY, word].map(CString::new);
        let [Ok(name), Ok(word)] = args else { anyhow::bail!("its arguments cannot be passed on") };
        let status = self.0.run(&[&name, &word]).context("cannot execute it")?;
        Ok(match (status.code(), status.signal()) {
            (Some(code), _) => Landing::Code(code),
            (None, signal) => Landing::Signal(signal.unwrap_or_default()),
        })
    }
}

/// The thread, once there is one, and what came back from it.
pub(super) struct Perch {
    egg: Result<Egg, String>,
    thread: Option<Sender<(Egg, String)>>,
    back: (Sender<Landing>, Receiver<Landing>),
    wake: Arc<OwnedFd>,
    /// A flight is not over.
    pub(super) busy: bool,
}

impl Perch {
    pub(super) fn new() -> Result<Self> {
        let wake = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK);
        let wake = Arc::new(wake.context("cannot make an eventfd")?);
        let egg = Egg::lay().map_err(|error| format!("{error:#}"));
        Ok(Self { egg, thread: None, back: channel(), wake, busy: false })
    }

    /// The program that is executed, if it could be made.
    pub(super) fn program(&self) -> Option<&'static Program> {
        self.egg.as_ref().ok().map(|egg| egg.0)
    }

    /// Readable when a flight is over.
    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.wake.as_fd()
    }

    /// Sends the canary off; `word` is its argument. Returns its file.
    pub(super) fn send_off(&mut self, word: &str) -> Result<Egg> {
        let egg = self.egg.clone().map_err(anyhow::Error::msg)?;
        let thread = match &self.thread {
            Some(thread) => thread,
            None => self.thread.insert(spawn(&self.back.0, &self.wake)?),
        };
        thread.send((egg, word.to_owned())).context("the canary's thread has ended")?;
        self.busy = true;
        Ok(egg)
    }

    /// How the last flight ended, once.
    pub(super) fn landing(&mut self) -> Option<Landing> {
        let _ = rustix::io::read(&*self.wake, &mut [0; 8]);
        let landing = self.back.1.try_recv().ok()?;
        self.busy = false;
        Some(landing)
    }
}

fn spawn(back: &Sender<Landing>, wake: &Arc<OwnedFd>) -> Result<Sender<(Egg, String)>> {
    let (jobs, inbox) = channel::<(Egg, String)>();
    let (back, wake) = (back.clone(), Arc::clone(wake));
    std::thread::Builder::new()
        .name("canary".to_owned())
        .spawn(move || {
            for (egg, word) in inbox {
                let landing = egg.fly(&word).unwrap_or_else(|e| Landing::Failed(format!("{e:#}")));
                if back.send(landing).is_err() {
                    return;
                }
                let _ = rustix::io::write(&*wake, &1_u64.to_ne_bytes());
            }
        })
        .context("cannot start the canary's thread")?;
    Ok(jobs)
}
