//! What is expected of a job, and what this change has to do with that: the baseline in force, beside
//! the one of the base branch.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use detect::baseline::{Accepted, Change, Expectations, diff};
use event::Detection;
use serde::{Deserialize, Serialize};

use super::change;
use crate::cli::ExpectedArgs;
use crate::config::Config;
use crate::expected;

/// The usual place, in the repository.
const USUAL: &str = ".picket/baseline.yaml";

/// What is expected.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Expected {
    /// The file in force, unless it is the configuration's.
    pub(crate) file: Option<PathBuf>,
    /// What the base branch has.
    base: Option<Base>,
    /// What this change does to the file.
    pub(crate) alteration: Alteration,
}

/// What the base branch has.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Base {
    text: String,
    /// It lists what the base branch started, not only what it accepts.
    started: bool,
}

/// What a change does to the baseline.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Alteration {
    /// Nothing, or there is no file that it could alter.
    #[default]
    None,
    /// This.
    Some(String),
    /// That is not known, for this reason.
    Unknown(String),
}

impl Expected {
    /// Looks for it. What was asked for and cannot be read is an error.
    pub(crate) fn find(config: &Config, args: &ExpectedArgs) -> Result<Self> {
        let here = std::env::current_dir().context("cannot tell which directory this is")?;
        let file = match &args.baseline {
            Some(file) => Some(file.clone()),
            None if config.baseline.is_some() => None,
            None => Some(usual(&here)).filter(|file| file.exists()),
        };
        let mut found = Self { file: file.clone(), ..Self::default() };
        if let Some(file) = &file {
            let accepted = read(file)?;
            match compare(file, &accepted, args.base.as_deref()) {
                Ok((text, alteration)) => {
                    found.base = Some(Base { text, started: false });
                    found.alteration = alteration;
                }
                Err(why) => found.alteration = Alteration::Unknown(why),
            }
        }
        if let Some(file) = &args.base_baseline {
            found.base = Some(Base { text: read(file)?.to_yaml(), started: true });
        }
        Ok(found)
    }

    /// What the base branch does, to say that it does not.
    pub(crate) fn base_does(&self) -> Option<&'static str> {
        self.base.as_ref().map(|base| if base.started { "do" } else { "accept" })
    }

    /// Those of which the base branch knows nothing. All, if it is not known what the base has.
    pub(crate) fn new_to_base<'d>(
        &self,
        detections: impl Iterator<Item = &'d Detection>,
    ) -> Vec<&'d Detection> {
        let accepted = self.base.as_ref().and_then(|base| Accepted::parse("", &base.text).ok());
        let Some(accepted) = accepted else { return Vec::new() };
        let mut expectations = Expectations::new(accepted, Vec::new());
        let mut knows = |detection: &Detection| {
            let mut detection = detection.clone();
            detection.baseline = None;
            expectations.judge(&mut detection);
            detection.baseline.is_some_and(|baseline| baseline.status == "expected")
        };
        detections.filter(|detection| !knows(detection)).collect()
    }
}

/// Where the baseline is in the repository around, or would be here.
fn usual(here: &Path) -> PathBuf {
    match here.ancestors().find(|dir| dir.join(".git").exists()) {
        Some(root) if root != here => root.join(USUAL),
        _ => PathBuf::from(USUAL),
    }
}

fn read(path: &Path) -> Result<Accepted> {
    let text = expected::read(path)?;
    Accepted::parse(&path.display().to_string(), &text).map_err(|errors| {
        let lines: Vec<String> = errors.iter().map(ToString::to_string).collect();
        anyhow::anyhow!(lines.join("\npicket: "))
    })
}

/// What the base branch has, and how this one differs. An error says why that is not known.
fn compare(
    file: &Path,
    own: &Accepted,
    told: Option<&str>,
) -> Result<(String, Alteration), String> {
    let text = change::before(file, told)?;
    let is_new = text.is_none();
    let text = text.unwrap_or_else(|| Accepted::default().to_yaml());
    let theirs = Accepted::parse("that of the base branch", &text).map_err(|errors| {
        let error = errors.first().map(ToString::to_string).unwrap_or_default();
        format!("it cannot be read there: {error}")
    })?;
    let changes = diff(&theirs, own);
    let alteration = match changes.is_empty() {
        true => Alteration::None,
        false => Alteration::Some(words(&changes, is_new)),
    };
    Ok((text, alteration))
}

/// The changes in words.
fn words(changes: &[Change<'_>], is_new: bool) -> String {
    let count = |is: fn(&Change<'_>) -> bool| changes.iter().filter(|change| is(change)).count();
    let counts = [
        (count(|c| matches!(c, Change::Added(_))), "added"),
        (count(|c| matches!(c, Change::Removed(_))), "removed"),
        (count(|c| !matches!(c, Change::Added(_) | Change::Removed(_))), "changed"),
    ];
    let counts = counts.iter().filter(|(count, _)| *count > 0);
    let counts: Vec<String> = counts.map(|(count, what)| format!("{count} {what}")).collect();
    format!("{}{}", if is_new { "it is new, " } else { "" }, counts.join(", "))
}
