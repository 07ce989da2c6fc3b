//! What is expected of a job, and what this change has to do with that: the baseline in force, beside
//! the one of the base branch.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use detect::baseline::{Accepted, Change, Expectations, diff};
use event::Detection;
use serde::{Deserialize, Serialize};

use super::git::Repository;
use crate::cli::ExpectedArgs;
use crate::config::Config;
use crate::expected;

/// The usual place, in the repository.
const USUAL: &str = ".picket/baseline.yaml";

/// Where pipelines say which branch a change is for: the variable, and what to put before its value.
const BASES: [(&str, &str); 9] = [
    ("CI_MERGE_REQUEST_DIFF_BASE_SHA", ""),
    ("GITHUB_BASE_REF", "origin/"),
    ("CI_MERGE_REQUEST_TARGET_BRANCH_NAME", "origin/"),
    ("CHANGE_TARGET", "origin/"),
    ("SYSTEM_PULLREQUEST_TARGETBRANCH", "origin/"),
    ("BUILDKITE_PULL_REQUEST_BASE_BRANCH", "origin/"),
    ("BITBUCKET_PR_DESTINATION_BRANCH", "origin/"),
    ("DRONE_TARGET_BRANCH", "origin/"),
    ("CI_COMMIT_TARGET_BRANCH", "origin/"),
];

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
            let told = args.base.as_deref();
            match Origin::of(file, &here, told).and_then(|origin| origin.compare(&accepted)) {
                Ok((base, alteration)) => {
                    found.base = base.map(|text| Base { text, started: false });
                    found.alteration = alteration;
                }
                Err(why) => found.alteration = Alteration::Unknown(format!("{why:#}")),
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
    match Repository::around(here) {
        Some(repository) if repository.root() != here => repository.root().join(USUAL),
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

/// Where a baseline comes from.
struct Origin {
    repository: Repository,
    /// Its path in there.
    path: String,
    /// Where this change left the base branch.
    base: String,
    /// There is no change: that is where we are.
    is_here: bool,
}

impl Origin {
    fn of(file: &Path, here: &Path, told: Option<&str>) -> Result<Self> {
        let file = here.join(file).canonicalize().context("cannot tell where it is")?;
        let repository =
            file.parent().and_then(Repository::around).context("it is in no git repository")?;
        let path = file.strip_prefix(repository.root()).context("it is outside")?;
        let path = path.to_str().context("its name is no UTF-8")?.to_owned();
        let head = repository.commit("HEAD").context("there is no commit")?;
        let base = base(&repository, &head, told)?;
        Ok(Self { is_here: base == head, repository, path, base })
    }

    /// What the base branch has, if that is another, and how this one differs.
    fn compare(&self, own: &Accepted) -> Result<(Option<String>, Alteration)> {
        let text = self.repository.file(&self.base, &self.path)?;
        let is_new = text.is_none();
        let text = text.unwrap_or_else(|| Accepted::default().to_yaml());
        let theirs = Accepted::parse("that of the base branch", &text).map_err(|errors| {
            let error = errors.first().map(ToString::to_string).unwrap_or_default();
            anyhow::anyhow!("it cannot be read there: {error}")
        })?;
        let changes = diff(&theirs, own);
        let alteration = match changes.is_empty() {
            true => Alteration::None,
            false => Alteration::Some(words(&changes, is_new)),
        };
        Ok(((!self.is_here).then_some(text), alteration))
    }
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

/// Where a change left the base branch.
fn base(repository: &Repository, head: &str, told: Option<&str>) -> Result<String> {
    let set = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    // GitHub tests the merge of a change into its base: the first parent is the base.
    let is_merge = || {
        let of_pull = set("GITHUB_REF").is_some_and(|name| name.starts_with("refs/pull/"));
        of_pull && set("GITHUB_SHA").is_some_and(|sha| sha == head)
    };
    if told.is_none() && is_merge() && repository.commit("HEAD^2").is_ok() {
        return repository.commit("HEAD^1");
    }
    let said = BASES.iter().find_map(|(name, before)| {
        let value = set(name)?;
        Some(format!("{before}{}", value.strip_prefix("refs/heads/").unwrap_or(&value)))
    });
    let name = told.map(str::to_owned).or(said).unwrap_or_else(|| "origin/HEAD".to_owned());
    let common = repository.commit(&name).and_then(|base| repository.merge_base(&base, head));
    common.with_context(|| match repository.is_shallow() {
        true => format!(
            "the history up to {name} is not there, since this is a shallow clone (fetch it whole: \
             `fetch-depth: 0`, `GIT_DEPTH: 0`)"
        ),
        false => format!("there is no {name} (name the base branch with --base)"),
    })
}
