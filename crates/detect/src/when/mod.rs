//! `when`: an expression of the Common Expression Language over the facts of an event.
//!
//! The language's own parser reads it; what it may say is less than the language, so that it
//! always ends, soon, with yes or no: no arithmetic, no indices, no functions that can fail. It
//! is checked against the list of facts and put into a form that needs no look-ups by name.

mod compile;
mod cost;
mod eval;
mod need;
pub(crate) mod tree;

use cel::parser::Parser;

use crate::parse::{self, ParseError};
use crate::subject::Subject;
pub(crate) use eval::Spent;
pub(crate) use need::{Names, Need};

/// Longer expressions are refused.
const LONGEST: usize = 16 << 10;

/// Brackets in brackets, and operators one after the other without `&&` or `||` between them.
const DEEPEST: usize = 48;

/// Where an expression nests so deep that a parser which calls itself could run out of stack.
///
/// The parser's own limit comes too late. Text in quotes does not count; whoever confuses this with
/// strange quotes gets a limit that is too strict or one of the parser's complaints.
fn too_deep(source: &str) -> Option<usize> {
    let (mut depth, mut chain, mut quote) = (0_usize, 0_usize, None);
    let mut escaped = false;
    for (at, c) in source.char_indices() {
        if let Some(mark) = quote {
            match c {
                _ if escaped => escaped = false,
                '\\' => escaped = true,
                _ if c == mark => quote = None,
                _ => {}
            }
            continue;
        }
        match c {
            '"' | '\'' => quote = Some(c),
            '(' | '[' | '{' => {
                depth += 1;
                chain += 1;
            }
            ')' | ']' | '}' => depth = depth.saturating_sub(1),
            '.' | '!' | '-' | '+' | '*' | '/' | '%' | '?' | '=' | '<' | '>' => chain += 1,
            '&' | '|' | ',' => chain = 0,
            _ => {}
        }
        if depth > DEEPEST || chain > 2 * DEEPEST {
            return Some(at);
        }
    }
    None
}

/// An expression, checked.
pub struct When {
    source: String,
    test: tree::Test,
    steps: u64,
}

impl std::fmt::Debug for When {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.source)
    }
}

impl When {
    /// Checks an expression. An error has the place in the expression, in bytes.
    pub(crate) fn parse(source: &str) -> Result<Self, (usize, String)> {
        if source.len() > LONGEST {
            let message =
                format!("{} bytes: expected an expression of at most {LONGEST}", source.len());
            return Err((0, message));
        }
        if let Some(at) = too_deep(source) {
            let message = format!("parts in parts, more than {DEEPEST} deep, or as long a chain");
            return Err((at, message));
        }
        let (expression, places) = Parser::new()
            .parse_with_source_info(source)
            .map_err(|errors| compile::syntax(source, &errors))?;
        let test = compile::Compiler::new(source, &places).all(&expression)?;
        let worst = cost::test(&test);
        if worst > cost::MOST {
            let message = format!(
                "too expensive: on the worst event it would take {worst} steps, expected at most \
                 {}; a list inside a list of arguments is what costs",
                cost::MOST
            );
            return Err((0, message));
        }
        Ok(Self { source: source.to_owned(), test, steps: 2 * cost::MOST })
    }

    /// The same, with places in the file that it stands in.
    pub(crate) fn in_file(
        path: &str,
        text: &str,
        source: &serde_saphyr::Spanned<String>,
    ) -> Result<Self, ParseError> {
        Self::parse(&source.value).map_err(|(at, message)| {
            let (line, column) =
                parse::place_in_scalar(text, &source.referenced, &source.value, at);
            ParseError { path: path.to_owned(), line, column, message: format!("when: {message}") }
        })
    }

    /// As it was written.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// What was made of it.
    pub(crate) fn tree(&self) -> &tree::Test {
        &self.test
    }

    /// Whether it holds.
    pub(crate) fn holds<'s>(&'s self, subject: &'s Subject<'s>) -> Result<bool, Spent> {
        eval::Eval::new(subject, self.steps).test(&self.test)
    }

    /// Texts of which one must be in the event for it to hold.
    pub(crate) fn need(&self) -> Option<Need> {
        need::of(&self.test)
    }

    /// Names of which the program must go by one for it to hold.
    pub(crate) fn names(&self) -> Option<Names> {
        need::names(&self.test)
    }

    /// The same expression with so few steps that it fails.
    #[cfg(test)]
    pub(crate) fn starved(mut self) -> Self {
        self.steps = 1;
        self
    }
}

#[cfg(test)]
mod tests;
