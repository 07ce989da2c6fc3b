//! What a process has mapped into its memory: the libraries it loaded, the program that a loader
//! brought in, the code that a packer left there.
//!
//! Looked at once a process that nobody recognised begins to listen: it has unpacked itself by
//! then. Only what it cannot write counts: its heap may hold anything, a web page about nginx too.

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use detect::content::{Scanner, Source};
use event::{Content, Mapped, SignKind};
use probe::home::proc;

use super::file::{self, FileSource};

/// Files and pieces of memory of one process that are looked at.
const MOST: usize = 512;
/// Bytes of memory without a file that are looked at.
const MOST_BYTES: u64 = 256 << 20;
/// Files whose content is remembered.
const REMEMBERED: usize = 1024;

/// What memory that belongs to no file is called.
pub(crate) const UNNAMED: &str = "[memory without a file]";

/// A file's identity as `stat` tells it.
type Key = (u64, u64, i64, i64, u64);

/// Looks into processes.
#[derive(Default)]
pub(crate) struct Memory {
    known: Mutex<HashMap<Key, Content>>,
}

/// One line of `/proc/PID/maps`.
struct Mapping {
    begin: u64,
    end: u64,
    executable: bool,
    writable: bool,
    readable: bool,
    /// Empty for memory without a file.
    path: String,
}

impl Memory {
    /// The web servers in what a process has mapped; of memory without a file, interpreters, too.
    pub(crate) fn servers(&self, scanner: &Scanner, pid: u32) -> Vec<Mapped> {
        let Ok(maps) = fs::read_to_string(proc(pid, "maps")) else {
            return Vec::new();
        };
        let mappings: Vec<Mapping> = maps.lines().filter_map(mapping).collect();
        let mut found = Vec::new();
        let mut add = |path: &str, content: Content| {
            if content.signs.iter().any(|sign| sign.kind == SignKind::Server) {
                found.push(Mapped { path: path.to_owned(), content });
            }
        };
        let mut files: BTreeMap<&str, &Mapping> = BTreeMap::new();
        for mapping in mappings.iter().filter(|m| m.executable && m.path.starts_with('/')) {
            files.entry(&mapping.path).or_insert(mapping);
        }
        for (path, mapping) in files.into_iter().take(MOST) {
            if let Some(content) = self.file(scanner, pid, mapping) {
                add(path, content);
            }
        }
        let bare = |m: &&Mapping| {
            let nobodys = m.path.is_empty() || m.path.starts_with("[anon");
            m.readable && !m.writable && nobodys
        };
        if let Ok(file) = File::open(proc(pid, "mem")) {
            let mut left = MOST_BYTES;
            let mut ranges = Vec::new();
            for mapping in mappings.iter().filter(bare).take(MOST) {
                let end = mapping.end.min(mapping.begin.saturating_add(left));
                left -= end.saturating_sub(mapping.begin);
                ranges.push(mapping.begin..end);
            }
            if !ranges.is_empty() {
                let content = scanner.scan_memory(&mut Pages(file), &ranges);
                if !content.signs.is_empty() {
                    found.push(Mapped { path: UNNAMED.to_owned(), content });
                }
            }
        }
        found
    }

    fn file(&self, scanner: &Scanner, pid: u32, mapping: &Mapping) -> Option<Content> {
        // The very file, whatever lies at its path by now; the path is the way without privileges.
        let link = proc(pid, &format!("map_files/{:x}-{:x}", mapping.begin, mapping.end));
        let by_path = || file::open(Path::new(&proc(pid, &format!("root{}", mapping.path))));
        let file = file::open(Path::new(&link)).or_else(|_| by_path()).ok()?;
        let meta = file.metadata().ok()?;
        let key = (meta.dev(), meta.ino(), meta.ctime(), meta.ctime_nsec(), meta.len());
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(content) = known.get(&key) {
            return Some(content.clone());
        }
        let content = scanner.scan(&mut FileSource::new(&file).ok()?).content;
        if known.len() >= REMEMBERED {
            known.clear();
        }
        known.insert(key, content.clone());
        Some(content)
    }
}

/// The memory of a process; a place in it is its address.
struct Pages(File);

impl Source for Pages {
    fn len(&self) -> u64 {
        u64::MAX
    }

    fn read_at(&mut self, offset: u64, into: &mut [u8]) -> Result<usize, String> {
        self.0.read_at(into, offset).map_err(|e| e.to_string())
    }
}

fn mapping(line: &str) -> Option<Mapping> {
    // 55d0c0a00000-55d0c0a02000 r--p 00000000 fe:00 1234      /usr/bin/x
    let mut fields = line.splitn(6, ' ');
    let (begin, end) = fields.next()?.split_once('-')?;
    let rights = fields.next()?;
    let path = fields.nth(3).unwrap_or_default().trim_start();
    Some(Mapping {
        begin: u64::from_str_radix(begin, 16).ok()?,
        end: u64::from_str_radix(end, 16).ok()?,
        readable: rights.starts_with('r'),
        writable: rights.contains('w'),
        executable: rights.contains('x'),
        path: path.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read_as_the_kernel_writes_them() {
        let line = "7f00a0000000-7f00a0021000 r-xp 00001000 fe:00 42     /opt/a b (deleted)";
        let m = mapping(line).unwrap();
        assert_eq!((m.begin, m.end), (0x7f00_a000_0000, 0x7f00_a002_1000));
        assert!(m.readable && m.executable && !m.writable);
        assert_eq!(m.path, "/opt/a b (deleted)");
        assert_eq!(mapping("7f00-7f01 rw-p 00000000 00:00 0 ").unwrap().path, "");
        assert!(mapping("rubbish").is_none());
    }
}
