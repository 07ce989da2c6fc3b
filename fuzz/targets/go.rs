//! Go's build information: the first byte says in what kind of ELF file, the rest is what follows
//! the magic.

use crate::rules::SCANNER;
use crate::seeds::elf::{Elf, LOAD, Part};

/// Where the magic lies in the file.
pub const MAGIC_AT: usize = 0x100;
/// Where the file's beginning lies in memory.
pub const ADDRESS: u64 = 0x40_0000;

pub(super) fn run(data: &[u8]) {
    SCANNER.scan(&mut file(data).as_slice());
}

/// The file that an input stands for.
pub fn file(data: &[u8]) -> Vec<u8> {
    let (kind, info) = data.split_first().unwrap_or((&0, &[]));
    let mut elf = Elf { wide: kind & 1 == 0, big_endian: kind & 2 != 0, ..Elf::default() };
    let all = u64::try_from(MAGIC_AT + 14 + info.len()).unwrap();
    // Writable, as Go has it; split in two when asked to.
    let half = if kind & 4 != 0 { all / 2 } else { all };
    for (offset, size) in [(0, half), (half, all - half)] {
        let address = ADDRESS + offset;
        elf.parts.push(Part { kind: LOAD, flags: 6, offset, address, size });
    }
    let mut bytes = elf.bytes();
    bytes.resize(MAGIC_AT, 0);
    bytes.extend(b"\xff Go buildinf:");
    bytes.extend(info);
    bytes
}
