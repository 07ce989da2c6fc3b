//! What must be in an event for an expression to hold: texts and names, so that most events are
//! ruled out for all recipes at once, here and in the kernel.

use std::collections::BTreeSet;

use super::tree::{List, Place, Test, Text};
use crate::words::base_name;

/// Texts, in lower case, of which one must occur among those of [`SEARCHED`].
pub(crate) type Need = BTreeSet<String>;
/// Names of programs of which one must be its own, in lower case.
pub(crate) type Names = BTreeSet<String>;

/// Shorter texts rule out too little.
const SHORTEST: usize = 3;
/// More alternatives are as good as none.
const MOST: usize = 512;

/// Facts whose texts are searched.
const SEARCHED: &[&str] = &[
    "process.comm",
    "process.name",
    "process.names",
    "process.args",
    "process.command_line",
    "process.parameters",
    "process.cwd",
    "process.invoked_as",
    "process.interpreter",
    "process.target",
    "process.exe.path",
    "parent.name",
    "parent.comm",
    "parent.exe",
    "parent.args",
    "parent.command_line",
    "parent.parameters",
];

pub(super) fn of(test: &Test) -> Option<Need> {
    match test {
        Test::And(all) => all.iter().filter_map(of).max_by_key(worth),
        Test::Or(any) => union(any.iter().map(of)),
        Test::If(parts) => union([of(&parts[1]), of(&parts[2])]),
        Test::Same(a, b) => literal(a, b).or_else(|| literal(b, a)),
        Test::Starts(a, b) | Test::Ends(a, b) | Test::Contains(a, b) => literal(a, b),
        Test::OneOf(text, set) if is_searched(text) => union(set.iter().map(|one| single(one))),
        Test::Among(Text::Literal(text), List::Fact(place)) if searched(*place) => single(text),
        // Inside, elements of a list that is searched are searched.
        Test::Any(List::Fact(place), inner) if searched(*place) => of(inner),
        _ => None,
    }
}

/// How much a need rules out: the shortest of its texts counts, and how many there are.
fn worth(need: &Need) -> (usize, usize) {
    (need.iter().map(String::len).min().unwrap_or(0), MOST.saturating_sub(need.len()))
}

fn union<T: Ord>(parts: impl IntoIterator<Item = Option<BTreeSet<T>>>) -> Option<BTreeSet<T>> {
    let mut all = BTreeSet::new();
    for part in parts {
        all.extend(part?);
    }
    (!all.is_empty() && all.len() <= MOST).then_some(all)
}

fn single(text: &str) -> Option<Need> {
    (text.len() >= SHORTEST).then(|| BTreeSet::from([text.to_ascii_lowercase()]))
}

fn literal(fact: &Text, text: &Text) -> Option<Need> {
    match text {
        Text::Literal(text) if is_searched(fact) => single(text),
        _ => None,
    }
}

fn is_searched(text: &Text) -> bool {
    match text {
        Text::Fact(place) => searched(*place),
        Text::Lower(inner) => is_searched(inner),
        Text::Literal(_) | Text::If(_) => false,
    }
}

fn searched(place: Place) -> bool {
    match place {
        Place::Event((name, ..)) => SEARCHED.contains(name),
        // An element of such a list; of others nobody asks.
        Place::Element(_) => true,
        Place::Ancestor(..) | Place::Listener(..) => false,
    }
}

/// Names that the program must have: of its file, or as it was asked for.
pub(super) fn names(test: &Test) -> Option<Names> {
    match test {
        Test::And(all) => all.iter().filter_map(names).min_by_key(BTreeSet::len),
        Test::Or(any) => union(any.iter().map(names)),
        Test::If(parts) => union([names(&parts[1]), names(&parts[2])]),
        Test::Same(a, Text::Literal(text)) | Test::Same(Text::Literal(text), a) => named(a, text),
        Test::OneOf(a, set) => union(set.iter().map(|text| named(a, text))),
        Test::Ends(a, Text::Literal(text)) => {
            let (_, name) = text.rsplit_once('/')?;
            (fact(a)? == "process.exe.path" && !name.is_empty())
                .then(|| BTreeSet::from([name.to_ascii_lowercase()]))
        }
        _ => None,
    }
}

fn named(fact_text: &Text, text: &str) -> Option<Names> {
    let name = match fact(fact_text)? {
        "process.name" => text,
        "process.exe.path" => base_name(text),
        _ => return None,
    };
    (!name.is_empty()).then(|| BTreeSet::from([name.to_ascii_lowercase()]))
}

fn fact(text: &Text) -> Option<&'static str> {
    match text {
        Text::Fact(Place::Event((name, ..))) => Some(name),
        Text::Lower(inner) => fact(inner),
        _ => None,
    }
}
