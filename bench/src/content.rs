//! How fast files are read, and how seldom that happens.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use detect::catalogue::Catalogue;
use detect::content::{Scanner, Source};

use crate::scratch::Scratch;
use crate::sensor::Picket;
use crate::stats::Sample;

/// The size that the goal speaks of.
pub(crate) const GO_MIB: u64 = 50;
/// Bytes over which the memory's speed is measured: more than any cache holds.
const MEMORY: usize = 256 << 20;

/// What was measured.
pub(crate) struct Reading {
    /// Bytes a second of the content scan, page cache warm.
    pub(crate) scan: Sample,
    /// Bytes a second of adding up memory, in one thread.
    pub(crate) memory: Sample,
    /// Milliseconds for a Go program of `GO_MIB`.
    pub(crate) go: Sample,
    /// The program that was read.
    pub(crate) program: PathBuf,
    pub(crate) program_bytes: u64,
    /// Texts that are looked for.
    pub(crate) servers: usize,
    pub(crate) compile: Compile,
}

/// A compile job under picket.
pub(crate) struct Compile {
    pub(crate) executions: u64,
    pub(crate) crossed: u64,
}

struct Bytes(File, u64);

impl Source for Bytes {
    fn len(&self) -> u64 {
        self.1
    }

    fn read_at(&mut self, offset: u64, into: &mut [u8]) -> Result<usize, String> {
        self.0.read_at(into, offset).map_err(|e| e.to_string())
    }
}

/// A file to be read.
pub(crate) fn open(path: &Path) -> Result<impl Source + use<>> {
    let file = File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
    let len = file.metadata()?.len();
    Ok(Bytes(file, len))
}

pub(crate) fn measure(picket: &Picket, scratch: &Scratch, times: u32) -> Result<Reading> {
    let catalogue = catalogue(None)?;
    let servers = catalogue.servers.iter().filter(|s| s.content.is_some()).count();
    let scanner = Scanner::new(&catalogue);
    let (program, program_bytes) = largest_program()?;
    let mut source = open(&program)?;
    scanner.scan(&mut source); // into the page cache
    let mut rates = Vec::new();
    for _ in 0..times {
        let begin = Instant::now();
        let scan = scanner.scan(&mut source);
        rates.push(rate(scan.bytes, begin));
    }
    let go = go_program(scratch, &program)?;
    let mut source = open(&go)?;
    let first = scanner.scan(&mut source);
    ensure!(first.content.go.is_some(), "the Go program is not seen as one");
    let mut millis = Vec::new();
    for _ in 0..times {
        let begin = Instant::now();
        scanner.scan(&mut source);
        millis.push(begin.elapsed().as_secs_f64() * 1e3);
    }
    fs::remove_file(&go).context("cannot remove the Go program")?;
    Ok(Reading {
        scan: Sample::new(rates),
        memory: Sample::new(memory(times)),
        go: Sample::new(millis),
        program,
        program_bytes,
        servers,
        compile: compile(picket, scratch, times * 20)?,
    })
}

#[expect(clippy::cast_precision_loss, reason = "bytes of a file")]
pub(crate) fn rate(bytes: u64, begin: Instant) -> f64 {
    bytes as f64 / begin.elapsed().as_secs_f64()
}

/// Adding up memory: as fast as one thread can look at every byte.
fn memory(times: u32) -> Vec<f64> {
    let words: Vec<u64> = (0..(MEMORY / 8) as u64).collect();
    (0..times)
        .map(|_| {
            let begin = Instant::now();
            let sum = words.iter().fold(0_u64, |sum, word| sum.wrapping_add(*word));
            std::hint::black_box(sum);
            rate(MEMORY as u64, begin)
        })
        .collect()
}

/// The catalogue of this repository, and a further file of it.
pub(crate) fn catalogue(further: Option<(String, String)>) -> Result<Catalogue> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../catalogue");
    let mut files: Vec<_> = further.into_iter().collect();
    for entry in fs::read_dir(&dir).context("cannot list the catalogue")? {
        let path = entry?.path();
        files.push((path.display().to_string(), fs::read_to_string(&path)?));
    }
    let (catalogue, errors) =
        Catalogue::parse(files.iter().map(|(path, text)| (path.as_str(), text.as_str())));
    ensure!(errors.is_empty(), "the catalogue is broken: {}", errors[0]);
    Ok(catalogue)
}

/// The largest program of this machine: large ones take long.
pub(crate) fn largest_program() -> Result<(PathBuf, u64)> {
    let mut largest = (PathBuf::new(), 0);
    for dir in ["/usr/bin", "/usr/sbin", "/usr/local/bin"] {
        for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
            let Ok(meta) = entry.metadata() else { continue };
            let elf = || {
                File::open(entry.path()).is_ok_and(|file| {
                    let mut head = [0; 4];
                    file.read_at(&mut head, 0).is_ok() && head == *b"\x7fELF"
                })
            };
            if meta.is_file() && meta.len() > largest.1 && elf() {
                largest = (entry.path(), meta.len());
            }
        }
    }
    ensure!(largest.1 > 0, "no program to read was found");
    Ok(largest)
}

/// A Go program of the size that the goal speaks of: build information as Go's linker writes it,
/// in front of real code and data, all of it loaded.
fn go_program(scratch: &Scratch, filling: &Path) -> Result<PathBuf> {
    let size = GO_MIB << 20;
    let mut bytes = vec![0; 120];
    bytes[..7].copy_from_slice(b"\x7fELF\x02\x01\x01");
    for (at, value, len) in [
        (16, 2, 2),
        (18, 62, 2),
        (20, 1, 4),
        (32, 64, 8),
        (52, 64, 2),
        (54, 56, 2),
        (56, 1, 2),
        (64, 1, 4),
        (68, 4, 4),
        (96, size, 8),
        (104, size, 8),
    ] {
        bytes[at..at + len].copy_from_slice(&u64::to_le_bytes(value)[..len]);
    }
    bytes.resize(128, 0);
    bytes.extend(b"\xff Go buildinf:\x08\x02");
    bytes.resize(160, 0);
    let modules = format!(
        "{0}path\texample.com/server\nmod\texample.com/server\tv1.0.0\n{0}",
        "0".repeat(16)
    );
    bytes.push(8);
    bytes.extend(b"go1.24.1");
    bytes.push(u8::try_from(modules.len()).context("short")?);
    bytes.extend(modules.as_bytes());
    let filling = fs::read(filling).context("cannot read a program")?;
    let size = usize::try_from(size).context("small")?;
    while bytes.len() < size {
        let more = filling.len().min(size - bytes.len());
        bytes.extend(&filling[..more]);
    }
    let path = scratch.path("go-program");
    fs::write(&path, bytes).context("cannot write a program")?;
    Ok(path)
}

/// Compiles one file after another, and asks picket how many executions reached it.
fn compile(picket: &Picket, scratch: &Scratch, times: u32) -> Result<Compile> {
    let source = scratch.path("file.c");
    fs::write(&source, "#include <stdio.h>\nint f(int n) { return printf(\"%d\\n\", n); }\n")
        .context("cannot write a source file")?;
    let object = scratch.path("file.o");
    let job = |times: u32| -> Result<()> {
        for _ in 0..times {
            let status = Command::new("gcc")
                .arg("-c")
                .arg(&source)
                .arg("-o")
                .arg(&object)
                .stdin(Stdio::null())
                .status()
                .context("cannot start gcc")?;
            ensure!(status.success(), "gcc ended with {status}");
        }
        Ok(())
    };
    let sensor = picket.launch()?;
    job(times)?;
    let coverage = sensor.finish()?.coverage;
    Ok(Compile { executions: coverage.seen, crossed: coverage.crossed })
}
