//! What containers are called, asked after the fact.
//!
//! A container's id comes with the execution, and the detection waits for nothing else. Its name, its
//! image and its pod are known to the engine: in files that it keeps, or behind its socket. A thread
//! of its own looks there, and what it finds becomes an `update`. An engine that hangs, or that says
//! nonsense, costs these names and nothing else.

mod bundle;
mod docker;

use std::collections::{HashMap, VecDeque};
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender, channel, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use event::{Container, ProcessKey, Record};
use serde::Deserialize;

use crate::config::Config;

/// Containers that may wait to be asked for. More come without their names.
const MOST: usize = 256;
/// Containers whose names are remembered.
const REMEMBERED: usize = 1024;
/// An engine may know a container a moment after its first process runs.
const AGAIN: [Duration; 3] =
    [Duration::from_secs(1), Duration::from_secs(5), Duration::from_secs(30)];
/// A socket that did not answer is left alone for this long.
const REST: Duration = Duration::from_secs(30);
/// Characters of a name.
const LONGEST: usize = 256;

/// What an engine calls a container.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Named {
    image: Option<String>,
    name: Option<String>,
    pod_name: Option<String>,
    pod_namespace: Option<String>,
}

/// A container to ask for; and, when it comes back, with its names.
pub(crate) struct Asked {
    pub(crate) key: ProcessKey,
    pub(crate) container: Container,
}

/// The asking end.
pub(crate) struct Names {
    /// Nothing where names are not wanted.
    ask: Option<SyncSender<Asked>>,
    told: Receiver<Asked>,
}

impl Names {
    /// Starts asking, if the configuration wants that.
    pub(crate) fn start(config: &Config) -> Result<Self> {
        let (back, told) = channel();
        if !config.runtime_names {
            return Ok(Self { ask: None, told });
        }
        let (ask, inbox) = sync_channel(MOST);
        let asker = Asker {
            sockets: config.runtime_sockets.iter().map(|path| (path.clone(), None)).collect(),
            directories: config.runtime_directories.clone(),
            known: HashMap::new(),
        };
        thread::Builder::new()
            .name("names".to_owned())
            .spawn(move || asker.run(&inbox, &back))
            .context("cannot start the thread that asks for the names of containers")?;
        Ok(Self { ask: Some(ask), told })
    }

    /// Asks for the container of a detection, if it has one that the system's engines know.
    pub(crate) fn ask(&self, record: &Record) {
        let (Some(ask), Record::Detection(detection)) = (&self.ask, record) else { return };
        let Some(container) = &detection.container else { return };
        if is_the_systems(container) && is_id(&container.id) {
            let asked = Asked { key: detection.process.key(), container: container.clone() };
            // Too many at once: some stay without a name.
            let _ = ask.try_send(asked);
        }
    }

    /// The next container whose names are known by now.
    pub(crate) fn told(&self) -> Option<Asked> {
        self.told.try_recv().ok()
    }
}

/// Whether an id is the word of the system's own engines. One that a user or another container made
/// up may be that of somebody else's container, whose names it must not borrow.
fn is_the_systems(container: &Container) -> bool {
    let owner = container.claimed_below.as_deref();
    let unit = |owner: &str| owner.ends_with(".service") && !owner.starts_with("user@");
    container.outer.is_empty() && owner.is_none_or(unit)
}

/// 64 hexadecimal digits: nothing that could lead elsewhere in a path or a request.
fn is_id(id: &str) -> bool {
    id.len() == 64 && id.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

struct Asker {
    /// Each with the time until which it is left alone.
    sockets: Vec<(PathBuf, Option<Instant>)>,
    directories: Vec<PathBuf>,
    known: HashMap<String, Named>,
}

impl Asker {
    fn run(mut self, inbox: &Receiver<Asked>, back: &Sender<Asked>) {
        // Those that nobody knew yet: when to ask again, and how often that was.
        let mut later: VecDeque<(Instant, usize, Asked)> = VecDeque::new();
        loop {
            let due = later.iter().map(|(at, ..)| *at).min();
            let wait = due.map_or(Duration::from_secs(3600), |at| {
                at.saturating_duration_since(Instant::now())
            });
            let (tries, mut asked) = match inbox.recv_timeout(wait) {
                Ok(asked) => (0, asked),
                Err(RecvTimeoutError::Disconnected) => return,
                Err(RecvTimeoutError::Timeout) => {
                    let ready = later.iter().position(|(at, ..)| *at <= Instant::now());
                    let Some((_, tries, asked)) = ready.and_then(|at| later.remove(at)) else {
                        continue;
                    };
                    (tries, asked)
                }
            };
            let named = self.look(&asked.container.id);
            if named == Named::default() {
                if let Some(wait) = AGAIN.get(tries)
                    && later.len() < MOST
                {
                    later.push_back((Instant::now() + *wait, tries + 1, asked));
                }
                continue;
            }
            let container = &mut asked.container;
            container.image = named.image;
            container.name = named.name;
            container.pod_name = named.pod_name;
            container.pod_namespace = named.pod_namespace;
            if back.send(asked).is_err() {
                return;
            }
        }
    }

    /// What is known of a container: from files, since those cannot hang, then from sockets.
    fn look(&mut self, id: &str) -> Named {
        if let Some(named) = self.known.get(id) {
            return named.clone();
        }
        let mut named = bundle::look(&self.directories, id);
        for (socket, rest) in &mut self.sockets {
            if named.image.is_some() {
                break;
            }
            if rest.is_some_and(|until| Instant::now() < until) {
                continue;
            }
            match docker::inspect(socket, id) {
                Ok(found) => named = named.or(found),
                Err(docker::Failure::Silent) => *rest = Some(Instant::now() + REST),
                Err(docker::Failure::Unknown) => {}
            }
        }
        if named != Named::default() {
            if self.known.len() >= REMEMBERED {
                self.known.clear(); // rare, and it only costs asking again
            }
            self.known.insert(id.to_owned(), named.clone());
        }
        named
    }
}

impl Named {
    /// What is known here, completed from elsewhere.
    fn or(self, other: Self) -> Self {
        Self {
            image: self.image.or(other.image),
            name: self.name.or(other.name),
            pod_name: self.pod_name.or(other.pod_name),
            pod_namespace: self.pod_namespace.or(other.pod_namespace),
        }
    }
}

/// What engines of Kubernetes note beside a container; docker calls it labels.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Notes(HashMap<String, serde_json::Value>);

impl Notes {
    fn first(&self, keys: &[&str]) -> Option<String> {
        keys.iter().find_map(|key| text(self.0.get(*key)?.as_str()?))
    }

    fn named(&self) -> Named {
        Named {
            image: self.first(&["io.kubernetes.cri.image-name", "io.kubernetes.cri-o.ImageName"]),
            name: self.first(&[
                "io.kubernetes.cri.container-name",
                "io.kubernetes.container.name",
                "nerdctl/name",
            ]),
            pod_name: self.first(&["io.kubernetes.cri.sandbox-name", "io.kubernetes.pod.name"]),
            pod_namespace: self
                .first(&["io.kubernetes.cri.sandbox-namespace", "io.kubernetes.pod.namespace"]),
        }
    }
}

/// A name, of bearable length; an empty one is none.
fn text(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.chars().take(LONGEST).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_systems_own_containers_are_asked_for() {
        let container = |below: Option<&str>| Container {
            claimed_below: below.map(str::to_owned),
            ..Container::default()
        };
        assert!(is_the_systems(&container(None)));
        assert!(is_the_systems(&container(Some("web.service"))));
        assert!(!is_the_systems(&container(Some("user@1000.service"))));
        assert!(!is_the_systems(&container(Some("docker 3726"))));
        let inner = Container { outer: vec!["docker 3726".to_owned()], ..Container::default() };
        assert!(!is_the_systems(&inner));
        assert!(is_id(&"0a".repeat(32)) && !is_id(&"0A".repeat(32)) && !is_id("../x"));
    }
}
