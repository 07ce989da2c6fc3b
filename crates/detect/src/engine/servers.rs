//! The web servers that were recognised, remembered for what comes after: they listen, they answer,
//! they start others.

use std::collections::{HashMap, VecDeque};

use event::{
    Ancestor, Container, Exec, Listen, Listener, ProcessKey, Purpose, Record, ServerInfo, Severity,
    Stamp, Update,
};

use crate::incident::Place;
use crate::subject::Above;

/// Servers that are remembered; when there are more, those whose processes started first go, and
/// with them what is told of their children.
const REMEMBERED: usize = 4096;

/// What is remembered of a server.
pub(crate) struct Known {
    /// Its detections.
    pub(super) ids: Vec<String>,
    pub(super) severity: Severity,
    /// What it is when nothing speaks against it.
    pub(super) importance: Severity,
    pub(crate) server: ServerInfo,
    pub(super) title: String,
    pub(super) ports: Vec<u16>,
    pub(crate) listen: Vec<Listener>,
    pub(crate) container: Option<Container>,
    /// When the process started.
    pub(super) start: Stamp,
    /// It was seen answering in HTTP.
    pub(super) answered: bool,
    /// It ran before.
    pub(crate) seeded: bool,
    /// Its execution, where a recipe may ask for it when the server listens.
    pub(super) exec: Option<Box<Exec>>,
    /// Where it stands among others, once it was looked at for incidents.
    pub(crate) place: Option<Place>,
}

impl Known {
    /// An update for each detection.
    pub(super) fn updates(&self, host: &str, time: Stamp, what: &str) -> Vec<Record> {
        let update = |id: &String| {
            Record::Update(Box::new(Update {
                id: id.clone(),
                time,
                host: host.to_owned(),
                severity: self.severity,
                reasons: vec![what.to_owned()],
                server: Some(self.server.clone()),
                listen: self.listen.clone(),
                seeded: self.seeded,
                container: self.container.clone(),
                baseline: None,
                incident: None,
            }))
        };
        self.ids.iter().map(update).collect()
    }

    /// Whether it is a server, and not only one that manages it.
    pub(super) fn serves(&self) -> bool {
        self.server.purpose != Purpose::Manage
    }
}

/// All of them.
#[derive(Default)]
pub(crate) struct Servers {
    known: HashMap<ProcessKey, Known>,
    by_pid: HashMap<u32, Vec<ProcessKey>>,
    order: VecDeque<ProcessKey>,
}

impl Servers {
    pub(super) fn contains(&self, key: &ProcessKey) -> bool {
        self.known.contains_key(key)
    }

    pub(crate) fn get(&self, key: &ProcessKey) -> Option<&Known> {
        self.known.get(key)
    }

    pub(crate) fn get_mut(&mut self, key: &ProcessKey) -> Option<&mut Known> {
        self.known.get_mut(key)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.known.is_empty()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&ProcessKey, &Known)> {
        self.known.iter()
    }

    pub(super) fn remember(&mut self, key: ProcessKey, known: Known) {
        if self.known.insert(key, known).is_some() {
            return;
        }
        self.by_pid.entry(key.pid).or_default().push(key);
        self.order.push_back(key);
        if self.order.len() > REMEMBERED
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
            if let Some(keys) = self.by_pid.get_mut(&oldest.pid) {
                keys.retain(|key| *key != oldest);
                if keys.is_empty() {
                    self.by_pid.remove(&oldest.pid);
                }
            }
        }
    }

    /// The server that a listener belongs to: its process, or a parent that runs the same.
    pub(crate) fn of_listener(&self, listen: &Listen) -> Option<ProcessKey> {
        let line = std::iter::once(listen.key()).chain(listen.parents.iter().copied());
        line.into_iter().find(|key| self.contains(key))
    }

    /// The server that an ancestor is.
    fn is(&self, ancestor: &Ancestor) -> Option<(ProcessKey, &Known)> {
        if ancestor.start_boot_ns > 0 {
            let key = ancestor.key();
            return self.known.get(&key).filter(|known| known.serves()).map(|known| (key, known));
        }
        // Older recordings. Times of day are made from the kernel's, and the difference drifts.
        const CLOCKS: u64 = 500_000_000;
        let keys = self.by_pid.get(&ancestor.pid)?;
        let known = keys.iter().filter_map(|key| Some((*key, self.known.get(key)?)));
        let mut same = known.filter(|(_, known)| {
            known.start.unix_nanos().abs_diff(ancestor.start.unix_nanos()) < CLOCKS
        });
        same.find(|(_, known)| known.serves())
    }

    /// What an ancestor was recognised as.
    pub(crate) fn named(&self, ancestor: &Ancestor) -> Option<&str> {
        self.is(ancestor).map(|(_, known)| known.server.name.as_str())
    }

    /// The nearest server among ancestors.
    pub(crate) fn above<'a>(&'a self, ancestry: &'a [Ancestor]) -> Option<Above<'a>> {
        if self.known.is_empty() {
            return None;
        }
        ancestry.iter().find_map(|ancestor| {
            let (key, known) = self.is(ancestor)?;
            Some(Above { name: &known.server.name, ancestor, key, start: known.start })
        })
    }
}
