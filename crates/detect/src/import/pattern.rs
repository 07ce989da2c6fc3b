//! Texts with wildcards, as Sigma has them: `*` is anything, `?` is one character, a backslash
//! takes the meaning from these two and from another backslash, and is itself before all others.

use super::cel::{self, Expr};

/// A text with wildcards.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pattern(Vec<Part>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    /// `*`
    Many,
    /// `?`
    One,
    /// A dash, or what Windows takes for one (`windash`).
    Dash,
}

impl Pattern {
    pub(super) fn parse(text: &str) -> Self {
        let mut pattern = Self(Vec::new());
        let mut chars = text.chars().peekable();
        while let Some(c) = chars.next() {
            match c {
                '\\' => match chars.next_if(|next| matches!(next, '*' | '?' | '\\')) {
                    Some(next) => pattern.push(next),
                    None => pattern.push('\\'),
                },
                '*' => pattern.0.push(Part::Many),
                '?' => pattern.0.push(Part::One),
                c => pattern.push(c),
            }
        }
        pattern
    }

    /// A text in which nothing has a meaning.
    pub(super) fn literally(text: &str) -> Self {
        let part = (!text.is_empty()).then(|| Part::Text(text.to_owned()));
        Self(part.into_iter().collect())
    }

    fn push(&mut self, c: char) {
        match self.0.last_mut() {
            Some(Part::Text(text)) => text.push(c),
            _ => self.0.push(Part::Text(c.to_string())),
        }
    }

    /// The text, where it has no wildcards.
    pub(super) fn plain(&self) -> Option<&str> {
        match self.0.as_slice() {
            [] => Some(""),
            [Part::Text(text)] => Some(text),
            _ => None,
        }
    }

    /// With anything before it, behind it, or both.
    pub(super) fn open(mut self, before: bool, behind: bool) -> Self {
        if before && self.0.first() != Some(&Part::Many) {
            self.0.insert(0, Part::Many);
        }
        if behind && self.0.last() != Some(&Part::Many) {
            self.0.push(Part::Many);
        }
        self
    }

    /// With each dash or slash that begins a word standing for all dashes.
    pub(super) fn dashed(self) -> Self {
        let word = |c: &char| c.is_alphanumeric() || *c == '_';
        let mut dashed = Self(Vec::new());
        for part in self.0 {
            let Part::Text(text) = part else {
                dashed.0.push(part);
                continue;
            };
            let mut before = None;
            let mut chars = text.chars().peekable();
            while let Some(c) = chars.next() {
                let begins = !before.as_ref().is_some_and(word) && chars.peek().is_some_and(word);
                match c {
                    '-' | '/' if begins => dashed.0.push(Part::Dash),
                    c => dashed.push(c),
                }
                before = Some(c);
            }
        }
        dashed
    }

    /// Whether it fits every text.
    pub(super) fn is_anything(&self) -> bool {
        !self.0.is_empty() && self.0.iter().all(|part| *part == Part::Many)
    }

    /// The condition that a fact fits it.
    pub(super) fn fits(&self, fact: &str, cased: bool) -> Expr {
        if self.is_anything() {
            return Expr::Is(true);
        }
        let lower = !cased && self.has_letters();
        let fact = if lower { format!("{fact}.lowerAscii()") } else { fact.to_owned() };
        let write = |text: &str| match lower {
            true => cel::text(&text.to_ascii_lowercase()),
            false => cel::text(text),
        };
        let mut parts = self.0.clone();
        parts.dedup_by(|a, b| *a == Part::Many && *b == Part::Many);
        Expr::atom(match parts.as_slice() {
            [] => format!("{fact} == \"\""),
            [Part::Text(t)] => format!("{fact} == {}", write(t)),
            [Part::Many, Part::Text(t), Part::Many] => format!("{fact}.contains({})", write(t)),
            [Part::Text(t), Part::Many] => format!("{fact}.startsWith({})", write(t)),
            [Part::Many, Part::Text(t)] => format!("{fact}.endsWith({})", write(t)),
            parts => format!("{fact}.matches({})", cel::pattern(&expression(parts, lower))),
        })
    }

    fn has_letters(&self) -> bool {
        let letters = |text: &str| text.bytes().any(|b| b.is_ascii_alphabetic());
        self.0.iter().any(|part| matches!(part, Part::Text(text) if letters(text)))
    }
}

/// The regular expression of a text with wildcards.
fn expression(parts: &[Part], lower: bool) -> String {
    let mut out = "(?s)".to_owned();
    let inner = |part: Option<&Part>| part == Some(&Part::Many);
    if !inner(parts.first()) {
        out.push('^');
    }
    for (i, part) in parts.iter().enumerate() {
        let last = i + 1 == parts.len();
        match part {
            Part::Text(text) if lower => out.push_str(&quoted(&text.to_ascii_lowercase())),
            Part::Text(text) => out.push_str(&quoted(text)),
            Part::Many if i > 0 && !last => out.push_str(".*"),
            Part::Many => {}
            Part::One => out.push('.'),
            Part::Dash => out.push_str("[-/\u{2013}\u{2014}\u{2015}]"),
        }
    }
    if !inner(parts.last()) {
        out.push('$');
    }
    out
}

/// A text that a regular expression takes as it is.
pub(crate) fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if r"\.+*?()|[]{}^$#&~".contains(c) {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fits(text: &str) -> String {
        Pattern::parse(text).fits("f", false).lines().join("\n")
    }

    #[test]
    fn the_simplest_form_is_taken() {
        for (text, expected) in [
            ("", r#"f == """#),
            ("Ab", r#"f.lowerAscii() == "ab""#),
            ("12 ", r#"f == "12 ""#),
            ("*/Sh", r#"f.lowerAscii().endsWith("/sh")"#),
            ("/Bin/*", r#"f.lowerAscii().startsWith("/bin/")"#),
            ("**x**", r#"f.lowerAscii().contains("x")"#),
            ("a*b", r#"f.lowerAscii().matches("(?s)^a.*b$")"#),
            ("*a?.c*", r#"f.lowerAscii().matches(r"(?s)a.\.c")"#),
            ("?", r#"f.matches("(?s)^.$")"#),
            ("*", "true"),
            (r"\*", r#"f == "*""#),
            (r"\\*", r#"f.startsWith("\\")"#),
            (r"\\\*", r#"f == "\\*""#),
            (r"a\b\", r#"f.lowerAscii() == "a\\b\\""#),
        ] {
            assert_eq!(fits(text), expected, "{text}");
        }
        let cased = Pattern::parse("*/Sh").fits("f", true);
        assert_eq!(cased, Expr::atom(r#"f.endsWith("/Sh")"#));
    }

    #[test]
    fn dashes_that_begin_a_word_are_any_dash() {
        let dashed = |text| Pattern::parse(text).dashed().fits("f", true).lines().join("\n");
        assert_eq!(dashed(" -ab-c --d"), "f.matches(\"(?s)^ [-/–—―]ab-c -[-/–—―]d$\")");
        assert_eq!(dashed("a-b"), r#"f == "a-b""#);
    }
}
