//! Reading files for identification, beside the pipeline.
//!
//! Reading takes time that the rings do not have, and a file may hang (on a dead network, say). So a
//! thread of its own does it. Executions wait in the pipeline's queue meanwhile, in order; one that
//! takes too long goes on unread, and a fresh thread takes over.

mod facts;
pub(crate) mod file;
mod memory;
mod owners;
pub(crate) mod queue;
mod sockets;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::thread;

use anyhow::{Context, Result};
use detect::catalogue::Catalogue;
use detect::content::Scanner;
use event::{Behaviour, Environment, Exec, FileId};
use rustix::event::{EventfdFlags, eventfd};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};

pub(crate) use facts::{Examined, Facts, Opened, Reader, sha256};

/// Files whose content is remembered.
const REMEMBERED: usize = 4096;
/// Processes that may wait to be looked into.
const MOST_LOOKS: usize = 1024;
/// Threads that may hang in a file before no more are started.
const MOST_HUNG: u32 = 8;

/// An execution to look at.
struct Job {
    ticket: u64,
    exec: Box<Exec>,
    exe: Opened,
    /// The file cannot change unnoticed: what is found out now stays true.
    lasts: bool,
}

/// What became of an execution that was handed in.
pub(crate) enum Taken {
    /// All was known already.
    Done(Box<Exec>),
    /// Its files are being read; the answer comes under this number.
    Away(u64),
}

/// A process to look into, and what to say if something is found.
type Look = Box<Behaviour>;

/// What came of it.
pub(crate) struct Done {
    pub(crate) ticket: u64,
    pub(crate) exec: Box<Exec>,
    pub(crate) examined: Examined,
    lasts: bool,
}

/// The thread that reads, and what it found so far.
pub(crate) struct Examiner {
    reader: Arc<Reader>,
    jobs: Sender<Job>,
    done: Receiver<Done>,
    back: Sender<Done>,
    wake: Arc<OwnedFd>,
    looks: SyncSender<Look>,
    seen: Receiver<Look>,
    known: HashMap<FileId, Arc<Facts>>,
    next: u64,
    /// Set when another thread has taken over from the one that reads now.
    left: Arc<AtomicBool>,
    /// Threads that hang, for as long as they do.
    hung: Arc<AtomicU32>,
}

impl Examiner {
    pub(crate) fn start(catalogue: Arc<Catalogue>, environment: Environment) -> Result<Self> {
        let scanner = Scanner::new(&catalogue);
        let reader = Reader::new(catalogue, scanner);
        let reader = Arc::new(match environment {
            Environment::Ci => reader.attributing(),
            Environment::Staging | Environment::Production => reader,
        });
        let wake = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK);
        let wake = Arc::new(wake.context("cannot make an eventfd")?);
        let (back, done) = channel();
        let (left, hung) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU32::new(0)));
        let jobs = spawn(&reader, &back, &wake, &left, &hung)?;
        let (looks, seen) = looker(&reader, &wake)?;
        let known = HashMap::new();
        Ok(Self { reader, jobs, done, back, wake, looks, seen, known, next: 0, left, hung })
    }

    /// Looks into the memory of a process that listens. Says false when too many wait for that.
    pub(crate) fn look(&self, behaviour: Look) -> bool {
        self.looks.try_send(behaviour).is_ok()
    }

    /// The next process in whose memory a server was found.
    pub(crate) fn seen(&self) -> Option<Look> {
        self.seen.try_recv().ok()
    }

    /// Readable when something is done.
    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        self.wake.as_fd()
    }

    /// Takes an execution to look at. The file is opened here and now, while its process lives.
    pub(crate) fn take(&mut self, mut exec: Box<Exec>, lasts: bool) -> Taken {
        let known = exec.file.and_then(|id| self.known.get(&id).cloned());
        let root = file::root_of(exec.process.pid).ok();
        if let Some(facts) = &known
            && self.reader.recall(&mut exec, facts, root.as_ref())
        {
            if self.reader.is_telling(&exec) {
                self.reader.attribute(&mut exec);
            }
            return Taken::Done(exec);
        }
        let exe = match known {
            Some(facts) => facts::Exe::Known(facts),
            None => match file::of_exec(&exec, root.as_ref()) {
                Ok(file) => facts::Exe::Open(file),
                Err(_) => facts::Exe::Gone,
            },
        };
        let exe = Opened { exe, root };
        self.reader.attribute(&mut exec);
        self.next += 1;
        let ticket = self.next;
        // The thread ends only when this side does.
        let _ = self.jobs.send(Job { ticket, exec, exe, lasts });
        Taken::Away(ticket)
    }

    /// What is done by now.
    pub(crate) fn done(&mut self) -> Option<Done> {
        let mut buffer = [0; 8];
        let _ = rustix::io::read(&*self.wake, &mut buffer);
        let done = self.done.try_recv().ok()?;
        if let (Examined::Read(facts), Some(id), true) =
            (&done.examined, done.exec.file, done.lasts)
        {
            if self.known.len() >= REMEMBERED {
                self.known.clear(); // rare, and it only costs another look
            }
            self.known.insert(id, Arc::clone(facts));
        }
        Some(done)
    }

    /// Whether an execution is told of even though nobody could read its file.
    pub(crate) fn is_known_by_name(&self, exec: &Exec) -> bool {
        self.reader.is_known(exec)
    }

    /// The thread hangs in a file: another one takes over, for the executions behind that one. Says
    /// false when too many hang already.
    pub(crate) fn replace(&mut self) -> Result<bool> {
        if self.hung.load(Ordering::Relaxed) >= MOST_HUNG {
            return Ok(false);
        }
        self.hung.fetch_add(1, Ordering::Relaxed);
        self.left.store(true, Ordering::Relaxed);
        self.left = Arc::new(AtomicBool::new(false));
        self.jobs = spawn(&self.reader, &self.back, &self.wake, &self.left, &self.hung)?;
        Ok(true)
    }
}

/// A thread of its own: a look into memory takes long, and nothing waits for it.
fn looker(reader: &Arc<Reader>, wake: &Arc<OwnedFd>) -> Result<(SyncSender<Look>, Receiver<Look>)> {
    let (looks, inbox) = sync_channel::<Look>(MOST_LOOKS);
    let (back, seen) = channel();
    let (reader, wake) = (Arc::clone(reader), Arc::clone(wake));
    thread::Builder::new()
        .name("look".to_owned())
        .spawn(move || {
            reader.warm_up();
            for mut behaviour in inbox {
                reader.look(&mut behaviour);
                if !behaviour.mapped.is_empty() || behaviour.answered.is_some() {
                    if back.send(behaviour).is_err() {
                        return;
                    }
                    let _ = rustix::io::write(&*wake, &1_u64.to_ne_bytes());
                }
            }
        })
        .context("cannot start the thread that looks into memory")?;
    Ok((looks, seen))
}

fn spawn(
    reader: &Arc<Reader>,
    back: &Sender<Done>,
    wake: &Arc<OwnedFd>,
    left: &Arc<AtomicBool>,
    hung: &Arc<AtomicU32>,
) -> Result<Sender<Job>> {
    let (jobs, inbox) = channel::<Job>();
    let (left, hung) = (Arc::clone(left), Arc::clone(hung));
    let (reader, back, wake) = (Arc::clone(reader), back.clone(), Arc::clone(wake));
    thread::Builder::new()
        .name("examine".to_owned())
        .spawn(move || {
            for Job { ticket, mut exec, exe, lasts } in inbox {
                let examined = reader.examine(&mut exec, exe);
                if back.send(Done { ticket, exec, examined, lasts }).is_err() {
                    return;
                }
                let _ = rustix::io::write(&*wake, &1_u64.to_ne_bytes());
                if left.load(Ordering::Relaxed) {
                    // It hung, and goes on; what waited behind it is with another thread.
                    hung.fetch_sub(1, Ordering::Relaxed);
                    return;
                }
            }
        })
        .context("cannot start the thread that reads files")?;
    Ok(jobs)
}
