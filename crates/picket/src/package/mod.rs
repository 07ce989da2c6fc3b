//! Which package owns a file, and does the checksum that came with the package still hold?
//!
//! The databases of dpkg, rpm and apk are read as they lie on disk, below the root directory of
//! this machine or of a container. Nothing is executed or written: a lookup opens, reads and closes.
//! What is kept is where to look, of the machine's own lists ([`Lists`]).
//!
//! A container's databases are its own words. They may be damaged or hostile, which costs no more
//! than a bounded lookup ([`root`]), and they may lie, which nothing here can tell.

mod apk;
mod checksum;
mod dpkg;
mod header;
mod lists;
mod root;
mod rpm;
mod sqlite;
#[cfg(test)]
mod tests;

use std::fmt::{self, Display};
use std::fs::File;
use std::path::{Path, PathBuf};

use checksum::Content;
pub(crate) use lists::Lists;
use root::Root;

/// What a package database says of a file. Its text is `nginx-core 1.22.1-9`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Owner {
    /// The package, without its architecture.
    pub(crate) name: String,
    /// Its version as its manager writes it, with epoch and release.
    pub(crate) version: String,
    /// Whose database says so.
    pub(crate) manager: Manager,
    /// Whether the content is what the package brought; `None` if it recorded no checksum.
    ///
    /// A file that was deleted because its package was upgraded is not what the package brings
    /// now: for such a one, `Some(false)` is no sign of anything.
    pub(crate) intact: Option<bool>,
}

/// The package managers whose databases are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Manager {
    Dpkg,
    Rpm,
    Apk,
}

/// Why a question could not be answered: where, and what was in the way.
#[derive(Debug, thiserror::Error)]
#[error("cannot tell which package owns a file: {place}: {why}")]
pub(crate) struct Problem {
    place: String,
    why: String,
}

/// The package databases below a root directory: `/`, or `/proc/PID/root` of a container.
#[derive(Debug, Clone)]
pub(crate) struct Packages<'l> {
    root: PathBuf,
    lists: Option<&'l Lists>,
}

impl<'l> Packages<'l> {
    /// Opens nothing.
    pub(crate) fn below(root: &Path) -> Self {
        Self { root: root.to_owned(), lists: None }
    }

    /// Remembers what its lists name: for a root that is asked about often.
    pub(crate) fn remembering(self, lists: &'l Lists) -> Self {
        Self { lists: Some(lists), ..self }
    }

    /// Reads now what is remembered, where anything is.
    pub(crate) fn prepare(&self) -> Result<(), Problem> {
        match self.lists {
            Some(lists) => dpkg::prepare(&Root::open(&self.root)?, lists),
            None => Ok(()),
        }
    }

    /// The package that owns a file, if one does.
    ///
    /// `path` is the file's own path in that root, without symbolic links; `content` is the open
    /// file, which may be deleted. It is read only where a checksum is recorded, and its position
    /// stays. An error is one of the databases, if none of the others knows the file.
    pub(crate) fn owner(&self, path: &str, content: &File) -> Result<Option<Owner>, Problem> {
        if !path.starts_with('/') || path.ends_with('/') || path.contains(['\0', '\n']) {
            return Ok(None);
        }
        let root = Root::open(&self.root)?;
        let content = Content::of(content);
        let mut best = Best::default();
        let dpkg = |best: &mut Best| dpkg::find(&root, path, &content, self.lists, best);
        let rpm = |best: &mut Best| rpm::find(&root, path, &content, best);
        let apk = |best: &mut Best| apk::find(&root, path, &content, best);
        for find in [&dpkg as &Search<'_>, &rpm, &apk] {
            if let Err(problem) = find(&mut best) {
                best.excuse(problem);
            }
            if best.is_certain() {
                break;
            }
        }
        best.done()
    }
}

/// A search in one manager's database.
type Search<'s> = dyn Fn(&mut Best) -> Result<(), Problem> + 's;

/// The best answer so far. Two packages may claim a file; then it is whose checksum holds.
#[derive(Default)]
struct Best {
    owner: Option<Owner>,
    problem: Option<Problem>,
}

impl Best {
    fn offer(&mut self, owner: Owner) {
        if self.owner.is_none() || owner.intact == Some(true) {
            self.owner = Some(owner);
        }
    }

    /// Keeps the first problem: the search goes on, and may find the owner elsewhere.
    fn excuse(&mut self, problem: Problem) {
        self.problem.get_or_insert(problem);
    }

    /// No other package can be a better answer.
    fn is_certain(&self) -> bool {
        self.owner.as_ref().is_some_and(|owner| owner.intact == Some(true))
    }

    fn done(self) -> Result<Option<Owner>, Problem> {
        match (self.owner, self.problem) {
            (None, Some(problem)) => Err(problem),
            (owner, _) => Ok(owner),
        }
    }
}

impl Problem {
    fn new(place: impl Display, why: impl Display) -> Self {
        Self { place: place.to_string(), why: why.to_string() }
    }
}

impl Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.name, self.version)
    }
}

impl Display for Manager {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Dpkg => "dpkg",
            Self::Rpm => "rpm",
            Self::Apk => "apk",
        })
    }
}
