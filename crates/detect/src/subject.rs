//! What a recipe is judged on: one event, with all that is known around it.
//!
//! What costs something to find out is found out when the first recipe asks, and once.

use std::cell::OnceCell;

use event::{Ancestor, Exec, Launcher, Listener, Process, ProcessKey, Stamp};

use crate::attribution::{self, Attribution};
use crate::catalogue::Catalogue;
use crate::engine::Settings;
use crate::engine::servers::Servers;
use crate::identify::Identity;
use crate::launcher::{Scene, launcher};
use crate::mask;
use crate::unwrap::Program;
use crate::words::base_name;
use crate::workload::{self, Workload};

/// The nearest web server among the ancestors of a process.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Above<'a> {
    /// Which.
    pub(crate) name: &'a str,
    pub(crate) ancestor: &'a Ancestor,
    pub(crate) key: ProcessKey,
    /// When its process started.
    pub(crate) start: Stamp,
}

/// An event and its surroundings.
pub(crate) struct Subject<'a> {
    /// `exec` or `listen`.
    pub(crate) event: &'static str,
    pub(crate) host: &'a str,
    pub(crate) settings: &'a Settings,
    pub(crate) exec: &'a Exec,
    /// The web server that it is.
    pub(crate) identity: Option<&'a Identity<'a>>,
    pub(crate) above: Option<Above<'a>>,
    pub(crate) listen: &'a [Listener],
    pub(crate) catalogue: &'a Catalogue,
    pub(crate) servers: &'a Servers,
    workload: OnceCell<Workload>,
    attribution: OnceCell<Attribution>,
    launcher: OnceCell<Launcher>,
    program: OnceCell<Program>,
    names: OnceCell<Vec<String>>,
    command_line: OnceCell<String>,
}

impl<'a> Subject<'a> {
    /// An execution.
    pub(crate) fn new(
        (host, exec): (&'a str, &'a Exec),
        settings: &'a Settings,
        catalogue: &'a Catalogue,
        servers: &'a Servers,
        identity: Option<&'a Identity<'a>>,
    ) -> Self {
        Self {
            event: "exec",
            host,
            settings,
            exec,
            identity,
            above: servers.above(&exec.ancestry),
            listen: &exec.listen,
            catalogue,
            servers,
            workload: OnceCell::new(),
            attribution: OnceCell::new(),
            launcher: OnceCell::new(),
            program: OnceCell::new(),
            names: OnceCell::new(),
            command_line: OnceCell::new(),
        }
    }

    pub(crate) fn process(&self) -> &Process {
        &self.exec.process
    }

    /// The nearest ancestor.
    pub(crate) fn parent(&self) -> Option<&Ancestor> {
        self.exec.ancestry.first()
    }

    pub(crate) fn workload(&self) -> &Workload {
        self.workload.get_or_init(|| workload::of(self.process()))
    }

    /// The pipeline that it belongs to.
    pub(crate) fn attribution(&self) -> &Attribution {
        let of = || attribution::of(self.settings.ci.as_ref(), self.exec.ci.as_deref());
        self.attribution.get_or_init(of)
    }

    pub(crate) fn launcher(&self) -> &Launcher {
        self.launcher.get_or_init(|| {
            // What it says in words goes into records.
            let process = self.process();
            let process = Process { args: mask::arguments(&process.args), ..process.clone() };
            launcher(&Scene {
                catalogue: self.catalogue,
                process: &process,
                server: self.identity.map_or("", |i| i.server.name()),
                ancestry: &masked(&self.exec.ancestry),
                workload: self.workload(),
                ci: self.attribution().ci.as_ref().filter(|ci| !ci.claimed),
                detected: &|ancestor| self.servers.named(ancestor),
            })
        })
    }

    /// What runs, loaders and interpreters taken off.
    pub(crate) fn program(&self) -> &Program {
        self.program.get_or_init(|| self.catalogue.in_process(self.process()))
    }

    /// The file that an interpreter or a loader was given.
    pub(crate) fn target(&self) -> Option<&str> {
        let program = self.program();
        let file = program.file();
        let other = !program.layers.is_empty() && file != self.process().exe.path;
        (other && !file.is_empty()).then_some(file)
    }

    /// Every name that the program goes by: of its file, as it was asked for, of what it runs.
    pub(crate) fn names(&self) -> &[String] {
        self.names.get_or_init(|| {
            let mut names = self.program().names.clone();
            for path in [&self.process().exe.path, &self.process().invoked_as] {
                let name = base_name(path);
                if !name.is_empty() && names.iter().all(|n| n != name) {
                    names.push(name.to_owned());
                }
            }
            names
        })
    }

    pub(crate) fn command_line(&self) -> &str {
        self.command_line.get_or_init(|| self.process().args.join(" "))
    }
}

/// Ancestors without the secrets in their arguments.
pub(crate) fn masked(ancestry: &[Ancestor]) -> Vec<Ancestor> {
    let masked = |a: &Ancestor| Ancestor { args: mask::arguments(&a.args), ..a.clone() };
    ancestry.iter().map(masked).collect()
}

/// What an ancestor is called: its file, or what the kernel calls it.
pub(crate) fn name_of(ancestor: &Ancestor) -> &str {
    ancestor.exe.as_deref().map_or(ancestor.comm.as_str(), base_name)
}

/// Whether other machines reach a listener.
pub(crate) fn is_public(listener: &Listener) -> bool {
    use core::net::IpAddr;
    match listener.address.parse::<IpAddr>() {
        Ok(IpAddr::V4(v4)) => !v4.is_loopback(),
        Ok(IpAddr::V6(v6)) => match v6.to_ipv4_mapped() {
            Some(v4) => !v4.is_loopback(),
            None => !v6.is_loopback(),
        },
        Err(_) => false,
    }
}

/// Directories that anyone may write to.
pub(crate) const ANYONES: &[&str] =
    &["/tmp/", "/var/tmp/", "/dev/shm/", "/run/user/", "/run/lock/"];
