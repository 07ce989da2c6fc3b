//! What there is to know about the files behind an execution.

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use detect::catalogue::Catalogue;
use detect::content::{Scan, Scanner, Source};
use event::{Behaviour, Content, Exec, Process, Target};
use rustix::fd::OwnedFd;
use sha2::{Digest, Sha256};

use super::file::{self, FileSource};
use super::memory::{Memory, UNNAMED};
use super::owners::{Owners, Place, place};
use super::sockets;
use crate::ci::Attributor;
use crate::package::Owner;

/// Bytes that are hashed at a time.
const CHUNK: usize = 128 << 10;

/// What was found out about a file; true as long as its identity is the same.
#[derive(Debug, Default)]
pub(crate) struct Facts {
    content: Content,
    build_id: Option<String>,
    sha256: OnceLock<Option<String>>,
    /// Who owns it under which path below which root.
    owner: Mutex<Option<(Place, Option<Owner>)>>,
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

/// What could be opened while the process lived.
pub(crate) struct Opened {
    pub(crate) exe: Exe,
    /// Its root directory.
    pub(crate) root: Option<OwnedFd>,
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
    owners: Owners,
    /// Asked in pipelines only: elsewhere no environment is looked into.
    attributor: Option<Attributor>,
}

impl Reader {
    pub(crate) fn new(catalogue: Arc<Catalogue>, scanner: Scanner) -> Self {
        let (memory, owners) = (Memory::default(), Owners::default());
        Self { catalogue, scanner, memory, owners, attributor: None }
    }

    /// It asks environments which step of a pipeline a process belongs to.
    pub(super) fn attributing(self) -> Self {
        Self { attributor: Some(Attributor::new()), ..self }
    }

    /// Fills in which step of a pipeline a living process belongs to.
    pub(super) fn attribute(&self, exec: &mut Exec) {
        exec.ci = self.attributor.as_ref().and_then(|attributor| attributor.claim(exec));
    }

    /// Whether an execution is a server by what is known of it so far.
    pub(crate) fn is_known(&self, exec: &Exec) -> bool {
        self.catalogue.identify(&exec.process).is_some()
    }

    /// Whether a recipe may tell of an execution: it is a server, or below what may be one.
    pub(super) fn is_telling(&self, exec: &Exec) -> bool {
        exec.tree.is_below() || self.is_known(exec)
    }

    /// What is in an open file.
    pub(crate) fn scan(&self, file: &File) -> Scan {
        match FileSource::new(file) {
            Ok(mut source) => self.scanner.scan(&mut source),
            Err(error) => Scan { content: unreadable(&error), ..Scan::default() },
        }
    }

    /// Fills in what is known already, if that is all there is to know: no file is read.
    pub(crate) fn recall(&self, exec: &mut Exec, facts: &Facts, root: Option<&OwnedFd>) -> bool {
        exec.process.exe.content = Some(facts.content.clone());
        exec.process.exe.build_id.clone_from(&facts.build_id);
        if self.catalogue.target(&exec.process).is_some() {
            return false;
        }
        if !self.is_telling(exec) {
            return true;
        }
        if !facts.is_complete(exec, root) {
            return false;
        }
        exec.process.exe.sha256 = facts.sha256.get().cloned().flatten();
        if let (Some(root), false) = (root, exec.process.exe.deleted) {
            let owner = facts.owner(&self.owners, root, &exec.process.exe.path, None);
            set_owner(&mut exec.process, owner);
        }
        true
    }

    /// Fills in what the files behind an execution tell.
    pub(crate) fn examine(&self, exec: &mut Exec, opened: Opened) -> Examined {
        let Opened { exe, root } = opened;
        let root = root.as_ref();
        let (facts, file, examined) = match exe {
            Exe::Known(facts) => (facts, None, Examined::Known),
            Exe::Open(file) => {
                let Scan { content, build_id, .. } = self.scan(&file);
                // Its process may have ended, and then anyone may have written to it meanwhile:
                // what was read is not what was executed.
                if !file::is_as_executed(&file, exec) {
                    self.look_at_target(exec, root);
                    return Examined::Unread;
                }
                let facts = Arc::new(Facts { content, build_id, ..Facts::default() });
                (Arc::clone(&facts), Some(file), Examined::Read(facts))
            }
            Exe::Gone => {
                self.look_at_target(exec, root);
                return Examined::Unread;
            }
        };
        exec.process.exe.content = Some(facts.content.clone());
        exec.process.exe.build_id.clone_from(&facts.build_id);
        let given = self.look_at_target(exec, root);
        if self.is_telling(exec) {
            // Only of what may be told: this takes longer than the look itself.
            set_target_hash(&mut exec.process, given.as_ref());
            let mut file = file;
            if file.is_none() && !facts.is_complete(exec, root) {
                file = file::of_exec(exec, root).ok();
            }
            let hash = facts.sha256.get_or_init(|| sha256(file.as_ref()?));
            exec.process.exe.sha256.clone_from(hash);
            if let (Some(root), false) = (root, exec.process.exe.deleted) {
                let path = &exec.process.exe.path;
                let owner = facts.owner(&self.owners, root, path, file.as_ref());
                set_owner(&mut exec.process, owner);
            }
        }
        examined
    }

    /// Reads what every first detection would have to wait for.
    pub(crate) fn warm_up(&self) {
        self.owners.warm_up();
    }

    /// Fills in what an open file tells of a process that runs it.
    pub(crate) fn examine_open(&self, exec: &mut Exec, file: &File) {
        let scan = self.scan(file);
        exec.process.exe.content = Some(scan.content);
        exec.process.exe.build_id = scan.build_id;
        let root = file::root_of(exec.process.pid).ok();
        let given = self.look_at_target(exec, root.as_ref());
        if self.is_known(exec) {
            exec.process.exe.sha256 = sha256(file);
            set_target_hash(&mut exec.process, given.as_ref());
        }
        if let Some(root) = root {
            self.look_up_owner(&mut exec.process, &root, file);
        }
    }

    /// Asks the package databases below a root who owns a file.
    pub(crate) fn look_up_owner(&self, process: &mut Process, root: &OwnedFd, file: &File) {
        if !process.exe.deleted && !process.exe.memfd {
            let owner = self.owners.of(root, &process.exe.path, file);
            set_owner(process, owner);
        }
    }

    /// Looks into the memory of a process that listens, and completes what is known of its file.
    pub(crate) fn look(&self, behaviour: &mut Behaviour) {
        let exec = &mut behaviour.exec;
        // Somebody else may listen there by now, and answer.
        if sockets::listens(exec.process.pid, behaviour.listener.port) == Some(false) {
            behaviour.answered = None;
            return;
        }
        behaviour.mapped = self.memory.servers(&self.scanner, exec.process.pid);
        if behaviour.mapped.is_empty() && behaviour.answered.is_none() {
            return;
        }
        self.complete(exec);
        self.attribute(exec);
        // What a packer left in memory is what its file contains: an interpreter, perhaps, that was
        // given a script.
        let packed = behaviour.mapped.iter().find(|mapped| mapped.path == UNNAMED);
        if let (Some(packed), Some(content)) = (packed, &mut exec.process.exe.content) {
            content.signs.extend(packed.content.signs.iter().cloned());
            self.read_target(exec);
        }
    }

    /// Completes what is known of the file that a process runs.
    pub(crate) fn complete(&self, exec: &mut Exec) {
        let link = probe::home::proc(exec.process.pid, "exe");
        if let Ok(file) = file::open(Path::new(&link)) {
            self.examine_open(exec, &file);
            exec.process.exe.sha256 = sha256(&file);
            self.read_target(exec);
        }
    }

    /// Reads what a living process was given to run, to its end.
    fn read_target(&self, exec: &mut Exec) {
        let root = file::root_of(exec.process.pid).ok();
        let given = self.look_at_target(exec, root.as_ref());
        set_target_hash(&mut exec.process, given.as_ref());
    }

    /// Reads the file that a loader, interpreter or virtual machine was given, and gives it.
    fn look_at_target(&self, exec: &mut Exec, root: Option<&OwnedFd>) -> Option<File> {
        let path = self.catalogue.target(&exec.process)?;
        let file = file::by_path(exec, root, &path).ok()?;
        let content = self.content_of_target(&exec.process, &file);
        exec.process.target = Some(Target { path, content, sha256: None });
        Some(file)
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

impl Facts {
    /// Whether nothing more has to be read of the file.
    fn is_complete(&self, exec: &Exec, root: Option<&OwnedFd>) -> bool {
        let path = &exec.process.exe.path;
        let owner = self.owner.lock().unwrap_or_else(PoisonError::into_inner);
        let asked =
            |root| owner.as_ref().is_some_and(|(at, _)| place(root, path).as_ref() == Some(at));
        self.sha256.get().is_some() && root.is_none_or(asked)
    }

    /// Who owns the file where this process sees it; asked once.
    fn owner(
        &self,
        owners: &Owners,
        root: &OwnedFd,
        path: &str,
        file: Option<&File>,
    ) -> Option<Owner> {
        let place = place(root, path)?;
        let mut known = self.owner.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((at, owner)) = &*known
            && *at == place
        {
            return owner.clone();
        }
        let owner = owners.of(root, path, file?);
        *known = Some((place, owner.clone()));
        owner
    }
}

fn set_target_hash(process: &mut Process, file: Option<&File>) {
    if let (Some(target), Some(file)) = (&mut process.target, file) {
        target.sha256 = sha256(file);
    }
}

fn set_owner(process: &mut Process, owner: Option<Owner>) {
    process.exe.intact = owner.as_ref().and_then(|owner| owner.intact);
    process.exe.package = owner.map(|owner| owner.to_string());
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
