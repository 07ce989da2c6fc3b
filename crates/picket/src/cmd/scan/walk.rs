//! The files of a repository that may start something, in the order of their paths.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use scan::Kind;

/// Larger files are not read.
pub(super) const LARGEST: u64 = 1 << 20;

/// Directories deeper than this are not entered.
const DEEPEST: usize = 64;

/// Directories that hold what others wrote, or git's own files.
const OTHERS: &[&str] = &[".git", "node_modules", "vendor"];

/// A file that is read.
pub(super) struct Source {
    /// Its path below the directory, parted by `/`.
    pub(super) path: String,
    pub(super) kind: Kind,
    pub(super) text: String,
}

/// What was passed over.
#[derive(Debug, Default)]
pub(super) struct Passed {
    /// Directories of others.
    pub(super) directories: u64,
    pub(super) links: u64,
}

/// Hands on every file that is read, or says of one why it cannot be.
pub(super) fn walk(
    root: &Path,
    skip: &[String],
    take: &mut dyn FnMut(String, Result<Source>) -> Result<()>,
) -> Result<Passed> {
    let what = || format!("cannot look at {}: name a directory or a file", root.display());
    let meta = fs::metadata(root).with_context(what)?;
    let mut passed = Passed::default();
    if meta.is_file() {
        let name = root.to_string_lossy().trim_start_matches("./").to_owned();
        file(root, name, take)?;
        return Ok(passed);
    }
    // The first is read here, so that one that cannot be is an error.
    fs::read_dir(root).with_context(what)?;
    let mut next = vec![(root.to_path_buf(), String::new(), 0)];
    while let Some((path, name, depth)) = next.pop() {
        if path != *root && !path.is_dir() {
            file(&path, name, take)?;
            continue;
        }
        let entries = match entries(&path) {
            Ok(entries) => entries,
            Err(error) => {
                take(name, Err(error))?;
                continue;
            }
        };
        let mut here = Vec::new();
        for entry in entries {
            let Ok(kind) = entry.file_type() else { continue };
            let own = entry.file_name().to_string_lossy().into_owned();
            if kind.is_symlink() {
                passed.links += 1;
            } else if kind.is_dir() {
                let others = OTHERS.contains(&own.as_str()) || skip.contains(&own);
                if others || depth == DEEPEST {
                    passed.directories += 1;
                } else {
                    here.push((entry.path(), format!("{name}{own}/"), depth + 1));
                }
            } else if kind.is_file() {
                here.push((entry.path(), format!("{name}{own}"), depth));
            }
        }
        here.sort_by(|a, b| b.1.cmp(&a.1));
        next.extend(here);
    }
    Ok(passed)
}

fn entries(path: &Path) -> Result<Vec<fs::DirEntry>> {
    let entries: std::io::Result<Vec<_>> = fs::read_dir(path).and_then(Iterator::collect);
    entries.context("cannot look at it")
}

fn file(
    path: &Path,
    name: String,
    take: &mut dyn FnMut(String, Result<Source>) -> Result<()>,
) -> Result<()> {
    if !Kind::may_be(&name) {
        return Ok(());
    }
    match read(path, &name) {
        Ok(Some(source)) => take(name, Ok(source)),
        Ok(None) => Ok(()),
        Err(error) => take(name, Err(error)),
    }
}

fn read(path: &Path, name: &str) -> Result<Option<Source>> {
    let opened: File = crate::examine::file::open(&PathBuf::from(path))?;
    let size = opened.metadata()?.len();
    let by_name = Kind::of(name, "").is_some();
    if size > LARGEST {
        anyhow::ensure!(!by_name, "it is larger than {} KiB", LARGEST >> 10);
        return Ok(None);
    }
    let mut bytes = Vec::new();
    opened.take(LARGEST).read_to_end(&mut bytes)?;
    // Whatever has zero bytes in it is no text.
    if !by_name && bytes.contains(&0) {
        return Ok(None);
    }
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let kind = Kind::of(name, &text);
    Ok(kind.map(|kind| Source { path: name.to_owned(), kind, text }))
}
