//! Text that knows where it stood: what a shell gets out of a block of YAML, a recipe of make or a string
//! of JSON differs from what is in the file, and every finding must point into the file.

use std::ops::Range;

/// A text, and for each part of it the place in the file where that part stood.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Piece {
    text: String,
    /// From this byte of the text on, it is what stands in the file from that byte on.
    marks: Vec<(usize, usize)>,
}

impl Piece {
    /// A text that stands in the file as it is, from this byte on.
    pub(crate) fn at(text: &str, origin: usize) -> Self {
        Self { text: text.to_owned(), marks: vec![(0, origin)] }
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.text
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    /// Adds what stands in the file from this byte on.
    pub(crate) fn push(&mut self, text: &str, origin: usize) {
        if text.is_empty() {
            return;
        }
        let goes_on = self
            .marks
            .last()
            .is_some_and(|(from, place)| place + (self.text.len() - from) == origin);
        if !goes_on {
            self.marks.push((self.text.len(), origin));
        }
        self.text.push_str(text);
    }

    pub(crate) fn append(&mut self, more: &Self) {
        for (at, (from, origin)) in more.marks.iter().enumerate() {
            let to = more.marks.get(at + 1).map_or(more.text.len(), |(next, _)| *next);
            self.push(&more.text[*from..to], *origin);
        }
    }

    /// Where in the file a byte of the text stood.
    pub(crate) fn origin(&self, at: usize) -> usize {
        let next = self.marks.partition_point(|(from, _)| *from <= at);
        match next.checked_sub(1).and_then(|i| self.marks.get(i)) {
            Some((from, place)) => place + (at - from),
            None => self.marks.first().map_or(0, |(_, place)| *place),
        }
    }

    pub(crate) fn slice(&self, range: Range<usize>) -> Self {
        let mut new = Self::default();
        let Some(text) = self.text.get(range.clone()) else { return new };
        let first = self.marks.partition_point(|(from, _)| *from <= range.start);
        new.marks.push((0, self.origin(range.start)));
        let inside = self.marks[first..].iter().take_while(|(from, _)| *from < range.end);
        new.marks.extend(inside.map(|(from, place)| (from - range.start, *place)));
        new.text.push_str(text);
        new
    }

    pub(crate) fn trim(&self) -> Self {
        let start = self.text.len() - self.text.trim_start().len();
        self.slice(start..start + self.text.trim().len())
    }

    pub(crate) fn lines(&self) -> impl Iterator<Item = Self> {
        let mut at = 0;
        self.text.split_inclusive('\n').map(move |line| {
            let from = at;
            at += line.len();
            self.slice(from..from + line.trim_end_matches(['\n', '\r']).len())
        })
    }

    /// The words of it, parted by blanks.
    pub(crate) fn split_blanks(&self) -> Vec<Self> {
        let mut words = Vec::new();
        let mut rest = 0;
        for word in self.text.split_ascii_whitespace() {
            let from = rest + self.text[rest..].find(word).unwrap_or_default();
            rest = from + word.len();
            words.push(self.slice(from..rest));
        }
        words
    }

    /// Puts letters in place of what somebody else fills in before the text is used: `${{ … }}`.
    pub(crate) fn fill_in(&self, open: &str, close: &str) -> Self {
        Self { text: fill_in(&self.text, open, close), marks: self.marks.clone() }
    }
}

/// Replaces each `open … close` by as many letters.
pub(crate) fn fill_in(text: &str, open: &str, close: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find(open) {
        let Some(len) = rest[start..].find(close) else { break };
        let end = start + len + close.len();
        out.push_str(&rest[..start]);
        out.extend(std::iter::repeat_n('x', end - start));
        rest = &rest[end..];
    }
    out.push_str(rest);
    out
}

/// Where the lines of a file begin.
#[derive(Debug)]
pub(crate) struct Lines<'t> {
    text: &'t str,
    starts: Vec<usize>,
}

impl<'t> Lines<'t> {
    pub(crate) fn new(text: &'t str) -> Self {
        let ends = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
        let starts = std::iter::once(0).chain(ends.map(|(at, _)| at + 1)).collect();
        Self { text, starts }
    }

    /// Line and column of a byte, both from 1 on; columns are characters.
    pub(crate) fn place(&self, at: usize) -> (usize, usize) {
        let mut at = at.min(self.text.len());
        while !self.text.is_char_boundary(at) {
            at -= 1;
        }
        let line = self.starts.partition_point(|start| *start <= at);
        let start = self.starts.get(line.saturating_sub(1)).copied().unwrap_or_default();
        // A line may be as long as the file, and be asked for as often.
        let column = self.text[start..at].chars().take(LONGEST_COLUMN).count() + 1;
        (line, column)
    }
}

/// Columns beyond are not counted.
const LONGEST_COLUMN: usize = 10_000;

/// Lays a text over what stands in the file for it, where line breaks, indentation and escapes differ.
/// `escapes` is for quotes in which a backslash begins one.
pub(crate) fn align(value: &str, raw: &str, origin: usize, escapes: bool) -> Piece {
    let mut piece = Piece::default();
    let mut at = 0;
    let bytes = raw.as_bytes();
    for (from, c) in value.char_indices() {
        let own = &value[from..from + c.len_utf8()];
        loop {
            if at >= raw.len() || raw[at..].starts_with(own) && !(escapes && bytes[at] == b'\\') {
                piece.push(own, origin + at.min(raw.len()));
                at += c.len_utf8();
                break;
            }
            if escapes && bytes[at] == b'\\' {
                let (len, gives) = escape(&raw[at..]);
                if gives {
                    piece.push(own, origin + at);
                    at += len;
                    break;
                }
                at += len;
                continue;
            }
            // Lines that were folded: what parted them is any white space.
            if c == ' ' && bytes[at].is_ascii_whitespace() {
                piece.push(own, origin + at);
                break;
            }
            at += 1;
            while !raw.is_char_boundary(at) {
                at += 1;
            }
        }
        at = at.min(raw.len());
    }
    piece
}

/// How long an escape of double quotes is, and whether it stands for a character.
fn escape(raw: &str) -> (usize, bool) {
    let len = match raw.as_bytes().get(1) {
        Some(b'x') => 4,
        Some(b'u') if is_surrogate(raw) => 12,
        Some(b'u') => 6,
        Some(b'U') => 10,
        Some(b'\n' | b'\r') => {
            let rest = raw[1..].trim_start();
            return (raw.len() - rest.len(), false);
        }
        Some(_) => 1 + raw[1..].chars().next().map_or(0, char::len_utf8),
        None => 1,
    };
    let mut len = len.min(raw.len());
    while !raw.is_char_boundary(len) {
        len -= 1;
    }
    (len.max(1), true)
}

fn is_surrogate(raw: &str) -> bool {
    let high = raw.get(2..6).and_then(|digits| u32::from_str_radix(digits, 16).ok());
    high.is_some_and(|unit| (0xd800..0xdc00).contains(&unit)) && raw.get(6..8) == Some("\\u")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_character_knows_where_it_stood() {
        let raw = "\n    nginx \\\n      -g x\n\n    b\n";
        let piece = align("nginx \\\n  -g x\n\nb\n", raw, 100, false);
        assert_eq!(piece.origin(piece.as_str().find('b').unwrap()), 100 + raw.find('b').unwrap());
        assert_eq!(piece.origin(0), 105);
        let raw = r#"a\tb \"c\" \ud83d\ude00d\
   e"#;
        let piece = align("a\tb \"c\" \u{1f600}de", raw, 0, true);
        for c in ['b', 'c', 'd', 'e'] {
            let at = piece.as_str().find(c).unwrap();
            assert_eq!(&raw[piece.origin(at)..=piece.origin(at)], c.to_string(), "{c}");
        }
    }

    #[test]
    fn pieces_of_pieces() {
        let mut piece = Piece::at("ab", 10);
        piece.push("cd", 12);
        piece.push("ef", 40);
        assert_eq!(piece.marks.len(), 2);
        let part = piece.slice(3..6);
        assert_eq!((part.as_str(), part.origin(0), part.origin(1)), ("def", 13, 40));
        let mut more = Piece::at("x", 0);
        more.append(&part);
        assert_eq!((more.as_str(), more.origin(1), more.origin(3)), ("xdef", 13, 41));
        let words = piece.split_blanks();
        assert_eq!(words.len(), 1);
        assert_eq!(fill_in("a ${{ é }} b ${{ c", "${{", "}}"), "a xxxxxxxxx b ${{ c");
    }

    #[test]
    fn lines_and_columns_begin_with_one() {
        let lines = Lines::new("é\nbc\n");
        assert_eq!(lines.place(0), (1, 1));
        assert_eq!(lines.place(2), (1, 2));
        assert_eq!(lines.place(4), (2, 2));
        assert_eq!(lines.place(99), (3, 1));
    }
}
