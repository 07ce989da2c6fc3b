//! Reading the rings: bytes in, events out, gaps counted.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::os::fd::{BorrowedFd, RawFd};
use std::rc::Rc;
use std::time::Duration;

use detect::plan::Verdict;
use event::{Answer, Connect, Exec, FileId, Listen, ProcessKey};
use libbpf_rs::{RingBuffer, RingBufferBuilder};

use crate::error::Error;
use crate::skel::types;
use crate::suspect::{Heard, Standing};
use crate::{Probe, decode, filter, lineage, procfs, recover};

/// How many parents a listener is looked up with.
pub(crate) const LISTENER_PARENTS: usize = 4;
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
    /// A listener under suspicion answered HTTP. It is settled by that.
    Answer(Box<Answer>),
    /// A connection of a process that may have a server above it.
    Connect(Box<Connect>),
}

#[derive(Default)]
struct Inbox {
    execs: VecDeque<Vec<u8>>,
    listens: VecDeque<Vec<u8>>,
    answers: VecDeque<Vec<u8>>,
    connects: VecDeque<Vec<u8>>,
    spare: Vec<Vec<u8>>,
}

impl Inbox {
    fn queue(&mut self, kind: Kind) -> &mut VecDeque<Vec<u8>> {
        match kind {
            Kind::Exec => &mut self.execs,
            Kind::Listen => &mut self.listens,
            Kind::Answer => &mut self.answers,
            Kind::Connect => &mut self.connects,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Kind {
    Exec,
    Listen,
    Answer,
    Connect,
}

/// Hands out events, in the order of the rings.
pub struct Reader<'p> {
    probe: &'p Probe,
    rings: [RingBuffer<'p>; 2],
    /// Long arguments, which come before the executions they belong to.
    pieces: RingBuffer<'p>,
    rest: Rc<RefCell<Rest>>,
    inbox: Rc<RefCell<Inbox>>,
    caught_up: bool,
}

/// Arguments that found no place in their records, by CPU and number of the record.
type Rest = BTreeMap<(u32, u64), Vec<u8>>;

/// Records that the numbers say are missing, by kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Gaps {
    /// Executions.
    pub execs: u64,
    /// Listeners.
    pub listens: u64,
    /// Answers.
    pub answers: u64,
    /// Connections.
    pub connects: u64,
}

impl Gaps {
    /// Of all kinds.
    pub fn sum(&self) -> u64 {
        self.execs + self.listens + self.answers + self.connects
    }
}

/// What was read so far, and what was missing. It is the probe's: a reader goes on where the one
/// before it stopped.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    next: HashMap<(Kind, u32), u64>,
    gaps: Gaps,
    malformed: u64,
}

impl<'p> Reader<'p> {
    pub(crate) fn new(probe: &'p Probe) -> Result<Self, Error> {
        let inbox = Rc::new(RefCell::new(Inbox::default()));
        let failed = |e| Error::map("read a ring", &e);
        let copy = |kind| {
            let inbox = Rc::clone(&inbox);
            move |bytes: &[u8]| {
                let mut inbox = inbox.borrow_mut();
                let mut copy = inbox.spare.pop().unwrap_or_default();
                copy.clear();
                copy.extend_from_slice(bytes);
                inbox.queue(kind).push_back(copy);
                0
            }
        };
        let maps = &probe.skel.maps;
        let mut execs = RingBufferBuilder::new();
        execs.add(&maps.execs, copy(Kind::Exec)).map_err(failed)?;
        // These are few; they share a descriptor to wait for.
        let mut listens = RingBufferBuilder::new();
        listens.add(&maps.listens, copy(Kind::Listen)).map_err(failed)?;
        listens.add(&maps.answers, copy(Kind::Answer)).map_err(failed)?;
        listens.add(&maps.connects, copy(Kind::Connect)).map_err(failed)?;
        let rest = Rc::new(RefCell::new(Rest::new()));
        let into = Rc::clone(&rest);
        let mut pieces = RingBufferBuilder::new();
        pieces
            .add(&maps.pieces, move |bytes: &[u8]| {
                if let Some((number, piece)) = decode::piece(bytes) {
                    into.borrow_mut().entry(number).or_default().extend_from_slice(piece);
                }
                0
            })
            .map_err(failed)?;
        let pieces = pieces.build().map_err(failed)?;
        let rings = [execs.build().map_err(failed)?, listens.build().map_err(failed)?];
        Ok(Self { probe, rings, pieces, rest, inbox, caught_up: false })
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
    /// A process executes before it listens or connects, and its events must come out in that
    /// order. So these are taken first and handed on last, and only once no execution is left
    /// behind. What listeners answer comes after them.
    pub fn drain(&mut self, mut on: impl FnMut(Seen)) -> Result<usize, Error> {
        self.caught_up = false;
        take(&self.rings[1])?;
        let mut count = 0;
        for _ in 0..ROUNDS {
            let more = take(&self.rings[0])? == BATCH;
            // Those of what was just taken are all there.
            while take(&self.pieces)? == BATCH {}
            count += self.hand_on(Kind::Exec, &mut on)?;
            if !more {
                self.caught_up = true;
                for kind in [Kind::Listen, Kind::Answer, Kind::Connect] {
                    count += self.hand_on(kind, &mut on)?;
                }
                return Ok(count);
            }
        }
        Ok(count)
    }

    fn hand_on(&mut self, kind: Kind, on: &mut impl FnMut(Seen)) -> Result<usize, Error> {
        let mut count = 0;
        loop {
            // Borrowed for this line only: the handler may take its time.
            let Some(bytes) = self.inbox.borrow_mut().queue(kind).pop_front() else {
                break;
            };
            count += 1;
            let seen = match kind {
                Kind::Exec => self.exec(&bytes).map(&mut *on),
                Kind::Listen => self.listen(&bytes).map(&mut *on),
                Kind::Connect => self.connect(&bytes).map(&mut *on),
                Kind::Answer => self
                    .answers(&bytes)
                    .transpose()?
                    .map(|answers| answers.into_iter().for_each(&mut *on)),
            };
            if seen.is_none() {
                self.probe.ledger.borrow_mut().malformed += 1;
            }
            self.inbox.borrow_mut().spare.push(bytes);
        }
        Ok(count)
    }

    /// Records that the numbers say are missing.
    pub fn gaps(&self) -> Gaps {
        self.probe.ledger.borrow().gaps
    }

    /// Whether the last [`drain`](Self::drain) left no execution behind that was there when it
    /// began.
    pub fn caught_up(&self) -> bool {
        self.caught_up
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

    /// Whether what is found out about a file now may be kept under its identity.
    pub fn lasts(&self, file: &FileId) -> bool {
        let now = self.probe.clock.stamp(crate::Clock::boot_ns()).unix_nanos();
        filter::lasts(file, now)
    }

    /// Waits, without asking anybody, for a listener to answer HTTP to others: [`Seen::Answer`]
    /// then says so, once. Looks at what is sent from the listener's cgroup until that is decided:
    /// by an answer, by too many connections that were something else, when the listener is
    /// closed, or by [`settle`](Self::settle). Some 1000 listeners are waited for; beyond that the
    /// oldest has to go.
    ///
    /// Doing so twice changes nothing. Fails with [`Error::Deaf`] where it is not possible, and
    /// for a listener whose port is not known.
    pub fn suspect(&self, listen: &Listen) -> Result<(), Error> {
        self.probe.suspects.borrow_mut().add(&self.probe.skel, listen)
    }

    /// Waits no longer for a listener to answer, and says what its connections were so far.
    /// `None` where nobody waited, or where it was decided before.
    pub fn settle(&self, listen: &Listen) -> Result<Option<Heard>, Error> {
        self.probe.suspects.borrow_mut().remove(&self.probe.skel, listen)
    }

    /// How many listeners are waited for, and what became of those before.
    pub fn suspects(&self) -> Standing {
        self.probe.suspects.borrow().standing()
    }

    /// The facts of a running process whose execution did not cross, as if it had: what it runs
    /// now. Its time is the start of the process, since when it executed is not known; its number
    /// is 0. Facts that only the execution itself could tell are missing: the path that was asked
    /// for is cut as lineage keeps it, the generation of the file is there only where its file
    /// system tells.
    ///
    /// Of a process that is gone, only what lineage still has: its short name, its path where that
    /// is certain, its first arguments, its parents. `None` if that is nothing.
    pub fn recover(&self, pid: u32, start_boot_ns: u64) -> Option<Exec> {
        recover::recover(self.probe, ProcessKey { pid, start_boot_ns })
    }

    fn exec(&mut self, bytes: &[u8]) -> Option<Seen> {
        let probe = self.probe;
        let (cpu, seq) = decode::number(bytes)?;
        let rest = self.rest_of(cpu, seq);
        let mut decoded = decode::exec(bytes, &rest, &probe.clock)?;
        self.note(Kind::Exec, decoded.exec.cpu, decoded.exec.seq);
        let key = decoded.exec.process.key();
        (decoded.exec.ancestry, decoded.exec.ancestry_truncated) =
            probe.lineage().ancestry(key, Some(decoded.parent));
        complete(&mut decoded);
        let ask = decoded.exec.file.filter(|_| decoded.unknown_file);
        Some(Seen::Exec { exec: Box::new(decoded.exec), ask })
    }

    /// The rest of an execution's arguments. Of those before it on its CPU, nobody will ask again.
    fn rest_of(&self, cpu: u32, seq: u64) -> Vec<u8> {
        let mut all = self.rest.borrow_mut();
        let rest = all.remove(&(cpu, seq)).unwrap_or_default();
        let before: Vec<_> = all.range((cpu, 0)..(cpu, seq)).map(|(number, _)| *number).collect();
        for number in before {
            all.remove(&number);
        }
        rest
    }

    fn listen(&mut self, bytes: &[u8]) -> Option<Seen> {
        let probe = self.probe;
        let mut listen = decode::listen(bytes, &probe.clock)?;
        self.note(Kind::Listen, listen.cpu, listen.seq);
        (listen.program, listen.parents) = probe.lineage().kin(listen.key(), LISTENER_PARENTS);
        Some(Seen::Listen(Box::new(listen)))
    }

    fn connect(&mut self, bytes: &[u8]) -> Option<Seen> {
        let probe = self.probe;
        let mut connect = decode::connect(bytes, &probe.clock)?;
        self.note(Kind::Connect, connect.cpu, connect.seq);
        let (lineage, key) = (probe.lineage(), connect.key());
        connect.program = lineage.program(key);
        connect.parents = lineage.parents(key, lineage::LONGEST);
        Some(Seen::Connect(Box::new(connect)))
    }

    fn answers(&mut self, bytes: &[u8]) -> Option<Result<Vec<Seen>, Error>> {
        let probe = self.probe;
        let record: types::answer_record = decode::read(bytes)?;
        self.note(Kind::Answer, record.cpu, record.seq);
        let told = probe.suspects.borrow_mut().told(&probe.skel, &probe.clock, &record)?;
        Some(told.map(|answers| {
            answers.into_iter().map(|answer| Seen::Answer(Box::new(answer))).collect()
        }))
    }

    fn note(&mut self, kind: Kind, cpu: u32, seq: u64) {
        let mut ledger = self.probe.ledger.borrow_mut();
        let next = ledger.next.entry((kind, cpu)).or_insert(1);
        let missing = seq.saturating_sub(*next);
        *next = seq + 1;
        *match kind {
            Kind::Exec => &mut ledger.gaps.execs,
            Kind::Listen => &mut ledger.gaps.listens,
            Kind::Answer => &mut ledger.gaps.answers,
            Kind::Connect => &mut ledger.gaps.connects,
        } += missing;
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
    let args_wanted = decoded.args_wanted;
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
        let all = decode::arguments(&bytes, cut);
        // A process may write a title over them.
        if goes_on(&process.args, &all) {
            process.args = all;
            process.args_truncated = cut;
        }
    }
    if process.cwd.is_none() {
        process.cwd = cwd;
    }
}

/// Whether arguments begin with those that are known, of which the last may be cut.
fn goes_on(known: &[String], all: &[String]) -> bool {
    let Some((last, known)) = known.split_last() else { return true };
    all.starts_with(known) && all.get(known.len()).is_some_and(|word| word.starts_with(last))
}
