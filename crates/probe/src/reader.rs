//! Reading the rings: bytes in, events out, gaps counted.

use std::cell::RefCell;
use std::collections::{HashMap, VecDeque};
use std::os::fd::{BorrowedFd, RawFd};
use std::rc::Rc;
use std::time::Duration;

use detect::plan::Verdict;
use event::{Exec, FileId, Listen};
use libbpf_rs::{RingBuffer, RingBufferBuilder};

use crate::error::Error;
use crate::{Probe, decode, filter, lineage, procfs};

/// How many parents a listener is looked up with.
const LISTENER_PARENTS: usize = 4;
/// Records taken from the rings at a time, so that memory stays flat under a flood.
const BATCH: usize = 256;

/// Batches of executions before the caller is given a chance to look at something else.
const ROUNDS: usize = 64;

/// Something that the kernel side saw.
#[derive(Debug)]
pub enum Seen {
    /// An execution. `ask` is set when the kernel wants a verdict on the file.
    Exec {
        /// What happened.
        exec: Box<Exec>,
        /// The file to judge.
        ask: Option<FileId>,
    },
    /// A listener.
    Listen(Box<Listen>),
}

#[derive(Default)]
struct Inbox {
    execs: VecDeque<Vec<u8>>,
    listens: VecDeque<Vec<u8>>,
    spare: Vec<Vec<u8>>,
}

impl Inbox {
    fn queue(&mut self, kind: Kind) -> &mut VecDeque<Vec<u8>> {
        match kind {
            Kind::Exec => &mut self.execs,
            Kind::Listen => &mut self.listens,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Kind {
    Exec,
    Listen,
}

/// Hands out events, in the order of the rings.
pub struct Reader<'p> {
    probe: &'p Probe,
    rings: [RingBuffer<'p>; 2],
    inbox: Rc<RefCell<Inbox>>,
}

/// What was read so far, and what was missing. It is the probe's: a reader goes on where the one
/// before it stopped.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    next: HashMap<(Kind, u32), u64>,
    gaps: u64,
    malformed: u64,
}

impl<'p> Reader<'p> {
    pub(crate) fn new(probe: &'p Probe) -> Result<Self, Error> {
        let inbox = Rc::new(RefCell::new(Inbox::default()));
        let ring = |map, kind| -> Result<RingBuffer<'p>, Error> {
            let inbox = Rc::clone(&inbox);
            let mut builder = RingBufferBuilder::new();
            builder
                .add(map, move |bytes: &[u8]| {
                    let mut inbox = inbox.borrow_mut();
                    let mut copy = inbox.spare.pop().unwrap_or_default();
                    copy.clear();
                    copy.extend_from_slice(bytes);
                    inbox.queue(kind).push_back(copy);
                    0
                })
                .map_err(|e| Error::map("read a ring", &e))?;
            builder.build().map_err(|e| Error::map("read a ring", &e))
        };
        let maps = &probe.skel.maps;
        let rings = [ring(&maps.execs, Kind::Exec)?, ring(&maps.listens, Kind::Listen)?];
        Ok(Self { probe, rings, inbox })
    }

    /// File descriptors that become readable when there is something to read.
    pub fn fds(&self) -> [BorrowedFd<'_>; 2] {
        // SAFETY: the descriptors belong to the rings, which live as long as `self`.
        self.rings
            .each_ref()
            .map(|ring| unsafe { BorrowedFd::borrow_raw(ring.epoll_fd() as RawFd) })
    }

    /// Takes what is there, up to a batch, and hands it on. Returns how many records it was.
    ///
    /// A process executes before it listens, and its events must come out in that order. So the
    /// listeners are taken first and handed on last, and only once no execution is left behind.
    pub fn drain(&mut self, mut on: impl FnMut(Seen)) -> Result<usize, Error> {
        take(&self.rings[1])?;
        let mut count = 0;
        for _ in 0..ROUNDS {
            let more = take(&self.rings[0])? == BATCH;
            count += self.hand_on(Kind::Exec, &mut on);
            if !more {
                return Ok(count + self.hand_on(Kind::Listen, &mut on));
            }
        }
        Ok(count)
    }

    fn hand_on(&mut self, kind: Kind, on: &mut impl FnMut(Seen)) -> usize {
        let mut count = 0;
        loop {
            // Borrowed for this line only: the handler may take its time.
            let Some(bytes) = self.inbox.borrow_mut().queue(kind).pop_front() else {
                break;
            };
            count += 1;
            match self.decode(kind, &bytes) {
                Some(seen) => on(seen),
                None => self.probe.ledger.borrow_mut().malformed += 1,
            }
            self.inbox.borrow_mut().spare.push(bytes);
        }
        count
    }

    /// Records that the numbers say are missing.
    pub fn gaps(&self) -> u64 {
        self.probe.ledger.borrow().gaps
    }

    /// Records that were not what they should be.
    pub fn malformed(&self) -> u64 {
        self.probe.ledger.borrow().malformed
    }

    /// Waits for something to read.
    pub fn wait(&self, timeout: Duration) -> std::io::Result<bool> {
        use rustix::event::{PollFd, PollFlags, Timespec, poll};
        let [execs, listens] = self.fds();
        let mut fds = [PollFd::new(&execs, PollFlags::IN), PollFd::new(&listens, PollFlags::IN)];
        let timeout = Timespec::try_from(timeout).unwrap_or(Timespec { tv_sec: 1, tv_nsec: 0 });
        Ok(poll(&mut fds, Some(&timeout))? > 0)
    }

    /// Remembers in the kernel what was found out about a file.
    pub fn remember(&self, file: &FileId, verdict: Verdict) -> Result<bool, Error> {
        let now = self.probe.clock.stamp(crate::Clock::boot_ns()).unix_nanos();
        filter::remember(&self.probe.skel.maps.files, file, now, verdict)
    }

    /// STUB
    pub fn recover(&self, _pid: u32, _start: u64) -> Option<Exec> {
        None
    }

    /// Whether what is found out about a file now may be kept under its identity.
    pub fn lasts(&self, file: &FileId) -> bool {
        let now = self.probe.clock.stamp(crate::Clock::boot_ns()).unix_nanos();
        filter::lasts(file, now)
    }

    fn decode(&mut self, kind: Kind, bytes: &[u8]) -> Option<Seen> {
        let probe = self.probe;
        match kind {
            Kind::Exec => {
                let mut decoded = decode::exec(bytes, &probe.clock)?;
                self.note(kind, decoded.exec.cpu, decoded.exec.seq);
                let key = decoded.exec.process.key();
                decoded.exec.ancestry = lineage::ancestry(
                    &probe.skel,
                    &probe.clock,
                    key,
                    decoded.parent,
                    decoded.parent_image,
                );
                complete(&mut decoded);
                let ask = decoded.exec.file.filter(|_| decoded.unknown_file);
                Some(Seen::Exec { exec: Box::new(decoded.exec), ask })
            }
            Kind::Listen => {
                let mut listen = decode::listen(bytes, &probe.clock)?;
                self.note(kind, listen.cpu, listen.seq);
                listen.parents = lineage::parents(&probe.skel, listen.key(), LISTENER_PARENTS);
                Some(Seen::Listen(Box::new(listen)))
            }
        }
    }

    fn note(&mut self, kind: Kind, cpu: u32, seq: u64) {
        let mut ledger = self.probe.ledger.borrow_mut();
        let next = ledger.next.entry((kind, cpu)).or_insert(1);
        let missing = seq.saturating_sub(*next);
        *next = seq + 1;
        ledger.gaps += missing;
    }
}

/// Takes up to a batch of records out of a ring, into the inbox.
fn take(ring: &RingBuffer<'_>) -> Result<usize, Error> {
    let taken = ring.consume_raw_n(BATCH);
    usize::try_from(taken)
        .map_err(|_| Error::map("read a ring", &libbpf_rs::Error::from_raw_os_error(-taken)))
}

/// What the kernel side could not tell, `/proc` still may, while the process lives and runs the
/// same file.
fn complete(decoded: &mut decode::Decoded) {
    let process = &mut decoded.exec.process;
    let Some(file) = decoded.exec.file else { return };
    // An argument list that was cut may tell only at its end (a class path is long): what the
    // process was started with is then read in full, up to a limit.
    let args_wanted = decoded.args_unreadable || process.args_truncated;
    if !process.exe.path_truncated && !args_wanted && process.cwd.is_some() {
        return;
    }
    let key = process.key();
    let same =
        |path: &Option<String>| path.is_some() && procfs::is_still(key.pid, key.start_boot_ns);
    let path = procfs::exe_if(key.pid, &file, process.exe.deleted);
    let args = procfs::cmdline(key.pid);
    let cwd = procfs::cwd(key.pid);
    // Looked at again: what was read in between belongs to this execution.
    let again = procfs::exe_if(key.pid, &file, process.exe.deleted);
    if !same(&path) || path != again {
        return;
    }
    if process.exe.path_truncated
        && let Some(path) = path
    {
        process.exe.path = path;
        process.exe.path_truncated = false;
    }
    if args_wanted && let Some(bytes) = args.filter(|bytes| !bytes.is_empty()) {
        let cut = bytes.len() as u64 >= procfs::ARGS_LEN;
        process.args = decode::arguments(&bytes, cut);
        process.args_truncated = cut;
    }
    if process.cwd.is_none() {
        process.cwd = cwd;
    }
}
