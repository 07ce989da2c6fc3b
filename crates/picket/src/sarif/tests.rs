//! What every log must have, and the limits. That it is SARIF, the integration tests ask others.

use serde_json::Value;

use super::*;
use crate::rules::Files;

fn rules() -> Vec<Recipe> {
    Files::embedded().recipes()
}

fn finding(message: &str) -> Finding {
    let place = |path: &str, line| Place {
        path: path.to_owned(),
        line,
        column: line,
        text: Some("here".to_owned()),
    };
    let logical = Logical { name: "sh".to_owned(), full: "sh (7)".to_owned(), kind: "process" };
    Finding {
        rule: "webserver_exec".to_owned(),
        severity: Severity::Critical,
        message: message.to_owned(),
        places: vec![place("/repo/ci/a b.sh", Some(7)), place("/usr/bin/[x]", None)],
        logical: Some(logical.clone()),
        flow: vec![Step { text: "sh".to_owned(), place: None, logical: Some(logical) }],
        identity: vec!["x".to_owned()],
        properties: Map::new(),
    }
}

fn log(results: Vec<Finding>) -> Value {
    let run = Run {
        category: "test",
        rules: &rules(),
        results,
        unlisted: 3,
        root: Some(PathBuf::from("/repo")),
        complete: true,
        notes: vec!["[note](1)".to_owned()],
        window: None,
        properties: Map::new(),
    };
    let mut log: Value = serde_json::from_slice(&run.to_json()).unwrap();
    log["runs"][0].take()
}

#[test]
fn a_result_names_rule_place_technique_and_way() {
    let run = log(vec![finding("found")]);
    let result = &run["results"][0];
    let at = usize::try_from(result["ruleIndex"].as_u64().unwrap()).unwrap();
    let rule = &run["tool"]["driver"]["rules"][at];
    assert_eq!(rule["id"], result["ruleId"]);
    assert_eq!(rule["properties"]["security-severity"], "8.0");
    assert_eq!((&result["level"], &result["rank"]), (&"error".into(), &95.0.into()));
    let place = &result["locations"][0]["physicalLocation"];
    assert_eq!(place["artifactLocation"]["uri"], "ci/a%20b.sh");
    assert_eq!(place["artifactLocation"]["uriBaseId"], "%SRCROOT%");
    assert_eq!(place["region"]["startLine"], 7);
    let related = &result["relatedLocations"][0]["physicalLocation"];
    assert_eq!(related["artifactLocation"]["uri"], "file:///usr/bin/%5Bx%5D");
    assert_eq!(related["region"], serde_json::json!({"startLine": 1}));
    assert_eq!(run["originalUriBaseIds"]["%SRCROOT%"]["uri"], "file:///repo/");
    let technique = &result["taxa"][0];
    let at = usize::try_from(technique["index"].as_u64().unwrap()).unwrap();
    assert_eq!(run["taxonomies"][0]["taxa"][at]["id"], technique["id"]);
    let step = &result["codeFlows"][0]["threadFlows"][0]["locations"][0]["location"];
    assert_eq!(step["logicalLocations"][0]["fullyQualifiedName"], "sh (7)");
}

#[test]
fn the_same_finding_has_the_same_fingerprint_wherever_it_is() {
    let of = |finding: Finding| log(vec![finding])["results"][0]["partialFingerprints"].clone();
    let same = of(finding("one"));
    let moved = Finding { places: Vec::new(), message: "two".to_owned(), ..finding("") };
    assert_eq!(of(moved), same);
    assert_ne!(of(Finding { identity: vec!["y".to_owned()], ..finding("one") }), same);
    assert_ne!(of(Finding { identity: vec!["".to_owned(), "x".to_owned()], ..finding("") }), same);
}

#[test]
fn what_is_too_much_is_left_out_and_counted() {
    let count = |run: &Value| run["results"].as_array().unwrap().len();
    let said = |run: &Value| {
        let notes = &run["invocations"][0]["toolExecutionNotifications"];
        notes.as_array().unwrap().last().unwrap()["message"]["text"].to_string()
    };
    let many = log((0..5100).map(|_| finding("x")).collect());
    assert_eq!(count(&many), 5000);
    assert_eq!(said(&many), "\"103 more results were found than are listed here\"");
    let mut large = finding("x");
    large.properties.insert("args".to_owned(), "x".repeat(500_000).into());
    let big = log((0..20)
        .map(|_| Finding { properties: large.properties.clone(), ..finding("x") })
        .collect());
    assert_eq!(count(&big), 15);
    assert_eq!(said(&big), "\"8 more results were found than are listed here\"");
    let long = log(vec![finding(&"\u{1f40d}".repeat(5000))]);
    let text = long["results"][0]["message"]["text"].as_str().unwrap();
    assert!(text.ends_with("… (3000 more characters)"));
}

#[test]
fn texts_are_only_texts() {
    let run = log(vec![finding("[x](http://evil.example) {0} \x1b[31m\u{202e}")]);
    let text = run["results"][0]["message"]["text"].as_str().unwrap();
    assert!(!text.contains(['[', ']', '{', '\x1b', '\u{202e}']), "{text}");
    let note =
        run["invocations"][0]["toolExecutionNotifications"][0]["message"]["text"].to_string();
    assert!(!note.contains(['[', ']']), "{note}");
}
