//! A file as it was where this change left the branch it is to be merged into.

use std::path::Path;
use std::time::Instant;

use super::git::Git;
use super::range::{self, Range};
use super::repository::Repository;
use super::{PATIENCE, names};
use crate::ci;

/// The file then; nothing if it was not there. `told` names the branch, or a commit of it, in place
/// of the pipeline's variables. An error says why that is not known.
pub(crate) fn before(path: &Path, told: Option<&str>) -> Result<Option<String>, String> {
    let dir = path.parent().unwrap_or(Path::new(""));
    let repository = dir.canonicalize().ok().as_deref().and_then(Repository::of);
    let repository = repository.ok_or("it is in no git repository")?;
    let file = repository.relative(path).ok_or("it is outside of the repository")?;
    let head = repository.head().ok_or("which commit is checked out cannot be read")?;
    let candidates = match told {
        Some(name) => vec![range::named(&repository, name).ok_or_else(|| {
            format!("there is no {name}: name a branch that is here, or a whole commit id")
        })?],
        None => range::candidates(&repository, &ci::surroundings(&names())),
    };
    let git = Git::prepare(&repository, &head, Instant::now() + PATIENCE)?;
    let range = Range::find(&git, &repository, &candidates, head);
    if let Some(missing) = range.missing {
        return Err(missing);
    }
    let Some(base) = range.base else { return Ok(None) };
    let listed = git.ask(&["ls-tree", "-z", base.as_str(), "--", &file])?;
    if listed.is_empty() {
        return Ok(None);
    }
    let text = git.ask(&["cat-file", "blob", &format!("{}:{file}", base.as_str())])?;
    String::from_utf8(text).map(Some).map_err(|_| "it was no UTF-8 there".to_owned())
}
