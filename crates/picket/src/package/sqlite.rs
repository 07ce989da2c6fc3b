//! Reads rows out of an SQLite file that somebody else may have made, as far as an rpm database
//! needs it: one row by its number, rows by an index on text.
//!
//! SQLite itself cannot be had for this. It takes a path, not an open file, and it resolves
//! symbolic links as text, so that it reads `/proc/PID/root/var/lib/rpm/rpmdb.sqlite` from this
//! machine's own directories and not the container's. What is here looks at a handful of pages,
//! writes nothing, and has the format at <https://sqlite.org/fileformat2.html>.
//!
//! Pages that were committed to the write-ahead log only are read from there. A rollback journal,
//! which rpm uses only where it cannot have that log, is not looked at.

use std::cell::Cell;
use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Error, ErrorKind};
use std::os::unix::fs::{FileExt, MetadataExt};

/// What one lookup may read.
const ALL: u64 = 256 << 20;
/// The largest row: rpm itself takes none with a larger header for sane.
const LARGEST_ROW: usize = 64 << 20;
/// rpm moves its log into the database every 40 MB.
const LARGEST_LOG: u64 = 256 << 20;
/// Trees are no deeper: each level multiplies the rows.
const DEEPEST: u32 = 20;
/// A page costs something even if it is small.
const SMALLEST_COST: u64 = 4096;

const INDEX_INNER: u8 = 2;
const TABLE_INNER: u8 = 5;
const INDEX_LEAF: u8 = 10;
const TABLE_LEAF: u8 = 13;

/// An open database.
pub(super) struct Database {
    file: File,
    log: Option<Log>,
    page_size: usize,
    /// What of a page has content.
    usable: usize,
    left: Cell<u64>,
    stamp: Stamp,
}

/// The committed pages of a write-ahead log, and where they are.
struct Log {
    file: File,
    pages: HashMap<u32, u64>,
}

/// What changes when pages are moved from the log into the database.
#[derive(PartialEq, Eq)]
struct Stamp {
    changed: (i64, i64),
    size: u64,
    log: [u8; 32],
}

/// A column's value, as far as it matters here.
#[derive(Debug, PartialEq, Eq, Clone, Copy)]
pub(super) enum Value<'r> {
    Integer(i64),
    Text(&'r [u8]),
    Blob(&'r [u8]),
    /// NULL or a floating-point number.
    Other,
}

/// A cell of a page.
struct Entry<'p> {
    /// The page of what comes before, in an inner page.
    left: u32,
    /// The row's number, in a table.
    number: i64,
    /// Size of the row, and what follows on this page.
    row: Option<(usize, &'p [u8])>,
}

fn damaged(what: &str) -> Error {
    Error::new(ErrorKind::InvalidData, format!("not a sound SQLite database: {what}"))
}

impl Database {
    /// `log` is the write-ahead log beside it, if there is one.
    pub(super) fn open(file: File, log: Option<File>) -> io::Result<Self> {
        let stamp = Stamp::of(&file, log.as_ref())?;
        let mut head = [0; 100];
        file.read_exact_at(&mut head, 0).map_err(|_| damaged("shorter than its header"))?;
        if !head.starts_with(b"SQLite format 3\0") {
            return Err(damaged("it does not begin like one"));
        }
        // 1 stands for 65536.
        let page_size = match number(&head, 16, 2)? {
            1 => 65536,
            size @ 512..=32768 if size.is_power_of_two() => size,
            _ => return Err(damaged("size of its pages")),
        };
        let usable = page_size - usize::from(head[20]);
        if usable < 480 {
            return Err(damaged("nothing of its pages is used"));
        }
        if number(&head, 56, 4)? > 1 {
            return Err(damaged("its text is not UTF-8"));
        }
        // 2 stands for a write-ahead log; without, one that lies about is a leftover.
        let log = if head[19] == 2 { log } else { None };
        let log = log.map(|log| Log::read(log, page_size)).transpose()?.flatten();
        Ok(Self { file, log, page_size, usable, left: Cell::new(ALL), stamp })
    }

    /// Whether pages were moved since it was opened, so that what was read may not fit together.
    pub(super) fn has_changed(&self) -> io::Result<bool> {
        let log = self.log.as_ref().map(|log| &log.file);
        let now = Stamp::of(&self.file, log)?;
        // A log that was empty and no longer is moves nothing.
        Ok((now.changed, now.size) != (self.stamp.changed, self.stamp.size)
            || (log.is_some() && now.log != self.stamp.log))
    }

    /// The first page of the tree of a table or index.
    pub(super) fn root_of(&self, kind: &str, name: &str) -> io::Result<Option<u32>> {
        let mut found = None;
        self.each_row(1, 0, &mut |row| {
            let values = values(row)?;
            if let [Value::Text(a), Value::Text(b), _, Value::Integer(page), ..] = values[..]
                && a == kind.as_bytes()
                && b == name.as_bytes()
            {
                found = u32::try_from(page).ok();
            }
            Ok(())
        })?;
        Ok(found)
    }

    /// The row of a table with this number.
    pub(super) fn row(&self, root: u32, wanted: i64) -> io::Result<Option<Vec<u8>>> {
        let mut number = root;
        for _ in 0..DEEPEST {
            let page = self.page(number)?;
            let mut next = None;
            for cell in page.cells()? {
                let cell = page.cell(cell)?;
                if cell.number < wanted {
                    continue;
                }
                match cell.row {
                    Some(row) if cell.number == wanted => return self.whole(row, false).map(Some),
                    Some(_) => return Ok(None),
                    None => next = Some(cell.left),
                }
                break;
            }
            match (page.kind, next) {
                (TABLE_INNER, Some(left)) => number = left,
                (TABLE_INNER, None) => number = page.right()?,
                (TABLE_LEAF, _) => return Ok(None),
                _ => return Err(damaged("a page of another kind in a table")),
            }
        }
        Err(damaged("a tree without end"))
    }

    /// Numbers of the rows that an index has under a text, at most so many.
    pub(super) fn rows_of(&self, root: u32, key: &[u8], most: usize) -> io::Result<Vec<i64>> {
        let mut rows = Vec::new();
        self.search(root, 0, key, &mut |row| {
            if rows.len() >= most {
                return Err(Error::other(format!("more than {most} files of this name")));
            }
            rows.push(row);
            Ok(())
        })?;
        Ok(rows)
    }

    fn search(
        &self,
        number: u32,
        depth: u32,
        key: &[u8],
        found: &mut dyn FnMut(i64) -> io::Result<()>,
    ) -> io::Result<()> {
        if depth > DEEPEST {
            return Err(damaged("a tree without end"));
        }
        let page = self.page(number)?;
        if page.kind != INDEX_INNER && page.kind != INDEX_LEAF {
            return Err(damaged("a page of another kind in an index"));
        }
        for cell in page.cells()? {
            let cell = page.cell(cell)?;
            let row = cell.row.ok_or_else(|| damaged("an entry of an index without a key"))?;
            let row = self.whole(row, true)?;
            let values = values(&row)?;
            let order = match values.first() {
                Some(Value::Text(text)) => (*text).cmp(key),
                Some(Value::Blob(_)) => std::cmp::Ordering::Greater,
                _ => std::cmp::Ordering::Less,
            };
            if order.is_lt() {
                continue;
            }
            if page.kind == INDEX_INNER {
                self.search(cell.left, depth + 1, key, found)?;
            }
            if order.is_gt() {
                return Ok(());
            }
            match values.last() {
                Some(Value::Integer(row)) => found(*row)?,
                _ => return Err(damaged("an entry of an index without a row")),
            }
        }
        if page.kind == INDEX_INNER {
            self.search(page.right()?, depth + 1, key, found)?;
        }
        Ok(())
    }

    fn each_row(
        &self,
        number: u32,
        depth: u32,
        each: &mut dyn FnMut(&[u8]) -> io::Result<()>,
    ) -> io::Result<()> {
        if depth > DEEPEST {
            return Err(damaged("a tree without end"));
        }
        let page = self.page(number)?;
        if page.kind != TABLE_INNER && page.kind != TABLE_LEAF {
            return Err(damaged("a page of another kind in a table"));
        }
        for cell in page.cells()? {
            let cell = page.cell(cell)?;
            match cell.row {
                Some(row) => each(&self.whole(row, false)?)?,
                None => self.each_row(cell.left, depth + 1, each)?,
            }
        }
        if page.kind == TABLE_INNER {
            self.each_row(page.right()?, depth + 1, each)?;
        }
        Ok(())
    }

    fn page(&self, number: u32) -> io::Result<Page> {
        // The first page begins with the header of the file.
        let start = if number == 1 { 100 } else { 0 };
        let bytes = self.bytes(number)?;
        let kind = bytes[start];
        Ok(Page { bytes, start, kind, usable: self.usable })
    }

    fn bytes(&self, number: u32) -> io::Result<Vec<u8>> {
        let cost = SMALLEST_COST.max(self.page_size as u64);
        let left = self.left.get().checked_sub(cost);
        self.left.set(left.ok_or_else(|| damaged("a lookup reads too much of it"))?);
        let mut bytes = vec![0; self.page_size];
        let logged = self.log.as_ref().and_then(|log| Some((log, log.pages.get(&number)?)));
        let read = match (logged, number) {
            (_, 0) => return Err(damaged("a page of number 0")),
            (Some((log, at)), _) => log.file.read_exact_at(&mut bytes, *at),
            (None, _) => {
                self.file.read_exact_at(&mut bytes, u64::from(number - 1) * self.page_size as u64)
            }
        };
        read.map_err(|error| match error.kind() {
            ErrorKind::UnexpectedEof => damaged("a page beyond its end"),
            _ => error,
        })?;
        Ok(bytes)
    }

    /// A row with the pages that it goes on in.
    fn whole(&self, (size, here): (usize, &[u8]), index: bool) -> io::Result<Vec<u8>> {
        if size > LARGEST_ROW {
            return Err(damaged(&format!("a row of {size} bytes")));
        }
        let local = local(size, self.usable, index);
        let mut row = here.get(..local).ok_or_else(|| damaged("a row beyond its page"))?.to_vec();
        let mut next = if local < size { number(here, local, 4)? } else { 0 };
        while row.len() < size {
            let page = self.bytes(u32::try_from(next).unwrap_or(0))?;
            next = number(&page, 0, 4)?;
            let more = (size - row.len()).min(self.usable - 4);
            row.extend_from_slice(&page[4..4 + more]);
        }
        Ok(row)
    }
}

/// How much of a row is on its own page.
fn local(size: usize, usable: usize, index: bool) -> usize {
    let most = if index { (usable - 12) * 64 / 255 - 23 } else { usable - 35 };
    if size <= most {
        return size;
    }
    let least = (usable - 12) * 32 / 255 - 23;
    let rest = least + (size - least) % (usable - 4);
    if rest <= most { rest } else { least }
}

/// A page of a tree.
struct Page {
    bytes: Vec<u8>,
    start: usize,
    kind: u8,
    usable: usize,
}

impl Page {
    /// Where its cells are.
    fn cells(&self) -> io::Result<Vec<usize>> {
        let count = number(&self.bytes, self.start + 3, 2)?;
        let first = self.start + if self.is_inner() { 12 } else { 8 };
        (0..count).map(|cell| number(&self.bytes, first + 2 * cell, 2)).collect()
    }

    fn is_inner(&self) -> bool {
        self.kind == TABLE_INNER || self.kind == INDEX_INNER
    }

    /// The page of what comes after all its cells.
    fn right(&self) -> io::Result<u32> {
        short(number(&self.bytes, self.start + 8, 4)?)
    }

    fn cell(&self, at: usize) -> io::Result<Entry<'_>> {
        let mut rest = self.bytes[..self.usable].get(at..).ok_or_else(|| damaged("a cell"))?;
        let mut cell = Entry { left: 0, number: 0, row: None };
        if self.is_inner() {
            cell.left = short(number(rest, 0, 4)?)?;
            rest = &rest[4..];
        }
        let size = if self.kind == TABLE_INNER { None } else { Some(varint(&mut rest)?) };
        if self.kind == TABLE_INNER || self.kind == TABLE_LEAF {
            cell.number = varint(&mut rest)?;
        }
        if let Some(size) = size {
            cell.row = Some((usize::try_from(size).map_err(|_| damaged("size of a row"))?, rest));
        }
        Ok(cell)
    }
}

/// The values of a row: first their kinds, then what they are.
pub(super) fn values(row: &[u8]) -> io::Result<Vec<Value<'_>>> {
    let mut kinds = row;
    let head = usize::try_from(varint(&mut kinds)?).map_err(|_| damaged("head of a row"))?;
    let (before, mut rest) =
        row.split_at_checked(head).ok_or_else(|| damaged("a row shorter than its head"))?;
    let mut kinds = before.get(row.len() - kinds.len()..).unwrap_or_default();
    let mut values = Vec::new();
    while !kinds.is_empty() {
        let kind = usize::try_from(varint(&mut kinds)?).map_err(|_| damaged("kind of a value"))?;
        let size = match kind {
            0 | 8 | 9 => 0,
            1..=4 => kind,
            5 => 6,
            6 | 7 => 8,
            10 | 11 => return Err(damaged("kind of a value")),
            _ => (kind - 12) / 2,
        };
        let (bytes, after) =
            rest.split_at_checked(size).ok_or_else(|| damaged("a value beyond its row"))?;
        rest = after;
        values.push(match kind {
            1..=6 => Value::Integer(signed(bytes)),
            8 => Value::Integer(0),
            9 => Value::Integer(1),
            0 | 7 => Value::Other,
            _ if kind % 2 == 0 => Value::Blob(bytes),
            _ => Value::Text(bytes),
        });
    }
    Ok(values)
}

/// A big-endian number with a sign.
fn signed(bytes: &[u8]) -> i64 {
    let negative = bytes.first().is_some_and(|byte| *byte >= 0x80);
    bytes.iter().fold(if negative { -1 } else { 0 }, |sum, byte| sum << 8 | i64::from(*byte))
}

/// A big-endian number of at most four bytes.
fn number(bytes: &[u8], at: usize, size: usize) -> io::Result<usize> {
    let bytes = bytes.get(at..at + size).ok_or_else(|| damaged("a number beyond its page"))?;
    Ok(bytes.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte)))
}

fn short(number: usize) -> io::Result<u32> {
    u32::try_from(number).map_err(|_| damaged("number of a page"))
}

/// A number of one to nine bytes, the first eight with seven bits each.
fn varint(bytes: &mut &[u8]) -> io::Result<i64> {
    let mut sum = 0_i64;
    for count in 1..=9 {
        let (byte, rest) = bytes.split_first().ok_or_else(|| damaged("a number without end"))?;
        *bytes = rest;
        if count == 9 {
            return Ok(sum << 8 | i64::from(*byte));
        }
        sum = sum << 7 | i64::from(byte & 0x7f);
        if byte & 0x80 == 0 {
            break;
        }
    }
    Ok(sum)
}

impl Stamp {
    fn of(file: &File, log: Option<&File>) -> io::Result<Self> {
        let meta = file.metadata()?;
        let mut head = [0; 32];
        if let Some(log) = log {
            // An empty log is none.
            log.read_at(&mut head, 0)?;
        }
        Ok(Self { changed: (meta.mtime(), meta.mtime_nsec()), size: meta.len(), log: head })
    }
}

impl Log {
    /// Finds the committed pages; none if the log is empty or begins with something else.
    fn read(file: File, page_size: usize) -> io::Result<Option<Self>> {
        let size = file.metadata()?.len();
        if size > LARGEST_LOG {
            return Err(damaged(&format!("a write-ahead log of {size} bytes")));
        }
        let mut head = [0; 32];
        if file.read_exact_at(&mut head, 0).is_err() {
            return Ok(None);
        }
        let little = match number(&head, 0, 4)? {
            0x377f_0682 => true,
            0x377f_0683 => false,
            _ => return Ok(None),
        };
        let mut sum = add((0, 0), &head[..24], little);
        if number(&head, 8, 4)? != page_size || !agrees(sum, &head[24..]) {
            return Ok(None);
        }
        let mut pages = HashMap::new();
        let mut written = Vec::new();
        let mut frame = vec![0; 24 + page_size];
        let mut at = 32;
        // The first frame that is not of this log, or not whole, ends it.
        while file.read_exact_at(&mut frame, at).is_ok() {
            sum = add(add(sum, &frame[..8], little), &frame[24..], little);
            if frame[8..16] != head[16..24] || !agrees(sum, &frame[16..24]) {
                break;
            }
            written.push((short(number(&frame, 0, 4)?)?, at + 24));
            // What was written counts when its transaction is complete.
            if number(&frame, 4, 4)? != 0 {
                pages.extend(written.drain(..));
            }
            at += frame.len() as u64;
        }
        Ok(Some(Self { file, pages }))
    }
}

/// The log's running sum, of two numbers at a time.
fn add(mut sum: (u32, u32), bytes: &[u8], little: bool) -> (u32, u32) {
    let word = |bytes: [u8; 4]| {
        if little { u32::from_le_bytes(bytes) } else { u32::from_be_bytes(bytes) }
    };
    for eight in bytes.chunks_exact(8) {
        let (first, second) =
            ([eight[0], eight[1], eight[2], eight[3]], [eight[4], eight[5], eight[6], eight[7]]);
        sum.0 = sum.0.wrapping_add(word(first)).wrapping_add(sum.1);
        sum.1 = sum.1.wrapping_add(word(second)).wrapping_add(sum.0);
    }
    sum
}

fn agrees(sum: (u32, u32), recorded: &[u8]) -> bool {
    recorded.starts_with(&sum.0.to_be_bytes()) && recorded[4..].starts_with(&sum.1.to_be_bytes())
}
