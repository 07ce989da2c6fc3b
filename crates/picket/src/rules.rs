//! Catalogue and recipes: those that the binary carries, and those that the configuration adds.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use detect::catalogue::Catalogue;
use detect::parse::ParseError;
use detect::recipe::{self, Recipe};

use crate::config::Config;

include!(concat!(env!("OUT_DIR"), "/embedded.rs"));

/// Larger files are no recipes.
const LARGEST: u64 = 4 << 20;

/// Files by what they are, each as path and text.
#[derive(Debug, Default)]
pub(crate) struct Files {
    pub(crate) catalogue: Vec<(String, String)>,
    pub(crate) recipes: Vec<(String, String)>,
    pub(crate) samples: Vec<(String, String)>,
}

/// Catalogue and recipes, parsed.
pub(crate) struct Rules {
    pub(crate) catalogue: Catalogue,
    pub(crate) recipes: Vec<Recipe>,
    pub(crate) errors: Vec<ParseError>,
}

impl Files {
    /// Those that the binary carries.
    pub(crate) fn embedded() -> Self {
        let mut files = Self::default();
        for (path, hidden) in CATALOGUE.iter().chain(RECIPES) {
            // The build script turned every bit over; see there why.
            let text: Vec<u8> = hidden.iter().map(|byte| !byte).collect();
            files.add((*path).to_owned(), String::from_utf8_lossy(&text).into_owned());
        }
        files
    }

    /// Those that the binary carries and those that the configuration names.
    pub(crate) fn configured(config: &Config) -> Result<Self> {
        let mut files = Self::embedded();
        for path in config.catalogue.iter().chain(&config.recipes) {
            files.read(path)?;
        }
        Ok(files)
    }

    /// Adds a file, or every file of a directory.
    pub(crate) fn read(&mut self, path: &Path) -> Result<()> {
        let what = || format!("cannot read {}", path.display());
        if path.is_dir() {
            let mut entries: Vec<PathBuf> = fs::read_dir(path)
                .and_then(|dir| dir.map(|entry| entry.map(|e| e.path())).collect())
                .with_context(what)?;
            entries.sort();
            for entry in entries {
                let name = entry.to_string_lossy();
                if entry.is_dir() || [".yaml", ".yml", ".jsonl"].iter().any(|e| name.ends_with(e)) {
                    self.read(&entry)?;
                }
            }
            return Ok(());
        }
        self.add(path.display().to_string(), read_text(path)?);
        Ok(())
    }

    /// What a file is, its name and its first key tell.
    fn add(&mut self, path: String, text: String) {
        let family = text.lines().any(|line| line.starts_with("family:"));
        if path.ends_with(".jsonl") {
            self.samples.push((path, text));
        } else if family || Path::new(&path).ends_with(detect::catalogue::UNWRAP_FILE) {
            self.catalogue.push((path, text));
        } else {
            self.recipes.push((path, text));
        }
    }

    /// Refuses files that somebody else could change: who writes recipes says what is not told.
    pub(crate) fn are_ours(config: &Config) -> Result<()> {
        for path in config.catalogue.iter().chain(&config.recipes) {
            is_ours(path)?;
        }
        Ok(())
    }

    /// The recipes alone, without those that are wrong.
    pub(crate) fn recipes(&self) -> Vec<Recipe> {
        recipe::parse_all(borrowed(&self.recipes)).0
    }

    /// Parses them. An error disables what it is in, and nothing else.
    pub(crate) fn parse(&self) -> Rules {
        let (catalogue, mut errors) = Catalogue::parse(borrowed(&self.catalogue));
        let (recipes, more) = recipe::parse_all(borrowed(&self.recipes));
        errors.extend(more);
        // Files named one by one are judged by the whole catalogue.
        let known = if catalogue.servers.is_empty() {
            &Catalogue::parse(borrowed(&Self::embedded().catalogue)).0
        } else {
            &catalogue
        };
        errors.extend(recipes.iter().flat_map(|recipe| recipe.unknown_servers(known)));
        Rules { catalogue, recipes, errors }
    }
}

/// Whether only the owner, who is root or who runs picket, may write a file or what is in a
/// directory.
fn is_ours(path: &Path) -> Result<()> {
    let what = || format!("cannot read {}", path.display());
    let meta = fs::metadata(path).with_context(what)?;
    let own = rustix::process::geteuid().as_raw();
    anyhow::ensure!(
        meta.uid() == 0 || meta.uid() == own,
        "{} belongs to user {}: expected root or the user that runs picket (chown root {0})",
        path.display(),
        meta.uid()
    );
    anyhow::ensure!(
        meta.mode() & 0o022 == 0,
        "{} may be written by others than its owner (mode {:o}): chmod go-w {0}",
        path.display(),
        meta.mode() & 0o7777
    );
    if meta.is_dir() {
        let entries = fs::read_dir(path).with_context(what)?;
        for entry in entries {
            is_ours(&entry.with_context(what)?.path())?;
        }
    }
    Ok(())
}

/// The text of a file that may be a recipe or a catalogue file.
pub(crate) fn read_text(path: &Path) -> Result<String> {
    let what = || format!("cannot read {}", path.display());
    let size = fs::metadata(path).with_context(what)?.len();
    anyhow::ensure!(
        size <= LARGEST,
        "{}: {size} bytes, expected a recipe or catalogue file of at most {LARGEST}",
        what()
    );
    let bytes = fs::read(path).with_context(what)?;
    String::from_utf8(bytes).with_context(|| format!("{}: expected text in UTF-8", what()))
}

fn borrowed(files: &[(String, String)]) -> impl Iterator<Item = (&str, &str)> {
    files.iter().map(|(path, text)| (path.as_str(), text.as_str()))
}
