//! Text from outside, made visible: an attacker chooses arguments and paths, and must not be
//! able to move the cursor, recolour, hide or reorder what a person reads.

use std::io;

/// Longer texts are cut, and say so.
const LONGEST: usize = 2000;

/// For a terminal: nothing in the result is acted upon.
pub(crate) fn terminal(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for (count, c) in text.chars().enumerate() {
        if count == LONGEST {
            out.push_str(&format!("… ({} more characters)", text.chars().count() - LONGEST));
            break;
        }
        match c {
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c.is_control() && (c as u32) < 0x80 => {
                out.push_str(&format!("\\x{:02x}", c as u32))
            }
            c if c.is_control() || misleads(c) => out.push_str(&format!("\\u{{{:x}}}", c as u32)),
            c => out.push(c),
        }
    }
    out
}

/// For JSON lines, which end up on terminals too: beside what JSON itself escapes, the characters
/// that a terminal acts upon or that mislead a reader are written as `\uXXXX`.
pub(crate) struct Json;

impl serde_json::ser::Formatter for Json {
    fn write_string_fragment<W: ?Sized + io::Write>(
        &mut self,
        out: &mut W,
        text: &str,
    ) -> io::Result<()> {
        let mut plain = 0;
        for (at, c) in text.char_indices() {
            if !c.is_control() && !misleads(c) {
                continue;
            }
            out.write_all(&text.as_bytes()[plain..at])?;
            for unit in c.encode_utf16(&mut [0; 2]) {
                write!(out, "\\u{unit:04x}")?;
            }
            plain = at + c.len_utf8();
        }
        out.write_all(&text.as_bytes()[plain..])
    }
}

/// Characters that are not seen, or that change the order of those that are.
fn misleads(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{180e}'
        | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
        | '\u{3164}' | '\u{feff}' | '\u{ffa0}' | '\u{fff9}'..='\u{fffb}'
        | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_acted_upon() {
        assert_eq!(terminal("a\x1b[31mb\nc\u{202e}d\u{9b}é"), "a\\x1b[31mb\\nc\\u{202e}d\\u{9b}é");
        let mut json = Vec::new();
        let mut serializer = serde_json::Serializer::with_formatter(&mut json, Json);
        serde::Serialize::serialize("a\x1b\u{202e}\u{9b}\u{7f}\u{e0001}é\"", &mut serializer)
            .unwrap();
        let json = String::from_utf8(json).unwrap();
        assert_eq!(json, r#""a\u001b\u202e\u009b\u007f\udb40\udc01é\"""#);
        assert_eq!(
            serde_json::from_str::<String>(&json).unwrap(),
            "a\x1b\u{202e}\u{9b}\u{7f}\u{e0001}é\""
        );
        let long = terminal(&"x".repeat(5000));
        assert!(long.ends_with("… (3000 more characters)"), "{long}");
    }
}
