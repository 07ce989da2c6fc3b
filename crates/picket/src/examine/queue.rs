//! Events in the order they happened, while the files behind them are read.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use anyhow::Result;
use event::{Answer, Behaviour, Connect, Exec, FileId, Listen};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::BorrowedFd;

use super::file;
use super::{Done, Examined, Examiner, Taken};
use crate::sink;
use crate::tally::Tally;

/// Events that may wait. When as many do, the rings are left alone for a while: they hold more,
/// and they count what finds no room.
const MOST: usize = 2048;
/// How long reading may stand still, and how long a file may take altogether.
const PATIENCE: Duration = Duration::from_secs(2);
const LONGEST: Duration = Duration::from_secs(60);

/// What can go on.
pub(crate) enum Arrived {
    /// An execution, its files read as far as they could be.
    Exec {
        exec: Box<Exec>,
        /// The file that the kernel wants a verdict on.
        ask: Option<FileId>,
    },
    /// A process that was found listening, its files read as far as they could be.
    Found(Box<Found>),
    /// A listener.
    Listen(Box<Listen>),
    /// A listener that was waited for answered.
    Answer(Box<Answer>),
    /// What a process does that nobody recognised.
    Behaviour(Box<Behaviour>),
    /// A connection that a process made.
    Connect(Box<Connect>),
    /// Of those that were found listening, there are no more.
    AllFound,
}

enum Waiting {
    Ready(Arrived),
    /// Its files are being read.
    Away {
        ticket: u64,
        since: Instant,
        exec: Box<Exec>,
        ask: Option<FileId>,
        lasts: bool,
        /// What it listens on, if it was found, not seen starting.
        found: Option<Vec<Listen>>,
    },
}

/// What was lost here, and when it had happened.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Losses {
    /// What nobody could read in time, or in full, and that may have been a server.
    pub(crate) unread: Tally,
    /// Listeners that nobody had the time to look into.
    pub(crate) overflow: Tally,
}

/// A process that was found listening.
pub(crate) struct Found {
    pub(crate) exec: Box<Exec>,
    /// Its listeners, and those of processes that it made and that run the same.
    pub(crate) listens: Vec<Listen>,
}

/// An execution that has been looked at.
fn arrived(exec: Box<Exec>, ask: Option<FileId>, found: Option<Vec<Listen>>) -> Arrived {
    match found {
        Some(listens) => Arrived::Found(Box::new(Found { exec, listens })),
        None => Arrived::Exec { exec, ask },
    }
}

/// The queue before the engine.
pub(crate) struct Queue {
    examiner: Examiner,
    waiting: VecDeque<Waiting>,
    losses: Losses,
    /// How far reading was, and since when.
    progress: (u64, Instant),
}

impl Queue {
    pub(crate) fn new(examiner: Examiner) -> Self {
        let losses = Losses::default();
        Self { examiner, waiting: VecDeque::new(), losses, progress: (0, Instant::now()) }
    }

    /// Adds an execution. `lasts`: its file's identity vouches for its content.
    pub(crate) fn exec(&mut self, exec: Box<Exec>, ask: Option<FileId>, lasts: bool) {
        self.add(exec, ask, lasts, None);
    }

    /// Adds a process that was found listening.
    pub(crate) fn found(&mut self, found: Found, lasts: bool) {
        self.add(found.exec, None, lasts, Some(found.listens));
    }

    fn add(
        &mut self,
        exec: Box<Exec>,
        ask: Option<FileId>,
        lasts: bool,
        found: Option<Vec<Listen>>,
    ) {
        let waiting = match self.examiner.take(exec.clone(), lasts) {
            Taken::Done(exec) => Waiting::Ready(arrived(exec, ask, found)),
            Taken::Away(ticket) => {
                Waiting::Away { ticket, since: Instant::now(), exec, ask, lasts, found }
            }
        };
        self.waiting.push_back(waiting);
    }

    /// Adds a listener.
    pub(crate) fn listen(&mut self, listen: Box<Listen>) {
        self.waiting.push_back(Waiting::Ready(Arrived::Listen(listen)));
    }

    /// Adds an answer.
    pub(crate) fn answer(&mut self, answer: Box<Answer>) {
        self.waiting.push_back(Waiting::Ready(Arrived::Answer(answer)));
    }

    /// Adds a connection.
    pub(crate) fn connect(&mut self, connect: Box<Connect>) {
        self.waiting.push_back(Waiting::Ready(Arrived::Connect(connect)));
    }

    /// All processes that were found listening have been added.
    pub(crate) fn all_found(&mut self) {
        self.waiting.push_back(Waiting::Ready(Arrived::AllFound));
    }

    /// Looks into the memory of a process that listens, since then, and that nobody recognised.
    pub(crate) fn look(&mut self, since: u64, behaviour: Box<Behaviour>) {
        if !self.examiner.look(behaviour) {
            self.losses.overflow.note(since);
        }
    }

    /// Counts an execution whose arguments were cut, where they might have told what it is.
    pub(crate) fn cut(&mut self, exec: &Exec) {
        self.losses.unread.note(exec.boot_ns);
    }

    /// The next event that has all it waits for.
    pub(crate) fn next(&mut self) -> Result<Option<Arrived>> {
        while let Some(done) = self.examiner.done() {
            self.settle(done);
        }
        // Nothing that comes later depends on these.
        if let Some(behaviour) = self.examiner.seen() {
            return Ok(Some(Arrived::Behaviour(behaviour)));
        }
        let progress = file::progress();
        if progress != self.progress.0 {
            self.progress = (progress, Instant::now());
        }
        // A busy machine is slow, and does not hang.
        if let Some(Waiting::Away { since, .. }) = self.waiting.front()
            && since.elapsed() > PATIENCE
            && (self.progress.1.elapsed() > PATIENCE || since.elapsed() > LONGEST)
        {
            self.go_on_without()?;
        }
        if matches!(self.waiting.front(), None | Some(Waiting::Away { .. })) {
            return Ok(None);
        }
        Ok(self.waiting.pop_front().and_then(|waiting| match waiting {
            Waiting::Ready(arrived) => Some(arrived),
            Waiting::Away { .. } => None,
        }))
    }

    fn settle(&mut self, done: Done) {
        let Done { ticket, exec, examined, .. } = done;
        let place = self
            .waiting
            .iter_mut()
            .find(|w| matches!(w, Waiting::Away { ticket: t, .. } if *t == ticket));
        // An answer that comes too late finds no place.
        let Some(place) = place else { return };
        let Waiting::Away { ask, found, .. } = place else { return };
        let (ask, found) = (*ask, found.take());
        // What runs below a server and is known to be none is told, read or not.
        let told = exec.tree.is_only_below() || self.examiner.is_known_by_name(&exec);
        if matches!(examined, Examined::Unread) && !told {
            self.losses.unread.note(exec.boot_ns);
        }
        *place = Waiting::Ready(arrived(exec, ask, found));
    }

    /// The first execution hangs in a file: it goes on unread, those behind it start afresh.
    fn go_on_without(&mut self) -> Result<()> {
        let more = self.examiner.replace()?;
        for (at, waiting) in self.waiting.iter_mut().enumerate() {
            let Waiting::Away { exec, ask, ticket, since, lasts, found } = waiting else {
                continue;
            };
            if at == 0 || !more {
                if at == 0 {
                    sink::log(&format!(
                        "{}: reading it does not go on after {} s",
                        exec.process.exe.path,
                        since.elapsed().as_secs()
                    ));
                }
                self.losses.unread.note(exec.boot_ns);
                let (exec, ask, found) = (std::mem::take(exec), *ask, found.take());
                *waiting = Waiting::Ready(arrived(exec, ask, found));
                continue;
            }
            match self.examiner.take(exec.clone(), *lasts) {
                Taken::Away(new) => {
                    *ticket = new;
                    *since = Instant::now();
                }
                Taken::Done(exec) => {
                    let (ask, found) = (*ask, found.take());
                    *waiting = Waiting::Ready(arrived(exec, ask, found));
                }
            }
        }
        Ok(())
    }

    /// Everything, whether it was read or not: there is no more time.
    pub(crate) fn give_up(&mut self) -> Vec<Arrived> {
        let unread = &mut self.losses.unread;
        let all = self.waiting.drain(..).map(|waiting| match waiting {
            Waiting::Ready(arrived) => arrived,
            Waiting::Away { exec, ask, found, .. } => {
                unread.note(exec.boot_ns);
                arrived(exec, ask, found)
            }
        });
        all.collect()
    }

    /// Waits until something is done.
    pub(crate) fn wait(&self, timeout: Duration) {
        let fd = self.fd();
        let timeout = Timespec::try_from(timeout).unwrap_or(Timespec { tv_sec: 1, tv_nsec: 0 });
        // Woken early or not at all, the caller looks again.
        let _ = poll(&mut [PollFd::new(&fd, PollFlags::IN)], Some(&timeout));
    }

    /// Readable when something is done.
    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        self.examiner.fd()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// How many wait.
    pub(crate) fn len(&self) -> usize {
        self.waiting.len()
    }

    pub(crate) fn is_full(&self) -> bool {
        self.waiting.len() >= MOST
    }

    /// What was lost, with the times since this was last asked.
    pub(crate) fn losses(&mut self) -> Losses {
        let since = self.losses;
        self.losses.unread.take_span();
        self.losses.overflow.take_span();
        since
    }
}
