//! Regular expressions of other dialects, said in picket's. Most are the same in all; what would
//! mean something else here is rewritten, and what cannot be said is refused.

/// Where an expression comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dialect {
    /// Perl's: `$` also fits before a last line end, `\<` is a plain character.
    Perl,
    /// RE2's, which Go has, too.
    Re2,
}

/// Compiled expressions are not larger; a recipe's may not be, either.
const LARGEST: usize = 256 << 10;

/// The expression in picket's dialect, checked.
pub(super) fn translate(pattern: &str, dialect: Dialect) -> Result<String, String> {
    let chars: Vec<char> = pattern.chars().collect();
    let mut scan = Scan { chars: &chars, at: 0, out: String::new(), dialect, lines: false };
    scan.lines = scan.has_line_mode();
    scan.run()?;
    let built = regex::RegexBuilder::new(&scan.out).size_limit(LARGEST).build();
    built.map(|_| scan.out).map_err(|error| {
        let text = error.to_string();
        let last = text.lines().last().unwrap_or_default();
        last.trim_start_matches("error: ").to_owned()
    })
}

struct Scan<'p> {
    chars: &'p [char],
    at: usize,
    out: String,
    dialect: Dialect,
    /// Whether `$` may be one of each line.
    lines: bool,
}

impl Scan<'_> {
    fn peek(&self, ahead: usize) -> Option<char> {
        self.chars.get(self.at + ahead).copied()
    }

    fn run(&mut self) -> Result<(), String> {
        // Whether what stands before is a repetition already.
        let mut repeated = false;
        while let Some(c) = self.peek(0) {
            let counts = c == '{' && self.is_count();
            if matches!(c, '*' | '+' | '?') || counts {
                if repeated {
                    return Err("a repetition of a repetition (possessive?) is not known".into());
                }
                self.repetition(counts);
                repeated = true;
                continue;
            }
            repeated = false;
            match c {
                '\\' => self.escape(false)?,
                '[' => self.class()?,
                '(' => self.group()?,
                '$' if self.dialect == Dialect::Perl && !self.lines => {
                    self.out.push_str("\\n?$");
                    self.at += 1;
                }
                '{' if self.peek(1) == Some(',') => {
                    return Err("`{,` means different things: write `{0,` or `\\{,`".into());
                }
                '{' => {
                    self.out.push_str("\\{");
                    self.at += 1;
                }
                c => {
                    self.out.push(c);
                    self.at += 1;
                }
            }
        }
        Ok(())
    }

    /// Takes a repetition, with the `?` that makes it a modest one.
    fn repetition(&mut self, counts: bool) {
        loop {
            let Some(c) = self.peek(0) else { return };
            self.out.push(c);
            self.at += 1;
            if !counts || c == '}' {
                break;
            }
        }
        if self.peek(0) == Some('?') {
            self.out.push('?');
            self.at += 1;
        }
    }

    /// Whether `{` begins a count: `{2}`, `{2,}`, `{2,3}`.
    fn is_count(&self) -> bool {
        let rest = self.chars[self.at + 1..].iter();
        let inside: String = rest.take_while(|c| **c != '}').collect();
        let closed = self.chars.get(self.at + 1 + inside.chars().count()) == Some(&'}');
        let number = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
        let (from, to) = inside.split_once(',').unwrap_or((&inside, ""));
        closed && !from.is_empty() && number(from) && number(to)
    }

    fn escape(&mut self, in_class: bool) -> Result<(), String> {
        let Some(c) = self.peek(1) else { return Err("it ends with a backslash".into()) };
        self.at += 2;
        match c {
            'Z' if !in_class && self.dialect == Dialect::Perl => self.out.push_str("\\n?\\z"),
            'v' | 'Q' | 'E' => return Err(format!("`\\{c}` is not known")),
            // Elsewhere these are plain; here the edges of a word.
            '<' | '>' => self.out.push(c),
            c if !c.is_ascii() => self.out.push(c),
            c => self.out.extend(['\\', c]),
        }
        Ok(())
    }

    /// A class: here, classes can be in each other, and be taken from each other.
    fn class(&mut self) -> Result<(), String> {
        self.out.push('[');
        self.at += 1;
        if self.peek(0) == Some('^') {
            self.out.push('^');
            self.at += 1;
        }
        if self.peek(0) == Some(']') {
            self.out.push_str("\\]");
            self.at += 1;
        }
        while let Some(c) = self.peek(0) {
            match (c, self.peek(1)) {
                (']', _) => {
                    self.out.push(']');
                    self.at += 1;
                    return Ok(());
                }
                ('\\', _) => {
                    self.escape(true)?;
                    continue;
                }
                ('-', Some('-')) => return Err("`--` in a class: write `\\-`".into()),
                ('[', Some(':')) => {
                    self.named_class()?;
                    continue;
                }
                ('[', Some('.' | '=')) => return Err("`[.` and `[=` are not known".into()),
                ('[' | '&' | '~', _) => self.out.extend(['\\', c]),
                (c, _) => self.out.push(c),
            }
            self.at += 1;
        }
        Err("`[` without `]`".into())
    }

    /// `[:alpha:]` and the like, which are the same here.
    fn named_class(&mut self) -> Result<(), String> {
        while let Some(c) = self.peek(0) {
            self.out.push(c);
            self.at += 1;
            if self.out.ends_with(":]") {
                return Ok(());
            }
        }
        Err("`[:` without `:]`".into())
    }

    fn group(&mut self) -> Result<(), String> {
        self.out.push('(');
        self.at += 1;
        if self.peek(0) != Some('?') {
            return Ok(());
        }
        let flags: String =
            self.chars[self.at + 1..].iter().take_while(|c| !matches!(c, ':' | ')')).collect();
        let plain = flags.chars().all(|c| c.is_ascii_alphabetic() || c == '-' || c == '^');
        if plain && !flags.chars().all(|c| "imsU-".contains(c)) {
            return Err(format!("`(?{flags}` is not known"));
        }
        self.out.push('?');
        self.at += 1;
        Ok(())
    }

    /// Whether the `m` flag occurs.
    fn has_line_mode(&self) -> bool {
        let text: String = self.chars.iter().collect();
        text.split("(?").skip(1).any(|rest| {
            let flags = rest.split([':', ')']).next().unwrap_or_default();
            flags.chars().all(|c| "imsU-".contains(c)) && flags.contains('m')
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_means_something_else_here_is_rewritten() {
        for (from, to) in [
            (r"\s-[FTd]\s", r"\s-[FTd]\s"),
            (r"a$", r"a\n?$"),
            (r"(?m)a$", r"(?m)a$"),
            (r"a\$", r"a\$"),
            (r"a\Z", r"a\n?\z"),
            (r"bash\ -i\ \<\&1", r"bash\ -i\ <\&1"),
            (r"[[a&&b~]", r"[\[a\&\&b\~]"),
            (r"[]a]", r"[\]a]"),
            (r"[^]a]", r"[^\]a]"),
            (r"[[:alpha:]_-]", r"[[:alpha:]_-]"),
            (r"\${?input", r"\$\{?input"),
            (r"a{2}b{2,}c{2,3}?", r"a{2}b{2,}c{2,3}?"),
            (r"a{x}", r"a\{x}"),
            (r"(?i:x)(?:y)(?P<n>z)", r"(?i:x)(?:y)(?P<n>z)"),
            (r"\é", r"é"),
        ] {
            assert_eq!(translate(from, Dialect::Perl).as_deref(), Ok(to), "{from}");
        }
        assert_eq!(translate("a$", Dialect::Re2).as_deref(), Ok("a$"));
    }

    #[test]
    fn what_cannot_be_said_is_refused() {
        for pattern in [
            r"(?=a)b",
            r"(?<!a)b",
            r"(a)\1",
            r"a++",
            r"a*+",
            r"(?>a)b",
            r"\Qa\E",
            r"\v",
            r"a\",
            r"[a--z]",
            r"[a",
            r"(a",
            r"(?x)a b",
            r"(?R)",
            r"a{,3}",
            r"\K",
            r"\h",
            "(?#c)a",
            r"a{1000}{2}",
            r"\w{1000}{10}",
            r"\w{9999}",
        ] {
            let refused = translate(pattern, Dialect::Perl);
            assert!(refused.as_ref().is_err_and(|why| !why.is_empty()), "{pattern}: {refused:?}");
        }
    }
}
