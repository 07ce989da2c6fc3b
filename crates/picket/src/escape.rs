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

/// For Markdown, as code: nothing in the result is a link, an image, a mention, HTML or the end of a
/// cell of a table.
pub(crate) fn markdown(text: &str) -> String {
    let text = cut(text, CELL);
    match text.trim() {
        "" => "` `".to_owned(),
        text => format!("`{}`", terminal(text).replace('`', "\\x60").replace('|', "\\x7c")),
    }
}

/// For Markdown, as a sentence: words of letters, and small numbers, stay as they are, all others
/// become code.
pub(crate) fn markdown_prose(text: &str) -> String {
    let letters = |word: &str| {
        let mut parts = word.split(['-', '\'']);
        parts.all(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphabetic()))
    };
    // With a full stop it could begin a list, and a long one could be a commit.
    let number = |word: &str| word.len() < 6 && word.bytes().all(|b| b.is_ascii_digit());
    let mut out = String::new();
    // Words of code that follow each other are one piece of it.
    let mut run: Vec<&str> = Vec::new();
    let text = cut(text, LONGEST).replace('`', "'");
    for word in text.split_whitespace() {
        let core = word.trim_end_matches(['.', ',', ';', ':', '?']);
        let plain = letters(core) || number(word);
        if plain {
            end_code(&mut out, &mut run, "");
            out.push_str(word);
            out.push(' ');
        } else {
            run.push(if core.is_empty() { word } else { core });
            let tail = if core.is_empty() { "" } else { &word[core.len()..] };
            if !tail.is_empty() {
                end_code(&mut out, &mut run, tail);
            }
        }
    }
    end_code(&mut out, &mut run, "");
    out.trim_end().to_owned()
}

/// Writes words of code, and what follows them.
fn end_code(out: &mut String, run: &mut Vec<&str>, tail: &str) {
    if !run.is_empty() {
        out.push_str(&markdown(&run.join(" ")));
        out.push_str(tail);
        out.push(' ');
        run.clear();
    }
}

/// Longer texts are cut in a cell of a table.
const CELL: usize = 200;

fn cut(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        None => text.to_owned(),
        Some((at, _)) => format!("{}…", &text[..at]),
    }
}

/// A line for the log of a pipeline: runners take lines that begin with `::`, or that have `##[` or
/// `##vso[` anywhere in them, for commands of a step.
pub(crate) fn runner(line: &str) -> String {
    let line = line.replace("##", "#\\x23");
    let start = line.len() - line.trim_start().len();
    match line[start..].strip_prefix("::") {
        Some(rest) => format!("{}\\x3a\\x3a{rest}", &line[..start]),
        None => line,
    }
}

/// The message of a runner's command.
pub(crate) fn command(text: &str) -> String {
    terminal(text).replace("##", "#\\x23").replace('%', "%25")
}

/// A property of a runner's command, which a colon or a comma would end.
pub(crate) fn property(text: &str) -> String {
    command(text).replace(':', "%3A").replace(',', "%2C")
}

/// For a message of SARIF, of which viewers make links, and in which they fill in `{0}`.
pub(crate) fn sarif(text: &str) -> String {
    let mut out = String::new();
    for c in terminal(text).chars() {
        match c {
            '[' | ']' | '{' | '}' => out.push_str(&format!("\\x{:02x}", c as u32)),
            c => out.push(c),
        }
    }
    out
}

/// For XML, as text and in attributes. The characters that XML cannot have are visible by then.
pub(crate) fn xml(text: &str) -> String {
    let mut out = String::new();
    for c in terminal(text).chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&apos;"),
            c => out.push(c),
        }
    }
    out
}

/// A path, for a URI.
pub(crate) fn uri(path: &str) -> String {
    let mut out = String::with_capacity(path.len());
    for byte in path.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => {
                out.push(char::from(byte));
            }
            byte => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

/// A document in JSON, on one line.
pub(crate) fn json(value: &impl serde::Serialize) -> Vec<u8> {
    let mut out = Vec::new();
    let mut to = serde_json::Serializer::with_formatter(&mut out, Json);
    // Nothing that is written so has keys that are no text, and memory does not fail.
    let _ = value.serialize(&mut to);
    out.push(b'\n');
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

/// Characters that are not seen, that change the order of those that are, or that are none.
fn misleads(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{180e}'
        | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
        | '\u{3164}' | '\u{feff}' | '\u{ffa0}' | '\u{fff9}'..='\u{fffb}'
        | '\u{fffe}' | '\u{ffff}' | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markdown_is_inert() {
        assert_eq!(markdown("a`b|c\n@d <img> [x](y)"), "`a\\x60b\\x7cc\\n@d <img> [x](y)`");
        assert_eq!(markdown(" "), "` `");
        assert_eq!(markdown(&"x".repeat(900)).chars().count(), CELL + 3);
        assert_eq!(
            markdown_prose("It's web-1, at 8080: www.evil.example, @you. #1 1. :x: **b**"),
            "It's `web-1`, at `8080`: `www.evil.example`, `@you`. `#1 1`. `:x`: `**b**`"
        );
        assert_eq!(markdown_prose("\u{3164} a  b\n# c"), "`\\u{3164}` a b `#` c");
    }

    #[test]
    fn runners_are_told_only_what_is_meant() {
        assert_eq!(runner("  ::error::x ##[group]y"), "  \\x3a\\x3aerror::x #\\x23[group]y");
        assert_eq!(runner("a ::error::x"), "a ::error::x");
        assert_eq!(command("100%\n##vso[x]"), "100%25\\n#\\x23vso[x]");
        assert_eq!(property("a,b::c"), "a%2Cb%3A%3Ac");
    }

    #[test]
    fn xml_has_no_markup_and_no_characters_that_it_cannot_have() {
        let text = xml("<a b=\"c\" d='e'>]]>&#0; \0\x1b\u{b}\n\u{ffff}\u{202e}é");
        assert_eq!(
            text,
            "&lt;a b=&quot;c&quot; d=&apos;e&apos;&gt;]]&gt;&amp;#0; \\x00\\x1b\\x0b\\n\\u{ffff}\\u{202e}é"
        );
    }

    #[test]
    fn viewers_of_sarif_make_no_links() {
        let text = sarif("[x](http://evil.example) {0} \x1b[31m\n<img>");
        assert_eq!(text, "\\x5bx\\x5d(http://evil.example) \\x7b0\\x7d \\x1b\\x5b31m\\n<img>");
        assert_eq!(uri("/a b/c:?#[é]%"), "/a%20b/c%3A%3F%23%5B%C3%A9%5D%25");
    }

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
