//! The lines of a repository that led to a server: real repositories, and what really starts things.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use libtest_mimic::Trial;
use tempfile::TempDir;

use super::err;
use crate::harness::{free_port, outside_ci, root, trial};

pub(super) fn trials() -> Vec<Trial> {
    vec![
        trial("root::ci::the_line_of_a_target_of_make_is_named", make),
        trial("root::ci::the_line_of_a_script_that_is_gone_is_named", script),
        trial("root::ci::the_line_of_a_script_of_a_package_is_named", npm),
        trial("root::ci::the_line_of_a_test_is_named", pytest),
        trial("root::ci::a_shallow_clone_says_what_is_missing", shallow),
        trial("root::ci::without_git_the_verdict_is_the_same", without_git),
        trial("root::ci::a_hostile_repository_runs_nothing", hostile),
    ]
}

/// A repository: `main`, as the remote side has it, and a branch with one commit more.
struct Repo {
    dir: TempDir,
    port: u16,
}

impl Repo {
    /// With these files, of which `PORT` is a port of its own.
    fn new(files: &[(&str, &str)]) -> Self {
        let repo = Self { dir: tempfile::tempdir().unwrap(), port: free_port() };
        repo.git(&["init", "--quiet", "--initial-branch=main"]);
        repo.commit("Jane Doe", "First things first", files);
        repo.git(&["update-ref", "refs/remotes/origin/main", "HEAD"]);
        repo.git(&["checkout", "--quiet", "-b", "work"]);
        repo
    }

    fn path(&self) -> &Path {
        self.dir.path()
    }

    fn git(&self, args: &[&str]) -> String {
        self.git_as("Jane Doe", args)
    }

    fn git_as(&self, name: &str, args: &[&str]) -> String {
        let mut git = Command::new("git");
        git.args(["-c", &format!("user.name={name}"), "-c", "user.email=x@example.org"]);
        git.args(args).current_dir(self.path()).env("GIT_CONFIG_GLOBAL", "/dev/null");
        let out = git.output().unwrap();
        assert!(out.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&out.stderr));
        String::from_utf8(out.stdout).unwrap().trim().to_owned()
    }

    fn commit(&self, author: &str, subject: &str, files: &[(&str, &str)]) {
        for (name, text) in files {
            let path = self.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, text.replace("PORT", &self.port.to_string())).unwrap();
            if text.starts_with("#!") {
                fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
            }
        }
        self.git(&["add", "--all"]);
        self.git_as(author, &["commit", "--quiet", "--allow-empty", "-m", subject]);
    }

    /// The commit that a name stands for, as it is shown.
    fn id(&self, name: &str) -> String {
        self.git(&["rev-parse", "--short=12", name])
    }

    fn ci(&self, words: &[&str]) -> Ran {
        ci(self.path(), words)
    }
}

/// What came of a run under watch.
struct Ran {
    out: Output,
    /// stderr with its lines put together again.
    text: String,
    summary: String,
}

fn ci(dir: &Path, words: &[&str]) -> Ran {
    let reports = tempfile::tempdir().unwrap();
    let summary = reports.path().join("summary");
    // Whoever git runs as must be able to read what was made for it.
    let mut command = outside_ci("sh");
    command.args(["-c", "umask 077; exec \"$0\" \"$@\"", env!("CARGO_BIN_EXE_picket")]);
    command.args(["ci", "--summary", summary.to_str().unwrap(), "--"]).args(words);
    let out = command.current_dir(dir).output().unwrap();
    let text = err(&out).split_whitespace().collect::<Vec<_>>().join(" ");
    Ran { text, summary: fs::read_to_string(summary).unwrap(), out }
}

impl Ran {
    fn says(&self, what: &str) {
        assert_eq!(self.out.status.code(), Some(80), "{}", err(&self.out));
        assert!(self.text.contains(what), "not said: {what}\n{}", err(&self.out));
    }

    fn is_silent_of(&self, what: &str) {
        assert!(!self.text.contains(what), "said: {what}\n{}", err(&self.out));
    }
}

const SERVER: &str = "timeout 0.6 /usr/bin/python3 -m http.server --bind 127.0.0.1 PORT";

fn server(repo: &Repo) -> String {
    SERVER.replace("PORT", &repo.port.to_string())
}

fn make() {
    let before = "all: lint\n\nlint:\n\t@true\n";
    let repo = Repo::new(&[("Makefile", before)]);
    let after = format!("PY = /usr/bin/python3\nall: lint metrics\n\nlint:\n\t@true\n\nmetrics:\n\t-{SERVER} >/dev/null 2>&1\n")
        .replace("/usr/bin/python3 -m", "$(PY) -m");
    repo.commit("Mallory", "Add metrics", &[("Makefile", &after)]);
    let ran = repo.ci(&["make", "all"]);
    let id = repo.id("HEAD");
    let line = server(&repo).replace("timeout 0.6 ", "");
    ran.says(&format!("source Makefile:8:15: make all runs {line}"));
    let commit = format!("{id} by Mallory, ");
    ran.says(&format!("({commit}"));
    ran.says("\"Add metrics\"; in this change)");
    ran.says(&format!("change 1 commit since {}, where it left origin/main", repo.id("main")));
    // The same in the summary, where the repository's names are code.
    assert!(ran.summary.contains("- `Makefile:8:15`: make all runs"), "{}", ran.summary);
    assert!(
        ran.summary.contains(&format!("`{id}`")) || ran.summary.contains(&id),
        "{}",
        ran.summary
    );
}

/// `exec` leaves no trace of a script. Its line is older than the change, that of its caller is not.
fn script() {
    let script = format!("#!/bin/sh\nset -e\nexec {SERVER} >/dev/null 2>&1\n");
    let repo = Repo::new(&[("deploy/run.sh", &script)]);
    let workflow = "on: push\njobs:\n  x:\n    steps:\n      - run: ./deploy/run.sh || true\n";
    let workflow = [(".github/workflows/ci.yml", workflow)];
    repo.commit("Mallory", "Deploy from the pipeline", &workflow);
    // As a runner does: the step's script lies elsewhere.
    let elsewhere = tempfile::tempdir().unwrap();
    let step = elsewhere.path().join("step.sh");
    fs::write(&step, "./deploy/run.sh || true\n").unwrap();
    let ran = repo.ci(&["bash", "-e", step.to_str().unwrap()]);
    ran.says("source deploy/run.sh:3:18: runs /usr/bin/python3");
    ran.says(&format!("({} by Jane Doe, ", repo.id("main")));
    ran.says("\"First things first\"; not in this change)");
    ran.says("source .github/workflows/ci.yml:5:14: runs run.sh");
    ran.says(&format!("({} by Mallory, ", repo.id("HEAD")));
    // And where nothing but picket's own command line tells.
    let ran = repo.ci(&["sh", "-c", "./deploy/run.sh || true"]);
    ran.says("source deploy/run.sh:3:18: runs /usr/bin/python3");
}

fn npm() {
    let package = |scripts: &str| {
        format!("{{\n  \"name\": \"x\",\n  \"scripts\": {{\n    {scripts}\n  }}\n}}\n")
    };
    let repo = Repo::new(&[("web/package.json", &package("\"lint\": \"true\""))]);
    let scripts = format!("\"lint\": \"true\",\n    \"dev\": \"{SERVER} >/dev/null 2>&1 || true\"");
    repo.commit("Mallory", "A server to develop with", &[("web/package.json", &package(&scripts))]);
    let ran = repo.ci(&["npm", "--prefix", "web", "run", "dev"]);
    ran.says("source web/package.json:5:25: script dev runs /usr/bin/python3 -m http.server");
    ran.says(&format!("({} by Mallory, ", repo.id("HEAD")));
}

/// Tests that are run by name, and all of them.
fn pytest() {
    let python = root().join("target/test-servers/checks/bin/python3");
    assert!(python.exists(), "{} is missing: scripts/test-servers-setup.sh", python.display());
    let test = "import subprocess, sys\n\n\ndef test_health():\n    server = subprocess.Popen(\n        \
                [sys.executable, '-m', 'http.server', '--bind', '127.0.0.1', 'PORT'],\n        \
                stderr=subprocess.DEVNULL)\n    try:\n        server.wait(0.5)\n    \
                except subprocess.TimeoutExpired:\n        server.kill()\n";
    let repo = Repo::new(&[("README", "x\n")]);
    repo.commit("Mallory", "Test it", &[("tests/test_health.py", test)]);
    let python = python.to_str().unwrap();
    let by_name = "tests/test_health.py::test_health";
    let own: &[&str] = &[python, "-m", "pytest", "-q", "-p", "no:cacheprovider", by_name];
    for words in [own, &own[..own.len() - 1]] {
        let ran = repo.ci(words);
        ran.says("source tests/test_health.py:6:33: names ");
        ran.says(&format!("({} by Mallory, ", repo.id("HEAD")));
        ran.says("\"Test it\"; in this change)");
    }
}

/// As checkouts of pipelines are: the last commit alone.
fn shallow() {
    let script = format!("#!/bin/sh\n{SERVER} >/dev/null 2>&1\nexit 0\n");
    let repo = Repo::new(&[("run.sh", &script)]);
    repo.commit("Mallory", "Something else", &[("README", "x\n")]);
    let clones = tempfile::tempdir().unwrap();
    let clone = clones.path().join("clone");
    let from = format!("file://{}", repo.path().display());
    repo.git(&["clone", "--quiet", "--depth=1", &from, clone.to_str().unwrap()]);
    let ran = ci(&clone, &["./run.sh"]);
    ran.says("source run.sh:2:13: runs /usr/bin/python3");
    ran.says(&format!("history is missing before {}, the clone is shallow", repo.id("HEAD")));
    ran.says("fetch all of it (`fetch-depth: 0`");
    ran.is_silent_of("in this change");
    // Nobody is named for what they may not have done.
    ran.is_silent_of("(by Mallory");
}

fn without_git() {
    let dir = tempfile::tempdir().unwrap();
    let port = free_port();
    let script = format!("{} >/dev/null 2>&1; exit 0", SERVER.replace("PORT", &port.to_string()));
    let ran = ci(dir.path(), &["sh", "-c", &script]);
    ran.says(&format!("change not known: {} is in no git repository", dir.path().display()));
    assert!(!ran.text.contains("source "), "{}", ran.text);
}

/// A subject and a name that would be a colour, a link, a command.
const SUBJECT: &str =
    "\x1b[31mfix\x1b[0m [x](http://evil.example) <img src=x> ##[error]y @octocat \u{202e}z";
const AUTHOR: &str = "::error::Ma`l|lory\x1b]0;t\x07";

fn hostile() {
    let script = format!("#!/bin/sh\n{SERVER} >/dev/null 2>&1\nexit 0\n");
    let repo = Repo::new(&[("README", "x\n")]);
    let files: &[(&str, &str)] = &[
        ("run.sh", &script),
        (".gitattributes", "* diff=trap filter=trap merge=trap\n"),
        (".mailmap", "Innocent <x@example.org>\n"),
    ];
    repo.commit(AUTHOR, SUBJECT, files);
    let traps = tempfile::tempdir().unwrap();
    let sprung = set_traps(repo.path(), traps.path());

    // The traps work: git as one would run it springs them.
    let mut git = Command::new("git");
    git.args(["log", "-p", "-1"]).current_dir(repo.path()).env("GIT_CONFIG_GLOBAL", "/dev/null");
    git.output().unwrap();
    let mut git = Command::new("git");
    git.arg("status").current_dir(repo.path()).env("GIT_CONFIG_GLOBAL", "/dev/null");
    git.output().unwrap();
    let mut found = sprung();
    found.sort();
    assert!(found.iter().any(|name| name == "textconv"), "{found:?}");
    assert!(found.iter().any(|name| name == "fsmonitor"), "{found:?}");
    assert!(found.iter().any(|name| name == "gpg"), "{found:?}");

    for owner in ["0:0", "65534:65534"] {
        for name in sprung() {
            fs::remove_file(traps.path().join("sprung").join(name)).unwrap();
        }
        assert!(
            Command::new("chown").args(["-R", owner]).arg(repo.path()).status().unwrap().success()
        );
        let ran = repo.ci(&["./run.sh"]);
        assert_eq!(sprung(), Vec::<String>::new(), "something was run");
        ran.says("source run.sh:2:13: runs /usr/bin/python3");
        // The name as the commit has it, and made visible.
        // (Of which git leaves out punctuation at both ends.)
        ran.says("by error::Ma`l|lory\\x1b]0;t, ");
        ran.says("\\x1b[31mfix\\x1b[0m [x](http://evil.example)");
        ran.is_silent_of("Innocent");
        let text = err(&ran.out);
        assert!(!text.contains(['\x1b', '\x07', '\u{202e}']), "{text}");
        assert!(!text.contains("##[error]"), "{text}");
        assert!(!text.lines().any(|line| line.trim_start().starts_with("::")), "{text}");
        assert!(!ran.summary.contains(['\x1b', '\x07', '\u{202e}']), "{}", ran.summary);
        for line in ran.summary.lines() {
            let rest = super::media::without_code(line);
            for bad in ["<img", "[x]", "](", "@octocat", "://"] {
                assert!(!rest.contains(bad), "{line}");
            }
        }
    }
}

/// Everything in a repository that could name a program. Says which were run.
fn set_traps(repo: &Path, dir: &Path) -> impl Fn() -> Vec<String> + use<> {
    let sprung: PathBuf = dir.join("sprung");
    fs::create_dir(&sprung).unwrap();
    fs::set_permissions(dir, fs::Permissions::from_mode(0o755)).unwrap();
    fs::set_permissions(&sprung, fs::Permissions::from_mode(0o777)).unwrap();
    let trap = |name: &str| {
        let path = dir.join(name);
        let text = format!("#!/bin/sh\n: >{}\ncat\n", sprung.join(name).display());
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        path.display().to_string()
    };
    let hooks = dir.join("hooks");
    fs::create_dir(&hooks).unwrap();
    for hook in ["post-index-change", "post-checkout", "pre-auto-gc", "reference-transaction"] {
        fs::copy(trap("hook"), hooks.join(hook)).unwrap();
    }
    let config = format!(
        "[core]\n repositoryformatversion = 1\n pager = {}\n fsmonitor = {}\n hooksPath = {}\n \
         sshCommand = {}\n editor = {}\n alternateRefsCommand = {}\n\
         [alias]\n blame = !{alias}\n log = !{alias}\n cat-file = !{alias}\n\
         [diff]\n external = {}\n[diff \"trap\"]\n textconv = {}\n\
         [filter \"trap\"]\n clean = {filter}\n smudge = {filter}\n process = {filter}\n\
         [gpg]\n program = {}\n[log]\n showSignature = true\n[pager]\n blame = true\n log = true\n\
         [extensions]\n partialClone = origin\n\
         [remote \"origin\"]\n url = ext::{}\n promisor = true\n[protocol \"ext\"]\n allow = always\n\
         [blame]\n ignoreRevsFile = /nonexistent\n[credential]\n helper = !{}\n",
        trap("pager"),
        trap("fsmonitor"),
        hooks.display(),
        trap("ssh"),
        trap("editor"),
        trap("refs"),
        trap("external"),
        trap("textconv"),
        trap("gpg"),
        trap("remote"),
        trap("credential"),
        alias = trap("alias"),
        filter = trap("filter"),
    );
    // A commit that says it is signed, so that a signature would be looked at.
    sign(repo);
    fs::write(repo.join(".git/config"), config).unwrap();
    move || {
        let entries = fs::read_dir(&sprung).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }
}

/// Puts a signature into the commit that is checked out.
fn sign(repo: &Path) {
    let git = |args: &[&str], input: Option<&Path>| {
        let mut git = Command::new("git");
        git.args(args).current_dir(repo);
        if let Some(input) = input {
            git.stdin(fs::File::open(input).unwrap());
        }
        let out = git.output().unwrap();
        assert!(out.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&out.stderr));
        String::from_utf8(out.stdout).unwrap()
    };
    let commit = git(&["cat-file", "commit", "HEAD"], None);
    let (head, message) = commit.split_once("\n\n").unwrap();
    let signature = "gpgsig -----BEGIN PGP SIGNATURE-----\n \n x\n -----END PGP SIGNATURE-----";
    let signed = tempfile::NamedTempFile::new().unwrap();
    fs::write(signed.path(), format!("{head}\n{signature}\n\n{message}")).unwrap();
    let id = git(&["hash-object", "-t", "commit", "-w", "--stdin"], Some(signed.path()));
    git(&["update-ref", "HEAD", id.trim()], None);
}
