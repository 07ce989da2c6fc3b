//! Falco's conditions: checks of fields, joined by `and`, `or` and `not`, and names of macros.

/// A condition, macros not looked up yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Filter {
    Check(Check),
    Macro(String),
    Not(Box<Filter>),
    And(Vec<Filter>),
    Or(Vec<Filter>),
}

/// A check of a field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Check {
    pub(super) field: String,
    /// What stands in brackets behind the field: `proc.aname[2]`.
    pub(super) argument: Option<String>,
    pub(super) operator: String,
    pub(super) values: Vec<Word>,
}

/// A value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Word {
    pub(super) text: String,
    /// Whether it stands in quotes, and so is no name of a list.
    pub(super) quoted: bool,
}

/// Brackets and `not` in each other, at most.
const DEEPEST: usize = 64;

const OPERATORS: &[&str] = &[
    "exists",
    "in",
    "intersects",
    "pmatch",
    "contains",
    "icontains",
    "bcontains",
    "startswith",
    "bstartswith",
    "endswith",
    "glob",
    "iglob",
    "regex",
];
const SIGNS: &[&str] = &["==", "!=", "<=", ">=", "=", "<", ">"];

/// Reads a condition. An error says what is wrong with it.
pub(super) fn parse(text: &str) -> Result<Filter, String> {
    let mut parser = Parser { rest: text, depth: 0 };
    let filter = parser.or()?;
    parser.blanks();
    match parser.rest {
        "" => Ok(filter),
        rest => Err(format!("{:?} is out of place", shortened(rest))),
    }
}

fn shortened(text: &str) -> String {
    text.chars().take(30).collect()
}

struct Parser<'t> {
    rest: &'t str,
    depth: usize,
}

fn is_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-')
}

impl<'t> Parser<'t> {
    fn blanks(&mut self) {
        self.rest = self.rest.trim_start();
    }

    fn take(&mut self, sign: &str) -> bool {
        self.blanks();
        match self.rest.strip_prefix(sign) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    /// Takes a word of letters.
    fn keyword(&mut self, word: &str) -> bool {
        self.blanks();
        match self.rest.strip_prefix(word) {
            Some(rest) if !rest.starts_with(is_name) => {
                self.rest = rest;
                true
            }
            _ => false,
        }
    }

    fn name(&mut self) -> Option<&'t str> {
        self.blanks();
        let end = self.rest.find(|c| !is_name(c)).unwrap_or(self.rest.len());
        let (name, rest) = self.rest.split_at(end);
        self.rest = rest;
        (!name.is_empty()).then_some(name)
    }

    fn or(&mut self) -> Result<Filter, String> {
        let mut parts = vec![self.and()?];
        while self.keyword("or") {
            parts.push(self.and()?);
        }
        Ok(single(parts, Filter::Or))
    }

    fn and(&mut self) -> Result<Filter, String> {
        let mut parts = vec![self.not()?];
        while self.keyword("and") {
            parts.push(self.not()?);
        }
        Ok(single(parts, Filter::And))
    }

    fn not(&mut self) -> Result<Filter, String> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err(format!("more than {DEEPEST} brackets or `not` in each other"));
        }
        let filter = if self.keyword("not") {
            self.not().map(|inner| Filter::Not(Box::new(inner)))
        } else if self.take("(") {
            let inner = self.or()?;
            if self.take(")") { Ok(inner) } else { Err("`(` without `)`".to_owned()) }
        } else {
            self.check()
        };
        self.depth -= 1;
        filter
    }

    fn check(&mut self) -> Result<Filter, String> {
        let Some(field) = self.name() else {
            return Err(match shortened(self.rest) {
                rest if rest.is_empty() => {
                    "it ends where a field or a macro is expected".to_owned()
                }
                rest => format!("expected a field or a macro at {rest:?}"),
            });
        };
        if self.rest.starts_with('(') {
            return Err(format!("{field}(…): transformers have no counterpart"));
        }
        if !field.contains('.') {
            return Ok(Filter::Macro(field.to_owned()));
        }
        let argument = match self.rest.strip_prefix('[') {
            Some(inside) => {
                let end = inside.find(']').ok_or("`[` without `]`")?;
                self.rest = &inside[end + 1..];
                Some(inside[..end].to_owned())
            }
            None => None,
        };
        let operator = self.operator(field)?;
        let values = match operator {
            "exists" => Vec::new(),
            "in" | "intersects" | "pmatch" => self.list()?,
            _ => vec![self.value()?],
        };
        let (field, operator) = (field.to_owned(), operator.to_owned());
        Ok(Filter::Check(Check { field, argument, operator, values }))
    }

    fn operator(&mut self, field: &str) -> Result<&'static str, String> {
        if let Some(sign) = SIGNS.iter().find(|sign| self.take(sign)) {
            return Ok(sign);
        }
        OPERATORS.iter().find(|word| self.keyword(word)).copied().ok_or_else(|| {
            format!("expected an operator behind {field} at {:?}", shortened(self.rest))
        })
    }

    fn list(&mut self) -> Result<Vec<Word>, String> {
        if !self.take("(") {
            return Ok(vec![self.value()?]);
        }
        let mut values = Vec::new();
        if self.take(")") {
            return Ok(values);
        }
        loop {
            values.push(self.value()?);
            if self.take(")") {
                return Ok(values);
            }
            if !self.take(",") {
                return Err(format!("expected `,` or `)` at {:?}", shortened(self.rest)));
            }
        }
    }

    fn value(&mut self) -> Result<Word, String> {
        self.blanks();
        if let Some(quote) = self.rest.chars().next().filter(|c| matches!(c, '"' | '\'')) {
            return self.quoted(quote);
        }
        let ends = |c: char| c.is_whitespace() || matches!(c, '(' | ')' | ',' | '=' | '"' | '\'');
        let end = self.rest.find(ends).unwrap_or(self.rest.len());
        let (text, rest) = self.rest.split_at(end);
        if text.is_empty() {
            return Err(format!("expected a value at {:?}", shortened(rest)));
        }
        self.rest = rest;
        Ok(Word { text: text.to_owned(), quoted: false })
    }

    /// A text in quotes; a backslash before the quote takes its meaning from it.
    fn quoted(&mut self, quote: char) -> Result<Word, String> {
        let mut text = String::new();
        let mut chars = self.rest.char_indices().skip(1);
        while let Some((at, c)) = chars.next() {
            match c {
                '\\' if self.rest[at + 1..].starts_with([quote, '\\']) => {
                    text.extend(chars.next().map(|(_, c)| c));
                }
                c if c == quote => {
                    self.rest = &self.rest[at + 1..];
                    return Ok(Word { text, quoted: true });
                }
                c => text.push(c),
            }
        }
        Err(format!("a quote without its end: {:?}", shortened(self.rest)))
    }
}

fn single(mut parts: Vec<Filter>, join: fn(Vec<Filter>) -> Filter) -> Filter {
    match parts.len() {
        1 => parts.swap_remove(0),
        _ => join(parts),
    }
}

/// A value as it stands in a list's items, where quotes may be part of the text.
pub(super) fn item(text: &str) -> Word {
    let mut parser = Parser { rest: text, depth: 0 };
    match parser.value() {
        Ok(word) if word.quoted && parser.rest.is_empty() => word,
        _ => Word { text: text.to_owned(), quoted: false },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(filter: &Filter) -> String {
        let all = |parts: &[Filter], with: &str| {
            format!("({})", parts.iter().map(shown).collect::<Vec<_>>().join(with))
        };
        match filter {
            Filter::Check(c) => {
                let values: Vec<&str> = c.values.iter().map(|v| v.text.as_str()).collect();
                let argument = c.argument.as_ref().map(|a| format!("[{a}]")).unwrap_or_default();
                format!("{}{argument} {} {}", c.field, c.operator, values.join(","))
            }
            Filter::Macro(name) => name.clone(),
            Filter::Not(inner) => format!("!{}", shown(inner)),
            Filter::And(parts) => all(parts, "&"),
            Filter::Or(parts) => all(parts, "|"),
        }
    }

    #[test]
    fn conditions() {
        for (text, expected) in [
            (
                "evt.type in (execve, execveat) and evt.dir=<",
                "(evt.type in execve,execveat&evt.dir = <)",
            ),
            ("spawned_process and not shell_procs", "(spawned_process&!shell_procs)"),
            ("a or b and c", "(a|(b&c))"),
            ("(a or b)\n and (not c)", "((a|b)&!c)"),
            ("proc.aname[2]=sshd", "proc.aname[2] = sshd"),
            ("proc.cmdline contains \"a \\\"b\\\" (c)\"", "proc.cmdline contains a \"b\" (c)"),
            ("proc.args startswith '-i '", "proc.args startswith -i "),
            ("proc.tty != 0", "proc.tty != 0"),
            ("user.uid>=1000", "user.uid >= 1000"),
            ("proc.pname exists", "proc.pname exists "),
            ("proc.name in (shells, \"x y\")", "proc.name in shells,x y"),
            ("proc.exepath pmatch (/tmp, /var/tmp)", "proc.exepath pmatch /tmp,/var/tmp"),
            ("proc.name in ()", "proc.name in "),
            ("notify and order", "(notify&order)"),
        ] {
            assert_eq!(parse(text).map(|f| shown(&f)).as_deref(), Ok(expected), "{text}");
        }
        assert_eq!(item("\"(systemd)\""), Word { text: "(systemd)".to_owned(), quoted: true });
        assert_eq!(item("a b"), Word { text: "a b".to_owned(), quoted: false });
    }

    #[test]
    fn mistakes_are_named() {
        let deep = "(".repeat(500);
        for (text, word) in [
            ("", "ends"),
            ("a and", "ends"),
            ("a b", "\"b\""),
            ("(a", "without"),
            ("proc.name", "operator"),
            ("proc.name =", "value"),
            ("proc.name in (a b)", "`,`"),
            ("proc.name = \"a", "quote"),
            ("tolower(proc.name) = a", "transformers"),
            ("proc.aname[1 = a", "without"),
            (deep.as_str(), "64"),
        ] {
            let error = parse(text).err();
            assert!(error.as_ref().is_some_and(|e| e.contains(word)), "{text}: {error:?}");
        }
    }
}
