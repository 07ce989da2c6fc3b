//! Shell: which commands a text runs, read with the grammar of bash.
//!
//! Comments, texts that are only printed and here-documents that are only written are no commands; what
//! is substituted in them (`$(…)`) is.

mod words;

use std::collections::{HashMap, HashSet};
use std::ops::ControlFlow;

use tree_sitter::{Node, ParseOptions, Parser, Tree, TreeCursor};

use crate::text::Piece;
pub(crate) use words::Vars;
use words::Words;

/// A command that a shell runs.
#[derive(Debug)]
pub(crate) struct Command {
    pub(crate) words: Vec<Piece>,
    /// What it is given to read, where the text says it.
    pub(crate) input: Option<Piece>,
}

/// Steps of the parser, in hundreds, that any text may take, and how many bytes buy another hundred.
const STEPS: (usize, usize) = (1_000, 8);

/// Hands on the commands of a text in their order. Variables that it sets are known behind that. `None` if
/// it takes too many steps to read.
pub(crate) fn commands(text: &Piece, vars: &mut Vars, mut take: impl FnMut(Command)) -> Option<()> {
    let source = text.as_str();
    let tree = parse(source)?;
    let functions = functions(&tree, source);
    let mut inputs: HashMap<usize, Piece> = HashMap::new();
    each(&tree, |node| match node.kind() {
        "function_definition" => {}
        "redirected_statement" => {
            if let Some((reader, input)) = Words::new(text, vars).input(node) {
                inputs.insert(reader.id(), input);
            }
        }
        "variable_assignment" => {
            Words::new(text, vars).assignment(node).into_iter().for_each(|(name, value)| {
                words::set(vars, name, value);
            })
        }
        "for_statement" => {
            if let Some((name, value)) = Words::new(text, vars).first_of_loop(node) {
                words::set(vars, name, value);
            }
        }
        "command" => {
            let reader = Words::new(text, vars);
            let words = reader.command(node);
            let input = inputs.remove(&node.id()).or_else(|| reader.here_string(node));
            // `set -- nginx -g x`, and then `exec "$@"`.
            if let [set, dashes, rest @ ..] = words.as_slice()
                && (set.as_str(), dashes.as_str()) == ("set", "--")
            {
                let rest: Vec<&str> = rest.iter().map(Piece::as_str).collect();
                let rest = rest.join(" ");
                words::set(vars, "@".to_owned(), rest);
            }
            let own = words.first().is_none_or(|word| functions.contains(word.as_str()));
            if !own {
                take(Command { words, input });
            }
        }
        _ => {}
    });
    Some(())
}

fn parse(source: &str) -> Option<Tree> {
    let mut parser = Parser::new();
    parser.set_language(&tree_sitter_bash::LANGUAGE.into()).ok()?;
    let mut left = STEPS.0 + source.len() / STEPS.1;
    let mut step = |_: &_| {
        left = left.saturating_sub(1);
        if left == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    let options = ParseOptions::new().progress_callback(&mut step);
    let bytes = source.as_bytes();
    parser.parse_with_options(&mut |at, _| bytes.get(at..).unwrap_or_default(), None, Some(options))
}

/// Visits every node, those above first. Without recursion: a text may nest without end.
fn each<'t>(tree: &'t Tree, mut visit: impl FnMut(Node<'t>)) {
    let mut cursor = tree.walk();
    loop {
        visit(cursor.node());
        if !(cursor.goto_first_child() || next(&mut cursor)) {
            return;
        }
    }
}

fn next(cursor: &mut TreeCursor<'_>) -> bool {
    loop {
        if cursor.goto_next_sibling() {
            return true;
        }
        if !cursor.goto_parent() {
            return false;
        }
    }
}

/// Names of the functions that a text defines: a command of that name is no program.
fn functions(tree: &Tree, source: &str) -> HashSet<String> {
    let mut names = HashSet::new();
    each(tree, |node| {
        if node.kind() == "function_definition"
            && let Some(name) = node.child_by_field_name("name")
        {
            names.extend(source.get(name.byte_range()).map(str::to_owned));
        }
    });
    names
}

#[cfg(test)]
mod tests;
