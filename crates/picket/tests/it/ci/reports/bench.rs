//! A place to make reports in: a repository, a key, and where the reports go.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::validators::Questions;

/// Each report's option and the name of its file.
pub(super) const OPTIONS: [(&str, &str); 5] = [
    ("--sarif", "sarif"),
    ("--junit", "junit.xml"),
    ("--gitlab-codequality", "quality.json"),
    ("--gitlab-sast", "sast.json"),
    ("--attest", "attestation.json"),
];

/// What the predicate must have, and what else makes it complete.
const FIELDS: [&str; 12] = [
    "/monitor/type",
    "/monitor/tracePolicy/recipes/0/name",
    "/monitor/program/digest/sha256",
    "/monitoredProcess/hostID",
    "/monitoredProcess/type",
    "/monitoredProcess/event",
    "/monitorLog/process/0/processBinary",
    "/monitorLog/network",
    "/monitorLog/fileAccess",
    "/metadata/buildStartedOn",
    "/metadata/buildFinishedOn",
    "/picketResult/verdict",
];

pub(super) struct Bench {
    dir: tempfile::TempDir,
}

impl Bench {
    /// Makes it, with a key of an algorithm.
    pub(super) fn new(algorithm: &[&str]) -> Self {
        let bench = Self { dir: tempfile::tempdir().unwrap() };
        fs::create_dir(bench.repository()).unwrap();
        let (key, public) = (bench.file("key.pem"), bench.file("public.pem"));
        done(Command::new("openssl").arg("genpkey").args(algorithm).arg("-out").arg(&key));
        let mut command = Command::new("openssl");
        done(command.args(["pkey", "-pubout", "-in"]).arg(&key).arg("-out").arg(&public));
        bench
    }

    pub(super) fn repository(&self) -> PathBuf {
        self.dir.path().canonicalize().unwrap().join("repository")
    }

    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(super) fn git(&self, args: &[&str]) -> String {
        let mut git = Command::new("git");
        git.args(["-c", "user.name=x", "-c", "user.email=x", "-C"]);
        git.arg(self.repository()).args(args).env("GIT_CONFIG_GLOBAL", "/dev/null");
        String::from_utf8(done(&mut git).stdout).unwrap().trim().to_owned()
    }

    /// Adds `ci` and the options for all reports.
    pub(super) fn all<'c>(&self, command: &'c mut Command) -> &'c mut Command {
        command.arg("ci").current_dir(self.repository());
        for (option, name) in OPTIONS {
            command.arg(option).arg(self.file(name));
        }
        command.arg("--attest-key").arg(self.file("key.pem"))
    }

    pub(super) fn json(&self, name: &str) -> Value {
        serde_json::from_slice(&fs::read(self.file(name)).unwrap()).unwrap()
    }

    /// What the attestation states.
    pub(super) fn statement(&self) -> Value {
        let payload = self.json("attestation.json")["payload"].as_str().unwrap().to_owned();
        let statement = STANDARD.decode(payload).unwrap();
        fs::write(self.file("statement.json"), &statement).unwrap();
        serde_json::from_slice(&statement).unwrap()
    }

    /// Asks whether every report is valid.
    pub(super) fn reports_are_valid(&self, questions: &mut Questions) {
        let statement = self.statement();
        for field in FIELDS {
            let value = statement["predicate"].pointer(field);
            assert!(value.is_some_and(|value| !value.is_null()), "{field}: {statement:#}");
        }
        questions.add("sarif", self.file("sarif"), true);
        questions.add("junit", self.file("junit.xml"), true);
        questions.add("statement", self.file("statement.json"), true);
        questions.sealed(self.file("attestation.json"), self.file("public.pem"), true);
        questions.typed("quality", self.json("quality.json"), true);
        questions.typed("sast", self.json("sast.json"), true);
    }
}

/// Runs a command that must not fail.
pub(super) fn done(command: &mut Command) -> Output {
    let out = command.output().unwrap();
    assert!(out.status.success(), "{command:?}: {}", String::from_utf8_lossy(&out.stderr));
    out
}
