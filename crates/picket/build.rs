//! Puts the catalogue and the recipes into the binary, so that it carries them.
//!
//! They are turned over bit by bit: a program that holds the texts of every web server would be
//! taken for one, by picket and by others who look for the same texts.
#![expect(clippy::print_stderr, reason = "that is how a build script speaks")]

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

fn main() {
    let out_dir = PathBuf::from(std::env::var_os("OUT_DIR").unwrap_or_default());
    let root = Path::new(&std::env::var("CARGO_MANIFEST_DIR").unwrap_or_default()).join("../..");
    let mut out = String::new();
    for (name, dir) in [("CATALOGUE", "catalogue"), ("RECIPES", "recipes")] {
        let from = root.join(dir);
        println!("cargo:rerun-if-changed={}", from.display());
        let mut files = Vec::new();
        collect(&from, &mut files);
        files.sort();
        let _ = writeln!(out, "pub(crate) const {name}: &[(&str, &[u8])] = &[");
        for file in files {
            let shown = file.strip_prefix(&root).unwrap_or(&file).display().to_string();
            let hidden = out_dir.join(shown.replace('/', "__"));
            let bytes: Vec<u8> =
                std::fs::read(&file).unwrap_or_default().iter().map(|b| !b).collect();
            write(&hidden, &bytes);
            let hidden = hidden.display().to_string();
            let _ = writeln!(out, "    ({shown:?}, include_bytes!({hidden:?})),");
        }
        let _ = writeln!(out, "];");
    }
    write(&out_dir.join("embedded.rs"), out.as_bytes());
}

fn write(path: &Path, bytes: &[u8]) {
    if let Err(error) = std::fs::write(path, bytes) {
        eprintln!("cannot write {}: {error}", path.display());
        std::process::exit(1);
    }
}

fn collect(dir: &Path, files: &mut Vec<PathBuf>) {
    println!("cargo:rerun-if-changed={}", dir.display());
    let Ok(entries) = std::fs::read_dir(dir) else {
        eprintln!("cannot read {}", dir.display());
        std::process::exit(1);
    };
    for entry in entries.flatten() {
        let path = entry.path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|e| e == "yaml" || e == "jsonl") {
            println!("cargo:rerun-if-changed={}", path.display());
            files.push(path);
        }
    }
}
