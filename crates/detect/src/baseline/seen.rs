//! What was seen, and how often: the memory behind a baseline. Bounded, and written as lines of JSON
//! that another picket, or a person, can read.

use std::collections::{BTreeMap, HashMap};

use event::{Severity, Stamp};
use serde::{Deserialize, Serialize};

use super::key::Key;

/// Kinds of starts that are remembered; what was not seen for longest goes first. Then it is new
/// again, which is the safe side.
pub const MOST_SEEN: usize = 2000;
/// Exceptions whose uses are counted.
const MOST_USES: usize = 1000;

/// One kind of start.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// What.
    pub key: Key,
    /// The gravest that it was.
    pub severity: Severity,
    /// The first time.
    pub first: Stamp,
    /// The last time.
    pub last: Stamp,
    /// How often.
    pub count: u64,
    /// How grave it was while picket was learning; absent if it was not seen then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub learned: Option<Severity>,
    /// The last detection of it.
    pub detection: String,
}

/// How often an exception was used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Use {
    /// How often.
    pub count: u64,
    /// The last time.
    pub last: Stamp,
}

/// A line of the memory.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Line {
    /// When learning began.
    Began(Stamp),
    /// Something was seen.
    Seen(Box<Seen>),
    /// An exception was used.
    Used { exception: String, count: u64, last: Stamp },
}

/// All that was seen.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Memory {
    /// When picket began to learn.
    pub began: Option<Stamp>,
    seen: HashMap<Key, Seen>,
    /// Exceptions by name.
    uses: BTreeMap<String, Use>,
    /// Something was forgotten.
    forgets: bool,
}

impl Memory {
    /// What lines say. Those that cannot be read are left out and counted.
    pub fn read(text: &str) -> (Self, usize) {
        let mut memory = Self::default();
        let mut bad = 0;
        for line in text.lines().filter(|line| !line.trim().is_empty()) {
            match serde_json::from_str(line) {
                Ok(Line::Began(time)) => memory.began = Some(time),
                Ok(Line::Seen(seen)) if memory.seen.len() < MOST_SEEN => {
                    memory.seen.insert(seen.key.clone(), *seen);
                }
                Ok(Line::Used { exception, count, last }) if memory.uses.len() < MOST_USES => {
                    memory.uses.insert(exception, Use { count, last });
                }
                Ok(_) | Err(_) => bad += 1,
            }
        }
        (memory, bad)
    }

    /// The same as lines, in a fixed order.
    pub fn to_lines(&self) -> String {
        let uses = self.uses.iter().map(|(exception, used)| Line::Used {
            exception: exception.clone(),
            count: used.count,
            last: used.last,
        });
        let seen = self.all().into_iter().map(|seen| Line::Seen(Box::new(seen.clone())));
        let lines = self.began.map(Line::Began).into_iter().chain(uses).chain(seen);
        let mut out = String::new();
        for line in lines {
            out.push_str(&serde_json::to_string(&line).unwrap_or_default());
            out.push('\n');
        }
        out
    }

    /// Everything, sorted.
    pub fn all(&self) -> Vec<&Seen> {
        let mut all: Vec<&Seen> = self.seen.values().collect();
        all.sort_by(|a, b| a.key.cmp(&b.key));
        all
    }

    /// Everything by its key, in any order.
    pub(super) fn keys(&self) -> impl Iterator<Item = &Key> {
        self.seen.keys()
    }

    /// How often an exception was used.
    pub fn used(&self, exception: &str) -> Option<&Use> {
        self.uses.get(exception)
    }

    /// What is remembered of a kind of start.
    pub fn get(&self, key: &Key) -> Option<&Seen> {
        self.seen.get(key)
    }

    /// Everything that was learned.
    pub(super) fn learned(&self) -> impl Iterator<Item = (&Seen, Severity)> {
        self.seen.values().filter_map(|seen| Some((seen, seen.learned?)))
    }

    /// Counts a start.
    pub(super) fn note(
        &mut self,
        key: &Key,
        severity: Severity,
        time: Stamp,
        detection: &str,
        learning: bool,
    ) {
        if !self.seen.contains_key(key) && self.seen.len() >= MOST_SEEN {
            self.forget_oldest();
        }
        let seen = self.seen.entry(key.clone()).or_insert_with(|| Seen {
            key: key.clone(),
            severity,
            first: time,
            last: time,
            count: 0,
            learned: None,
            detection: String::new(),
        });
        seen.count = seen.count.saturating_add(1);
        seen.last = seen.last.max(time);
        seen.severity = seen.severity.max(severity);
        detection.clone_into(&mut seen.detection);
        if learning {
            seen.learned = seen.learned.max(Some(severity));
        }
    }

    /// Counts a use of an exception.
    pub(super) fn note_use(&mut self, exception: &str, time: Stamp) {
        if let Some(used) = self.uses.get_mut(exception) {
            used.count = used.count.saturating_add(1);
            used.last = used.last.max(time);
        } else if self.uses.len() < MOST_USES {
            self.uses.insert(exception.to_owned(), Use { count: 1, last: time });
        }
    }

    /// Takes a start back: it is known better now, and counted again.
    pub(super) fn take_back(&mut self, key: &Key) {
        if let Some(seen) = self.seen.get_mut(key) {
            seen.count = seen.count.saturating_sub(1);
            if seen.count == 0 {
                self.seen.remove(key);
            }
        }
    }

    /// Whether there was no room for all.
    pub(super) fn forgets(&self) -> bool {
        self.forgets
    }

    fn forget_oldest(&mut self) {
        let oldest = self.seen.values().min_by(|a, b| (a.last, &a.key).cmp(&(b.last, &b.key)));
        if let Some(key) = oldest.map(|seen| seen.key.clone()) {
            self.seen.remove(&key);
            self.forgets = true;
        }
    }
}
