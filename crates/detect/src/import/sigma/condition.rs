//! Sigma's conditions: which of a rule's searches must hold.
//!
//! `not` binds closest, then `and`, then `or`.

/// A condition, names not looked up yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Condition {
    /// A search.
    Name(String),
    /// `1 of …` and `all of …`.
    Of {
        all: bool,
        pattern: String,
    },
    Not(Box<Condition>),
    And(Vec<Condition>),
    Or(Vec<Condition>),
}

/// Conditions in brackets in each other, at most.
const DEEPEST: usize = 64;

/// Reads a condition. An error says what is wrong with it.
pub(super) fn parse(text: &str) -> Result<Condition, String> {
    let tokens = tokens(text)?;
    let mut parser = Parser { tokens: &tokens, at: 0, depth: 0 };
    let condition = parser.or()?;
    match parser.next() {
        None => Ok(condition),
        Some(token) => Err(format!("{token:?} is out of place")),
    }
}

fn tokens(text: &str) -> Result<Vec<&str>, String> {
    let name = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '*');
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while let Some(c) = rest.chars().next() {
        let end = match c {
            '(' | ')' => 1,
            '|' => {
                return Err("what follows `|` counts or relates events, which a recipe does not: \
                            see `limits`"
                    .to_owned());
            }
            c if name(c) => rest.find(|c| !name(c)).unwrap_or(rest.len()),
            other => return Err(format!("{other:?} is out of place")),
        };
        tokens.push(&rest[..end]);
        rest = rest[end..].trim_start();
    }
    Ok(tokens)
}

struct Parser<'t> {
    tokens: &'t [&'t str],
    at: usize,
    depth: usize,
}

impl<'t> Parser<'t> {
    fn next(&mut self) -> Option<&'t str> {
        let token = self.tokens.get(self.at).copied();
        self.at += 1;
        token
    }

    fn take(&mut self, word: &str) -> bool {
        let is = self.tokens.get(self.at) == Some(&word);
        self.at += usize::from(is);
        is
    }

    fn or(&mut self) -> Result<Condition, String> {
        let mut parts = vec![self.and()?];
        while self.take("or") {
            parts.push(self.and()?);
        }
        Ok(single(parts, Condition::Or))
    }

    fn and(&mut self) -> Result<Condition, String> {
        let mut parts = vec![self.not()?];
        while self.take("and") {
            parts.push(self.not()?);
        }
        Ok(single(parts, Condition::And))
    }

    fn not(&mut self) -> Result<Condition, String> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err(format!("more than {DEEPEST} brackets or `not` in each other"));
        }
        let inner = if self.take("not") {
            self.not().map(|inner| Condition::Not(Box::new(inner)))
        } else {
            self.operand()
        };
        self.depth -= 1;
        inner
    }

    fn operand(&mut self) -> Result<Condition, String> {
        let Some(token) = self.next() else {
            return Err("it ends where the name of a search is expected".to_owned());
        };
        let next = self.tokens.get(self.at);
        match token {
            "(" => {
                let inner = self.or()?;
                if self.take(")") { Ok(inner) } else { Err("`(` without `)`".to_owned()) }
            }
            ")" | "and" | "or" | "of" => Err(format!("{token:?} is out of place")),
            quantity if next == Some(&"of") => self.of(quantity),
            name if name.contains('*') => Err(format!("{name:?} needs `1 of` or `all of`")),
            name => Ok(Condition::Name(name.to_owned())),
        }
    }

    fn of(&mut self, quantity: &str) -> Result<Condition, String> {
        let all = match quantity {
            "1" | "any" => false,
            "all" => true,
            other => return Err(format!("{other:?} of: expected `1 of` or `all of`")),
        };
        self.at += 1;
        match self.next() {
            Some(pattern) if !matches!(pattern, "(" | ")") => {
                Ok(Condition::Of { all, pattern: pattern.to_owned() })
            }
            _ => Err("`of` needs the name of searches, with `*`, or `them`".to_owned()),
        }
    }
}

fn single(mut parts: Vec<Condition>, join: fn(Vec<Condition>) -> Condition) -> Condition {
    match parts.len() {
        1 => parts.swap_remove(0),
        _ => join(parts),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(condition: &Condition) -> String {
        let all = |parts: &[Condition], with: &str| {
            format!("({})", parts.iter().map(shown).collect::<Vec<_>>().join(with))
        };
        match condition {
            Condition::Name(name) => name.clone(),
            Condition::Of { all, pattern } => {
                format!("{}{pattern}", if *all { "all:" } else { "1:" })
            }
            Condition::Not(inner) => format!("!{}", shown(inner)),
            Condition::And(parts) => all(parts, "&"),
            Condition::Or(parts) => all(parts, "|"),
        }
    }

    #[test]
    fn precedence_and_brackets() {
        for (text, expected) in [
            ("a", "a"),
            ("a and b or c and not d", "((a&b)|(c&!d))"),
            ("a and (b or c)", "(a&(b|c))"),
            ("not a and b", "(!a&b)"),
            ("not (a and b)", "!(a&b)"),
            ("not not a", "!!a"),
            ("1 of them", "1:them"),
            ("any of sel_* or all of f*", "(1:sel_*|all:f*)"),
            ("all of selection_* and not 1 of filter_main_*", "(all:selection_*&!1:filter_main_*)"),
            ("notepad and android", "(notepad&android)"),
            ("(((a)))", "a"),
        ] {
            assert_eq!(parse(text).map(|c| shown(&c)).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn mistakes_are_named() {
        let deep = "(".repeat(500) + "a";
        for (text, word) in [
            ("", "ends"),
            ("a and", "ends"),
            ("a b", "\"b\""),
            ("(a", "without"),
            ("a)", "\")\""),
            ("sel*", "1 of"),
            ("2 of them", "\"2\""),
            ("1 of", "of"),
            ("a | count() > 5", "limits"),
            ("a & b", "'&'"),
            ("or a", "\"or\""),
            (&deep, "64"),
        ] {
            let error = parse(text).err();
            assert!(error.as_ref().is_some_and(|e| e.contains(word)), "{text}: {error:?}");
        }
    }
}
