//! Servers that ran before picket did: who listened already, and what it is.
//!
//! The hooks are on when this is asked, so that nothing falls between. What executed since then is
//! told by its execution, and left out here. What began to listen since then is told by both; an
//! address of a server is told once.

use std::collections::{BTreeMap, VecDeque};

use event::{Listen, ProcessKey};
use probe::{Clock, Probe, Reader};

use crate::examine::queue::{Found, Queue};

/// Files of so many processes are opened at a time.
const AT_ONCE: usize = 32;

/// Processes that were found listening and wait to be looked at, the eldest first.
#[derive(Default)]
pub(crate) struct Seeded {
    waiting: VecDeque<(ProcessKey, Vec<Listen>)>,
    /// The queue was told that there are no more.
    over: bool,
}

impl Seeded {
    /// Finds out who listens. The second half of the answer is what coverage must say of it.
    pub(crate) fn find(probe: &Probe) -> (Self, Vec<String>) {
        let listening = match probe.listening() {
            Ok(listening) => listening,
            Err(error) => {
                let why = format!("servers that ran before picket did are not known: {error}");
                return (Self::default(), vec![why]);
            }
        };
        let blind = listening
            .unseen
            .iter()
            .map(|pid| format!("whether process {pid} listened before is not known: not allowed"));
        let own = std::process::id();
        let mut lines: BTreeMap<_, Vec<Listen>> = BTreeMap::new();
        for listen in listening.found.iter().filter(|listen| listen.pid != own) {
            // A server's master need not listen itself. Which of a line it is, if any, their
            // files and arguments tell, the eldest first.
            for key in std::iter::once(listen.key()).chain(listen.parents.iter().copied()) {
                lines.entry((key.start_boot_ns, key.pid)).or_default().push(listen.clone());
            }
        }
        let waiting = lines
            .into_iter()
            .map(|((start_boot_ns, pid), listens)| (ProcessKey { pid, start_boot_ns }, listens));
        (Self { waiting: waiting.collect(), over: false }, blind.collect())
    }

    /// Has the next ones looked at, as far as there is room.
    pub(crate) fn go_on(&mut self, probe: &Probe, reader: &Reader<'_>, queue: &mut Queue) {
        while queue.len() < AT_ONCE
            && let Some((key, listens)) = self.waiting.pop_front()
        {
            // None: it has ended meanwhile.
            let exec = reader.recover(key.pid, key.start_boot_ns).filter(|exec| exec.seeded);
            let Some(mut exec) = exec else { continue };
            // A parent is a guess; one that shows nothing of itself is a bad one.
            if exec.file.is_none() && !listens.iter().any(|listen| listen.key() == key) {
                continue;
            }
            for listen in &listens {
                if !exec.listen.contains(&listen.listener) {
                    exec.listen.push(listen.listener.clone());
                }
            }
            // It happened long ago; what is told is that it was found.
            exec.time = probe.clock().stamp(Clock::boot_ns());
            let lasts = exec.file.is_some_and(|id| reader.lasts(&id));
            queue.found(Found { exec: Box::new(exec), listens }, lasts);
        }
        if self.waiting.is_empty() && !std::mem::replace(&mut self.over, true) {
            queue.all_found();
        }
    }

    /// Whether all were handed on.
    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }
}

impl Found {
    /// Those of its listeners that it has open itself.
    pub(crate) fn own(&self) -> impl Iterator<Item = &Listen> {
        let key = self.exec.process.key();
        self.listens.iter().filter(move |listen| listen.key() == key)
    }
}
