//! A recipe as its file has it.

use event::{Environment, LauncherKind, Purpose, Severity};
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer};
use serde_saphyr::Spanned;

/// A recipe file.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RecipeFile {
    /// Name, unique.
    #[schemars(with = "String")]
    pub name: Spanned<String>,
    /// Version.
    pub version: String,
    /// What it detects, in a few words.
    pub description: String,
    /// The tactic, in words.
    pub category: String,
    /// The technique, in words.
    pub method: String,
    /// How much it matters before the context is known.
    pub importance: Severity,
    /// Technique ids of MITRE ATT&CK; names and tactics are looked up.
    #[schemars(with = "Vec<String>")]
    pub attack: Spanned<Vec<String>>,
    /// What it listens to.
    pub event: EventKind,
    /// What must be so: all keys that are given.
    #[serde(default)]
    pub r#match: Match,
    /// What must be so besides: an expression of CEL over the facts that `picket recipe fields` lists.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    pub when: Option<Spanned<String>>,
    /// How many detections are told at most.
    #[serde(default)]
    pub limits: Vec<Limit>,
    /// What it implies and what to do, in each environment.
    pub guidance: PerEnvironment,
}

/// What a recipe listens to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum EventKind {
    /// Executions.
    Exec,
    /// A process that was recognised as a web server begins to listen.
    Listen,
}

/// What must be so for a recipe to match: every key that is given, and of each list any element.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Match {
    /// The process is one of these servers of the catalogue; `*` allowed.
    #[schemars(with = "Vec<String>")]
    pub server: Vec<Spanned<String>>,
    /// What the invocation is for; all purposes if absent.
    pub purpose: Vec<Purpose>,
    /// The nearest web server among its ancestors is one of these; `*` allowed.
    #[schemars(with = "Vec<String>")]
    pub below: Vec<Spanned<String>>,
    /// A name of the program: its file's, the one it was asked for by, the script's or applet's that
    /// it runs; `*` allowed.
    pub program: Vec<String>,
    /// Path of the file that runs, or of the script that it runs; `*` is no slash, `**` anything.
    pub path: Vec<String>,
    /// What started it.
    pub launcher: Vec<LauncherKind>,
    /// Where it happens.
    pub environment: Vec<Environment>,
}

impl Match {
    pub(crate) fn is_empty(&self) -> bool {
        self.server.is_empty()
            && self.below.is_empty()
            && self.program.is_empty()
            && self.path.is_empty()
            && self.launcher.is_empty()
            && self.environment.is_empty()
            && self.purpose.is_empty()
    }
}

/// How many detections of a recipe are told at most, for each of something, in a time.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Limit {
    /// For each of what.
    pub per: Per,
    /// How many.
    pub most: u32,
    /// In which time: a number and `s`, `m`, `h` or `d`.
    #[schemars(with = "String")]
    pub within: Within,
}

/// What detections are counted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Per {
    /// The file that runs.
    Executable,
    /// The process that started it.
    Parent,
    /// The nearest web server above, or else the session.
    Lineage,
    /// The recipe.
    Recipe,
}

/// A time, in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Within(pub u32);

impl<'de> Deserialize<'de> for Within {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let expected = || {
            let message = format!(
                "{text:?} is no time: expected a number and s, m, h or d, as in 10m, at most 366d"
            );
            serde::de::Error::custom(message)
        };
        let unit = match text.chars().last() {
            Some('s') => 1,
            Some('m') => 60,
            Some('h') => 3600,
            Some('d') => 86_400,
            _ => return Err(expected()),
        };
        let number: u32 = text[..text.len() - 1].trim().parse().map_err(|_| expected())?;
        let seconds = number.checked_mul(unit).filter(|s| (1..=366 * 86_400).contains(s));
        seconds.map(Self).ok_or_else(expected)
    }
}

/// Guidance for each environment.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PerEnvironment {
    /// In a CI/CD pipeline.
    pub ci: GuidanceText,
    /// On a staging system.
    pub staging: GuidanceText,
    /// On a production system.
    pub production: GuidanceText,
}

/// What a detection implies and what to do.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GuidanceText {
    /// What it implies. `{fact}` is filled in; `[…]` is left out if a fact in it is absent.
    #[schemars(with = "String")]
    pub implication: Spanned<String>,
    /// What to do, first things first.
    #[schemars(with = "Vec<String>")]
    pub actions: Vec<Spanned<String>>,
}
