//! auditd with one rule: every execve is logged.
//!
//! Once auditing was on, the kernel prepares each new thread for it until the next boot, whether
//! it is on or not, which would make everything else slower, too. The rule `never,task` keeps it
//! from doing so. It holds whenever auditd is not being measured, so that the others are
//! measured as on a machine that never audited.

use std::fs;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use rustix::process::Signal;

use crate::coverage::Coverage;
use crate::scratch::Scratch;
use crate::tool::{self, Running, Tool};
use crate::{procfs, storm};

const DAEMON: &str = "/usr/sbin/auditd";
const CONTROL: &str = "/usr/sbin/auditctl";
const PATIENCE: Duration = Duration::from_secs(15);
const KEY: &str = "picket-bench";
const WATCH: [&str; 7] = ["always,exit", "-F", "arch=b64", "-S", "execve", "-k", KEY];
const LEAVE_ALONE: [&str; 1] = ["never,task"];
/// As in Debian's default rules. The kernel's own default, 64, would make the storm wait.
const BACKLOG: &str = "8192";

/// An installed auditd on a machine that does not use it.
pub(crate) struct Auditd {
    dir: PathBuf,
    before: Settings,
}

/// Settings of the kernel that are put back.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Settings {
    enabled: String,
    backlog: String,
}

impl Auditd {
    /// Finds it and sees it work. The error says why it cannot be measured.
    pub(crate) fn find(scratch: &Scratch) -> Result<Self> {
        for path in [DAEMON, CONTROL] {
            ensure!(Path::new(path).exists(), "not installed: apt-get install auditd");
        }
        let status = control(&["-s"])?;
        let before = Settings {
            enabled: field(&status, "enabled")?,
            backlog: field(&status, "backlog_limit")?,
        };
        let unused = field(&status, "pid")? == "0" && control(&["-l"])?.contains("No rules");
        ensure!(unused, "this machine uses audit itself; it is left alone");
        ensure!(before.enabled != "2", "the audit rules are locked until the next boot");
        let dir = scratch.path("audit");
        configure(&dir)?;
        rule("-a", &LEAVE_ALONE)?;
        // From here on dropping it cleans up.
        let found = Self { dir, before };
        let trial = found.launch()?;
        storm::run(&scratch.benign, 20)?;
        Box::new(trial).stop()?;
        let log = fs::read_to_string(found.dir.join("audit.log")).context("no audit log")?;
        ensure!(log.contains(KEY), "it started but logged nothing: audit does not work here");
        Ok(found)
    }

    fn launch(&self) -> Result<Auditing> {
        let child = Command::new(DAEMON)
            .arg("-n")
            .arg("-c")
            .arg(&self.dir)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context("cannot start auditd")?;
        let pid = child.id();
        let auditing = Auditing { child, before: self.before.clone(), rules: true };
        tool::until("auditd got ready", PATIENCE, || {
            control(&["-s"])
                .and_then(|status| field(&status, "pid"))
                .is_ok_and(|is| is == pid.to_string())
        })?;
        control(&["-b", BACKLOG])?;
        rule("-d", &LEAVE_ALONE)?;
        rule("-a", &WATCH)?;
        Ok(auditing)
    }
}

impl Tool for Auditd {
    fn name(&self) -> &'static str {
        "auditd, one rule"
    }

    fn start(&self) -> Result<Box<dyn Running>> {
        Ok(Box::new(self.launch()?))
    }
}

impl Drop for Auditd {
    fn drop(&mut self) {
        // There is nobody left to tell, and removing a rule that is gone is no harm.
        let _ = rule("-d", &LEAVE_ALONE);
    }
}

struct Auditing {
    child: Child,
    before: Settings,
    rules: bool,
}

impl Auditing {
    /// Removes the rule first: records that no daemon takes go to the kernel's log.
    fn clean_up(&mut self) -> Result<()> {
        if !std::mem::take(&mut self.rules) {
            return Ok(());
        }
        let mut done = rule("-d", &WATCH);
        // Twice the same rule is refused, so this one may have to go first.
        let _ = rule("-d", &LEAVE_ALONE);
        done = done.and(rule("-a", &LEAVE_ALONE));
        done = done.and(control(&["-b", &self.before.backlog]).map(drop));
        done = done.and(control(&["-e", &self.before.enabled]).map(drop));
        done.and(tool::end(&mut self.child, Signal::TERM, PATIENCE))
    }
}

impl Running for Auditing {
    /// The kernel's thread that hands the records over belongs to the cost.
    fn pids(&self) -> Vec<u32> {
        [Some(self.child.id()), procfs::named("kauditd")].into_iter().flatten().collect()
    }

    fn stop(mut self: Box<Self>) -> Result<Option<Coverage>> {
        self.clean_up()?;
        Ok(None)
    }
}

impl Drop for Auditing {
    fn drop(&mut self) {
        // What goes wrong here went wrong before; the daemon must end in any case.
        let _ = self.clean_up();
        let _ = tool::end(&mut self.child, Signal::TERM, PATIENCE);
    }
}

/// Debian's configuration, with its files in our directory.
fn configure(dir: &Path) -> Result<()> {
    let plugins = dir.join("plugins");
    let what = "cannot make a configuration for auditd";
    fs::DirBuilder::new().mode(0o700).recursive(true).create(&plugins).context(what)?;
    let default = fs::read_to_string("/etc/audit/auditd.conf").unwrap_or_default();
    let ours = ["log_file", "log_group", "plugin_dir"];
    let mut text: String = default
        .lines()
        .filter(|line| !ours.iter().any(|name| line.trim_start().starts_with(name)))
        .map(|line| format!("{line}\n"))
        .collect();
    text.push_str(&format!("log_file = {}\n", dir.join("audit.log").display()));
    text.push_str(&format!("log_group = root\nplugin_dir = {}\n", plugins.display()));
    fs::write(dir.join("auditd.conf"), text).context(what)
}

/// Adds (`-a`) or removes (`-d`) a rule.
fn rule(how: &str, rule: &[&str]) -> Result<()> {
    let mut words = vec![how];
    words.extend(rule);
    control(&words).map(drop)
}

fn control(words: &[&str]) -> Result<String> {
    let output = Command::new(CONTROL).args(words).output().context("cannot start auditctl")?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("auditctl {}: {}", words.join(" "), said.trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// A line `name value` of the status.
fn field(status: &str, name: &str) -> Result<String> {
    status
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))
        .map(str::to_owned)
        .with_context(|| format!("auditctl does not tell {name}"))
}
