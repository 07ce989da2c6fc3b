//! Every program below a directory.

use std::fs::{self, File};
use std::io::{IsTerminal, Read};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::sync_channel;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use super::Answer;
use super::subject::Subjects;
use crate::sink;

/// How often progress is shown.
const PROGRESS: Duration = Duration::from_millis(200);

#[derive(Default)]
struct Tally {
    files: AtomicU64,
    programs: AtomicU64,
    bytes: AtomicU64,
}

/// Looks at every file below a directory that could be executed: ELF files, scripts, archives.
/// Links are not followed. Told are those that are a web server, or all.
pub(super) fn identify(
    subjects: &Subjects<'_>,
    dir: &Path,
    all: bool,
    show: &mut dyn FnMut(Result<Answer>) -> Result<()>,
) -> Result<()> {
    fs::read_dir(dir).with_context(|| format!("cannot look at {}", dir.display()))?;
    let started = Instant::now();
    let tally = Tally::default();
    let stop = AtomicBool::new(false);
    let workers = thread::available_parallelism().map_or(1, usize::from);
    let (paths, inbox) = sync_channel::<PathBuf>(1024);
    let inbox = Mutex::new(inbox);
    let (answers, results) = sync_channel::<Result<Answer>>(64);
    let mut servers = 0_u64;
    let mut broken = 0_u64;
    thread::scope(|scope| -> Result<()> {
        let (tally, stop, inbox) = (&tally, &stop, &inbox);
        let finders = answers.clone();
        scope.spawn(move || walk(dir, &paths, &finders, tally, stop));
        for _ in 0..workers {
            let answers = answers.clone();
            scope.spawn(move || {
                loop {
                    let next = inbox.lock().map_or(None, |inbox| inbox.recv().ok());
                    let Some(path) = next else { return };
                    if answers.send(subjects.file(&path)).is_err() {
                        return;
                    }
                }
            });
        }
        drop(answers);
        let mut shown = Instant::now();
        let terminal = std::io::stderr().is_terminal();
        for answer in results {
            match &answer {
                Ok(answer) => servers += u64::from(answer.server.is_some()),
                Err(_) => broken += 1,
            }
            let telling = answer.as_ref().map_or(true, |a| a.server.is_some() || all);
            if telling && let Err(error) = show(answer) {
                stop.store(true, Ordering::Relaxed);
                return Err(error);
            }
            if terminal && shown.elapsed() > PROGRESS {
                shown = Instant::now();
                let programs = tally.programs.load(Ordering::Relaxed);
                sink::progress(&format!("{programs} programs, {servers} web servers"));
            }
        }
        Ok(())
    })?;
    let count = |n: &AtomicU64| n.load(Ordering::Relaxed);
    let seconds = started.elapsed().as_secs_f64();
    sink::log(&format!(
        "{}: {} files, of them {} programs with {} MiB; {servers} web servers, {broken} could not be \
         read; {seconds:.1} s",
        dir.display(),
        count(&tally.files),
        count(&tally.programs),
        count(&tally.bytes) >> 20,
    ));
    Ok(())
}

/// Hands on every file that could be executed.
fn walk(
    dir: &Path,
    paths: &std::sync::mpsc::SyncSender<PathBuf>,
    errors: &std::sync::mpsc::SyncSender<Result<Answer>>,
    tally: &Tally,
    stop: &AtomicBool,
) {
    let mut dirs = vec![dir.to_path_buf()];
    while let Some(dir) = dirs.pop() {
        let entries = match fs::read_dir(&dir) {
            Ok(entries) => entries,
            Err(error) => {
                let what = format!("cannot look at {}", dir.display());
                let _ = errors.send(Err(anyhow::Error::from(error).context(what)));
                continue;
            }
        };
        let mut entries: Vec<_> = entries.flatten().collect();
        entries.sort_by_key(fs::DirEntry::file_name);
        for entry in entries {
            let Ok(kind) = entry.file_type() else { continue };
            if kind.is_dir() {
                dirs.push(entry.path());
            } else if kind.is_file() {
                tally.files.fetch_add(1, Ordering::Relaxed);
                let path = entry.path();
                match is_program(&path) {
                    Ok(Some(bytes)) => {
                        tally.programs.fetch_add(1, Ordering::Relaxed);
                        tally.bytes.fetch_add(bytes, Ordering::Relaxed);
                        if stop.load(Ordering::Relaxed) || paths.send(path).is_err() {
                            return;
                        }
                    }
                    Ok(None) => {}
                    Err(error) => {
                        let what = format!("cannot look at {}", path.display());
                        let _ = errors.send(Err(anyhow::Error::from(error).context(what)));
                    }
                }
            }
        }
    }
}

/// The size of a file, if it begins like something that can be executed.
fn is_program(path: &Path) -> std::io::Result<Option<u64>> {
    let file: File = crate::examine::file::open(path)?;
    let mut head = [0; 4];
    let mut got = 0;
    while got < head.len() {
        match (&file).read(&mut head[got..])? {
            0 => break,
            more => got += more,
        }
    }
    let head = &head[..got];
    let archive = head.starts_with(b"PK\x03\x04")
        && path.extension().is_some_and(|e| e == "jar" || e == "war" || e == "ear" || e == "pyz");
    let program = head.starts_with(b"\x7fELF")
        || head.starts_with(b"#!")
        || archive
        || head.starts_with(b"MZqF");
    Ok(if program { Some(file.metadata()?.len()) } else { None })
}
