//! Programs of a few instructions, each a whole ELF file, so that nothing on the machine matters.

/// Where the one segment is loaded.
const BASE: u64 = 0x40_0000;
const HEADERS: usize = 64 + 56;

#[cfg(target_arch = "x86_64")]
mod code {
    pub(super) const MACHINE: u16 = 62;
    /// `exit(0)`
    pub(super) const EXIT: &[u8] = &[0x31, 0xff, 0xb8, 60, 0, 0, 0, 0x0f, 0x05];
    /// `alarm(60)`, `pause()`
    pub(super) const STAY: &[u8] =
        &[0xbf, 60, 0, 0, 0, 0xb8, 37, 0, 0, 0, 0x0f, 0x05, 0xb8, 34, 0, 0, 0, 0x0f, 0x05];
    /// `listen(3, 1)`
    pub(super) const LISTEN: &[u8] =
        &[0xbf, 3, 0, 0, 0, 0xbe, 1, 0, 0, 0, 0xb8, 50, 0, 0, 0, 0x0f, 0x05];
}

#[cfg(target_arch = "aarch64")]
mod code {
    pub(super) const MACHINE: u16 = 183;
    /// `exit(0)`
    pub(super) const EXIT: &[u8] =
        &[0x00, 0x00, 0x80, 0xd2, 0xa8, 0x0b, 0x80, 0xd2, 0x01, 0x00, 0x00, 0xd4];
    /// `ppoll(0, 0, &60 s, 0, 0)`, `exit(0)`, and the timespec
    pub(super) const STAY: &[u8] = &[
        0x00, 0x00, 0x80, 0xd2, 0x01, 0x00, 0x80, 0xd2, 0x02, 0x01, 0x00, 0x10, 0x03, 0x00, 0x80,
        0xd2, 0x04, 0x00, 0x80, 0xd2, 0x28, 0x09, 0x80, 0xd2, 0x01, 0x00, 0x00, 0xd4, 0x00, 0x00,
        0x80, 0xd2, 0xa8, 0x0b, 0x80, 0xd2, 0x01, 0x00, 0x00, 0xd4, 0x3c, 0x00, 0x00, 0x00, 0x00,
        0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    ];
    /// `listen(3, 1)`
    pub(super) const LISTEN: &[u8] = &[
        0x60, 0x00, 0x80, 0xd2, 0x21, 0x00, 0x80, 0xd2, 0x28, 0x19, 0x80, 0xd2, 0x01, 0x00, 0x00,
        0xd4,
    ];
}

/// A program that ends at once.
pub(crate) fn exits() -> Vec<u8> {
    elf(code::EXIT)
}

/// A program that stays until it is killed; should nobody do it, for a minute.
pub(crate) fn stays() -> Vec<u8> {
    elf(code::STAY)
}

/// A program that listens on the bound socket that it has as descriptor 3, and stays.
pub(crate) fn listens() -> Vec<u8> {
    elf(&[code::LISTEN, code::STAY].concat())
}

fn elf(code: &[u8]) -> Vec<u8> {
    let size = (HEADERS + code.len()) as u64;
    let mut file = vec![0x7f, b'E', b'L', b'F', 2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    file.extend(2_u16.to_le_bytes()); // an executable
    file.extend(code::MACHINE.to_le_bytes());
    file.extend(1_u32.to_le_bytes());
    file.extend((BASE + HEADERS as u64).to_le_bytes()); // entry
    file.extend(64_u64.to_le_bytes()); // program headers begin
    file.extend(0_u64.to_le_bytes()); // no sections
    file.extend(0_u32.to_le_bytes());
    for half in [64_u16, 56, 1, 64, 0, 0] {
        file.extend(half.to_le_bytes());
    }
    file.extend(1_u32.to_le_bytes()); // loaded
    file.extend(5_u32.to_le_bytes()); // readable, executable
    for word in [0, BASE, BASE, size, size, 0x1000] {
        file.extend(word.to_le_bytes());
    }
    file.extend(code);
    file
}
