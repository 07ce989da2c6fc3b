//! The repository that a run is about: where it lies, and what its names stand for.
//!
//! Only its own few text files are read here, by hand: no program looks at its configuration, which
//! may name programs to run.

use std::fs;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::examine::file;

/// Files longer than this are not read.
const LONGEST: u64 = 1 << 20;
/// Names in one file.
const LONGEST_REFS: u64 = 16 << 20;

/// Names that stand for each other are followed as far as git does.
const MOST_NAMES: usize = 5;

/// The id of a commit.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Id(String);

impl Id {
    pub(super) fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let hex = text.bytes().all(|b| b.is_ascii_hexdigit());
        // Zeros stand for none.
        let some = text.bytes().any(|b| b != b'0');
        (matches!(text.len(), 40 | 64) && hex && some).then(|| Self(text.to_ascii_lowercase()))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// Enough of it to find it.
    pub(crate) fn short(&self) -> &str {
        self.0.get(..12).unwrap_or(&self.0)
    }

    /// Whether its repository names objects by SHA-256.
    pub(super) fn is_sha256(&self) -> bool {
        self.0.len() == 64
    }
}

/// A repository with files.
#[derive(Debug, Clone)]
pub(crate) struct Repository {
    /// Where its files are.
    pub(super) root: PathBuf,
    /// What belongs to these files: HEAD.
    own: PathBuf,
    /// What all of its work trees share: names and objects.
    common: PathBuf,
}

impl Repository {
    /// The one that a directory belongs to.
    pub(super) fn of(dir: &Path) -> Option<Self> {
        let root = dir.ancestors().find(|dir| dir.join(".git").exists())?;
        let dot = root.join(".git");
        let own = match dot.is_dir() {
            true => dot,
            false => root.join(line(&dot)?.strip_prefix("gitdir:")?.trim()),
        };
        let common = line(&own.join("commondir")).map_or_else(|| own.clone(), |to| own.join(to));
        Some(Self { root: root.to_owned(), own, common })
    }

    pub(super) fn objects(&self) -> PathBuf {
        self.common.join("objects")
    }

    /// User and group that its files belong to.
    pub(super) fn owner(&self) -> Option<(u32, u32)> {
        let meta = fs::metadata(&self.root).ok()?;
        Some((meta.uid(), meta.gid()))
    }

    /// The commit that is checked out.
    pub(super) fn head(&self) -> Option<Id> {
        let head = line(&self.own.join("HEAD"))?;
        match head.strip_prefix("ref:") {
            Some(name) => self.resolve(name.trim()),
            None => Id::parse(&head),
        }
    }

    /// The commit that a full name stands for.
    pub(super) fn resolve(&self, name: &str) -> Option<Id> {
        self.resolve_by(name, MOST_NAMES)
    }

    fn resolve_by(&self, name: &str, most: usize) -> Option<Id> {
        let plain = name.split('/').all(|part| !part.is_empty() && part != ".." && part != ".");
        if !plain || !name.starts_with("refs/") {
            return None;
        }
        if let Some(text) = line(&self.common.join(name)) {
            return match text.strip_prefix("ref:") {
                Some(other) => self.resolve_by(other.trim(), most.checked_sub(1)?),
                None => Id::parse(&text),
            };
        }
        let packed = read(&self.common.join("packed-refs"), LONGEST_REFS)?;
        let packed = String::from_utf8_lossy(&packed);
        let mut lines = packed.lines().filter_map(|line| line.split_once(' '));
        Id::parse(lines.find(|(_, other)| *other == name)?.0)
    }

    /// Commits whose parents were not fetched.
    pub(super) fn shallow(&self) -> Vec<Id> {
        let text = read(&self.common.join("shallow"), LONGEST).unwrap_or_default();
        String::from_utf8_lossy(&text).lines().filter_map(Id::parse).collect()
    }

    /// A path below its directory, as its commits know it; links in it are followed.
    pub(super) fn relative(&self, path: &Path) -> Option<String> {
        let root = self.root.canonicalize().ok()?;
        let path = path.canonicalize().ok()?;
        let relative = path.strip_prefix(root).ok()?.to_str()?;
        (!relative.is_empty() && !relative.starts_with(".git/")).then(|| relative.to_owned())
    }
}

/// A regular file that is not too long.
pub(super) fn read(path: &Path, longest: u64) -> Option<Vec<u8>> {
    let file = file::open(path).ok()?;
    let mut bytes = Vec::new();
    file.take(longest + 1).read_to_end(&mut bytes).ok()?;
    (bytes.len() as u64 <= longest).then_some(bytes)
}

fn line(path: &Path) -> Option<String> {
    let text = read(path, 4096)?;
    Some(String::from_utf8_lossy(&text).lines().next()?.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_ids() {
        let id = "0123456789abcdef0123456789abcdef01234567";
        assert_eq!(Id::parse(&format!(" {id}\n")).unwrap().short(), "0123456789ab");
        for no in ["", "--output=/x", &id[1..], &"0".repeat(40), &format!("{id}^")] {
            assert_eq!(Id::parse(no), None, "{no}");
        }
    }

    #[test]
    fn names_are_looked_up_in_files_and_packed() {
        let dir = tempfile::tempdir().unwrap();
        let git = dir.path().join(".git");
        fs::create_dir_all(git.join("refs/remotes/origin")).unwrap();
        let (one, two) = ("1".repeat(40), "2".repeat(40));
        fs::write(git.join("HEAD"), "ref: refs/heads/work\n").unwrap();
        fs::write(git.join("packed-refs"), format!("# pack\n{one} refs/heads/work\n")).unwrap();
        fs::write(git.join("refs/remotes/origin/HEAD"), "ref: refs/remotes/origin/main\n").unwrap();
        fs::write(git.join("refs/remotes/origin/main"), format!("{two}\n")).unwrap();
        let inner = dir.path().join("a/b");
        fs::create_dir_all(&inner).unwrap();
        let repository = Repository::of(&inner).unwrap();
        assert_eq!(repository.head(), Id::parse(&one));
        assert_eq!(repository.resolve("refs/remotes/origin/HEAD"), Id::parse(&two));
        fs::write(git.join("refs/one"), "ref: refs/two\n").unwrap();
        fs::write(git.join("refs/two"), "ref: refs/one\n").unwrap();
        for no in ["refs/one", "refs/../HEAD", "HEAD", "refs/heads/none", "refs//x", "config"] {
            assert_eq!(repository.resolve(no), None, "{no}");
        }
        fs::write(dir.path().join("file"), "").unwrap();
        assert_eq!(repository.relative(&inner.join("../../file")).as_deref(), Some("file"));
        assert_eq!(repository.relative(&git.join("HEAD")), None);
        assert_eq!(repository.relative(Path::new("/etc/passwd")), None);
    }
}
