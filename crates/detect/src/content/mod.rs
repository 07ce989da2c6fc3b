//! What is in a file: the rung of identification that renaming cannot defeat.
//!
//! Bytes in, facts out ([`event::Content`]). Where the bytes come from (a file, a process's
//! memory, a test) is the caller's business: see [`Source`].

mod archive;
mod elf;
mod go;
mod packed;
mod script;
mod signature;
mod texts;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use event::{Content, FileKind, Sign, SignKind};

use crate::catalogue::Catalogue;
use elf::Elf;
pub use signature::Signature;
use texts::Texts;

/// Bytes that are read at a time.
const CHUNK: usize = 256 << 10;
/// More of one file is not read: the largest server known has 190 MB.
pub const LARGEST: u64 = 1 << 30;
/// More of a script is not read.
const LARGEST_SCRIPT: u64 = 4 << 20;
/// What stands before crates in the paths that Rust's panics carry.
const CRATES: &[u8] = b"/cargo/registry/";
/// How far behind it the crate's name can be.
const CRATE_PATH: usize = 160;
/// A version has at most as many bytes.
const VERSION: usize = 32;

/// Bytes to look at.
pub trait Source {
    /// How many there are.
    fn len(&self) -> u64;
    /// Whether there are none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// Reads as many as there are from this place on, up to what fits. An error says why not.
    fn read_at(&mut self, offset: u64, into: &mut [u8]) -> Result<usize, String>;
}

impl Source for &[u8] {
    fn len(&self) -> u64 {
        <[u8]>::len(self) as u64
    }

    fn read_at(&mut self, offset: u64, into: &mut [u8]) -> Result<usize, String> {
        let rest = usize::try_from(offset).ok().and_then(|at| self.get(at..)).unwrap_or_default();
        let count = rest.len().min(into.len());
        into[..count].copy_from_slice(&rest[..count]);
        Ok(count)
    }
}

/// What was found in a file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Scan {
    /// What it contains.
    pub content: Content,
    /// Its GNU build id, in hexadecimal.
    pub build_id: Option<String>,
    /// How many bytes were read.
    pub bytes: u64,
}

/// Looks for everything that the catalogue knows, in one pass over a file.
#[derive(Debug, Clone)]
pub struct Scanner {
    texts: Texts,
    /// What each text stands for; several programs may share one.
    marks: Vec<Vec<Mark>>,
    programs: Vec<Known>,
    by_server: BTreeMap<String, usize>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mark {
    /// A text of this program.
    Literal { program: usize, literal: usize },
    /// Go's build information begins.
    Go,
    /// The path of a Rust crate follows.
    Crate,
    /// The packer's own name.
    Upx,
}

/// A program that the catalogue knows by its content.
#[derive(Debug, Clone)]
struct Known {
    kind: SignKind,
    name: String,
    signature: Signature,
    hosted: bool,
}

/// What a pass over the bytes brought.
#[derive(Debug, Default)]
struct Findings {
    literals: BTreeMap<usize, BTreeSet<usize>>,
    go_at: Vec<u64>,
    crates: BTreeMap<String, String>,
    upx: bool,
    bytes: u64,
    problem: Option<String>,
}

/// What a program's file tells of its making.
#[derive(Debug, Clone, Copy, Default)]
struct About<'f> {
    go: Option<&'f go::BuildInfo>,
    build_id: Option<&'f str>,
}

impl Scanner {
    /// A scanner for every program of the catalogue.
    pub fn new(catalogue: &Catalogue) -> Self {
        let mut programs = Vec::new();
        let mut add = |kind, name: &str, signature: &Option<Signature>, hosted| {
            if let Some(signature) = signature {
                let signature = signature.clone();
                programs.push(Known { kind, name: name.to_owned(), signature, hosted });
            }
        };
        for server in &catalogue.servers {
            add(SignKind::Server, server.name(), &server.content, server.runtime.is_some());
        }
        for runtime in &catalogue.unwrap.runtimes {
            add(SignKind::Runtime, &runtime.name, &runtime.content, false);
        }
        for multicall in &catalogue.unwrap.multicall {
            add(SignKind::Multicall, &multicall.name, &multicall.content, false);
        }
        for loader in &catalogue.unwrap.loaders {
            add(SignKind::Loader, &loader.name, &loader.content, false);
        }
        let mut texts: Vec<Vec<u8>> = Vec::new();
        let mut marks: Vec<Vec<Mark>> = Vec::new();
        let mut places: BTreeMap<Vec<u8>, usize> = BTreeMap::new();
        let mut mark = |text: &[u8], mark| {
            let place = *places.entry(text.to_vec()).or_insert_with(|| {
                texts.push(text.to_vec());
                marks.push(Vec::new());
                marks.len() - 1
            });
            marks[place].push(mark);
        };
        mark(go::MAGIC, Mark::Go);
        mark(CRATES, Mark::Crate);
        mark(packed::UPX_TEXT, Mark::Upx);
        for (program, known) in programs.iter().enumerate() {
            for (literal, text) in known.signature.literals.iter().enumerate() {
                mark(text.as_bytes(), Mark::Literal { program, literal });
            }
        }
        let by_server = programs
            .iter()
            .enumerate()
            .filter(|(_, known)| known.kind == SignKind::Server)
            .map(|(i, known)| (known.name.clone(), i))
            .collect();
        Self { texts: Texts::new(&texts), marks, programs, by_server }
    }

    /// Looks at a whole file.
    pub fn scan(&self, source: &mut dyn Source) -> Scan {
        let mut head = [0; 4096];
        let head = match source.read_at(0, &mut head) {
            Ok(got) => &head[..got],
            Err(problem) => {
                let content = Content { problem: Some(problem), ..Content::default() };
                return Scan { content, ..Scan::default() };
            }
        };
        if elf::is_elf(head) {
            return self.scan_elf(source, head);
        }
        let mut scan = Scan::default();
        let mut range = 0..source.len();
        if head.starts_with(b"#!") {
            scan.content.kind = FileKind::Script;
            range.end = range.end.min(LARGEST_SCRIPT);
        } else if archive::is_archive(head) {
            scan.content.kind = FileKind::Archive;
            match archive::directory(source) {
                Ok(directory) => range = directory,
                Err(problem) => scan.content.problem = Some(problem),
            }
        }
        let ranges = std::slice::from_ref(&range);
        let findings = self.look(source, ranges);
        scan.bytes = findings.bytes;
        scan.content.problem = scan.content.problem.or_else(|| findings.problem.clone());
        scan.content.signs = self.signs(&findings, About::default(), source, ranges);
        scan
    }

    fn scan_elf(&self, source: &mut dyn Source, head: &[u8]) -> Scan {
        // What the headers do not tell, the whole file still may.
        let elf = Elf::read(source)
            .unwrap_or_else(|problem| Elf { problem: Some(problem), ..Elf::default() });
        let mut ranges = elf.ranges();
        if ranges.is_empty() {
            ranges.push(0..source.len());
        }
        let findings = self.look(source, &ranges);
        let go = findings.go_at.iter().find_map(|at| go::read(source, &elf, *at));
        let packed = packed::by_whom(source, &elf, head, findings.upx);
        let about = About { go: go.as_ref(), build_id: elf.build_id.as_deref() };
        let signs = self.signs(&findings, about, source, &ranges);
        Scan {
            bytes: findings.bytes,
            content: Content {
                kind: if elf.library { FileKind::Library } else { FileKind::Elf },
                problem: both(elf.problem, findings.problem),
                packed,
                go: go.map(|info| info.build),
                signs,
            },
            build_id: elf.build_id,
        }
    }

    /// Looks at parts of a process's memory: what a packer left there once it was done.
    pub fn scan_memory(&self, source: &mut dyn Source, ranges: &[Range<u64>]) -> Content {
        let findings = self.look(source, ranges);
        let signs = self.signs(&findings, About::default(), source, ranges);
        Content { kind: FileKind::Other, signs, problem: findings.problem, ..Content::default() }
    }

    /// One pass over the bytes.
    fn look(&self, source: &mut dyn Source, ranges: &[Range<u64>]) -> Findings {
        let mut findings = Findings::default();
        let overlap = self.texts.overlap().max(CRATE_PATH);
        let mut buffer = vec![0; CHUNK + overlap];
        for range in ranges {
            let mut at = range.start;
            while at < range.end {
                if findings.bytes >= LARGEST {
                    findings.problem =
                        Some(format!("only the first {} MiB were read", LARGEST >> 20));
                    return findings;
                }
                let want = usize::try_from(range.end - at).unwrap_or(usize::MAX);
                let want = want.min(buffer.len());
                let got = match source.read_at(at, &mut buffer[..want]) {
                    Ok(got) => got,
                    Err(problem) => {
                        findings.problem = Some(problem);
                        break;
                    }
                };
                self.note(&buffer[..got], at, &mut findings);
                findings.bytes += got.min(CHUNK) as u64;
                if got < want {
                    findings.problem =
                        Some(format!("it ends at {}, before it should", at + got as u64));
                    break;
                }
                if got <= CHUNK {
                    break;
                }
                at += CHUNK as u64;
            }
        }
        findings
    }

    fn note(&self, bytes: &[u8], at: u64, findings: &mut Findings) {
        self.texts.find(bytes, |text, end| {
            for mark in &self.marks[text] {
                match *mark {
                    Mark::Literal { program, literal } => {
                        findings.literals.entry(program).or_default().insert(literal);
                    }
                    Mark::Go => {
                        let begin = at + (end - go::MAGIC.len()) as u64;
                        if findings.go_at.len() < 64 && !findings.go_at.contains(&begin) {
                            findings.go_at.push(begin);
                        }
                    }
                    Mark::Crate => {
                        if let Some((name, version)) = crate_of(&bytes[end..])
                            && findings.crates.len() < 4096
                        {
                            findings.crates.insert(name, version);
                        }
                    }
                    Mark::Upx => findings.upx = true,
                }
            }
        });
    }

    /// The programs that the findings speak for.
    fn signs(
        &self,
        findings: &Findings,
        about: About<'_>,
        source: &mut dyn Source,
        ranges: &[Range<u64>],
    ) -> Vec<Sign> {
        let own: Vec<Option<Sign>> =
            (0..self.programs.len()).map(|i| self.own_sign(i, findings, about)).collect();
        let shown = |i: usize| own[i].is_some() && self.stands_on(i, &own, 0);
        let mut signs: Vec<Sign> =
            (0..own.len()).filter(|i| shown(*i)).filter_map(|i| own[i].clone()).collect();
        // One file can hold the texts of every program there is: they share what may be read.
        let mut budget = LARGEST;
        for sign in &mut signs {
            let known = self.programs.iter().find(|k| k.kind == sign.kind && k.name == sign.name);
            let prefixes = known.map_or(&[][..], |known| &known.signature.version);
            if sign.version.is_none() && !prefixes.is_empty() {
                sign.version = version_behind(source, ranges, prefixes, &mut budget);
            }
        }
        signs
    }

    fn own_sign(&self, program: usize, findings: &Findings, about: About<'_>) -> Option<Sign> {
        let known = &self.programs[program];
        let signature = &known.signature;
        let mut sign =
            Sign { kind: known.kind, name: known.name.clone(), found: Vec::new(), version: None };
        if let Some(info) = about.go
            && let Some(package) = info.built_from(&signature.go)
        {
            sign.found.push(format!("built from the Go package {package}"));
            let main = info.build.module.as_deref();
            let whose =
                main.is_some_and(|m| package.starts_with(m) || m.starts_with(package.as_str()));
            sign.version = info.build.version.clone().filter(|_| whose);
        }
        for name in &signature.crates {
            if let Some(version) = findings.crates.get(name) {
                sign.found.push(format!("built from the Rust crate {name} {version}"));
                sign.version = Some(version.clone());
            }
        }
        if let Some(id) = about.build_id
            && signature.build_ids.iter().any(|known| known == id)
        {
            sign.found.push(format!("GNU build id {id}"));
        }
        let built = !sign.found.is_empty();
        if let Some(literals) = findings.literals.get(&program)
            && (built || literals.len() >= signature.least(known.hosted))
        {
            sign.found.extend(literals.iter().map(|&i| signature.literals[i].clone()));
        }
        (!sign.found.is_empty()).then_some(sign)
    }

    /// Whether the program that this one is built on is there as well.
    fn stands_on(&self, program: usize, own: &[Option<Sign>], depth: usize) -> bool {
        let Some(base) = &self.programs[program].signature.of else {
            return true;
        };
        self.by_server.get(base).is_some_and(|&base| {
            let there = own[base].is_some() || !self.programs[base].signature.has_own();
            depth < 8 && there && self.stands_on(base, own, depth + 1)
        })
    }
}

fn both(one: Option<String>, other: Option<String>) -> Option<String> {
    match (one, other) {
        (Some(one), Some(other)) => Some(format!("{one}; {other}")),
        (one, other) => one.or(other),
    }
}

/// The crate whose path follows: `…/hyper-1.4.1/src/…`.
fn crate_of(bytes: &[u8]) -> Option<(String, String)> {
    let path = bytes.get(..bytes.len().min(CRATE_PATH))?;
    let mut parts = path.split(|b| *b == b'/');
    for _ in 0..3 {
        let part = std::str::from_utf8(parts.next()?).ok()?;
        let cut = part
            .bytes()
            .zip(part.bytes().skip(1))
            .position(|(dash, digit)| dash == b'-' && digit.is_ascii_digit());
        let Some(cut) = cut else { continue };
        let (name, version) = (&part[..cut], &part[cut + 1..]);
        if !version.contains('.') {
            continue; // `index.crates.io-6f17d22bba15001f`
        }
        let plain = |text: &str| text.bytes().all(|b| b.is_ascii_graphic());
        return (plain(name) && plain(version) && !name.is_empty())
            .then(|| (name.to_owned(), version.to_owned()));
    }
    None
}

/// The number behind one of these texts. What is read goes off the budget.
fn version_behind(
    source: &mut dyn Source,
    ranges: &[Range<u64>],
    prefixes: &[String],
    budget: &mut u64,
) -> Option<String> {
    let finders: Vec<_> =
        prefixes.iter().map(|p| memchr::memmem::Finder::new(p.as_bytes())).collect();
    let overlap = prefixes.iter().map(String::len).max()? + VERSION;
    let mut buffer = vec![0; CHUNK + overlap];
    let mut best = None;
    for range in ranges {
        let mut at = range.start;
        while at < range.end && *budget > 0 {
            let want = usize::try_from(range.end - at).unwrap_or(usize::MAX).min(buffer.len());
            let got = source.read_at(at, &mut buffer[..want]).ok()?;
            let bytes = &buffer[..got];
            *budget = budget.saturating_sub(got.min(CHUNK) as u64);
            for (finder, prefix) in finders.iter().zip(prefixes) {
                let found =
                    finder.find_iter(bytes).filter_map(|i| version(&bytes[i + prefix.len()..]));
                // A file may also hold it cut short: `2.4` beside `2.4.62`.
                for version in found {
                    if best.as_ref().is_none_or(|best: &String| version.len() > best.len()) {
                        best = Some(version);
                    }
                }
            }
            if got <= CHUNK {
                break;
            }
            at += CHUNK as u64;
        }
    }
    best
}

/// A version at the beginning of these bytes: digits, and a dot somewhere.
fn version(bytes: &[u8]) -> Option<String> {
    let good =
        |b: &&u8| b.is_ascii_alphanumeric() || matches!(**b, b'.' | b'-' | b'+' | b'~' | b'_');
    let len = bytes.iter().take(VERSION).take_while(good).count();
    let text = std::str::from_utf8(&bytes[..len]).ok()?.trim_end_matches(['.', '-', '+', '_']);
    let begins = text.starts_with(|c: char| c.is_ascii_digit());
    (begins && text.contains('.')).then(|| text.to_owned())
}
