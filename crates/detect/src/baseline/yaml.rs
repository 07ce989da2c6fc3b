//! Writing YAML: one style, whatever the text. Strings stand in double quotes, in which a text from
//! outside can neither end its line nor become anything else than a string.

use std::fmt::Write as _;

use serde::Serialize;
use serde_json::Value;

/// A string, with what is no plain character escaped.
pub(super) fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            ' '..='~' => out.push(c),
            // Letters of all scripts can be read, but for these, which are blank.
            c if c.is_alphanumeric() && !"\u{115f}\u{1160}\u{3164}\u{ffa0}".contains(c) => {
                out.push(c);
            }
            c if (c as u32) < 0x1_0000 => {
                let _ = write!(out, "\\u{:04x}", c as u32);
            }
            c => {
                let _ = write!(out, "\\U{:08x}", c as u32);
            }
        }
    }
    out.push('"');
    out
}

/// A list or a map, on one line.
pub(super) fn flow(value: &impl Serialize) -> String {
    let mut out = String::new();
    write(&mut out, &serde_json::to_value(value).unwrap_or_default());
    out
}

fn write(out: &mut String, value: &Value) {
    match value {
        Value::String(text) => out.push_str(&quoted(text)),
        Value::Array(list) => {
            out.push('[');
            for (at, item) in list.iter().enumerate() {
                out.push_str(if at == 0 { "" } else { ", " });
                write(out, item);
            }
            out.push(']');
        }
        Value::Object(map) => {
            out.push('{');
            for (at, (key, item)) in map.iter().enumerate() {
                let _ = write!(out, "{}{key}: ", if at == 0 { "" } else { ", " });
                write(out, item);
            }
            out.push('}');
        }
        other => {
            let _ = write!(out, "{other}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_text_stays_a_string() {
        let hostile = [
            "a\nb: c",
            "- x",
            "{{}}",
            "\"",
            "\\",
            "é",
            "\u{202e}txt",
            "\u{85}\u{2028}",
            "null",
            "1.10",
            "\0\x1b[31m",
            "\u{e0041}",
            "# no",
            "ünï",
            "\u{feff}",
            "日本",
            "\u{3164}",
        ];
        for text in hostile {
            let line = quoted(text);
            assert!(
                !line.contains(['\n', '\u{202e}', '\u{1b}', '\u{2028}', '\u{e0041}']),
                "{line}"
            );
            let read: Result<String, _> = crate::parse::yaml("x", &line);
            assert_eq!(read.as_deref(), Ok(text), "{line}");
        }
        let list: Vec<String> = hostile.iter().map(|text| (*text).to_owned()).collect();
        let read: Result<Vec<String>, _> = crate::parse::yaml("x", &flow(&list));
        assert_eq!(read, Ok(list));
    }
}
