//! Incidents: what happens around one web server within an hour, joined and told as one thing.
//!
//! A server that starts and listens is none, whatever its detection says. What counts, and how
//! much, is in docs/incidents.md and in [`entry::grave`].

mod advice;
mod case;
mod entry;
mod peer;
mod place;

#[cfg(test)]
mod tests;

use std::collections::{HashMap, VecDeque};

use event::{
    Ancestor, Connect, Detection, Event, Exec, Listen, ProcessKey, Purpose, Record, Severity,
    StageKind, Stamp,
};

use crate::catalogue::UNKNOWN;
use crate::engine;
use crate::engine::servers::{Known, Servers};
use crate::mask;
use case::Group;
use entry::{Entry, command, program};
use peer::Reach;
pub use peer::amount;
pub(crate) use place::Place;
use place::Scope;

/// An incident ends when nothing was added to it for so long. Nanoseconds.
const WINDOW: i64 = 3600 * SECOND;
/// A connection of the server itself belongs to what it does this much later.
const SHORTLY: i64 = 60 * SECOND;
const SECOND: i64 = 1_000_000_000;
/// Workloads that are kept in mind, each with at most one incident that goes on.
const MOST_GROUPS: usize = 256;
/// Processes below servers that are kept in mind.
const MOST_BELOW: usize = 4096;

/// Joins what the engine tells to incidents.
#[derive(Default)]
pub(crate) struct Incidents {
    groups: HashMap<Scope, Group>,
    below: HashMap<ProcessKey, Below>,
    order: VecDeque<ProcessKey>,
}

/// A process below a server that was a stage of an incident.
struct Below {
    server: ProcessKey,
    name: String,
}

/// Whose connection it is.
enum Whose {
    /// Of a process that was a stage, or of one below it.
    Child,
    /// Of another program below the server.
    Other,
    /// Of the server's own program.
    Server,
}

impl Incidents {
    /// Takes an event with what the engine made of it, which is told which incident it belongs to;
    /// adds what is new of the incident.
    pub(crate) fn on(&mut self, event: &Event, servers: &mut Servers, records: &mut Vec<Record>) {
        let time = event.time();
        let (host, around) = match event {
            Event::Exec { host, exec } => {
                (host, self.on_process(host, exec, time, servers, records))
            }
            Event::Behaviour { host, behaviour } => {
                (host, self.on_process(host, &behaviour.exec, time, servers, records))
            }
            Event::Listen { host, listen } => {
                (host, self.on_listen(host, listen, servers, records))
            }
            Event::Connect { host, connect } => (host, self.on_connect(host, connect, servers)),
        };
        if let Some(key) = around {
            records.extend(self.tell(host, time, key, servers));
        }
    }

    /// A process was executed, or found out. Gives the server that something is new around.
    fn on_process(
        &mut self,
        host: &str,
        exec: &Exec,
        time: Stamp,
        servers: &mut Servers,
        records: &mut [Record],
    ) -> Option<ProcessKey> {
        let key = exec.process.key();
        match servers.get(&key) {
            Some(known) if known.server.purpose == Purpose::Manage => None,
            Some(known) if known.place.is_none() => {
                self.on_server(host, exec, time, servers, records)
            }
            // It is told of a second time: it was found, or answers.
            _ if exec.seeded || exec.time != time => None,
            // What it executed now was not recognised.
            Some(_) => self.on_child(host, exec, key, servers, records),
            None => {
                let server = servers.above(&exec.ancestry)?.key;
                self.on_child(host, exec, server, servers, records)
            }
        }
    }

    /// A server was recognised.
    fn on_server(
        &mut self,
        host: &str,
        exec: &Exec,
        time: Stamp,
        servers: &mut Servers,
        records: &mut [Record],
    ) -> Option<ProcessKey> {
        let key = exec.process.key();
        let above = servers.above(&exec.ancestry).map(|above| above.key);
        let lead = lead(records);
        let parent = above.and_then(|above| placed(servers, above));
        let scope = match (parent, lead) {
            (Some((_, place)), _) => place.scope.clone(),
            (None, Some(lead)) => Scope::of(lead),
            (None, None) => {
                Scope::of_process(&exec.process, |scope| self.groups.contains_key(scope))
            }
        };
        let known = servers.get(&key)?;
        let name = called(known);
        let detection = lead.map(|lead| (lead.id.clone(), lead.severity));
        let other = parent.is_some_and(|(above, place)| {
            above.server.name != known.server.name || place.is_younger(&exec.process.exe)
        });
        let counts = detection.as_ref().is_some_and(|(_, severity)| *severity > Severity::Info);
        let group = self.group(&scope, time);
        let beside = above.is_none() && group.has_other_server(time, &name);
        let start = Entry {
            kind: StageKind::ServerStarted,
            time: if exec.seeded { exec.process.start } else { exec.time },
            key: name.clone(),
            points: 0,
            by: (key, name.clone()),
            act: if exec.seeded { "ran already" } else { "started" }.to_owned(),
            made: None,
            detection,
        };
        let second = StageKind::SecondServer;
        let stage = match above {
            Some(above) if counts && other => {
                let by = self.actor(&exec.ancestry, above, servers)?;
                let what = command(&exec.process, &mask::arguments(&exec.process.args));
                let act = format!("started a second server, {name}: {what}");
                Entry { kind: second, points: 2, by, act, made: Some(key), ..start.clone() }
            }
            None if counts && beside => {
                let act = "started beside it".to_owned();
                Entry { kind: second, points: 1, act, ..start.clone() }
            }
            _ => start.clone(),
        };
        let mut context = vec![start];
        context.extend(listens(key, servers.get(&key)?, time));
        let stages = std::iter::once(stage).chain(context.get(1).cloned()).collect();
        let place = Place::new(scope, &exec.process, context);
        servers.get_mut(&key)?.place = Some(place);
        self.add(host, time, above.unwrap_or(key), servers, stages, records);
        Some(key)
    }

    /// Something that is no server was executed below one, or in its place.
    fn on_child(
        &mut self,
        host: &str,
        exec: &Exec,
        server: ProcessKey,
        servers: &Servers,
        records: &mut [Record],
    ) -> Option<ProcessKey> {
        let process = &exec.process;
        let key = process.key();
        let (_, place) = placed(servers, server)?;
        let lead = lead(records).filter(|lead| lead.severity > Severity::Info);
        let masked = || mask::arguments(&process.args);
        let args = lead.map_or_else(masked, |lead| lead.process.args.clone());
        let what = command(process, &args);
        let turned = key == server && process.exe.path != place.path;
        let (kind, name, act) = if place.is_younger(&process.exe) {
            let since = if process.exe.memfd {
                "exists in memory only"
            } else {
                "was written after the server had started"
            };
            (
                StageKind::WrittenFile,
                process.exe.path.clone(),
                format!("executed {what}, which {since}"),
            )
        } else if turned {
            (StageKind::Child, String::new(), format!("became {what}"))
        } else if let Some(lead) = lead {
            (StageKind::Child, lead.recipe.name.clone(), format!("spawned {what}"))
        } else {
            return None;
        };
        let by = self.actor(&exec.ancestry, server, servers)?;
        let detection = lead.map(|lead| (lead.id.clone(), lead.severity));
        let made = (key != server).then_some(key);
        let (time, points, key_of) = (exec.time, 2, name);
        let stage = Entry { kind, time, key: key_of, points, by, act, made, detection };
        self.remember(key, Below { server, name: program(process).to_owned() });
        self.add(host, exec.time, server, servers, vec![stage], records);
        Some(server)
    }

    /// A server listens, or a process below one.
    fn on_listen(
        &mut self,
        host: &str,
        listen: &Listen,
        servers: &mut Servers,
        records: &mut [Record],
    ) -> Option<ProcessKey> {
        let time = listen.time;
        let at = engine::place(&listen.listener);
        let line = std::iter::once(listen.key()).chain(listen.parents.iter().copied());
        if let Some((key, below)) = line.into_iter().find_map(|k| Some((k, self.below.get(&k)?))) {
            let server = below.server;
            let stage = Entry {
                kind: StageKind::ChildListens,
                time,
                key: at.clone(),
                points: 2,
                by: (key, below.name.clone()),
                act: format!("listens on {at}"),
                made: None,
                detection: None,
            };
            self.add(host, time, server, servers, vec![stage], records);
            return Some(server);
        }
        let key = servers.of_listener(listen)?;
        let known = servers.get_mut(&key)?;
        let mut stage = listens(key, known, time);
        let context = &mut known.place.as_mut()?.context;
        if context.iter().any(|entry| entry.kind == StageKind::Listens) {
            stage = None; // the first address tells that it serves
        }
        context.extend(stage.clone());
        // Recipes may have something to say about any of its addresses.
        if stage.is_some() || lead(records).is_some() {
            self.add(host, time, key, servers, stage.into_iter().collect(), records);
        }
        Some(key)
    }

    /// A process below a server connects to somebody, or such a connection has ended.
    fn on_connect(
        &mut self,
        host: &str,
        connect: &Connect,
        servers: &Servers,
    ) -> Option<ProcessKey> {
        let reach = Reach::of(&connect.peer.address)?;
        let (server, by, whose) = self.whose(connect, servers)?;
        let (_, place) = placed(servers, server)?;
        let scope = place.scope.clone();
        let time = connect.time;
        let group = self.group(&scope, time);
        let stage = if connect.ended {
            let known = group.peers.end(connect)?;
            let key = known.name();
            if !group.has(time, StageKind::Outbound, &key) {
                return None;
            }
            let act = peer::end(connect, &key);
            let kind = StageKind::Transferred;
            Entry { kind, time, key, points: 0, by, act, made: None, detection: None }
        } else {
            let strong = group.is_strong(time);
            let (new, known) = group.peers.meet(connect, reach);
            let far = reach != Reach::Private;
            let counts = match whose {
                Whose::Child => true,
                Whose::Other => far,
                Whose::Server => far && strong,
            };
            if !new {
                return None;
            }
            if !counts {
                known.own = far.then_some(by);
                return None;
            }
            known.own = None;
            known.stage(by, time)
        };
        self.add(host, time, server, servers, vec![stage], &mut []);
        Some(server)
    }

    /// Whose a connection is: of which server, of which process, by what name.
    fn whose(
        &self,
        connect: &Connect,
        servers: &Servers,
    ) -> Option<(ProcessKey, (ProcessKey, String), Whose)> {
        let key = connect.key();
        let name = connect.program.as_ref().unwrap_or(&connect.comm).clone();
        for above in std::iter::once(key).chain(connect.parents.iter().copied()) {
            if let Some(below) = self.below.get(&above) {
                return Some((below.server, (key, name), Whose::Child));
            }
            let Some((known, place)) = placed(servers, above) else { continue };
            // A worker is the server; what another program does, it does for the server.
            return Some(if key == above || place.runs(&name) {
                (above, (above, called(known)), Whose::Server)
            } else {
                (above, (key, name), Whose::Other)
            });
        }
        None
    }

    /// Who executed something: the nearest of its ancestors that was told of.
    fn actor(
        &self,
        ancestry: &[Ancestor],
        server: ProcessKey,
        servers: &Servers,
    ) -> Option<(ProcessKey, String)> {
        for key in ancestry.iter().map(Ancestor::key).take_while(|key| *key != server) {
            if let Some(below) = self.below.get(&key) {
                return Some((key, below.name.clone()));
            }
        }
        Some((server, called(servers.get(&server)?)))
    }

    fn remember(&mut self, key: ProcessKey, below: Below) {
        if self.below.insert(key, below).is_some() {
            return;
        }
        self.order.push_back(key);
        if self.order.len() > MOST_BELOW
            && let Some(oldest) = self.order.pop_front()
        {
            self.below.remove(&oldest);
        }
    }

    /// What is known of a workload. Makes room where there is none: first goes what was no
    /// incident, and of those that are alike the one that was still for the longest time.
    fn group(&mut self, scope: &Scope, now: Stamp) -> &mut Group {
        if self.groups.len() >= MOST_GROUPS && !self.groups.contains_key(scope) {
            let least = self.groups.iter().min_by_key(|(scope, group)| (group.worth(now), *scope));
            if let Some(least) = least.map(|(scope, _)| scope.clone()) {
                self.groups.remove(&least);
            }
        }
        let group = self.groups.entry(scope.clone()).or_default();
        group.touched = group.touched.max(now);
        group
    }

    /// Adds stages to the incident around a server, and detections.
    fn add(
        &mut self,
        host: &str,
        now: Stamp,
        server: ProcessKey,
        servers: &Servers,
        stages: Vec<Entry>,
        records: &mut [Record],
    ) {
        let Some((_, place)) = placed(servers, server) else { return };
        let group = self.group(&place.scope, now);
        let id = group.add(host, now, (server, place), stages);
        for record in records {
            if let Record::Detection(detection) = record {
                detection.incident = Some(id.clone());
            }
        }
    }

    /// What is new of the incident around a server, once it is one.
    fn tell(
        &mut self,
        host: &str,
        now: Stamp,
        server: ProcessKey,
        servers: &Servers,
    ) -> Option<Record> {
        let (_, place) = placed(servers, server)?;
        let group = self.groups.get_mut(&place.scope)?;
        let first = group.server().filter(|first| servers.get(first).is_some()).unwrap_or(server);
        let known = servers.get(&first)?;
        let workload = place.scope.said(&called(known));
        group.tell(host, now, known, workload).map(|update| Record::Update(Box::new(update)))
    }
}

/// A server with what incidents know of it.
fn placed(servers: &Servers, key: ProcessKey) -> Option<(&Known, &Place)> {
    let known = servers.get(&key)?;
    Some((known, known.place.as_ref()?))
}

/// The most severe of the detections that an event made, the first of those that are alike.
fn lead(records: &[Record]) -> Option<&Detection> {
    let detections = records.iter().filter_map(|record| match record {
        Record::Detection(detection) => Some(&**detection),
        _ => None,
    });
    detections.reduce(|lead, other| if other.severity > lead.severity { other } else { lead })
}

/// What people call a server.
fn called(known: &Known) -> String {
    match known.server.name.as_str() {
        UNKNOWN => "an unknown web server".to_owned(),
        name => name.to_owned(),
    }
}

/// That a server listens, if it does.
fn listens(key: ProcessKey, known: &Known, time: Stamp) -> Option<Entry> {
    let places: Vec<String> = known.listen.iter().map(engine::place).collect();
    let name = called(known);
    (!places.is_empty()).then(|| Entry {
        kind: StageKind::Listens,
        time,
        key: name.clone(),
        points: 0,
        by: (key, name),
        act: format!("listens on {}", places.join(" and ")),
        made: None,
        detection: None,
    })
}

/// Whether no more than a span of time lies between two moments.
fn within(earlier: Stamp, later: Stamp, span: i64) -> bool {
    later.unix_nanos().saturating_sub(earlier.unix_nanos()) <= span
}
