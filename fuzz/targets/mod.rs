//! One target for each parser of bytes from outside.

mod archive;
mod arguments;
mod baseline;
mod catalogue;
mod elf;
mod exceptions;
pub mod go;
mod import;
mod mask;
mod recipe;
mod recording;
mod scan;
mod unwrap;
mod when;
mod wire;

use detect::content::Source;

/// A parser, and how it is fed.
#[derive(Debug)]
pub struct Target {
    /// Its name, and that of its corpus and dictionary.
    pub name: &'static str,
    /// Feeds it. Panics where what must hold does not.
    pub run: fn(&[u8]),
    /// No input is longer.
    pub longest: usize,
    /// How many changes the bounded run tries.
    pub mutations: usize,
}

const fn target(name: &'static str, run: fn(&[u8]), longest: usize, mutations: usize) -> Target {
    Target { name, run, longest, mutations }
}

/// All targets.
pub const ALL: &[Target] = &[
    target("archive", archive::run, 16 << 10, 30_000),
    target("arguments", arguments::run, 8 << 10, 50_000),
    target("baseline", baseline::run, 16 << 10, 15_000),
    target("catalogue", catalogue::run, 16 << 10, 10_000),
    target("elf", elf::run, 64 << 10, 30_000),
    target("exceptions", exceptions::run, 16 << 10, 15_000),
    target("go", go::run, 8 << 10, 100_000),
    target("import", import::run, 16 << 10, 10_000),
    target("mask", mask::run, 4 << 10, 20_000),
    target("recipe", recipe::run, 16 << 10, 20_000),
    target("recording", recording::run, 16 << 10, 50_000),
    target("scan", scan::run, 4 << 10, 2_500),
    target("unwrap", unwrap::run, 8 << 10, 80_000),
    target("when", when::run, 4 << 10, 30_000),
    target("wire", wire::run, 16 << 10, 300_000),
];

/// The target of this name.
pub fn find(name: &str) -> Option<&'static Target> {
    ALL.iter().find(|target| target.name == name)
}

/// Parts of an input, parted by NUL as arguments are in memory.
fn parts(data: &[u8]) -> Vec<String> {
    data.split(|b| *b == 0).map(|part| String::from_utf8_lossy(part).into_owned()).collect()
}

/// A file's bytes, and how many of them were handed out.
#[derive(Debug, Clone)]
struct Counted<'b> {
    bytes: &'b [u8],
    given: u64,
}

impl<'b> Counted<'b> {
    fn new(bytes: &'b [u8]) -> Self {
        Self { bytes, given: 0 }
    }
}

impl Source for Counted<'_> {
    fn len(&self) -> u64 {
        Source::len(&self.bytes)
    }

    fn read_at(&mut self, offset: u64, into: &mut [u8]) -> Result<usize, String> {
        let count = self.bytes.read_at(offset, into)?;
        self.given += count as u64;
        Ok(count)
    }
}
