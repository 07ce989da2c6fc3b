//! Words of a command line that no shell reads: blanks part them, quotes hold them together.

use crate::text::Piece;

pub(super) fn words(line: &Piece) -> Vec<Piece> {
    let text = line.as_str();
    let mut words = Vec::new();
    let mut word: Option<Piece> = None;
    let mut quote = None;
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        let mut add = |from: usize, c: char| {
            let own = &text[from..from + c.len_utf8()];
            word.get_or_insert_default().push(own, line.origin(from));
        };
        match (quote, c) {
            (Some(open), _) if c == open => quote = None,
            (Some('\''), _) => add(at, c),
            (_, '\\') => match chars.next() {
                Some((_, '\n')) => {}
                Some((next, escaped)) => add(next, escaped),
                None => add(at, c),
            },
            (Some(_), _) => add(at, c),
            (None, '\'' | '"') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (None, _) if c.is_ascii_whitespace() => words.extend(word.take()),
            (None, _) => add(at, c),
        }
    }
    words.extend(word);
    words
}

#[cfg(test)]
mod tests {
    use super::words;
    use crate::text::Piece;

    #[test]
    fn quotes_hold_words_together() {
        let line = Piece::at(r#"nginx  -g "daemon \"off\";" 'a\b' c\ d """#, 7);
        let words = words(&line);
        let plain: Vec<&str> = words.iter().map(Piece::as_str).collect();
        assert_eq!(plain, ["nginx", "-g", r#"daemon "off";"#, r"a\b", "c d", ""]);
        assert_eq!(words[2].origin(0), 7 + 11);
    }
}
