//! Which step of which pipeline started a server: real processes, with the variables of each provider.

use std::path::Path;
use std::process::{Command, Stdio};

use libtest_mimic::Trial;
use rustix::process::Signal;
use serde_json::Value;

use super::{err, until_it_listens};
use crate::harness::{Sensor, args_of, free_port, kill, picket, trial};

pub(super) fn trials() -> Vec<Trial> {
    vec![
        trial("root::ci::a_server_belongs_to_the_step_that_started_it", steps),
        trial("root::ci::without_an_environment_its_parents_tell", parents),
        trial("root::ci::who_lies_about_the_pipeline_is_not_believed", lies),
        trial("root::ci::what_sudo_takes_away_is_looked_for_above_it", sudo),
        trial("root::ci::no_environment_is_read_outside_of_pipelines", elsewhere),
    ]
}

/// Never in any record.
const SECRET: (&str, &str) = ("DEPLOY_TOKEN", "hunter2-and-more");

/// The variables of two steps of one run, and the step as records have it.
struct Provider {
    name: &'static str,
    run: &'static [(&'static str, &'static str)],
    step: &'static str,
    repository: Option<&'static str>,
}

const PROVIDERS: [Provider; 10] = [
    Provider {
        name: "github",
        run: &[("GITHUB_ACTIONS", "true"), ("CI", "true"), ("GITHUB_REPOSITORY", "o/r")],
        step: "GITHUB_ACTION",
        repository: Some("o/r"),
    },
    Provider {
        name: "gitlab",
        run: &[("GITLAB_CI", "true"), ("CI", "true"), ("CI_PROJECT_PATH", "g/p")],
        step: "",
        repository: Some("g/p"),
    },
    Provider {
        name: "jenkins",
        run: &[("JENKINS_URL", "https://ci.example/"), ("GIT_URL", "https://me:pw@h/r")],
        step: "STAGE_NAME",
        repository: Some("https://me:***@h/r"),
    },
    Provider {
        name: "circleci",
        run: &[
            ("CIRCLECI", "true"),
            ("CIRCLE_PROJECT_USERNAME", "o"),
            ("CIRCLE_PROJECT_REPONAME", "r"),
        ],
        step: "",
        repository: Some("o/r"),
    },
    Provider {
        name: "azure-pipelines",
        run: &[("TF_BUILD", "True"), ("BUILD_REPOSITORY_NAME", "r")],
        step: "SYSTEM_TASKDISPLAYNAME",
        repository: Some("r"),
    },
    Provider {
        name: "buildkite",
        run: &[("BUILDKITE", "true"), ("BUILDKITE_REPO", "git@h:o/r")],
        step: "BUILDKITE_STEP_KEY",
        repository: Some("git@h:o/r"),
    },
    Provider {
        name: "bitbucket",
        run: &[("BITBUCKET_BUILD_NUMBER", "7"), ("BITBUCKET_REPO_FULL_NAME", "w/r")],
        step: "BITBUCKET_STEP_UUID",
        repository: Some("w/r"),
    },
    Provider {
        name: "drone",
        run: &[("DRONE", "true"), ("DRONE_REPO", "o/r"), ("CI", "true")],
        step: "DRONE_STEP_NAME",
        repository: Some("o/r"),
    },
    Provider {
        name: "woodpecker",
        run: &[("CI", "woodpecker"), ("CI_REPO", "o/r")],
        step: "CI_STEP_NAME",
        repository: Some("o/r"),
    },
    Provider {
        name: "tekton",
        run: &[("TEKTON_TASK_RUN", "build-x7"), ("TEKTON_REPOSITORY", "o/r")],
        step: "TEKTON_STEP",
        repository: Some("o/r"),
    },
];

/// A shell as a runner starts it: with these variables, a secret, and little else.
fn step(script: &str, variables: &[(&str, &str)], name: (&str, &str)) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", script]).env_clear().env("PATH", std::env::var_os("PATH").unwrap());
    command.envs(variables.iter().copied()).env(SECRET.0, SECRET.1);
    if !name.0.is_empty() {
        command.env(name.0, name.1);
    }
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

fn server(port: u16) -> String {
    format!("python3 -m http.server --bind 127.0.0.1 {port}")
}

fn run(mut command: Command) {
    assert!(command.status().unwrap().success());
}

fn is_server(record: &Value, port: u16) -> bool {
    record["type"] == "detection" && args_of(record).contains(&port.to_string().as_str())
}

/// Waits until it is told of, and ends it.
fn told(sensor: &Sensor, port: u16) -> Value {
    let found = sensor.wait_for("the server", |r| is_server(r, port));
    kill(pid_of(&found), Signal::KILL);
    found
}

fn pid_of(record: &Value) -> u32 {
    record["process"]["pid"].as_u64().unwrap().try_into().unwrap()
}

fn sensor(command: &str, environment: &str) -> Sensor {
    let args = [command, "--format", "json", "--environment", environment];
    Sensor::start(&args)
}

fn steps() {
    let dir = tempfile::tempdir().unwrap();
    let watching = sensor("run", "ci");
    let recording = sensor("record", "ci");
    let ports: Vec<u16> = PROVIDERS.iter().map(|_| free_port()).collect();
    // What the first step leaves behind starts a server when the second one says so.
    let go = |at: usize| dir.path().join(format!("go-{at}"));
    for (at, provider) in PROVIDERS.iter().enumerate() {
        let wait = format!("until [ -e {} ]; do sleep 0.05; done", go(at).display());
        let script = format!("({wait}; exec {}) & exit 0", server(ports[at]));
        run(step(&script, provider.run, (provider.step, "first")));
    }
    for (at, provider) in PROVIDERS.iter().enumerate() {
        run(step(&format!("touch {}", go(at).display()), provider.run, (provider.step, "second")));
    }
    for (provider, port) in PROVIDERS.iter().zip(&ports) {
        let found = told(&watching, *port);
        let ci = &found["ci"];
        assert_eq!(ci["provider"], provider.name, "{found}");
        assert_eq!(ci["repository"].as_str(), provider.repository, "{found}");
        let first = (!provider.step.is_empty()).then_some("first");
        assert_eq!(ci["step"].as_str(), first, "{found}");
        assert_eq!((ci["origin"].as_str(), &ci["claimed"]), (Some("process"), &Value::from(true)));
    }
    let (_, records, log) = watching.stop();
    let (_, events, _) = recording.stop();
    let of_github = |e: &&Value| e["ci"]["provider"] == "github" && e["kind"] == "exec";
    assert!(events.iter().any(|e| of_github(&e) && e["ci"]["step"] == "first"), "not recorded");
    for text in [Value::from(records).to_string(), Value::from(events).to_string(), log] {
        assert!(!text.contains(SECRET.1) && !text.contains(SECRET.0), "a secret got out");
        assert!(!text.contains("me:pw@"), "a password got out");
    }
}

/// A server whose environment is empty, and one whose step is hostile.
fn parents() {
    let watching = sensor("run", "ci");
    let run = [("GITHUB_ACTIONS", "true"), ("GITHUB_RUN_ATTEMPT", "2")];
    let port = free_port();
    let script = format!("env -i PATH=$PATH {} & wait $!", server(port));
    let long = format!("\x1b[31m<img>\n::error::{}", "x".repeat(9000));
    let mut shell = step(&script, &run, ("GITHUB_ACTION", &long)).spawn().unwrap();
    let found = told(&watching, port);
    shell.wait().unwrap();
    let ci = &found["ci"];
    assert_eq!(
        (ci["provider"].as_str(), ci["origin"].as_str()),
        (Some("github"), Some("ancestor"))
    );
    assert_eq!(ci["attempt"], "2");
    let step = ci["step"].as_str().unwrap();
    assert!(step.starts_with("\x1b[31m<img>\n::error::xxx"), "{step}");
    assert!(step.chars().count() < 600, "{} characters", step.chars().count());
}

fn lies() {
    let dir = tempfile::tempdir().unwrap();
    let (records, summary) = (dir.path().join("records"), dir.path().join("summary"));
    let ports = [free_port(), free_port()];
    let start = |environment: &str, port: u16| {
        let wait = until_it_listens(port);
        format!("env {environment} {} >/dev/null 2>&1 & {wait}; kill $!; ", server(port))
    };
    let honest = start("GITHUB_ACTION=first", ports[0]);
    let liar = start("GITHUB_RUN_ID=8 GITHUB_ACTION=first GITHUB_REPOSITORY=o/other", ports[1]);
    let out = picket()
        .args(["ci", "--records", records.to_str().unwrap()])
        .args(["--summary", summary.to_str().unwrap()])
        .args(["--", "sh", "-c", &format!("{honest}{liar} exit 0")])
        .envs([("GITHUB_ACTIONS", "true"), ("GITHUB_ACTION", "second")])
        .envs([("GITHUB_RUN_ID", "7"), ("GITHUB_REPOSITORY", "o/r"), SECRET])
        .output()
        .unwrap();
    let text = err(&out);
    assert_eq!(out.status.code(), Some(80), "{text}");
    let lines = super::media::lines(&records);
    let of = |port: u16| lines.iter().find(|r| is_server(r, port)).unwrap();
    let honest = of(ports[0]);
    assert_eq!(
        (honest["ci"]["step"].as_str(), &honest["ci"]["claimed"]),
        (Some("first"), &false.into())
    );
    assert!(!honest["reasons"].to_string().contains("another pipeline"), "{honest}");
    let liar = of(ports[1]);
    let ci = &liar["ci"];
    assert_eq!((ci["step"].as_str(), ci["run_id"].as_str()), (Some("second"), Some("7")), "{liar}");
    assert_eq!((ci["repository"].as_str(), ci["origin"].as_str()), (Some("o/r"), Some("picket")));
    let why = "which is believed: repository o/other, not o/r, run 8, not 7";
    assert!(liar["reasons"].to_string().contains(why), "{liar}");
    assert!(text.split_whitespace().collect::<Vec<_>>().join(" ").contains(why), "{text}");
    for file in [&records as &Path, &summary] {
        let text = std::fs::read_to_string(file).unwrap();
        assert!(!text.contains(SECRET.1), "a secret got out: {}", file.display());
    }
    assert!(!text.contains(SECRET.1));
}

/// As `sudo picket ci` is called: neither picket nor the command has the step's variables.
fn sudo() {
    let dir = tempfile::tempdir().unwrap();
    let records = dir.path().join("records");
    let port = free_port();
    let wait = until_it_listens(port);
    let command = format!("{} >/dev/null 2>&1 & {wait}; kill $!; exit 0", server(port));
    let script =
        "env -i PATH=\"$PATH\" SUDO_UID=1000 \"$0\" ci --records \"$1\" -- sh -c \"$2\"; exit $?";
    let mut shell = step(script, &[("GITHUB_ACTIONS", "true"), ("GITHUB_SHA", "abc")], ("", ""));
    shell.args([env!("CARGO_BIN_EXE_picket"), records.to_str().unwrap(), &command]);
    assert_eq!(shell.status().unwrap().code(), Some(80));
    let lines = super::media::lines(&records);
    let found = lines.iter().find(|r| is_server(r, port)).unwrap();
    let ci = &found["ci"];
    assert_eq!((ci["provider"].as_str(), ci["sha"].as_str()), (Some("github"), Some("abc")));
    assert_eq!(ci["claimed"], false, "{found}");
    assert_eq!(found["launcher"]["kind"], "ci-step", "{found}");
}

fn elsewhere() {
    let watching = sensor("run", "staging");
    let port = free_port();
    let script = format!("exec {}", server(port));
    let mut shell = step(&script, &[("GITHUB_ACTIONS", "true")], ("", "")).spawn().unwrap();
    let found = told(&watching, port);
    shell.wait().unwrap();
    assert_eq!(found["ci"], Value::Null, "{found}");
}
