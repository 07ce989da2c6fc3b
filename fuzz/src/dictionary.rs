//! Words that a parser looks for, in libFuzzer's own format, so that both drivers read the same:
//! lines of `"text"` with `\xNN`, `\\` and `\"`, and comments.

use std::fs;

use crate::place;

/// The words of a target.
pub fn words(target: &str) -> Vec<Vec<u8>> {
    let path = place::root("fuzz/dict").join(format!("{target}.dict"));
    let text = fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.map(|line| word(line).unwrap_or_else(|| panic!("{}: {line}", path.display()))).collect()
}

fn word(line: &str) -> Option<Vec<u8>> {
    let mut bytes = line.strip_prefix('"')?.strip_suffix('"')?.bytes();
    let mut word = Vec::new();
    while let Some(byte) = bytes.next() {
        if byte != b'\\' {
            word.push(byte);
            continue;
        }
        match bytes.next()? {
            b'x' => {
                let digits = [bytes.next()?, bytes.next()?];
                word.push(u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?);
            }
            escaped @ (b'\\' | b'"') => word.push(escaped),
            _ => return None,
        }
    }
    (!word.is_empty()).then_some(word)
}
