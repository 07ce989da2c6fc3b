//! laurel: a plugin of auditd that makes one line of JSON of the records of an execution.

use std::fs;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use crate::tool::{self, Wanted};

/// What its process is called.
pub(crate) const NAME: &str = "laurel";
const PROGRAM: &str = "/usr/sbin/laurel";
const DEFAULTS: &str = "/etc/laurel/config.toml";

/// An installed laurel, with files of its own beside those of the auditd that starts it.
pub(crate) struct Laurel {
    dir: PathBuf,
}

impl Laurel {
    /// Finds it; the directory is auditd's.
    pub(crate) fn find(dir: &Path) -> Result<Self> {
        ensure!(Path::new(PROGRAM).exists(), "not installed: apt-get install laurel");
        Ok(Self { dir: dir.to_owned() })
    }

    /// Where it writes.
    pub(crate) fn log(&self) -> PathBuf {
        self.dir.join("laurel").join("laurel.log")
    }

    /// Its own configuration, and auditd's for it. Debian's defaults, but in our directory, as
    /// root since that is closed to others, and without rotation: the records are counted.
    pub(crate) fn configure(&self) -> Result<()> {
        let what = "cannot make a configuration for laurel";
        let logs = self.dir.join("laurel");
        fs::DirBuilder::new().mode(0o700).recursive(true).create(&logs).context(what)?;
        let defaults = fs::read_to_string(DEFAULTS).with_context(|| format!("no {DEFAULTS}"))?;
        let (mut section, mut text) = (String::new(), String::new());
        text.push_str(&format!("directory = \"{}\"\n", logs.display()));
        for line in defaults.lines().map(str::trim) {
            if line.starts_with('[') {
                line.clone_into(&mut section);
            }
            let key = line.split('=').next().unwrap_or_default().trim();
            let ours = match section.as_str() {
                "" => ["directory", "user"].contains(&key),
                "[auditlog]" => ["file", "size", "read-users"].contains(&key),
                _ => false,
            };
            if !ours {
                text.push_str(line);
                text.push('\n');
            }
            if line == "[auditlog]" {
                text.push_str("file = \"laurel.log\"\nsize = 1000000000\n");
            }
        }
        let config = self.dir.join("laurel.toml");
        fs::write(&config, text).context(what)?;
        let plugin = format!(
            "active = yes\ndirection = out\ntype = always\nformat = string\npath = {PROGRAM}\n\
             args = --config {}\n",
            config.display()
        );
        let mut file = fs::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o640)
            .open(self.dir.join("plugins").join("laurel.conf"))
            .context(what)?;
        std::io::Write::write_all(&mut file, plugin.as_bytes()).context(what)
    }
}

/// Whether a line is the record of a wanted execution, seen by the rule with this key.
pub(crate) fn is_record(line: &[u8], key: &str, wanted: &Wanted) -> bool {
    let has = |part: &str| tool::contains(line, part.as_bytes());
    has(&format!("\"key\":\"{key}\"")) && has("\"success\":\"yes\"") && wanted.names(line)
}
