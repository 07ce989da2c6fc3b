//! The configuration: one struct, its defaults, and the file that may change them.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use detect::baseline::Learning;
use event::Severity;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::cli::{Common, EnvironmentChoice, Format};

/// The file that is read unless another is named.
const DEFAULT_FILE: &str = "/etc/picket/config.yaml";

/// The ring is mapped twice and counts as resident memory: more would be a mistake.
const LARGEST_RING: u32 = 256 << 20;

/// A proof that is older than a day proves little.
const RAREST_CANARY: u32 = 86_400;

/// What nobody has looked at for longer than this was not learned but let in.
const LONGEST_LEARNING: i64 = 90 * 86_400;

/// Everything that can be set. Unknown keys are refused.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Config {
    /// Where this runs: `auto`, `ci`, `staging` or `production`.
    pub(crate) environment: EnvironmentSetting,
    /// The name of this machine in records; its host name if absent.
    pub(crate) host: Option<String>,
    /// Detections from this severity on are shown.
    pub(crate) severity: Severity,
    /// How serious it is that a web server ran before picket did. Those are shown whatever
    /// `severity` says; `--severity` on the command line may hide them.
    pub(crate) seeded_severity: Severity,
    /// Further recipe files or directories.
    pub(crate) recipes: Vec<PathBuf>,
    /// Further catalogue files or directories.
    pub(crate) catalogue: Vec<PathBuf>,
    /// Size of the kernel's ring for executions, in bytes: a power of two from 4096 to 268435456.
    pub(crate) ring_bytes: u32,
    /// Of how many processes, living and dead, the kernel keeps the lineage.
    pub(crate) processes: u32,
    /// Of how many files the kernel keeps a verdict.
    pub(crate) files: u32,
    /// The user to become once everything is open; `picket` if there is one, else `nobody`.
    pub(crate) user: Option<String>,
    /// Give up privileges that are needed no more, and forbid what is never done.
    pub(crate) sandbox: bool,
    /// How often a canary proves that the hooks work, in seconds, at most 86400; 0 for only at the
    /// start, on SIGHUP and after losses.
    pub(crate) canary_seconds: u32,
    /// Whether the names of containers, their images and pods are asked for.
    pub(crate) runtime_names: bool,
    /// Sockets of engines that speak as docker does.
    pub(crate) runtime_sockets: Vec<PathBuf>,
    /// Directories where engines keep what they know of their containers: the tasks of containerd,
    /// the storage of podman and CRI-O.
    pub(crate) runtime_directories: Vec<PathBuf>,
    /// The file that says what is expected here; `/etc/picket/baseline.yaml`, if it exists.
    pub(crate) baseline: Option<PathBuf>,
    /// Files of exceptions.
    pub(crate) exceptions: Vec<PathBuf>,
    /// The directory where what was seen is kept; `/var/lib/picket`, if it exists.
    pub(crate) state: Option<PathBuf>,
    /// How long it learns what is normal here, counted from the first start: `30m`, `12h`, `1d`, at
    /// most `90d`. Everything is told all the same.
    pub(crate) baseline_learning: Option<String>,
    /// What becomes of what was learned: `ask` until somebody accepts it, or `expect` it.
    pub(crate) baseline_learned: Learned,
}

/// What becomes of what was learned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Learned {
    Ask,
    Expect,
}

/// Where this runs, as it can be configured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum EnvironmentSetting {
    Auto,
    Ci,
    Staging,
    Production,
}

/// The file that is read, if it exists.
pub(crate) fn file(common: &Common) -> &Path {
    common.config.as_deref().unwrap_or(Path::new(DEFAULT_FILE))
}

impl Default for Config {
    fn default() -> Self {
        let probe = probe::Options::default();
        Self {
            environment: EnvironmentSetting::Auto,
            host: None,
            severity: Severity::Low,
            seeded_severity: Severity::Info,
            recipes: Vec::new(),
            catalogue: Vec::new(),
            ring_bytes: probe.ring_bytes,
            processes: probe.processes,
            files: probe.files,
            user: None,
            sandbox: true,
            canary_seconds: 180,
            runtime_names: true,
            runtime_sockets: paths(&["/var/run/docker.sock", "/run/podman/podman.sock"]),
            runtime_directories: paths(&[
                "/run/containerd/io.containerd.runtime.v2.task",
                "/run/k3s/containerd/io.containerd.runtime.v2.task",
                "/run/containers/storage",
                "/var/lib/containers/storage",
            ]),
            baseline: None,
            exceptions: Vec::new(),
            state: None,
            baseline_learning: None,
            baseline_learned: Learned::Ask,
        }
    }
}

fn paths(paths: &[&str]) -> Vec<PathBuf> {
    paths.iter().map(PathBuf::from).collect()
}

impl Config {
    /// The effective configuration: defaults, then the file, then the command line.
    pub(crate) fn load(common: &Common) -> Result<Self> {
        let mut config = match &common.config {
            Some(path) => Self::read(path)?,
            None if Path::new(DEFAULT_FILE).exists() => Self::read(Path::new(DEFAULT_FILE))?,
            None => Self::default(),
        };
        if let Some(choice) = common.environment {
            config.environment = match choice {
                EnvironmentChoice::Auto => EnvironmentSetting::Auto,
                EnvironmentChoice::Ci => EnvironmentSetting::Ci,
                EnvironmentChoice::Staging => EnvironmentSetting::Staging,
                EnvironmentChoice::Production => EnvironmentSetting::Production,
            };
        }
        Ok(config)
    }

    fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("cannot read the configuration {}", path.display()))?;
        let config: Self = detect::parse::yaml(&path.display().to_string(), &text)?;
        config.check().with_context(|| path.display().to_string())?;
        Ok(config)
    }

    fn check(&self) -> Result<()> {
        anyhow::ensure!(
            self.ring_bytes.is_power_of_two() && (4096..=LARGEST_RING).contains(&self.ring_bytes),
            "ring_bytes is {}: expected a power of two from 4096 to {LARGEST_RING}",
            self.ring_bytes
        );
        anyhow::ensure!(self.processes > 0, "processes is 0: expected at least 1");
        anyhow::ensure!(self.files > 0, "files is 0: expected at least 1");
        anyhow::ensure!(
            self.canary_seconds <= RAREST_CANARY,
            "canary_seconds is {}: expected 0 to {RAREST_CANARY}",
            self.canary_seconds
        );
        self.learning()?;
        Ok(())
    }

    /// Whether it learns what is normal here, and for how long.
    pub(crate) fn learning(&self) -> Result<Option<Learning>> {
        let Some(text) = &self.baseline_learning else { return Ok(None) };
        let seconds = seconds(text).filter(|seconds| (1..=LONGEST_LEARNING).contains(seconds));
        let seconds = seconds.with_context(|| {
            format!("baseline_learning is {text:?}: expected a time like 30m, 12h or 1d, up to 90d")
        })?;
        Ok(Some(Learning { seconds, expect: self.baseline_learned == Learned::Expect }))
    }

    /// The configuration as a file would say it.
    pub(crate) fn to_yaml(&self) -> Result<String> {
        serde_saphyr::to_string(self).context("cannot print the configuration")
    }
}

/// A length of time as people write it: a number, and `s`, `m`, `h` or `d`.
fn seconds(text: &str) -> Option<i64> {
    let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let unit = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86_400,
        _ => return None,
    };
    let plain = !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit());
    number.parse::<i64>().ok().filter(|_| plain)?.checked_mul(unit)
}

/// How to write: as asked, else text on a terminal and JSON lines otherwise.
pub(crate) fn format(common: &Common) -> Format {
    common.format.unwrap_or_else(|| {
        if rustix::termios::isatty(rustix::stdio::stdout()) { Format::Text } else { Format::Json }
    })
}
