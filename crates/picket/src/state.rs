//! What outlives a run of picket: what was seen, in two files that are written in turn, so that one of
//! them is always whole. They are opened before privileges are given up, since nothing can be opened
//! for writing afterwards; a thread of its own writes them, since a disk may hang.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::sink;

/// Names of the two files.
const NAMES: [&str; 2] = ["seen-0.jsonl", "seen-1.jsonl"];
/// What is remembered is bounded to less than this.
const LARGEST: u64 = 32 << 20;
/// How long the last writing may take once the end was asked for.
const LAST_CHANCE: Duration = Duration::from_secs(1);

/// The first line of a file: what follows is whole if it has this digest.
#[derive(Debug, Serialize, Deserialize)]
struct Head {
    /// Of two whole files, the higher one counts.
    generation: u64,
    /// Bytes that follow; what is behind them is left from before.
    bytes: usize,
    sha256: String,
}

/// The two files, open.
pub(crate) struct Store {
    dir: PathBuf,
    files: [File; 2],
    generation: u64,
}

/// What the newest whole file of a directory says, if there is one. Needs no lock.
pub(crate) fn read(dir: &Path) -> Result<Option<String>> {
    let mut newest: Option<(u64, String)> = None;
    let mut some = false;
    for name in NAMES {
        let path = dir.join(name);
        let what = || format!("cannot read {}", path.display());
        let file = match OpenOptions::new().read(true).custom_flags(nofollow()).open(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            file => file.with_context(what)?,
        };
        ours(&file).with_context(what)?;
        let mut bytes = Vec::new();
        (&file).take(LARGEST).read_to_end(&mut bytes).with_context(what)?;
        some |= !bytes.is_empty();
        if let Some((generation, body)) = whole(&bytes)
            && newest.as_ref().is_none_or(|(known, _)| generation > *known)
        {
            newest = Some((generation, body));
        }
    }
    ensure!(
        newest.is_some() || !some,
        "what was seen, in {}, is broken: remove {} and {} there to begin anew",
        dir.display(),
        NAMES[0],
        NAMES[1]
    );
    Ok(newest.map(|(_, body)| body))
}

/// What a file says, if it is whole.
fn whole(bytes: &[u8]) -> Option<(u64, String)> {
    let end = bytes.iter().position(|b| *b == b'\n')?;
    let head: Head = serde_json::from_slice(&bytes[..end]).ok()?;
    let body = bytes[end + 1..].get(..head.bytes)?;
    let same = hex(&Sha256::digest(body)) == head.sha256;
    Some((head.generation, String::from_utf8(body.to_vec()).ok()?)).filter(|_| same)
}

impl Store {
    /// Opens the files of a directory, which is made if it does not exist, and says what they say.
    pub(crate) fn open(dir: &Path) -> Result<(Self, String)> {
        let what = || format!("cannot keep what is seen in {}", dir.display());
        if !dir.exists() {
            DirBuilder::new().recursive(true).mode(0o700).create(dir).with_context(what)?;
        }
        let open = |name| -> Result<File> {
            let path = dir.join(name);
            let what = || format!("cannot keep what is seen in {}", path.display());
            let mut options = OpenOptions::new();
            options.read(true).write(true).create(true).truncate(false).mode(0o600);
            let file = options.custom_flags(nofollow()).open(&path).with_context(what)?;
            ours(&file).with_context(what)?;
            Ok(file)
        };
        let files = [open(NAMES[0])?, open(NAMES[1])?];
        flock(&files[0], FlockOperation::NonBlockingLockExclusive)
            .with_context(|| format!("{}: another picket keeps its own there", what()))?;
        let body = read(dir)?.unwrap_or_default();
        let generations = files.each_ref().map(|file| {
            let mut bytes = Vec::new();
            let _ = file.take(LARGEST).read_to_end(&mut bytes);
            whole(&bytes).map_or(0, |(generation, _)| generation)
        });
        let generation = generations.into_iter().max().unwrap_or_default();
        Ok((Self { dir: dir.to_owned(), files, generation }, body))
    }

    /// Writes over the older of the two files.
    fn write(&mut self, body: &str) -> std::io::Result<()> {
        let generation = self.generation + 1;
        let head =
            Head { generation, bytes: body.len(), sha256: hex(&Sha256::digest(body.as_bytes())) };
        let mut bytes = serde_json::to_vec(&head)?;
        bytes.push(b'\n');
        bytes.extend_from_slice(body.as_bytes());
        let mut file = &self.files[usize::from(generation % 2 == 1)];
        let before = usize::try_from(file.metadata()?.len()).unwrap_or(usize::MAX);
        // Nothing can be cut off in the sandbox; empty lines cover what is left from before.
        if before < usize::try_from(LARGEST).unwrap_or(usize::MAX) {
            bytes.resize(bytes.len().max(before), b'\n');
        }
        file.seek(SeekFrom::Start(0))?;
        file.write_all(&bytes)?;
        file.sync_data()?;
        self.generation = generation;
        Ok(())
    }
}

/// Refuses what somebody else may have written.
fn ours(file: &File) -> Result<()> {
    let meta = file.metadata()?;
    ensure!(meta.is_file(), "it is not a regular file");
    let own = rustix::process::geteuid().as_raw();
    ensure!(
        (meta.uid() == own || meta.uid() == 0) && meta.mode() & 0o022 == 0,
        "others may write there: expected a file of user {own} with mode 600"
    );
    Ok(())
}

fn nofollow() -> i32 {
    libc::O_NOFOLLOW | libc::O_NONBLOCK
}

fn hex(digest: &[u8]) -> String {
    use std::fmt::Write;
    digest.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Whether a directory exists and can be looked into.
pub(crate) fn exists(dir: &Path) -> bool {
    fs::metadata(dir).is_ok_and(|meta| meta.is_dir())
}

/// Writes what was seen, in a thread of its own.
pub(crate) struct Keeper {
    sender: SyncSender<String>,
    /// What could not be handed over yet.
    waiting: Option<String>,
    thread: JoinHandle<()>,
}

impl Keeper {
    /// Starts.
    pub(crate) fn start(store: Store) -> Result<Self> {
        let (sender, receiver) = sync_channel(1);
        let thread = std::thread::Builder::new()
            .name("picket-state".to_owned())
            .spawn(move || keep(store, &receiver))
            .context("cannot start keeping what is seen")?;
        Ok(Self { sender, waiting: None, thread })
    }

    /// Has this written, if there is anything new, as soon as what was given before is.
    pub(crate) fn keep(&mut self, body: Option<String>) {
        let Some(body) = body.or_else(|| self.waiting.take()) else { return };
        self.waiting = match self.sender.try_send(body) {
            Err(TrySendError::Full(body)) => Some(body),
            Ok(()) | Err(TrySendError::Disconnected(_)) => None,
        };
    }

    /// Has the last of it written, and ends; but a disk that hangs does not keep picket.
    pub(crate) fn finish(mut self, last: Option<String>) {
        let deadline = Instant::now() + LAST_CHANCE;
        self.keep(last);
        while self.waiting.is_some() && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(5));
            self.keep(None);
        }
        drop(self.sender);
        while !self.thread.is_finished() {
            if Instant::now() >= deadline {
                sink::log("what was seen last is not kept: the disk does not answer");
                return;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

fn keep(mut store: Store, bodies: &Receiver<String>) {
    let mut said = String::new();
    while let Ok(body) = bodies.recv() {
        let problem = match store.write(&body) {
            Ok(()) => String::new(),
            Err(error) => error.to_string(),
        };
        if problem == said {
            continue;
        }
        let dir = store.dir.display();
        match problem.as_str() {
            "" => sink::log(&format!("what is seen is kept again in {dir}")),
            why => sink::log(&format!(
                "what is seen cannot be kept in {dir}, and goes on being counted: {why}"
            )),
        }
        said = problem;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_read_and_a_torn_file_is_passed_over() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().join("state");
        let (mut store, body) = Store::open(&dir).unwrap();
        assert_eq!(body, "");
        assert_eq!(read(&dir).unwrap(), None);
        for body in ["a long first line\n", "b\n", "c\n", "d and more\n"] {
            store.write(body).unwrap();
            assert_eq!(read(&dir).unwrap().as_deref(), Some(body));
        }
        // Two pickets do not write to one place.
        let error = Store::open(&dir).err().map(|error| format!("{error:#}")).unwrap_or_default();
        assert!(error.contains("another picket"), "{error}");
        drop(store);
        // The newest file is torn: the one before it counts.
        let newest = dir.join(NAMES[0]);
        let bytes = fs::read(&newest).unwrap();
        fs::write(&newest, &bytes[..bytes.len() - 3]).unwrap();
        let (mut store, body) = Store::open(&dir).unwrap();
        assert_eq!(body, "c\n");
        store.write("e\n").unwrap();
        assert_eq!(read(&dir).unwrap().as_deref(), Some("e\n"));
        drop(store);
        for name in NAMES {
            fs::write(dir.join(name), "{\"generation\":9,\"bytes\":99999999999}\nx").unwrap();
        }
        let error = Store::open(&dir).err().map(|error| format!("{error:#}")).unwrap_or_default();
        assert!(error.contains("is broken: remove seen-0.jsonl"), "{error}");
    }

    #[test]
    fn files_that_others_may_write_are_refused() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(NAMES[1]);
        fs::write(&path, "").unwrap();
        fs::set_permissions(&path, PermissionsExt::from_mode(0o666)).unwrap();
        let error = Store::open(dir.path()).err().map(|e| format!("{e:#}")).unwrap_or_default();
        assert!(error.contains("others may write there"), "{error}");
        fs::remove_file(&path).unwrap();
        std::os::unix::fs::symlink("/dev/null", &path).unwrap();
        assert!(Store::open(dir.path()).is_err());
        assert!(read(dir.path()).is_err());
    }
}
