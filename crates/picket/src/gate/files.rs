//! The files that reports are written into: whole, or not at all.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

/// A file that will be written.
pub(crate) struct Target {
    /// What it is called in an error.
    what: &'static str,
    path: PathBuf,
    /// A file or nothing is there. Anything else, a pipe say, is written to as it is.
    replaceable: bool,
}

impl Target {
    /// Tries whether it can be written, so that an error is not told after hours.
    pub(crate) fn open(path: &Path, what: &'static str) -> Result<Self> {
        let error = || format!("cannot write the {what} {}: name another file", path.display());
        let replaceable = match path.metadata() {
            Ok(meta) if meta.is_dir() => anyhow::bail!("{}: it is a directory", error()),
            Ok(meta) => meta.is_file(),
            Err(_) => true,
        };
        // A link stays one.
        let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
        let target = Self { what, path, replaceable };
        target.create().with_context(error)?;
        target.forget();
        Ok(target)
    }

    /// Writes it.
    pub(crate) fn write(&self, text: &[u8]) -> Result<()> {
        let draft = self.draft();
        let written = self.create().and_then(|mut file| file.write_all(text));
        let written = written.and_then(|()| match self.replaceable {
            true => fs::rename(draft, &self.path),
            false => Ok(()),
        });
        if written.is_err() {
            self.forget();
        }
        written.with_context(|| format!("cannot write the {} {}", self.what, self.path.display()))
    }

    /// Beside it, and renamed to it in the end.
    fn draft(&self) -> PathBuf {
        let name = self.path.file_name().unwrap_or_default().to_string_lossy();
        self.path.with_file_name(format!(".{name}.{}", std::process::id()))
    }

    fn create(&self) -> std::io::Result<fs::File> {
        let mut options = fs::File::options();
        match self.replaceable {
            true => options.write(true).create_new(true).open(self.draft()),
            false => options.write(true).open(&self.path),
        }
    }

    fn forget(&self) {
        if self.replaceable {
            // What is not there need not be removed.
            let _ = fs::remove_file(self.draft());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_written_whole_and_nothing_is_left_beside_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("report");
        let count = || fs::read_dir(dir.path()).unwrap().count();
        fs::write(&path, "before").unwrap();
        let target = Target::open(&path, "report").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "before");
        assert_eq!(count(), 1);
        target.write(b"after").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "after");
        assert_eq!(count(), 1);

        // Its directory is gone: what was there stays, and the error says what and where.
        let inner = dir.path().join("inner");
        fs::create_dir(&inner).unwrap();
        let target = Target::open(&inner.join("x"), "report").unwrap();
        fs::remove_dir(&inner).unwrap();
        let error = format!("{:#}", target.write(b"x").unwrap_err());
        assert!(
            error.starts_with("cannot write the report ") && error.contains("/inner/x: "),
            "{error}"
        );
    }

    #[test]
    fn links_and_devices_stay_what_they_are() {
        let dir = tempfile::tempdir().unwrap();
        let (file, link) = (dir.path().join("file"), dir.path().join("link"));
        fs::write(&file, "").unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        Target::open(&link, "report").unwrap().write(b"x").unwrap();
        assert!(link.is_symlink());
        assert_eq!(fs::read_to_string(&file).unwrap(), "x");
        Target::open(Path::new("/dev/null"), "report").unwrap().write(b"x").unwrap();
        assert!(!Path::new("/dev/null").is_file());
        assert!(Target::open(dir.path(), "report").is_err());
    }
}
