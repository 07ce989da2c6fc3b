//! What "this change" is, in repositories made for it, by the variables of each provider.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use super::super::*;

/// `main` goes on after `work` has left it, and `merge` joins them as GitHub does for pull requests.
struct Repo(TempDir);

impl Repo {
    fn new() -> Self {
        let repo = Self(tempfile::tempdir().unwrap());
        repo.git(&["init", "--quiet", "--initial-branch=main"]);
        repo.commit("first", "a\n");
        repo.commit("fork", "a\nb\n");
        repo.git(&["checkout", "--quiet", "-b", "work"]);
        repo.commit("one", "a\nb\nc\n");
        repo.commit("two", "a\nb\nc\nd\n");
        repo.git(&["checkout", "--quiet", "main"]);
        fs::write(repo.0.path().join("other"), "x\n").unwrap();
        repo.git(&["add", "other"]);
        repo.git(&["commit", "--quiet", "-m", "meanwhile"]);
        repo.git(&["checkout", "--quiet", "-b", "merge"]);
        repo.git(&["merge", "--quiet", "--no-ff", "-m", "merge", "work"]);
        repo
    }

    fn commit(&self, subject: &str, text: &str) {
        fs::write(self.0.path().join("file"), text).unwrap();
        self.git(&["add", "file"]);
        self.git(&["commit", "--quiet", "-m", subject]);
    }

    fn git(&self, args: &[&str]) -> String {
        git(self.0.path(), args)
    }

    fn id(&self, name: &str) -> Id {
        Id::parse(&self.git(&["rev-parse", name])).unwrap()
    }

    /// Checks a branch out, and says what its change is.
    fn range(&self, branch: &str, variables: &[(&str, &str)]) -> Range {
        self.git(&["checkout", "--quiet", branch]);
        range(self.0.path(), variables)
    }
}

fn git(dir: &Path, args: &[&str]) -> String {
    let mut git = Command::new("git");
    git.args(["-c", "user.name=x", "-c", "user.email=x@example.org", "-c", "commit.gpgSign=false"]);
    let out = git.args(args).current_dir(dir).output().unwrap();
    assert!(out.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8(out.stdout).unwrap().trim().to_owned()
}

fn told(dir: &Path, variables: &[(&str, &str)]) -> Told {
    let entries: String =
        variables.iter().map(|(name, value)| format!("{name}={value}\0")).collect();
    let variables = Variables::of_bytes(entries.as_bytes(), &names());
    let change = Change::of(PathBuf::from(dir), String::new(), variables);
    change.trace_until(Instant::now() + Duration::from_secs(60), std::iter::empty())
}

fn range(dir: &Path, variables: &[(&str, &str)]) -> Range {
    let told = told(dir, variables);
    told.range.unwrap_or_else(|| panic!("{:?}", told.missing))
}

fn subjects(range: &Range) -> Vec<&str> {
    range.commits.iter().map(|commit| commit.subject.as_str()).collect()
}

#[test]
fn a_change_is_what_came_since_its_branch_left_the_other() {
    let repo = Repo::new();
    let fork = repo.id("work~2");
    let main = repo.id("main");
    for name in [
        "GITHUB_BASE_REF",
        "CI_MERGE_REQUEST_TARGET_BRANCH_NAME",
        "CHANGE_TARGET",
        "SYSTEM_PULLREQUEST_TARGETBRANCH",
        "BUILDKITE_PULL_REQUEST_BASE_BRANCH",
        "BITBUCKET_PR_DESTINATION_BRANCH",
        "CI_COMMIT_TARGET_BRANCH",
        "DRONE_TARGET_BRANCH",
    ] {
        let range = repo.range("work", &[(name, "refs/heads/main")]);
        assert_eq!((range.base.as_ref(), range.count), (Some(&fork), 2), "{name}");
        assert_eq!(subjects(&range), ["two", "one"], "{name}");
    }
    for name in ["CI_MERGE_REQUEST_DIFF_BASE_SHA", "BITBUCKET_PR_DESTINATION_COMMIT"] {
        let range = repo.range("work", &[(name, main.as_str())]);
        assert_eq!(range.base.as_ref(), Some(&fork), "{name}");
    }
    // The merge that GitHub makes: what the target branch has besides is not part of it.
    let range = repo.range("merge", &[("GITHUB_BASE_REF", "main")]);
    assert_eq!(range.base, Some(main));
    assert_eq!(subjects(&range).len(), 3);
    // Without any variable, the usual branches.
    assert_eq!(repo.range("work", &[]).base, Some(fork));
}

#[test]
fn a_push_is_what_was_not_there_before() {
    let repo = Repo::new();
    let first = repo.id("work~3");
    for name in
        ["CI_COMMIT_BEFORE_SHA", "DRONE_COMMIT_BEFORE", "CI_PREV_COMMIT_SHA", "GIT_PREVIOUS_COMMIT"]
    {
        let range = repo.range("work", &[(name, first.as_str())]);
        assert_eq!((range.base.as_ref(), range.count), (Some(&first), 3), "{name}");
    }
    let event = repo.0.path().join("event.json");
    fs::write(&event, format!("{{\"before\": \"{}\", \"x\": 1}}", first.as_str())).unwrap();
    let path = event.to_str().unwrap();
    assert_eq!(repo.range("work", &[("GITHUB_EVENT_PATH", path)]).base, Some(first.clone()));
    let pull = format!("{{\"pull_request\": {{\"base\": {{\"sha\": \"{}\"}}}}}}", first.as_str());
    fs::write(&event, pull).unwrap();
    assert_eq!(repo.range("work", &[("GITHUB_EVENT_PATH", path)]).base, Some(first));
    // A new branch has no commit before; then it is the last one, where nothing else is known.
    let zeros = "0".repeat(40);
    let range = repo.range("main", &[("CI_COMMIT_BEFORE_SHA", &zeros)]);
    assert_eq!((range.count, subjects(&range)), (1, vec!["meanwhile"]));
    assert!(range.words().contains("the commit before the last one"), "{}", range.words());
}

#[test]
fn a_shallow_clone_says_what_it_lacks() {
    let repo = Repo::new();
    repo.git(&["checkout", "--quiet", "work"]);
    let clones = tempfile::tempdir().unwrap();
    let clone = |depth: &str, name: &str| {
        let dir = clones.path().join(name);
        let from = format!("file://{}", repo.0.path().display());
        repo.git(&["clone", "--quiet", depth, "--no-single-branch", &from, dir.to_str().unwrap()]);
        dir
    };
    let one = range(&clone("--depth=1", "one"), &[("GITHUB_BASE_REF", "main")]);
    assert_eq!(one.base, None);
    let words = one.words();
    assert!(
        words.contains("where it left origin/main cannot be reached in this shallow clone"),
        "{words}"
    );
    // Deep enough for what the change is.
    let deep = range(&clone("--depth=3", "deep"), &[("GITHUB_BASE_REF", "main")]);
    assert_eq!((deep.base, deep.missing), (Some(repo.id("work~2")), None));
}

#[test]
fn what_is_no_repository_is_said() {
    let dir = tempfile::tempdir().unwrap();
    let missing = told(dir.path(), &[]).missing.unwrap();
    assert!(missing.contains("is in no git repository"), "{missing}");
    // One without a commit, and one whose HEAD is not what it should be.
    git(dir.path(), &["init", "--quiet"]);
    for head in [None, Some("ref: ../../etc/passwd\n"), Some("--help\n"), Some("")] {
        if let Some(head) = head {
            fs::write(dir.path().join(".git/HEAD"), head).unwrap();
        }
        let missing = told(dir.path(), &[]).missing.unwrap();
        assert!(missing.contains("which commit is checked out cannot be read"), "{missing}");
    }
    // A commit that is not there.
    fs::write(dir.path().join(".git/HEAD"), "1".repeat(40)).unwrap();
    let range = range(dir.path(), &[]);
    assert_eq!((range.base, range.commits), (None, Vec::new()));
}

#[test]
fn work_trees_and_other_hashes_are_repositories_as_well() {
    let repo = Repo::new();
    let trees = tempfile::tempdir().unwrap();
    let tree = trees.path().join("tree");
    repo.git(&["worktree", "add", "--quiet", tree.to_str().unwrap(), "work"]);
    assert_eq!(subjects(&range(&tree, &[])), ["two", "one"]);
    let dir = tempfile::tempdir().unwrap();
    git(dir.path(), &["init", "--quiet", "--object-format=sha256"]);
    git(dir.path(), &["commit", "--quiet", "--allow-empty", "-m", "only"]);
    let range = range(dir.path(), &[]);
    assert_eq!(
        (subjects(&range), range.words().as_str()),
        (vec!["only"], "1 commit since the beginning")
    );
}

#[test]
fn what_takes_too_long_is_not_waited_for() {
    let repo = Repo::new();
    let change = Change::of(repo.0.path().to_owned(), String::new(), Variables::default());
    let told = change.trace_until(Instant::now(), std::iter::empty());
    let words = told.range.unwrap().words();
    assert!(words.contains("there was no time left to ask git"), "{words}");
}
