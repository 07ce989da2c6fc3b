//! The integrations for pipelines: valid by the providers' own schemas and by linters that nobody here
//! wrote, and run against a stand-in of a runner.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use libtest_mimic::Trial;
use rustix::process::Signal;
use tempfile::TempDir;

use crate::harness::{PATIENCE, free_port, kill, outside_ci, root, trial};

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial("integrations::actions_are_valid", actions_are_valid),
        trial("integrations::the_component_is_valid", component_is_valid),
        trial("integrations::examples_of_the_document_are_valid", examples_are_valid),
    ]
}

/// Those that start a sensor, to be run one after the other.
pub(crate) fn alone() -> Vec<Trial> {
    vec![
        trial("root::integrations::the_action_fails_a_job_with_a_server", action),
        trial("root::integrations::an_action_runs_only_what_it_verified", verified),
        trial("root::integrations::the_composite_action_opens_and_closes", composite),
        trial("root::integrations::the_component_fails_a_job_with_a_server", component),
    ]
}

/// A validator.
fn check(tool: &str) -> Command {
    Command::new(root().join("target/test-servers/checks/bin").join(tool))
}

fn run(command: &mut Command) -> (bool, String) {
    let out = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    (out.status.success(), said(&out))
}

fn said(out: &Output) -> String {
    [&out.stdout[..], &out.stderr].concat().iter().map(|byte| char::from(*byte)).collect()
}

/// Whether a file is valid by a provider's schema.
fn schema(name: &str, file: &Path) -> (bool, String) {
    let mut command = check("check-jsonschema");
    command.args(["--builtin-schema", &format!("vendor.{name}"), "--default-filetype", "yaml"]);
    if name == "gitlab-ci" || name == "azure-pipelines" {
        command.args(["--data-transform", name]);
    }
    run(command.arg(file))
}

/// It is valid, and no longer so once something is broken in it.
fn holds(name: &str, text: &str, (from, to): (&str, &str)) {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("it.yml");
    fs::write(&file, text).unwrap();
    let (valid, why) = schema(name, &file);
    assert!(valid, "{name}: {why}");
    let broken = text.replacen(from, to, 1);
    assert_ne!(broken, text, "{name}: there is no {from:?}");
    fs::write(&file, broken).unwrap();
    assert!(!schema(name, &file).0, "{name}: valid although broken: {to:?}");
}

fn github(name: &str) -> PathBuf {
    root().join("integrations/github").join(name)
}

fn actions_are_valid() {
    for (name, broken) in [
        ("action.yml", ("using: node24", "using: node3")),
        ("steps/action.yml", ("shell: bash", "shel: bash")),
    ] {
        holds("github-actions", &fs::read_to_string(github(name)).unwrap(), broken);
    }
    let zizmor = |what: &Path| run(check("zizmor").args(["--offline", "--no-progress"]).arg(what));
    let (fine, why) = zizmor(&github(""));
    assert!(fine, "{why}");
    // An input in the text of a script is code.
    let dir = tempfile::tempdir().unwrap();
    let injected = dir.path().join("action.yml");
    let text = fs::read_to_string(github("steps/action.yml")).unwrap();
    fs::write(&injected, text.replace("case $STEP in", "case ${{ inputs.step }} in")).unwrap();
    assert!(!zizmor(&injected).0, "zizmor finds nothing in an injection");
    // What the composite action runs is a script like any other.
    let script = composite_script();
    fs::write(dir.path().join("script"), format!("#!/bin/bash\n{script}")).unwrap();
    let (fine, why) = run(Command::new("shellcheck").arg(dir.path().join("script")));
    assert!(fine, "{why}");
    for name in ["main.js", "post.js", "picket.js", "runner.js"] {
        let (fine, why) = run(Command::new("node").arg("--check").arg(github(name)));
        assert!(fine, "{why}");
    }
}

fn component_is_valid() {
    let text = fs::read_to_string(root().join("integrations/gitlab/templates/picket.yml")).unwrap();
    let (_, jobs) = text.split_once("\n---\n").unwrap();
    // Both documents: the inputs, and the job with each of them filled in.
    let head = text.replace(jobs, "x: {script: [x]}\n").replace("\n---\n", "\n");
    holds("gitlab-ci", &head, ("type: array", "type: list"));
    let filled = filled_in(jobs);
    assert!(!filled.contains("$[["), "{filled}");
    holds("gitlab-ci", &filled, ("when: always", "when: sometimes"));
}

/// The component's job with its inputs filled in.
fn filled_in(jobs: &str) -> String {
    [
        ("job", "picket"),
        ("stage", "test"),
        ("image", "debian:12"),
        ("tags", "[root]"),
        ("depth", "\"0\""),
        ("binary", env!("CARGO_BIN_EXE_picket")),
        ("sha256", "\"\""),
        ("command", "make test"),
        ("fail_on", "high"),
        ("without_evidence", "fail"),
    ]
    .into_iter()
    .fold(jobs.to_owned(), |jobs, (name, value)| {
        assert!(jobs.contains(&format!("$[[ inputs.{name} ]]")), "{name} is not used");
        jobs.replace(&format!("$[[ inputs.{name} ]]"), value)
    })
}

/// What the document has under a provider's name.
fn example(name: &str) -> String {
    let document = fs::read_to_string(root().join("docs/ci.md")).unwrap();
    let (_, rest) = document
        .split_once(&format!("\n### {name}\n"))
        .unwrap_or_else(|| panic!("docs/ci.md has nothing of {name}"));
    let (_, rest) = rest.split_once("\n```").unwrap();
    let (_, rest) = rest.split_once('\n').unwrap();
    rest.split_once("\n```").unwrap().0.to_owned() + "\n"
}

fn examples_are_valid() {
    for (name, provider, broken) in [
        ("GitHub Actions", "github-workflows", ("runs-on:", "run-on:")),
        ("GitLab CI/CD", "gitlab-ci", ("inputs:", "input:")),
        ("CircleCI", "circle-ci", ("version: 2.1", "version: two")),
        ("Azure Pipelines", "azure-pipelines", ("steps:", "step:")),
        ("Buildkite", "buildkite", ("steps:", "step:")),
        ("Bitbucket Pipelines", "bitbucket-pipelines", ("depth: full", "depth: most")),
        ("Drone", "drone-ci", ("kind: pipeline", "kind: pipelin")),
        ("Woodpecker", "woodpecker-ci", ("steps:", "step:")),
    ] {
        holds(provider, &example(name), broken);
    }
    let dir = tempfile::tempdir().unwrap();
    let workflow = dir.path().join(".github/workflows/test.yml");
    fs::create_dir_all(workflow.parent().unwrap()).unwrap();
    // Only of a repository actionlint reads the actions.
    fs::create_dir(dir.path().join(".git")).unwrap();
    // The action is where the example would find it.
    let there = format!("OWNER/picket/integrations/github@{}", "0".repeat(40));
    let text = example("GitHub Actions").replace(&there, "./integrations/github");
    assert!(text.contains("./integrations/github"), "{text}");
    fs::write(&workflow, &text).unwrap();
    let actions = dir.path().join("integrations");
    let copied =
        Command::new("cp").arg("-r").arg(root().join("integrations")).arg(&actions).status();
    assert!(copied.unwrap().success());
    let lint = || {
        run(check("actionlint")
            .args(["-no-color", "-shellcheck="])
            .arg(&workflow)
            .current_dir(dir.path()))
    };
    let (fine, why) = lint();
    assert!(fine, "{why}");
    fs::write(&workflow, example("GitHub Actions")).unwrap();
    let (fine, why) = run(check("zizmor").args(["--offline", "--no-progress"]).arg(&workflow));
    assert!(fine, "{why}");
    fs::write(&workflow, text.replacen("sha256:", "sha265:", 1)).unwrap();
    let (fine, why) = lint();
    assert!(!fine && why.contains("sha265"), "an input that there is not: {why}");
}

/// What a runner gives to the steps of a job.
struct Runner {
    dir: TempDir,
    /// `with:` of the step.
    inputs: Vec<(String, String)>,
}

impl Runner {
    fn new(inputs: &[(&str, &str)]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        for name in ["env", "output", "state", "summary"] {
            fs::write(dir.path().join(name), "").unwrap();
        }
        fs::create_dir(dir.path().join("temp")).unwrap();
        let inputs = inputs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Self { dir, inputs: inputs.collect() }
    }

    fn file(&self, name: &str) -> String {
        fs::read_to_string(self.dir.path().join(name)).unwrap()
    }

    /// A command of the job, with the runner's variables.
    fn command(&self, program: &str) -> Command {
        let mut command = outside_ci(program);
        command.current_dir(self.dir.path()).stdin(Stdio::null());
        command
            .env("CI", "true")
            .env("GITHUB_ACTIONS", "true")
            .env("RUNNER_TEMP", self.dir.path().join("temp"));
        for (variable, file) in [
            ("GITHUB_ENV", "env"),
            ("GITHUB_OUTPUT", "output"),
            ("GITHUB_STATE", "state"),
            ("GITHUB_STEP_SUMMARY", "summary"),
        ] {
            command.env(variable, self.dir.path().join(file));
        }
        command.envs([
            ("GITHUB_REPOSITORY", "o/r"),
            ("GITHUB_WORKFLOW", "test"),
            ("GITHUB_JOB", "build"),
            ("GITHUB_RUN_ID", "42"),
            ("GITHUB_SHA", "0123456789012345678901234567890123456789"),
        ]);
        command
    }

    /// Runs a script of the action: with its inputs, and with what it saved before.
    fn script(&self, name: &str) -> Output {
        let mut command = self.command("node");
        for (name, value) in &self.inputs {
            command.env(format!("INPUT_{}", name.to_uppercase()), value);
        }
        for (name, value) in values(&self.file("state")) {
            command.env(format!("STATE_{name}"), value);
        }
        command.arg(github(name)).output().unwrap()
    }
}

/// What a file of the runner's says: `name<<end`, lines, `end`.
fn values(text: &str) -> Vec<(String, String)> {
    let mut lines = text.lines();
    let mut found = Vec::new();
    while let Some(line) = lines.next() {
        let (name, end) = line.split_once("<<").unwrap();
        let value: Vec<&str> = lines.by_ref().take_while(|line| *line != end).collect();
        found.push((name.to_owned(), value.join("\n")));
    }
    found
}

fn sha256(path: &str) -> String {
    let out = Command::new("sha256sum").arg(path).output().unwrap();
    String::from_utf8(out.stdout).unwrap().split_once(' ').unwrap().0.to_owned()
}

const PICKET: &str = env!("CARGO_BIN_EXE_picket");

/// A step of the job that leaves a server behind; its pid.
fn step(runner: &Runner) -> u32 {
    let port = free_port();
    let server = format!("python3 -m http.server --bind 127.0.0.1 {port}");
    let script = format!("{server} >/dev/null 2>&1 </dev/null & echo $!");
    let out = runner.command("bash").args(["-e", "-c", &script]).output().unwrap();
    let deadline = std::time::Instant::now() + PATIENCE;
    while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(std::time::Instant::now() < deadline, "the server does not listen");
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    String::from_utf8(out.stdout).unwrap().trim().parse().unwrap()
}

fn action() {
    let sum = sha256(PICKET);
    let runner = Runner::new(&[
        ("binary", PICKET),
        ("sha256", &sum),
        ("fail-on", "high"),
        ("without-evidence", "fail"),
        ("records", "records.jsonl"),
    ]);
    // A job before this one never closed its gate.
    assert!(runner.script("main.js").status.success());
    fs::write(runner.dir.path().join("state"), "").unwrap();
    let out = runner.script("main.js");
    assert!(out.status.success(), "{}", said(&out));
    assert!(said(&out).contains("for o/r build 42"), "{}", said(&out));
    let outputs = values(&runner.file("output"));
    let state = Path::new(&outputs.last().unwrap().1);
    assert!(state.join("gate.json").exists(), "{outputs:?}");
    let pid = step(&runner);
    let out = runner.script("post.js");
    kill(pid, Signal::KILL);
    let text = said(&out);
    assert_eq!(out.status.code(), Some(80), "{text}");
    assert!(text.contains("::error title=picket%3A python-http-server::"), "{text}");
    assert!(runner.file("summary").starts_with("### picket: failed: 1 detection"), "{text}");
    assert!(runner.file("records.jsonl").contains("\"repository\":\"o/r\""), "{text}");
    assert!(!state.exists(), "the state is left");

    // A job without a server, in the same place.
    fs::write(runner.dir.path().join("state"), "").unwrap();
    assert!(runner.script("main.js").status.success());
    let out = runner.script("post.js");
    assert!(out.status.success(), "{}", said(&out));
}

fn verified() {
    let dir = tempfile::tempdir().unwrap();
    let mark = dir.path().join("ran");
    let fake = dir.path().join("picket");
    fs::write(&fake, format!("#!/bin/sh\ntouch {}\n", mark.display())).unwrap();
    let fake = fake.to_str().unwrap();
    let zeros = "0".repeat(64);
    for (inputs, why) in [
        (vec![("binary", fake), ("sha256", zeros.as_str())], "it is not run"),
        (vec![("binary", fake)], "no SHA-256 of picket is known"),
        (vec![("url", "http://127.0.0.1/picket"), ("sha256", &zeros)], "expected https"),
        (vec![], "expected the input `binary` or `url`"),
    ] {
        let runner = Runner::new(&inputs);
        let out = runner.script("main.js");
        assert_eq!(out.status.code(), Some(1), "{}", said(&out));
        assert!(said(&out).contains(why), "{}", said(&out));
        // It did not open, so that there is nothing to close.
        assert!(runner.script("post.js").status.success());
        assert!(!mark.exists(), "it ran");
    }
}

/// The script of the composite action.
fn composite_script() -> String {
    let text = fs::read_to_string(github("steps/action.yml")).unwrap();
    let (_, script) = text.split_once("      run: |\n").unwrap();
    script
        .lines()
        .map(|line| format!("{}\n", line.strip_prefix("        ").unwrap_or(line)))
        .collect()
}

fn composite() {
    let runner = Runner::new(&[]);
    let script = composite_script();
    let sum = sha256(PICKET);
    let act = |step: &str, sum: &str, options: &str| {
        let mut bash = runner.command("bash");
        bash.args(["--noprofile", "--norc", "-e", "-o", "pipefail", "-c", &script]);
        bash.envs([("STEP", step), ("BINARY", PICKET), ("SHA256", sum), ("OPTIONS", options)]);
        bash.output().unwrap()
    };
    let out = act("start", &"0".repeat(64), "");
    assert_eq!(out.status.code(), Some(1), "{}", said(&out));
    assert!(said(&out).contains("it is not run"), "{}", said(&out));
    let out = act("start", &sum, "");
    assert!(out.status.success(), "{}", said(&out));
    let pid = step(&runner);
    let out = act("stop", &sum, "--fail-on critical --records records.jsonl");
    kill(pid, Signal::KILL);
    assert_eq!(out.status.code(), Some(0), "{}", said(&out));
    assert!(said(&out).contains("none of severity critical or more"), "{}", said(&out));
    assert!(runner.dir.path().join("records.jsonl").exists());
}

fn component() {
    let text = fs::read_to_string(root().join("integrations/gitlab/templates/picket.yml")).unwrap();
    let filled = filled_in(text.split_once("\n---\n").unwrap().1);
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("job.yml"), filled).unwrap();
    // The runner hands the lines to a shell, one after the other, until one fails.
    let lines = "import sys; from ruamel.yaml import YAML; \
                 jobs = YAML(typ='safe').load(open(sys.argv[1])); \
                 print('\\n'.join(jobs['picket']['script']))";
    let python = root().join("target/test-servers/checks/bin/python3");
    let out = Command::new(python).args(["-c", lines]).arg(dir.path().join("job.yml")).output();
    let out = out.unwrap();
    assert!(out.status.success(), "{}", said(&out));
    let script = String::from_utf8(out.stdout).unwrap();
    fs::create_dir(dir.path().join(".picket")).unwrap();
    fs::write(dir.path().join(".picket/baseline.yaml"), "accepted: []\n").unwrap();
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o666);
    fs::set_permissions(dir.path().join(".picket/baseline.yaml"), open).unwrap();
    let port = free_port();
    let server = format!(
        "python3 -m http.server --bind 127.0.0.1 {port} >/dev/null 2>&1 & sleep 0.3; kill $!"
    );
    for (command, code) in [(server.as_str(), 80), ("true", 0)] {
        let mut bash = outside_ci("bash");
        bash.args(["-e", "-o", "pipefail", "-c", &script]).current_dir(dir.path());
        bash.envs([
            ("GITLAB_CI", "true"),
            ("PICKET_BINARY", PICKET),
            ("PICKET_SHA256", &sha256(PICKET)),
            ("PICKET_COMMAND", command),
        ]);
        let out = bash.output().unwrap();
        assert_eq!(out.status.code(), Some(code), "{}", said(&out));
        for file in ["picket-records.jsonl", "picket-junit.xml", "picket-quality.json"] {
            assert!(dir.path().join(file).metadata().is_ok_and(|file| file.len() > 0), "{file}");
        }
    }
}
