//! The engine: events in, records out. The same events give the same records.

use std::collections::{HashMap, VecDeque};
use std::fmt::Write as _;
use std::sync::Arc;

use event::{
    Ancestor, Baseline, Behaviour, Ci, Confidence, Container, Detection, Environment, Event,
    Evidence, EvidenceKind, Exec, Guidance, Listen, Listener, ProcessKey, Purpose, RecipeInfo,
    Record, ServerInfo, Severity, Stamp, Update,
};
use sha2::{Digest, Sha256};

use crate::catalogue::Catalogue;
use crate::guidance::Facts;
use crate::identify::Identity;
use crate::launcher::{Scene, launcher};
use crate::mask;
use crate::recipe::Recipe;
use crate::workload;

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

/// Detections whose servers are remembered, so that a listener can confirm them.
const REMEMBERED: usize = 1024;
/// Addresses that are told of one server: the first ones tell what it is, and a process that
/// listens thousands of times must not make picket write without end.
const LISTENERS: usize = 16;
/// Directories that anyone may write to.
const ANYONES: &[&str] = &["/tmp/", "/var/tmp/", "/dev/shm/", "/run/user/", "/run/lock/"];

/// Turns events into records.
pub struct Engine {
    catalogue: Arc<Catalogue>,
    recipes: Vec<Recipe>,
    settings: Settings,
    servers: HashMap<ProcessKey, Known>,
    order: VecDeque<ProcessKey>,
}

struct Known {
    ids: Vec<String>,
    severity: Severity,
    /// What it is when nothing speaks against it.
    importance: Severity,
    server: ServerInfo,
    listen: Vec<Listener>,
    container: Option<Container>,
    /// When the process started.
    start: Stamp,
    /// It was seen answering in HTTP.
    answered: bool,
    /// It ran before.
    seeded: bool,
}

impl Known {
    /// An update for each detection.
    fn updates(&self, host: &str, time: Stamp, what: &str) -> Vec<Record> {
        let update = |id: &String| {
            Record::Update(Box::new(Update {
                id: id.clone(),
                time,
                host: host.to_owned(),
                severity: self.severity,
                reasons: vec![what.to_owned()],
                server: self.server.clone(),
                listen: self.listen.clone(),
                seeded: self.seeded,
                container: self.container.clone(),
            }))
        };
        self.ids.iter().map(update).collect()
    }
}

impl Engine {
    /// An engine that has seen nothing yet.
    pub fn new(catalogue: Arc<Catalogue>, recipes: Vec<Recipe>, settings: Settings) -> Self {
        Self { catalogue, recipes, settings, servers: HashMap::new(), order: VecDeque::new() }
    }

    /// The catalogue it asks.
    pub fn catalogue(&self) -> &Arc<Catalogue> {
        &self.catalogue
    }

    /// The recipes it runs.
    pub fn recipes(&self) -> &[Recipe] {
        &self.recipes
    }

    /// Takes an event, gives what follows from it.
    pub fn on(&mut self, event: &Event) -> Vec<Record> {
        match event {
            Event::Exec { host, exec } => self.on_exec(host, exec),
            Event::Listen { host, listen } => self.on_listen(host, listen),
            Event::Behaviour { host, behaviour } => self.on_behaviour(host, behaviour),
            Event::Connect { .. } => Vec::new(),
        }
    }

    fn on_exec(&mut self, host: &str, exec: &Exec) -> Vec<Record> {
        let catalogue = Arc::clone(&self.catalogue);
        let Some(identity) = catalogue.identify(&exec.process) else {
            return Vec::new();
        };
        if exec.seeded && !exec.listen.is_empty() {
            return self.on_found(host, exec, identity);
        }
        let (records, known) = self.detect(host, exec, &identity);
        if let Some(known) = known {
            self.remember(exec.process.key(), known);
        }
        records
    }

    /// A server was found listening: it ran before.
    fn on_found(&mut self, host: &str, exec: &Exec, mut identity: Identity<'_>) -> Vec<Record> {
        // What is not to serve may listen for a moment. Should it answer, that will tell.
        if identity.purpose == Purpose::Manage || self.has_told(exec) {
            return Vec::new();
        }
        let mut listen = exec.listen.clone();
        listen.truncate(LISTENERS);
        let mut places: Vec<String> = listen.iter().map(place).collect();
        if exec.listen.len() > LISTENERS {
            places.push(format!("{} more", exec.listen.len() - LISTENERS));
        }
        let detail = format!("listens on {}", places.join(", "));
        identity.purpose = Purpose::Serve;
        identity.confidence = Confidence::Confirmed;
        identity.evidence.push(Evidence { kind: EvidenceKind::Behaviour, agrees: true, detail });
        let (mut records, known) = self.detect(host, exec, &identity);
        for record in &mut records {
            if let Record::Detection(detection) = record {
                detection.listen.clone_from(&listen);
            }
        }
        if let Some(known) = known {
            self.remember(exec.process.key(), Known { listen, ..known });
        }
        records
    }

    /// Whether a detection was made of a process that listens, or of one of its parents.
    pub fn knows(&self, listen: &Listen) -> bool {
        self.known(listen).is_some()
    }

    /// The detection that a listener belongs to: of its process, or of a parent that runs the same.
    fn known(&self, listen: &Listen) -> Option<ProcessKey> {
        let line = std::iter::once(listen.key()).chain(listen.parents.iter().copied());
        line.into_iter().find(|key| self.servers.contains_key(key))
    }

    /// Whether what was found listening was told of already: itself, or an ancestor that is a
    /// server and has the same listeners.
    fn has_told(&self, exec: &Exec) -> bool {
        let above = |key: &ProcessKey| exec.ancestry.iter().any(|a| a.pid == key.pid);
        let same = |known: &Known| exec.listen.iter().all(|at| known.listen.contains(at));
        self.knows_process(exec.process.key())
            || self.servers.iter().any(|(key, known)| known.seeded && above(key) && same(known))
    }

    /// Whether a detection was made of this process.
    pub fn knows_process(&self, key: ProcessKey) -> bool {
        self.servers.contains_key(&key)
    }

    /// Whether this process is a web server, and not only one that manages it.
    pub fn serves(&self, key: ProcessKey) -> bool {
        self.servers.get(&key).is_some_and(|known| known.server.purpose != Purpose::Manage)
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
        let container = workload::called(container);
        known.updates(host, time, &format!("runs in {container}: {}", names.join(", ")))
    }

    /// The web server that an ancestor was detected as.
    fn detected(&self, ancestor: &Ancestor) -> Option<&str> {
        // Times of day are made from the kernel's, and the difference between them drifts.
        const CLOCKS: u64 = 500_000_000;
        let same =
            |known: &Known| known.start.unix_nanos().abs_diff(ancestor.start.unix_nanos()) < CLOCKS;
        let mut found = self.servers.iter().filter(|(key, _)| key.pid == ancestor.pid);
        let (_, known) = found.find(|(_, known)| same(known))?;
        (known.server.purpose != Purpose::Manage).then_some(known.server.name.as_str())
    }

    /// What every recipe makes of an execution, and what to remember of it.
    fn detect(
        &self,
        host: &str,
        exec: &Exec,
        identity: &Identity<'_>,
    ) -> (Vec<Record>, Option<Known>) {
        let mut records = Vec::new();
        let mut known: Option<Known> = None;
        for recipe in &self.recipes {
            if !recipe.matches(identity.server.name(), identity.purpose) {
                continue;
            }
            let detection = self.detection(host, exec, identity, recipe);
            let known = known.get_or_insert_with(|| Known {
                ids: Vec::new(),
                severity: detection.severity,
                // What listened before does not get worse by listening.
                importance: if exec.seeded {
                    detection.severity
                } else {
                    detection.recipe.importance
                },
                server: detection.server.clone(),
                listen: Vec::new(),
                container: detection.container.clone(),
                start: detection.process.start,
                answered: false,
                seeded: exec.seeded,
            });
            known.ids.push(detection.id.clone());
            records.push(Record::Detection(Box::new(detection)));
        }
        (records, known)
    }

    /// A process that nobody recognised listens: what it has mapped may tell what it is, and an
    /// answer in HTTP proves it.
    fn on_behaviour(&mut self, host: &str, behaviour: &Behaviour) -> Vec<Record> {
        let key = behaviour.exec.process.key();
        let line = std::iter::once(key).chain(behaviour.parents.iter().copied());
        // What was not to serve may listen for a test, and does not answer.
        let managing = |known: &Known| known.server.purpose == Purpose::Manage;
        if let Some(key) = line.into_iter().find(|key| self.servers.contains_key(key))
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
        // It listens: whatever its arguments say, it serves.
        identity.purpose = Purpose::Serve;
        identity.confidence = Confidence::Confirmed;
        identity.evidence.push(Evidence { kind: EvidenceKind::Behaviour, agrees: true, detail });
        let (mut records, known) = self.detect(host, &behaviour.exec, &identity);
        for record in &mut records {
            if let Record::Detection(detection) = record {
                detection.time = behaviour.time;
                detection.listen = vec![at.clone()];
            }
        }
        if let Some(mut known) = known {
            known.listen.push(at.clone());
            known.answered = behaviour.answered.is_some();
            self.remember(key, known);
        }
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

    fn remember(&mut self, key: ProcessKey, known: Known) {
        if self.servers.insert(key, known).is_none() {
            self.order.push_back(key);
            if self.order.len() > REMEMBERED
                && let Some(oldest) = self.order.pop_front()
            {
                self.servers.remove(&oldest);
            }
        }
    }

    fn detection(
        &self,
        host: &str,
        exec: &Exec,
        identity: &Identity<'_>,
        recipe: &Recipe,
    ) -> Detection {
        let mut process = exec.process.clone();
        process.args = mask::arguments(&process.args);
        if cut_short(&mut process.args) {
            process.args_truncated = true;
        }
        let ancestry: Vec<_> = exec
            .ancestry
            .iter()
            .map(|a| Ancestor { args: mask::arguments(&a.args), ..a.clone() })
            .collect();
        let ci = self.settings.ci.as_ref();
        let workload = workload::of(&process);
        let launcher = launcher(&Scene {
            catalogue: &self.catalogue,
            process: &process,
            server: identity.server.name(),
            ancestry: &ancestry,
            workload: &workload,
            ci,
            detected: &|ancestor| self.detected(ancestor),
        });
        let file = &recipe.file;
        let mut detection = Detection {
            id: id(host, exec, recipe.name()),
            time: exec.time,
            host: host.to_owned(),
            latency_us: None,
            recipe: RecipeInfo {
                name: recipe.name().to_owned(),
                version: file.version.clone(),
                description: file.description.clone(),
                category: file.category.clone(),
                method: file.method.clone(),
                importance: file.importance,
            },
            severity: file.importance,
            reasons: Vec::new(),
            attack: recipe.attack.clone(),
            environment: self.settings.environment,
            server: ServerInfo {
                name: identity.server.name().to_owned(),
                version: identity.version.clone(),
                purpose: identity.purpose,
                confidence: identity.confidence,
                masquerade: identity.masquerade,
                evidence: masked(&identity.evidence),
            },
            process,
            ancestry,
            ancestry_truncated: exec.ancestry_truncated,
            launcher,
            container: workload.container,
            ci: self.settings.ci.clone(),
            listen: Vec::new(),
            baseline: None::<Baseline>,
            response: None,
            guidance: Guidance { implication: String::new(), actions: Vec::new() },
            seeded: exec.seeded,
        };
        judge(&mut detection, identity, exec, self.settings.seeded_severity);
        detection.guidance = recipe.guidance(
            self.settings.environment,
            &Facts {
                detection: &detection,
                title: &identity.server.title,
                default_ports: &identity.server.ports,
            },
        );
        detection
    }

    /// A listener confirms the detection of its process, or of the nearest parent that has one.
    fn on_listen(&mut self, host: &str, listen: &Listen) -> Vec<Record> {
        let Some(key) = self.known(listen) else { return Vec::new() };
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
        known.updates(host, listen.time, &what)
    }
}

/// Where it listens, as people write it. A socket that was never bound gets its port only after
/// the kernel told of it.
fn place(at: &Listener) -> String {
    if at.port == 0 { at.address.clone() } else { socket(&at.address, at.port) }
}

/// An address and a port as people write them.
pub fn socket(address: &str, port: u16) -> String {
    if address.contains(':') { format!("[{address}]:{port}") } else { format!("{address}:{port}") }
}

/// Bytes of arguments that a detection carries.
const ARGS_LEN: usize = 8192;

/// Cuts arguments to what a detection carries; says whether anything was cut.
fn cut_short(args: &mut Vec<String>) -> bool {
    let mut room = ARGS_LEN;
    for (i, arg) in args.iter_mut().enumerate() {
        if arg.len() >= room {
            let end = (0..=room).rev().find(|end| arg.is_char_boundary(*end)).unwrap_or(0);
            arg.truncate(end);
            args.truncate(i + 1);
            return true;
        }
        room -= arg.len() + 1;
    }
    false
}

fn masked(evidence: &[Evidence]) -> Vec<Evidence> {
    evidence.iter().map(|e| Evidence { detail: mask::text(&e.detail), ..e.clone() }).collect()
}

/// Moves the severity with the context, and says why.
///
/// What the file contains is looked at here as well: a packed or changed program is worse.
fn judge(detection: &mut Detection, identity: &Identity<'_>, exec: &Exec, seeded: Severity) {
    let program = identity.path.as_str();
    let mut reasons = Vec::new();
    let importance = detection.recipe.importance;
    let exe = &detection.process.exe;
    let mut severity = importance;
    if detection.server.purpose == Purpose::Manage {
        severity = Severity::Info;
        reasons.push("the arguments do not ask it to serve".to_owned());
    } else {
        reasons.push(format!("{} is of {importance} importance", detection.recipe.name));
        let mut worst = |reason: String| {
            severity = severity.max(Severity::Critical);
            reasons.push(reason);
        };
        if exe.memfd {
            worst("the program exists in memory only".to_owned());
        } else if exe.deleted {
            worst("the program's file was already deleted when it was executed".to_owned());
        } else if let Some(path) = [exe.path.as_str(), program]
            .into_iter()
            .find(|p| ANYONES.iter().any(|d| p.starts_with(d)))
        {
            worst(format!("the program lies where anyone may write: {path}"));
        }
        if detection.server.masquerade {
            worst("its name says something else than what it is".to_owned());
        }
        if exe.intact == Some(false) {
            worst("its file is not as its package brought it".to_owned());
        }
        let packed = exec.process.exe.content.as_ref().and_then(|c| c.packed.as_ref());
        if let Some(whom) = packed {
            worst(format!("its file is packed by {whom}, so that its content does not show"));
        }
        if identity.disputed && severity == importance {
            severity = severity.min(Severity::Low);
            reasons.push("only its name says so: the file's content does not".to_owned());
        }
    }
    if detection.server.purpose == Purpose::Unknown {
        severity = if severity == importance { severity.min(Severity::Medium) } else { severity };
        reasons.push("whether it is to serve, its arguments do not tell".to_owned());
    }
    if detection.seeded {
        severity = seeded;
        reasons.push("it ran before picket did".to_owned());
    }
    detection.severity = severity;
    detection.reasons = reasons;
}

/// A UUID of version 7: the event's time, then what no other event shares. No randomness, so
/// that a replay gives the same ids.
fn id(host: &str, exec: &Exec, recipe: &str) -> String {
    let mut hash = Sha256::new();
    for part in [host.as_bytes(), recipe.as_bytes()] {
        hash.update(part);
        hash.update([0]);
    }
    let p = &exec.process;
    for number in [exec.boot_ns, exec.seq, u64::from(exec.cpu), u64::from(p.pid), p.start_boot_ns] {
        hash.update(number.to_le_bytes());
    }
    let hash = hash.finalize();
    let mut random = [0; 10];
    random.copy_from_slice(&hash[..10]);
    // What ran before is found anew each time, and stays the same.
    let time = if exec.seeded { p.start } else { exec.time };
    let millis = u64::try_from(time.unix_nanos() / 1_000_000).unwrap_or(0);
    uuid::Builder::from_unix_timestamp_millis(millis, &random).into_uuid().to_string()
}
