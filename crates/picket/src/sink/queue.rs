//! The queue between the thread that decides and the thread that writes.
//!
//! Raw events may wait for room, and may be left out when there is none; detections and coverage
//! have room of their own on top, so that a flood of events never pushes one out.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Raw events that may wait.
const EVENTS: usize = 768;
/// Anything else that may wait, on top of those.
const OTHERS: usize = 1024;

/// A bounded queue with one reader.
pub(crate) struct Queue<T> {
    state: Mutex<State<T>>,
    changed: Condvar,
}

struct State<T> {
    items: VecDeque<T>,
    /// Nothing more will come.
    closed: bool,
    /// The reader has ended.
    gone: bool,
    /// It was waited for in vain since it last took something.
    stuck: bool,
}

/// What became of an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Room {
    /// It waits to be written.
    Taken,
    /// There is no room for it.
    Full,
}

impl<T> Queue<T> {
    pub(crate) fn new() -> Self {
        let state = State { items: VecDeque::new(), closed: false, gone: false, stuck: false };
        Self { state: Mutex::new(state), changed: Condvar::new() }
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        // A panic elsewhere leaves the queue itself in order.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hands over something that must not be pushed out by events.
    pub(crate) fn push(&self, item: T) -> Room {
        self.put(item, EVENTS + OTHERS)
    }

    /// The same, waiting for room for at most `patience`; but for a reader that took nothing in that
    /// time, nobody waits again until it takes something.
    pub(crate) fn push_patiently(&self, item: T, patience: Duration) -> Room {
        let full = |state: &mut State<T>| {
            state.items.len() >= EVENTS + OTHERS && !state.gone && !state.stuck
        };
        let waited = self.changed.wait_timeout_while(self.lock(), patience, full);
        let (mut state, waited) = waited.unwrap_or_else(PoisonError::into_inner);
        state.stuck |= waited.timed_out();
        drop(state);
        self.push(item)
    }

    /// Hands over an event, waiting for room for at most `patience`.
    pub(crate) fn push_event(&self, item: T, patience: Duration) -> Room {
        let full = |state: &mut State<T>| state.items.len() >= EVENTS && !state.gone;
        let waited = self.changed.wait_timeout_while(self.lock(), patience, full);
        drop(waited.unwrap_or_else(PoisonError::into_inner));
        self.put(item, EVENTS)
    }

    fn put(&self, item: T, most: usize) -> Room {
        let mut state = self.lock();
        if state.gone || state.items.len() >= most {
            return Room::Full;
        }
        state.items.push_back(item);
        self.changed.notify_all();
        Room::Taken
    }

    /// Whether nothing waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.lock().items.is_empty()
    }

    /// The next item; `None` when there will be no more.
    pub(crate) fn pop(&self) -> Option<T> {
        let waits = |state: &mut State<T>| state.items.is_empty() && !state.closed;
        let waited = self.changed.wait_while(self.lock(), waits);
        let mut state = waited.unwrap_or_else(PoisonError::into_inner);
        state.stuck = false;
        let item = state.items.pop_front();
        drop(state);
        self.changed.notify_all();
        item
    }

    /// No more will come.
    pub(crate) fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_all();
    }

    /// The reader has ended; nothing will be written any more. Returns what was left.
    pub(crate) fn reader_gone(&self) -> usize {
        let mut state = self.lock();
        state.gone = true;
        self.changed.notify_all();
        state.items.len()
    }

    /// Waits until the reader has ended. Returns how much it left, or `Err` with how much still
    /// waits if it takes longer than `patience`.
    pub(crate) fn wait_for_reader(&self, patience: Duration) -> Result<usize, usize> {
        let waited = self.changed.wait_timeout_while(self.lock(), patience, |s| !s.gone);
        let state = waited.unwrap_or_else(PoisonError::into_inner).0;
        if state.gone { Ok(state.items.len()) } else { Err(state.items.len()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_never_push_out_anything_else() {
        let queue = Queue::new();
        let mut events = 0;
        while queue.push_event(0, Duration::ZERO) == Room::Taken {
            events += 1;
        }
        assert_eq!(events, EVENTS);
        assert_eq!(queue.push(1), Room::Taken);
        for _ in 1..OTHERS {
            assert_eq!(queue.push(1), Room::Taken);
        }
        assert_eq!(queue.push(1), Room::Full);
        // It is waited for once.
        let begun = std::time::Instant::now();
        for _ in 0..1000 {
            let room = queue.push_patiently(1, Duration::from_millis(20));
            assert_eq!(room, Room::Full);
        }
        assert!(begun.elapsed() < Duration::from_secs(10));
        assert_eq!(queue.pop(), Some(0));
        assert_eq!(queue.wait_for_reader(Duration::ZERO), Err(EVENTS + OTHERS - 1));
        queue.close();
        assert_eq!(queue.reader_gone(), EVENTS + OTHERS - 1);
        assert_eq!(queue.push(1), Room::Full);
    }
}
