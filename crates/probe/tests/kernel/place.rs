//! A directory of a test's own, and the programs in it.

use std::ffi::OsStr;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::kid::one_at_a_time;

/// Gone, with all that is in it, when dropped.
pub(crate) struct Place {
    dir: TempDir,
}

impl Place {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        // Other users may look in.
        fs::set_permissions(dir.path(), Permissions::from_mode(0o755)).unwrap();
        Self { dir }
    }

    pub(crate) fn path(&self) -> PathBuf {
        // Without links, as the kernel will name it.
        self.dir.path().canonicalize().unwrap()
    }

    /// An executable file with this content.
    pub(crate) fn file(&self, name: impl AsRef<OsStr>, content: &[u8]) -> PathBuf {
        let path = self.path().join(name.as_ref());
        executable(&path, content);
        path
    }

    pub(crate) fn dir(&self, name: impl AsRef<OsStr>) -> PathBuf {
        let path = self.path().join(name.as_ref());
        fs::create_dir_all(&path).unwrap();
        path
    }

    /// The system's shell under a name of the test's own.
    pub(crate) fn shell(&self, name: &str) -> PathBuf {
        let path = self.path().join(name);
        let _alone = one_at_a_time();
        fs::copy(Path::new("/bin/sh").canonicalize().unwrap(), &path).unwrap();
        path
    }
}

pub(crate) fn executable(path: &Path, content: &[u8]) {
    let _alone = one_at_a_time();
    fs::write(path, content).unwrap();
    fs::set_permissions(path, Permissions::from_mode(0o755)).unwrap();
}
