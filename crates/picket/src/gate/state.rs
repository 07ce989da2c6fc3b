//! The state of a gate that was opened: a directory that is nobody else's, with what `picket ci stop`
//! has to know.

use std::fs::{DirBuilder, File};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use event::{ProcessKey, Stamp};
use rustix::fs::{AtFlags, FlockOperation, Mode, OFlags, flock, openat, renameat, unlinkat};
use serde::{Deserialize, Serialize};

use super::baseline::Expected;
use super::change::Kept;
use super::process::Process;

/// What the sensor writes, and what is known of the gate.
const RECORDS: &str = "records.jsonl";
const LOG: &str = "log";
const GATE: &str = "gate.json";
const NEW: &str = "gate.json.new";
/// The files of a gate.
const FILES: [&str; 4] = [GATE, RECORDS, LOG, NEW];
/// More than this nobody wrote who opened a gate.
const LARGEST: u64 = 64 << 20;

/// A gate that was opened.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Gate {
    /// Which boot of the machine this is.
    pub(crate) boot: String,
    /// Who watches, if anybody does.
    pub(crate) sensor: Option<Process>,
    /// When.
    pub(crate) opened: Stamp,
    /// For which job, if its variables said so.
    pub(crate) job: Option<String>,
    /// Who opened it, and those that he descends from.
    pub(crate) above: Vec<ProcessKey>,
    /// What is expected.
    pub(crate) expected: Expected,
    /// What was checked out.
    pub(crate) change: Kept,
}

/// The directory, which nobody else uses as long as this lives.
pub(crate) struct Directory {
    path: PathBuf,
    dir: File,
}

/// Where it is unless the caller says so.
pub(crate) fn default_path() -> PathBuf {
    let set = |name| std::env::var_os(name).filter(|value| !value.is_empty());
    let user = || set("XDG_RUNTIME_DIR").filter(|_| !rustix::process::geteuid().is_root());
    let base = set("RUNNER_TEMP").or_else(user).map_or_else(|| "/run".into(), PathBuf::from);
    base.join("picket-ci")
}

impl Directory {
    /// Makes it, if it is not there.
    pub(crate) fn make(path: &Path) -> Result<Self> {
        match DirBuilder::new().mode(0o700).create(path) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => {
                return Err(error).with_context(|| {
                    format!(
                        "cannot make the directory {}: name another with --state",
                        path.display()
                    )
                });
            }
            _ => {}
        }
        Self::open(path)?.with_context(|| format!("{} has gone away", path.display()))
    }

    /// Opens it, if it is there.
    pub(crate) fn open(path: &Path) -> Result<Option<Self>> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let dir = match rustix::fs::open(path, flags, Mode::empty()) {
            Ok(dir) => File::from(dir),
            Err(rustix::io::Errno::NOENT) => return Ok(None),
            Err(error) => {
                return Err(error).with_context(|| {
                    format!(
                        "cannot open the state of the gate, {}: is it a directory?",
                        path.display()
                    )
                });
            }
        };
        let meta = dir.metadata().with_context(|| format!("cannot look at {}", path.display()))?;
        let own = rustix::process::geteuid().as_raw();
        // Whoever may write there says what was found.
        ensure!(
            meta.uid() == own && meta.mode() & 0o077 == 0,
            "{} belongs to the user {} with mode {:o}: expected a directory of the user {own} alone; \
             name another with --state",
            path.display(),
            meta.uid(),
            meta.mode() & 0o7777,
        );
        match flock(&dir, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Some(Self { path: path.to_owned(), dir })),
            Err(_) => bail!("another picket opens or closes the gate in {} now", path.display()),
        }
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// What is known of the gate that was opened here, if one was.
    pub(crate) fn gate(&self) -> Result<Option<Gate>> {
        let Some(file) = self.read(GATE)? else { return Ok(None) };
        let what = || format!("{}/{GATE} is not what `picket ci start` wrote", self.path.display());
        let mut text = String::new();
        file.take(LARGEST).read_to_string(&mut text).with_context(what)?;
        serde_json::from_str(&text).map(Some).with_context(what)
    }

    /// Takes note of a gate, at once and as a whole.
    pub(crate) fn note(&self, gate: &Gate) -> Result<()> {
        let what = || format!("cannot write {}/{GATE}", self.path.display());
        let mut file = self.create(NEW)?;
        serde_json::to_writer(&mut file, gate).with_context(what)?;
        file.flush().with_context(what)?;
        renameat(&self.dir, NEW, &self.dir, GATE).with_context(what)
    }

    /// New files for what the sensor writes: its records and its log.
    pub(crate) fn begin(&self) -> Result<(File, File)> {
        Ok((self.create(RECORDS)?, self.create(LOG)?))
    }

    /// What the sensor wrote: its records and its log.
    pub(crate) fn written(&self) -> Result<Option<(File, File)>> {
        Ok(self.read(RECORDS)?.zip(self.read(LOG)?))
    }

    /// Forgets the gate.
    pub(crate) fn clear(&self) {
        for file in FILES {
            // What is not there is fine, and what stays is passed over by the next gate.
            let _ = unlinkat(&self.dir, file, AtFlags::empty());
        }
    }

    /// Forgets the gate, and the directory with it.
    pub(crate) fn remove(self) {
        self.clear();
        // Somebody may have put something else there.
        let _ = std::fs::remove_dir(&self.path);
    }

    fn create(&self, name: &str) -> Result<File> {
        let _ = unlinkat(&self.dir, name, AtFlags::empty());
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC | OFlags::APPEND;
        let file = openat(&self.dir, name, flags, Mode::RUSR | Mode::WUSR);
        file.map(File::from).with_context(|| format!("cannot write {}/{name}", self.path.display()))
    }

    fn read(&self, name: &str) -> Result<Option<File>> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
        match openat(&self.dir, name, flags, Mode::empty()) {
            Ok(file) => Ok(Some(File::from(file))),
            Err(rustix::io::Errno::NOENT) => Ok(None),
            Err(error) => {
                Err(error).with_context(|| format!("cannot read {}/{name}", self.path.display()))
            }
        }
    }
}

/// Which boot of the machine this is.
pub(crate) fn boot() -> String {
    let id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    id.trim().to_owned()
}
