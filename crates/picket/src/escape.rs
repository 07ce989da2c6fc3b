//! Text from outside, made visible: an attacker chooses arguments and paths, and must not be
//! able to move the cursor, recolour, hide or reorder what a person reads.

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
        let long = terminal(&"x".repeat(5000));
        assert!(long.ends_with("… (3000 more characters)"), "{long}");
    }
}
