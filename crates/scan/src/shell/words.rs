//! Words of a command, as the shell would hand them on: quotes taken off, variables filled in where the
//! text itself says what is in them.

use std::collections::BTreeMap;

use tree_sitter::Node;

use crate::text::Piece;

/// Variables with known values.
pub(crate) type Vars = BTreeMap<String, String>;

/// Longer values, and more variables, are not kept.
const LONGEST_VALUE: usize = 1024;
const MOST_VARS: usize = 500;
/// A command with longer words is cut.
const LONGEST_COMMAND: usize = 16 << 10;
/// What is longer is not kept for a command to read.
const LONGEST_INPUT: usize = 64 << 10;
/// Words nested deeper are left as they are written.
const DEEPEST: usize = 24;

/// Sets a variable. One whose value a command gives is not known any more.
pub(crate) fn set(vars: &mut Vars, name: String, value: String) {
    let known = value.len() <= LONGEST_VALUE && !value.contains('`') && !value.contains("$(");
    if known && (vars.len() < MOST_VARS || vars.contains_key(&name)) {
        vars.insert(name, value);
    } else {
        vars.remove(&name);
    }
}

/// Reads words of a text.
pub(super) struct Words<'t> {
    text: &'t Piece,
    vars: &'t Vars,
}

impl<'t> Words<'t> {
    pub(super) fn new(text: &'t Piece, vars: &'t Vars) -> Self {
        Self { text, vars }
    }

    fn source(&self, node: Node<'_>) -> &'t str {
        self.text.as_str().get(node.byte_range()).unwrap_or_default()
    }

    /// The words of a command, its name first.
    pub(super) fn command(&self, node: Node<'_>) -> Vec<Piece> {
        let mut words = Vec::new();
        let mut left = LONGEST_COMMAND;
        let mut end = None;
        let mut cursor = node.walk();
        let mut there = cursor.goto_first_child();
        while there {
            let (field, child) = (cursor.field_name(), cursor.node());
            there = cursor.goto_next_sibling();
            let word = match field {
                Some("name") => child.named_child(0).unwrap_or(child),
                Some("argument") => child,
                _ => continue,
            };
            if word.byte_range().len() > left {
                return words;
            }
            let fields = self.fields(word);
            let len: usize = fields.iter().map(|field| field.as_str().len()).sum();
            if len > left {
                return words;
            }
            left -= len;
            let mut fields = fields.into_iter();
            // The grammar parts some words where no blank is: "a=`b`".
            if end == Some(word.start_byte())
                && let (Some(last), Some(field)) = (words.last_mut(), fields.next())
            {
                Piece::append(last, &field);
            }
            end = Some(word.end_byte());
            words.extend(fields);
        }
        words
    }

    /// One word, or as many as an unquoted variable holds.
    fn fields(&self, node: Node<'_>) -> Vec<Piece> {
        let value = self.value(node, DEEPEST);
        let array = || {
            let source = self.source(node);
            source.contains("[@]") || source == "\"$@\""
        };
        let splits = matches!(node.kind(), "simple_expansion" | "expansion")
            || node.kind() == "string" && array();
        if splits && value.as_str() != self.source(node) {
            value.split_blanks()
        } else {
            vec![value]
        }
    }

    fn value(&self, node: Node<'_>, deepest: usize) -> Piece {
        let range = node.byte_range();
        let as_written = || self.text.slice(range.clone());
        if deepest == 0 {
            return as_written();
        }
        match node.kind() {
            "word" => self.unescaped(range, |_| true),
            "raw_string" if range.len() >= 2 => self.text.slice(range.start + 1..range.end - 1),
            "ansi_c_string" if range.len() >= 3 => {
                self.unescaped(range.start + 2..range.end - 1, |_| true)
            }
            "translated_string" => {
                node.named_child(0).map_or_else(as_written, |child| self.value(child, deepest - 1))
            }
            "string" => self.string(node, deepest),
            "concatenation" => {
                let mut whole = Piece::default();
                let mut cursor = node.walk();
                for child in node.children(&mut cursor) {
                    whole.append(&self.value(child, deepest - 1));
                }
                whole
            }
            "simple_expansion" | "expansion" => {
                self.expansion(node, deepest).unwrap_or_else(as_written)
            }
            "command_substitution" => self.looked_up(node).unwrap_or_else(as_written),
            _ => as_written(),
        }
    }

    /// What stands between double quotes.
    fn string(&self, node: Node<'_>, deepest: usize) -> Piece {
        let range = node.byte_range();
        let quote = usize::from(range.len() >= 2);
        let (mut at, end) = (range.start + quote, range.end - quote);
        let special = |c| matches!(c, '"' | '\\' | '$' | '`' | '\n');
        let mut whole = Piece::default();
        let mut cursor = node.walk();
        for child in node.named_children(&mut cursor) {
            let inside = child.byte_range();
            if child.kind() == "string_content" || inside.start < at || inside.end > end {
                continue;
            }
            whole.append(&self.unescaped(at..inside.start, special));
            whole.append(&self.value(child, deepest - 1));
            at = inside.end;
        }
        whole.append(&self.unescaped(at..end, special));
        whole
    }

    /// A part of the text without the backslashes that make the next character plain.
    fn unescaped(&self, range: std::ops::Range<usize>, special: impl Fn(char) -> bool) -> Piece {
        let part = self.text.slice(range);
        if !part.as_str().contains('\\') {
            return part;
        }
        let mut out = Piece::default();
        let mut from = 0;
        let mut chars = part.as_str().char_indices();
        while let Some((at, c)) = chars.next() {
            if c != '\\' {
                continue;
            }
            let Some((next, escaped)) = chars.next() else { break };
            if special(escaped) {
                out.append(&part.slice(from..at));
                from = if escaped == '\n' { next + 1 } else { next };
            }
        }
        out.append(&part.slice(from..part.as_str().len()));
        out
    }

    /// The value of a variable, or what is to stand for it if it has none.
    fn expansion(&self, node: Node<'_>, deepest: usize) -> Option<Piece> {
        let origin = self.text.origin(node.start_byte());
        let mut cursor = node.walk();
        let children: Vec<Node<'_>> = node.children(&mut cursor).collect();
        let at = children.iter().position(|c| {
            matches!(c.kind(), "variable_name" | "subscript" | "special_variable_name")
        })?;
        let name = match children[at].kind() {
            "subscript" => children[at].child_by_field_name("name")?,
            _ => children[at],
        };
        if let Some(value) = self.vars.get(self.source(name)) {
            return Some(Piece::at(value, origin));
        }
        let operator = children.get(at + 1)?;
        if !matches!(self.source(*operator), ":-" | "-" | ":=" | "=") {
            return None;
        }
        let default = children.get(at + 2).filter(|c| c.is_named())?;
        Some(self.value(*default, deepest - 1))
    }

    /// `$(which nginx)`: the program that is looked up.
    fn looked_up(&self, node: Node<'_>) -> Option<Piece> {
        let command = node.named_child(0).filter(|c| c.kind() == "command")?;
        let mut cursor = command.walk();
        let words: Vec<Node<'_>> = command.named_children(&mut cursor).collect();
        let plain: Vec<&str> = words.iter().map(|word| self.source(*word)).collect();
        match plain.as_slice() {
            ["which", _] | ["command", "-v", _] | ["type", "-p" | "-P", _] => {
                words.last().map(|word| self.text.slice(word.byte_range()))
            }
            _ => None,
        }
    }

    /// The variable that is set, and its value.
    pub(super) fn assignment(&self, node: Node<'_>) -> Option<(String, String)> {
        let name = node.child_by_field_name("name").filter(|n| n.kind() == "variable_name")?;
        let Some(value) = node.child_by_field_name("value") else {
            return Some((self.source(name).to_owned(), String::new()));
        };
        if value.byte_range().len() > 4 * LONGEST_VALUE {
            return None;
        }
        let text = if value.kind() == "array" {
            let mut cursor = value.walk();
            let words = value.named_children(&mut cursor).take(64);
            let words: Vec<String> =
                words.map(|w| self.value(w, DEEPEST).as_str().to_owned()).collect();
            words.join(" ")
        } else {
            self.value(value, DEEPEST).as_str().to_owned()
        };
        Some((self.source(name).to_owned(), text))
    }

    /// The first value of a loop's variable.
    pub(super) fn first_of_loop(&self, node: Node<'_>) -> Option<(String, String)> {
        let name = node.child_by_field_name("variable")?;
        let value = node.child_by_field_name("value")?;
        if value.byte_range().len() > LONGEST_VALUE {
            return None;
        }
        let value = self.value(value, DEEPEST).as_str().to_owned();
        Some((self.source(name).to_owned(), value))
    }

    /// `<<< WORD`.
    pub(super) fn here_string(&self, node: Node<'_>) -> Option<Piece> {
        let mut cursor = node.walk();
        let redirect = node.children(&mut cursor).find(|c| c.kind() == "herestring_redirect")?;
        let word = redirect.named_child(redirect.named_child_count().checked_sub(1)? as u32)?;
        (word.byte_range().len() <= LONGEST_INPUT).then(|| self.value(word, DEEPEST))
    }

    /// The command that reads a here-document, and what it reads.
    pub(super) fn input<'n>(&self, node: Node<'n>) -> Option<(Node<'n>, Piece)> {
        let mut cursor = node.walk();
        let redirect = node.children(&mut cursor).find(|c| c.kind() == "heredoc_redirect")?;
        let mut inside = redirect.walk();
        let parts: Vec<Node<'n>> = redirect.children(&mut inside).collect();
        let part = |kind: &str| parts.iter().find(|c| c.kind() == kind).copied();
        let body = part("heredoc_body")?.byte_range();
        if body.len() > LONGEST_INPUT {
            return None;
        }
        let quoted = part("heredoc_start")
            .is_some_and(|start| self.source(start).contains(['\'', '"', '\\']));
        let input = if quoted {
            self.text.slice(body)
        } else {
            self.unescaped(body, |c| matches!(c, '\\' | '$' | '`' | '\n'))
        };
        let mut reader = node.child_by_field_name("body")?;
        // `cat <<END | sh`: the rest of the line stands inside of the redirection.
        if let Some(rest) = part("pipeline")
            && self.source(reader).split_ascii_whitespace().next() == Some("cat")
        {
            reader = rest;
        }
        let last = reader.kind() == "pipeline" || reader.kind() == "list";
        if last {
            reader = reader.named_child(reader.named_child_count().checked_sub(1)? as u32)?;
        }
        (reader.kind() == "command").then_some((reader, input))
    }
}
