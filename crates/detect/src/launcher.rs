//! What started a process: the nearest ancestor that is known for starting things.

use event::{Ancestor, Ci, Launcher, LauncherKind, Process};

use crate::catalogue::Catalogue;
use crate::words::{base_name, strip_version};

const PACKAGE_MANAGERS: &[&str] = &[
    "dpkg",
    "apt",
    "apt-get",
    "aptitude",
    "unattended-upgr",
    "rpm",
    "dnf",
    "yum",
    "zypper",
    "apk",
    "pacman",
    "snapd",
];
const CONTAINER_ENGINES: &[&str] = &[
    "containerd-shim",
    "conmon",
    "crun",
    "runc",
    "dockerd",
    "lxc-start",
    "systemd-nspawn",
    "docker-init",
];
const CI_RUNNERS: &[&str] = &[
    "Runner.Worker",
    "Runner.Listener",
    "gitlab-runner",
    "buildkite-agent",
    "circleci-agent",
    "drone-runner",
    "woodpecker-agent",
    "Agent.Worker",
];
const CRON: &[&str] = &["cron", "crond", "atd", "anacron", "fcron"];
const SHELLS: &[&str] = &["sh", "bash", "dash", "ash", "zsh", "ksh", "mksh", "fish", "csh", "tcsh"];
const SSH: &[&str] = &["sshd", "sshd-session", "dropbear"];

/// What started a process.
pub(crate) fn launcher(
    catalogue: &Catalogue,
    process: &Process,
    server: &str,
    ancestry: &[Ancestor],
    ci: Option<&Ci>,
) -> Launcher {
    let mut shell: Option<&Ancestor> = None;
    for (distance, ancestor) in ancestry.iter().enumerate() {
        let found = if is(ancestor, SHELLS) {
            shell = shell.or(Some(ancestor));
            None
        } else if is(ancestor, PACKAGE_MANAGERS) {
            Some((LauncherKind::PackageManager, "package manager"))
        } else if is(ancestor, CONTAINER_ENGINES) {
            Some((LauncherKind::Container, "container engine"))
        } else if is(ancestor, CI_RUNNERS) {
            Some((LauncherKind::CiStep, "pipeline runner"))
        } else if is(ancestor, CRON) {
            Some((LauncherKind::Cron, "scheduler"))
        } else if is(ancestor, SSH) {
            Some((LauncherKind::Ssh, "ssh session"))
        } else if serves(catalogue, ancestor).is_some_and(|name| name != server) {
            Some((LauncherKind::WebServer, "web server"))
        } else if is(ancestor, &["systemd"]) && distance == 0 {
            Some((LauncherKind::Systemd, "service manager"))
        } else {
            None
        };
        // A shell on a terminal is somebody at work, whatever stands further up; an ssh session
        // says more about who that is.
        if let Some(by) = shell.filter(|_| process.tty)
            && !matches!(found, Some((LauncherKind::Ssh, _)))
            && found.is_some()
        {
            return shell_launcher(by, true);
        }
        if let Some((kind, what)) = found {
            let via = shell.map(|s| format!(" via {} ({})", s.comm, s.pid)).unwrap_or_default();
            let detail = format!("{what} {} ({}){via}", ancestor.comm, ancestor.pid);
            return Launcher { kind, detail };
        }
    }
    if let Some(ci) = ci {
        let names = [&ci.workflow, &ci.job, &ci.step];
        let names: Vec<&str> = names.into_iter().flatten().map(String::as_str).collect();
        let detail = format!("{} pipeline {}", ci.provider, names.join(" / "));
        return Launcher { kind: LauncherKind::CiStep, detail: detail.trim_end().to_owned() };
    }
    if let Some(by) = shell {
        return shell_launcher(by, process.tty);
    }
    match ancestry.first() {
        Some(parent) => Launcher {
            kind: LauncherKind::Other,
            detail: format!("{} ({})", parent.comm, parent.pid),
        },
        None => Launcher { kind: LauncherKind::Other, detail: "parent not known".to_owned() },
    }
}

fn shell_launcher(shell: &Ancestor, tty: bool) -> Launcher {
    let how = if tty { "on a terminal" } else { "without a terminal" };
    Launcher {
        kind: LauncherKind::Shell,
        detail: format!("shell {} ({}), {how}", shell.comm, shell.pid),
    }
}

fn is(ancestor: &Ancestor, names: &[&str]) -> bool {
    let exe = ancestor.exe.as_deref().map_or("", |path| base_name(path));
    // `comm` is cut to 15 bytes.
    names.iter().any(|n| {
        exe == *n
            || strip_version(exe) == *n
            || ancestor.comm == n.get(..15).unwrap_or(n)
            || (n.len() > 12 && ancestor.comm.starts_with(n))
    })
}

/// The native web server that an ancestor is, by the name of its file.
fn serves<'c>(catalogue: &'c Catalogue, ancestor: &Ancestor) -> Option<&'c str> {
    let exe = base_name(ancestor.exe.as_deref()?);
    let mut servers =
        catalogue.by_program(exe).filter(|s| s.runtime.is_none() && s.needs.is_empty());
    servers.next().map(|s| s.name())
}
