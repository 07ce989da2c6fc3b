//! What runs, listed in one place: probe → examine → engine → sink, with signals and coverage
//! beside it.

mod beside;
mod losses;

use std::collections::VecDeque;
use std::io::Write;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use detect::engine::Engine;
use detect::plan::Verdict;
use event::{Behaviour, Event, Exec, Listen, Record, Stamp, State};
use probe::{Clock, Probe, Reader, Seen};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::AsFd;

use crate::canary::Canary;
use crate::config::Config;
use crate::coverage::{Owner, Watch};
use crate::examine::Examiner;
use crate::examine::queue::{Arrived, Found, Queue};
use crate::expected;
use crate::gate::scope::Watches;
use crate::host;
use crate::names::Names;
use crate::privilege;
use crate::ready::Ready;
use crate::seeded::Seeded;
use crate::signals::Signals;
use crate::sink::{self, Item, Room, Sink, Style};
use crate::state::Keeper;
use crate::trees::{self, Trees};
use crate::users::Users;

/// Counters are looked at this often.
const TICK: Duration = Duration::from_secs(1);
/// How long an event may wait for room before the signals are looked at again.
const PATIENCE: Duration = Duration::from_millis(100);
/// How long a detection may wait for a reader that takes nothing. It waits once, see the queue.
const READER_PATIENCE: Duration = Duration::from_secs(1);
/// Executions of packed programs that are kept until they listen.
const MOST_PACKED: usize = 256;
/// How long files may be read after the end was asked for.
const LAST_LOOKS: Duration = Duration::from_secs(2);
/// How often what was seen is written down.
const KEEPING: Duration = Duration::from_secs(10);

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
    /// A gate reads what is written, and this is what it watches.
    pub(crate) beside: Option<Watches>,
}

struct Pipeline<'p> {
    probe: &'p Probe,
    reader: Reader<'p>,
    queue: Queue,
    engine: Engine,
    sink: Sink,
    signals: Signals,
    users: Users,
    names: Names,
    host: String,
    plan: Plan,
    /// The end was asked for.
    ending: bool,
    /// It was said that answers cannot be heard.
    said_deaf: bool,
    /// Executions of packed programs, the latest.
    packed: VecDeque<Exec>,
    canary: Canary,
    systemd: Ready,
    /// Who listened before, and was not looked at yet.
    seeded: Seeded,
    /// Where servers are, of whose descendants the kernel must tell.
    trees: Trees,
    coverage: Watch,
    /// Why recipes or catalogue files are not in force.
    disabled: Vec<String>,
    config: Config,
    /// It was said how much is seen.
    ready: bool,
    /// Events wait that could go on.
    behind: bool,
    /// Who keeps what was seen, and when it was last asked to.
    keeper: Option<(Keeper, Instant)>,
    /// What the first canary could not prove.
    unproved: Vec<String>,
}

/// Watches until asked to end.
///
/// `disabled` says which rules are not in force; coverage cannot be full without them.
pub(crate) fn run(
    config: &Config,
    (mut engine, disabled): (Engine, Vec<String>),
    plan: Plan,
    out: impl Write + Send + 'static,
) -> Result<()> {
    let signals = Signals::catch()?;
    let options = probe::Options {
        everything: plan.everything,
        ring_bytes: config.ring_bytes,
        processes: config.processes,
        files: config.files,
        trees: trees::CLEARED,
    };
    let canary = Canary::new(config.canary_seconds)?;
    let mut probe = Probe::load(&options, &engine.plan())?;
    let started = Clock::boot_ns();
    probe.attach()?;
    let reader = probe.reader()?;
    let systemd = Ready::connect();
    let (seeded, blind) = Seeded::find(&probe);
    let blind = [blind, privilege::blind(&probe)].concat();
    let (expectations, store) = match plan.detections {
        true => expected::with_memory(config)?,
        false => Default::default(),
    };
    *engine.expectations() = expectations;
    // All is open. What follows, and every thread, does without privileges.
    privilege::give_up_loudly(config, canary.program())?;
    let sink = Sink::start(out, plan.style)?;
    let examiner = Examiner::start(Arc::clone(engine.catalogue()), engine.environment())?;
    let queue = Queue::new(examiner);
    let keeper = store.map(Keeper::start).transpose()?;
    let mut pipeline = Pipeline {
        probe: &probe,
        reader,
        queue,
        engine,
        sink,
        signals,
        users: Users::default(),
        names: Names::start(config)?,
        host: config.host.clone().unwrap_or_else(host::name),
        plan,
        ending: false,
        said_deaf: false,
        packed: VecDeque::new(),
        seeded,
        trees: Trees::default(),
        canary,
        systemd,
        coverage: Watch::new(started, blind),
        disabled: Vec::new(),
        config: config.clone(),
        ready: false,
        behind: false,
        keeper: keeper.map(|keeper| (keeper, Instant::now())),
        unproved: Vec::new(),
    };
    pipeline.disable(disabled);
    let watched = pipeline.watch();
    let last = pipeline.say_goodbye();
    pipeline.look_at_expectations();
    if let Some((keeper, _)) = pipeline.keeper.take() {
        keeper.finish(pipeline.engine.expectations().take_memory());
    }
    let written = pipeline.sink.finish_soon();
    written.and(watched).and(last)
}

impl Pipeline<'_> {
    fn watch(&mut self) -> Result<()> {
        if !self.wait_for_canary()? {
            return Ok(());
        }
        let measure = self.measure()?;
        self.coverage.begin(measure);
        self.introduce()?;
        self.say_coverage()?;
        self.ready = true;
        let reasons = self.coverage.reasons().join("; ");
        match self.coverage.state() {
            State::Full => sink::log("watching, coverage full"),
            state => sink::log(&format!("watching, coverage {state}: {reasons}")),
        }
        self.systemd.say();
        let mut next = Instant::now() + TICK;
        while !self.wait(if self.behind {
            Duration::ZERO
        } else {
            next.saturating_duration_since(Instant::now())
        })? {
            self.drain()?;
            if Instant::now() >= next {
                next = Instant::now() + TICK;
                self.probe.clock().refresh();
                self.check_coverage()?;
                self.look_at_expectations();
            }
        }
        self.see_out()?;
        // What happened before the signal still counts.
        while self.drain()? > 0 || self.behind {}
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

    /// Waits until it is known what the first canary proves. Says false when asked to end meanwhile.
    fn wait_for_canary(&mut self) -> Result<bool> {
        self.canary.want();
        // It flies at once, not when something else happens.
        self.drain()?;
        while self.coverage.is_unproved() {
            if self.wait(TICK)? {
                return Ok(false);
            }
            self.drain()?;
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
        let landed = self.canary.fd();
        // When too much waits to be examined, the rings have to wait as well.
        let rings = if self.queue.is_full() { PollFlags::empty() } else { PollFlags::IN };
        let mut fds = [
            PollFd::new(&execs, rings),
            PollFd::new(&listens, rings),
            PollFd::new(&examined, PollFlags::IN),
            PollFd::new(&landed, PollFlags::IN),
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
        let [_, _, _, _, failed, signals, stdout] = fds.map(|fd| fd.revents());
        self.ending |= signals.contains(PollFlags::IN) && self.signals.came();
        if self.signals.hung_up() {
            self.reload()?;
            self.canary.want();
            expected::reload(&self.config, self.engine.expectations());
        }
        if self.ending {
            return Ok(true);
        }
        if self.plan.to_stdout && stdout.contains(PollFlags::ERR) {
            anyhow::bail!(sink::READER_GONE);
        }
        Ok(failed.contains(PollFlags::IN))
    }

    /// Reads the recipes again. Those in force stay if anything is wrong with the new ones.
    fn reload(&mut self) -> Result<()> {
        match crate::cmd::recipes_again(&self.config) {
            Ok(recipes) => {
                let count = recipes.len();
                self.engine.replace_recipes(recipes);
                self.probe.replan(&self.engine.plan())?;
                self.disabled.clear();
                self.disable(Vec::new());
                sink::log(&format!("recipes reloaded: {count} are in force"));
            }
            Err(error) => sink::log(&format!(
                "recipes not reloaded, the former ones stay in force: {error:#}"
            )),
        }
        Ok(())
    }

    /// Notes why further rules are not in force.
    fn disable(&mut self, why: Vec<String>) {
        self.disabled.extend(why);
        self.coverage.set(Owner::Rules, self.disabled.clone());
    }

    fn drain(&mut self) -> Result<usize> {
        self.seeded.go_on(self.probe, &self.reader, &mut self.queue);
        let mut seen = Vec::new();
        let mut count = 0;
        let reads = !self.queue.is_full();
        if reads {
            count = self.reader.drain(|one| seen.push(one))?;
        }
        for one in seen {
            match one {
                Seen::Exec { exec, ask } => {
                    if !self.canary.is_own_exec(&exec, self.probe) {
                        let lasts = exec.file.is_some_and(|id| self.reader.lasts(&id));
                        self.queue.exec(exec, ask, lasts);
                    }
                }
                Seen::Listen(listen) if self.canary.is_own_listener(&listen) => {}
                Seen::Listen(listen) => self.queue.listen(listen),
                Seen::Answer(answer) => self.queue.answer(answer),
                Seen::Connect(connect) => self.queue.connect(connect),
            }
        }
        // A slow reader of stdout must not keep it from looking at anything else.
        let until = Instant::now() + TICK;
        self.behind = false;
        while let Some(arrived) = self.queue.next()? {
            self.deliver(arrived)?;
            self.behind = Instant::now() >= until;
            if self.behind {
                break;
            }
        }
        while !self.seeded.is_empty() && self.queue.is_empty() {
            self.seeded.go_on(self.probe, &self.reader, &mut self.queue);
            while let Some(arrived) = self.queue.next()? {
                self.deliver(arrived)?;
            }
        }
        self.tell_names();
        self.look_at_canary(reads && self.reader.caught_up())?;
        Ok(count)
    }

    /// Lets the canary fly when it is time, and draws the conclusions.
    fn look_at_canary(&mut self, caught_up: bool) -> Result<()> {
        let lost = self.coverage.lost_in_kernel();
        if let Some(outcome) = self.canary.look(caught_up, lost, self.probe) {
            self.coverage.judge(&outcome);
            if self.ready {
                self.check_coverage()?;
            }
        }
        Ok(())
    }

    /// Says what is new of expectations, and has what was seen kept.
    fn look_at_expectations(&mut self) {
        let now = self.probe.clock().stamp(Clock::boot_ns());
        let expectations = self.engine.expectations();
        expectations.pass(now);
        for news in expectations.take_news() {
            sink::log(&news);
        }
        if let Some((keeper, last)) = &mut self.keeper
            && last.elapsed() >= KEEPING
        {
            *last = Instant::now();
            keeper.keep(expectations.take_memory());
        }
    }

    /// Says what containers are called, where that is known by now.
    fn tell_names(&mut self) {
        while let Some(named) = self.names.told() {
            let time = self.probe.clock().stamp(Clock::boot_ns());
            let host = self.host.clone();
            for record in self.engine.named(&host, time, named.key, &named.container) {
                self.sink.send(Item { record, boot_ns: None }, PATIENCE);
            }
        }
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
            Arrived::Found(found) => return self.deliver_found(*found),
            Arrived::Listen(mut listen) => {
                listen.may_serve = self.look_closer(&listen);
                let boot_ns = Some(self.boot_ns_of(listen.time));
                (Event::Listen { host, listen: *listen }, boot_ns)
            }
            Arrived::Answer(answer) => {
                if let Some(exec) = self.execution_of(&answer.listen) {
                    self.look(exec, &answer.listen, answer.time, Some(answer.protocol));
                }
                return Ok(());
            }
            Arrived::Behaviour(mut behaviour) => {
                let process = &mut behaviour.exec.process;
                process.user = self.users.name(process);
                (Event::Behaviour { host, behaviour }, None)
            }
            Arrived::Connect(connect) if !self.trees.concerns(&self.engine, &connect) => {
                return Ok(());
            }
            Arrived::Connect(connect) => {
                let boot_ns = Some(self.boot_ns_of(connect.time));
                (Event::Connect { host, connect }, boot_ns)
            }
            Arrived::AllFound => return self.trees.begin(self.probe, &self.engine),
        };
        self.tell(event, boot_ns)
    }

    /// A process that was found listening: a server that is known by now, or one that is told of,
    /// or somebody to watch.
    fn deliver_found(&mut self, mut found: Found) -> Result<()> {
        let process = &mut found.exec.process;
        process.user = self.users.name(process);
        let known = |listen: &Listen| self.has_told(listen);
        let itself = self.plan.detections && self.engine.knows_process(process.key());
        if !itself && !found.own().any(known) {
            let (host, exec) = (self.host.clone(), found.exec.clone());
            self.tell(Event::Exec { host, exec }, None)?;
        }
        // Does nothing about those that are known now.
        for listen in found.own() {
            self.look_closer(listen);
        }
        Ok(())
    }

    fn tell(&mut self, event: Event, boot_ns: Option<u64>) -> Result<()> {
        // Once the end was asked for, nobody is waited for.
        let [long, short] = match self.ending {
            true => [Duration::ZERO; 2],
            false => [READER_PATIENCE, PATIENCE],
        };
        let mut full = false;
        let records = self.engine.on(&event);
        self.trees.judge(self.probe, &self.engine, &event)?;
        if self.plan.detections {
            for record in records {
                self.names.ask(&record);
                full |= self.sink.send(Item { record, boot_ns }, long) == Room::Full;
            }
            for name in self.engine.take_failed() {
                let why = format!("recipe {name} is disabled: it took too long on an event");
                sink::log(&why);
                self.disable(vec![why]);
            }
        }
        if self.plan.events {
            let record = Record::Event(Box::new(masked(event)));
            full |= self.sink.send_event(Item { record, boot_ns }, short) == Room::Full;
        }
        if full {
            self.ending |= self.signals.came();
        }
        Ok(())
    }

    /// Whether a detection was written of a process that listens, or of one of its parents.
    fn has_told(&self, listen: &Listen) -> bool {
        self.plan.detections && self.engine.knows(listen)
    }

    /// A listener of a process that nobody recognised is worth a second look, into its memory and
    /// at what it answers. Says whether it may be a server.
    fn look_closer(&mut self, listen: &Listen) -> bool {
        let own = Some(listen.pid) == self.canary.own();
        if own || self.has_told(listen) {
            return false;
        }
        if let Err(error) = self.reader.suspect(listen) {
            self.deaf(&error.to_string());
        }
        let Some(exec) = self.execution_of(listen) else { return false };
        let may_serve = self.engine.catalogue().may_serve(&exec);
        self.look(exec, listen, listen.time, None);
        may_serve
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
            self.queue.cut(exec);
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

    fn look(&mut self, exec: Exec, listen: &Listen, time: Stamp, answered: Option<String>) {
        let at = self.boot_ns_of(listen.time);
        self.queue.look(
            at,
            Box::new(Behaviour {
                time,
                exec: Box::new(exec),
                parents: listen.parents.clone(),
                listener: listen.listener.clone(),
                answered,
                mapped: Vec::new(),
            }),
        );
    }

    /// A time of day as boot time.
    fn boot_ns_of(&self, time: Stamp) -> u64 {
        let now = Clock::boot_ns();
        let age = self.probe.clock().stamp(now).unix_nanos() - time.unix_nanos();
        now.saturating_sub(u64::try_from(age).unwrap_or_default())
    }

    /// Says once that answers cannot be heard.
    fn deaf(&mut self, why: &str) {
        if !std::mem::replace(&mut self.said_deaf, true) {
            sink::log(&format!("servers that nobody knows are not found by their answers: {why}"));
        }
    }
}

/// An event with the secrets in its arguments masked: this is where it leaves the process.
fn masked(mut event: Event) -> Event {
    let exec = match &mut event {
        Event::Exec { exec, .. } => Some(exec),
        Event::Behaviour { behaviour, .. } => Some(&mut behaviour.exec),
        Event::Listen { .. } | Event::Connect { .. } => None,
    };
    if let Some(exec) = exec {
        exec.process.args = detect::mask::arguments(&exec.process.args);
        for ancestor in &mut exec.ancestry {
            ancestor.args = detect::mask::arguments(&ancestor.args);
        }
    }
    event
}
