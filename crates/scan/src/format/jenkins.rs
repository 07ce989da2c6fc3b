//! Jenkinsfiles: the `sh` steps of declarative and scripted pipelines, and containers that they start.
//!
//! Groovy is read as far as needed to know what is a string, what a comment, and which stage one is in.

use crate::site::{Place, Sites, inside};
use crate::text::Piece;

/// Blocks that nest deeper are no stages, and more of these are not told.
const DEEPEST: usize = 256;
const STAGES: usize = 8;

pub(super) fn file(text: &str, sites: &mut Sites) {
    let mut reader = Reader { text, at: 0, blocks: Vec::new(), deep: 0, stage: None, sites };
    while reader.step().is_some() {}
}

struct Reader<'t, 's> {
    text: &'t str,
    at: usize,
    /// Braces that are open; of a stage its name.
    blocks: Vec<Option<String>>,
    /// Braces that are open below those.
    deep: usize,
    /// The stage whose brace comes next.
    stage: Option<String>,
    sites: &'s mut Sites,
}

impl<'t> Reader<'t, '_> {
    fn rest(&self) -> &'t str {
        &self.text[self.at..]
    }

    fn place(&self) -> Place {
        let stages = self.blocks.iter().flatten().take(STAGES);
        stages.fold(Vec::new(), |place, stage| inside(&place, "stage", stage))
    }

    /// Takes the next token; `None` at the end.
    fn step(&mut self) -> Option<()> {
        self.blanks();
        let next = self.rest().chars().next()?;
        match next {
            '\'' | '"' => {
                self.string();
            }
            '{' => {
                self.at += 1;
                let stage = self.stage.take();
                if self.blocks.len() < DEEPEST {
                    self.blocks.push(stage);
                } else {
                    self.deep += 1;
                }
            }
            '}' => {
                self.at += 1;
                if self.deep > 0 {
                    self.deep -= 1;
                } else {
                    self.blocks.pop();
                }
            }
            c if is_word(c) => {
                let before = self.text[..self.at].trim_end().chars().last();
                let word = self.word();
                match word.as_str() {
                    "stage" => self.stage = self.argument("name").map(|s| s.as_str().to_owned()),
                    "sh" if before != Some('.') => {
                        if let Some(script) = self.argument("script") {
                            self.sites.shell(&self.place(), &script);
                        }
                    }
                    "image" if before == Some('.') => self.image(),
                    _ => {}
                }
            }
            c => self.at += c.len_utf8(),
        }
        Some(())
    }

    /// Passes blanks and comments.
    fn blanks(&mut self) {
        loop {
            let rest = self.rest();
            let trimmed = rest.trim_start();
            self.at += rest.len() - trimmed.len();
            let end = if trimmed.starts_with("//") || (trimmed.starts_with("#!") && self.at == 0) {
                trimmed.find('\n')
            } else if let Some(comment) = trimmed.strip_prefix("/*") {
                comment.find("*/").map(|end| end + 4)
            } else {
                return;
            };
            let all = self.rest().len();
            self.at += end.unwrap_or(all);
        }
    }

    fn word(&mut self) -> String {
        let rest = self.rest();
        let end = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
        let word = rest[..end].to_owned();
        self.at += end;
        word
    }

    fn take(&mut self, what: char) -> bool {
        self.blanks();
        let there = self.rest().starts_with(what);
        if there {
            self.at += what.len_utf8();
        }
        there
    }

    /// The string that a step is given: the first one, or that of this name.
    fn argument(&mut self, name: &str) -> Option<Piece> {
        self.take('(');
        loop {
            self.blanks();
            let next = self.rest().chars().next()?;
            if matches!(next, '\'' | '"') {
                return Some(self.strings());
            }
            if !is_word(next) {
                return None;
            }
            let key = self.word();
            if !self.take(':') {
                return None;
            }
            self.blanks();
            let string = self.rest().starts_with(['\'', '"']);
            let value = string.then(|| self.strings());
            if key == name {
                return value;
            }
            if value.is_none() {
                self.word();
            }
            if !self.take(',') {
                return None;
            }
        }
    }

    /// `docker.image('nginx').withRun { … }`: with `inside` the image waits for steps instead.
    fn image(&mut self) {
        let Some(image) = self.argument("name") else { return };
        if self.take(')') && self.take('.') && matches!(self.word().as_str(), "run" | "withRun") {
            self.sites.image(&self.place(), &image, None, Vec::new());
        }
    }

    /// Strings that are put together with `+`.
    fn strings(&mut self) -> Piece {
        let mut whole = self.string();
        loop {
            let here = self.at;
            if self.take('+') {
                self.blanks();
                if self.rest().starts_with(['\'', '"']) {
                    whole.append(&self.string());
                    continue;
                }
            }
            self.at = here;
            return whole;
        }
    }

    fn string(&mut self) -> Piece {
        let rest = self.rest();
        let quote =
            ["'''", "\"\"\"", "'", "\""].into_iter().find(|q| rest.starts_with(q)).unwrap_or("'");
        let fills_in = quote.starts_with('"');
        self.at += quote.len();
        let mut piece = Piece::default();
        while let Some(c) = self.rest().chars().next() {
            if self.rest().starts_with(quote) {
                self.at += quote.len();
                break;
            }
            // A string of one line that nobody closes ends with it.
            if c == '\n' && quote.len() == 1 {
                break;
            }
            let origin = self.at;
            if c == '\\' {
                self.at += 1;
                let Some(escaped) = self.rest().chars().next() else { break };
                self.at += escaped.len_utf8();
                let plain = match escaped {
                    '\n' => continue,
                    'n' => '\n',
                    't' => '\t',
                    'r' => '\r',
                    other => other,
                };
                piece.push(plain.encode_utf8(&mut [0; 4]), origin);
            } else if fills_in && c == '$' {
                let len = filled_in(self.rest());
                piece.push(&"x".repeat(len), origin);
                self.at += len;
            } else {
                piece.push(c.encode_utf8(&mut [0; 4]), origin);
                self.at += c.len_utf8();
            }
        }
        piece
    }
}

/// How long what Groovy fills in is: `${…}`, `$name.name`.
fn filled_in(rest: &str) -> usize {
    if !rest.starts_with("${") {
        let end = rest[1..].find(|c| !is_word(c) && c != '.');
        return end.map_or(rest.len(), |end| end + 1);
    }
    let mut depth = 0_usize;
    for (at, c) in rest.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => {
                depth -= 1;
                if depth == 0 {
                    return at + 1;
                }
            }
            '\n' => return at,
            _ => {}
        }
    }
    rest.len()
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}
