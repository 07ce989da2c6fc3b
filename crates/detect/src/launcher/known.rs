//! Programs that are known for starting others.

use event::Ancestor;

use crate::words::{base_name, strip_version};

pub(super) const PACKAGE_MANAGERS: &[&str] = &[
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
pub(super) const CONTAINER_ENGINES: &[&str] = &[
    "containerd-shim",
    "conmon",
    "crun",
    "runc",
    "dockerd",
    "lxc-start",
    "systemd-nspawn",
    "buildkitd",
];
/// The first process of many containers: starts the one that matters, and reaps.
pub(super) const CONTAINER_INITS: &[&str] =
    &["docker-init", "tini", "tini-static", "dumb-init", "catatonit", "podman-init"];
pub(super) const CI_RUNNERS: &[&str] = &[
    "Runner.Worker",
    "Runner.Listener",
    "gitlab-runner",
    "buildkite-agent",
    "circleci-agent",
    "drone-runner",
    "woodpecker-agent",
    "Agent.Worker",
    "act_runner",
    "forgejo-runner",
];
pub(super) const CRON: &[&str] = &["cron", "crond", "anacron", "fcron"];
pub(super) const AT: &[&str] = &["atd"];
pub(super) const SHELLS: &[&str] =
    &["sh", "bash", "dash", "ash", "zsh", "ksh", "mksh", "fish", "csh", "tcsh"];
pub(super) const SSH: &[&str] = &["sshd", "sshd-session", "dropbear"];
/// What keeps others running. Scripts are told by their own name, not their interpreter's.
pub(super) const SUPERVISORS: &[&str] = &[
    "supervisord",
    "runsv",
    "s6-supervise",
    "supervise",
    "pm2",
    "foreman",
    "honcho",
    "circusd",
    "monit",
    "nodemon",
];

/// Whether an ancestor runs one of these programs.
pub(super) fn is(ancestor: &Ancestor, names: &[&str]) -> bool {
    let exe = ancestor.exe.as_deref().map_or("", |path| base_name(path));
    // `comm` is cut to 15 bytes.
    names.iter().any(|n| {
        exe == *n
            || strip_version(exe) == *n
            || ancestor.comm == n.get(..15).unwrap_or(n)
            || (n.len() > 12 && ancestor.comm.starts_with(n))
    })
}

/// The script that an ancestor runs, where it is an interpreter: the first word that is no option.
pub(super) fn script(ancestor: &Ancestor) -> Option<&str> {
    let mut words = ancestor.args.iter().skip(1).map(String::as_str);
    words.find(|word| !word.starts_with('-'))
}

/// The command that a shell was given with `-c`.
pub(super) fn command(ancestor: &Ancestor) -> Option<&str> {
    let at = ancestor.args.iter().position(|arg| is_c(arg))?;
    ancestor.args.get(at + 1).map(String::as_str)
}

fn is_c(arg: &str) -> bool {
    arg.len() > 1 && arg.starts_with('-') && !arg.starts_with("--") && arg.ends_with('c')
}

/// Whether somebody types into this shell: it was given neither a command nor a script. Where its
/// arguments are not known it may be so.
pub(super) fn is_interactive(shell: &Ancestor) -> bool {
    shell.args.iter().skip(1).all(|arg| arg.starts_with('-') && !is_c(arg))
}
