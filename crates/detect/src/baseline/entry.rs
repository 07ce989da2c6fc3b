//! The baseline as a file: what somebody accepted, why, and until when. Written to be reviewed: it is
//! sorted, and what did not change does not move.

use std::fmt::Write as _;

use event::Severity;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_saphyr::Spanned;

use super::key::{File, Key, Script, Starter, Workload};
use super::yaml::{flow, quoted};
use crate::day::Day;
use crate::parse::{self, ParseError};

/// More is no baseline that anybody has reviewed.
pub const MOST_ENTRIES: usize = 10_000;

/// A baseline file.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BaselineFile {
    /// What is expected.
    #[schemars(with = "Vec<EntryFile>")]
    accepted: Vec<Spanned<EntryFile>>,
}

/// One thing that is expected.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct EntryFile {
    /// The recipe that matched.
    recipe: String,
    /// The web server, by the catalogue's name.
    server: Option<String>,
    /// Where it belongs.
    workload: Workload,
    /// Who starts it.
    launcher: Starter,
    /// The file that runs.
    file: File,
    /// The script, archive or program that it is given to run.
    script: Option<Script>,
    /// Its arguments, where they are what it runs.
    command: Option<Vec<String>>,
    /// The SHA-256 of those arguments, each followed by a NUL, where they are long.
    command_sha256: Option<String>,
    /// What is graver than this is not what was accepted.
    up_to: Severity,
    /// Who accepted it.
    by: String,
    /// The day it was accepted.
    on: String,
    /// Why.
    why: String,
    /// The last day that it is expected.
    until: Option<String>,
}

/// Something that somebody accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// What.
    pub key: Key,
    /// How grave it may be.
    pub up_to: Severity,
    /// Who accepted it.
    pub by: String,
    /// When.
    pub on: Day,
    /// Why.
    pub why: String,
    /// The last day that it is expected.
    pub until: Option<Day>,
}

/// What is expected, in the order of the file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Accepted {
    entries: Vec<Entry>,
}

impl Accepted {
    /// Reads a baseline file. Everything that is wrong with it is reported.
    pub fn parse(path: &str, text: &str) -> Result<Self, Vec<ParseError>> {
        let file: BaselineFile = parse::yaml(path, text).map_err(|error| vec![error])?;
        let mut errors = Vec::new();
        let mut accepted = Self::default();
        if file.accepted.len() > MOST_ENTRIES {
            let message = format!(
                "{} entries: expected at most {MOST_ENTRIES}, for a baseline is there to be reviewed",
                file.accepted.len()
            );
            return Err(vec![ParseError::line(path, 1, message)]);
        }
        for spanned in file.accepted {
            match Entry::check(spanned.value) {
                Ok(entry) => accepted.entries.push(entry),
                Err(message) => {
                    errors.push(ParseError::at(path, &spanned.referenced, message));
                }
            }
        }
        accepted.sort();
        if errors.is_empty() { Ok(accepted) } else { Err(errors) }
    }

    /// All entries.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The entries of one recipe and server.
    pub(super) fn of(&self, key: &Key) -> &[Entry] {
        let of =
            |entry: &Entry| (&entry.key.recipe, &entry.key.server).cmp(&(&key.recipe, &key.server));
        let begin = self.entries.partition_point(|entry| of(entry).is_lt());
        let end = self.entries.partition_point(|entry| of(entry).is_le());
        &self.entries[begin..end]
    }

    /// Adds an entry, or renews it. Says whether it was there before.
    pub fn add(&mut self, entry: Entry) -> bool {
        let known = self.entries.iter_mut().find(|known| known.key == entry.key);
        match known {
            Some(known) => {
                let up_to = known.up_to.max(entry.up_to);
                *known = Entry { up_to, ..entry };
                true
            }
            None => {
                self.entries.push(entry);
                self.sort();
                false
            }
        }
    }

    fn sort(&mut self) {
        self.entries.sort_by(|a, b| a.key.cmp(&b.key));
    }

    /// The file: always the same text for the same entries.
    pub fn to_yaml(&self) -> String {
        let mut out =
            "# What is expected here. `picket baseline accept` writes this file anew, in \
                       this order: words\n# that are to stay belong to `why`.\n"
                .to_owned();
        if self.entries.is_empty() {
            out.push_str("accepted: []\n");
            return out;
        }
        out.push_str("accepted:\n");
        for entry in &self.entries {
            entry.write(&mut out);
        }
        out
    }
}

impl Entry {
    fn check(file: EntryFile) -> Result<Self, String> {
        let w = &file.workload;
        let places = [w.host, w.unit.is_some(), w.engine.is_some(), w.pipeline.is_some()];
        if places.iter().filter(|place| **place).count() != 1 {
            return Err("workload: expected exactly one of `host: true`, `unit`, `engine` and \
                        `pipeline`"
                .to_owned());
        }
        let strays = [
            ("user", w.user.is_some() && w.unit.is_none(), "unit"),
            ("image", w.image.is_some() && w.engine.is_none(), "engine"),
            ("name", w.name.is_some() && w.engine.is_none(), "engine"),
            ("below", w.below.is_some() && w.engine.is_none(), "engine"),
            ("repository", w.repository.is_some() && w.pipeline.is_none(), "pipeline"),
            ("job", w.job.is_some() && w.pipeline.is_none(), "pipeline"),
        ];
        if let Some((key, _, beside)) = strays.iter().find(|(_, stray, _)| *stray) {
            return Err(format!("workload: `{key}` says nothing without `{beside}`"));
        }
        let f = &file.file;
        if f.package.is_some() != f.version.is_some() {
            return Err("file: expected `package` and `version`, or neither".to_owned());
        }
        if f.package.is_none() && f.sha256.is_none() {
            return Err(
                "file: expected `sha256`, or `package` and `version`: a path is a name, and \
                        whoever may write there gives it to another program"
                    .to_owned(),
            );
        }
        let digests = [
            ("file: sha256", f.sha256.as_ref()),
            ("script: sha256", file.script.as_ref().map(|script| &script.sha256)),
            ("command_sha256", file.command_sha256.as_ref()),
        ];
        for (what, digest) in digests {
            if digest.is_some_and(|digest| !is_sha256(digest)) {
                return Err(format!("{what}: expected 64 digits from 0 to f"));
            }
        }
        let run = [file.script.is_some(), file.command.is_some(), file.command_sha256.is_some()];
        if run.iter().filter(|given| **given).count() > 1 {
            return Err(
                "expected at most one of `script`, `command` and `command_sha256`".to_owned()
            );
        }
        for (what, text) in [("recipe", &file.recipe), ("by", &file.by), ("why", &file.why)] {
            if text.trim().is_empty() {
                return Err(format!("{what}: expected some text"));
            }
        }
        let day = |what, text: &str| Day::parse(text).map_err(|why| format!("{what}: {why}"));
        Ok(Self {
            up_to: file.up_to,
            on: day("on", &file.on)?,
            until: file.until.as_deref().map(|text| day("until", text)).transpose()?,
            by: file.by,
            why: file.why,
            key: Key {
                recipe: file.recipe,
                server: file.server,
                workload: file.workload,
                launcher: file.launcher,
                file: file.file,
                script: file.script,
                command: file.command,
                command_sha256: file.command_sha256,
            },
        })
    }

    fn write(&self, out: &mut String) {
        let key = &self.key;
        let mut first = true;
        let mut line = |key: &str, value: &str| {
            let begin = if std::mem::take(&mut first) { "  - " } else { "    " };
            let _ = writeln!(out, "{begin}{key}: {value}");
        };
        line("recipe", &quoted(&key.recipe));
        if let Some(server) = &key.server {
            line("server", &quoted(server));
        }
        line("workload", &flow(&key.workload));
        line("launcher", &flow(&key.launcher));
        line("file", &flow(&key.file));
        if let Some(script) = &key.script {
            line("script", &flow(script));
        }
        if let Some(command) = &key.command {
            line("command", &flow(command));
        }
        if let Some(digest) = &key.command_sha256 {
            line("command_sha256", &quoted(digest));
        }
        line("up_to", &self.up_to.to_string());
        line("by", &quoted(&self.by));
        line("on", &quoted(&self.on.to_string()));
        line("why", &quoted(&self.why));
        if let Some(until) = &self.until {
            line("until", &quoted(&until.to_string()));
        }
    }
}

/// Whether a text is a SHA-256 as records write it.
pub(crate) fn is_sha256(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}
