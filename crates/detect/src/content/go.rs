//! Go's build information: which package a program was built from.
//!
//! The tool chain writes it into every program; it survives stripping and `-trimpath`. Since Go
//! 1.18 the texts follow the head; before that the head points to them.

use event::GoBuild;

use super::Source;
use super::elf::{Elf, word};

/// What the information begins with.
pub(crate) const MAGIC: &[u8] = b"\xff Go buildinf:";
/// Bytes of the head.
const HEAD: usize = 32;
/// More is not read: a large program has a few hundred dependencies.
const LONGEST: usize = 1 << 20;
/// What surrounds the text about modules.
const FENCE: usize = 16;

/// The information, with the modules it depends on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BuildInfo {
    pub(crate) build: GoBuild,
    pub(crate) dependencies: Vec<String>,
}

/// Reads the information whose magic is at this place of the file. `None` where there is no such
/// thing: the magic is a constant in Go's own tools.
pub(crate) fn read(source: &mut dyn Source, elf: &Elf, at: u64) -> Option<BuildInfo> {
    let head = take(source, at, HEAD)?;
    let (size, flags) = (*head.get(MAGIC.len())?, *head.get(MAGIC.len() + 1)?);
    let (version, modules) = if flags & 2 != 0 {
        let version_at = at.checked_add(HEAD as u64)?;
        let (version, next) = inline(source, version_at)?;
        let (modules, _) = inline(source, next).unwrap_or_default();
        (version, modules)
    } else {
        let width = if elf.wide { 8 } else { 4 };
        if usize::from(size) != width {
            return None;
        }
        let version = word(elf, head.get(16..)?)?;
        let modules = word(elf, head.get(16 + width..)?)?;
        (
            pointed(source, elf, version, width)?,
            pointed(source, elf, modules, width).unwrap_or_default(),
        )
    };
    let go = String::from_utf8(version).ok()?;
    if !go.starts_with("go") && !go.starts_with("devel") {
        return None;
    }
    Some(parse(go, &modules))
}

fn take(source: &mut dyn Source, at: u64, len: usize) -> Option<Vec<u8>> {
    let mut bytes = vec![0; len];
    let got = source.read_at(at, &mut bytes).ok()?;
    bytes.truncate(got);
    (got == len).then_some(bytes)
}

/// A text behind its length, and what follows it.
fn inline(source: &mut dyn Source, at: u64) -> Option<(Vec<u8>, u64)> {
    let mut bytes = vec![0; 10];
    let got = source.read_at(at, &mut bytes).ok()?;
    let mut len = 0_u64;
    for (i, byte) in bytes.get(..got)?.iter().enumerate().take(9) {
        len |= u64::from(byte & 0x7f) << (7 * i);
        if byte & 0x80 == 0 {
            let begin = at.checked_add(i as u64 + 1)?;
            let size = usize::try_from(len).ok().filter(|len| *len <= LONGEST)?;
            return Some((take(source, begin, size)?, begin.checked_add(len)?));
        }
    }
    None
}

/// A text that an address leads to, through Go's pair of address and length.
fn pointed(source: &mut dyn Source, elf: &Elf, address: u64, width: usize) -> Option<Vec<u8>> {
    let pair = take(source, elf.file_offset(address)?, 2 * width)?;
    let len = word(elf, pair.get(width..)?)?;
    let size = usize::try_from(len).ok().filter(|len| *len <= LONGEST)?;
    take(source, elf.file_offset(word(elf, &pair)?)?, size)
}

fn parse(go: String, modules: &[u8]) -> BuildInfo {
    let inside = modules.len().checked_sub(FENCE).and_then(|end| modules.get(FENCE..end));
    let text = String::from_utf8_lossy(inside.unwrap_or_default());
    let mut info =
        BuildInfo { build: GoBuild { go, ..GoBuild::default() }, dependencies: Vec::new() };
    for line in text.lines() {
        let mut fields = line.split('\t');
        let (what, name) = (fields.next(), fields.next());
        let name = name.unwrap_or_default().to_owned();
        match what {
            Some("path") => info.build.path = name,
            Some("mod") => {
                info.build.module = Some(name);
                let version = fields.next().filter(|v| v.starts_with('v'));
                info.build.version = version.map(|v| v[1..].to_owned());
            }
            Some("dep") => info.dependencies.push(name),
            _ => {}
        }
    }
    info
}

impl BuildInfo {
    /// The first of these packages that the program was built from.
    pub(crate) fn built_from<'p>(&self, packages: &'p [String]) -> Option<&'p String> {
        let below = |package: &str, path: &str| {
            path.strip_prefix(package).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        let own = |package: &&String| {
            below(package, &self.build.path)
                || self.build.module.as_deref().is_some_and(|module| {
                    // A module's path speaks for all its programs only where the catalogue
                    // names the module itself.
                    module == package.as_str()
                        || self.build.path.is_empty() && below(package, module)
                })
        };
        // A main package without a domain was made for this one build: `xcaddy`, `go run main.go`.
        let local = !self.build.path.split('/').next().unwrap_or_default().contains('.');
        packages.iter().find(own).or_else(|| {
            // The module itself, in any version: its client library is another one.
            let same = |package: &str, module: &str| {
                module.strip_prefix(package).is_some_and(|rest| {
                    rest.is_empty()
                        || rest.strip_prefix("/v").is_some_and(|v| v.parse::<u32>().is_ok())
                })
            };
            let depends = |package: &&String| self.dependencies.iter().any(|d| same(package, d));
            packages.iter().find(|package| local && depends(package))
        })
    }
}
