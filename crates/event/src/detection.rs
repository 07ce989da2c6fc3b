//! A detection, as the outside sees it.

use serde::{Deserialize, Serialize};

use crate::{Ancestor, Incident, Listener, Process, Stamp};

/// A recipe matched: what, where, who started it, what it means and what to do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Detection {
    /// UUID version 7; the same event always gives the same one.
    pub id: String,
    /// When it happened.
    pub time: Stamp,
    /// The machine.
    pub host: String,
    /// Microseconds from the execution to this record; `null` in a replay.
    pub latency_us: Option<u64>,
    /// The recipe that matched.
    pub recipe: RecipeInfo,
    /// How serious it is here.
    pub severity: Severity,
    /// Why it is that serious, in words.
    pub reasons: Vec<String>,
    /// The techniques of MITRE ATT&CK it may be part of.
    pub attack: Attack,
    /// Where it happened.
    pub environment: Environment,
    /// Which web server: what the process is, or else the one that it runs below; `null` if neither.
    pub server: Option<ServerInfo>,
    /// The nearest web server among its ancestors, where the process is none itself.
    #[serde(default)]
    pub below: Option<Below>,
    /// The process.
    pub process: Process,
    /// Its parents, nearest first.
    pub ancestry: Vec<Ancestor>,
    /// Whether there are more parents than those: the chain was too long, or lineage had to forget.
    #[serde(default)]
    pub ancestry_truncated: bool,
    /// What started it.
    pub launcher: Launcher,
    /// The container it runs in.
    pub container: Option<Container>,
    /// The pipeline it runs in.
    pub ci: Option<Ci>,
    /// Where it listens, as far as known by now.
    pub listen: Vec<Listener>,
    /// Whether it was expected here.
    pub baseline: Option<Baseline>,
    /// What was done.
    pub response: Option<Response>,
    /// What it implies and what to do.
    pub guidance: Guidance,
    /// Whether it ran before picket did.
    pub seeded: bool,
    /// The incident that it belongs to. It is told of, as updates of this id, once there is more to
    /// it than a server that starts.
    #[serde(default)]
    pub incident: Option<String>,
}

/// A web server that a process runs below.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Below {
    /// Its process id.
    pub pid: u32,
    /// When its process started.
    pub start: Stamp,
    /// The detection of it; `null` where none was made.
    pub detection: Option<String>,
}

/// More is known of an earlier detection.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Update {
    /// The detection's id; the incident's, where this tells of one.
    pub id: String,
    /// When this became known.
    pub time: Stamp,
    /// The machine.
    pub host: String,
    /// How serious the detection was.
    pub severity: Severity,
    /// What happened, in words.
    pub reasons: Vec<String>,
    /// The server, with what is now known.
    pub server: Option<ServerInfo>,
    /// Every address it listens on by now.
    pub listen: Vec<Listener>,
    /// Whether it ran before picket did.
    #[serde(default)]
    pub seeded: bool,
    /// The container it runs in, with the names that are known by now.
    #[serde(default)]
    pub container: Option<Container>,
    /// Whether it was expected here, where a name that came late decides that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub baseline: Option<Baseline>,
    /// The incident that this tells of; `id` is the incident's then. `null` where more is told of a
    /// detection.
    #[serde(default)]
    pub incident: Option<Box<Incident>>,
}

/// The recipe behind a detection.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RecipeInfo {
    /// Name.
    pub name: String,
    /// Version.
    pub version: String,
    /// What it detects.
    pub description: String,
    /// Tactic, in words.
    pub category: String,
    /// Technique, in words.
    pub method: String,
    /// How much it matters before the context is known.
    pub importance: Severity,
}

/// How serious something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum Severity {
    /// Good to know.
    Info,
    /// Low.
    Low,
    /// Medium.
    Medium,
    /// High.
    High,
    /// Critical.
    Critical,
}

/// Techniques of MITRE ATT&CK.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Attack {
    /// The version of ATT&CK that the ids are from.
    pub version: String,
    /// The techniques.
    pub techniques: Vec<Technique>,
}

/// A technique of MITRE ATT&CK.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Technique {
    /// Id.
    pub id: String,
    /// Name.
    pub name: String,
    /// Ids of its tactics.
    pub tactics: Vec<String>,
}

/// Where something happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum Environment {
    /// A CI/CD pipeline.
    Ci,
    /// A staging system.
    Staging,
    /// A production system.
    Production,
}

/// Which web server, and how that is known.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ServerInfo {
    /// The catalogue's name.
    pub name: String,
    /// Version, where known.
    pub version: Option<String>,
    /// What this invocation is for.
    pub purpose: Purpose,
    /// How sure.
    pub confidence: Confidence,
    /// Whether the name says something other than what the file is.
    pub masquerade: bool,
    /// What speaks for it and against it.
    pub evidence: Vec<Evidence>,
}

/// What an invocation of a server is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum Purpose {
    /// To serve.
    Serve,
    /// To test a configuration, print a version, signal a running server.
    Manage,
    /// The arguments do not tell.
    Unknown,
}

/// How sure an identification is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Confidence {
    /// Signs that can be forged: name, path, arguments.
    Weak,
    /// Content or package agrees.
    Strong,
    /// It listens.
    Confirmed,
}

/// One sign.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    /// What kind of sign.
    pub kind: EvidenceKind,
    /// Whether it speaks for this server.
    pub agrees: bool,
    /// The sign, in words.
    pub detail: String,
}

/// Kinds of signs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EvidenceKind {
    /// Base name.
    Name,
    /// Where it is installed.
    Path,
    /// Which package owns it.
    Package,
    /// Arguments.
    Argv,
    /// What the file contains.
    Content,
    /// GNU build id.
    BuildId,
    /// What it does.
    Behaviour,
}

/// What started a process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Launcher {
    /// What kind.
    pub kind: LauncherKind,
    /// Which one, in words.
    pub detail: String,
    /// The systemd unit that it belongs to.
    #[serde(default)]
    pub unit: Option<String>,
    /// The terminal that it is on.
    #[serde(default)]
    pub tty: Option<String>,
    /// The script or job that a package manager, a pipeline or a scheduler ran.
    #[serde(default)]
    pub script: Option<String>,
}

/// Kinds of launchers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum LauncherKind {
    /// A systemd unit.
    Systemd,
    /// A container engine.
    Container,
    /// A package manager.
    PackageManager,
    /// A step of a pipeline.
    CiStep,
    /// A shell.
    Shell,
    /// An ssh session.
    Ssh,
    /// A scheduled job.
    Cron,
    /// Another web server.
    WebServer,
    /// Something else.
    Other,
}

/// A container. What it is comes from the path of its cgroup; names come later, where a runtime
/// tells them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Container {
    /// Id: 64 hexadecimal digits, or the name that its engine calls it by.
    pub id: String,
    /// Engine: `docker`, `containerd`, `cri-o`, `podman`, `lxc`, `systemd-nspawn`, `buildkit`,
    /// `garden`, or `unknown`.
    pub runtime: String,
    /// Pod, in Kubernetes.
    pub pod_uid: Option<String>,
    /// The containers that it is in, outermost first, each with engine and id.
    #[serde(default)]
    pub outer: Vec<String>,
    /// The container, the user's own units or the unit that its cgroup is below, where others than
    /// the system's engines make cgroups: they could have made its id up.
    #[serde(default)]
    pub claimed_below: Option<String>,
    /// Image, as its engine was asked for it.
    #[serde(default)]
    pub image: Option<String>,
    /// Name.
    #[serde(default)]
    pub name: Option<String>,
    /// Its pod's name.
    #[serde(default)]
    pub pod_name: Option<String>,
    /// Its pod's namespace.
    #[serde(default)]
    pub pod_namespace: Option<String>,
}

/// A pipeline.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ci {
    /// Who runs it: `github`, `gitlab`, `jenkins` ….
    pub provider: String,
    /// Repository.
    pub repository: Option<String>,
    /// Workflow or pipeline.
    pub workflow: Option<String>,
    /// Job.
    pub job: Option<String>,
    /// Step.
    pub step: Option<String>,
    /// Run.
    pub run_id: Option<String>,
    /// Commit.
    pub sha: Option<String>,
    /// Branch or tag.
    pub r#ref: Option<String>,
    /// Who caused it.
    pub actor: Option<String>,
    /// Which attempt at this run, where runs can be repeated.
    #[serde(default)]
    pub attempt: Option<String>,
    /// Where its run is shown.
    #[serde(default)]
    pub url: Option<String>,
    /// Whose environment says so.
    #[serde(default)]
    pub origin: CiOrigin,
    /// Only the environment of a process says so, which it can choose: picket's own speaks of no
    /// pipeline.
    #[serde(default)]
    pub claimed: bool,
}

/// Whose environment says which pipeline, and which step of it, a process belongs to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CiOrigin {
    /// That of the process.
    Process,
    /// That of the nearest of its parents which says so.
    Ancestor,
    /// picket's own.
    #[default]
    Picket,
}

/// What is expected here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Baseline {
    /// `new`, `expected` or `learning`.
    pub status: String,
    /// How often it was seen before.
    pub seen: u64,
    /// What `picket baseline accept` knows it by; empty where it has no identity to be accepted by.
    #[serde(default)]
    pub key: String,
}

/// What was done about a detection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Response {
    /// `alert`, `kill`, `block`, `isolate` or `freeze`.
    pub action: String,
    /// What came of it.
    pub outcome: String,
}

/// What a detection implies here, and what to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Guidance {
    /// What it implies.
    pub implication: String,
    /// What to do, first things first.
    pub actions: Vec<String>,
}

macro_rules! display_as_json_word {
    ($($name:ty),*) => {$(
        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.serialize(f)
            }
        }
    )*};
}

// `Formatter` is a serializer for unit variants, so that the words exist once.
display_as_json_word!(Severity, Environment, Purpose, Confidence, EvidenceKind, LauncherKind);
