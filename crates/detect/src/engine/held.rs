//! Listeners that may turn out to be web servers, and what happened below them meanwhile.
//!
//! A server that is known by its answers only is recognised once it has answered. What the very
//! first request made it start came before, when nobody was known to be above it. So that is held,
//! and judged again.

use std::collections::{HashSet, VecDeque};

use event::{Event, ProcessKey};

/// Listeners that are kept in mind; the oldest go first.
const MOST: usize = 256;
/// Events that are held for all of them; the oldest go first.
const MOST_EVENTS: usize = 512;

#[derive(Default)]
pub(super) struct Held {
    listeners: HashSet<ProcessKey>,
    order: VecDeque<ProcessKey>,
    events: VecDeque<Event>,
}

impl Held {
    /// Somebody listens who may be a server.
    pub(super) fn suspect(&mut self, key: ProcessKey) {
        if !self.listeners.insert(key) {
            return;
        }
        self.order.push_back(key);
        if self.order.len() > MOST
            && let Some(oldest) = self.order.pop_front()
        {
            self.listeners.remove(&oldest);
        }
    }

    pub(super) fn contains(&self, key: ProcessKey) -> bool {
        self.listeners.contains(&key)
    }

    /// Keeps what happened below such a listener.
    pub(super) fn keep(&mut self, event: &Event) {
        if self.listeners.is_empty() || !parents(event).any(|key| self.contains(key)) {
            return;
        }
        if self.events.len() >= MOST_EVENTS {
            self.events.pop_front();
        }
        self.events.push_back(event.clone());
    }

    /// What happened below one of them, which is a server after all.
    pub(super) fn take(&mut self, server: ProcessKey) -> Vec<Event> {
        if !self.listeners.remove(&server) {
            return Vec::new();
        }
        self.order.retain(|key| *key != server);
        let all = std::mem::take(&mut self.events);
        let (below, others) =
            all.into_iter().partition(|event| parents(event).any(|key| key == server));
        self.events = others;
        Vec::from(below)
    }
}

/// The processes above the one of an event.
fn parents(event: &Event) -> Box<dyn Iterator<Item = ProcessKey> + '_> {
    match event {
        Event::Exec { exec, .. } => Box::new(exec.ancestry.iter().map(event::Ancestor::key)),
        Event::Connect { connect, .. } => Box::new(connect.parents.iter().copied()),
        Event::Listen { .. } | Event::Behaviour { .. } => Box::new(std::iter::empty()),
    }
}
