//! What is expected here: detections that somebody accepted become quiet, what is new says so.
//!
//! A detection is known by where it happened, what ran and who started it ([`Key`]). What was
//! accepted is a file ([`Accepted`]), what was seen is remembered ([`Memory`]), and exceptions are
//! asked last. Severity only ever falls here, and nothing disappears: a detection that is expected is
//! still a record.

mod diff;
mod entry;
mod key;
mod observed;
mod seen;
#[cfg(test)]
pub(crate) mod tests;
mod words;
mod yaml;

use std::collections::{BTreeSet, VecDeque};

use event::{Baseline, Container, Detection, Severity, Stamp};

pub use diff::{Change, diff};
pub(crate) use entry::is_sha256;
pub use entry::{Accepted, BaselineFile, Entry, MOST_ENTRIES};
pub use key::{File, Key, Script, Starter, Workload};
pub(crate) use key::{is_native, is_of_the_machine, package};
pub use observed::{Observed, Sighting};
pub use seen::{MOST_SEEN, Memory, Seen, Use};

use crate::day::Day;
use crate::exception::Exception;
use crate::words::base_name;
use key::{Covers, Same};
use words::{new_here, short};

/// Detections that wait for their container's name.
const MOST_WAITING: usize = 256;
/// Things to say that nobody has asked for yet.
const MOST_NEWS: usize = 100;

/// How a picket learns what is normal here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Learning {
    /// For how many seconds.
    pub seconds: i64,
    /// Whether what was learned is expected afterwards, though nobody accepted it.
    pub expect: bool,
}

impl Learning {
    /// When it ends, having begun then.
    pub fn until(self, began: Stamp) -> Stamp {
        let length = self.seconds.saturating_mul(1_000_000_000);
        Stamp::from_unix_nanos(began.unix_nanos().saturating_add(length))
    }
}

/// What is expected here. The default expects nothing and says nothing.
#[derive(Debug, Default)]
pub struct Expectations {
    watches: bool,
    accepted: Accepted,
    exceptions: Vec<Exception>,
    learning: Option<Learning>,
    memory: Memory,
    /// Something was noted since the memory was last taken.
    noted: bool,
    /// It was said that there is no room for more.
    said_full: bool,
    /// It was said that learning ended.
    said_end: bool,
    /// Exceptions of which it was said that they ended.
    said_ended: BTreeSet<String>,
    waiting: VecDeque<Detection>,
    news: Vec<String>,
}

/// What became of a detection once its container had a name.
#[derive(Debug, Clone, PartialEq)]
pub struct Verdict {
    /// Whether it was expected.
    pub baseline: Baseline,
    /// How serious it is.
    pub severity: Severity,
    /// Why, in words.
    pub reasons: Vec<String>,
}

/// What speaks for a detection.
struct Backing<'a> {
    key: &'a Key,
    up_to: Severity,
    entry: Option<&'a Entry>,
    count: u64,
}

/// How something that was accepted stands to a detection, the best first.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Standing {
    /// It covers it; these are the reasons.
    Covers(Vec<String>),
    /// It would, but for this.
    But(String),
}

impl Expectations {
    /// What is expected by these.
    pub fn new(accepted: Accepted, exceptions: Vec<Exception>) -> Self {
        Self { watches: true, accepted, exceptions, ..Self::default() }
    }

    /// Remembers what was seen before, and learns. `now` is when learning begins, if it has not.
    pub fn remember(&mut self, memory: Memory, learning: Option<Learning>, now: Stamp) {
        self.watches = true;
        self.memory = memory;
        self.learning = learning;
        if learning.is_some() && self.memory.began.is_none() {
            self.memory.began = Some(now);
            self.noted = true;
        }
        match self.learns_until() {
            Some(until) if now < until => self.say(format!(
                "learning until {until} what is normal here; everything is told all the same"
            )),
            _ => self.pass(now),
        }
    }

    /// Takes other files in place of those it has.
    pub fn replace(&mut self, accepted: Accepted, exceptions: Vec<Exception>) {
        self.watches = true;
        self.accepted = accepted;
        self.exceptions = exceptions;
    }

    /// Time passes: what ends is said.
    pub fn pass(&mut self, time: Stamp) {
        let today = Day::of(time);
        let ended = |e: &&Exception| e.until < today;
        let mut ended: Vec<String> = self
            .exceptions
            .iter()
            .filter(ended)
            .map(|e| e.name.clone())
            .filter(|name| !self.said_ended.contains(name))
            .collect();
        for name in ended.drain(..) {
            self.say(format!("exception {name} has ended: renew it, or remove it"));
            self.said_ended.insert(name);
        }
        let over = self.learns_until().is_some_and(|until| time >= until);
        if over && !std::mem::replace(&mut self.said_end, true) {
            let learned = self.memory.learned().count();
            let what = match self.learning.is_some_and(|learning| learning.expect) {
                true => "they are expected from now on",
                false => "none is expected before somebody accepts it: picket baseline accept",
            };
            self.say(format!("learning has ended, {learned} kinds of starts were seen: {what}"));
        }
    }

    /// Says of a new detection whether it was expected here.
    pub fn judge(&mut self, detection: &mut Detection) {
        if !self.watches {
            return;
        }
        self.pass(detection.time);
        // Names of containers come later.
        let waits = detection.container.as_ref().is_some_and(|c| c.image.is_none());
        let before = waits.then(|| detection.clone());
        match Key::of(detection) {
            Ok(key) => self.weigh_and_note(detection, &key),
            Err(why) => {
                detection.baseline = Some(unknown());
                detection.reasons.push(format!("new here: {why}"));
            }
        }
        self.except(detection, true);
        if let Some(before) = before {
            if self.waiting.len() >= MOST_WAITING {
                self.waiting.pop_front();
            }
            self.waiting.push_back(before);
        }
    }

    /// The container of an earlier detection has names now. What follows, if that changes anything.
    pub fn named(&mut self, id: &str, container: &Container) -> Option<Verdict> {
        let at = self.waiting.iter().position(|detection| detection.id == id)?;
        container.image.as_ref()?;
        let mut detection = self.waiting.remove(at)?;
        detection.reasons.clear();
        let mut earlier = detection.clone();
        if let Ok(key) = Key::of(&earlier) {
            self.weigh(&mut earlier, &key, 0);
            self.memory.take_back(&key);
        }
        self.except(&mut earlier, false);
        detection.container = Some(container.clone());
        if let Ok(key) = Key::of(&detection) {
            self.weigh_and_note(&mut detection, &key);
        }
        self.except(&mut detection, true);
        let verdict = Verdict {
            baseline: detection.baseline?,
            severity: detection.severity,
            reasons: detection.reasons,
        };
        let same = earlier.severity == verdict.severity
            && earlier.baseline.is_some_and(|b| b.status == verdict.baseline.status);
        (!same).then_some(verdict)
    }

    /// What there is to say since this was last asked.
    pub fn take_news(&mut self) -> Vec<String> {
        std::mem::take(&mut self.news)
    }

    /// What was seen, if anything was since this was last asked.
    pub fn take_memory(&mut self) -> Option<String> {
        std::mem::take(&mut self.noted).then(|| self.memory.to_lines())
    }

    fn learns_until(&self) -> Option<Stamp> {
        Some(self.learning?.until(self.memory.began?))
    }

    fn say(&mut self, news: String) {
        if self.news.len() < MOST_NEWS {
            self.news.push(news);
        }
    }

    /// The same as `weigh`, and remembers the detection.
    fn weigh_and_note(&mut self, detection: &mut Detection, key: &Key) {
        let severity = grave(detection);
        let count = self.memory.get(key).map_or(0, |seen| seen.count);
        self.weigh(detection, key, count);
        let learning = self.learns_until().is_some_and(|until| detection.time < until);
        self.memory.note(key, severity, detection.time, &detection.id, learning);
        self.noted = true;
        let forgets = self.memory.forgets();
        if forgets && !std::mem::replace(&mut self.said_full, true) {
            self.say(format!(
                "more than {MOST_SEEN} kinds of starts were seen: those not seen for longest are \
                 forgotten, and will be new when they come again"
            ));
        }
    }

    /// Sets the status of a detection, and what follows from it.
    fn weigh(&self, detection: &mut Detection, key: &Key, count: u64) {
        let status = match self.standing(detection, key) {
            Some(Standing::Covers(reasons)) => {
                detection.severity = Severity::Info;
                detection.reasons.extend(reasons);
                "expected"
            }
            but => {
                detection.reasons.push(match but {
                    Some(Standing::But(why)) => format!("new here: {why}"),
                    _ => new_here(key, count, &self.accepted, &self.memory),
                });
                match self.learns_until() {
                    Some(until) if detection.time < until => {
                        detection.reasons.push(format!("learning until {until} what is normal"));
                        "learning"
                    }
                    _ => "new",
                }
            }
        };
        detection.baseline =
            Some(Baseline { status: status.to_owned(), seen: count, key: key.id() });
    }

    /// The best that was accepted, or learned, and concerns a detection.
    fn standing(&self, detection: &Detection, key: &Key) -> Option<Standing> {
        let accepted = self.accepted.of(key).iter().map(|entry| Backing {
            key: &entry.key,
            up_to: entry.up_to,
            entry: Some(entry),
            count: 0,
        });
        let over = self.learns_until().is_some_and(|until| detection.time >= until);
        let counts = over && self.learning.is_some_and(|learning| learning.expect);
        let learned = self.memory.learned().filter(|_| counts).map(|(seen, up_to)| Backing {
            key: &seen.key,
            up_to,
            entry: None,
            count: seen.count,
        });
        accepted.chain(learned).filter_map(|backing| backing.stands(detection, key)).min()
    }

    /// Applies exceptions, and says which.
    fn except(&mut self, detection: &mut Detection, counts: bool) {
        let today = Day::of(detection.time);
        let mut used = Vec::new();
        for exception in &self.exceptions {
            match exception.covers(detection) {
                Ok(false) => {}
                Ok(true) if exception.until < today => detection.reasons.push(format!(
                    "exception {} would cover this and ended on {}",
                    exception.name, exception.until
                )),
                Ok(true) => {
                    detection.severity = Severity::Info;
                    detection.reasons.push(format!(
                        "exception {} of {}, until {}: {}",
                        exception.name, exception.by, exception.until, exception.reason
                    ));
                    used.push(exception.name.clone());
                }
                Err(why) => detection
                    .reasons
                    .push(format!("exception {} does not count: {why}", exception.name)),
            }
        }
        for name in used.into_iter().filter(|_| counts) {
            self.memory.note_use(&name, detection.time);
            self.noted = true;
        }
    }
}

impl Backing<'_> {
    /// How this stands to a detection; nothing if it concerns something else.
    fn stands(&self, detection: &Detection, key: &Key) -> Option<Standing> {
        let own = self.key;
        if (&own.recipe, &own.server, &own.launcher) != (&key.recipe, &key.server, &key.launcher) {
            return None;
        }
        let covers = own.workload.covers(&key.workload);
        if covers == Covers::No {
            return None;
        }
        let by = match self.entry {
            Some(entry) => format!("accepted by {} on {}: {}", entry.by, entry.on, entry.why),
            None => format!("seen {} times, learned and accepted by nobody", self.count),
        };
        let but = |why: String| Some(Standing::But(format!("{why} ({by})")));
        let mut reasons = Vec::new();
        match own.file.compare(&key.file) {
            Same::Yes => {}
            Same::Upgrade { package, from, to } => {
                reasons.push(format!("upgrade of {package} from {from} to {to}"));
            }
            // Another program, that happens to be started by the same.
            Same::No if base_name(&own.file.path) != base_name(&key.file.path) => return None,
            Same::No => {
                let [old, new] = [&own.file, &key.file].map(|f| short(f.sha256.as_deref()));
                return but(format!(
                    "the file is not the one that was accepted: {} is {new}, not {old}",
                    key.file.path
                ));
            }
        }
        let sha256 = |script: &Option<Script>| script.as_ref().map(|s| s.sha256.clone());
        if sha256(&own.script) != sha256(&key.script) {
            return but("what it was given to run is not what was accepted".to_owned());
        }
        if (&own.command, &own.command_sha256) != (&key.command, &key.command_sha256) {
            return but("its arguments, which are what it runs, are not those that were accepted"
                .to_owned());
        }
        if let Some(until) = self.entry.and_then(|entry| entry.until.as_ref())
            && *until < Day::of(detection.time)
        {
            return but(format!("what was accepted ended on {until}"));
        }
        let severity = grave(detection);
        if severity > self.up_to {
            return but(format!(
                "graver than what was accepted, {severity} and not {}",
                self.up_to
            ));
        }
        reasons.push(format!("expected here: {by}"));
        if covers == Covers::IfImage
            && let Some(image) = &own.workload.image
        {
            reasons.push(format!("if its container's image is {image}, which is not known yet"));
        }
        Some(Standing::Covers(reasons))
    }
}

/// How grave a detection is by itself. What ran before is told quietly, and will start again.
fn grave(detection: &Detection) -> Severity {
    match detection.seeded {
        true => detection.severity.max(detection.recipe.importance),
        false => detection.severity,
    }
}

/// Of what has no identity.
fn unknown() -> Baseline {
    Baseline { status: "new".to_owned(), seen: 0, key: String::new() }
}
