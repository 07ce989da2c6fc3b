//! The servers of the matrix, and a place where one of them runs.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde::Deserialize;

use crate::harness;
use crate::harness::free_port;
use crate::servers;

/// One server; `evasion.yaml` says what each key means.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Row {
    pub(super) name: String,
    pub(super) exe: String,
    #[serde(default)]
    args: Option<Vec<String>>,
    #[serde(default)]
    pub(super) argv0: Option<String>,
    #[serde(default)]
    env: BTreeMap<String, String>,
    #[serde(default)]
    pub(super) script: Option<String>,
    #[serde(default)]
    pub(super) archive: Option<String>,
    #[serde(default)]
    pub(super) interp: Option<String>,
    #[serde(default, rename = "static")]
    pub(super) static_build: Option<String>,
    #[serde(default)]
    pub(super) oneliner: Option<Vec<String>>,
    #[serde(default)]
    pub(super) is: Vec<String>,
    #[serde(default)]
    pub(super) pad: Vec<String>,
    #[serde(default)]
    pub(super) pad_at: usize,
    #[serde(default)]
    pub(super) stdin: bool,
    #[serde(default)]
    pub(super) except: BTreeMap<String, String>,
    #[serde(default)]
    pub(super) script_as: Option<String>,
    #[serde(default)]
    links: BTreeMap<String, String>,
    #[serde(default)]
    prepare: Option<String>,
    #[serde(default)]
    files: BTreeMap<String, String>,
}

impl Row {
    pub(super) fn args(&self) -> &[String] {
        self.args.as_deref().unwrap_or_default()
    }
}

/// All of them.
pub(super) fn all() -> Vec<Row> {
    let path = harness::root().join("crates/picket/tests/it/evasion.yaml");
    let text = fs::read_to_string(path).unwrap();
    let mut rows: Vec<Row> = serde_saphyr::from_str(&text).unwrap_or_else(|e| panic!("{e}"));
    let servers = servers::all();
    for row in &mut rows {
        let server = servers.iter().find(|s| s.name == row.name);
        if let Some(server) = server {
            row.files.extend(server.files.clone());
            for (name, value) in &server.env {
                row.env.entry(name.clone()).or_insert_with(|| value.clone());
            }
        }
        if row.args.is_none() {
            let skip = usize::from(row.script.is_none());
            let server = server.unwrap_or_else(|| panic!("{}: no arguments", row.name));
            row.args = Some(server.start.iter().skip(skip).cloned().collect());
        }
    }
    rows
}

/// A directory and a port for one cell.
pub(super) struct Place {
    dir: tempfile::TempDir,
    pub(super) port: u16,
    pub(super) env: Vec<(String, String)>,
}

impl Place {
    pub(super) fn new(base: &Path, row: &Row) -> Self {
        let dir = tempfile::Builder::new().prefix("cell").tempdir_in(base).unwrap();
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let mut place = Self { dir, port: free_port(), env: Vec::new() };
        for (name, text) in &row.files {
            let path = place.path(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, place.fill(text)).unwrap();
        }
        for (name, target) in &row.links {
            symlink(place.fill(target), place.path(name)).unwrap();
        }
        if let Some(text) = &row.prepare {
            let out =
                Command::new("sh").args(["-c", text]).current_dir(place.dir()).output().unwrap();
            assert!(out.status.success(), "{text}: {}", String::from_utf8_lossy(&out.stderr));
        }
        place.env = row.env.iter().map(|(n, v)| (n.clone(), place.fill(v))).collect();
        place
    }

    pub(super) fn dir(&self) -> &Path {
        self.dir.path()
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(super) fn fill(&self, text: &str) -> String {
        fill(text)
            .replace("{dir}", self.dir.path().to_str().unwrap())
            .replace("{port}", &self.port.to_string())
    }

    pub(super) fn fill_all(&self, words: &[String]) -> Vec<String> {
        words.iter().map(|word| self.fill(word)).collect()
    }
}

/// The placeholders that are the same everywhere.
pub(super) fn fill(text: &str) -> String {
    let base = harness::root().join("target/test-servers");
    text.replace("{venv}", base.join("venv").to_str().unwrap())
        .replace("{npm}", base.join("npm").to_str().unwrap())
        .replace("{deb}", base.join("deb").to_str().unwrap())
}
