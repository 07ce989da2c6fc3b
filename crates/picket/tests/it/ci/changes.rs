//! What a change brought: baselines in real git repositories, of a branch and of its base.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use libtest_mimic::Trial;
use tempfile::TempDir;

use super::{err, until_it_listens};
use crate::harness::{free_port, outside_ci, picket, trial};

pub(super) fn trials() -> Vec<Trial> {
    vec![
        trial("root::ci::a_baseline_in_the_repository_decides", decides),
        trial("root::ci::runs_are_compared_with_those_of_the_base_branch", compared),
        trial("ci::a_baseline_that_cannot_be_read_is_said_before_anything_runs", unreadable),
    ]
}

/// A repository with a branch `main`, and a server that is always the same.
struct Repository {
    dir: TempDir,
    server: String,
}

const USUAL: &str = ".picket/baseline.yaml";

impl Repository {
    fn new() -> Self {
        let repository = Self { dir: tempfile::tempdir().unwrap(), server: server(free_port()) };
        repository.git(&["init", "--quiet", "--initial-branch=main"]);
        repository.commit("first");
        repository
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn git(&self, arguments: &[&str]) {
        let mut git = Command::new("git");
        git.args(["-c", "user.name=t", "-c", "user.email=t@example.org"]).args(arguments);
        let out = git.current_dir(self.dir.path()).output().unwrap();
        assert!(out.status.success(), "{arguments:?}: {}", err(&out));
    }

    fn commit(&self, what: &str) {
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "--allow-empty", "--message", what]);
    }

    /// Runs the server under watch, in the repository.
    fn run(&self, options: &[&str]) -> Output {
        run_in(self.dir.path(), &self.server, options)
    }
}

fn run_in(dir: &Path, server: &str, options: &[&str]) -> Output {
    run_as(picket(), dir, server, options)
}

fn run_as(mut command: Command, dir: &Path, server: &str, options: &[&str]) -> Output {
    command.arg("ci").args(options).args(["--", "sh", "-c", server]);
    command.current_dir(dir).output().unwrap()
}

/// A server that begins to listen and is ended.
fn server(port: u16) -> String {
    let server = format!("python3 -m http.server --bind 127.0.0.1 {port}");
    format!("{server} >/dev/null 2>&1 & {}; kill $!; wait $! || true", until_it_listens(port))
}

fn said(out: &Output, code: i32, what: &str) {
    let text = err(out);
    assert_eq!(out.status.code(), Some(code), "{text}");
    assert!(text.contains(what), "expected {what:?} in: {text}");
}

fn decides() {
    let repository = Repository::new();
    fs::create_dir(repository.path(".picket")).unwrap();
    fs::write(repository.path(USUAL), "accepted: []\n").unwrap();
    repository.commit("nothing is accepted");
    // A change that starts a server, in a repository whose configuration would have git execute things.
    repository.git(&["switch", "--quiet", "--create", "change"]);
    repository.commit("a server");
    let mark = repository.path(".git/executed");
    let touch = format!("touch {}; true", mark.display());
    for (key, value) in [
        ("core.fsmonitor", touch.as_str()),
        ("core.pager", &touch),
        ("alias.rev-parse", &format!("!{touch}")),
        ("filter.x.smudge", &touch),
        ("diff.x.textconv", &touch),
        ("diff.external", &touch),
    ] {
        repository.git(&["config", key, value]);
    }
    fs::write(repository.path(".git/info/attributes"), "* filter=x diff=x\n").unwrap();

    let _ = fs::remove_file(&mark);
    let records = repository.path(".git/records.jsonl");
    let options = ["--base", "main", "--records", records.to_str().unwrap()];
    let out = repository.run(&options);
    said(
        &out,
        80,
        "failed: this change starts what the base branch does not accept: \
                    python-http-server; 1 detection, 1 of severity high or more",
    );
    said(&out, 80, "baseline.yaml accepts 0 detections, as on the base branch");
    assert!(!mark.exists(), "git executed what the repository's configuration says");

    // The change accepts it: that passes, and is told.
    let mut accept = picket();
    let text = err(&out);
    let (_, id) = text.split_once("\n  id       ").unwrap();
    let id = id.split(' ').next().unwrap();
    accept.args(["baseline", "accept", id, "--by", "t", "--why", "w", "--file"]);
    accept.arg(repository.path(USUAL)).arg("--from").arg(&records);
    let accepted = accept.output().unwrap();
    assert!(accepted.status.success(), "{}", err(&accepted));
    let summary = repository.path(".git/summary.md");
    let out = repository.run(&["--base", "main", "--summary", summary.to_str().unwrap()]);
    said(&out, 0, "passed: no web server was started; this change alters the baseline ");
    said(
        &out,
        0,
        "(1 added), which accepts 1 detection, 1 of them not accepted by the base branch",
    );
    let summary = fs::read_to_string(&summary).unwrap();
    assert!(
        summary.lines().next().unwrap().contains("this change alters the baseline"),
        "{summary}"
    );

    // Merged, it is expected.
    for (key, _) in [("core.fsmonitor", ""), ("filter.x.smudge", ""), ("alias.rev-parse", "")] {
        repository.git(&["-c", "core.fsmonitor=false", "config", "--unset", key]);
    }
    repository.commit("accepted");
    repository.commit("something else");
    let out = repository.run(&["--base", "change"]);
    said(&out, 0, "passed: no web server was started\n");
    said(&out, 0, "baseline.yaml accepts 1 detection, as on the base branch\n");

    let clone = |depth: &[&str]| {
        let dir = tempfile::tempdir().unwrap();
        let from = format!("file://{}", repository.dir.path().display());
        let mut git = Command::new("git");
        git.args(["clone", "--quiet", "--branch", "change"]).args(depth).arg(&from).arg(dir.path());
        assert!(git.status().unwrap().success());
        dir
    };
    // The pipeline's variables name the branch.
    let whole = clone(&[]);
    let mut command = picket();
    command.env("GITHUB_BASE_REF", "main");
    let out = run_as(command, whole.path(), &repository.server, &[]);
    said(&out, 0, "this change alters the baseline .picket/baseline.yaml (1 added), which accepts");

    // Without history nobody knows.
    let clone = clone(&["--depth", "1"]);
    let out = run_in(clone.path(), &repository.server, &[]);
    said(&out, 0, "and whether this change altered it is not known\n");
    said(&out, 0, "the clone is shallow: fetch all of it (`fetch-depth: 0`");
}

fn compared() {
    let repository = Repository::new();
    let written = repository.path("started.yaml");
    let mut out = repository.run(&["--write-baseline", written.to_str().unwrap()]);
    // A machine that is too busy to read a program in time has no identity for it, and says so.
    for _ in 0..4 {
        if !err(&out).contains(" is not in ") {
            break;
        }
        out = repository.run(&["--write-baseline", written.to_str().unwrap()]);
    }
    assert_eq!(out.status.code(), Some(80), "{}", err(&out));
    let check = picket().args(["baseline", "check"]).arg(&written).output().unwrap();
    assert_eq!(
        String::from_utf8_lossy(&check.stdout),
        "1 accepted entries and 0 exceptions are in order\n"
    );
    let base = ["--base-baseline", written.to_str().unwrap()];
    said(
        &repository.run(&base),
        80,
        "failed: 1 detection, 1 of severity high or more; the base branch has them as well",
    );
    let out = run_in(repository.dir.path(), &server(free_port()), &base);
    said(
        &out,
        80,
        "failed: this change starts what the base branch does not: python-http-server; ",
    );
    // As a baseline it lets pass what the base branch started.
    let out = repository.run(&["--baseline", written.to_str().unwrap()]);
    said(&out, 0, "started.yaml accepts 1 detection");
}

fn unreadable() {
    let dir = tempfile::tempdir().unwrap();
    let (mark, broken) = (dir.path().join("ran"), dir.path().join("broken.yaml"));
    fs::write(&broken, "accepted: [{recipe: x}]\n").unwrap();
    for (option, file, why) in [
        ("--baseline", "/no/such/file", "/no/such/file"),
        ("--base-baseline", "/no/such/file", "/no/such/file"),
        ("--baseline", broken.to_str().unwrap(), "broken.yaml:1:"),
    ] {
        let mut command = outside_ci(env!("CARGO_BIN_EXE_picket"));
        let out = command.args(["ci", option, file, "--", "touch"]).arg(&mark).output().unwrap();
        said(&out, 1, why);
        assert!(!mark.exists(), "the command ran");
    }
}
