//! Whether a program's texts are hidden by a packer.

use super::Source;
use super::elf::Elf;

/// What UPX writes into what it packs.
pub(crate) const UPX_TEXT: &[u8] = b"This file is packed with the UPX executable packer";
/// Its mark, close behind the headers.
const UPX_MARK: &[u8] = b"UPX!";
/// Blocks of code that are measured, and their size.
const BLOCKS: u64 = 32;
const BLOCK: usize = 4096;
/// Smaller programs are not judged: they have too few bytes to be measured.
const SMALLEST: u64 = 16 << 10;
/// Bits of information in a byte of code. Machine code has 5.5 to 6.7, compressed or encrypted
/// bytes have 7.9 and more.
const DENSE: f64 = 7.5;

/// Who packed the program, or how it is seen that somebody did.
pub(crate) fn by_whom(
    source: &mut dyn Source,
    elf: &Elf,
    head: &[u8],
    upx_text: bool,
) -> Option<String> {
    let mark = head.windows(UPX_MARK.len()).take(1024).any(|window| window == UPX_MARK);
    if mark && upx_text {
        return Some("UPX".to_owned());
    }
    let bits = entropy(source, elf)?;
    if bits < DENSE {
        return None;
    }
    let whom = if mark || upx_text { "UPX" } else { "an unknown packer, or encrypted" };
    Some(format!("{whom} ({bits:.1} bits of information in a byte of its code)"))
}

/// Bits of information in a byte of what can be executed, measured on blocks spread over it.
fn entropy(source: &mut dyn Source, elf: &Elf) -> Option<f64> {
    let parts = elf.segments.iter().filter(|s| s.executable).map(|s| &s.file);
    let part = parts.max_by_key(|file| file.end - file.start)?;
    let len = part.end - part.start;
    if len < SMALLEST {
        return None;
    }
    let mut counts = [0_u32; 256];
    let mut total = 0_u32;
    let step = (len / BLOCKS).max(BLOCK as u64);
    let mut at = part.start;
    let mut block = [0; BLOCK];
    while at < part.end {
        let want = usize::try_from(part.end - at).unwrap_or(BLOCK).min(BLOCK);
        let got = source.read_at(at, &mut block[..want]).ok()?;
        for byte in &block[..got] {
            counts[usize::from(*byte)] += 1;
            total += 1;
        }
        at = at.saturating_add(step);
    }
    let total = f64::from(total.max(1));
    let bits = counts.iter().filter(|c| **c > 0).map(|c| {
        let share = f64::from(*c) / total;
        -share * share.log2()
    });
    Some(bits.sum())
}
