//! Where a run happens: the repository, and the pipeline that runs it.

use std::path::{Path, PathBuf};

use event::Ci;

use crate::ci;

/// What reports say of the surroundings.
pub(crate) struct Context {
    /// The repository's directory, or the one that picket was called in.
    pub(crate) root: PathBuf,
    /// The pipeline.
    pub(crate) ci: Option<Ci>,
}

impl Context {
    /// As it is now.
    pub(crate) fn look() -> Self {
        let here = std::env::current_dir().unwrap_or_default();
        let root = here.ancestors().find(|dir| dir.join(".git").exists());
        let ci = ci::recognise(|name| std::env::var(name).ok());
        Self { root: root.map_or_else(|| here.clone(), Path::to_path_buf), ci }
    }

    /// A path as the repository knows it: below its directory, or absolute where it is elsewhere.
    pub(crate) fn relative<'p>(&self, path: &'p str) -> &'p str {
        let below = Path::new(path).strip_prefix(&self.root).ok();
        below.and_then(Path::to_str).filter(|below| !below.is_empty()).unwrap_or(path)
    }
}
