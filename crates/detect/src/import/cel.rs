//! Conditions on their way into a recipe's `when`: put together, simplified, and written so that a
//! person can read them.

/// A line of an expression is not longer where it can be parted.
const WIDTH: usize = 92;

/// A condition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Expr {
    /// Always, or never.
    Is(bool),
    /// What holds no `&&`, `||` or `?:` outside of brackets.
    Atom(String),
    Not(Box<Expr>),
    And(Vec<Expr>),
    Or(Vec<Expr>),
}

impl Expr {
    pub(super) fn atom(text: impl Into<String>) -> Self {
        Self::Atom(text.into())
    }

    pub(super) fn and(parts: impl IntoIterator<Item = Expr>) -> Self {
        Self::join(parts, true)
    }

    pub(super) fn or(parts: impl IntoIterator<Item = Expr>) -> Self {
        Self::join(parts, false)
    }

    /// All of them, or any: what changes nothing is left out, what decides alone stands alone.
    fn join(parts: impl IntoIterator<Item = Expr>, all: bool) -> Self {
        let mut joined: Vec<Expr> = Vec::new();
        for part in parts {
            match (part, all) {
                (Self::Is(is), _) if is == all => {}
                (Self::Is(is), _) => return Self::Is(is),
                (Self::And(inner), true) | (Self::Or(inner), false) => joined.extend(inner),
                (part, _) => joined.push(part),
            }
        }
        match (joined.len(), all) {
            (0, _) => Self::Is(all),
            (1, _) => joined.swap_remove(0),
            (_, true) => Self::And(joined),
            (_, false) => Self::Or(joined),
        }
    }

    pub(super) fn negated(self) -> Self {
        match self {
            Self::Is(is) => Self::Is(!is),
            Self::Not(inner) => *inner,
            other => Self::Not(Box::new(other)),
        }
    }

    /// Bytes that it takes, brackets aside.
    pub(super) fn size(&self) -> usize {
        match self {
            Self::Is(_) => 5,
            Self::Atom(text) => text.len(),
            Self::Not(inner) => 1 + inner.size(),
            Self::And(parts) | Self::Or(parts) => parts.iter().map(|part| 4 + part.size()).sum(),
        }
    }

    /// Its lines.
    pub(super) fn lines(&self) -> Vec<String> {
        self.lay(WIDTH)
    }

    fn brackets(&self, part: &Expr) -> bool {
        match self {
            Self::And(_) => matches!(part, Self::Or(_)),
            Self::Or(_) => matches!(part, Self::And(_)),
            Self::Not(_) => !matches!(part, Self::Is(_)) && !part.is_simple(),
            Self::Is(_) | Self::Atom(_) => false,
        }
    }

    /// Whether `!` may stand before it: a comparison would have to be put in brackets.
    fn is_simple(&self) -> bool {
        let Self::Atom(text) = self else { return false };
        let mut quote = None;
        let mut skip = false;
        for c in text.chars() {
            match quote {
                Some(_) if skip => skip = false,
                Some(_) if c == '\\' => skip = true,
                Some(q) if c == q => quote = None,
                Some(_) => {}
                None if c == '"' || c == '\'' => quote = Some(c),
                None if c == ' ' => return false,
                None => {}
            }
        }
        true
    }

    fn flat(&self) -> String {
        let part = |part: &Expr| match self.brackets(part) {
            true => format!("({})", part.flat()),
            false => part.flat(),
        };
        let joined =
            |parts: &[Expr], with: &str| parts.iter().map(part).collect::<Vec<_>>().join(with);
        match self {
            Self::Is(is) => is.to_string(),
            Self::Atom(text) => text.clone(),
            Self::Not(inner) => format!("!{}", part(inner)),
            Self::And(parts) => joined(parts, " && "),
            Self::Or(parts) => joined(parts, " || "),
        }
    }

    fn lay(&self, width: usize) -> Vec<String> {
        let flat = self.flat();
        if flat.chars().count() <= width {
            return vec![flat];
        }
        let (parts, with) = match self {
            Self::Is(_) | Self::Atom(_) => return vec![flat],
            Self::Not(inner) => {
                let mut lines = inner.lay(width.saturating_sub(3));
                bracket(&mut lines, "!(");
                return lines;
            }
            Self::And(parts) => (parts, "&& "),
            Self::Or(parts) => (parts, "|| "),
        };
        let mut all: Vec<String> = Vec::new();
        for part in parts {
            let mut lines = part.lay(width.saturating_sub(5));
            if self.brackets(part) {
                bracket(&mut lines, "(");
            }
            let lead = if all.is_empty() { "" } else { with };
            all.extend(lines.into_iter().enumerate().map(|(i, line)| match i {
                0 => format!("{lead}{line}"),
                _ => format!("{}{line}", " ".repeat(lead.len())),
            }));
        }
        all
    }
}

/// Puts brackets around lines.
fn bracket(lines: &mut [String], open: &str) {
    for (i, line) in lines.iter_mut().enumerate() {
        let lead = if i == 0 { open.to_owned() } else { " ".repeat(open.len()) };
        line.insert_str(0, &lead);
    }
    if let Some(last) = lines.last_mut() {
        last.push(')');
    }
}

/// A text as CEL writes it. What is not seen, or moves what is, is escaped.
pub(super) fn text(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if hidden(c) => out.push_str(&escaped(c)),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// A regular expression as CEL writes it: raw, so that its backslashes stay single.
pub(super) fn pattern(pattern: &str) -> String {
    let quote = ['"', '\''].into_iter().find(|quote| !pattern.contains(*quote));
    match quote {
        Some(quote) if pattern.contains('\\') && !pattern.chars().any(hidden) => {
            format!("r{quote}{pattern}{quote}")
        }
        _ => text(pattern),
    }
}

/// A list of texts.
pub(super) fn list<T: AsRef<str>>(texts: &[T]) -> String {
    let texts: Vec<String> = texts.iter().map(|t| text(t.as_ref())).collect();
    format!("[{}]", texts.join(", "))
}

fn escaped(c: char) -> String {
    match u32::from(c) {
        code if code > 0xffff => format!("\\U{code:08x}"),
        code => format!("\\u{code:04x}"),
    }
}

/// What neither YAML nor a person should meet as it is.
pub(super) fn hidden(c: char) -> bool {
    c.is_control()
        || (c.is_whitespace() && c != ' ')
        || matches!(c,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{180e}'
            | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            | '\u{3164}' | '\u{feff}' | '\u{ffa0}' | '\u{fff9}'..='\u{ffff}'
            | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn atom(name: &str) -> Expr {
        Expr::atom(name)
    }

    #[test]
    fn what_decides_alone_stands_alone() {
        assert_eq!(Expr::and([Expr::Is(true), atom("a")]), atom("a"));
        assert_eq!(Expr::and([Expr::Is(false), atom("a")]), Expr::Is(false));
        assert_eq!(Expr::or([Expr::Is(false), atom("a")]), atom("a"));
        assert_eq!(Expr::or([Expr::Is(true), atom("a")]), Expr::Is(true));
        assert_eq!(Expr::and([]), Expr::Is(true));
        assert_eq!(atom("a").negated().negated(), atom("a"));
        assert_eq!(Expr::Is(true).negated(), Expr::Is(false));
    }

    #[test]
    fn brackets_stand_where_they_are_needed_and_only_there() {
        let e = Expr::and([
            atom("a"),
            Expr::or([atom("b"), Expr::and([atom("c"), atom("d == \"x y\"").negated()])]),
            Expr::or([atom("e"), atom("f")]).negated(),
            atom("g.contains(\"x y\")").negated(),
        ]);
        let flat = "a && (b || (c && !(d == \"x y\"))) && !(e || f) && !g.contains(\"x y\")";
        assert_eq!(e.lines(), [flat]);
    }

    #[test]
    fn long_ones_are_parted() {
        let long = |n: usize| atom(&format!("process.command_line.contains(\"{n:030}\")"));
        let e = Expr::and([Expr::or([long(1), long(2), long(3)]), long(4)]);
        let expected = [
            format!("({}", long(1).flat()),
            format!(" || {}", long(2).flat()),
            format!(" || {})", long(3).flat()),
            format!("&& {}", long(4).flat()),
        ];
        assert_eq!(e.lines(), expected);
        let expected = [
            format!("!(({}", long(1).flat()),
            format!("   || {}", long(2).flat()),
            format!("   || {})", long(3).flat()),
            format!("  && {})", long(4).flat()),
        ];
        assert_eq!(e.negated().lines(), expected);
    }

    #[test]
    fn texts_are_quoted() {
        assert_eq!(text("a\"b\\c\n\u{1b}\u{202e}é"), "\"a\\\"b\\\\c\\n\\u001b\\u202eé\"");
        assert_eq!(text("\u{e0001}"), "\"\\U000e0001\"");
        assert_eq!(pattern(r"\d+ "), r#"r"\d+ ""#);
        assert_eq!(pattern(r#"\d"+"#), r#"r'\d"+'"#);
        assert_eq!(pattern(r#"\d"'"#), r#""\\d\"'""#);
        assert_eq!(pattern("a.b"), "\"a.b\"");
    }
}
