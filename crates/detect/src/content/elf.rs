//! The few facts of an ELF file that matter: what is loaded of it, and its build id.
//!
//! Program headers only: sections are for linkers and debuggers, may be absent or lie, and the
//! kernel does not look at them either. Every number of the file is hostile.

use std::ops::Range;

use super::Source;

/// A program header table longer than this is refused by the kernel as well.
const MOST_HEADERS: u16 = 1024;
/// Notes are looked at up to this many bytes.
const NOTES: u64 = 64 << 10;

const PT_LOAD: u32 = 1;
const PT_DYNAMIC: u32 = 2;
const PT_INTERP: u32 = 3;
const PT_NOTE: u32 = 4;
const PF_X: u32 = 1;
const PF_W: u32 = 2;
const NT_GNU_BUILD_ID: u32 = 3;
const ET_DYN: u16 = 3;
/// Of the dynamic section: more flags, and the one of a program that can be loaded anywhere.
const DT_FLAGS_1: u64 = 0x6fff_fffb;
const DF_1_PIE: u64 = 0x0800_0000;
/// Entries of the dynamic section that are looked at.
const DYNAMIC: u64 = 64 << 10;

/// A part of the file that is loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Segment {
    /// Where in the file.
    pub(crate) file: Range<u64>,
    /// Where in memory it begins.
    pub(crate) address: u64,
    pub(crate) executable: bool,
    pub(crate) writable: bool,
}

/// What was read of an ELF file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Elf {
    /// Loaded parts, in the order of the table, cut to what the file has.
    pub(crate) segments: Vec<Segment>,
    /// GNU build id, in hexadecimal.
    pub(crate) build_id: Option<String>,
    pub(crate) wide: bool,
    pub(crate) big_endian: bool,
    /// Nothing says that it is a program: neither its type, a loader, nor its flags.
    pub(crate) library: bool,
    /// What is wrong with it.
    pub(crate) problem: Option<String>,
}

/// Whether a file that begins like this is an ELF file.
pub(crate) fn is_elf(head: &[u8]) -> bool {
    head.starts_with(b"\x7fELF")
}

impl Elf {
    /// Reads the headers. An error says what is wrong.
    pub(crate) fn read(source: &mut dyn Source) -> Result<Self, String> {
        let mut ident = [0; 64];
        let got = source.read_at(0, &mut ident)?;
        let ident = &ident[..got];
        let (wide, big_endian) = match (ident.get(4), ident.get(5)) {
            (Some(class @ (1 | 2)), Some(data @ (1 | 2))) => (*class == 2, *data == 2),
            _ => return Err("ELF header: neither 32 nor 64 bits, or no byte order".to_owned()),
        };
        let fields = Fields { bytes: ident, wide, big_endian };
        let cut = || "ELF header is cut off".to_owned();
        let (offset, size, count) = if wide {
            (fields.u64(32), fields.u16(54), fields.u16(56))
        } else {
            (fields.u32(28).map(u64::from), fields.u16(42), fields.u16(44))
        };
        let (offset, size, count) =
            (offset.ok_or_else(cut)?, size.ok_or_else(cut)?, count.ok_or_else(cut)?);
        let expected: u16 = if wide { 56 } else { 32 };
        if size != expected {
            return Err(format!("program headers of {size} bytes: expected {expected}"));
        }
        if count == 0 {
            return Err("no program headers: nothing of it can be loaded".to_owned());
        }
        if count > MOST_HEADERS {
            return Err(format!("{count} program headers: expected at most {MOST_HEADERS}"));
        }
        let mut table = vec![0; usize::from(size) * usize::from(count)];
        let end = offset.checked_add(table.len() as u64);
        if end.is_none_or(|end| end > source.len()) {
            return Err(format!("program headers at {offset}: the file ends at {}", source.len()));
        }
        if source.read_at(offset, &mut table)? != table.len() {
            return Err("program headers are cut off".to_owned());
        }
        let library = fields.u16(16) == Some(ET_DYN);
        let mut elf = Self { wide, big_endian, library, ..Self::default() };
        for (header, number) in table.chunks_exact(usize::from(size)).zip(0..) {
            elf.header(source, header, number);
        }
        if elf.segments.is_empty() && elf.problem.is_none() {
            elf.problem = Some("no part of it is loaded from the file".to_owned());
        }
        Ok(elf)
    }

    fn header(&mut self, source: &mut dyn Source, bytes: &[u8], number: usize) {
        let fields = Fields { bytes, wide: self.wide, big_endian: self.big_endian };
        let all = if self.wide {
            (fields.u32(0), fields.u32(4), fields.u64(8), fields.u64(16), fields.u64(32))
        } else {
            let wide = |at| fields.u32(at).map(u64::from);
            (fields.u32(0), fields.u32(24), wide(4), wide(8), wide(16))
        };
        let (Some(kind), Some(flags), Some(offset), Some(address), Some(size)) = all else {
            return;
        };
        if kind == PT_INTERP {
            self.library = false;
        }
        if !matches!(kind, PT_LOAD | PT_NOTE | PT_DYNAMIC) || size == 0 {
            return;
        }
        let end = offset.saturating_add(size);
        if end > source.len() {
            self.problem = Some(format!(
                "part {number} ends at {end}, the file at {}: it is cut off",
                source.len()
            ));
        }
        let file = offset.min(source.len())..end.min(source.len());
        if file.is_empty() {
            return;
        }
        if kind == PT_DYNAMIC {
            self.library &= !self.is_pie(source, file);
            return;
        }
        if kind == PT_NOTE {
            if self.build_id.is_none() {
                self.build_id = self.note(source, file);
            }
            return;
        }
        self.segments.push(Segment {
            file,
            address,
            executable: flags & PF_X != 0,
            writable: flags & PF_W != 0,
        });
    }

    /// Whether the dynamic section says that it is a program.
    fn is_pie(&self, source: &mut dyn Source, file: Range<u64>) -> bool {
        let len = usize::try_from((file.end - file.start).min(DYNAMIC)).unwrap_or(0);
        let mut bytes = vec![0; len];
        let got = source.read_at(file.start, &mut bytes).unwrap_or(0);
        let width = if self.wide { 8 } else { 4 };
        bytes[..got].chunks_exact(2 * width).any(|entry| {
            word(self, entry) == Some(DT_FLAGS_1)
                && word(self, &entry[width..]).is_some_and(|flags| flags & DF_1_PIE != 0)
        })
    }

    fn note(&self, source: &mut dyn Source, file: Range<u64>) -> Option<String> {
        let len = usize::try_from((file.end - file.start).min(NOTES)).ok()?;
        let mut bytes = vec![0; len];
        let got = source.read_at(file.start, &mut bytes).ok()?;
        let mut rest = bytes.get(..got)?;
        loop {
            let fields = Fields { bytes: rest, wide: self.wide, big_endian: self.big_endian };
            let (name, desc) = (fields.u32(0)? as usize, fields.u32(4)? as usize);
            let kind = fields.u32(8)?;
            let desc_at = 12_usize.checked_add(name)?.checked_next_multiple_of(4)?;
            let end = desc_at.checked_add(desc)?;
            let owner = rest.get(12..12_usize.checked_add(name)?)?;
            let body = rest.get(desc_at..end)?;
            if kind == NT_GNU_BUILD_ID && owner == b"GNU\0" && (4..=64).contains(&desc) {
                use std::fmt::Write;
                return Some(body.iter().fold(String::new(), |mut text, byte| {
                    let _ = write!(text, "{byte:02x}");
                    text
                }));
            }
            rest = rest.get(end.checked_next_multiple_of(4)?..)?;
        }
    }

    /// Where in the file an address in memory comes from.
    pub(crate) fn file_offset(&self, address: u64) -> Option<u64> {
        self.segments.iter().find_map(|segment| {
            let into = address.checked_sub(segment.address)?;
            let offset = segment.file.start.checked_add(into)?;
            (offset < segment.file.end).then_some(offset)
        })
    }

    /// What to read, each byte once, and in one go what touches: parts that the program cannot
    /// write first. There may be a thousand parts, and they may overlap in any way.
    pub(crate) fn ranges(&self) -> Vec<Range<u64>> {
        let mut parts: Vec<_> =
            self.segments.iter().map(|s| (s.file.clone(), s.writable)).collect();
        parts.sort_unstable_by_key(|(file, _)| file.start);
        let mut ranges: Vec<(Range<u64>, bool)> = Vec::new();
        for (file, writable) in parts {
            match ranges.last_mut() {
                Some((last, all_writable)) if file.start <= last.end => {
                    last.end = last.end.max(file.end);
                    *all_writable &= writable;
                }
                _ => ranges.push((file, writable)),
            }
        }
        ranges.sort_by_key(|(_, writable)| *writable);
        ranges.into_iter().map(|(file, _)| file).collect()
    }
}

/// Numbers of a header, in its byte order.
#[derive(Clone, Copy)]
struct Fields<'b> {
    bytes: &'b [u8],
    wide: bool,
    big_endian: bool,
}

impl Fields<'_> {
    fn u16(&self, at: usize) -> Option<u16> {
        let bytes = self.bytes.get(at..at.checked_add(2)?)?.try_into().ok()?;
        Some(if self.big_endian { u16::from_be_bytes(bytes) } else { u16::from_le_bytes(bytes) })
    }

    fn u32(&self, at: usize) -> Option<u32> {
        let bytes = self.bytes.get(at..at.checked_add(4)?)?.try_into().ok()?;
        Some(if self.big_endian { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) })
    }

    fn u64(&self, at: usize) -> Option<u64> {
        let bytes = self.bytes.get(at..at.checked_add(8)?)?.try_into().ok()?;
        Some(if self.big_endian { u64::from_be_bytes(bytes) } else { u64::from_le_bytes(bytes) })
    }
}

/// A number as wide as an address of the file.
pub(crate) fn word(elf: &Elf, bytes: &[u8]) -> Option<u64> {
    let fields = Fields { bytes, wide: elf.wide, big_endian: elf.big_endian };
    if fields.wide { fields.u64(0) } else { fields.u32(0).map(u64::from) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ranges(parts: &[(u64, u64, bool)]) -> Vec<(u64, u64)> {
        let segment = |&(start, end, writable)| Segment {
            file: start..end,
            address: start,
            executable: false,
            writable,
        };
        let elf = Elf { segments: parts.iter().map(segment).collect(), ..Elf::default() };
        elf.ranges().into_iter().map(|range| (range.start, range.end)).collect()
    }

    #[test]
    fn each_byte_is_read_once_and_no_part_cuts_another() {
        assert_eq!(ranges(&[]), []);
        assert_eq!(ranges(&[(0, 10, false), (0, 10, false)]), [(0, 10)]);
        assert_eq!(ranges(&[(5, 6, false), (0, 10, false), (10, 20, false)]), [(0, 20)]);
        assert_eq!(
            ranges(&[(0, 4, true), (8, 9, false), (20, 30, true)]),
            [(8, 9), (0, 4), (20, 30)]
        );
        // One byte that it cannot write does not part the rest.
        assert_eq!(ranges(&[(5, 6, false), (0, 10, true)]), [(0, 10)]);
    }
}
