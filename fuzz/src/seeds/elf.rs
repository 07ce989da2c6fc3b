//! ELF files that no linker would write.

use super::Seeds;

pub const LOAD: u32 = 1;
pub const NOTE: u32 = 4;
pub const DYNAMIC: u32 = 2;
const INTERPRETER: u32 = 3;

/// A part that the program headers name.
#[derive(Debug, Clone, Copy, Default)]
pub struct Part {
    pub kind: u32,
    pub flags: u32,
    pub offset: u64,
    pub address: u64,
    pub size: u64,
}

/// An ELF file. What is not set is as it should be.
#[derive(Debug, Clone)]
pub struct Elf {
    pub wide: bool,
    pub big_endian: bool,
    /// It can be loaded anywhere: a library, or a program that says so elsewhere.
    pub movable: bool,
    pub parts: Vec<Part>,
    /// What the header says instead of the truth.
    pub table_at: Option<u64>,
    pub header_size: Option<u16>,
    pub count: Option<u16>,
    /// What follows the headers.
    pub body: Vec<u8>,
}

impl Default for Elf {
    fn default() -> Self {
        Self {
            wide: true,
            big_endian: false,
            movable: false,
            parts: Vec::new(),
            table_at: None,
            header_size: None,
            count: None,
            body: Vec::new(),
        }
    }
}

impl Elf {
    fn put(&self, into: &mut Vec<u8>, number: u64, width: usize) {
        let mut raw = number.to_le_bytes()[..width].to_vec();
        if self.big_endian {
            raw.reverse();
        }
        into.extend(raw);
    }

    /// Where the body begins.
    pub fn body_at(&self) -> u64 {
        let (head, each) = if self.wide { (64, 56) } else { (52, 32) };
        head + each * self.parts.len() as u64
    }

    /// The file.
    pub fn bytes(&self) -> Vec<u8> {
        let word = if self.wide { 8 } else { 4 };
        let (head, each) = if self.wide { (64, 56) } else { (52, 32) };
        let mut out = b"\x7fELF".to_vec();
        out.extend([1 + u8::from(self.wide), 1 + u8::from(self.big_endian), 1, 0]);
        out.resize(16, 0);
        for (number, width) in
            [(if self.movable { 3 } else { 2 }, 2), (62, 2), (1, 4), (0x40_1000, word)]
        {
            self.put(&mut out, number, width);
        }
        self.put(&mut out, self.table_at.unwrap_or(head), word);
        self.put(&mut out, 0, word);
        self.put(&mut out, 0, 4);
        let count = u16::try_from(self.parts.len()).unwrap();
        for number in [
            u16::try_from(head).unwrap(),
            self.header_size.unwrap_or(each),
            self.count.unwrap_or(count),
            64,
            0,
            0,
        ] {
            self.put(&mut out, u64::from(number), 2);
        }
        assert_eq!(out.len() as u64, head);
        for part in &self.parts {
            self.put(&mut out, u64::from(part.kind), 4);
            if self.wide {
                self.put(&mut out, u64::from(part.flags), 4);
            }
            for number in [part.offset, part.address, part.address, part.size, part.size] {
                self.put(&mut out, number, word);
            }
            if !self.wide {
                self.put(&mut out, u64::from(part.flags), 4);
            }
            self.put(&mut out, 4096, word);
        }
        out.extend(&self.body);
        out
    }
}

/// A note, in the byte order of the file.
fn note(elf: &Elf, name_len: u32, desc_len: u32, kind: u32, rest: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    for number in [name_len, desc_len, kind] {
        elf.put(&mut out, u64::from(number), 4);
    }
    out.extend(rest);
    out
}

const TEXTS: &[u8] = b"..fuzz/1.0 listening\0X-Fuzz-Header: %s\0fuzz/1.2.3\0forked from fuzz\0\
    /home/x/.cargo/registry/src/index.crates.io-6f17d22bba15001f/fuzz-1.4.1/src/lib.rs\0\
    This file is packed with the UPX executable packer http://upx.sf.net\0UPX!";

fn load(offset: u64, size: u64) -> Part {
    Part { kind: LOAD, flags: 5, offset, address: offset.wrapping_add(0x40_0000), size }
}

/// A file with texts, a build id, and everything in order.
fn plain(wide: bool, big_endian: bool) -> Elf {
    let mut elf = Elf { wide, big_endian, parts: vec![Part::default(); 2], ..Elf::default() };
    let id: Vec<u8> = b"GNU\0".iter().copied().chain(0..=0x13).collect();
    let note = note(&elf, 4, 20, 3, &id);
    let at = elf.body_at();
    let note_len = note.len() as u64;
    elf.body = note;
    elf.body.extend(TEXTS);
    let all = at + elf.body.len() as u64;
    elf.parts = vec![Part { kind: NOTE, ..load(at, note_len) }, load(0, all)];
    elf
}

pub(super) fn seeds() -> Seeds {
    let mut seeds = Seeds::default();
    for (name, wide, big) in [
        ("64-little", true, false),
        ("64-big", true, true),
        ("32-little", false, false),
        ("32-big", false, true),
    ] {
        seeds.add(name, plain(wide, big).bytes());
    }
    let whole = plain(true, false).bytes();
    // Ident, type, entry, table offset, sizes; each end of the table; the note; the texts.
    for cut in [4, 5, 6, 16, 24, 32, 39, 40, 54, 56, 57, 58, 63, 64, 65, 119, 120, 121, 176, 180] {
        seeds.add(&format!("cut-{cut}"), whole[..cut].to_vec());
    }
    let narrow = plain(false, true).bytes();
    for cut in [28, 42, 44, 46, 52, 84, 116] {
        seeds.add(&format!("cut-32-{cut}"), narrow[..cut].to_vec());
    }
    let base = plain(true, false);
    let with = |change: &dyn Fn(&mut Elf)| {
        let mut elf = base.clone();
        change(&mut elf);
        elf.bytes()
    };
    for count in [0, 1, 1024, 1025, u16::MAX] {
        seeds.add(&format!("count-{count}"), with(&|e| e.count = Some(count)));
    }
    let mut many = base.clone();
    many.count = Some(1024);
    many.body.resize(1024 * 56, 1);
    seeds.add("count-1024-all-there", many.bytes());
    for size in [0, 1, 32, 57, u16::MAX] {
        seeds.add(&format!("header-size-{size}"), with(&|e| e.header_size = Some(size)));
    }
    let len = whole.len() as u64;
    for (name, at) in [
        ("0", 0),
        ("end", len),
        ("near-end", len - 112),
        ("largest", u64::MAX),
        ("wraps", u64::MAX - 55),
        ("signed", 1 << 63),
    ] {
        seeds.add(&format!("table-at-{name}"), with(&|e| e.table_at = Some(at)));
    }
    for (name, offset, size) in [
        ("past-the-end", len + 1, 10),
        ("huge", 0, u64::MAX),
        ("wraps", u64::MAX - 5, 10),
        ("at-largest", u64::MAX, u64::MAX),
        ("empty", 0, 0),
        ("one-byte-too-long", 0, len + 1),
        ("table-itself", 64, 112),
    ] {
        seeds.add(&format!("part-{name}"), with(&|e| e.parts[1] = load(offset, size)));
        let kind = NOTE;
        seeds.add(
            &format!("note-{name}"),
            with(&|e| e.parts[0] = Part { kind, ..load(offset, size) }),
        );
    }
    overlapping(&mut seeds);
    notes(&mut seeds, &base);
    libraries(&mut seeds);
    seeds.add("class-0", with_byte(&whole, 4, 0));
    seeds.add("class-3", with_byte(&whole, 4, 3));
    seeds.add("order-0", with_byte(&whole, 5, 0));
    seeds.add("texts-only", TEXTS.to_vec());
    seeds.add("script", [b"#!/bin/sh\n", TEXTS].concat());
    seeds.add("crates", b"/cargo/registry/src/a-1.0/".repeat(40));
    seeds.add("versions", [TEXTS, b"fuzz/fuzz/fuzz/1.".repeat(40).as_slice()].concat());
    dense(&mut seeds);
    seeds
}

fn with_byte(whole: &[u8], at: usize, byte: u8) -> Vec<u8> {
    let mut bytes = whole.to_vec();
    bytes[at] = byte;
    bytes
}

/// Parts that lie over each other: each byte is to be read once.
fn overlapping(seeds: &mut Seeds) {
    let mut elf = Elf { body: TEXTS.repeat(4), ..Elf::default() };
    elf.parts = vec![Part::default(); 40];
    let (at, len) = (elf.body_at(), elf.body.len() as u64);
    elf.parts = vec![load(0, at + len); 40];
    seeds.add("parts-the-same", elf.bytes());
    elf.parts = (0..40).map(|i| load(i, at + len - 2 * i)).collect();
    seeds.add("parts-nested", elf.bytes());
    elf.parts = (0..40).map(|i| load(i * 20, 21)).collect();
    seeds.add("parts-touching", elf.bytes());
    // Gaps first, then what fills them all.
    elf.parts = (0..20).map(|i| load(i * 40, 20)).chain((0..20).map(|i| load(i, 900))).collect();
    seeds.add("parts-and-gaps", elf.bytes());
    elf.parts.iter_mut().step_by(3).for_each(|part| part.flags = 6);
    seeds.add("parts-writable", elf.bytes());
}

fn notes(seeds: &mut Seeds, base: &Elf) {
    let all = u32::MAX;
    for (name, name_len, desc_len, rest) in [
        ("huge-name", all, 20, &b"GNU\0"[..]),
        ("huge-text", 4, all, b"GNU\0"),
        ("both-huge", all, all, b""),
        ("near-huge", all - 12, all - 3, b""),
        ("both-empty", 0, 0, b""),
        ("id-too-short", 4, 3, b"GNU\0abc\0"),
        ("id-too-long", 4, 65, &[b'G'; 80]),
        ("name-unended", 3, 20, b"GNU"),
        ("odd-sizes", 5, 7, b"abcde\0\0\0abcdefg"),
    ] {
        let mut elf = base.clone();
        elf.body = note(base, name_len, desc_len, 3, rest);
        let note = Part { kind: NOTE, ..load(elf.body_at(), elf.body.len() as u64) };
        elf.parts[0] = note;
        seeds.add(&format!("note-{name}"), elf.bytes());
    }
    // Many notes with nothing in them, looked at by many headers.
    let mut elf = Elf { parts: vec![Part::default(); 30], ..Elf::default() };
    elf.body = vec![0; 1200];
    elf.parts = vec![Part { kind: NOTE, ..load(elf.body_at(), 1200) }; 30];
    seeds.add("note-many", elf.bytes());
}

/// Files that can be loaded anywhere, and what says of them that they are programs.
fn libraries(seeds: &mut Seeds) {
    for (name, wide, big_endian) in [("64", true, false), ("32-big", false, true)] {
        let mut elf = plain(wide, big_endian);
        elf.movable = true;
        seeds.add(&format!("library-{name}"), elf.bytes());
        let note = elf.parts[0];
        elf.parts[0] = Part { kind: INTERPRETER, ..note };
        seeds.add(&format!("library-{name}-interpreter"), elf.bytes());
        let width = if wide { 8 } else { 4 };
        elf.body.clear();
        for number in [1, 0, 0x6fff_fffb, 0x0800_0001, 0, 0, 0x6fff_fffb] {
            let mut entry = Vec::new();
            elf.put(&mut entry, number, width);
            elf.body.extend(entry);
        }
        for (what, size) in
            [("", elf.body.len() as u64), ("-half", 3 * width as u64), ("-huge", u64::MAX)]
        {
            elf.parts[0] = Part { kind: DYNAMIC, ..load(elf.body_at(), size) };
            seeds.add(&format!("library-{name}-dynamic{what}"), elf.bytes());
        }
    }
}

/// Code that has no pattern: packed, by the look of it.
fn dense(seeds: &mut Seeds) {
    let mut elf = Elf { parts: vec![Part::default()], ..Elf::default() };
    let mut state = 1_u32;
    elf.body = (0..17 << 10)
        .map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            state.to_le_bytes()[3]
        })
        .collect();
    elf.body.extend(TEXTS);
    elf.parts = vec![load(0, elf.body_at() + elf.body.len() as u64)];
    seeds.add("packed", elf.bytes());
}
