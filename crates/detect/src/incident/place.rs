//! Where a server stands: the workload that it belongs to, and what its incidents begin with.

use event::{Container, Detection, Executable, LauncherKind, Process, ProcessKey, Stamp};

use super::entry::{Entry, program};
use crate::workload;

/// Where packages put programs.
const PACKAGED: &[&str] =
    &["/bin/", "/lib/", "/sbin/", "/usr/bin/", "/usr/lib/", "/usr/libexec/", "/usr/sbin/"];

/// What the stages of an incident have in common.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Scope {
    /// A container: its engine, its id, and who could have made those up.
    Container(String, String, Option<String>),
    /// A unit, and whose it is.
    Unit(String, Option<u32>),
    /// The processes below a server.
    Tree(ProcessKey),
}

impl Scope {
    /// Of a server that has none above it.
    ///
    /// A unit counts where it started the server itself: what cron, an ssh server or the runner of
    /// a pipeline start has nothing else in common.
    pub(super) fn of(detection: &Detection) -> Self {
        if let Some(container) = &detection.container {
            return Self::container(container);
        }
        match Self::unit(&detection.process) {
            Some(unit) if detection.launcher.kind == LauncherKind::Systemd => unit,
            _ => Self::Tree(detection.process.key()),
        }
    }

    /// Of one that no recipe made a detection of, so that who started it is not known: its unit
    /// counts if that was met before.
    pub(super) fn of_process(process: &Process, is_known: impl Fn(&Self) -> bool) -> Self {
        if let Some(container) = workload::of(process).container {
            return Self::container(&container);
        }
        Self::unit(process).filter(is_known).unwrap_or_else(|| Self::Tree(process.key()))
    }

    fn container(container: &Container) -> Self {
        let Container { runtime, id, claimed_below, .. } = container.clone();
        Self::Container(runtime, id, claimed_below)
    }

    fn unit(process: &Process) -> Option<Self> {
        workload::of(process).unit.map(|unit| Self::Unit(unit.name, unit.user))
    }

    /// In words.
    pub(super) fn said(&self, server: &str) -> String {
        match self {
            Self::Container(runtime, id, _) => workload::called(&Container {
                runtime: runtime.clone(),
                id: id.clone(),
                ..Container::default()
            }),
            Self::Unit(name, None) => format!("unit {name}"),
            Self::Unit(name, Some(uid)) => format!("unit {name} of uid {uid}"),
            Self::Tree(key) => format!("the processes of {server} ({})", key.pid),
        }
    }
}

/// Where a server stands.
#[derive(Debug)]
pub(crate) struct Place {
    pub(super) scope: Scope,
    /// The path of its program, and the name of that file.
    pub(super) path: String,
    file: String,
    /// When it began.
    began: Stamp,
    /// What its incidents begin with: it was started, it listens.
    pub(super) context: Vec<Entry>,
}

impl Place {
    pub(super) fn new(scope: Scope, process: &Process, context: Vec<Entry>) -> Self {
        let began = context.first().map(|start| start.time).unwrap_or_default();
        let file = program(process).to_owned();
        Self { scope, path: process.exe.path.clone(), file, began, context }
    }

    /// Whether a file came into being, or changed, while the server ran. What a package brought
    /// and nobody changed was written by an update; so was, most likely, what lies where packages
    /// put programs, if it is not known which.
    pub(super) fn is_younger(&self, exe: &Executable) -> bool {
        let brought = match (&exe.package, exe.intact) {
            (Some(_), intact) => intact == Some(true),
            (None, _) => PACKAGED.iter().any(|dir| exe.path.starts_with(dir)),
        };
        exe.memfd || !brought && exe.changed > self.began
    }

    /// Whether a program of this name is the server's own; lineage keeps 31 bytes of it.
    pub(super) fn runs(&self, name: &str) -> bool {
        name == self.file || name.len() >= 31 && self.file.starts_with(name)
    }
}
