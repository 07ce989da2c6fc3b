//! Documents that are made from code, or that must agree with it.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use libtest_mimic::Trial;
use serde_json::Value;

use crate::harness::{picket, root, trial};

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial("docs::schemas_are_up_to_date", schemas),
        trial("docs::schemas_accept_what_picket_accepts", schemas_hold),
        trial("docs::manual_pages_are_in_order", manual_pages),
        trial("docs::completions_are_in_order", completions),
        trial("docs::every_field_of_the_records_is_described", fields),
        trial("docs::commands_of_the_documents_exist", commands),
        trial("docs::attack_table_agrees_with_mitre", attack),
        trial("docs::links_lead_somewhere", links),
    ]
}

fn stdout(args: &[&str]) -> String {
    let out = picket().args(args).output().unwrap();
    assert!(out.status.success(), "{args:?}: {}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8(out.stdout).unwrap()
}

const SCHEMAS: [&str; 6] = ["catalogue", "unwrap", "recipe", "baseline", "exceptions", "config"];

fn schemas() {
    for what in SCHEMAS {
        let path = root().join(format!("docs/schema/{what}.json"));
        let written = fs::read_to_string(&path).unwrap_or_default();
        assert_eq!(written, stdout(&["schema", what]), "run `make docs`");
    }
}

/// An independent validator reads the schemas and finds our own files valid, and broken ones not.
fn schemas_hold() {
    let python = root().join("target/test-servers/checks/bin/check-jsonschema");
    let check = |schema: &str, file: &std::path::Path| {
        let schema = root().join(format!("docs/schema/{schema}.json"));
        let out = Command::new(&python).arg("--schemafile").arg(schema).arg(file).output();
        let out = out.unwrap_or_else(|e| panic!("{}: {e}", python.display()));
        (out.status.success(), String::from_utf8_lossy(&out.stdout).into_owned())
    };
    for file in ["nginx", "python", "go"] {
        let path = root().join(format!("catalogue/{file}.yaml"));
        let (valid, why) = check("catalogue", &path);
        assert!(valid, "{why}");
    }
    let (valid, why) = check("unwrap", &root().join("catalogue/unwrap.yaml"));
    assert!(valid, "{why}");
    let recipe = root().join("recipes/command-and-control/webserver_exec.yaml");
    let (valid, why) = check("recipe", &recipe);
    assert!(valid, "{why}");
    let dir = tempfile::tempdir().unwrap();
    let broken = dir.path().join("broken.yaml");
    fs::write(&broken, fs::read_to_string(&recipe).unwrap().replace("event: exec", "evnt: exec"))
        .unwrap();
    assert!(!check("recipe", &broken).0, "a broken recipe is valid by the schema");
}

fn manual_pages() {
    let dir = tempfile::tempdir().unwrap();
    stdout(&["man", dir.path().to_str().unwrap()]);
    let mut pages = 0;
    for entry in fs::read_dir(dir.path()).unwrap() {
        let path = entry.unwrap().path();
        let out = Command::new("mandoc").args(["-Tlint", "-Werror"]).arg(&path).output().unwrap();
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stdout));
        pages += 1;
    }
    assert!(pages > 10, "{pages} pages");
}

fn completions() {
    for (shell, mark) in
        [("bash", "_picket"), ("zsh", "#compdef picket"), ("fish", "complete -c picket")]
    {
        let script = stdout(&["completions", shell]);
        assert!(script.contains(mark), "{shell}");
        if shell == "bash" {
            let out = Command::new("bash").args(["-n", "-c", &script]).output().unwrap();
            assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        }
    }
}

/// Names of all fields of a record, at any depth.
fn names(value: &Value, into: &mut BTreeSet<String>) {
    match value {
        Value::Object(map) => {
            for (name, value) in map {
                into.insert(name.clone());
                names(value, into);
            }
        }
        Value::Array(list) => list.iter().for_each(|value| names(value, into)),
        _ => {}
    }
}

fn fields() {
    let document = fs::read_to_string(root().join("docs/records.md")).unwrap();
    let samples = root().join("recipes/command-and-control/webserver_exec.match.jsonl");
    let out = stdout(&["replay", "--format", "json", samples.to_str().unwrap()]);
    let mut found = BTreeSet::new();
    let records = out.lines().map(str::to_owned);
    let events = fs::read_to_string(&samples).unwrap();
    for line in records.chain(events.lines().map(str::to_owned)) {
        let mut record: Value = serde_json::from_str(&line).unwrap();
        record.as_object_mut().unwrap().remove("expect");
        names(&record, &mut found);
    }
    names(&serde_json::to_value(event::Connect::default()).unwrap(), &mut found);
    assert!(found.len() > 60);
    let missing: Vec<_> =
        found.iter().filter(|name| !document.contains(&format!("`{name}`"))).collect();
    assert!(missing.is_empty(), "docs/records.md does not describe {missing:?}");
}

/// Markdown files of the repository.
fn documents() -> Vec<(String, String)> {
    let mut all = Vec::new();
    for dir in [root(), root().join("docs"), root().join("docs/decisions")] {
        for entry in fs::read_dir(dir).into_iter().flatten() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|e| e == "md") {
                all.push((path.display().to_string(), fs::read_to_string(&path).unwrap()));
            }
        }
    }
    assert!(all.len() > 6);
    all
}

fn commands() {
    let help = stdout(&["--help"]);
    let words = |line: &str| -> Vec<String> {
        line.split(|c: char| !(c.is_ascii_alphanumeric() || c == '-')).map(str::to_owned).collect()
    };
    let mut looked_at = 0;
    for (path, text) in documents() {
        for part in text.split("picket ").skip(1) {
            let word =
                words(part.lines().next().unwrap_or("")).into_iter().next().unwrap_or_default();
            // Only where it is typed: a command line, not a sentence about picket.
            let before = text.split(&format!("picket {part}")).next().unwrap_or("");
            if !before.ends_with('`') && !before.ends_with("    ") && !before.ends_with("sudo ") {
                continue;
            }
            looked_at += 1;
            assert!(
                word.starts_with('-') || help.contains(&format!("\n  {word} ")),
                "{path} names the command {word:?}, which does not exist"
            );
        }
    }
    assert!(looked_at > 5, "looked at {looked_at} commands only");
    let makefile = fs::read_to_string(root().join("Makefile")).unwrap();
    for (path, text) in documents() {
        for target in text.split("`make ").skip(1) {
            let target = words(target).into_iter().next().unwrap_or_default();
            assert!(
                makefile.contains(&format!("\n{target}:")),
                "{path} names the target {target:?}, which does not exist"
            );
        }
    }
}

/// Ids, names and tactics against a package that carries MITRE's own data.
fn attack() {
    let python = root().join("target/test-servers/checks/bin/python3");
    let table = root().join("crates/detect/data/attack.tsv");
    let out = Command::new(&python)
        .arg(root().join("scripts/check-attack.py"))
        .arg(table)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&out.stdout);
    assert!(out.status.success(), "{text}{}", String::from_utf8_lossy(&out.stderr));
}

fn links() {
    let mut looked_at = 0;
    for (path, text) in documents() {
        let dir = std::path::Path::new(&path).parent().unwrap();
        for target in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let file = target.split('#').next().unwrap_or("");
            if file.is_empty() || file.contains("://") {
                continue;
            }
            looked_at += 1;
            assert!(dir.join(file).exists(), "{path} links to {file}, which does not exist");
        }
    }
    assert!(looked_at > 5, "looked at {looked_at} links only");
}
