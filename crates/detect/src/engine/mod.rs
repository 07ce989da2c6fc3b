//! The engine: events in, records out. The same events give the same records.

mod build;
mod held;
mod judge;
pub(crate) mod servers;
#[cfg(test)]
mod tests;

use std::fmt::Write as _;
use std::sync::Arc;

use event::{
    Behaviour, Ci, Confidence, Container, Detection, Environment, Event, Evidence, EvidenceKind,
    Exec, Listen, Listener, ProcessKey, Purpose, Record, Severity, Stamp,
};

use crate::baseline::Expectations;
use crate::catalogue::Catalogue;
use crate::identify::Identity;
use crate::incident::Incidents;
use crate::index::Index;
use crate::limits::{Limits, Verdict};
use crate::plan::Plan;
use crate::recipe::Recipe;
use crate::subject::Subject;
use crate::workload;
use build::server_info;
pub(crate) use build::uuid;
use held::Held;
use servers::{Known, Servers};

/// What the engine must know of its surroundings.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where this runs.
    pub environment: Environment,
    /// The pipeline this runs in.
    pub ci: Option<Ci>,
    /// How serious it is that a web server ran before picket did.
    pub seeded_severity: Severity,
}

/// Addresses that are told of one server: the first ones tell what it is, and a process that
/// listens thousands of times must not make picket write without end.
const LISTENERS: usize = 16;

/// Turns events into records.
pub struct Engine {
    catalogue: Arc<Catalogue>,
    recipes: Vec<Recipe>,
    index: Index,
    settings: Settings,
    servers: Servers,
    limits: Limits,
    expectations: Expectations,
    incidents: Incidents,
    held: Held,
    /// Recipes that failed, by their place in the list: they are asked no more.
    failed: Vec<usize>,
    /// Names of those of which nobody was told.
    newly_failed: Vec<String>,
}

impl Engine {
    /// An engine that has seen nothing yet.
    pub fn new(catalogue: Arc<Catalogue>, recipes: Vec<Recipe>, settings: Settings) -> Self {
        Self {
            index: Index::new(&recipes),
            catalogue,
            recipes,
            settings,
            servers: Servers::default(),
            limits: Limits::default(),
            expectations: Expectations::default(),
            incidents: Incidents::default(),
            held: Held::default(),
            failed: Vec::new(),
            newly_failed: Vec::new(),
        }
    }

    /// The catalogue it asks.
    pub fn catalogue(&self) -> &Arc<Catalogue> {
        &self.catalogue
    }

    /// Where this runs.
    pub fn environment(&self) -> Environment {
        self.settings.environment
    }

    /// The recipes it runs.
    pub fn recipes(&self) -> &[Recipe] {
        &self.recipes
    }

    /// What must cross from the kernel.
    pub fn plan(&self) -> Plan {
        let mut plan = self.catalogue.plan();
        plan.add(&self.recipes, &self.catalogue);
        plan
    }

    /// Goes on with other recipes; what was seen stays known.
    pub fn replace_recipes(&mut self, recipes: Vec<Recipe>) {
        self.index = Index::new(&recipes);
        self.recipes = recipes;
        self.failed.clear();
    }

    /// What it expects here: nothing, unless told.
    pub fn expectations(&mut self) -> &mut Expectations {
        &mut self.expectations
    }

    /// Recipes that failed since this was asked last, by name. They are not asked any more.
    pub fn take_failed(&mut self) -> Vec<String> {
        std::mem::take(&mut self.newly_failed)
    }

    /// Takes an event, gives what follows from it.
    pub fn on(&mut self, event: &Event) -> Vec<Record> {
        let mut records = match event {
            Event::Exec { host, exec } => self.on_exec(host, exec),
            Event::Listen { host, listen } => self.on_listen(host, listen),
            Event::Behaviour { host, behaviour } => self.on_behaviour(host, behaviour),
            Event::Connect { .. } => Vec::new(),
        };
        self.incidents.on(event, &mut self.servers, &mut records);
        match event {
            Event::Behaviour { behaviour, .. } => {
                let key = behaviour.exec.process.key();
                if self.serves(key) {
                    let held = self.held.take(key);
                    records.extend(held.iter().flat_map(|event| self.again(event)));
                }
            }
            event => self.held.keep(event),
        }
        records
    }

    /// What happened below a server before it was known to be one.
    fn again(&mut self, event: &Event) -> Vec<Record> {
        let mut records = Vec::new();
        if let Event::Exec { host, exec } = event {
            let catalogue = Arc::clone(&self.catalogue);
            let identity = catalogue.identify(&exec.process);
            let key = exec.process.key();
            let told = self.servers.get(&key).map(|known| known.ids.clone()).unwrap_or_default();
            let mut found = self.detect(host, exec, identity.as_ref(), &told);
            found.iter_mut().for_each(|d| self.expectations.judge(d));
            if let Some(known) = self.servers.get_mut(&key) {
                known.ids.extend(found.iter().map(|d| d.id.clone()));
            }
            records.extend(found.into_iter().map(|d| Record::Detection(Box::new(d))));
        }
        self.incidents.on(event, &mut self.servers, &mut records);
        records
    }

    /// Whether a process listens and may turn out to be a web server.
    pub fn may_serve(&self, key: ProcessKey) -> bool {
        self.held.contains(key)
    }

    fn on_exec(&mut self, host: &str, exec: &Exec) -> Vec<Record> {
        let catalogue = Arc::clone(&self.catalogue);
        match catalogue.identify(&exec.process) {
            Some(identity) if exec.seeded && !exec.listen.is_empty() => {
                self.on_found(host, exec, identity)
            }
            Some(identity) => {
                let (records, known) = self.detect_server(host, exec, &identity, exec.time);
                self.servers.remember(exec.process.key(), known);
                records
            }
            None => {
                let mut detections = self.detect(host, exec, None, &[]);
                detections.iter_mut().for_each(|d| self.expectations.judge(d));
                detections.into_iter().map(|d| Record::Detection(Box::new(d))).collect()
            }
        }
    }

    /// A server was found listening: it ran before.
    fn on_found(&mut self, host: &str, exec: &Exec, mut identity: Identity<'_>) -> Vec<Record> {
        // What is not to serve may listen for a moment. Should it answer, that will tell.
        if identity.purpose == Purpose::Manage || self.has_told(exec) {
            return Vec::new();
        }
        let mut exec = exec.clone();
        let all = exec.listen.len();
        exec.listen.truncate(LISTENERS);
        let mut places: Vec<String> = exec.listen.iter().map(place).collect();
        if all > LISTENERS {
            places.push(format!("{} more", all - LISTENERS));
        }
        proved(&mut identity, format!("listens on {}", places.join(", ")));
        let (records, mut known) = self.detect_server(host, &exec, &identity, exec.time);
        known.listen.clone_from(&exec.listen);
        self.servers.remember(exec.process.key(), known);
        records
    }

    /// Whether a detection was made of a process that listens, or of one of its parents.
    pub fn knows(&self, listen: &Listen) -> bool {
        self.servers.of_listener(listen).is_some()
    }

    /// Whether what was found listening was told of already: itself, or an ancestor that is a
    /// server and has the same listeners.
    fn has_told(&self, exec: &Exec) -> bool {
        let above = |key: &ProcessKey| exec.ancestry.iter().any(|a| a.pid == key.pid);
        let same = |known: &Known| exec.listen.iter().all(|at| known.listen.contains(at));
        self.knows_process(exec.process.key())
            || self.servers.iter().any(|(key, known)| known.seeded && above(key) && same(known))
    }

    /// Whether a process was recognised as a web server.
    pub fn knows_process(&self, key: ProcessKey) -> bool {
        self.servers.contains(&key)
    }

    /// Whether this process is a web server, and not only one that manages it.
    pub fn serves(&self, key: ProcessKey) -> bool {
        self.servers.get(&key).is_some_and(Known::serves)
    }

    /// More is known of the container that a server runs in.
    pub fn named(
        &mut self,
        host: &str,
        time: Stamp,
        key: ProcessKey,
        container: &Container,
    ) -> Vec<Record> {
        let Some(known) = self.servers.get_mut(&key) else { return Vec::new() };
        if known.container.as_ref().is_none_or(|own| own.id != container.id) {
            return Vec::new();
        }
        if known.container.as_ref() == Some(container) {
            return Vec::new();
        }
        known.container = Some(container.clone());
        let names = [
            ("image", &container.image),
            ("named", &container.name),
            ("pod", &container.pod_name),
            ("namespace", &container.pod_namespace),
        ];
        let names = names.into_iter().filter_map(|(what, name)| Some((what, name.as_ref()?)));
        let names: Vec<String> = names.map(|(what, name)| format!("{what} {name}")).collect();
        let verdicts: Vec<_> =
            known.ids.iter().map(|id| self.expectations.named(id, container)).collect();
        if let Some(severity) = verdicts.iter().flatten().map(|verdict| verdict.severity).max() {
            known.severity = severity;
        }
        let called = workload::called(container);
        let what = format!("runs in {called}: {}", names.join(", "));
        let mut records = known.updates(host, time, &what);
        for (record, verdict) in records.iter_mut().zip(verdicts) {
            if let (Record::Update(update), Some(verdict)) = (record, verdict) {
                update.severity = verdict.severity;
                update.reasons.extend(verdict.reasons);
                update.baseline = Some(verdict.baseline);
            }
        }
        records
    }

    /// What recipes make of an execution, but for those that have told of it.
    fn detect(
        &mut self,
        host: &str,
        exec: &Exec,
        identity: Option<&Identity<'_>>,
        told: &[String],
    ) -> Vec<Detection> {
        if identity.is_none() && self.servers.is_empty() && !self.index.asks_of_others() {
            return Vec::new();
        }
        let subject =
            Subject::new((host, exec), &self.settings, &self.catalogue, &self.servers, identity);
        let candidates = self.index.of_exec(&subject);
        let judged = Judged {
            recipes: &self.recipes,
            limits: &mut self.limits,
            failed: &mut self.failed,
            newly_failed: &mut self.newly_failed,
        };
        judged.detections(&subject, &candidates, told)
    }

    /// What recipes make of a web server at that time, and what to remember of it.
    fn detect_server(
        &mut self,
        host: &str,
        exec: &Exec,
        identity: &Identity<'_>,
        time: Stamp,
    ) -> (Vec<Record>, Known) {
        let mut detections = self.detect(host, exec, Some(identity), &[]);
        let alone = detections.first().map(|d| d.severity);
        for detection in &mut detections {
            detection.time = time;
            self.expectations.judge(detection);
        }
        let first = detections.first();
        let severity = first.map_or(Severity::Info, |d| d.severity);
        let listens = !self.index.of_listener(identity.server.name()).is_empty();
        let known = Known {
            ids: detections.iter().map(|d| d.id.clone()).collect(),
            severity,
            // What listened before, or is expected, does not get worse by listening.
            importance: match first {
                Some(d) if !exec.seeded && Some(severity) == alone => d.recipe.importance,
                _ => severity,
            },
            server: server_info(identity),
            title: identity.server.title.clone(),
            ports: identity.server.ports.clone(),
            listen: Vec::new(),
            container: workload::of(&exec.process).container,
            start: exec.process.start,
            answered: false,
            seeded: exec.seeded,
            exec: listens.then(|| Box::new(exec.clone())),
            place: None,
        };
        let records = detections.into_iter().map(|d| Record::Detection(Box::new(d))).collect();
        (records, known)
    }

    /// A process that nobody recognised listens: what it has mapped may tell what it is, and an
    /// answer in HTTP proves it.
    fn on_behaviour(&mut self, host: &str, behaviour: &Behaviour) -> Vec<Record> {
        let key = behaviour.exec.process.key();
        let line = std::iter::once(key).chain(behaviour.parents.iter().copied());
        // What was not to serve may listen for a test, and does not answer.
        let managing = |known: &Known| known.server.purpose == Purpose::Manage;
        if let Some(key) = line.into_iter().find(|key| self.servers.contains(key))
            && (behaviour.answered.is_none() || !self.servers.get(&key).is_some_and(managing))
        {
            return self.answers(host, key, behaviour);
        }
        let process = &behaviour.exec.process;
        let catalogue = Arc::clone(&self.catalogue);
        let mapped = behaviour
            .mapped
            .iter()
            .find_map(|m| catalogue.identify_mapped(process, m))
            .or_else(|| catalogue.identify(process).filter(|_| !behaviour.mapped.is_empty()));
        let unknown = || behaviour.answered.as_ref().and_then(|_| catalogue.unknown(process));
        let Some(mut identity) = mapped.or_else(unknown) else {
            return Vec::new();
        };
        let at = &behaviour.listener;
        let mut detail = format!("pid {} listens on {}", process.pid, place(at));
        if let Some(protocol) = &behaviour.answered {
            let _ = write!(detail, " and answers {protocol}");
        }
        proved(&mut identity, detail);
        let mut exec = (*behaviour.exec).clone();
        exec.listen = vec![at.clone()];
        let (records, mut known) = self.detect_server(host, &exec, &identity, behaviour.time);
        known.listen.push(at.clone());
        known.answered = behaviour.answered.is_some();
        self.servers.remember(key, known);
        records
    }

    /// A server that was detected answers in HTTP: told once.
    fn answers(&mut self, host: &str, key: ProcessKey, behaviour: &Behaviour) -> Vec<Record> {
        let (Some(known), Some(protocol)) = (self.servers.get_mut(&key), &behaviour.answered)
        else {
            return Vec::new();
        };
        if std::mem::replace(&mut known.answered, true) {
            return Vec::new();
        }
        let detail = format!("answers {protocol} on {}", place(&behaviour.listener));
        known.server.confidence = Confidence::Confirmed;
        known.server.evidence.push(Evidence {
            kind: EvidenceKind::Behaviour,
            agrees: true,
            detail: detail.clone(),
        });
        known.updates(host, behaviour.time, &detail)
    }

    /// A listener confirms the detection of its process, or of the nearest parent that has one.
    fn on_listen(&mut self, host: &str, listen: &Listen) -> Vec<Record> {
        let Some(key) = self.servers.of_listener(listen) else {
            if listen.may_serve {
                self.held.suspect(listen.key());
            }
            return Vec::new();
        };
        let serves = |known: &&mut Known| known.server.purpose != Purpose::Manage;
        let Some(known) = self.servers.get_mut(&key).filter(serves) else {
            return Vec::new();
        };
        let at = &listen.listener;
        if known.listen.contains(at) || known.listen.len() >= LISTENERS {
            return Vec::new();
        }
        let place = place(at);
        let last = known.listen.len() + 1 == LISTENERS;
        let more = if last { "; no further address of it will be told" } else { "" };
        let what = format!("pid {} listens on {place}{more}", listen.pid);
        known.listen.push(at.clone());
        if known.server.confidence != Confidence::Confirmed {
            known.server.confidence = Confidence::Confirmed;
            known.server.evidence.push(Evidence {
                kind: EvidenceKind::Behaviour,
                agrees: true,
                detail: what.clone(),
            });
        }
        // Only its name spoke for it: now its listener does.
        if known.severity < known.importance {
            known.severity = known.importance;
        }
        let mut records = known.updates(host, listen.time, &what);
        let (name, exec) = (known.server.name.clone(), known.exec.clone());
        if let Some(mut exec) = exec {
            exec.listen.clone_from(&known.listen);
            records.extend(self.detect_listener(host, listen.time, &exec, &name));
        }
        records
    }

    /// What recipes make of a web server that listens: each tells of it once.
    fn detect_listener(&mut self, host: &str, time: Stamp, exec: &Exec, name: &str) -> Vec<Record> {
        let catalogue = Arc::clone(&self.catalogue);
        let key = exec.process.key();
        let Some(identity) = catalogue
            .identify(&exec.process)
            .filter(|i| i.server.name() == name)
            .or_else(|| catalogue.unknown(&exec.process).filter(|i| i.server.name() == name))
        else {
            return Vec::new();
        };
        let mut subject = Subject::new(
            (host, exec),
            &self.settings,
            &self.catalogue,
            &self.servers,
            Some(&identity),
        );
        subject.event = "listen";
        let told = self.servers.get(&key).map_or(&[][..], |known| known.ids.as_slice());
        let candidates: Vec<usize> = self.index.of_listener(name).to_vec();
        let judged = Judged {
            recipes: &self.recipes,
            limits: &mut self.limits,
            failed: &mut self.failed,
            newly_failed: &mut self.newly_failed,
        };
        let mut found = judged.detections(&subject, &candidates, told);
        for detection in &mut found {
            detection.time = time;
            self.expectations.judge(detection);
        }
        let ids: Vec<String> = found.iter().map(|detection| detection.id.clone()).collect();
        if let Some(known) = self.servers.get_mut(&key) {
            known.ids.extend(ids);
        }
        found.into_iter().map(|d| Record::Detection(Box::new(d))).collect()
    }
}

/// What is needed to judge a subject; the engine lends it, since the subject holds on to the rest.
struct Judged<'e> {
    recipes: &'e [Recipe],
    limits: &'e mut Limits,
    failed: &'e mut Vec<usize>,
    newly_failed: &'e mut Vec<String>,
}

impl Judged<'_> {
    /// The detections that recipes make, but for those that were told.
    fn detections(
        self,
        subject: &Subject<'_>,
        candidates: &[usize],
        told: &[String],
    ) -> Vec<Detection> {
        let mut found = Vec::new();
        for &number in candidates {
            let Some(recipe) = self.recipes.get(number) else { continue };
            if self.failed.contains(&number) {
                continue;
            }
            match recipe.matches(subject) {
                Ok(false) => continue,
                Ok(true) => {}
                Err(_) => {
                    self.failed.push(number);
                    self.newly_failed.push(recipe.name().to_owned());
                    continue;
                }
            }
            if !told.is_empty()
                && told.contains(&build::id(subject.host, subject.exec, recipe.name()))
            {
                continue;
            }
            if let Verdict::Told(reasons) = self.limits.count(recipe, subject) {
                let mut detection = build::detection(subject, recipe);
                detection.reasons.extend(reasons);
                found.push(detection);
            }
        }
        found
    }
}

/// It listens: whatever its arguments say, it serves.
fn proved(identity: &mut Identity<'_>, detail: String) {
    identity.purpose = Purpose::Serve;
    identity.confidence = Confidence::Confirmed;
    identity.evidence.push(Evidence { kind: EvidenceKind::Behaviour, agrees: true, detail });
}

/// Where it listens, as people write it. A socket that was never bound gets its port only after
/// the kernel told of it.
pub(crate) fn place(at: &Listener) -> String {
    if at.port == 0 { at.address.clone() } else { socket(&at.address, at.port) }
}

/// An address and a port as people write them.
pub fn socket(address: &str, port: u16) -> String {
    if address.contains(':') { format!("[{address}]:{port}") } else { format!("{address}:{port}") }
}
