//! auditd with one rule: every execve is logged. With laurel, its plugin that makes JSON of it, if
//! asked for.
//!
//! Once auditing was on, the kernel prepares each new thread for it until the next boot, whether
//! it is on or not, which would make everything else slower, too. The rule `never,task` keeps it
//! from doing so. It holds whenever auditd is not being measured, so that the others are
//! measured as on a machine that never audited.

use std::fs;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::rc::Rc;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use rustix::process::Signal;

use crate::laurel::{self, Laurel};
use crate::procfs;
use crate::scratch::Scratch;
use crate::tool::{self, Report, Running, Tool, Wanted};

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
    plugin: Option<Laurel>,
    /// Needed while the other of the two is there, too.
    _alone: Rc<LeaveAlone>,
}

/// The rule that is in place whenever auditd is not being measured; dropping it removes it.
pub(crate) struct LeaveAlone(());

impl LeaveAlone {
    /// Puts it in place, if this machine does not use audit itself.
    pub(crate) fn begin() -> Result<Rc<Self>> {
        for path in [DAEMON, CONTROL] {
            ensure!(Path::new(path).exists(), "not installed: apt-get install auditd");
        }
        let status = control(&["-s"])?;
        ensure!(
            field(&status, "enabled")? != "2",
            "the audit rules are locked until the next boot"
        );
        let unused = field(&status, "pid")? == "0" && only_ours(&control(&["-l"])?);
        ensure!(unused, "this machine uses audit itself; it is left alone");
        // Left behind by a bench that was killed.
        let _ = rule("-d", &WATCH);
        let _ = rule("-d", &LEAVE_ALONE);
        rule("-a", &LEAVE_ALONE)?;
        Ok(Rc::new(Self(())))
    }
}

impl Drop for LeaveAlone {
    fn drop(&mut self) {
        // There is nobody left to tell, and removing a rule that is gone is no harm.
        let _ = rule("-d", &LEAVE_ALONE);
    }
}

/// Settings of the kernel that are put back.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Settings {
    enabled: String,
    backlog: String,
}

impl Auditd {
    /// Sees it work. The error says why it cannot be measured.
    pub(crate) fn find(scratch: &Scratch, alone: Rc<LeaveAlone>) -> Result<Self> {
        Self::with(scratch.path("audit"), None, scratch, alone)
    }

    /// The same with laurel.
    pub(crate) fn find_with_laurel(scratch: &Scratch, alone: Rc<LeaveAlone>) -> Result<Self> {
        let dir = scratch.path("audit-laurel");
        let laurel = Laurel::find(&dir)?;
        Self::with(dir, Some(laurel), scratch, alone)
    }

    fn with(
        dir: PathBuf,
        plugin: Option<Laurel>,
        scratch: &Scratch,
        alone: Rc<LeaveAlone>,
    ) -> Result<Self> {
        let status = control(&["-s"])?;
        let before = Settings {
            enabled: field(&status, "enabled")?,
            backlog: field(&status, "backlog_limit")?,
        };
        configure(&dir)?;
        if let Some(laurel) = &plugin {
            laurel.configure()?;
        }
        let found = Self { dir, before, plugin, _alone: alone };
        tool::trial(&found, scratch)?;
        Ok(found)
    }

    fn launch(&self) -> Result<Auditing> {
        for log in [Some(self.log()), self.plugin.as_ref().map(Laurel::log)].into_iter().flatten() {
            // An earlier one's records would be counted.
            fs::write(&log, "").with_context(|| format!("cannot empty {}", log.display()))?;
        }
        let lost = lost()?;
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
        let auditing = Auditing {
            child,
            before: self.before.clone(),
            rules: true,
            log: self.log(),
            json: self.plugin.as_ref().map(Laurel::log),
            lost,
        };
        tool::until("auditd got ready", PATIENCE, || {
            control(&["-s"])
                .and_then(|status| field(&status, "pid"))
                .is_ok_and(|is| is == pid.to_string())
        })?;
        if self.plugin.is_some() {
            tool::until("laurel was started by auditd", PATIENCE, || {
                !procfs::children(pid, laurel::NAME).is_empty()
            })?;
        }
        control(&["-b", BACKLOG])?;
        rule("-d", &LEAVE_ALONE)?;
        rule("-a", &WATCH)?;
        Ok(auditing)
    }

    fn log(&self) -> PathBuf {
        self.dir.join("audit.log")
    }
}

impl Tool for Auditd {
    fn name(&self) -> &'static str {
        if self.plugin.is_some() { "auditd with laurel" } else { "auditd, one rule" }
    }

    fn start(&self) -> Result<Box<dyn Running>> {
        Ok(Box::new(self.launch()?))
    }
}

struct Auditing {
    child: Child,
    before: Settings,
    rules: bool,
    log: PathBuf,
    /// laurel's, if there is laurel.
    json: Option<PathBuf>,
    /// Lost before, since boot.
    lost: u64,
}

impl Auditing {
    /// Waits until the kernel's backlog is empty, and all of it written.
    fn settle(&self) -> Result<()> {
        tool::until("auditd took what the kernel had for it", PATIENCE, || {
            control(&["-s"]).and_then(|s| field(&s, "backlog")).is_ok_and(|backlog| backlog == "0")
        })?;
        let Some(json) = &self.json else { return Ok(()) };
        // laurel says nothing of what it has still to do.
        let size = || fs::metadata(json).map_or(0, |meta| meta.len());
        let mut last = size();
        loop {
            std::thread::sleep(tool::SETTLE);
            let now = size();
            if now == last {
                return Ok(());
            }
            last = now;
        }
    }

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
        let pid = self.child.id();
        let mut pids = vec![pid];
        pids.extend(procfs::named("kauditd"));
        pids.extend(procfs::children(pid, laurel::NAME));
        pids
    }

    fn stop(mut self: Box<Self>, wanted: &Wanted) -> Result<Report> {
        self.settle()?;
        let lost = lost()?.saturating_sub(self.lost);
        let plugin = procfs::children(self.child.id(), laurel::NAME);
        self.clean_up()?;
        tool::until("laurel ended with auditd", PATIENCE, || {
            plugin.iter().all(|pid| !procfs::is_alive(*pid))
        })?;
        // One record of each execution has the rule's key, and failed ones do not count.
        let key = format!("key=\"{KEY}\"");
        let in_log = |line: &[u8]| {
            line.starts_with(b"type=SYSCALL ")
                && tool::contains(line, key.as_bytes())
                && tool::contains(line, b" success=yes ")
                && wanted.names(line)
        };
        let recorded = match &self.json {
            Some(json) => tool::count_lines(json, |line| laurel::is_record(line, KEY, wanted))?,
            None => tool::count_lines(&self.log, in_log)?,
        };
        Ok(Report { coverage: None, recorded: Some(recorded), lost })
    }
}

impl Drop for Auditing {
    fn drop(&mut self) {
        // What goes wrong here went wrong before; the daemon must end in any case.
        let _ = self.clean_up();
        let _ = tool::end(&mut self.child, Signal::TERM, PATIENCE);
    }
}

/// Whether no rule is loaded, or only those that a bench left behind that was killed.
fn only_ours(rules: &str) -> bool {
    rules.lines().all(|rule| {
        rule.contains("No rules") || rule.contains(KEY) || rule.trim() == "-a never,task"
    })
}

/// Records that the kernel lost since boot.
fn lost() -> Result<u64> {
    field(&control(&["-s"])?, "lost")?.parse().context("auditctl tells a strange number of losses")
}

/// Debian's configuration, with its files in our directory, and without rotation: the records are
/// counted.
fn configure(dir: &Path) -> Result<()> {
    let plugins = dir.join("plugins");
    let what = "cannot make a configuration for auditd";
    fs::DirBuilder::new().mode(0o700).recursive(true).create(&plugins).context(what)?;
    let default = fs::read_to_string("/etc/audit/auditd.conf").unwrap_or_default();
    let ours = ["log_file", "log_group", "plugin_dir", "max_log_file_action"];
    let mut text: String = default
        .lines()
        .filter(|line| !ours.iter().any(|name| line.trim_start().starts_with(name)))
        .map(|line| format!("{line}\n"))
        .collect();
    text.push_str(&format!("log_file = {}\n", dir.join("audit.log").display()));
    text.push_str(&format!(
        "log_group = root\nmax_log_file_action = IGNORE\nplugin_dir = {}\n",
        plugins.display()
    ));
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
