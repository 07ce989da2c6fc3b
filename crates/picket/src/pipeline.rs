//! What runs, listed in one place: probe → examine → engine → sink, with signals and coverage
//! beside it.

use std::collections::VecDeque;
use std::io::Write;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use detect::engine::Engine;
use detect::plan::Verdict;
use event::{Behaviour, Coverage, Event, Exec, Listen, Lost, Record, Stamp, State, Window};
use probe::{Clock, Counts, Probe, Reader, Seen};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::AsFd;

use crate::canary::Canary;
use crate::config::Config;
use crate::examine::Examiner;
use crate::examine::queue::{Arrived, Queue};
use crate::home::Home;
use crate::host;
use crate::privilege;
use crate::ready::Ready;
use crate::signals::Signals;
use crate::sink::{self, Item, Room, Sink, Style};
use crate::users::Users;

/// What is said when lineage could not keep a process.
const LINEAGE: &str = "the kernel could not keep the lineage of every process";
/// Counters are looked at this often.
const TICK: Duration = Duration::from_secs(1);
/// How long an event may wait for room before the signals are looked at again.
const PATIENCE: Duration = Duration::from_millis(100);
/// Executions of packed programs that are kept until they listen.
const MOST_PACKED: usize = 256;
/// How long files may be read after the end was asked for.
const LAST_LOOKS: Duration = Duration::from_secs(2);
/// How long a canary may take to be seen.
const CANARY_PATIENCE: Duration = Duration::from_secs(5);

/// What to do with what is seen.
pub(crate) struct Plan {
    /// Let every execution cross.
    pub(crate) everything: bool,
    /// Write events.
    pub(crate) events: bool,
    /// Write detections.
    pub(crate) detections: bool,
    /// Records go to stdout, whose reader may go away.
    pub(crate) to_stdout: bool,
    /// How.
    pub(crate) style: Style,
}

struct Pipeline<'p> {
    probe: &'p Probe,
    reader: Reader<'p>,
    queue: Queue,
    engine: Engine,
    sink: Sink,
    signals: Signals,
    users: Users,
    host: String,
    plan: Plan,
    started: u64,
    /// The end was asked for.
    ending: bool,
    /// It was said that answers cannot be heard.
    said_deaf: bool,
    /// Executions of packed programs, the latest.
    packed: VecDeque<Exec>,
    canary: Canary,
    home: Home,
    ready: Ready,
    coverage: Watch,
}

/// What was last said of coverage.
struct Watch {
    state: State,
    reasons: Vec<String>,
    lost: Lost,
    since: u64,
}

/// Watches until asked to end.
///
/// `disabled` says which rules are not in force; coverage cannot be full without them.
pub(crate) fn run(
    config: &Config,
    (engine, disabled): (Engine, Vec<String>),
    plan: Plan,
    out: impl Write + Send + 'static,
) -> Result<()> {
    let signals = Signals::catch()?;
    let options = probe::Options {
        everything: plan.everything,
        ring_bytes: config.ring_bytes,
        processes: config.processes,
        files: config.files,
    };
    let canary = Canary::make()?;
    let mut probe = Probe::load(&options, &engine.catalogue().plan())?;
    let started = Clock::boot_ns();
    probe.attach()?;
    let reader = probe.reader()?;
    let ready = Ready::connect();
    let disabled = [disabled, privilege::blind(&probe)].concat();
    // All is open. What follows, and every thread, does without privileges.
    privilege::give_up_loudly(config, canary.program())?;
    let sink = Sink::start(out, plan.style)?;
    let queue = Queue::new(Examiner::start(Arc::clone(engine.catalogue()))?);
    let mut pipeline = Pipeline {
        probe: &probe,
        reader,
        queue,
        engine,
        sink,
        signals,
        users: Users::default(),
        host: config.host.clone().unwrap_or_else(host::name),
        plan,
        started,
        ending: false,
        said_deaf: false,
        packed: VecDeque::new(),
        canary,
        home: Home::find(),
        ready,
        coverage: Watch {
            state: if disabled.is_empty() { State::Full } else { State::Degraded },
            reasons: disabled,
            lost: Lost::default(),
            since: started,
        },
    };
    let watched = pipeline.watch();
    let last = pipeline.say_goodbye();
    let written = pipeline.sink.finish_soon();
    written.and(watched).and(last)
}

impl Pipeline<'_> {
    fn watch(&mut self) -> Result<()> {
        if !self.wait_for_canary()? {
            return Ok(());
        }
        self.say_coverage(self.coverage.lost, self.started)?;
        let reasons = self.coverage.reasons.join("; ");
        match self.coverage.state {
            State::Full => sink::log("watching, coverage full"),
            state => sink::log(&format!("watching, coverage {state}: {reasons}")),
        }
        self.ready.say();
        let mut next = Instant::now() + TICK;
        while !self.wait(next.saturating_duration_since(Instant::now()))? {
            self.drain()?;
            if Instant::now() >= next {
                next = Instant::now() + TICK;
                self.probe.clock().refresh();
                self.check_coverage()?;
            }
        }
        // What happened before the signal still counts.
        while self.drain()? > 0 {}
        let deadline = Instant::now() + LAST_LOOKS;
        while !self.queue.is_empty() && Instant::now() < deadline {
            self.queue.wait(PATIENCE);
            self.drain()?;
        }
        for arrived in self.queue.give_up() {
            self.deliver(arrived)?;
        }
        Ok(())
    }

    /// Executes the canary and waits until it is seen. Says false when asked to end meanwhile.
    fn wait_for_canary(&mut self) -> Result<bool> {
        let mut problem = None;
        match self.canary.fly() {
            Err(error) => problem = Some(format!("{error:#}")),
            Ok(pid) => {
                let deadline = Instant::now() + CANARY_PATIENCE;
                let canary = self.canary;
                let mut seen: Option<Exec> = None;
                while seen.is_none() {
                    let left = deadline.saturating_duration_since(Instant::now());
                    if left.is_zero() {
                        problem = Some("the canary was executed but not seen".to_owned());
                        break;
                    }
                    if self.wait(left)? {
                        return Ok(false);
                    }
                    self.drain_noting(&mut |exec| {
                        if canary.is_own(exec) && Home::may_be(pid, exec) {
                            seen = Some(exec.clone());
                        }
                    })?;
                }
                if let Some(exec) = seen {
                    self.home.learn(&exec);
                }
            }
        }
        if let Some(problem) = problem {
            self.coverage.state = State::Degraded;
            self.coverage.reasons.push(problem);
        }
        Ok(true)
    }

    /// Waits for an event; true when it is time to end.
    fn wait(&mut self, timeout: Duration) -> Result<bool> {
        let stdout = rustix::stdio::stdout();
        let [execs, listens] = self.reader.fds();
        let failed = self.sink.failed();
        let signals = self.signals.as_fd();
        let examined = self.queue.fd();
        // When too much waits to be examined, the rings have to wait as well.
        let rings = if self.queue.is_full() { PollFlags::empty() } else { PollFlags::IN };
        let mut fds = [
            PollFd::new(&execs, rings),
            PollFd::new(&listens, rings),
            PollFd::new(&examined, PollFlags::IN),
            PollFd::new(&failed, PollFlags::IN),
            PollFd::new(&signals, PollFlags::IN),
            // Nothing is asked of stdout, but that its reader has gone is told unasked.
            PollFd::new(&stdout, PollFlags::empty()),
        ];
        let timeout = Timespec::try_from(timeout).context("cannot wait that long")?;
        match poll(&mut fds, Some(&timeout)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error).context("cannot wait for events"),
        }
        let [_, _, _, failed, signals, stdout] = fds.map(|fd| fd.revents());
        self.ending |= signals.contains(PollFlags::IN) && self.signals.came();
        if self.ending {
            return Ok(true);
        }
        if self.plan.to_stdout && stdout.contains(PollFlags::ERR) {
            anyhow::bail!(sink::READER_GONE);
        }
        Ok(failed.contains(PollFlags::IN))
    }

    fn drain(&mut self) -> Result<usize> {
        self.drain_noting(&mut |_| {})
    }

    fn drain_noting(&mut self, note: &mut dyn FnMut(&Exec)) -> Result<usize> {
        let mut seen = Vec::new();
        let mut count = 0;
        if !self.queue.is_full() {
            count = self.reader.drain(|one| seen.push(one))?;
        }
        for one in seen {
            match one {
                Seen::Exec { exec, ask } => {
                    note(&exec);
                    if !self.canary.is_own(&exec) {
                        let lasts = exec.file.is_some_and(|id| self.reader.lasts(&id));
                        self.queue.exec(exec, ask, lasts);
                    }
                }
                Seen::Listen(listen) => self.queue.listen(listen),
                Seen::Answer(answer) => self.queue.answer(answer),
            }
        }
        while let Some(arrived) = self.queue.next()? {
            self.deliver(arrived)?;
        }
        Ok(count)
    }

    fn deliver(&mut self, arrived: Arrived) -> Result<()> {
        let host = self.host.clone();
        let (event, boot_ns) = match arrived {
            Arrived::Exec { mut exec, ask } => {
                if let Some(file) = ask
                    && let Some(verdict) = self.engine.catalogue().verdict(&exec)
                {
                    self.reader.remember(&file, verdict)?;
                }
                exec.process.user = self.users.name(&exec.process);
                self.note_doubts(&exec);
                let boot_ns = exec.boot_ns;
                (Event::Exec { host, exec }, Some(boot_ns))
            }
            Arrived::Listen(listen) => {
                self.look_closer(&listen);
                (Event::Listen { host, listen: *listen }, None)
            }
            Arrived::Answer(answer) => {
                self.look(&answer.listen, answer.time, Some(answer.protocol));
                return Ok(());
            }
            Arrived::Behaviour(mut behaviour) => {
                let process = &mut behaviour.exec.process;
                process.user = self.users.name(process);
                (Event::Behaviour { host, behaviour }, None)
            }
        };
        if self.plan.detections {
            for record in self.engine.on(&event) {
                self.sink.send(Item { record, boot_ns });
            }
        }
        if self.plan.events {
            let record = Record::Event(Box::new(masked(event)));
            // Once the end was asked for, nobody is waited for.
            let patience = if self.ending { Duration::ZERO } else { PATIENCE };
            if self.sink.send_event(Item { record, boot_ns }, patience) == Room::Full {
                self.ending |= self.signals.came();
            }
        }
        Ok(())
    }

    /// A listener of a process that nobody recognised is worth a second look, into its memory and
    /// at what it answers.
    fn look_closer(&mut self, listen: &Listen) {
        let own = Some(listen.pid) == self.home.pid();
        if own || self.engine.knows(listen) {
            return;
        }
        if let Err(error) = self.reader.suspect(listen) {
            self.deaf(&error.to_string());
        }
        self.look(listen, listen.time, None);
    }

    /// What an execution leaves open, and may matter later.
    fn note_doubts(&mut self, exec: &Exec) {
        let catalogue = self.engine.catalogue();
        let process = &exec.process;
        let packed = process.exe.content.as_ref().is_some_and(|c| c.packed.is_some());
        if !packed && !process.args_truncated || catalogue.identify(process).is_some() {
            return;
        }
        // An interpreter or a tool, and the words that would tell come too late.
        if process.args_truncated && catalogue.verdict(exec) == Some(Verdict::Watch) {
            self.queue.cut();
        }
        if packed {
            if self.packed.len() >= MOST_PACKED {
                self.packed.pop_front();
            }
            self.packed.push_back(exec.clone());
        }
    }

    /// What is known of a process that listens: what its execution told, if its file is packed,
    /// since it may have rewritten its arguments by now; else what it is now.
    fn execution_of(&self, listen: &Listen) -> Option<Exec> {
        let same = |exec: &&Exec| {
            let name = exec.process.exe.path.rsplit('/').next().unwrap_or_default();
            exec.process.key() == listen.key()
                && listen.program.as_deref().is_none_or(|program| name.starts_with(program))
        };
        let packed = self.packed.iter().rev().find(same).cloned();
        packed.or_else(|| self.reader.recover(listen.pid, listen.start_boot_ns))
    }

    fn look(&mut self, listen: &Listen, time: Stamp, answered: Option<String>) {
        let Some(exec) = self.execution_of(listen) else { return };
        self.queue.look(Box::new(Behaviour {
            time,
            exec: Box::new(exec),
            parents: listen.parents.clone(),
            listener: listen.listener.clone(),
            answered,
            mapped: Vec::new(),
        }));
    }

    /// Says once that answers cannot be heard.
    fn deaf(&mut self, why: &str) {
        if !std::mem::replace(&mut self.said_deaf, true) {
            sink::log(&format!("servers that nobody knows are not found by their answers: {why}"));
        }
    }

    /// Says so when something was lost since the last look, and when all is well again.
    fn check_coverage(&mut self) -> Result<()> {
        let counts = self.probe.counts()?;
        let lost = self.lost(&counts);
        let lineage_lost =
            counts.lost_lineage > 0 && !self.coverage.reasons.iter().any(|r| r == LINEAGE);
        if lineage_lost {
            self.coverage.reasons.push(LINEAGE.to_owned());
        }
        let from = self.coverage.since;
        self.coverage.since = Clock::boot_ns();
        if lost == self.coverage.lost {
            if lineage_lost {
                self.coverage.state = State::Degraded;
                self.say_coverage(Lost::default(), from)?;
                return Ok(());
            }
            let well = self.coverage.reasons.is_empty();
            if self.coverage.state == State::Degraded && well {
                self.coverage.state = State::Full;
                self.say_coverage(Lost::default(), from)?;
            }
            return Ok(());
        }
        let before = std::mem::replace(&mut self.coverage.lost, lost);
        let more = Lost {
            kernel: lost.kernel - before.kernel,
            queue: lost.queue - before.queue,
            sink: lost.sink - before.sink,
            unread: lost.unread - before.unread,
        };
        self.coverage.state = State::Degraded;
        sink::log(&format!(
            "coverage degraded: lost {} events in the kernel, {} in the queue; {} programs could not \
             be read",
            more.kernel, more.queue, more.unread
        ));
        self.say_coverage(more, from)
    }

    fn lost(&self, counts: &Counts) -> Lost {
        Lost {
            // A gap in the numbers is the same loss, seen from this side; whichever knows more.
            kernel: counts.lost().max(self.reader.gaps()) + self.reader.malformed(),
            queue: self.sink.dropped(),
            sink: 0,
            unread: self.queue.unread(),
        }
    }

    fn say_coverage(&mut self, lost: Lost, from: u64) -> Result<()> {
        let counts = self.probe.counts()?;
        let clock = self.probe.clock();
        let now = clock.stamp(Clock::boot_ns());
        let record = coverage(
            &self.host,
            self.coverage.state,
            &self.coverage.reasons,
            Window { from: clock.stamp(from), to: now },
            lost,
            &counts,
        );
        // Text is for people: they hear of coverage when it changes, on stderr.
        if self.plan.style.format == crate::cli::Format::Json {
            self.sink.send(Item { record, boot_ns: None });
        }
        Ok(())
    }

    /// The last record: the whole time, and all that was lost in it.
    fn say_goodbye(&mut self) -> Result<()> {
        let lost = self.lost(&self.probe.counts()?);
        self.coverage.state = if !self.coverage.reasons.is_empty() || !lost.is_zero() {
            State::Degraded
        } else {
            State::Full
        };
        if !lost.is_zero() {
            sink::log(&format!(
                "lost {} events in the kernel, {} in the queue since the start; {} programs could not \
                 be read",
                lost.kernel, lost.queue, lost.unread
            ));
        }
        self.say_coverage(lost, self.started)
    }
}

fn coverage(
    host: &str,
    state: State,
    reasons: &[String],
    window: Window,
    lost: Lost,
    counts: &Counts,
) -> Record {
    let time: Stamp = window.to;
    Record::Coverage(Box::new(Coverage {
        time,
        host: host.to_owned(),
        state,
        reasons: reasons.to_vec(),
        window,
        lost,
        seen: counts.execs,
        crossed: counts.crossed,
    }))
}

/// An event with the secrets in its arguments masked: this is where it leaves the process.
fn masked(mut event: Event) -> Event {
    let exec = match &mut event {
        Event::Exec { exec, .. } => Some(exec),
        Event::Behaviour { behaviour, .. } => Some(&mut behaviour.exec),
        Event::Listen { .. } => None,
    };
    if let Some(exec) = exec {
        exec.process.args = detect::mask::arguments(&exec.process.args);
        for ancestor in &mut exec.ancestry {
            ancestor.args = detect::mask::arguments(&ancestor.args);
        }
    }
    event
}
