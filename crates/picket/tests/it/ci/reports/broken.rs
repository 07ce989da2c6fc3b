//! Reports that are broken: each of a valid one, by one change that a validator must notice.

use std::fs;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::bench::Bench;
use super::validators::Questions;

type Change = fn(&mut Value);

/// Asks about broken reports of a run. The key of another one is a wrong key.
pub(super) fn all(bench: &Bench, other: &Bench, questions: &mut Questions) {
    for (at, changed) in changed(&bench.json("sarif"), &SARIF).enumerate() {
        questions.add("sarif", write(bench, "sarif", at, &changed.to_string()), false);
    }
    for (at, changed) in changed(&bench.statement(), &STATEMENT).enumerate() {
        questions.add("statement", write(bench, "statement", at, &changed.to_string()), false);
    }
    let public = bench.file("public.pem");
    let attestation = bench.file("attestation.json");
    for (at, changed) in changed(&bench.json("attestation.json"), &ENVELOPE).enumerate() {
        let file = write(bench, "envelope", at, &changed.to_string());
        questions.sealed(file, public.clone(), false);
    }
    questions.sealed(attestation, other.file("public.pem"), false);
    for (kind, file, changes) in
        [("quality", "quality.json", &QUALITY[..]), ("sast", "sast.json", &SAST[..])]
    {
        for changed in changed(&bench.json(file), changes) {
            questions.typed(kind, changed, false);
        }
    }
    let good = fs::read_to_string(bench.file("junit.xml")).unwrap();
    for (at, (from, to)) in JUNIT.into_iter().enumerate() {
        let changed = good.replacen(from, to, 1);
        assert_ne!(changed, good, "no {from} in {good}");
        questions.add("junit", write(bench, "junit", at, &changed), false);
    }
}

fn changed(good: &Value, changes: &[Change]) -> impl Iterator<Item = Value> {
    changes.iter().enumerate().map(move |(at, change)| {
        let mut changed = good.clone();
        change(&mut changed);
        assert_ne!(&changed, good, "change {at}");
        changed
    })
}

fn write(bench: &Bench, kind: &str, at: usize, text: &str) -> std::path::PathBuf {
    let path = bench.file(&format!("broken-{kind}-{at}"));
    fs::write(&path, text).unwrap();
    path
}

fn remove(from: &mut Value, key: &str) {
    from.as_object_mut().unwrap().remove(key);
}

/// Changes one bit.
fn turn(text: &mut Value) {
    let mut bytes = STANDARD.decode(text.as_str().unwrap()).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    *text = json!(STANDARD.encode(bytes));
}

const SARIF: [Change; 7] = [
    |log| log["version"] = json!("2.0.0"),
    |log| log["runs"][0]["results"][0]["level"] = json!("fatal"),
    |log| log["runs"][0]["results"][0]["message"] = json!("text"),
    |log| {
        let place = &mut log["runs"][0]["results"][0]["locations"][0]["physicalLocation"];
        place["region"]["startLine"] = json!(0);
    },
    |log| log["runs"][0]["results"][0]["rank"] = json!(101.0),
    |log| log["runs"][0]["results"][0]["nonsense"] = json!(1),
    |log| remove(&mut log["runs"][0], "tool"),
];

const JUNIT: [(&str, &str); 8] = [
    ("<testsuites>", "<testsuite>"),
    ("<testcase ", "<case "),
    (" classname=\"picket\"", ""),
    ("</failure>", "</failure><failure type=\"x\">"),
    ("</failure>", "\u{1}</failure>"),
    ("&lt;", "<"),
    ("failures=\"1\"", "failures=\"0\""),
    ("tests=\"2\"", "tests=\"two\""),
];

const ENVELOPE: [Change; 5] = [
    |sealed| turn(&mut sealed["payload"]),
    |sealed| turn(&mut sealed["signatures"][0]["sig"]),
    |sealed| sealed["payloadType"] = json!("application/json"),
    |sealed| sealed["signatures"] = json!([]),
    |sealed| sealed["signatures"][0]["keyid"] = json!("other"),
];

const STATEMENT: [Change; 8] = [
    |s| s["_type"] = json!("https://in-toto.io/Statement/v0.1"),
    |s| s["subject"] = json!([]),
    |s| remove(&mut s["subject"][0], "digest"),
    |s| s["subject"][0]["digest"] = json!({"gitCommit": 7}),
    |s| s["predicateType"] = json!(""),
    |s| s["predicate"] = json!({}),
    |s| s["nonsense"] = json!(1),
    |s| s["predicate"]["monitorLog"]["fileAccess"] = json!([{"path": "x"}]),
];

const QUALITY: [Change; 5] = [
    |issues| issues[0]["severity"] = json!("high"),
    |issues| issues[0]["fingerprint"] = json!(7),
    |issues| issues[0]["location"] = json!({"path": "x"}),
    |issues| remove(&mut issues[0], "description"),
    |issues| *issues = json!({"issues": issues}),
];

const SAST: [Change; 8] = [
    |report| report["scan"]["type"] = json!("runtime"),
    |report| report["scan"]["status"] = json!("passed"),
    |report| remove(&mut report["scan"], "start_time"),
    |report| report["vulnerabilities"][0]["severity"] = json!("high"),
    |report| report["vulnerabilities"][0]["identifiers"] = json!([]),
    |report| report["vulnerabilities"][0]["location"]["start_line"] = json!("1"),
    |report| report["vulnerabilities"][0]["details"]["chain"]["type"] = json!("tree"),
    |report| remove(report, "version"),
];
