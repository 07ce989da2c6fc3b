//! What is told of a run: records, annotations and the summary, with arguments that are out for
//! trouble.

use std::path::Path;

use libtest_mimic::Trial;
use serde_json::Value;

use super::{err, run, until_it_listens};
use crate::harness::{free_port, picket, trial};

pub(super) fn trials() -> Vec<Trial> {
    vec![
        trial("root::ci::hostile_arguments_are_inert", hostile),
        trial("root::ci::annotations_are_ten_at_most", ten_at_most),
        trial("root::ci::the_summary_stays_small", small),
        trial("ci::what_cannot_be_written_is_said_before_anything_runs", unwritable),
    ]
}

/// A directory that no file system has, and that would be a link, a picture, a mention, a command.
pub(super) const HOSTILE: &str = "x`y|z\n::error::injected\n##[error]injected ##vso[task.complete] \
                       [l](http://evil.example) ![i](http://evil.example/i.png) <img src=x> \
                       <!-- @octocat #1 www.evil.example \u{202e}txt \x1b[31m";

/// What is left of a line of Markdown without its code.
pub(super) fn without_code(line: &str) -> String {
    let parts: Vec<&str> = line.split('`').collect();
    assert!(parts.len() % 2 == 1, "code without an end: {line}");
    parts.into_iter().step_by(2).collect::<Vec<_>>().concat()
}

fn hostile() {
    let dir = tempfile::tempdir().unwrap();
    let (summary, records) = (dir.path().join("summary.md"), dir.path().join("records.jsonl"));
    std::fs::write(&summary, "before\n").unwrap();
    let port = free_port();
    let wait = until_it_listens(port);
    let port = port.to_string();
    let server = "python3 -m http.server --bind 127.0.0.1 \"$1\" --directory \"$0\"";
    let script = format!("{server} >/dev/null 2>&1 & {wait}; kill $!; exit 0");
    let out = picket()
        .args(["ci", "--records", records.to_str().unwrap()])
        .args(["--", "sh", "-c", &script, HOSTILE, &port])
        .env("GITHUB_ACTIONS", "true")
        .env("GITHUB_STEP_SUMMARY", &summary)
        .output()
        .unwrap();
    let text = err(&out);
    assert_eq!(out.status.code(), Some(80), "{text}");
    assert_eq!(out.stdout, b"");

    // The log: the runner is told of one error, and that is picket's own.
    let commands: Vec<&str> = text.lines().filter(|l| l.trim_start().starts_with("::")).collect();
    assert_eq!(commands.len(), 1, "{text}");
    let title = "::error title=picket%3A python-http-server::";
    assert!(commands[0].starts_with(title), "{text}");
    assert!(!text.contains("##") && !text.contains('\x1b') && !text.contains('\u{202e}'), "{text}");
    assert!(text.contains("injected"), "the arguments are not shown: {text}");

    // The summary: all that is hostile is code.
    let summary = std::fs::read_to_string(&summary).unwrap();
    assert!(
        summary.starts_with("before\n### picket: failed: 1 detection, 1 of severity"),
        "{summary}"
    );
    assert!(summary.contains("injected"), "the arguments are not shown: {summary}");
    assert!(summary.contains(&format!("`127.0.0.1:{port}`")), "{summary}");
    assert!(!summary.contains(['\x1b', '\u{202e}']));
    for line in summary.lines() {
        let rest = without_code(line);
        let bad = ["<", "[", "]", "@", "!", "://", "www", "evil", "octocat", "injected", "\\"];
        let found = bad.iter().find(|bad| rest.contains(**bad));
        assert_eq!(found, None, "{line}");
        if line.starts_with('|') {
            assert_eq!(rest.matches('|').count(), 7, "cells: {line}");
            assert_eq!(line.matches('|').count(), 7, "cells: {line}");
        }
    }

    // The records: whole, and the last one tells of coverage.
    let records = lines(&records);
    assert!(records.iter().any(|r| r["type"] == "detection" && r["environment"] == "ci"));
    assert_eq!(records.last().unwrap()["type"], "coverage");
}

pub(super) fn lines(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// So many executions of what is called like a server, with arguments of four bytes a letter.
fn many(count: usize) -> String {
    let long = "\u{1f40d}".repeat(400);
    format!("for i in $(seq {count}); do \"$PICKET_FAKE\" -c {long}; done; exit 0")
}

/// Runs it with a program of the name of a server.
fn run_many(count: usize, options: &[&str]) -> std::process::Output {
    let dir = tempfile::tempdir().unwrap();
    let fake = dir.path().join("nginx");
    std::os::unix::fs::symlink("/bin/true", &fake).unwrap();
    let mut command = picket();
    command.arg("ci").args(options).args(["--", "sh", "-c", &many(count)]);
    command.env("PICKET_FAKE", &fake).env("GITHUB_ACTIONS", "true").output().unwrap()
}

fn ten_at_most() {
    let out = run_many(13, &[]);
    let text = err(&out);
    let found: Vec<&str> = text.lines().filter(|line| line.starts_with("::")).collect();
    assert_eq!(found.len(), 10, "{text}");
    // There may be more detections than executions, see below. Nine are told, the tenth counts the rest.
    let (_, headline) = text.split_once("picket ci: failed: ").unwrap();
    let count: usize = headline.split(' ').next().unwrap().parse().unwrap();
    assert!(count >= 13, "{text}");
    let rest = format!("::{} more detections: see the log and the summary", count - 9);
    assert!(found[9].ends_with(&rest), "{text}");
}

fn small() {
    let dir = tempfile::tempdir().unwrap();
    let summary = dir.path().join("summary.md");
    let out = run_many(1500, &["--summary", summary.to_str().unwrap()]);
    let text = std::fs::read_to_string(&summary).unwrap();
    assert_eq!(out.status.code(), Some(80), "{}", err(&out));
    assert!(text.len() < 900_000, "{} bytes", text.len());
    // There are more detections than executions: other recipes have something to say, too.
    let count = text.split_once(" detections").unwrap().0.rsplit(' ').next().unwrap();
    let count: usize = count.parse().unwrap();
    assert!(count >= 1500, "{count} detections");
    assert!(text.contains(&format!("- besides: {} detections more", count - 500)), "{count}");
}

fn unwritable() {
    let dir = tempfile::tempdir().unwrap();
    let mark = dir.path().join("ran");
    for option in ["--summary", "--records"] {
        let out = run(&[option, "/no/such/directory/file"], &format!("touch {}", mark.display()));
        assert_eq!(out.status.code(), Some(1));
        assert!(err(&out).contains("/no/such/directory/file: name another file"), "{}", err(&out));
        assert!(!mark.exists(), "the command ran");
    }
}
