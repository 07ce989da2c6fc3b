//! Where the names are in a zip archive: a Java program's classes are in its central directory.

use std::ops::Range;

use super::Source;

/// The end record, and the longest comment behind it.
const TAIL: u64 = 22 + 65_535;
const END: &[u8] = b"PK\x05\x06";

/// The part of the archive that holds the names of its entries.
pub(crate) fn directory(source: &mut dyn Source) -> Result<Range<u64>, String> {
    let from = source.len().saturating_sub(TAIL);
    let mut tail = vec![0; usize::try_from(source.len() - from).unwrap_or(0)];
    let got = source.read_at(from, &mut tail)?;
    tail.truncate(got);
    let at = tail
        .windows(END.len())
        .rposition(|window| window == END)
        .ok_or("archive without a directory at its end: it is cut off")?;
    let number = |offset: usize| {
        let bytes = tail.get(at + offset..at + offset + 4)?.try_into().ok()?;
        Some(u64::from(u32::from_le_bytes(bytes)))
    };
    let end = from + at as u64;
    let (Some(size), Some(_)) = (number(12), number(16)) else {
        return Err("the archive's end record is cut off".to_owned());
    };
    // Counted back from the end: archives often follow a launcher. Where the size is not told
    // (zip64), the end of the file has to do.
    let size = if size == u64::from(u32::MAX) { 16 << 20 } else { size };
    Ok(end.saturating_sub(size)..end)
}

/// Whether a file that begins like this is an archive.
pub(crate) fn is_archive(head: &[u8]) -> bool {
    head.starts_with(b"PK\x03\x04") || head.starts_with(END)
}
