//! The rules of ARCHITECTURE.md that a compiler does not hold.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use libtest_mimic::Trial;
use serde_json::Value;

use crate::harness::{root, trial};

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial("architecture::crates_depend_as_they_may", dependencies),
        trial("architecture::event_detect_and_scan_are_pure", pure),
        trial("architecture::only_probe_knows_libbpf", libbpf),
        trial("architecture::files_are_one_thing", sizes),
        trial("architecture::files_say_what_they_are_for", headers),
    ]
}

/// Normal dependencies of the crates, by name.
fn normal_dependencies() -> BTreeMap<String, BTreeSet<String>> {
    let out = Command::new("cargo")
        .args(["metadata", "--format-version", "1", "--no-deps", "--locked"])
        .current_dir(root())
        .output()
        .unwrap();
    let metadata: Value = serde_json::from_slice(&out.stdout).unwrap();
    let mut crates = BTreeMap::new();
    for package in metadata["packages"].as_array().unwrap() {
        let normal = package["dependencies"].as_array().unwrap().iter();
        let normal = normal.filter(|d| d["kind"].is_null());
        let names = normal.map(|d| d["name"].as_str().unwrap().to_owned()).collect();
        crates.insert(package["name"].as_str().unwrap().to_owned(), names);
    }
    crates
}

fn dependencies() {
    let crates = normal_dependencies();
    let own = |name: &str| -> BTreeSet<String> {
        crates[name].iter().filter(|d| d.starts_with("picket")).cloned().collect()
    };
    let set = |names: &[&str]| names.iter().map(|n| (*n).to_owned()).collect::<BTreeSet<_>>();
    assert_eq!(own("picket-event"), set(&[]));
    assert_eq!(own("picket-detect"), set(&["picket-event"]));
    assert_eq!(own("picket-probe"), set(&["picket-detect", "picket-event"]));
    assert_eq!(own("picket-scan"), set(&["picket-detect", "picket-event"]));
    let all = ["picket-detect", "picket-event", "picket-probe", "picket-scan"];
    assert_eq!(own("picket"), set(&all));
    // What the pure crates stand on does no I/O either.
    assert_eq!(crates["picket-event"], set(&["jiff", "schemars", "serde"]));
    let detect = set(&[
        "aho-corasick",
        "cel",
        "memchr",
        "picket-event",
        "regex",
        "schemars",
        "serde",
        "serde_json",
        "serde-saphyr",
        "sha2",
        "thiserror",
        "uuid",
    ]);
    let more: Vec<_> = crates["picket-detect"].difference(&detect).collect();
    assert!(more.is_empty(), "a new dependency of detect: does it do I/O? {more:?}");
    let scan = set(&[
        "granit-parser",
        "jsonc-parser",
        "picket-detect",
        "picket-event",
        "serde",
        "tree-sitter",
        "tree-sitter-bash",
    ]);
    let more: Vec<_> = crates["picket-scan"].difference(&scan).collect();
    assert!(more.is_empty(), "a new dependency of scan: does it do I/O? {more:?}");
}

/// Rust sources below a directory.
fn sources(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|e| e == "rs" || e == "h" || e == "c") {
            found.push(path);
        }
    }
    found
}

fn all_sources() -> Vec<PathBuf> {
    let mut all = sources(&root().join("crates"));
    all.extend(sources(&root().join("bench")));
    all.extend(sources(&root().join("fuzz")));
    assert!(all.len() > 60);
    all
}

fn pure() {
    let forbidden = [
        "std::fs",
        "std::io",
        "std::net",
        "std::thread",
        "std::time",
        "std::env",
        "std::process",
        "SystemTime",
        "Instant",
        "Timestamp::now",
        "static mut",
        "unsafe",
        "libbpf",
        "rand::",
    ];
    let mut looked_at = 0;
    for name in ["event", "detect", "scan"] {
        for path in sources(&root().join("crates").join(name).join("src")) {
            looked_at += 1;
            let text = fs::read_to_string(&path).unwrap();
            for (number, line) in (1..).zip(text.lines()) {
                let code = line.split("//").next().unwrap_or("");
                for word in forbidden {
                    assert!(!code.contains(word), "{}:{number}: {word}", path.display());
                }
            }
        }
    }
    assert!(looked_at > 20, "looked at {looked_at} files only");
}

fn libbpf() {
    for (name, dependencies) in normal_dependencies() {
        let knows = dependencies.iter().any(|d| d.contains("libbpf"));
        assert_eq!(knows, name == "picket-probe", "{name}");
    }
}

fn sizes() {
    for path in all_sources() {
        let lines = fs::read_to_string(&path).unwrap().lines().count();
        assert!(lines <= 600, "{} has {lines} lines: it is two things", path.display());
    }
}

fn headers() {
    for path in all_sources() {
        let text = fs::read_to_string(&path).unwrap();
        let rust = path.extension().is_some_and(|e| e == "rs");
        let said =
            if rust { text.starts_with("//!") } else { text.contains("SPDX-License-Identifier") };
        assert!(said, "{} does not say what it is for", path.display());
    }
}
