//! What counts: which processes are of the job under watch.

use std::collections::HashSet;

use clap::ValueEnum;
use event::{Ancestor, Detection, ProcessKey};
use probe::home;

/// How the job is told from the rest of the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Watches {
    /// What descends from the sensor's parent.
    Below,
    /// What began after the sensor's parent, but for what others start that ran before.
    Since,
}

/// Which processes are of the job.
#[derive(Debug, Clone)]
pub(crate) enum Scope {
    /// Those that descend from this process.
    Below,
    /// Those that began after a gate was opened.
    Since(Since),
}

/// A gate that was opened at some time by somebody.
#[derive(Debug, Clone, Default)]
pub(crate) struct Since {
    /// When who opened it began, in boot time.
    began: u64,
    /// Who opened it, and those that he descends from.
    above: HashSet<ProcessKey>,
}

impl Scope {
    /// Whether a detection is of the job.
    pub(crate) fn counts(&self, detection: &Detection) -> bool {
        match self {
            Self::Below => is_below(detection),
            Self::Since(since) => {
                let parents = detection.ancestry.iter();
                let parents =
                    parents.map(|a| ProcessKey { pid: a.pid, start_boot_ns: a.start_boot_ns });
                since.counts(std::iter::once(detection.process.key()).chain(parents))
            }
        }
    }
}

impl Scope {
    /// How many of those that a detection descends from, nearest first, are of the job.
    pub(crate) fn own(&self, ancestry: &[Ancestor]) -> usize {
        let is_above = |a: &Ancestor| match self {
            Self::Below => home::is_self(a.pid, a.start_boot_ns, &a.comm),
            Self::Since(since) => {
                let key = ProcessKey { pid: a.pid, start_boot_ns: a.start_boot_ns };
                key.start_boot_ns < since.began || since.above.contains(&key)
            }
        };
        ancestry.iter().position(is_above).unwrap_or(ancestry.len())
    }
}

impl Since {
    /// Opened by the first of these, who descends from the others.
    pub(crate) fn new(above: &[ProcessKey]) -> Self {
        let began = above.first().map_or(0, |opener| opener.start_boot_ns);
        Self { began, above: above.iter().copied().collect() }
    }

    /// Whether a process counts, given before those that it descends from, nearest first: the first
    /// that is older than the gate decides. Where none of them is known, who hides behind many parents
    /// does not come free.
    pub(crate) fn counts(&self, mut chain: impl Iterator<Item = ProcessKey>) -> bool {
        let older = chain.find(|one| one.start_boot_ns < self.began || self.above.contains(one));
        older.is_none_or(|older| self.above.contains(&older))
    }
}

/// Whether a detection is of what this process started. The sensor itself executes nothing that is
/// told of, so that this is the command.
///
/// A chain that does not reach so far up is taken for the command's if all of it is younger than this
/// process: who hides behind many parents does not come free.
fn is_below(detection: &Detection) -> bool {
    let ancestry = &detection.ancestry;
    if ancestry.iter().any(|a| home::is_self(a.pid, a.start_boot_ns, &a.comm)) {
        return true;
    }
    let farthest = ancestry.last().map_or(detection.process.start_boot_ns, |a| a.start_boot_ns);
    detection.ancestry_truncated && home::is_younger(farthest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_that_is_older_decides() {
        let key = |pid, start_boot_ns| ProcessKey { pid, start_boot_ns };
        let [init, cron, runner, opener] = [key(1, 1), key(20, 20), key(30, 30), key(40, 40)];
        let since = Since::new(&[opener, runner, init]);
        let counts = |chain: &[ProcessKey]| since.counts(chain.iter().copied());
        let (step, server) = (key(50, 50), key(60, 60));
        assert!(counts(&[server, step, runner, init]), "a step of the same runner");
        assert!(counts(&[server, init]), "what has no other parents left");
        assert!(counts(&[runner, init]), "one of those above executes something else");
        assert!(!counts(&[server, cron, init]), "what cron starts");
        assert!(!counts(&[cron, init]), "what ran before executes something else");
        assert!(!counts(&[server, key(30, 29), init]), "another process of the same pid");
        assert!(counts(&[server, step]), "nobody older is known");
    }
}
