//! Reading YAML, with errors that name file, line, column and what was expected.

use serde::de::DeserializeOwned;
use serde_saphyr::{DuplicateKeyPolicy, Location};

/// Why a file was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{path}:{line}:{column}: {message}")]
pub struct ParseError {
    /// The file.
    pub path: String,
    /// Line, from 1.
    pub line: u64,
    /// Column, from 1.
    pub column: u64,
    /// What is wrong, and what was expected.
    pub message: String,
}

impl ParseError {
    /// An error at a place that the parser remembers.
    pub(crate) fn at(path: &str, location: &Location, message: String) -> Self {
        Self {
            path: path.to_owned(),
            line: location.line().max(1),
            column: location.column().max(1),
            message,
        }
    }

    /// An error that concerns a line of a file.
    pub fn line(path: &str, line: u64, message: impl Into<String>) -> Self {
        Self { path: path.to_owned(), line, column: 1, message: message.into() }
    }
}

/// Reads one YAML document. Unknown and repeated keys are errors.
pub fn yaml<T: DeserializeOwned>(path: &str, text: &str) -> Result<T, ParseError> {
    serde_saphyr::from_str_with_options(text, options()).map_err(|e| refused(path, text, &e))
}

/// Reads all YAML documents of a file. Of `y`, `no` and the like, texts are made, not truth.
pub(crate) fn yaml_documents<T: DeserializeOwned>(
    path: &str,
    text: &str,
) -> Result<Vec<T>, ParseError> {
    let mut options = options();
    options.strict_booleans = true;
    serde_saphyr::from_multiple_with_options(text, options).map_err(|e| refused(path, text, &e))
}

fn options() -> serde_saphyr::Options {
    serde_saphyr::options! {
        with_snippet: false,
        duplicate_keys: DuplicateKeyPolicy::Error,
    }
}

fn refused(path: &str, text: &str, error: &serde_saphyr::Error) -> ParseError {
    let location = error.location();
    let message = error.without_snippet().to_string();
    ParseError {
        path: path.to_owned(),
        line: location.as_ref().map_or(1, |l| l.line().max(1)),
        column: location.as_ref().map_or(1, |l| l.column().max(1)),
        message: match location {
            Some(at) => with_culprit(plain(&message), text, at.line(), at.column()),
            None => plain(&message),
        },
    }
}

/// The place in a file of a byte of a scalar's value: line and column, from 1.
///
/// However a scalar is written, plain, quoted, folded over lines, its characters other than blanks
/// come in the same order, so they are counted; escapes in quotes may shift the column.
pub(crate) fn place_in_scalar(
    text: &str,
    start: &Location,
    value: &str,
    byte: usize,
) -> (u64, u64) {
    let before = value.get(..byte).unwrap_or(value);
    let wanted = before.chars().filter(|c| !c.is_whitespace()).count();
    let (mut line, mut column) = (start.line().max(1), start.column().max(1));
    let lines = text.lines().skip(usize::try_from(line - 1).unwrap_or(usize::MAX));
    let mut seen = 0;
    let mut head = true;
    for (number, content) in lines.enumerate() {
        let from = if number == 0 { usize::try_from(column - 1).unwrap_or(usize::MAX) } else { 0 };
        let content: Vec<char> = content.chars().skip(from).collect();
        // `|` or `>` with what may follow it, or a quote, is not of the value.
        let skip = match content.first() {
            Some('|' | '>') if head => content.len(),
            Some('"' | '\'') if head => 1,
            _ => 0,
        };
        head = false;
        for (at, c) in content.iter().enumerate().skip(skip) {
            if c.is_whitespace() {
                continue;
            }
            if seen == wanted {
                line += number as u64;
                column = (from + at) as u64 + 1;
                return (line, column);
            }
            seen += 1;
        }
    }
    (line, column)
}

/// Where the library only says that a number is wrong, the number and what would be right.
fn with_culprit(message: String, text: &str, line: u64, column: u64) -> String {
    let range = match message.as_str() {
        "invalid u16" => "a number from 0 to 65535",
        "invalid u32" => "a number from 0 to 4294967295",
        "invalid u64" | "invalid usize" => "a number from 0 up",
        _ => return message,
    };
    let index = |n: u64| usize::try_from(n.saturating_sub(1)).unwrap_or(usize::MAX);
    let rest: String =
        text.lines().nth(index(line)).unwrap_or("").chars().skip(index(column)).collect();
    let end = rest.find([',', ']', '}', '#', ' ']).unwrap_or(rest.len());
    format!("{:?} is out of place: expected {range}", &rest[..end])
}

/// The library repeats the place in its message; ours already stands before it.
fn plain(message: &str) -> String {
    let first = message.lines().next().unwrap_or(message);
    let ends = [" at line ", ", set DuplicateKeyPolicy"].map(|end| first.find(end));
    let end = ends.into_iter().flatten().min().unwrap_or(first.len());
    let start = match first.find(": ") {
        Some(i) if first.starts_with("error: line ") => i + 2,
        _ => 0,
    };
    first.get(start..end).unwrap_or(first).to_owned()
}
