//! What started a process.
//!
//! Ancestors are asked from the nearest on; the first that is known for starting things has done it:
//!
//! 1. a script of a package manager (`nginx.postinst`), a tool that runs such scripts (`npm
//!    install`), or a package manager: `package-manager`;
//! 2. a step's script or a runner: `ci-step`;
//! 3. a container engine: `container` (`ci-step` for the container of a job);
//! 4. cron or at: `cron`;
//! 5. an ssh server: `ssh`;
//! 6. what keeps others running (supervisord, runit, s6, pm2): `other`;
//! 7. a container's first process (tini): `container` in one, else `other`;
//! 8. a web server of another name, by what was detected or by its name: `web-server`;
//! 9. systemd, if the cgroup is that of a service: `systemd`. Someone nearer who is known wins: a
//!    job of `cron.service` is cron's.
//!
//! Two things come before all that is further up: a shell that somebody types into, on a terminal, is
//! `shell`, unless the next that is known is an ssh server. Where nothing is known, the answer is,
//! in this order: the pipeline that picket runs in (`ci-step`), the container (`container`), the
//! service, if the parents are not known at all (`systemd`), a shell (`shell`), the parent (`other`).

mod known;
mod script;
#[cfg(test)]
mod tests;

use std::fmt::Write as _;

use event::{Ancestor, Ci, Launcher, LauncherKind, Process};

use crate::catalogue::Catalogue;
use crate::words::base_name;
use crate::workload::{self, Unit, Workload};
use known::{
    AT, CI_RUNNERS, CONTAINER_ENGINES, CONTAINER_INITS, CRON, PACKAGE_MANAGERS, SHELLS, SSH,
    SUPERVISORS, command, is, is_interactive, script,
};

/// What is known of a process when its launcher is looked for.
pub(crate) struct Scene<'s> {
    pub(crate) catalogue: &'s Catalogue,
    pub(crate) process: &'s Process,
    /// The server that it is.
    pub(crate) server: &'s str,
    pub(crate) ancestry: &'s [Ancestor],
    pub(crate) workload: &'s Workload,
    pub(crate) ci: Option<&'s Ci>,
    /// The web server that an ancestor was detected as.
    pub(crate) detected: &'s dyn Fn(&Ancestor) -> Option<&'s str>,
}

/// A launcher that was found.
struct Found {
    kind: LauncherKind,
    detail: String,
    script: Option<String>,
    /// Whether the shell through which it came is worth a word.
    via: bool,
}

impl Found {
    fn new(kind: LauncherKind, detail: String) -> Self {
        Self { kind, detail, script: None, via: true }
    }
}

/// What started a process.
pub(crate) fn launcher(scene: &Scene<'_>) -> Launcher {
    let mut shell: Option<&Ancestor> = None;
    let mut typed: Option<&Ancestor> = None;
    for (at, ancestor) in scene.ancestry.iter().enumerate() {
        if is(ancestor, SHELLS) {
            shell = shell.or(Some(ancestor));
            typed = typed.or(Some(ancestor).filter(|shell| is_interactive(shell)));
        }
        let Some(found) = scene.starter(at) else { continue };
        // A shell on a terminal is somebody at work, whatever stands further up; an ssh session
        // says more about who that is.
        if let Some(by) = typed.filter(|_| scene.process.tty)
            && found.kind != LauncherKind::Ssh
        {
            return scene.finish(scene.shell(by));
        }
        let via = shell.filter(|shell| found.via && shell.pid != ancestor.pid);
        let via = via.map(|s| format!(" via {} ({})", s.comm, s.pid)).unwrap_or_default();
        return scene.finish(Found { detail: format!("{}{via}", found.detail), ..found });
    }
    scene.finish(scene.nobody(typed.filter(|_| scene.process.tty).or(shell)))
}

impl Scene<'_> {
    /// What an ancestor is, if it is known for starting things.
    fn starter(&self, at: usize) -> Option<Found> {
        let ancestor = &self.ancestry[at];
        let named = |what: &str| format!("{what} {} ({})", ancestor.comm, ancestor.pid);
        if let Some(found) = script::package(self.ancestry, at) {
            let kind = LauncherKind::PackageManager;
            return Some(Found { kind, detail: found.what, script: found.script, via: false });
        }
        if is(ancestor, PACKAGE_MANAGERS) {
            return Some(Found::new(LauncherKind::PackageManager, named("package manager")));
        }
        if let Some(found) = script::step(ancestor) {
            let kind = LauncherKind::CiStep;
            return Some(Found { kind, detail: found.what, script: found.script, via: false });
        }
        if is(ancestor, CI_RUNNERS) || script::is_jenkins(ancestor) {
            return Some(Found::new(LauncherKind::CiStep, named("pipeline runner")));
        }
        if is(ancestor, CONTAINER_ENGINES) {
            return Some(self.engine(self.lasting(at)));
        }
        if is(ancestor, CRON) || is(ancestor, AT) {
            return Some(self.scheduler(at));
        }
        if is(ancestor, SSH) {
            return Some(Found::new(LauncherKind::Ssh, self.ssh(at)));
        }
        if let Some(detail) = supervisor(ancestor) {
            return Some(Found::new(LauncherKind::Other, detail));
        }
        if is(ancestor, CONTAINER_INITS) {
            return Some(match &self.workload.container {
                Some(_) => self.engine(ancestor),
                None => Found::new(LauncherKind::Other, named("init")),
            });
        }
        if let Some(server) = self.serves(ancestor).filter(|server| *server != self.server) {
            let detail = if server == ancestor.comm {
                named("web server")
            } else {
                named(&format!("web server {server},"))
            };
            return Some(Found::new(LauncherKind::WebServer, detail));
        }
        if is(ancestor, &["systemd"]) || (ancestor.pid == 1 && ancestor.comm == "init") {
            return match self.service() {
                Some(unit) => Some(Found::new(LauncherKind::Systemd, self.unit(unit, at))),
                // The cgroup of a recording from before it was kept is not known.
                None if at == 0 => {
                    Some(Found::new(LauncherKind::Systemd, named("service manager")))
                }
                None => None,
            };
        }
        None
    }

    /// The service that a process belongs to: one inside its container, or one of a machine without.
    fn service(&self) -> Option<&Unit> {
        let within = self.workload.container.is_some();
        self.workload.unit.as_ref().filter(|unit| unit.is_service() && unit.inside == within)
    }

    fn unit(&self, unit: &Unit, at: usize) -> String {
        let mut detail = format!("systemd unit {}", unit.name);
        if let Some(user) = unit.user {
            let _ = write!(detail, " of user {user}");
        }
        // Whatever the service started first, if not the server itself.
        let main = at.checked_sub(1).map(|below| &self.ancestry[below]);
        if let Some(main) = main.filter(|main| !is(main, SHELLS)) {
            let _ = write!(detail, " through {} ({})", main.comm, main.pid);
        }
        detail
    }

    /// The engine that stays, where a helper of it did the work and has gone.
    fn lasting(&self, at: usize) -> &Ancestor {
        let line = self.ancestry[at..].iter().take_while(|a| is(a, CONTAINER_ENGINES));
        let mut lasting = line.filter(|a| !is(a, &["runc", "crun"]));
        lasting.next().unwrap_or(&self.ancestry[at])
    }

    /// A container engine, or something that stands for it.
    fn engine(&self, ancestor: &Ancestor) -> Found {
        let job = self.process.cgroup_path.as_deref();
        if job.is_some_and(|path| path.contains("/actions_job/")) {
            let detail = format!("{} of a GitHub job", self.container());
            return Found::new(LauncherKind::CiStep, detail);
        }
        let by = format!("{} ({})", ancestor.comm, ancestor.pid);
        let detail = match &self.workload.container {
            Some(_) => format!("{}, started by {by}", self.container()),
            None => format!("container engine {by}"),
        };
        Found::new(LauncherKind::Container, detail)
    }

    /// The container, with who could have made its id up.
    fn container(&self) -> String {
        let Some(container) = &self.workload.container else { return "a container".to_owned() };
        let mut said = workload::called(container);
        if let Some(owner) = &container.claimed_below {
            let _ = write!(said, " (so named below {owner})");
        }
        said
    }

    fn scheduler(&self, at: usize) -> Found {
        let by = &self.ancestry[at];
        // The schedulers fork before they execute a job.
        let below = self.ancestry[..at].iter().rev();
        let mut jobs = below.skip_while(|a| is(a, CRON) || is(a, AT) || a.comm == "CRON");
        let (first, own) = (jobs.next(), command_line(&self.process.args));
        let periodic = |a: &&Ancestor| a.args.iter().any(|arg| is_periodic(arg));
        let script = self.ancestry[..at].iter().rev().find(periodic);
        let script = script.and_then(|a| a.args.iter().find(|arg| is_periodic(arg))).cloned();
        let job = script.or_else(|| match first {
            // at gives its shell the job as input: it is nowhere to be seen.
            Some(_) if is(by, AT) => None,
            Some(shell) if is(shell, SHELLS) => command(shell).map(str::to_owned),
            Some(other) => command_line(&other.args),
            None => own,
        });
        let what = if is(by, AT) { "at" } else { "scheduler" };
        let said = job.as_ref().map_or_else(String::new, |job| format!(", job `{job}`"));
        let detail = format!("{what} {} ({}){said}", by.comm, by.pid);
        Found { kind: LauncherKind::Cron, via: job.is_none(), detail, script: job }
    }

    fn ssh(&self, at: usize) -> String {
        let user = &self.process.user;
        let user = user.clone().unwrap_or_else(|| format!("uid {}", self.process.uid));
        let on = match &self.process.tty_name {
            Some(tty) => format!(" on {tty}"),
            None if self.process.tty => " on a terminal".to_owned(),
            None => String::new(),
        };
        // The session's own, then the one that listens.
        let line = self.ancestry[at..].iter().take_while(|a| is(a, SSH));
        let line: Vec<String> = line.map(|a| format!("{} ({})", a.comm, a.pid)).collect();
        let ends: Vec<&str> = match &*line {
            [first, .., last] => vec![first, last],
            _ => line.iter().map(String::as_str).collect(),
        };
        format!("ssh session of {user}{on}, {}", ends.join(" from "))
    }

    fn shell(&self, shell: &Ancestor) -> Found {
        let how = match &self.process.tty_name {
            Some(tty) => format!("on terminal {tty}"),
            None if self.process.tty => "on a terminal".to_owned(),
            None => "without a terminal".to_owned(),
        };
        let detail = format!("shell {} ({}), {how}", shell.comm, shell.pid);
        Found { via: false, ..Found::new(LauncherKind::Shell, detail) }
    }

    /// No ancestor is known for starting things.
    fn nobody(&self, shell: Option<&Ancestor>) -> Found {
        if let Some(ci) = self.ci {
            let names = [&ci.workflow, &ci.job, &ci.step];
            let names: Vec<&str> = names.into_iter().flatten().map(String::as_str).collect();
            let detail = format!("{} pipeline {}", ci.provider, names.join(" / "));
            return Found::new(LauncherKind::CiStep, detail.trim_end().to_owned());
        }
        if self.workload.container.is_some()
            && !shell.is_some_and(|s| self.process.tty && is_interactive(s))
        {
            return Found::new(LauncherKind::Container, self.container());
        }
        if let (Some(unit), None) = (self.service(), self.ancestry.first()) {
            let detail = format!("{}, its parents are not known", self.unit(unit, 0));
            return Found::new(LauncherKind::Systemd, detail);
        }
        if let Some(shell) = shell {
            return self.shell(shell);
        }
        let detail = match self.ancestry.first() {
            Some(parent) => format!("{} ({})", parent.comm, parent.pid),
            None => "parent not known".to_owned(),
        };
        Found::new(LauncherKind::Other, detail)
    }

    /// Adds what is true of any kind.
    fn finish(&self, found: Found) -> Launcher {
        let mut detail = found.detail;
        let said = matches!(found.kind, LauncherKind::Container) || detail.contains(" container ");
        if self.workload.container.is_some() && !said {
            let _ = write!(detail, ", in {}", self.container());
        }
        Launcher {
            kind: found.kind,
            detail,
            unit: self.workload.unit.as_ref().map(|unit| unit.name.clone()),
            tty: self.process.tty_name.clone(),
            script: found.script,
        }
    }

    /// The web server that an ancestor is: detected as such, or by the name of its file or what it
    /// was given to run.
    fn serves(&self, ancestor: &Ancestor) -> Option<&str> {
        if let Some(server) = (self.detected)(ancestor) {
            return Some(server);
        }
        let path = ancestor.exe.as_deref()?;
        let exe = base_name(path);
        let mut servers = self.catalogue.by_program(exe);
        if let Some(native) = servers.find(|s| s.runtime.is_none() && s.needs.is_empty()) {
            return Some(native.name());
        }
        // A shell's command line may speak of servers that it starts.
        if is(ancestor, SHELLS) || ancestor.args.len() < 2 {
            return None;
        }
        let mut process = Process { args: ancestor.args.clone(), ..Process::default() };
        process.exe.path = path.to_owned();
        process.invoked_as = path.to_owned();
        process.comm.clone_from(&ancestor.comm);
        let identity = self.catalogue.identify(&process)?;
        let serves = identity.purpose == event::Purpose::Serve;
        let hosted = identity.server.runtime.is_some();
        if serves && hosted {
            self.catalogue.server(identity.server.name()).map(|s| s.name())
        } else {
            None
        }
    }
}

/// What keeps others running, in words: some are told what they keep.
fn supervisor(ancestor: &Ancestor) -> Option<String> {
    let own = is(ancestor, SUPERVISORS);
    let script = script(ancestor).map(base_name);
    let known = script.filter(|name| SUPERVISORS.contains(name));
    // pm2 calls its own process by a sentence, and runs from a directory of its name.
    let pm2 = ancestor.args.get(1).is_some_and(|arg| arg.contains("/pm2/"));
    let name = match known {
        Some(name) if !own => name,
        _ if own => &ancestor.comm,
        _ if pm2 => "pm2",
        _ => return None,
    };
    let keeps = is(ancestor, &["runsv", "s6-supervise", "supervise"]).then_some(script).flatten();
    let keeps = keeps.map_or_else(String::new, |service| format!(" of {service}"));
    Some(format!("supervisor {name} ({}){keeps}", ancestor.pid))
}

/// A script that cron runs every hour, day, week or month.
fn is_periodic(arg: &str) -> bool {
    let periods = ["hourly/", "daily/", "weekly/", "monthly/"];
    arg.strip_prefix("/etc/cron.").is_some_and(|rest| periods.iter().any(|p| rest.starts_with(p)))
}

fn command_line(args: &[String]) -> Option<String> {
    (!args.is_empty()).then(|| args.join(" "))
}
