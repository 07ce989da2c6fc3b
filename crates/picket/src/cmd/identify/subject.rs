//! What can be asked about: a file, a process, a command line.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result};
use detect::catalogue::Catalogue;
use event::{Content, Exec, Executable, Namespaces, Process, Target};

use super::{Answer, answer, found, ladder};
use crate::examine::{Reader, file, sha256};

/// What is known of an interpreter.
type Host = Arc<(Content, Option<String>)>;

/// Answers questions about subjects.
pub(super) struct Subjects<'c> {
    catalogue: &'c Catalogue,
    reader: &'c Reader,
    /// Interpreters are asked for with every script.
    hosts: Mutex<HashMap<String, Host>>,
    /// Also ask what is only worth the time for a file that somebody named.
    pub(super) thorough: bool,
}

impl<'c> Subjects<'c> {
    pub(super) fn new(catalogue: &'c Catalogue, reader: &'c Reader) -> Self {
        Self { catalogue, reader, hosts: Mutex::default(), thorough: true }
    }

    /// A file that nobody runs: it is judged as if it were executed without arguments.
    pub(super) fn file(&self, path: &Path) -> Result<Answer> {
        let what = || format!("cannot look at {}", path.display());
        let real = fs::canonicalize(path).with_context(what)?;
        anyhow::ensure!(
            fs::metadata(&real).with_context(what)?.is_file(),
            "{}: expected a file",
            what()
        );
        let opened = file::open(&real).with_context(what)?;
        let meta = opened.metadata().with_context(what)?;
        let asked = path.to_string_lossy().into_owned();
        let real = real.to_string_lossy().into_owned();
        let mut process = Process {
            invoked_as: asked.clone(),
            args: vec![asked.clone()],
            cwd: std::env::current_dir().ok().map(|dir| dir.to_string_lossy().into_owned()),
            exe: Executable {
                path: real,
                size: meta.size(),
                inode: meta.ino(),
                mode: meta.mode(),
                ..Executable::default()
            },
            ..Process::default()
        };
        // A script is what its interpreter is asked to run.
        if let Some(line) = shebang(&opened).with_context(what)? {
            process.exe.path.clone_from(&line[0]);
            process.interpreter = Some(line[0].clone());
            let host = self.host(&line[0]);
            process.exe.content = host.as_ref().map(|host| host.0.clone());
            process.exe.build_id = host.and_then(|host| host.1.clone());
            process.args.splice(0..0, line);
            let content = self.reader.content_of_target(&process, &opened);
            process.target = Some(Target { path: asked.clone(), content, sha256: None });
        } else {
            let scan = self.reader.scan(&opened);
            process.exe.content = Some(scan.content);
            process.exe.build_id = scan.build_id;
        }
        let server = self.catalogue.identify(&process).is_some();
        if server && process.interpreter.is_none() {
            process.exe.sha256 = sha256(&opened);
        }
        if (server || self.thorough) && process.interpreter.is_none() {
            let root = file::root_of(std::process::id()).with_context(what)?;
            self.reader.look_up_owner(&mut process, &root, &opened);
        }
        Ok(answer(self.catalogue, asked, &process))
    }

    /// The content of an interpreter, if it is a file here.
    fn host(&self, path: &str) -> Option<Host> {
        let mut hosts = self.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(host) = hosts.get(path) {
            return Some(Arc::clone(host));
        }
        let real = Path::new(path).is_absolute().then(|| fs::canonicalize(path).ok())??;
        let scan = self.reader.scan(&file::open(&real).ok()?);
        let host = Arc::new((scan.content, scan.build_id));
        hosts.insert(path.to_owned(), Arc::clone(&host));
        Some(host)
    }

    /// A running process.
    pub(super) fn process(&self, pid: u32) -> Result<Answer> {
        let what = || format!("cannot look at process {pid}");
        let dir = format!("/proc/{pid}");
        anyhow::ensure!(Path::new(&dir).exists(), "{}: there is none of that id", what());
        let exe = fs::read_link(format!("{dir}/exe")).with_context(|| {
            format!(
                "{}: its file is not to be seen (another user's process, or the kernel's own)",
                what()
            )
        })?;
        let exe = exe.to_string_lossy().into_owned();
        let deleted = exe.ends_with(" (deleted)");
        let path = exe.trim_end_matches(" (deleted)").to_owned();
        let args = fs::read(format!("{dir}/cmdline")).with_context(what)?;
        let args: Vec<String> = args
            .strip_suffix(&[0])
            .unwrap_or(&args)
            .split(|b| *b == 0)
            .map(|arg| String::from_utf8_lossy(arg).into_owned())
            .collect();
        let comm = fs::read(format!("{dir}/comm")).with_context(what)?;
        let cwd = fs::read_link(format!("{dir}/cwd")).ok();
        let mut exec = Exec {
            process: Process {
                pid,
                comm: String::from_utf8_lossy(comm.trim_ascii_end()).into_owned(),
                cwd: cwd
                    .map(|cwd| String::from_utf8_lossy(cwd.as_os_str().as_bytes()).into_owned()),
                invoked_as: path.clone(),
                args,
                namespaces: Namespaces {
                    mnt: file::mount_namespace(&format!("{dir}/ns/mnt")).unwrap_or_default(),
                    ..Namespaces::default()
                },
                exe: Executable {
                    memfd: path.starts_with("/memfd:"),
                    path,
                    deleted,
                    ..Executable::default()
                },
                ..Process::default()
            },
            ..Exec::default()
        };
        let opened = file::open(Path::new(&format!("{dir}/exe"))).with_context(what)?;
        self.reader.examine_open(&mut exec, &opened);
        Ok(answer(self.catalogue, format!("pid {pid}"), &exec.process))
    }

    /// A command line that nobody has run.
    pub(super) fn command(&self, words: &[String]) -> Answer {
        let program = self.catalogue.command_line(words);
        let server = self.catalogue.identify_program(&program).map(found);
        Answer {
            r#type: "identity",
            subject: detect::mask::arguments(words).join(" "),
            layers: program.layers.clone(),
            ladder: ladder(server.as_ref(), &Process::default()),
            server,
            content: None,
            sha256: None,
            build_id: None,
            package: None,
        }
    }
}

/// The words of a script's first line, if the file is a script.
fn shebang(file: &File) -> Result<Option<Vec<String>>> {
    let mut bytes = Vec::new();
    file.take(256).read_to_end(&mut bytes)?;
    let Some(line) = bytes.strip_prefix(b"#!") else {
        return Ok(None);
    };
    let line = String::from_utf8_lossy(line.split(|b| *b == b'\n').next().unwrap_or_default());
    // The kernel takes one interpreter and at most one argument.
    let line = line.trim();
    let (interpreter, argument) = line.split_once([' ', '\t']).unwrap_or((line, ""));
    let mut words = vec![interpreter.to_owned()];
    if !argument.trim().is_empty() {
        words.push(argument.trim().to_owned());
    }
    if interpreter.ends_with("/env") && words.len() > 1 {
        words.remove(0);
        let name = Path::new("/usr/bin").join(&words[0]);
        if name.is_file() {
            words[0] = name.to_string_lossy().into_owned();
        }
    }
    Ok((!interpreter.is_empty()).then_some(words))
}
