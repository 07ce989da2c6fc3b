//! Validators that others wrote, each asked once about all files.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;

use crate::harness::root;

/// What they are to be asked, and what they must answer.
#[derive(Default)]
pub(super) struct Questions {
    files: BTreeMap<Kind, Vec<(PathBuf, bool)>>,
    typed: Vec<(&'static str, Value, bool)>,
}

/// A kind of file, and the key that it must be signed with.
type Kind = (&'static str, Option<PathBuf>);

impl Questions {
    /// Whether a file is valid.
    pub(super) fn add(&mut self, kind: &'static str, file: PathBuf, valid: bool) {
        self.files.entry((kind, None)).or_default().push((file, valid));
    }

    /// Whether an envelope is signed with a key.
    pub(super) fn sealed(&mut self, file: PathBuf, key: PathBuf, valid: bool) {
        self.files.entry(("envelope", Some(key))).or_default().push((file, valid));
    }

    /// Whether a document is of the type that others have written down for it, for `quality` and
    /// `sast`. No package carries GitLab's own schemas; these types were made of one of them, and of
    /// the specification of Code Climate.
    pub(super) fn typed(&mut self, kind: &'static str, document: Value, valid: bool) {
        self.typed.push((kind, document, valid));
    }

    pub(super) fn ask(self) {
        for ((kind, key), files) in &self.files {
            let mut command = python();
            command.arg(kind).args(files.iter().map(|(file, _)| file));
            if let Some(key) = key {
                command.arg("--key").arg(key);
            }
            let answers = lines(&mut command);
            assert_eq!(answers.len(), files.len(), "{answers:#?}");
            // One that is not installed would find nothing valid, too.
            let missing = answers.iter().find(|answer| answer.contains("ModuleNotFound"));
            assert_eq!(missing, None);
            for ((file, valid), answer) in files.iter().zip(&answers) {
                assert_eq!(answer.starts_with("ok "), *valid, "{}: {answer}", file.display());
            }
        }
        types(&self.typed);
    }
}

fn schemas() -> PathBuf {
    root().join("target/test-servers/schemas")
}

fn python() -> Command {
    let mut command = Command::new(root().join("target/test-servers/checks/bin/python3"));
    command.arg(root().join("scripts/check-reports.py")).arg("--schemas").arg(schemas());
    command
}

fn lines(command: &mut Command) -> Vec<String> {
    let out = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let text = String::from_utf8_lossy(&out.stdout).into_owned();
    assert!(out.status.success(), "{text}{}", String::from_utf8_lossy(&out.stderr));
    text.lines().map(str::to_owned).collect()
}

fn types(documents: &[(&str, Value, bool)]) {
    let dir = tempfile::tempdir().unwrap();
    let name = |at: usize| format!("typed-{at}.ts");
    for (at, (kind, document, _)) in documents.iter().enumerate() {
        let (from, name_of, list) = match *kind {
            "quality" => ("codeclimate-types/index", "Issue", "[]"),
            _ => (
                "gitlab-sast-to-sonarqube/src/types/gitlab/sast-report-format",
                "ReportFormatForGitLabSAST",
                "",
            ),
        };
        let from = schemas().join(from);
        let text = format!(
            "import type {{{name_of}}} from \"{}\";\n\
             export const report: {name_of}{list} = {document};\n",
            from.display()
        );
        std::fs::write(dir.path().join(name(at)), text).unwrap();
    }
    let mut command = Command::new("node");
    command.arg(schemas().join("typescript/bin/tsc"));
    // Of the language's own types it needs those of lists and texts only.
    command.args(["--noEmit", "--strict", "--lib", "es5", "--skipLibCheck"]);
    command.args(["--typeRoots", "/nonexistent"]);
    command.args((0..documents.len()).map(name)).current_dir(dir.path());
    let out = command.output().unwrap();
    let text = String::from_utf8_lossy(&out.stdout);
    // Each error begins with the file that it is in; others would say that nothing was checked.
    let foreign = |line: &&str| !line.starts_with([' ', 't']) || line.contains("TS2307");
    assert_eq!(text.lines().find(foreign), None, "{text}");
    for (at, (kind, _, valid)) in documents.iter().enumerate() {
        let error = text.lines().find(|line| line.starts_with(&format!("{}(", name(at))));
        assert_eq!(error.is_none(), *valid, "{kind} {at}: {error:?}");
    }
}
