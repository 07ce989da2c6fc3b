//! The canary: a tiny program, executed now and then to prove that the hooks work.
//!
//! It executes itself (exec), makes processes of which one executes nothing, so that only the fork
//! hook can know it (fork), listens for a moment on loopback (listen), and ends (exit). What was not
//! seen of that says which hook does not work. Nothing of it is ever an event or a detection.
//!
//! It is recognised by its file, which is picket's own, open as long as picket runs, and sealed; by
//! an argument that is new each time; and by its parent. A program of the same name is a program like
//! any other.

mod perch;
mod program;

use std::collections::VecDeque;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::time::{Duration, Instant};

use anyhow::Result;
use detect::plan::CANARY;
use event::{Exec, Listen, ProcessKey};
use probe::Clock;
use probe::pinned::Program;
use rustix::fd::BorrowedFd;

use perch::{Egg, Landing, Perch};

/// How long a flight may take. Only time in which picket itself runs counts.
const PATIENCE: Duration = Duration::from_secs(5);
/// After a flight that proved less than it should, the next one comes at least this soon, unless
/// none are wanted.
const RETRY: Duration = Duration::from_secs(10);
/// The main loop comes round about once a second; where it did not, picket itself was stopped.
const LONGEST_ROUND: Duration = Duration::from_secs(2);
/// Flights that are over, and of which something may still come out of the rings.
const PAST: usize = 4;

/// What became of one proof.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Proof {
    /// The hook works.
    Seen,
    /// Nothing shows that the hook works, for this reason.
    Missing(String),
}

/// What a flight proved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Outcome {
    /// When it began, in boot time.
    pub(crate) flown: u64,
    /// Of the exec, the fork, the listen and the exit hook.
    pub(crate) proofs: [Proof; 4],
    /// The canary was executed and did not come out of the ring, although nothing was lost.
    pub(crate) blind: bool,
}

impl Outcome {
    /// Why what was to be proved is not.
    pub(crate) fn reasons(&self) -> Vec<String> {
        let mut reasons = Vec::new();
        for proof in &self.proofs {
            if let Proof::Missing(why) = proof
                && !reasons.contains(why)
            {
                reasons.push(why.clone());
            }
        }
        reasons
    }
}

struct Flight {
    egg: Option<Egg>,
    word: String,
    flown: u64,
    lost_before: u64,
    age: Duration,
    looked: Instant,
    landing: Option<Landing>,
    /// The rings were emptied after it had landed.
    all_read: bool,
    first: Option<ProcessKey>,
    again: bool,
    forked: bool,
    listened: bool,
    ended: bool,
}

/// What the kernel side tells of lineage, to judge by.
pub(crate) trait Lineage {
    /// Who created a process, as the kernel side itself took note.
    fn creator(&self, process: ProcessKey) -> Option<ProcessKey>;
    /// Whether it took note of a process's end.
    fn has_ended(&self, process: ProcessKey) -> bool;
}

impl Lineage for probe::Probe {
    fn creator(&self, process: ProcessKey) -> Option<ProcessKey> {
        Self::creator(self, process)
    }

    fn has_ended(&self, process: ProcessKey) -> bool {
        Self::has_ended(self, process)
    }
}

/// Flies, and judges what is seen of it.
pub(crate) struct Canary {
    perch: Perch,
    /// How often; `None` for never by itself.
    every: Option<Duration>,
    wanted: bool,
    next: Option<Instant>,
    aloft: Option<Flight>,
    past: VecDeque<Flight>,
    /// picket's own process id, in the initial namespace.
    own: Option<u32>,
    /// picket itself, once a canary was seen.
    itself: Option<ProcessKey>,
}

impl Canary {
    /// A canary that flies every so many seconds, 0 for only when it is sent.
    pub(crate) fn new(seconds: u32) -> Result<Self> {
        let every = (seconds > 0).then(|| Duration::from_secs(seconds.into()));
        Ok(Self {
            perch: Perch::new()?,
            every,
            wanted: false,
            next: None,
            aloft: None,
            past: VecDeque::new(),
            own: probe::home::is_initial().then(std::process::id),
            itself: None,
        })
    }

    /// The program that it is, if it could be made: a sandbox must let it be executed.
    pub(crate) fn program(&self) -> Option<&'static Program> {
        self.perch.program()
    }

    /// picket's own process id in the kernel's records. In a pid namespace of its own it is known
    /// only once a canary was seen.
    pub(crate) fn own(&self) -> Option<u32> {
        self.own
    }

    /// picket itself in the kernel's records. It is known once a canary was seen.
    pub(crate) fn itself(&self) -> Option<ProcessKey> {
        self.itself
    }

    /// Readable when something is to be judged.
    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        self.perch.fd()
    }

    /// Wants a flight as soon as there can be one.
    pub(crate) fn want(&mut self) {
        self.wanted = true;
    }

    /// Whether an execution is the canary's; takes note of what it proves.
    pub(crate) fn is_own_exec(&mut self, exec: &Exec, lineage: &impl Lineage) -> bool {
        let own = self.own;
        let flight = self.flights().find_map(|f| f.which(exec, own).map(|first| (f, first)));
        let Some((flight, first)) = flight else { return false };
        let key = exec.process.key();
        if first {
            flight.first = Some(key);
            self.own = Some(exec.process.ppid);
            self.itself = lineage.creator(key);
        } else {
            flight.again = true;
            // Between the two is a process that executed nothing: the fork hook alone knows it.
            let between = lineage.creator(key).and_then(|between| lineage.creator(between));
            flight.forked = between.is_some() && between == flight.first;
        }
        true
    }

    /// Whether a listener is the canary's; takes note of what it proves.
    pub(crate) fn is_own_listener(&mut self, listen: &Listen) -> bool {
        let own = self.own;
        let child = listen.parents.first().is_some_and(|parent| Some(parent.pid) == own);
        let flight = self.flights().find(|f| match f.first {
            Some(first) => first == listen.key(),
            // Its execution was not seen, but picket has no other children.
            None => child && f.egg.is_some(),
        });
        let Some(flight) = flight else { return false };
        flight.listened = true;
        true
    }

    fn flights(&mut self) -> impl Iterator<Item = &mut Flight> {
        self.aloft.iter_mut().chain(&mut self.past)
    }

    /// Flies if it is time, and says what a flight proved when that is known. To be called after
    /// the rings were read; `caught_up`: nothing was left in them. `lost`: events lost so far.
    pub(crate) fn look(
        &mut self,
        caught_up: bool,
        lost: u64,
        lineage: &impl Lineage,
    ) -> Option<Outcome> {
        let landing = self.perch.landing();
        if let Some(flight) = &mut self.aloft {
            // What was read so far was read before it is known to have landed.
            flight.all_read |= caught_up && flight.landing.is_some();
            flight.landing = flight.landing.take().or(landing);
            if let (Some(first), Some(_)) = (flight.first, &flight.landing) {
                flight.ended |= lineage.has_ended(first);
            }
            flight.grow();
            if flight.is_proved() || flight.is_over() {
                let outcome = flight.outcome(lost);
                self.past.push_front(self.aloft.take()?);
                self.past.truncate(PAST);
                let pause = self.every.map(|every| match outcome.reasons().is_empty() {
                    true => every,
                    false => every.min(RETRY),
                });
                self.next = pause.map(|pause| Instant::now() + pause);
                return Some(outcome);
            }
            return None;
        }
        let due = self.wanted || self.next.is_some_and(|next| Instant::now() >= next);
        // One that still hangs leaves everything as it was judged.
        if due && !self.perch.busy {
            self.wanted = false;
            self.next = None;
            self.aloft = Some(self.begin(lost));
        }
        None
    }

    fn begin(&mut self, lost_before: u64) -> Flight {
        let word = format!("{:016x}", RandomState::new().build_hasher().finish());
        let (flown, looked) = (Clock::boot_ns(), Instant::now());
        let (egg, landing) = match self.perch.send_off(&word) {
            Ok(egg) => (Some(egg), None),
            Err(error) => (None, Some(Landing::Failed(format!("{error:#}")))),
        };
        Flight {
            egg,
            word,
            flown,
            lost_before,
            age: Duration::ZERO,
            looked,
            landing,
            all_read: false,
            first: None,
            again: false,
            forked: false,
            listened: false,
            ended: false,
        }
    }
}

impl Flight {
    /// Which of its two executions this is, if it is one: whether it is the first.
    fn which(&self, exec: &Exec, own: Option<u32>) -> Option<bool> {
        let process = &exec.process;
        let file = &process.exe;
        let egg = self.egg.as_ref()?;
        if !file.memfd || !egg.is(&file.device, file.inode) {
            return None;
        }
        match process.args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
            [CANARY, word] if word == self.word => {
                own.is_none_or(|own| own == process.ppid).then_some(true)
            }
            [word] if word == self.word => Some(false),
            _ => None,
        }
    }

    fn grow(&mut self) {
        self.age += self.looked.elapsed().min(LONGEST_ROUND);
        self.looked = Instant::now();
    }

    fn is_proved(&self) -> bool {
        let landed = self.landing == Some(Landing::Code(0));
        landed && self.first.is_some() && self.forked && self.listened && self.ended
    }

    /// Whether nothing more is to be waited for: all was seen that it could do, or it is late.
    fn is_over(&self) -> bool {
        let done = match self.landing {
            Some(Landing::Failed(_)) => true,
            Some(Landing::Code(code)) => {
                let forked =
                    self.forked || code & (program::NO_PROCESS | program::NO_EXECUTION) != 0;
                let listened = self.listened || code & program::LISTENER != 0;
                self.first.is_some() && forked && listened && self.ended
            }
            _ => false,
        };
        done || self.age > PATIENCE
    }

    fn outcome(&self, lost: u64) -> Outcome {
        let lossy = lost > self.lost_before;
        let flown = self.flown;
        let missing = |why: &str| Proof::Missing(why.to_owned());
        let none = |why: String| std::array::from_fn(|_| Proof::Missing(why.clone()));
        let outcome = |proofs, blind| Outcome { flown, proofs, blind };
        let code = match &self.landing {
            _ if self.is_proved() => return outcome(std::array::from_fn(|_| Proof::Seen), false),
            Some(Landing::Failed(why)) => {
                let why = format!("the canary could not fly: {why}: nothing is proved");
                return outcome(none(why), false);
            }
            Some(Landing::Signal(signal)) => {
                let why = format!("the canary was killed by signal {signal}: nothing is proved");
                return outcome(none(why), false);
            }
            None => {
                let why = format!("the canary did not land within {} s", PATIENCE.as_secs());
                return outcome(none(format!("{why}: something holds it up")), false);
            }
            Some(Landing::Code(code)) => *code,
        };
        if self.first.is_none() {
            let why = if lossy {
                "the canary was executed but not seen, while events are being lost"
            } else if !self.all_read {
                "the canary was executed but not seen: picket is too far behind"
            } else {
                "the canary was executed but not seen: the exec hook does not work"
            };
            let unknown = "of a canary that was not seen nothing else is known";
            let listened = if self.listened { Proof::Seen } else { missing(unknown) };
            let proofs = [missing(why), missing(unknown), listened, missing(unknown)];
            return outcome(proofs, self.all_read && !lossy);
        }
        let seen = |is: bool, why: &str| if is { Proof::Seen } else { missing(why) };
        let fork = match code {
            _ if self.forked => Proof::Seen,
            code if code & program::NO_PROCESS != 0 => {
                missing("the canary could not make a process: the fork hook is not proved")
            }
            code if code & program::NO_EXECUTION != 0 => {
                missing("the canary could not execute itself again: the fork hook is not proved")
            }
            _ if !self.again => missing("the canary's second execution was not seen"),
            _ => missing(
                "the canary's parents are not known: the fork hook does not work, and chains of \
                 processes are cut short",
            ),
        };
        let listen = match code & program::LISTENER {
            0 if lossy => "the canary listened but was not seen, while events are being lost",
            0 => "the canary listened but was not seen: the listen hook does not work",
            program::NO_SOCKET => {
                "there are no IPv4 sockets here: that listeners are seen is not proved"
            }
            program::NO_ADDRESS => {
                "127.0.0.1 cannot be had here: that listeners are seen is not proved"
            }
            _ => "nothing may listen on 127.0.0.1 here: that listeners are seen is not proved",
        };
        let exit = "the canary's end was not noted: the exit hook does not work";
        let proofs = [Proof::Seen, fork, seen(self.listened, listen), seen(self.ended, exit)];
        outcome(proofs, false)
    }
}
