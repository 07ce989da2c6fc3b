//! Where a run happens: the repository, and the pipeline that runs it.

use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use event::{Ci, Stamp};

use super::report::Report;
use crate::{ci, host};

/// What reports say of the surroundings.
pub(crate) struct Context {
    /// The repository's directory, or the one that picket was called in.
    pub(crate) root: PathBuf,
    /// The pipeline.
    pub(crate) ci: Option<Ci>,
    /// This machine.
    pub(crate) host: String,
    /// When this was.
    pub(crate) began: Stamp,
}

impl Context {
    /// As it is now.
    pub(crate) fn look() -> Self {
        let here = std::env::current_dir().unwrap_or_default();
        let root = here.ancestors().find(|dir| dir.join(".git").exists());
        Self {
            root: root.unwrap_or(&here).to_owned(),
            ci: ci::own(),
            host: host::name(),
            began: now(),
        }
    }

    /// A path as the repository knows it: below its directory, or absolute where it is elsewhere.
    pub(crate) fn relative<'p>(&self, path: &'p str) -> &'p str {
        let below = Path::new(path).strip_prefix(&self.root).ok();
        below.and_then(Path::to_str).filter(|below| !below.is_empty()).unwrap_or(path)
    }

    /// From when to when it was watched; where it never was, since when it should have been.
    pub(crate) fn window(&self, report: &Report) -> (Stamp, Stamp) {
        report.coverage().map_or_else(|| (self.began, now()), |c| (c.window.from, c.window.to))
    }
}

fn now() -> Stamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Stamp::from_unix_nanos(i64::try_from(since.as_nanos()).unwrap_or_default())
}

/// A time without fractions and without a zone, which is UTC, for formats that know nothing else.
pub(crate) fn to_the_second(time: Stamp) -> String {
    let text = time.to_string();
    text.split('.').next().unwrap_or_default().to_owned()
}
