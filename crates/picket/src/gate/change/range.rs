//! What "this change" is: the commits from where it left the branch it is to be merged into, up to
//! the one that is checked out.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::git::{Git, LATE};
use super::history::{self, Commit};
use super::repository::{Id, Repository, read};
use crate::ci::Variables;

/// Commits that are listed.
const MOST: usize = 20;
/// The event that GitHub keeps in a file.
const LONGEST_EVENT: u64 = 8 << 20;

/// Commits to compare with, of pull requests, as their runners say.
const BASES: &[(&str, &str)] = &[
    ("CI_MERGE_REQUEST_DIFF_BASE_SHA", "the base of the merge request"),
    ("BITBUCKET_PR_DESTINATION_COMMIT", "the destination of the pull request"),
];
/// Branches that this is to be merged into.
const TARGETS: &[&str] = &[
    "GITHUB_BASE_REF",
    "CI_MERGE_REQUEST_TARGET_BRANCH_NAME",
    "CHANGE_TARGET",
    "SYSTEM_PULLREQUEST_TARGETBRANCH",
    "BUILDKITE_PULL_REQUEST_BASE_BRANCH",
    "BITBUCKET_PR_DESTINATION_BRANCH",
    "CI_COMMIT_TARGET_BRANCH",
    "DRONE_TARGET_BRANCH",
];
/// Commits that were there before what was pushed now.
const BEFORE: &[&str] =
    &["CI_COMMIT_BEFORE_SHA", "DRONE_COMMIT_BEFORE", "CI_PREV_COMMIT_SHA", "GIT_PREVIOUS_COMMIT"];
/// The branch that others leave from.
const DEFAULTS: &[&str] = &[
    "CI_DEFAULT_BRANCH",
    "BUILDKITE_PIPELINE_DEFAULT_BRANCH",
    "DRONE_REPO_BRANCH",
    "CI_REPO_DEFAULT_BRANCH",
];
const EVENT: &str = "GITHUB_EVENT_PATH";

/// All variables that are asked for.
pub(super) fn variables() -> impl Iterator<Item = &'static str> {
    let bases = BASES.iter().map(|(name, _)| *name);
    let others = [TARGETS, BEFORE, DEFAULTS, &[EVENT]].into_iter().flatten().copied();
    bases.chain(others)
}

/// This change.
#[derive(Debug, Clone)]
pub(crate) struct Range {
    pub(crate) head: Id,
    /// The last commit that does not belong to it; `None` where that is not known.
    pub(crate) base: Option<Id>,
    /// What that is, in words.
    pub(crate) since: String,
    /// The latest of its commits.
    pub(crate) commits: Vec<Commit>,
    /// How many there are.
    pub(crate) count: usize,
    /// What cannot be known, and how it could.
    pub(crate) missing: Option<String>,
    shallow: Vec<Id>,
}

/// Something to compare with.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Candidate {
    id: Id,
    what: String,
    /// It may be what is checked out, and then it says nothing.
    branch: bool,
}

impl Range {
    /// Finds out what this change is.
    pub(super) fn find(
        git: &Git,
        repository: &Repository,
        candidates: &[Candidate],
        head: Id,
    ) -> Self {
        let mut range = Self {
            head,
            base: None,
            since: String::new(),
            commits: Vec::new(),
            count: 0,
            missing: None,
            shallow: repository.shallow(),
        };
        let mut unreachable = None;
        for candidate in candidates {
            match git.ask(&["merge-base", range.head.as_str(), candidate.id.as_str()]) {
                Ok(answer) => {
                    let base = String::from_utf8_lossy(&answer);
                    let Some(base) = base.lines().next().and_then(Id::parse) else { continue };
                    if base == range.head && candidate.branch {
                        continue;
                    }
                    range.since = format!("{}, {}", base.short(), candidate.what);
                    range.base = Some(base);
                    break;
                }
                Err(why) if why == LATE => {
                    range.missing = Some(why);
                    return range;
                }
                Err(_) => unreachable = unreachable.or(Some(candidate.what.clone())),
            }
        }
        if range.base.is_none() {
            range.fall_back(git, unreachable);
        }
        range.list(git);
        range
    }

    /// Nothing to compare with: the change is the last commit.
    fn fall_back(&mut self, git: &Git, unreachable: Option<String>) {
        let parent = format!("{}^1^{{commit}}", self.head.as_str());
        let parent = git.ask(&["rev-parse", "--verify", "--quiet", &parent]);
        let parent = parent.ok().and_then(|answer| Id::parse(&String::from_utf8_lossy(&answer)));
        let cut = self.cut_at(&self.head);
        self.missing = match (&unreachable, &cut) {
            (Some(what), _) if !self.shallow.is_empty() => {
                Some(format!("{what} cannot be reached in this shallow clone: {DEEPEN}"))
            }
            (Some(what), _) => Some(format!("{what} cannot be reached from here")),
            (None, Some(cut)) => Some(cut.clone()),
            (None, None) => None,
        };
        match parent {
            Some(parent) => {
                self.since = format!("{}, the commit before the last one", parent.short());
                self.base = Some(parent);
            }
            None if cut.is_none() => self.since = "the beginning".to_owned(),
            None => {}
        }
    }

    fn list(&mut self, git: &Git) {
        let range = match &self.base {
            Some(base) => format!("{}..{}", base.as_str(), self.head.as_str()),
            None => self.head.as_str().to_owned(),
        };
        let most = match self.base.is_some() || self.shallow.is_empty() {
            true => format!("--max-count={MOST}"),
            // Which are older than the change is not known.
            false => "--max-count=1".to_owned(),
        };
        let listed = git.ask(&["log", "-z", &most, history::FORMAT, &range, "--"]);
        self.commits = listed.map(|answer| history::commits(&answer)).unwrap_or_default();
        let count = git.ask(&["rev-list", "--count", &range, "--"]).ok();
        let count = count.and_then(|answer| String::from_utf8_lossy(&answer).trim().parse().ok());
        self.count = count.filter(|_| self.base.is_some()).unwrap_or(self.commits.len());
    }

    /// Says that history ends at a commit, if it does.
    pub(super) fn cut_at(&self, id: &Id) -> Option<String> {
        self.shallow.contains(id).then(|| {
            format!("history is missing before {}, the clone is shallow: {DEEPEN}", id.short())
        })
    }

    /// In words.
    pub(crate) fn words(&self) -> String {
        let commits = match self.count {
            1 => "1 commit".to_owned(),
            count => format!("{count} commits"),
        };
        let mut words = match self.since.as_str() {
            "" => format!("not known, {} is checked out", self.head.short()),
            since => format!("{commits} since {since}"),
        };
        if let Some(missing) = &self.missing {
            words.push_str(&format!("; {missing}"));
        }
        words
    }
}

const DEEPEN: &str = "fetch all of it (`fetch-depth: 0`, `GIT_DEPTH: 0`, `clone: depth: full`)";

/// What there is to compare with, the best first.
pub(super) fn candidates(repository: &Repository, variables: &Variables) -> Vec<Candidate> {
    let mut all = Vec::new();
    let mut add = |id: Option<Id>, what: String, branch: bool| {
        all.extend(id.map(|id| Candidate { id, what, branch }));
    };
    for (name, what) in BASES {
        add(variables.get(name).and_then(Id::parse), format!("{what} (${name})"), false);
    }
    let event = event(variables);
    add(event.base, "the base of the pull request".to_owned(), false);
    let set = |names: &[&'static str]| -> Vec<String> {
        names.iter().filter_map(|name| variables.get(name)).map(str::to_owned).collect()
    };
    for branch in set(TARGETS) {
        let (id, name) = branch_of(repository, &branch);
        add(id, format!("where it left {name}"), true);
    }
    add(event.before, "what was there before this push".to_owned(), false);
    for before in set(BEFORE) {
        add(Id::parse(&before), "what was there before this push".to_owned(), false);
    }
    let usual = ["HEAD", "main", "master"].map(str::to_owned);
    for branch in set(DEFAULTS).into_iter().chain(usual) {
        let (id, name) = branch_of(repository, &branch);
        add(id, format!("where it left {name}"), true);
    }
    all
}

/// What somebody names to compare with: a branch, or a commit.
pub(super) fn named(repository: &Repository, name: &str) -> Option<Candidate> {
    let plain = name.strip_prefix("origin/").unwrap_or(name);
    let id = Id::parse(name).or_else(|| branch_of(repository, plain).0)?;
    Some(Candidate { id, what: format!("where it left {name}"), branch: true })
}

/// The commit of a branch, as the remote side has it, or else as it is here; and its name.
fn branch_of(repository: &Repository, branch: &str) -> (Option<Id>, String) {
    let branch = branch.strip_prefix("refs/heads/").unwrap_or(branch);
    let remote = format!("refs/remotes/origin/{branch}");
    if let Some(id) = repository.resolve(&remote) {
        return (Some(id), format!("origin/{branch}"));
    }
    (repository.resolve(&format!("refs/heads/{branch}")), branch.to_owned())
}

#[derive(Debug, Default)]
struct Event {
    base: Option<Id>,
    before: Option<Id>,
}

/// What GitHub says of the event that this is about.
fn event(variables: &Variables) -> Event {
    #[derive(Deserialize)]
    struct File {
        before: Option<String>,
        pull_request: Option<PullRequest>,
    }
    #[derive(Deserialize)]
    struct PullRequest {
        base: Base,
    }
    #[derive(Deserialize)]
    struct Base {
        sha: String,
    }
    let bytes = variables.get(EVENT).and_then(|path| read(Path::new(path), LONGEST_EVENT));
    let file = bytes.and_then(|bytes| serde_json::from_slice::<File>(&bytes).ok());
    file.map_or_else(Event::default, |file| Event {
        base: file.pull_request.and_then(|pull| Id::parse(&pull.base.sha)),
        before: file.before.and_then(|before| Id::parse(&before)),
    })
}
