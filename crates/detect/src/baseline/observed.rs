//! What a picket saw, gathered so that somebody can accept it: out of records, or out of its memory.

use std::collections::{BTreeMap, HashMap};

use event::{Container, Detection, Record, Severity, Stamp};

use super::key::Key;
use super::seen::Memory;
use super::{Accepted, Expectations, grave};
use crate::day::Day;

/// Detections that are kept until their container has a name.
const MOST_PENDING: usize = 10_000;

/// A kind of start, and how it can be asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sighting {
    /// What.
    pub key: Key,
    /// The gravest that it was.
    pub severity: Severity,
    /// The last time.
    pub last: Stamp,
    /// How often.
    pub count: u64,
    /// Ids of its detections, as far as they are known.
    pub detections: Vec<String>,
}

/// What was seen.
#[derive(Debug, Default)]
pub struct Observed {
    sightings: BTreeMap<Key, Sighting>,
    /// Detections in containers without a name, by id.
    pending: HashMap<String, Box<Detection>>,
    /// Detections that cannot be accepted, with the reason.
    refused: Vec<(String, &'static str)>,
}

impl Observed {
    /// What a picket's memory holds.
    pub fn of_memory(memory: &Memory) -> Self {
        let mut observed = Self::default();
        for seen in memory.all() {
            let sighting = Sighting {
                key: seen.key.clone(),
                severity: seen.severity,
                last: seen.last,
                count: seen.count,
                detections: vec![seen.detection.clone()],
            };
            observed.sightings.insert(seen.key.clone(), sighting);
        }
        observed
    }

    /// Takes a record of a picket's output.
    pub fn on(&mut self, record: Record) {
        match record {
            Record::Detection(detection) => {
                let waits = detection.container.as_ref().is_some_and(|c| c.image.is_none());
                if waits && self.pending.len() < MOST_PENDING {
                    self.pending.insert(detection.id.clone(), detection);
                } else {
                    self.see(&detection);
                }
            }
            Record::Update(update) => {
                let image = |c: &Container| c.image.is_some();
                if update.container.as_ref().is_some_and(image)
                    && let Some(mut detection) = self.pending.remove(&update.id)
                {
                    detection.container = update.container;
                    self.see(&detection);
                }
            }
            Record::Coverage(_) | Record::Response(_) | Record::Event(_) => {}
        }
    }

    /// All of it, once the last record is in; and the detections that cannot be accepted.
    pub fn done(mut self) -> (Vec<Sighting>, Vec<(String, &'static str)>) {
        for detection in std::mem::take(&mut self.pending).into_values() {
            self.see(&detection);
        }
        self.refused.sort();
        (self.sightings.into_values().collect(), self.refused)
    }

    fn see(&mut self, detection: &Detection) {
        let key = match Key::of(detection) {
            Ok(key) => key,
            Err(why) => {
                self.refused.push((detection.id.clone(), why));
                return;
            }
        };
        // What a baseline or an exception lowered was as grave as its recipe says, at least.
        let own = detection.baseline.as_ref().is_some_and(|b| b.status == "expected");
        let severity = match own {
            true => detection.severity.max(detection.recipe.importance),
            false => grave(detection),
        };
        let sighting = self.sightings.entry(key.clone()).or_insert_with(|| Sighting {
            key,
            severity,
            last: detection.time,
            count: 0,
            detections: Vec::new(),
        });
        sighting.severity = sighting.severity.max(severity);
        sighting.last = sighting.last.max(detection.time);
        sighting.count += 1;
        sighting.detections.push(detection.id.clone());
    }
}

impl Accepted {
    /// Whether something that was seen is expected already, on the day it was last seen.
    pub fn expects(&self, sighting: &Sighting) -> bool {
        let today = Day::of(sighting.last);
        let ended = |until: &Option<Day>| until.as_ref().is_some_and(|until| *until < today);
        self.entries().iter().any(|entry| {
            entry.key == sighting.key && entry.up_to >= sighting.severity && !ended(&entry.until)
        })
    }
}

impl Expectations {
    /// What was seen so far.
    pub fn memory(&self) -> &Memory {
        &self.memory
    }
}
