//! Importing and exporting: recipes that were made from other rules find the same as those.

mod events;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use libtest_mimic::Trial;
use serde_json::Value;

use crate::harness::{picket, root, trial};

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial("import::sigma_finds_what_an_independent_converter_finds", sigma),
        trial("import::files_are_written_once", files),
        trial("import::refusals_have_names_and_places", refusals),
    ]
}

/// Ids of processes by what found them.
type Found = BTreeMap<String, BTreeSet<u64>>;

/// Rules of which the converter makes something else than Sigma says, each with why.
const DIFFERENT: &[(&str, &str)] = &[];

struct Ran {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

fn run(args: &[&str]) -> Ran {
    let out = picket().args(args).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    let ran = Ran { code: out.status.code(), stdout: text(out.stdout), stderr: text(out.stderr) };
    assert!(!ran.stderr.contains("panicked"), "{args:?}: {}", ran.stderr);
    ran
}

fn rules() -> PathBuf {
    root().join("crates/picket/tests/it/import/rules.yml")
}

/// What the recipes of a directory find, by their descriptions.
fn by_picket(dir: &Path, recipes: &Path, events: &Path) -> Found {
    let config = dir.join("config.yaml");
    fs::write(&config, format!("recipes: [{}]\n", recipes.display())).unwrap();
    let ran = run(&[
        "replay",
        "--config",
        config.to_str().unwrap(),
        "--environment",
        "production",
        "--format",
        "json",
        "--severity",
        "info",
        events.to_str().unwrap(),
    ]);
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""));
    let mut found = Found::new();
    for line in ran.stdout.lines() {
        let record: Value = serde_json::from_str(line).unwrap();
        if record["type"] == "detection" {
            let title = record["recipe"]["description"].as_str().unwrap().to_owned();
            found.entry(title).or_default().insert(record["process"]["pid"].as_u64().unwrap());
        }
    }
    found
}

/// What rules find by pySigma's SQLite back end, by their titles.
fn by_converter(events: &Path, rules: &[PathBuf]) -> Found {
    let python = root().join("target/test-servers/checks/bin/python3");
    let script = root().join("scripts/check-sigma.py");
    let out = Command::new(&python).arg(script).arg(events).args(rules).output();
    let out = out.unwrap_or_else(|e| panic!("{}: {e}", python.display()));
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    serde_json::from_slice(&out.stdout).unwrap()
}

/// Compares; what differs is shown rule by rule.
fn same(expected: &Found, found: &Found, events: &[Value]) {
    let mut wrong = String::new();
    let none = BTreeSet::new();
    for (title, expected) in expected {
        let found = found.get(title).unwrap_or(&none);
        let known = DIFFERENT.iter().any(|(name, _)| name == title);
        if (found == expected) == known {
            let of = |pids: Vec<&u64>| -> Vec<&Value> {
                let process = |pid: u64| events.iter().find(|e| e["process"]["pid"] == pid);
                pids.into_iter().take(2).filter_map(|pid| process(*pid)).collect()
            };
            wrong.push_str(&format!(
                "{title}: only the converter has {:#?}, only picket has {:#?}\n",
                of(expected.difference(found).collect()),
                of(found.difference(expected).collect()),
            ));
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

fn sigma() {
    let dir = tempfile::tempdir().unwrap();
    let events = events::all();
    assert!(events.len() >= 300, "{} events", events.len());
    let lines: String = events.iter().map(|event| format!("{event}\n")).collect();
    let recording = dir.path().join("events.jsonl");
    fs::write(&recording, lines).unwrap();
    let recipes = dir.path().join("recipes");
    let (to, from) = (recipes.to_str().unwrap(), rules());
    let ran = run(&["recipe", "import", "--to", to, from.to_str().unwrap()]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);

    let expected = by_converter(&recording, &[from]);
    assert!(expected.len() > 250, "{} rules", expected.len());
    assert_eq!(ran.stdout.lines().count(), expected.len());
    let matching = expected.values().filter(|pids| !pids.is_empty()).count();
    assert!(matching * 10 > expected.len() * 9, "{matching} of {} rules match", expected.len());
    let found = by_picket(dir.path(), &recipes, &recording);
    same(&expected, &found, &events);

    // And back: what Sigma can say of them, it says the same.
    let config = dir.path().join("config.yaml");
    let ran = run(&["recipe", "export", "--sigma", "--config", config.to_str().unwrap()]);
    let exported = dir.path().join("exported.yml");
    fs::write(&exported, &ran.stdout).unwrap();
    let again = by_converter(&recording, &[exported]);
    let titles: BTreeSet<&String> = expected.keys().collect();
    assert!(again.len() > 190, "{} rules came back: {}", again.len(), ran.stderr);
    assert!(again.keys().all(|title| titles.contains(title)));
    same(&again, &found, &events);
}

const RULE: &str = "\
title: A shell
logsource: {product: linux, category: process_creation}
detection:
  s: {Image|endswith: /sh}
  condition: s
level: high
";

fn files() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    fs::write(path("rule.yml"), RULE).unwrap();
    let (rule, to) = (path("rule.yml"), path("made"));
    let ran = run(&["recipe", "import", &rule]);
    assert!(ran.code == Some(0) && ran.stdout.contains("\nname: a_shell\n"), "{}", ran.stderr);
    let ran = run(&["recipe", "import", "--to", &to, &rule]);
    assert_eq!((ran.code, ran.stdout.trim()), (Some(0), path("made/a_shell.yaml").as_str()));
    let ran = run(&["recipe", "check", &to]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    fs::write(path("made/a_shell.yaml"), "mine").unwrap();
    let ran = run(&["recipe", "import", "--to", &to, &rule]);
    assert!(ran.code == Some(1) && ran.stderr.contains("--force"), "{}", ran.stderr);
    assert_eq!(fs::read_to_string(path("made/a_shell.yaml")).unwrap(), "mine");
    let ran = run(&["recipe", "import", "--force", "--to", &to, dir.path().to_str().unwrap()]);
    assert_eq!(ran.code, Some(1), "a file with the text `mine` is no rule: {}", ran.stderr);
    let text = fs::read_to_string(path("made/a_shell.yaml")).unwrap();
    assert!(text.contains("Made from a Sigma rule"), "{text}");
    for (args, code, word) in [
        (vec!["recipe", "import"], 2, "FILE"),
        (vec!["recipe", "import", "--force", &rule], 2, "--to"),
        (vec!["recipe", "import", "--from", "yara", &rule], 2, "yara"),
        (vec!["recipe", "import", "/nowhere/x.yml"], 1, "/nowhere/x.yml"),
        (vec!["recipe", "import", "--to", &rule, &rule], 1, "cannot write"),
        (vec!["recipe", "import", "--from", "falco", &rule], 1, "expected a rule, a macro"),
        (vec!["recipe", "export"], 2, "--sigma"),
        (vec!["recipe", "export", "--sigma", "nobody"], 1, "nobody"),
    ] {
        let ran = run(&args);
        assert_eq!(ran.code, Some(code), "{args:?}: {}", ran.stderr);
        assert!(ran.stderr.contains(word), "{args:?}: expected {word:?} in: {}", ran.stderr);
    }
}

fn refusals() {
    let dir = tempfile::tempdir().unwrap();
    let case = |text: &str, place: &str, word: &str| {
        let path = dir.path().join("rules.yml");
        fs::write(&path, text).unwrap();
        let ran = run(&["recipe", "import", path.to_str().unwrap()]);
        let place = format!("refused: {}:{place}", path.display());
        assert_eq!(ran.code, Some(1), "{text}");
        assert!(ran.stderr.contains(&place), "expected {place} in: {}", ran.stderr);
        assert!(ran.stderr.contains(word), "expected {word:?} in: {}", ran.stderr);
    };
    let rule = |from: &str, to: &str| {
        assert!(RULE.contains(from));
        RULE.replace(from, to)
    };
    case(&rule("Image|endswith", "OriginalFileName"), "4:7:", "OriginalFileName");
    case(&rule("endswith", "utf16le"), "4:7:", "zero bytes");
    case(&rule("linux,", "windows,"), "2:22:", "windows");
    case(&rule("condition: s", "condition: s and t"), "5:14:", "\"t\"");
    case(
        "- kind: x\n  breed: remote_domains\n  mechanism: network_peers\n",
        "2:10:",
        "remote_domains",
    );
    case("- rule: r\n  condition: spawned_process\n  priority: INFO\n", "2:14:", "spawned_process");
    case("just text", "1:1:", "expected Jibril's");
    case("", "1:1:", "no rule");
    case("a: [", "", "");
    // One that is refused does not keep the others from being made.
    let path = dir.path().join("rules.yml");
    fs::write(&path, format!("{RULE}---\n{}", rule("s: {Image", "s: {Imago"))).unwrap();
    let ran = run(&["recipe", "import", path.to_str().unwrap()]);
    assert_eq!(ran.code, Some(1));
    assert!(ran.stdout.contains("name: a_shell") && ran.stderr.contains("Imago"), "{}", ran.stderr);
}
