//! JSON, with comments where tools allow them: the texts of an object, and where they stood.

use jsonc_parser::ast::{Object, StringLit, Value};
use jsonc_parser::common::Ranged;
use jsonc_parser::{CollectOptions, ParseOptions, parse_to_ast};

use crate::Problem;
use crate::text::{Piece, align};

/// Hands the object that a file is to a reader.
pub(crate) fn object<T: Default>(
    text: &str,
    read: impl FnOnce(&Object<'_>) -> T,
) -> Result<T, Problem> {
    let parsed = parse_to_ast(text, &CollectOptions::default(), &ParseOptions::default());
    let parsed = parsed.map_err(|error| Problem {
        at: error.range().start,
        why: format!("not JSON: {}", error.kind()),
    })?;
    match &parsed.value {
        Some(Value::Object(object)) => Ok(read(object)),
        _ => Ok(T::default()),
    }
}

/// The texts of an entry: a string, or a list of them.
pub(crate) fn texts(source: &str, value: &Value<'_>) -> Vec<Piece> {
    match value {
        Value::StringLit(string) => vec![piece(source, string)],
        Value::Array(list) => {
            let strings = list.elements.iter().filter_map(Value::as_string_lit);
            strings.map(|string| piece(source, string)).collect()
        }
        _ => Vec::new(),
    }
}

fn piece(source: &str, string: &StringLit<'_>) -> Piece {
    let start = string.start() + 1;
    let raw = source.get(start..string.end().saturating_sub(1)).unwrap_or_default();
    align(&string.value, raw, start, true)
}

/// The strings of a text that is a list of strings; `None` if it is something else.
pub(crate) fn list(text: &Piece) -> Option<Vec<Piece>> {
    let source = text.as_str();
    if !source.trim_start().starts_with('[') {
        return None;
    }
    let parsed = parse_to_ast(source, &CollectOptions::default(), &ParseOptions::default()).ok()?;
    let Some(Value::Array(list)) = &parsed.value else { return None };
    let strings = list.elements.iter().map(|element| {
        let string = element.as_string_lit()?;
        let plain = text.slice(string.start() + 1..string.end().saturating_sub(1));
        // An escape within is rare: then only its beginning has a place.
        let same = plain.as_str() == string.value;
        Some(if same { plain } else { Piece::at(&string.value, plain.origin(0)) })
    });
    strings.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_know_where_they_stood() {
        let text = "{ // c\n \"a\": {\"b\": \"x \\\"needle\\\"\"}, }";
        let found =
            object(text, |o| texts(text, &o.get_object("a").unwrap().get("b").unwrap().value));
        let found = found.unwrap();
        let at = found[0].as_str().find("needle").unwrap();
        assert_eq!(found[0].origin(at), text.find("needle").unwrap());
        assert!(object("{", |_| ()).unwrap_err().why.starts_with("not JSON: "));
        assert!(object(&"[".repeat(9000), |_| ()).is_err());
    }
}
