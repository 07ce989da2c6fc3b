//! What an attestation is about: files that the command made, or the commit that it ran on.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::super::context::Context;
use super::super::identity::hex;
use super::commit;

pub(super) enum Subjects {
    /// They are read once the command has ended.
    Files(Vec<PathBuf>),
    Commit {
        name: String,
        id: String,
    },
}

impl Subjects {
    pub(super) fn new(files: &[PathBuf], context: &Context) -> Result<Self> {
        if !files.is_empty() {
            return Ok(Self::Files(files.to_vec()));
        }
        let ci = context.ci.as_ref();
        let told = ci.and_then(|ci| ci.sha.clone()).filter(|id| commit::is_id(id));
        // The repository itself is believed before the environment is.
        let id = commit::head(&context.root).or(told).context(
            "there is nothing to attest: no commit is checked out here, and the pipeline names \
             none; name files with --attest-subject",
        )?;
        let name = ci.and_then(|ci| ci.repository.clone()).unwrap_or_else(|| {
            context.root.file_name().unwrap_or_default().to_string_lossy().into_owned()
        });
        Ok(Self::Commit { name, id })
    }

    /// Their names and digests.
    pub(super) fn describe(&self) -> Result<Vec<Value>> {
        match self {
            Self::Files(files) => {
                files.iter().map(|path| descriptor(&path.to_string_lossy(), path)).collect()
            }
            Self::Commit { name, id } => {
                Ok(vec![json!({"name": name, "digest": {"gitCommit": id}})])
            }
        }
    }
}

/// Names a file by its digest.
pub(super) fn descriptor(name: &str, path: &Path) -> Result<Value> {
    let what = || format!("cannot read {}, to attest it", path.display());
    let mut file = File::open(path).with_context(what)?;
    ensure!(file.metadata().with_context(what)?.is_file(), "{}: expected a file", what());
    let mut hash = Hash(Sha256::new());
    io::copy(&mut file, &mut hash).with_context(what)?;
    Ok(json!({"name": name, "digest": {"sha256": hex(&hash.0.finalize())}}))
}

struct Hash(Sha256);

impl io::Write for Hash {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
