//! A machine of words: processes that are executed, listen and connect, and what the engine says.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use event::{
    Ancestor, Connect, Detection, Endpoint, Environment, Event, Exec, Incident, Listen, Listener,
    Process, ProcessKey, Record, Severity, Stamp, Update,
};

use crate::catalogue::Catalogue;
use crate::engine::{Engine, Settings};
use crate::recipe::Recipe;

const CATALOGUE: &[(&str, &str)] = &[
    ("nginx.yaml", include_str!("../../../../../catalogue/nginx.yaml")),
    ("php-native.yaml", include_str!("../../../../../catalogue/php-native.yaml")),
    ("php.yaml", include_str!("../../../../../catalogue/php.yaml")),
    ("python.yaml", include_str!("../../../../../catalogue/python.yaml")),
    ("unwrap.yaml", include_str!("../../../../../catalogue/unwrap.yaml")),
];
const RECIPES: &[(&str, &str)] = &[
    ("exec", include_str!("../../../../../recipes/command-and-control/webserver_exec.yaml")),
    ("shell", include_str!("../../../../../recipes/execution/webserver_shell_spawn.yaml")),
    (
        "download",
        include_str!("../../../../../recipes/command-and-control/webserver_download.yaml"),
    ),
];

/// The host of all events.
pub(super) const HOST: &str = "web-1";

/// What all engines know; reading it takes a while.
static RULES: LazyLock<(Arc<Catalogue>, Vec<Recipe>)> = LazyLock::new(|| {
    let (catalogue, problems) = Catalogue::parse(CATALOGUE.iter().copied());
    assert!(problems.is_empty(), "{problems:?}");
    let recipes = RECIPES.iter().map(|(path, text)| Recipe::parse(path, text).unwrap());
    (Arc::new(catalogue), recipes.collect())
});

/// An engine with the recipes that incidents are made of.
pub(super) fn engine() -> Engine {
    let (catalogue, recipes) = &*RULES;
    let environment = Environment::Production;
    let settings = Settings { environment, ci: None, seeded_severity: Severity::Info };
    Engine::new(Arc::clone(catalogue), recipes.clone(), settings)
}

/// Events, and what came of them.
pub(super) struct World {
    engine: Engine,
    now: i64,
    processes: HashMap<u32, Exec>,
    pub(super) records: Vec<Record>,
}

impl World {
    pub(super) fn new() -> Self {
        let now = 1_700_000_000_000_000_000;
        Self { engine: engine(), now, processes: HashMap::new(), records: Vec::new() }
    }

    pub(super) fn now(&self) -> Stamp {
        Stamp::from_unix_nanos(self.now)
    }

    /// Time passes.
    pub(super) fn after(&mut self, seconds: i64) -> &mut Self {
        self.now += seconds * 1_000_000_000;
        self
    }

    /// A process (0 for one that nobody knows) makes another one.
    pub(super) fn fork(&mut self, parent: u32, pid: u32) -> &mut Self {
        let mut exec = Exec::default();
        if let Some(above) = self.processes.get(&parent) {
            exec.process = above.process.clone();
            exec.ancestry.clone_from(&above.ancestry);
            exec.ancestry.insert(0, ancestor(&above.process));
        }
        exec.process.pid = pid;
        exec.process.start = self.now();
        exec.process.start_boot_ns = u64::from(pid) * 1000;
        self.processes.insert(pid, exec);
        self
    }

    /// A process executes a program: `PATH ARGUMENT…`, blanks in an argument written as `~`.
    pub(super) fn exec(&mut self, pid: u32, line: &str) -> &mut Self {
        self.exec_as(pid, line, |_| {})
    }

    /// The same, with more that is so.
    pub(super) fn exec_as(
        &mut self,
        pid: u32,
        line: &str,
        change: impl FnOnce(&mut Exec),
    ) -> &mut Self {
        let time = self.now();
        let exec = self.processes.get_mut(&pid).unwrap();
        let words: Vec<String> = line.split(' ').map(|word| word.replace('~', " ")).collect();
        let name = words[0].rsplit('/').next().unwrap().to_owned();
        let process = &mut exec.process;
        process.exe = event::Executable { path: words[0].clone(), ..Default::default() };
        process.invoked_as = words[0].clone();
        process.comm = name.chars().take(15).collect();
        process.args = std::iter::once(name).chain(words.into_iter().skip(1)).collect();
        exec.time = time;
        exec.seeded = false;
        exec.listen.clear();
        change(exec);
        let exec = Box::new(exec.clone());
        self.on(&Event::Exec { host: HOST.to_owned(), exec })
    }

    /// A fork that executes a program.
    pub(super) fn spawn(&mut self, parent: u32, pid: u32, line: &str) -> &mut Self {
        self.fork(parent, pid).exec(pid, line)
    }

    /// A server is started by nobody in particular, and listens.
    pub(super) fn serve(&mut self, pid: u32, line: &str) -> &mut Self {
        self.spawn(0, pid, line).listen(pid, "0.0.0.0", 80)
    }

    pub(super) fn listen(&mut self, pid: u32, address: &str, port: u16) -> &mut Self {
        let Exec { process, ancestry, .. } = self.processes[&pid].clone();
        let same = |above: &&Ancestor| above.exe.as_ref() == Some(&process.exe.path);
        let listen = Listen {
            time: self.now(),
            pid,
            start_boot_ns: process.start_boot_ns,
            parents: ancestry.iter().take_while(same).map(Ancestor::key).collect(),
            listener: Listener { address: address.to_owned(), port, protocol: "tcp".to_owned() },
            ..Listen::default()
        };
        self.on(&Event::Listen { host: HOST.to_owned(), listen })
    }

    pub(super) fn connect(&mut self, pid: u32, address: &str, port: u16) -> &mut Self {
        let connect = self.connection(pid, address, port);
        self.tell(connect)
    }

    pub(super) fn end(&mut self, pid: u32, address: &str, port: u16, sent: u64) -> &mut Self {
        let connect = self.connection(pid, address, port);
        self.tell(Connect {
            ended: true,
            established: Some(true),
            bytes_sent: Some(sent),
            bytes_received: Some(20),
            ..connect
        })
    }

    /// A connection that begins.
    pub(super) fn connection(&self, pid: u32, address: &str, port: u16) -> Connect {
        let Exec { process, ancestry, .. } = &self.processes[&pid];
        Connect {
            time: self.now(),
            pid,
            start_boot_ns: process.start_boot_ns,
            comm: process.comm.clone(),
            program: Some(process.comm.clone()),
            parents: ancestry.iter().map(Ancestor::key).collect(),
            peer: Endpoint { address: address.to_owned(), port, protocol: "tcp".to_owned() },
            ..Connect::default()
        }
    }

    pub(super) fn tell(&mut self, connect: Connect) -> &mut Self {
        self.on(&Event::Connect { host: HOST.to_owned(), connect: Box::new(connect) })
    }

    pub(super) fn on(&mut self, event: &Event) -> &mut Self {
        self.records.extend(self.engine.on(event));
        self
    }

    pub(super) fn detections(&self) -> Vec<&Detection> {
        self.records.iter().filter_map(detection).collect()
    }

    /// Updates that tell of incidents.
    pub(super) fn told(&self) -> Vec<&Update> {
        told(&self.records)
    }

    /// The last incident that was told.
    pub(super) fn incident(&self) -> &Incident {
        self.told().last().unwrap().incident.as_ref().unwrap()
    }
}

fn detection(record: &Record) -> Option<&Detection> {
    match record {
        Record::Detection(detection) => Some(detection),
        _ => None,
    }
}

pub(super) fn told(records: &[Record]) -> Vec<&Update> {
    fn update(record: &Record) -> Option<&Update> {
        match record {
            Record::Update(update) => update.incident.is_some().then_some(update),
            _ => None,
        }
    }
    records.iter().filter_map(update).collect()
}

fn ancestor(process: &Process) -> Ancestor {
    let ProcessKey { pid, start_boot_ns } = process.key();
    Ancestor {
        pid,
        start_boot_ns,
        start: process.start,
        comm: process.comm.clone(),
        exe: Some(process.exe.path.clone()),
        args: process.args.clone(),
        alive: true,
    }
}
