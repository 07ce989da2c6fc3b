//! Makefiles: the recipes of rules, variables filled in.

use std::cell::Cell;
use std::collections::BTreeMap;

use crate::site::{Place, Sites, inside};
use crate::text::Piece;

/// Values that are longer, or nested deeper, are not filled in.
const LONGEST: usize = 1024;
const DEEPEST: usize = 4;
/// More references than these are not followed in a file.
const MOST: usize = 200_000;

/// Lines that begin with these are no rules.
const STATEMENTS: &[&str] = &[
    "ifeq", "ifneq", "ifdef", "ifndef", "else", "endif", "include", "-include", "sinclude",
    "vpath", "undefine",
];

pub(super) fn file(text: &str, sites: &mut Sites) {
    let mut reader = Reader { vars: BTreeMap::new(), rule: None, left: Cell::new(MOST), sites };
    let mut lines = Piece::at(text, 0).lines().collect::<Vec<_>>().into_iter().peekable();
    let mut defines = 0_usize;
    while let Some(mut line) = lines.next() {
        let recipe = line.as_str().starts_with('\t') && reader.rule.is_some();
        while ends_open(line.as_str()) {
            let Some(more) = lines.next() else { break };
            // The shell joins the lines of a recipe itself.
            line.push("\n", line.origin(line.as_str().len()));
            let tab = usize::from(recipe && more.as_str().starts_with('\t'));
            line.append(&more.slice(tab..more.as_str().len()));
        }
        let word = line.as_str().split_ascii_whitespace().next().unwrap_or_default();
        match word {
            "define" if !recipe => defines += 1,
            "endef" if !recipe => defines = defines.saturating_sub(1),
            _ if defines > 0 => {}
            _ if recipe => reader.recipe(&line.slice(1..line.as_str().len())),
            _ => reader.statement(&line),
        }
    }
}

/// Whether a line goes on in the next one: an odd number of backslashes at its end.
fn ends_open(line: &str) -> bool {
    let backslashes = line.bytes().rev().take_while(|byte| *byte == b'\\').count();
    backslashes % 2 == 1
}

struct Reader<'s> {
    vars: BTreeMap<String, String>,
    rule: Option<Place>,
    /// References that may still be followed.
    left: Cell<usize>,
    sites: &'s mut Sites,
}

impl Reader<'_> {
    /// A line that is no recipe: a variable, a rule, or something that does not matter here.
    fn statement(&mut self, line: &Piece) {
        let text = line.as_str();
        let plain = text.trim_start();
        if plain.is_empty() || plain.starts_with('#') {
            return;
        }
        let first = plain.split_ascii_whitespace().next().unwrap_or_default();
        if STATEMENTS.contains(&first) {
            return;
        }
        if let Some((name, value)) = assignment(plain) {
            let value = value.replace("\\\n", " ");
            let value = value.split(" #").next().unwrap_or_default().trim();
            let plus = plain[..plain.len() - value.len().min(plain.len())].contains("+=");
            if value.len() <= LONGEST && !plus {
                self.vars.insert(name.to_owned(), value.to_owned());
            }
            return;
        }
        let Some(colon) = text.find(':') else {
            return;
        };
        let targets = text[..colon].trim();
        self.rule = Some(inside(&Vec::new(), "target", targets));
        // `target: prerequisites ; recipe`
        if let Some(semicolon) = text[colon..].find(';') {
            self.recipe(&line.slice(colon + semicolon + 1..text.len()));
        }
    }

    fn recipe(&mut self, line: &Piece) {
        let text = line.as_str();
        let start = text.len() - text.trim_start_matches([' ', '\t', '@', '-', '+']).len();
        let command = self.filled_in(&line.slice(start..text.len()));
        if let (Some(place), false) = (&self.rule, command.is_empty()) {
            self.sites.shell(&place.clone(), &command);
        }
    }

    /// A recipe's line as the shell gets it.
    fn filled_in(&self, line: &Piece) -> Piece {
        let text = line.as_str();
        let mut out = Piece::default();
        let mut at = 0;
        while let Some(dollar) = text[at..].find('$').map(|found| at + found) {
            out.append(&line.slice(at..dollar));
            let (end, value) = self.reference(&text[dollar..], DEEPEST);
            out.append(&Piece::at(&value, line.origin(dollar)));
            at = dollar + end;
            if out.as_str().len() > 64 * LONGEST {
                break;
            }
        }
        out.append(&line.slice(at..text.len()));
        out
    }

    /// What stands for the reference that a text begins with, and how long that is.
    fn reference(&self, text: &str, deepest: usize) -> (usize, String) {
        let mut chars = text.char_indices().skip(1);
        let Some((at, first)) = chars.next() else { return (1, String::new()) };
        let close = match first {
            '$' => return (2, "$".to_owned()),
            '(' => ')',
            '{' => '}',
            // `$@`, `$<`, `$X`
            _ => {
                let name = first.to_string();
                let value = self.vars.get(&name).cloned();
                return (at + first.len_utf8(), value.unwrap_or_else(|| "x".to_owned()));
            }
        };
        let mut depth = 0_usize;
        let end = text.char_indices().skip(1).find_map(|(at, c)| {
            if c == first {
                depth += 1;
            } else if c == close {
                depth -= 1;
            }
            (depth == 0).then_some(at)
        });
        let Some(end) = end else { return (text.len(), String::new()) };
        let name = &text[2..end];
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
        let left = self.left.get();
        self.left.set(left.saturating_sub(1));
        let value = match self.vars.get(name).filter(|_| left > 0) {
            _ if name == "MAKE" => "make".to_owned(),
            Some(value) if deepest > 0 => self.nested(value, deepest - 1),
            // For the shell to see that nothing is known of it.
            None if !name.is_empty() && name.chars().all(plain) => format!("${{{name}}}"),
            _ => "x".to_owned(),
        };
        (end + 1, value)
    }

    fn nested(&self, value: &str, deepest: usize) -> String {
        let mut out = String::new();
        let mut rest = value;
        while let Some(dollar) = rest.find('$') {
            out.push_str(&rest[..dollar]);
            let (end, value) = self.reference(&rest[dollar..], deepest);
            out.push_str(&value);
            rest = &rest[end..];
            if out.len() > LONGEST {
                return out;
            }
        }
        out.push_str(rest);
        out
    }
}

/// The variable that a line sets, and what to.
fn assignment(line: &str) -> Option<(&str, &str)> {
    let mut rest = line;
    while let Some(after) =
        ["export ", "override ", "private "].iter().find_map(|w| rest.strip_prefix(w))
    {
        rest = after.trim_start();
    }
    let (before, value) = rest.split_once('=')?;
    let name = before.trim_end_matches([':', '?', '+', '!', '=']).trim();
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
    (!name.is_empty() && name.chars().all(plain)).then(|| (name, value.trim()))
}
