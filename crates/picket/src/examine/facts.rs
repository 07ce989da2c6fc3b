//! What there is to know about the files behind an execution.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use detect::catalogue::Catalogue;
use detect::content::{Scan, Scanner, Source};
use event::{Behaviour, Content, Exec, Executable, Process, Target};
use sha2::{Digest, Sha256};

use super::file::{self, FileSource};
use super::memory::Memory;

/// Bytes that are hashed at a time.
const CHUNK: usize = 128 << 10;

/// What was found out about a file; true as long as its identity is the same.
#[derive(Debug, Default)]
pub(crate) struct Facts {
    content: Content,
    build_id: Option<String>,
    sha256: OnceLock<Option<String>>,
}

/// The file that runs, as far as it was to be had when the execution was told.
pub(crate) enum Exe {
    /// It was looked at before.
    Known(Arc<Facts>),
    /// This is it.
    Open(File),
    /// Neither the process nor its path led to it.
    Gone,
}

/// What became of an execution.
#[derive(Debug)]
pub(crate) enum Examined {
    /// The file was read now.
    Read(Arc<Facts>),
    /// The file was known already.
    Known,
    /// The file was gone before anyone could read it.
    Unread,
}

/// Reads files and says what they are.
pub(crate) struct Reader {
    catalogue: Arc<Catalogue>,
    scanner: Scanner,
    memory: Memory,
}

impl Reader {
    pub(crate) fn new(catalogue: Arc<Catalogue>, scanner: Scanner) -> Self {
        Self { catalogue, scanner, memory: Memory::default() }
    }

    /// Whether an execution is a server by what is known of it so far.
    pub(crate) fn is_known(&self, exec: &Exec) -> bool {
        self.catalogue.identify(&exec.process).is_some()
    }

    /// What is in an open file.
    pub(crate) fn scan(&self, file: &File) -> Scan {
        match FileSource::new(file) {
            Ok(mut source) => self.scanner.scan(&mut source),
            Err(error) => Scan { content: unreadable(&error), ..Scan::default() },
        }
    }

    /// Fills in what the files behind an execution tell.
    pub(crate) fn examine(&self, exec: &mut Exec, exe: Exe) -> Examined {
        let (facts, opened, examined) = match exe {
            Exe::Known(facts) => (facts, None, Examined::Known),
            Exe::Open(file) => {
                let Scan { content, build_id, .. } = self.scan(&file);
                // Its process may have ended, and then anyone may have written to it meanwhile:
                // what was read is not what was executed.
                if !exec.file.is_some_and(|id| file::is(&file, &id).unwrap_or(false)) {
                    self.look_at_target(exec);
                    return Examined::Unread;
                }
                let facts = Arc::new(Facts { content, build_id, ..Facts::default() });
                (Arc::clone(&facts), Some(file), Examined::Read(facts))
            }
            Exe::Gone => {
                self.look_at_target(exec);
                return Examined::Unread;
            }
        };
        exec.process.exe.content = Some(facts.content.clone());
        exec.process.exe.build_id.clone_from(&facts.build_id);
        self.look_at_target(exec);
        if self.catalogue.identify(&exec.process).is_some() {
            // Only of what will be told: hashing takes longer than the look itself.
            let hash = facts.sha256.get_or_init(|| match opened {
                Some(file) => sha256(&file),
                None => file::of_exec(exec).ok().and_then(|file| sha256(&file)),
            });
            exec.process.exe.sha256.clone_from(hash);
        }
        examined
    }

    /// Fills in what an open file tells of a process that runs it.
    pub(crate) fn examine_open(&self, exec: &mut Exec, file: &File) {
        let scan = self.scan(file);
        exec.process.exe.content = Some(scan.content);
        exec.process.exe.build_id = scan.build_id;
        self.look_at_target(exec);
        if self.is_known(exec) {
            exec.process.exe.sha256 = sha256(file);
        }
        let root = PathBuf::from(format!("/proc/{}/root", exec.process.pid));
        self.look_up_package(&mut exec.process.exe, &root, file);
    }

    /// Looks into the memory of a process that listens, and completes what is known of its file.
    pub(crate) fn look(&self, behaviour: &mut Behaviour) {
        let exec = &mut behaviour.exec;
        behaviour.mapped = self.memory.servers(&self.scanner, exec.process.pid);
        if !behaviour.mapped.is_empty() {
            self.complete(exec);
        }
    }

    /// Completes what is known of the file that a process runs.
    pub(crate) fn complete(&self, exec: &mut Exec) {
        let link = format!("/proc/{}/exe", exec.process.pid);
        if let Ok(file) = file::open(Path::new(&link)) {
            self.examine_open(exec, &file);
            exec.process.exe.sha256 = sha256(&file);
        }
    }

    /// Asks the package databases below a root who owns a file.
    pub(crate) fn look_up_package(&self, _exe: &mut Executable, _root: &Path, _file: &File) {}

    /// Reads the file that a loader, interpreter or virtual machine was given.
    fn look_at_target(&self, exec: &mut Exec) {
        let Some(path) = self.catalogue.target(&exec.process) else { return };
        if let Ok(file) = file::by_path(exec, &path) {
            let content = self.content_of_target(&exec.process, &file);
            exec.process.target = Some(Target { path, content });
        }
    }

    /// What is in a file that was given to a runtime.
    pub(crate) fn content_of_target(&self, process: &Process, file: &File) -> Content {
        let mut content = self.scan(file).content;
        if let Some(runtime) = self.catalogue.in_process(process).runtime {
            match FileSource::new(file) {
                Ok(mut source) => {
                    content.signs.extend(self.catalogue.script_signs(&runtime, &mut source));
                }
                Err(error) => content = unreadable(&error),
            }
        }
        content
    }
}

fn unreadable(error: &io::Error) -> Content {
    Content { problem: Some(error.to_string()), ..Content::default() }
}

/// The SHA-256 of a whole file.
pub(crate) fn sha256(file: &File) -> Option<String> {
    let mut source = FileSource::new(file).ok()?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0; CHUNK];
    let mut at = 0;
    loop {
        let got = source.read_at(at, &mut buffer).ok()?;
        if got == 0 {
            break;
        }
        hash.update(&buffer[..got]);
        at += got as u64;
    }
    use std::fmt::Write;
    Some(hash.finalize().iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    }))
}
