//! Hostile text is only text in every report: a report of it has the same structure as one of harmless
//! text, and nothing in it that a reader of the format would act upon.

use std::path::PathBuf;

use event::{Ci, Coverage, Detection, Severity, Stamp, State};
use serde_json::{Value, json};

use super::baseline::Expected;
use super::context::Context;
use super::gitlab::{quality, sast};
use super::note::End;
use super::report::Report;
use super::scope::Scope;
use super::sensor::Watched;
use super::tally::Tally;
use super::verdict::Rules;
use super::{junit, sarif};
use crate::sarif::Place;

/// Markup, links, mentions, ends of sections, commands of runners and terminals, and characters that XML
/// cannot have.
pub(super) const HOSTILE: &str = "<b>]]>&x; --> \"q' [l](http://evil.example) ![i](//evil.example/i) {0} \
    @octocat #1 `code` | cell\n::error::x\r##vso[x]\0\x08\x1b[31m\u{9b}\u{202e}\u{feff}\u{ffff}";

const RULES: Rules =
    Rules { fail_on: Severity::High, show: Severity::Low, without_evidence_fails: true };

fn context() -> Context {
    Context {
        root: PathBuf::from("/repo"),
        ci: Some(Ci {
            provider: "github".to_owned(),
            job: Some("test".to_owned()),
            ..Ci::default()
        }),
        host: "web-1".to_owned(),
        began: Stamp::default(),
    }
}

/// A detection in which every text that somebody else chooses is this one.
pub(super) fn detection(text: &str) -> Detection {
    let now = "2026-01-02T03:04:05.000000006Z";
    let parent = json!({"pid": 7, "start": now, "comm": text, "exe": format!("/{text}"),
                        "args": [text], "alive": true});
    let process = json!({"pid": 8, "start": now, "start_boot_ns": 9, "ppid": 7, "uid": 0, "user": text,
                    "gid": 0, "session": 1, "tty": false, "cgroup": 1,
                    "namespaces": {"mnt": 1, "pid": 1, "net": 1, "user": 1},
                    "comm": text, "cwd": text, "args": [text, text], "args_truncated": false,
                    "invoked_as": text, "interpreter": null,
                    "exe": {"path": format!("/{text}"), "path_truncated": false, "device": "8:1",
                            "inode": 1, "generation": 1, "changed": now, "size": 1, "mode": 33261,
                            "links": 1, "sha256": "00", "build_id": null, "deleted": false,
                            "memfd": false, "package": null}});
    serde_json::from_value(json!({
        "id": "00000000-0000-7000-8000-000000000000", "time": now, "host": text, "latency_us": 1,
        "recipe": {"name": "webserver_exec", "version": "1.0", "description": "Webserver execution",
                   "category": "Command and Control", "method": "Multi-Stage Channels",
                   "importance": "high"},
        "severity": "high", "reasons": [text],
        "attack": {"version": "19", "techniques": [
            {"id": "T1104", "name": "Multi-Stage Channels", "tactics": ["TA0011"]}]},
        "environment": "ci",
        "server": {"name": "nginx", "version": text, "purpose": "serve", "confidence": "strong",
                   "masquerade": false, "evidence": []},
        "process": process,
        "ancestry": [parent.clone(), parent],
        "launcher": {"kind": "shell", "detail": text},
        "container": null, "ci": null,
        "listen": [{"address": "127.0.0.1", "port": 80, "protocol": "tcp"}],
        "baseline": null, "response": null,
        "guidance": {"implication": text, "actions": [text, text]},
        "seeded": false
    }))
    .unwrap()
}

pub(super) fn report(detections: Vec<Detection>, count: u64) -> Report {
    let mut tally = Tally::new(RULES, Scope::Below);
    tally.count = count;
    tally.failing = count;
    tally.complete = true;
    tally.found = detections;
    let coverage: Coverage = serde_json::from_value(json!({
        "time": Stamp::default(), "host": "x", "state": State::Full, "reasons": [HOSTILE],
        "window": {"from": "2026-01-02T03:04:05Z", "to": "2026-01-02T03:04:07Z"},
        "lost": {"kernel": 0, "queue": 0, "sink": 0, "unread": 0, "lineage": 0},
        "seen": 7, "crossed": 1, "thinned": 0
    }))
    .unwrap();
    tally.coverage = Some(coverage);
    let end = Some(End::default());
    let watched = Watched { tally, broken: None, end, began: true };
    Report::new(RULES, 0, watched, Expected::default())
}

fn one(text: &str) -> Report {
    report(vec![detection(text)], 1)
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap()
}

/// What no file may hold as it is.
pub(super) fn is_inert(text: &str) {
    let bad = |c: char| {
        (c.is_control() && c != '\n') || ['\u{202e}', '\u{feff}', '\u{ffff}'].contains(&c)
    };
    assert_eq!(text.find(bad), None, "{text}");
}

/// A document with its texts taken out.
fn shape(value: &Value) -> Value {
    match value {
        Value::Object(map) => map.iter().map(|(key, value)| (key.clone(), shape(value))).collect(),
        Value::Array(list) => list.iter().map(shape).collect(),
        Value::String(_) => json!("text"),
        other => other.clone(),
    }
}

#[test]
fn documents_in_json_keep_their_shape() {
    for render in [quality::render, sast::render] {
        let [hostile, harmless] = [HOSTILE, "x"].map(|with| text(render(&one(with), &context())));
        is_inert(&hostile);
        let parse = |text: &str| serde_json::from_str::<Value>(text).unwrap();
        assert_eq!(shape(&parse(&hostile)), shape(&parse(&harmless)));
    }
    let [hostile, harmless] = [HOSTILE, "x"].map(|with| {
        serde_json::from_slice::<Value>(&sarif::render(&one(with), &context(), &[])).unwrap()
    });
    assert_eq!(shape(&hostile), shape(&harmless));
}

#[test]
fn sarif_has_no_links_in_messages() {
    let log = text(sarif::render(&one(HOSTILE), &context(), &[]));
    is_inert(&log);
    fn messages(value: &Value, into: &mut Vec<String>) {
        match value {
            Value::Object(map) => map.iter().for_each(|(key, value)| match value {
                // Properties are not shown as messages.
                _ if key == "properties" => {}
                Value::String(text)
                    if ["text", "name", "fullyQualifiedName"].contains(&key.as_str()) =>
                {
                    into.push(text.clone());
                }
                _ => messages(value, into),
            }),
            Value::Array(list) => list.iter().for_each(|value| messages(value, into)),
            _ => {}
        }
    }
    let mut found = Vec::new();
    messages(&serde_json::from_str(&log).unwrap(), &mut found);
    assert!(found.len() > 5 && found.iter().any(|text| text.contains("octocat")));
    let bad = found.iter().find(|text| text.contains(['[', ']', '{', '}']));
    assert_eq!(bad, None);
}

#[test]
fn junit_keeps_its_tags() {
    let tags = |xml: &str| {
        let mut tags: Vec<String> = Vec::new();
        for part in xml.split('<').skip(1) {
            let (tag, _) = part.split_once('>').unwrap();
            // What is quoted, and only that, differs.
            let names: Vec<&str> = tag.split('"').step_by(2).collect();
            tags.push(names.concat());
        }
        tags
    };
    let [hostile, harmless] =
        [HOSTILE, "x"].map(|with| text(junit::render(&one(with), &context())));
    is_inert(&hostile);
    assert_eq!(tags(&hostile), tags(&harmless));
    assert!(hostile.contains("]]&gt;&amp;x;"), "{hostile}");
}

#[test]
fn gitlab_makes_no_links_of_texts() {
    let of = |bytes: Vec<u8>| serde_json::from_slice::<Value>(&bytes).unwrap();
    let quality = of(quality::render(&one(HOSTILE), &context()));
    let sast = of(sast::render(&one(HOSTILE), &context()));
    let found = &sast["vulnerabilities"][0];
    for markdown in [
        &quality[0]["description"],
        &quality[0]["content"]["body"],
        &found["description"],
        &found["solution"],
    ] {
        let markdown = markdown.as_str().unwrap();
        let parts: Vec<&str> = markdown.split('`').collect();
        assert!(parts.len() > 1 && parts.len() % 2 == 1, "{markdown}");
        let rest = parts.into_iter().step_by(2).collect::<String>();
        assert!(!rest.contains(['<', '[', ']', '@', '#', '!', '|']), "{markdown}");
        assert!(!rest.contains("evil"), "{markdown}");
    }
    assert_eq!(quality[0]["severity"], "critical");
    assert_eq!(found["severity"], "High");
    assert_eq!(sast["scan"]["start_time"], "2026-01-02T03:04:05");
}

#[test]
fn what_is_left_out_is_said() {
    let report = report(vec![detection("x"), detection("x")], 9);
    let said = "7 more detections were made than are listed here";
    let quality = text(quality::render(&report, &context()));
    let sast = text(sast::render(&report, &context()));
    let junit = text(junit::render(&report, &context()));
    let sarif = text(sarif::render(&report, &context(), &[]));
    for report in [&quality, &sast, &junit] {
        assert!(report.contains(said), "{report}");
        assert!(report.contains("1 more like it"), "{report}");
    }
    assert!(sarif.contains("7 more results were found than are listed here"), "{sarif}");
}

#[test]
fn what_there_is_no_room_for_is_said() {
    // Four bytes a letter, in every line of each.
    let long = "\u{1f40d}".repeat(3000);
    let each = |at: u32| {
        let mut detection = detection(&long);
        detection.process.exe.path = format!("/{at}");
        detection
    };
    let report = report((0..400).map(each).collect(), 400);
    let junit = text(junit::render(&report, &context()));
    assert!(junit.len() < super::bounded::LARGEST + 100_000, "{} bytes", junit.len());
    let said = junit.find(" more detections were made than are listed here").unwrap();
    let more: usize = junit[..said].rsplit('"').next().unwrap().parse().unwrap();
    let listed = junit.matches(" is not started by ").count();
    assert!(more > 0 && listed > 0, "{listed} listed, {more} not");
    assert_eq!(listed + more, 400);
}

#[test]
fn a_run_without_evidence_is_no_clean_one() {
    let watched = Watched::nothing(RULES, "it broke".to_owned());
    let report = Report::new(RULES, 0, watched, Expected::default());
    let junit = text(junit::render(&report, &context()));
    assert!(
        junit.contains("errors=\"1\"") && junit.contains("<error type=\"no evidence\""),
        "{junit}"
    );
    let of = |bytes: Vec<u8>| serde_json::from_slice::<Value>(&bytes).unwrap();
    let quality = of(quality::render(&report, &context()));
    assert_eq!(quality[0]["severity"], "blocker");
    let sast = of(sast::render(&report, &context()));
    assert_eq!(sast["scan"]["status"], "failure");
    assert_eq!(sast["scan"]["messages"][0]["level"], "fatal");
    let sarif = of(sarif::render(&report, &context(), &[]));
    let run = &sarif["runs"][0]["invocations"][0];
    assert_eq!(run["executionSuccessful"], false);
    assert_eq!(run["toolExecutionNotifications"][0]["level"], "error");
}

#[test]
fn findings_are_the_same_wherever_and_whenever() {
    let report = one("x");
    let found = &report.found[0];
    let base = found.fingerprint(&context());
    let mut later = one("x");
    let process = &mut later.found[0].detection.process;
    process.pid = 99;
    process.exe.path = "/elsewhere/x".to_owned();
    later.found[0].detection.launcher.detail = "shell (99)".to_owned();
    assert_eq!(later.found[0].fingerprint(&context()), base);
    let place = |path: &str, line| Place { path: path.to_owned(), line, ..Place::default() };
    later.found[0].sources = vec![place("/repo/ci.sh", Some(3))];
    let sourced = later.found[0].fingerprint(&context());
    assert_ne!(sourced, base);
    later.found[0].sources = vec![place("/repo/ci.sh", Some(4))];
    assert_eq!(later.found[0].fingerprint(&context()), sourced);

    // The lines that led to it are where it is.
    let quality = text(quality::render(&later, &context()));
    assert!(
        quality.contains(r#""location":{"lines":{"begin":4,"end":4},"path":"ci.sh"}"#),
        "{quality}"
    );
    let sarif: Value = serde_json::from_slice(&sarif::render(&later, &context(), &[])).unwrap();
    let place = &sarif["runs"][0]["results"][0]["locations"][0]["physicalLocation"];
    assert_eq!(place["artifactLocation"]["uri"], "ci.sh");
    assert_eq!(place["region"]["startLine"], 4);
}
