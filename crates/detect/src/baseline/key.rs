//! What a detection is compared by: where it happened, what ran, who started it.
//!
//! Names, arguments, `comm` and the working directory are what an attacker types, so none of them
//! identifies a program. Arguments count where they *are* the program, as those of an interpreter
//! are, and then they must be the same to the letter.

use event::{Container, Detection, LauncherKind, Process, SignKind};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::words::base_name;
use crate::workload;

/// The number that the kernel gives the machine's own user namespace, everywhere and always. In
/// another one anybody may be root, and furnish a root directory with a package database.
const MACHINES_OWN_USERS: u32 = 0xEFFF_FFFD;
/// Arguments are kept as they are up to this many bytes, else as their digest.
const LONGEST_COMMAND: usize = 1000;
/// Texts are kept up to this many bytes, else cut, with the digest of the whole.
const LONGEST_TEXT: usize = 1000;
/// Engines whose containers have names that people gave them, for ids.
const NAMED: &[&str] = &["lxc", "systemd-nspawn"];

/// A program that ran somewhere, started by somebody.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Key {
    /// The recipe that matched: what was accepted of one says nothing of another.
    pub recipe: String,
    /// The web server, by the catalogue's name; none where a recipe matched something else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server: Option<String>,
    /// Where it belongs.
    pub workload: Workload,
    /// Who started it.
    pub launcher: Starter,
    /// The file that ran.
    pub file: File,
    /// The script, archive or program that it was given to run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub script: Option<Script>,
    /// Its arguments, where they are what it runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<Vec<String>>,
    /// The digest of those arguments, where they are long.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command_sha256: Option<String>,
}

/// Where a process belongs: exactly one of `host`, `unit`, `engine` and `pipeline`.
#[derive(
    Debug, Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(deny_unknown_fields, default)]
pub struct Workload {
    /// The machine itself: no service, no container, no pipeline.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub host: bool,
    /// A service of systemd.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
    /// The user whose service manager the service belongs to; the system's if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<u32>,
    /// The engine of a container: `docker`, `containerd`, `podman` ….
    #[serde(skip_serializing_if = "Option::is_none")]
    pub engine: Option<String>,
    /// The container's image; any of that engine if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// The container's name, where its engine knows it by one: LXC, systemd-nspawn.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Who could have made the container's id up: see `claimed_below` of the records.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub below: Option<String>,
    /// The provider of a pipeline: `github`, `gitlab`, `jenkins` ….
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pipeline: Option<String>,
    /// The pipeline's repository.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub repository: Option<String>,
    /// The pipeline's job.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub job: Option<String>,
}

/// Who started it, without process ids, terminals and times.
#[derive(
    Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(deny_unknown_fields)]
pub struct Starter {
    /// What kind, as in the records.
    pub kind: LauncherKind,
    /// The service of systemd.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
    /// Which one, of kinds that have a name: the web server, the supervisor, the parent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The script or job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub script: Option<String>,
    /// The user that it runs as.
    pub uid: u32,
    /// Whether the same program is among its ancestors: what a server that was taken over starts
    /// of itself is not what its service starts.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub below_itself: bool,
}

/// A file by what it contains.
#[derive(
    Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(deny_unknown_fields)]
pub struct File {
    /// Its path, for people: it identifies nothing but a file of a package.
    pub path: String,
    /// The package that brought it, unchanged, onto this machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub package: Option<String>,
    /// The package's version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// SHA-256 of its content.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
}

/// What an interpreter, virtual machine or loader was given.
#[derive(
    Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(deny_unknown_fields)]
pub struct Script {
    /// Its path, for people.
    pub path: String,
    /// SHA-256 of its content.
    pub sha256: String,
}

impl Key {
    /// The key of a detection, or why it has none.
    pub fn of(detection: &Detection) -> Result<Self, &'static str> {
        let process = &detection.process;
        let (mut script, mut command, mut command_sha256) = (None, None, None);
        if let Some(target) = &process.target {
            let sha256 = target
                .sha256
                .clone()
                .ok_or("what it was given to run was not read, and a name is no identity")?;
            script = Some(Script { path: bounded(&target.path), sha256 });
        } else if !is_native(process) {
            if process.args_truncated {
                return Err("its arguments are what it runs, and not all of them are known");
            }
            match process.args.iter().map(String::len).sum::<usize>() > LONGEST_COMMAND {
                true => command_sha256 = Some(digest(&process.args)),
                false => command = Some(process.args.clone()),
            }
        }
        let file = File::of(process)
            .ok_or("its file was not read: only its name is known, and a name is no identity")?;
        Ok(Self {
            recipe: detection.recipe.name.clone(),
            server: detection.server.as_ref().map(|server| server.name.clone()),
            workload: Workload::of(detection),
            launcher: Starter::of(detection),
            file,
            script,
            command,
            command_sha256,
        })
    }

    /// A short name for it, always the same.
    pub fn id(&self) -> String {
        let text = serde_json::to_string(self).unwrap_or_default();
        let mut id = digest(&[text]);
        id.truncate(12);
        id
    }
}

impl Workload {
    fn of(detection: &Detection) -> Self {
        let text = |text: &Option<String>| text.as_deref().map(bounded);
        // What only the process says of itself is no place to be expected in.
        if let Some(ci) = detection.ci.as_ref().filter(|ci| !ci.claimed) {
            return Self {
                pipeline: Some(bounded(&ci.provider)),
                repository: text(&ci.repository),
                job: text(&ci.job),
                ..Self::default()
            };
        }
        if let Some(container) = &detection.container {
            return Self::of_container(container);
        }
        match workload::of(&detection.process).unit.filter(workload::Unit::is_service) {
            Some(unit) => {
                Self { unit: Some(bounded(&unit.name)), user: unit.user, ..Self::default() }
            }
            None => Self { host: true, ..Self::default() },
        }
    }

    fn of_container(container: &Container) -> Self {
        let named = NAMED.contains(&container.runtime.as_str());
        Self {
            engine: Some(bounded(&container.runtime)),
            image: container.image.as_deref().map(bounded),
            name: named.then(|| bounded(&container.id)),
            below: container.claimed_below.as_deref().map(bounded),
            ..Self::default()
        }
    }

    /// Whether this, which was accepted, covers what was seen.
    pub(super) fn covers(&self, seen: &Self) -> Covers {
        if self.place() != seen.place() {
            return Covers::No;
        }
        match (&self.image, &seen.image) {
            (None, _) => Covers::Yes,
            (Some(_), None) => Covers::IfImage,
            (Some(one), Some(other)) if one == other => Covers::Yes,
            (Some(_), Some(_)) => Covers::No,
        }
    }

    /// All of it but the image.
    fn place(&self) -> impl PartialEq {
        let names = [&self.unit, &self.engine, &self.name, &self.below, &self.pipeline];
        (self.host, self.user, names, &self.repository, &self.job)
    }
}

/// How far one workload covers another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Covers {
    No,
    Yes,
    /// The image is not known yet; names of containers come later.
    IfImage,
}

impl Starter {
    fn of(detection: &Detection) -> Self {
        let launcher = &detection.launcher;
        let process = &detection.process;
        // `web server apache2 (123)`, `supervisor runsv (12) of nginx`.
        let called = launcher.detail.split(" (").next().unwrap_or_default();
        let named = matches!(launcher.kind, LauncherKind::WebServer | LauncherKind::Other);
        let service = launcher.unit.as_deref().filter(|unit| unit.ends_with(".service"));
        let itself = |path: &String| *path == process.exe.path;
        Self {
            kind: launcher.kind,
            unit: service.map(bounded),
            name: (named && !called.is_empty()).then(|| bounded(called)),
            script: launcher.script.as_deref().and_then(stable).map(bounded),
            uid: process.uid,
            below_itself: detection.ancestry.iter().any(|a| a.exe.as_ref().is_some_and(itself)),
        }
    }
}

impl File {
    fn of(process: &Process) -> Option<Self> {
        let exe = &process.exe;
        let package = package(process);
        if package.is_none() && exe.sha256.is_none() {
            return None;
        }
        let (package, version) = package.unzip();
        Some(Self {
            path: bounded(&exe.path),
            package: package.map(str::to_owned),
            version: version.map(str::to_owned),
            sha256: exe.sha256.clone(),
        })
    }

    /// What this, which was accepted, is to the file that was seen.
    pub(super) fn compare<'k>(&'k self, seen: &'k Self) -> Same<'k> {
        let same_package =
            self.package.is_some() && self.package == seen.package && self.path == seen.path;
        let same_version = self.version == seen.version;
        match (&self.sha256, &seen.sha256) {
            (Some(one), Some(other)) if one == other => Same::Yes,
            (Some(_), Some(_)) if same_package && same_version => Same::No,
            (None, None) | (None, Some(_)) | (Some(_), None) if same_package && same_version => {
                Same::Yes
            }
            _ if same_package => Same::Upgrade {
                package: self.package.as_deref().unwrap_or_default(),
                from: self.version.as_deref().unwrap_or_default(),
                to: seen.version.as_deref().unwrap_or_default(),
            },
            _ => Same::No,
        }
    }
}

/// How one file compares with another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Same<'k> {
    Yes,
    /// The same file of another version of its package.
    Upgrade {
        package: &'k str,
        from: &'k str,
        to: &'k str,
    },
    No,
}

/// The package, with its version, that brought the file as it is; if it can be believed: it is the
/// machine's own package database that says so.
pub(crate) fn package(process: &Process) -> Option<(&str, &str)> {
    let exe = &process.exe;
    if exe.intact != Some(true) || !is_of_the_machine(process) {
        return None;
    }
    exe.package.as_deref()?.split_once(' ')
}

/// Whether the process's root directory is furnished by the machine's own root alone.
pub(crate) fn is_of_the_machine(process: &Process) -> bool {
    process.namespaces.user == MACHINES_OWN_USERS && workload::of(process).container.is_none()
}

/// Whether the file itself is the server: what its arguments say does not make it another.
pub(crate) fn is_native(process: &Process) -> bool {
    let signs = process.exe.content.iter().flat_map(|content| &content.signs);
    let mut kinds = signs.map(|sign| sign.kind).peekable();
    process.target.is_none() && kinds.peek().is_some() && kinds.all(|kind| kind == SignKind::Server)
}

/// The script of a launcher without what is different each time.
fn stable(script: &str) -> Option<&str> {
    if script.starts_with("rpm scriptlet ") {
        return Some("rpm scriptlet");
    }
    // The steps of a pipeline are in files with names that were thrown.
    let name = base_name(script);
    let stem = name.strip_suffix(".sh").or_else(|| name.rsplit_once('.').map(|(stem, _)| stem));
    let thrown = stem.is_some_and(|stem| {
        let uuid = stem.len() == 36 && stem.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-');
        let number = stem.strip_prefix("jenkins");
        uuid || number.is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()))
    });
    (!thrown && !name.starts_with("script.sh")).then_some(script)
}

/// A text from outside, no longer than what is kept; a longer one is cut and still itself.
fn bounded(text: &str) -> String {
    if text.len() <= LONGEST_TEXT {
        return text.to_owned();
    }
    let end = (0..=LONGEST_TEXT).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    format!("{}… sha256 {}", &text[..end], digest(&[text]))
}

/// The SHA-256 of texts, each with its end.
fn digest(texts: &[impl AsRef<str>]) -> String {
    use std::fmt::Write;
    let mut hash = Sha256::new();
    for text in texts {
        hash.update(text.as_ref());
        hash.update([0]);
    }
    hash.finalize().iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
