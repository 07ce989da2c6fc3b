//! Seeds of Go's build information, zip archives and the kernel's records.

use super::Seeds;
use crate::targets::go::{ADDRESS, MAGIC_AT};

const FENCE: &[u8; 16] = b"0w\xaf\x0c\x92t\x08\x02A\xe1\xc1\x07\xe6\xd6\x18\xe6";

/// The text about modules as Go writes it.
fn modules(text: &str) -> Vec<u8> {
    [FENCE.as_slice(), text.as_bytes(), FENCE.as_slice()].concat()
}

const FUZZ: &str = "path\texample.com/fuzz/cmd/x\nmod\texample.com/fuzz\tv1.2.3\th1:x=\n\
    dep\texample.com/dep\tv0.1.0\th1:y=\n=>\t../local\t(devel)\nbuild\t-compiler=gc\n";

/// A number in groups of seven bits.
fn varint(mut number: u64) -> Vec<u8> {
    let mut out = Vec::new();
    while number > 0x7f {
        out.push(number.to_le_bytes()[0] | 0x80);
        number >>= 7;
    }
    out.push(number.to_le_bytes()[0]);
    out
}

/// The format since Go 1.18: the texts follow, each behind its length.
fn inline(version: &[u8], modules: &[u8]) -> Vec<u8> {
    let mut out = vec![0, 8, 2];
    out.resize(1 + 18, 0);
    for text in [version, modules] {
        out.extend(varint(text.len() as u64));
        out.extend(text);
    }
    out
}

/// The format before: two addresses, each of an address and a length.
fn pointed(kind: u8, addresses: [u64; 2], pairs: [(u64, u64); 2], texts: &[u8]) -> Vec<u8> {
    let (width, big) = (if kind & 1 == 0 { 8 } else { 4 }, kind & 2 != 0);
    let mut out = vec![kind, u8::try_from(width).unwrap(), u8::from(big)];
    let put = |out: &mut Vec<u8>, number: u64| {
        let mut raw = number.to_le_bytes()[..width].to_vec();
        if big {
            raw.reverse();
        }
        out.extend(raw);
    };
    addresses.iter().for_each(|address| put(&mut out, *address));
    out.resize(1 + 18, 0);
    for (address, len) in pairs {
        put(&mut out, address);
        put(&mut out, len);
    }
    out.extend(texts);
    out
}

pub(super) fn go() -> Seeds {
    let mut seeds = Seeds::default();
    let fuzz = modules(FUZZ);
    seeds.add("inline", inline(b"go1.22.1", &fuzz));
    seeds.add("inline-devel", inline(b"devel +abc", &fuzz));
    seeds.add("inline-no-modules", inline(b"go1.22.1", b""));
    seeds.add("inline-not-go", inline(b"no1.22.1", &fuzz));
    seeds.add("inline-not-utf8", inline(b"go\xff\xfe", &modules("path\t\u{fffd}\nmod\n\t\t\n")));
    seeds.add("inline-fence-only", inline(b"go1.22.1", FENCE));
    seeds.add("inline-half-a-fence", inline(b"go1.22.1", &FENCE[..7]));
    seeds
        .add("inline-local", inline(b"go1.22.1", &modules("path\tx\ndep\texample.com/fuzz\tv1\n")));
    let many = "dep\ta.b/c\tv1\n".repeat(400);
    seeds.add("inline-many", inline(b"go1.22.1", &modules(&many)));
    let head = inline(b"", b"")[..19].to_vec();
    for (name, number) in [
        ("huge", varint(u64::MAX)),
        ("signed", varint(1 << 62)),
        ("a-mebibyte", varint(1 << 20)),
        ("more", varint((1 << 20) + 1)),
        ("endless", vec![0xff; 12]),
        ("cut", vec![0x80]),
        ("zeros", vec![0x80, 0x80, 0x80, 0x80, 0x00]),
    ] {
        seeds.add(&format!("length-{name}"), [head.as_slice(), &number].concat());
        let second = [inline(b"go1.22.1", b"").split_last().unwrap().1, &number].concat();
        seeds.add(&format!("second-length-{name}"), second);
    }
    let after = ADDRESS + MAGIC_AT as u64 + 32;
    for kind in 0..8 {
        let pair = if kind & 1 == 0 { 16 } else { 8 };
        let text = after + 2 * pair;
        let lens = (8, fuzz.len() as u64);
        let texts = [b"go1.17.1".as_slice(), &fuzz].concat();
        let right =
            pointed(kind, [after, after + pair], [(text, lens.0), (text + lens.0, lens.1)], &texts);
        seeds.add(&format!("pointed-{kind}"), right);
    }
    for (name, address, text, len) in [
        ("zero", 0, 0, 0),
        ("largest", u64::MAX, u64::MAX, u64::MAX),
        ("to-itself", after, after, 16),
        ("below", ADDRESS - 1, ADDRESS - 1, 8),
        ("text-largest", after, u64::MAX, 8),
        ("huge-length", after, after, u64::MAX),
        ("a-mebibyte", after, after, 1 << 20),
    ] {
        let pairs = [(text, len), (text, len)];
        seeds.add(&format!("pointed-{name}"), pointed(0, [address, address], pairs, b"go1.17"));
    }
    seeds.add("wrong-width", vec![0, 4, 0]);
    seeds.add("empty", vec![0]);
    seeds.add("magic-again", [inline(b"go1.1", b""), b"\xff Go buildinf:".repeat(80)].concat());
    seeds
}

/// An end record with these numbers: entries, size and place of the directory, comment.
fn end(entries: u16, size: u32, at: u32, comment: u16) -> Vec<u8> {
    let mut out = b"PK\x05\x06\0\0\0\0".to_vec();
    out.extend(entries.to_le_bytes());
    out.extend(entries.to_le_bytes());
    out.extend(size.to_le_bytes());
    out.extend(at.to_le_bytes());
    out.extend(comment.to_le_bytes());
    out
}

pub(super) fn archive() -> Seeds {
    let mut seeds = Seeds::default();
    let name = b"com/example/fuzz/Main.class";
    let mut entry = b"PK\x01\x02".to_vec();
    entry.resize(28, 0);
    entry.extend(u16::try_from(name.len()).unwrap().to_le_bytes());
    entry.resize(46, 0);
    entry.extend(name);
    let size = u32::try_from(entry.len()).unwrap();
    let all = |end: Vec<u8>| [&[0], entry.as_slice(), &end].concat();
    seeds.add("plain", all(end(1, size, 4, 0)));
    for front in [1, 17, 255] {
        let mut bytes = all(end(1, size, 4, 0));
        bytes[0] = front;
        seeds.add(&format!("front-{front}"), bytes);
    }
    for (what, lies) in [
        ("0", 0),
        ("1", 1),
        ("one-more", size + 5),
        ("signed", 1 << 31),
        ("nearly-zip64", u32::MAX - 1),
        ("zip64", u32::MAX),
    ] {
        seeds.add(&format!("size-{what}"), all(end(1, lies, 4, 0)));
        seeds.add(&format!("at-{what}"), all(end(1, size, lies, 0)));
    }
    seeds.add("entries-largest", all(end(u16::MAX, size, 4, 0)));
    seeds.add("comment-lies", all(end(1, size, 4, u16::MAX)));
    seeds.add("comment", all([end(1, size, 4, 9), b"PK\x05\x06 and".to_vec()].concat()));
    let whole = end(1, size, 4, 0);
    for cut in [3, 4, 12, 15, 16, 19, 20, 21] {
        seeds.add(&format!("end-cut-{cut}"), all(whole[..cut].to_vec()));
    }
    seeds.add("end-twice", all([end(9, 9, 9, 0), whole.clone()].concat()));
    seeds.add("ends-only", [vec![0], whole.repeat(60)].concat());
    seeds.add("no-end", [vec![0], entry.repeat(20)].concat());
    seeds.add("empty", vec![0]);
    let long = [vec![70], whole.clone(), vec![b'c'; 300]].concat();
    seeds.add("end-far-from-the-end", long);
    seeds.add("as-it-is", [b"\x01".as_slice(), b"PK\x03\x04", &entry, &whole].concat());
    seeds.add("end-first", [b"\x01".as_slice(), &whole].concat());
    seeds
}

pub(super) fn wire() -> Seeds {
    use probe::fuzz::{connect_record, exec_record, image_record, listen_record};
    let mut seeds = Seeds::default();
    let mut add = |name: &str, kind: u8, record: Vec<u8>| {
        seeds.add(name, [vec![kind], record].concat());
    };
    let args = b"nginx\0-g\0daemon off;\0";
    let place: [&[u8]; 3] = [b"nginx.service\0system.slice\0", b"docker\0", b"pts3\0"];
    let with = |[path, cwd, asked, interpreter]: [&'static [u8]; 4], args: &'static [u8]| {
        [path, cwd, asked, interpreter, place[0], place[1], place[2], args]
    };
    let tail = with([b"nginx\0sbin\0usr\0", b"srv\0", b"/usr/sbin/nginx\0", b""], args);
    for flag in 0..11 {
        add(&format!("exec-flag-{flag}"), 0, exec_record(1 << flag, tail));
    }
    add("exec", 0, exec_record(0, tail));
    add("exec-all-flags", 0, exec_record(u32::MAX, tail));
    add("exec-empty", 0, exec_record(0, [b""; 8]));
    add("exec-no-nul", 0, exec_record(0, [b"a"; 8]));
    add("exec-nul-only", 0, exec_record(0, [&[0; 80]; 8]));
    add(
        "exec-no-text",
        0,
        exec_record(0, with([&[0xff; 90], b"\xc3", b"\xe2\x82\0", b""], &[0xfe; 90])),
    );
    let deep = b"d\0".repeat(64);
    let long = vec![b'a'; 8192];
    let long: [&[u8]; 8] =
        [&deep, &deep, b"./x\0", b"/bin/sh\0", &deep[..40], &deep[..40], b"tty1\0", &long];
    add("exec-long", 0, exec_record(1 << 4 | 1 << 9, long));
    let script = with([tail[0], tail[1], tail[2], b"/bin/sh\0"], args);
    add("exec-script", 0, exec_record(1 << 3, script));
    let whole = exec_record(0, tail);
    for cut in [0, 1, 8, 100, 150, 200, 220, whole.len() - 1] {
        add(&format!("exec-cut-{cut}"), 0, whole[..cut].to_vec());
    }
    let head = exec_record(0, [b""; 8]);
    // The lengths stand before those of the tail and of all arguments, and the name.
    for at in 0..9 {
        let place = head.len() - 16 - 4 * (12 - at);
        let mut lies = whole.clone();
        lies[place..place + 4].copy_from_slice(&u32::MAX.to_le_bytes());
        add(&format!("exec-length-{at}-huge"), 0, lies);
    }
    add("exec-all-ones", 0, vec![0xff; head.len()]);
    let mut ones = vec![0xff; head.len() - 16];
    let lengths = ones.len() - 48;
    ones[lengths..].fill(0);
    ones.extend([b'c'; 16]);
    add("exec-numbers-all-ones", 0, ones);
    let listen = listen_record(2, 80, [127, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    add("listen", 1, listen.clone());
    add("listen-6", 1, listen_record(10, 0, [0; 16]));
    add(
        "listen-mapped",
        1,
        listen_record(10, 1, [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 1, 2, 3, 4]),
    );
    add("listen-other", 1, listen_record(u16::MAX, u16::MAX, [255; 16]));
    add("listen-cut", 1, listen[..listen.len() - 1].to_vec());
    add("listen-ones", 1, vec![0xff; listen.len()]);
    let image = image_record(b"/usr/sbin/nginx\0", b"nginx\0-t\0");
    add("image", 2, image.clone());
    add("image-long", 2, image_record(&[b'/'; 200], &[b'x'; 200]));
    add("image-ones", 2, vec![0xff; image.len()]);
    add("image-cut", 2, image[..40].to_vec());
    let v4 = [127, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let mapped = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 1, 2, 3, 4];
    for kind in 0..=4 {
        add(&format!("connect-{kind}"), 3, connect_record(kind, 2, v4, v4));
    }
    add("connect-6", 3, connect_record(2, 10, [0xfd; 16], mapped));
    add("connect-other", 3, connect_record(2, u16::MAX, v4, v4));
    let connect = connect_record(3, 10, [255; 16], [0; 16]);
    add("connect-cut", 3, connect[..connect.len() - 1].to_vec());
    add("connect-ones", 3, vec![0xff; connect.len()]);
    seeds
}
