//! A temporary directory with the programs that are executed; it is removed at the end.

use std::fs;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::program;

/// A file that changed just now may change again unnoticed, so picket keeps no verdict of it.
const SETTLED: Duration = Duration::from_millis(2500);

/// The directory.
pub(crate) struct Scratch {
    dir: PathBuf,
    /// A program that picket has no interest in.
    pub(crate) benign: PathBuf,
    /// The same program under the name of a web server.
    pub(crate) server: PathBuf,
    /// The same program once more, to see whether a tool records yet.
    pub(crate) mark: PathBuf,
}

impl Scratch {
    /// Makes it, with the programs in it, and waits until they count as settled.
    pub(crate) fn new() -> Result<Self> {
        let dir = std::env::temp_dir().join(format!("picket-bench-{}", std::process::id()));
        fs::DirBuilder::new()
            .mode(0o700)
            .create(&dir)
            .with_context(|| format!("cannot make {}", dir.display()))?;
        let scratch = Self {
            benign: dir.join("step"),
            server: dir.join("nginx"),
            mark: dir.join("mark"),
            dir,
        };
        for path in [&scratch.benign, &scratch.server, &scratch.mark] {
            write_program(path)?;
        }
        std::thread::sleep(SETTLED);
        Ok(scratch)
    }

    /// The path of a file in it.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // Nothing can be done about it here, and it is in the directory for temporary files.
        let _ = fs::remove_dir_all(&self.dir);
    }
}

fn write_program(path: &Path) -> Result<()> {
    let mut options = fs::OpenOptions::new();
    let mut file = options
        .write(true)
        .create_new(true)
        .mode(0o755)
        .open(path)
        .with_context(|| format!("cannot make {}", path.display()))?;
    std::io::Write::write_all(&mut file, &program::elf()).context("cannot write a program")?;
    drop(file);
    let status = Command::new(path).status().with_context(|| {
        format!("cannot execute {} (set TMPDIR to a place that allows it)", path.display())
    })?;
    ensure!(status.success(), "{} ended with {status}", path.display());
    Ok(())
}
