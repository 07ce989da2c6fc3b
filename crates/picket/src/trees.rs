//! Where web servers are among the processes, so that the kernel tells what is executed below them,
//! and leaves out what is executed anywhere else.
//!
//! Processes come in trees (see `bpf/tree.h`), each of which is watched until it is said to have no
//! server in it nor above it. That is said here, in the order of events, once the engine knows what
//! has become of one. Whatever is not known, or not any more, is watched: it costs, and misses nothing.

use std::collections::HashSet;

use anyhow::Result;
use detect::engine::Engine;
use event::{Connect, Event, ProcessKey, Tree};
use probe::Probe;

/// How many trees the kernel remembers to have no server.
pub(crate) const CLEARED: u32 = 16384;
/// Trees with a server, before those are looked for that are gone.
const FEW: usize = 4096;
/// Trees that may wait until all is known of what ran before. Any more are judged when something
/// is executed there.
const MOST_WAITING: usize = 16384;

/// The trees that have a server in them or above them, or somebody who may turn out to be one.
pub(crate) struct Trees {
    served: HashSet<u64>,
    /// When they are as many, those are forgotten that no process belongs to.
    most: usize,
    /// Trees without a server, as far as is known, until what ran before has been looked at: it may
    /// be a server, and above them.
    waiting: Option<HashSet<u64>>,
}

impl Default for Trees {
    fn default() -> Self {
        Self { served: HashSet::new(), most: FEW, waiting: Some(HashSet::new()) }
    }
}

impl Trees {
    /// What an event that the engine has just taken means for the tree of its process.
    pub(crate) fn judge(&mut self, probe: &Probe, engine: &Engine, event: &Event) -> Result<()> {
        match event {
            Event::Exec { exec, .. } => {
                let line = exec.ancestry.iter().map(event::Ancestor::key);
                self.place(probe, engine, exec.tree, exec.process.key(), line)
            }
            Event::Listen { listen, .. } => {
                let line = listen.parents.iter().copied();
                self.place(probe, engine, listen.tree, listen.key(), line)
            }
            // Nobody knew it before, and its tree was cleared.
            Event::Behaviour { behaviour, .. } => {
                let key = behaviour.exec.process.key();
                match probe.tree(key).filter(|_| engine.serves(key)) {
                    Some(tree) => self.watch(probe, tree),
                    None => Ok(()),
                }
            }
            Event::Connect { .. } => Ok(()),
        }
    }

    /// Whether a connection is that of a server or of somebody below one. The kernel tells of those as
    /// well that were not judged yet.
    pub(crate) fn concerns(&self, engine: &Engine, connect: &Connect) -> bool {
        self.served.contains(&connect.tree.id)
            || engine.serves(connect.key())
            || connect.parents.iter().any(|key| engine.serves(*key))
    }

    /// What ran before has been looked at: from now on what has no server is not watched.
    pub(crate) fn begin(&mut self, probe: &Probe, engine: &Engine) -> Result<()> {
        let members = probe.members()?;
        let serves = |key: ProcessKey| {
            engine.serves(key) || probe.parents(key).into_iter().any(|key| engine.serves(key))
        };
        // Of what has begun since then, only what was judged: the others' turn will come.
        let mut idle = self.waiting.take().unwrap_or_default();
        idle.extend(members.iter().filter(|member| member.seeded).map(|member| member.tree));
        for member in members.iter().filter(|member| idle.contains(&member.tree)) {
            if !self.served.contains(&member.tree) && serves(member.process) {
                self.watch(probe, member.tree)?;
            }
        }
        for tree in idle.difference(&self.served) {
            probe.clear(*tree)?;
        }
        Ok(())
    }

    fn place(
        &mut self,
        probe: &Probe,
        engine: &Engine,
        tree: Tree,
        key: ProcessKey,
        line: impl Iterator<Item = ProcessKey>,
    ) -> Result<()> {
        let Tree { id, outer } = tree;
        if id == 0 || self.served.contains(&id) {
            return Ok(());
        }
        let mut line = std::iter::once(key).chain(line);
        let serves = |key| engine.serves(key) || engine.may_serve(key);
        if self.served.contains(&outer) || line.any(serves) {
            return self.watch(probe, id);
        }
        match &mut self.waiting {
            Some(waiting) if waiting.len() >= MOST_WAITING => {}
            Some(waiting) => _ = waiting.insert(id),
            None => probe.clear(id)?,
        }
        Ok(())
    }

    fn watch(&mut self, probe: &Probe, tree: u64) -> Result<()> {
        if self.served.len() >= self.most {
            let members = probe.members()?;
            let living: HashSet<u64> = members.iter().map(|member| member.tree).collect();
            self.served.retain(|tree| living.contains(tree));
            self.most = FEW.max(2 * self.served.len());
        }
        self.served.insert(tree);
        Ok(probe.watch(tree)?)
    }
}
