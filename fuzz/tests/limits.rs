//! Files that are too large, too tangled or too broken to be kept as inputs.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test")]

use std::time::Duration;

use detect::content::{LARGEST, Source};
use event::{Event, Exec, Executable, Process, Record};
use fuzz::driver::processor_time;
use fuzz::rules::{CATALOGUE, SCANNER};
use fuzz::seeds::elf::{DYNAMIC, Elf, LOAD, NOTE, Part};
use fuzz::{memory, targets};

/// A file that is mostly a hole.
struct Sparse {
    len: u64,
    head: Vec<u8>,
    /// Reads at and behind this place fail.
    broken_at: u64,
    given: u64,
}

impl Sparse {
    fn new(len: u64, head: Vec<u8>) -> Self {
        Self { len, head, broken_at: u64::MAX, given: 0 }
    }
}

impl Source for Sparse {
    fn len(&self) -> u64 {
        self.len
    }

    fn read_at(&mut self, offset: u64, into: &mut [u8]) -> Result<usize, String> {
        let count =
            usize::try_from(self.len.saturating_sub(offset).min(into.len() as u64)).unwrap();
        if offset + count as u64 > self.broken_at {
            return Err("the disk is on fire".to_owned());
        }
        into[..count].fill(0);
        let head = usize::try_from(offset).ok().and_then(|at| self.head.get(at..));
        for (byte, there) in into[..count].iter_mut().zip(head.unwrap_or_default()) {
            *byte = *there;
        }
        self.given += count as u64;
        Ok(count)
    }
}

fn load(offset: u64, size: u64) -> Part {
    Part { kind: LOAD, flags: 5, offset, address: offset, size }
}

fn elf(parts: Vec<Part>, body: usize) -> Vec<u8> {
    Elf { parts, body: vec![b'x'; body], ..Elf::default() }.bytes()
}

/// Runs `what`, which must not keep a processor busy for longer, nor hold much memory.
fn within(millis: u64, name: &str, what: impl FnOnce()) {
    let begun = processor_time();
    let held = memory::peak(what);
    let took = processor_time() - begun;
    println!("{name}: {took:?}, {held} bytes held");
    assert!(took < Duration::from_millis(millis), "{name}: it took {took:?}");
    // A script is held as a whole, and its text beside it.
    assert!(held < 24 << 20, "{name}: {held} bytes were held");
}

/// A recording's line may be as long as this: see `picket replay`.
const LINE: usize = 4 << 20;

fn executed(args: &[&str]) -> Vec<u8> {
    let args = args.iter().map(|arg| (*arg).to_owned()).collect();
    let path = "/usr/bin/busybox".to_owned();
    let exe = Executable { path: path.clone(), ..Executable::default() };
    let process = Process { args, invoked_as: path, exe, ..Process::default() };
    let exec = Box::new(Exec { process, ..Exec::default() });
    let event = Box::new(Event::Exec { host: "h".to_owned(), exec });
    serde_json::to_vec(&Record::Event(event)).unwrap()
}

/// What the kernel tells is at most 8 KiB of arguments; a recording may come from anywhere.
#[test]
fn long_lines_of_a_recording_take_time_in_proportion() {
    let target = targets::find("recording").unwrap();
    (target.run)(b"");
    let long = |word: &str| word.repeat(LINE / word.len());
    let args = |first: &[&'static str], word: &'static str| {
        let more = vec![word; LINE / (word.len() + 3)];
        executed(&[first, &more].concat())
    };
    for (what, line) in [
        ("equals", executed(&["busybox", "httpd", &long("a=")])),
        ("equals and a secret", executed(&["busybox", "httpd", &(long("a=") + "password=x")])),
        ("letters", executed(&["busybox", "httpd", &format!("-{}", long("f"))])),
        ("quotes", executed(&["busybox", "httpd", &long("' ")])),
        ("headers", executed(&["busybox", "httpd", &long("cookie: ")])),
        ("braces", executed(&["busybox", "httpd", &long("{\"token\":\"")])),
        ("addresses", executed(&["busybox", "httpd", &long("a://b:c@")])),
        ("dashes", args(&["busybox", "httpd"], "-f")),
        ("empty", args(&["busybox"], "")),
        ("again", args(&["busybox"], "busybox")),
        ("words", args(&["busybox", "httpd"], "x")),
    ] {
        let begun = processor_time();
        (target.run)(&line);
        let took = processor_time() - begun;
        println!("{what}: {took:?}");
        assert!(took < Duration::from_secs(5), "{what}: {took:?}");
    }
}

const HUGE: u64 = 4 << 30;

#[test]
fn of_a_huge_file_a_part_is_read() {
    let all = elf(vec![load(0, HUGE)], 0);
    let twice = elf(vec![load(0, HUGE), Part { flags: 6, ..load(5, HUGE) }], 0);
    for head in [Vec::new(), all, twice, b"#!/bin/sh\n".to_vec(), b"PK\x03\x04".to_vec()] {
        within(5000, "huge", || {
            let mut source = Sparse::new(HUGE, head.clone());
            let scan = SCANNER.scan(&mut source);
            assert!(scan.bytes <= LARGEST, "{}", scan.bytes);
            assert!(source.given < LARGEST + LARGEST / 100, "{}", source.given);
            let script = head.starts_with(b"#!");
            assert_eq!(scan.content.problem.is_none(), script, "{:?}", scan.content.problem);
        });
    }
}

/// Texts that every program with a version shares make each look for its own.
#[test]
fn versions_are_looked_for_within_bounds() {
    let texts = b"fuzz/1.0 listening X-Fuzz-Header: %s forked from fuzz".to_vec();
    within(5000, "huge", || {
        let mut source = Sparse::new(HUGE, texts);
        let scan = SCANNER.scan(&mut source);
        let names: Vec<&str> = scan.content.signs.iter().map(|s| s.name.as_str()).collect();
        assert_eq!(names, ["fuzz-texts", "fuzz-fork"]);
        assert!(source.given < 2 * (LARGEST + LARGEST / 100), "{}", source.given);
    });
    let texts =
        b"xxxxxxxxxxxx fuzz/x listening X-Fuzz-Header: %s abababababababab forked from fuzz";
    within(5000, "huge", || {
        let mut source = Sparse::new(HUGE, texts.to_vec());
        let scan = SCANNER.scan(&mut source);
        assert_eq!(scan.content.signs.len(), 2);
        assert!(source.given < 2 * (LARGEST + LARGEST / 100), "{}", source.given);
    });
}

#[test]
fn parts_that_overlap_are_read_once() {
    let body = 1 << 20;
    let head = 64 + 1000 * 56;
    let all = head + body as u64;
    let same = vec![load(0, all); 1000];
    let nested: Vec<Part> = (0..1000).map(|i| load(i, all - 2 * i)).collect();
    // As many gaps as there can be, filled again and again.
    let gaps = (0..500).map(|i| load(i * 2000, 1000)).chain((0..500).map(|i| load(i, all - i)));
    let late = (0..999).map(|i| load(i * 1000, 500)).chain([load(0, all)]);
    let writable = (0..1000).map(|i| Part { flags: 4 + 2 * (i % 2), ..load(u64::from(i), all) });
    for parts in [same, nested, gaps.collect(), late.collect(), writable.collect()] {
        let file = elf(parts, body);
        within(200, "parts", || {
            let mut source = Sparse::new(file.len() as u64, file.clone());
            let scan = SCANNER.scan(&mut source);
            assert!(scan.bytes <= all, "{} bytes of {all} were looked at", scan.bytes);
            // Each part of the file is one look, and neighbours overlap by the longest text.
            assert!(source.given < 3 * all, "{} bytes of {all} were read", source.given);
        });
    }
}

/// What the catalogue looks for, over and over again, is no slower than any file by much.
#[test]
fn a_file_full_of_marks_takes_time_in_proportion() {
    let size = 32 << 20;
    for word in [
        "/cargo/registry/",
        "/cargo/registry/a-1.0/",
        "\0\u{ff} Go buildinf:",
        "fuzz/",
        "fuzz/1",
        "abababababababab",
        "X-Fuzz-Header: %s",
        "This file is packed with the UPX executable packer",
        "-",
        "\n",
        "# \n",
        "fuzz/1.0 listening X-Fuzz-Header: %s forked from fuzz",
    ] {
        let mut bytes = vec![0x7f];
        bytes.extend(word.chars().map(|c| u8::try_from(c).unwrap()).cycle().take(size));
        within(10_000, &format!("{word:?}"), || {
            let scan = SCANNER.scan(&mut bytes.as_slice());
            assert_eq!(scan.bytes, bytes.len() as u64);
        });
        for runtime in ["python", "node", "java"] {
            let mut script = &bytes[1..];
            within(3000, &format!("{runtime} {word:?}"), || {
                CATALOGUE.script_signs(runtime, &mut script);
            });
        }
    }
}

#[test]
fn notes_and_dynamic_sections_are_read_within_bounds() {
    let body = 1 << 20;
    for kind in [NOTE, DYNAMIC] {
        let part = Part { kind, ..load(0, 2 << 20) };
        let parts = vec![part; 1024];
        let elf = Elf { movable: true, parts, body: vec![0; body], ..Elf::default() };
        let file = elf.bytes();
        within(1000, "notes", || {
            let mut source = Sparse::new(file.len() as u64, file.clone());
            SCANNER.scan(&mut source);
            assert!(source.given < 128 << 20, "{}", source.given);
        });
    }
}

#[test]
fn a_file_that_cannot_be_read_to_its_end_says_so() {
    let len = 4 << 20;
    let two = vec![load(0, len / 2), load(len / 2, len / 2)];
    for head in [Vec::new(), elf(two, 0), b"PK\x03\x04".to_vec()] {
        for broken_at in [0, 10, 64, 100, 5000, 1 << 20, (2 << 20) + 1, len - 1] {
            let mut source = Sparse { broken_at, ..Sparse::new(len, head.clone()) };
            let content = SCANNER.scan(&mut source).content;
            let problem = content.problem.unwrap_or_default();
            assert!(problem.contains("fire"), "broken at {broken_at}: {problem:?}");
        }
    }
}

/// What a file says of its size may be wrong by the time that it is read.
#[test]
fn a_file_that_shrinks_is_no_trouble() {
    struct Lies(u64);
    impl Source for Lies {
        fn len(&self) -> u64 {
            self.0
        }
        fn read_at(&mut self, offset: u64, into: &mut [u8]) -> Result<usize, String> {
            let head = elf(vec![load(0, u64::MAX); 9], 4000);
            (&mut head.as_slice()).read_at(offset, into)
        }
    }
    for len in [0, 1, 63, 64, 600, HUGE, i64::MAX.unsigned_abs(), u64::MAX] {
        within(500, "shrunk", || {
            SCANNER.scan(&mut Lies(len));
        });
    }
}

#[test]
fn files_of_repositories_take_time_in_proportion() {
    for (name, kind, text) in fuzz::seeds::scan::hard() {
        let large = text.repeat((128 << 10) / text.len());
        within(8_000, name, || drop(scan::scan(&CATALOGUE, kind, &large)));
    }
}
