//! What is known of one workload: the incident that goes on there, and whom it connects to.

use event::{Incident, Peer, ProcessKey, StageKind, Stamp, Update};
use sha2::{Digest, Sha256};

use super::entry::{Entry, grave, story};
use super::peer::Peers;
use super::{Place, SHORTLY, WINDOW, advice, within};
use crate::engine::servers::Known;
use crate::engine::uuid;

/// Stages of one kind that are told: the first ones tell what it is.
const MOST_OF_A_KIND: usize = 8;

/// A workload.
#[derive(Debug, Default)]
pub(super) struct Group {
    pub(super) peers: Peers,
    case: Option<Case>,
    /// When something was last heard of it.
    pub(super) touched: Stamp,
}

/// An incident, or what may become one.
#[derive(Debug)]
struct Case {
    id: String,
    former: Option<String>,
    opened: Stamp,
    /// When something was last added to it.
    last: Stamp,
    /// The server that it began with.
    server: ProcessKey,
    /// In order of time.
    entries: Vec<Entry>,
    /// Something was added since it was looked at.
    news: bool,
    told: bool,
}

impl Group {
    /// Adds stages to the incident that goes on, or to a new one, around a server. Gives its id.
    pub(super) fn add(
        &mut self,
        host: &str,
        now: Stamp,
        (server, place): (ProcessKey, &Place),
        stages: Vec<Entry>,
    ) -> String {
        let former = match self.case.take() {
            Some(case) if within(case.last, now, WINDOW) => {
                self.case = Some(case);
                None
            }
            ended => ended.map(|case| case.id),
        };
        let case = self.case.get_or_insert_with(|| {
            let mut entries = place.context.clone();
            entries.sort_by_key(|entry| entry.time);
            let id = id(host, &place.scope.said(""), server, now);
            Case { id, former, opened: now, last: now, server, entries, news: false, told: false }
        });
        case.last = case.last.max(now);
        for stage in stages {
            if stage.is_strong() {
                for known in self.peers.own_since(now.unix_nanos().saturating_sub(SHORTLY)) {
                    if let Some(by) = known.own.take() {
                        case.push(known.stage(by, known.first));
                    }
                }
            }
            case.push(stage);
        }
        case.id.clone()
    }

    /// The update that tells of what was added since the last one.
    pub(super) fn tell(
        &mut self,
        host: &str,
        now: Stamp,
        server: &Known,
        workload: String,
    ) -> Option<Update> {
        let case = self.case.as_mut()?;
        if !std::mem::take(&mut case.news) {
            return None;
        }
        let (severity, why) = grave(&case.entries)?;
        case.told = true;
        let outbound = case.entries.iter().filter(|entry| entry.kind == StageKind::Outbound);
        let peers: Vec<Peer> =
            outbound.filter_map(|entry| self.peers.named(&entry.key)).cloned().collect();
        let incident = Incident {
            id: case.id.clone(),
            former: case.former.clone(),
            opened: case.opened,
            severity,
            workload,
            stages: case.entries.iter().map(Entry::stage).collect(),
            actions: advice::actions(host, &server.server.name, &case.entries, &peers),
            peers,
        };
        Some(Update {
            id: case.id.clone(),
            time: now,
            host: host.to_owned(),
            severity,
            reasons: vec![story(&case.entries), why],
            server: Some(server.server.clone()),
            listen: server.listen.clone(),
            seeded: server.seeded,
            container: server.container.clone(),
            baseline: None,
            incident: Some(Box::new(incident)),
        })
    }

    fn live(&self, now: Stamp) -> Option<&Case> {
        self.case.as_ref().filter(|case| within(case.last, now, WINDOW))
    }

    /// Whether the incident that goes on has a stage.
    pub(super) fn has(&self, now: Stamp, kind: StageKind, key: &str) -> bool {
        self.live(now).is_some_and(|case| case.has(kind, key))
    }

    /// Whether something happened that no server does by itself.
    pub(super) fn is_strong(&self, now: Stamp) -> bool {
        self.live(now).is_some_and(|case| case.entries.iter().any(Entry::is_strong))
    }

    /// Whether the incident that goes on is around servers of which none is called so.
    pub(super) fn has_other_server(&self, now: Stamp, name: &str) -> bool {
        self.live(now).is_some() && !self.has(now, StageKind::ServerStarted, name)
    }

    /// The server that the incident began with.
    pub(super) fn server(&self) -> Option<ProcessKey> {
        self.case.as_ref().map(|case| case.server)
    }

    /// What comes first is forgotten last.
    pub(super) fn worth(&self, now: Stamp) -> (bool, Stamp) {
        (self.live(now).is_some_and(|case| case.told), self.touched)
    }
}

impl Case {
    fn has(&self, kind: StageKind, key: &str) -> bool {
        self.entries.iter().any(|entry| entry.kind == kind && entry.key == key)
    }

    /// Adds a stage, where it belongs in time, unless it was told.
    fn push(&mut self, mut stage: Entry) {
        let of_a_kind = self.entries.iter().filter(|entry| entry.kind == stage.kind).count();
        if of_a_kind >= MOST_OF_A_KIND || self.has(stage.kind, &stage.key) {
            return;
        }
        if of_a_kind + 1 == MOST_OF_A_KIND {
            stage.act.push_str(" (more of this kind are not told)");
        }
        let at = self.entries.partition_point(|entry| entry.time <= stage.time);
        self.entries.insert(at, stage);
        self.news = true;
    }
}

/// A UUID that the same events give again.
fn id(host: &str, workload: &str, server: ProcessKey, now: Stamp) -> String {
    let mut hash = Sha256::new();
    for part in ["incident", host, workload] {
        hash.update(part);
        hash.update([0]);
    }
    hash.update(server.pid.to_le_bytes());
    hash.update(server.start_boot_ns.to_le_bytes());
    hash.update(now.unix_nanos().to_le_bytes());
    uuid(now, hash)
}
