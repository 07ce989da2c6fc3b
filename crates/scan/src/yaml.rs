//! YAML as a tree in which every text knows where it stood.

use std::collections::HashMap;

use granit_parser::{Event, Options, Parser, ScalarStyle};

use crate::Problem;
use crate::text::{Piece, align};

/// Values nested deeper are refused.
const DEEPEST: usize = 64;

/// The documents of a file.
#[derive(Debug, Default)]
pub(crate) struct Yaml {
    nodes: Vec<Value>,
    documents: Vec<usize>,
}

#[derive(Debug)]
enum Value {
    Text(Piece),
    List(Vec<usize>),
    Map(Vec<(usize, usize)>),
}

/// A value of the tree.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Node<'y> {
    yaml: &'y Yaml,
    id: usize,
}

impl Yaml {
    pub(crate) fn parse(text: &str) -> Result<Self, Problem> {
        let mut options = Options::default();
        options.set_emit_comments(false);
        options.emit_unresolved_aliases = true;
        options.flow_nesting_limit = DEEPEST;
        options.block_nesting_limit = DEEPEST;
        let mut tree = Self::default();
        let mut anchors = HashMap::new();
        // Lists and maps that are not closed: which node, and what was put in.
        let mut open: Vec<(usize, Vec<usize>)> = Vec::new();
        for next in Parser::new_from_str_with_options(text, options) {
            let (event, span) = next.map_err(|error| Problem {
                at: error.marker().byte_offset().unwrap_or_default(),
                why: format!("not YAML: {}", error.info()),
            })?;
            let mut anchor = |name: usize, id| {
                if name > 0 {
                    anchors.insert(name, id);
                }
            };
            let done = match event {
                Event::Scalar(value, style, name, _) => {
                    let range = span.byte_range().unwrap_or(0..0);
                    let id = tree.add(Value::Text(scalar(&value, text, range, style)));
                    anchor(name, id);
                    Some(id)
                }
                Event::SequenceStart(_, name, _) => {
                    let id = tree.add(Value::List(Vec::new()));
                    anchor(name, id);
                    open.push((id, Vec::new()));
                    None
                }
                Event::MappingStart(_, name, _) => {
                    let id = tree.add(Value::Map(Vec::new()));
                    anchor(name, id);
                    open.push((id, Vec::new()));
                    None
                }
                Event::SequenceEnd | Event::MappingEnd => open.pop().map(|(id, inside)| {
                    match &mut tree.nodes[id] {
                        Value::Map(entries) => {
                            entries.extend(inside.chunks_exact(2).map(|pair| (pair[0], pair[1])));
                        }
                        Value::List(items) => *items = inside,
                        Value::Text(_) => {}
                    }
                    id
                }),
                Event::Alias(name) => {
                    let named = anchors.get(&name).copied();
                    Some(named.unwrap_or_else(|| tree.add(Value::Text(Piece::default()))))
                }
                Event::UnresolvedAlias(_) => Some(tree.add(Value::Text(Piece::default()))),
                _ => None,
            };
            match (done, open.last_mut()) {
                (Some(id), Some((_, inside))) => inside.push(id),
                (Some(id), None) => tree.documents.push(id),
                (None, _) => {}
            }
        }
        Ok(tree)
    }

    fn add(&mut self, value: Value) -> usize {
        self.nodes.push(value);
        self.nodes.len() - 1
    }

    pub(crate) fn documents(&self) -> impl Iterator<Item = Node<'_>> {
        self.documents.iter().map(|id| Node { yaml: self, id: *id })
    }
}

/// The text of a scalar, laid over its source.
fn scalar(value: &str, text: &str, range: std::ops::Range<usize>, style: ScalarStyle) -> Piece {
    let raw = text.get(range.clone()).unwrap_or_default();
    let quotes = matches!(style, ScalarStyle::SingleQuoted | ScalarStyle::DoubleQuoted);
    let block = matches!(style, ScalarStyle::Literal | ScalarStyle::Folded);
    let skip = match raw.as_bytes().first() {
        Some(b'|' | b'>') if block => raw.find('\n').map_or(raw.len(), |end| end + 1),
        Some(b'\'' | b'"') if quotes => 1,
        _ => 0,
    };
    align(value, &raw[skip..], range.start + skip, style == ScalarStyle::DoubleQuoted)
}

impl<'y> Node<'y> {
    fn value(self) -> &'y Value {
        &self.yaml.nodes[self.id]
    }

    fn other(self, id: usize) -> Self {
        Self { yaml: self.yaml, id }
    }

    /// What tells it from all others of its file.
    pub(crate) fn id(self) -> usize {
        self.id
    }

    pub(crate) fn text(self) -> Option<&'y Piece> {
        match self.value() {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    pub(crate) fn is_map(self) -> bool {
        matches!(self.value(), Value::Map(_))
    }

    /// What is in a list; nothing in anything else.
    pub(crate) fn items(self) -> impl Iterator<Item = Self> + use<'y> {
        let items = match self.value() {
            Value::List(items) => items.as_slice(),
            _ => &[],
        };
        items.iter().map(move |id| self.other(*id))
    }

    /// The entries of a map, those that are merged into it (`<<`) last; nothing in anything else.
    pub(crate) fn entries(self) -> Vec<(&'y str, Self)> {
        self.merged(4, usize::MAX)
    }

    fn merged(self, deepest: usize, most: usize) -> Vec<(&'y str, Self)> {
        let Value::Map(entries) = self.value() else { return Vec::new() };
        let mut found = Vec::new();
        let mut more = Vec::new();
        for (key, value) in entries.iter().take(most) {
            let (Some(key), value) = (self.other(*key).text(), self.other(*value)) else {
                continue;
            };
            if key.as_str() != "<<" {
                found.push((key.as_str(), value));
            } else if deepest > 0 && more.len() < MERGED {
                let several =
                    value.items().take(MERGED).flat_map(|i| i.merged(deepest - 1, MERGED));
                more.extend(value.merged(deepest - 1, MERGED));
                more.extend(several.take(MERGED));
            }
        }
        for (key, value) in more.into_iter().take(MERGED) {
            if found.iter().all(|(own, _)| *own != key) {
                found.push((key, value));
            }
        }
        found
    }

    pub(crate) fn get(self, key: &str) -> Option<Self> {
        self.entries().into_iter().find(|(own, _)| *own == key).map(|(_, value)| value)
    }

    /// The text of an entry.
    pub(crate) fn str(self, key: &str) -> Option<&'y str> {
        self.get(key)?.text().map(Piece::as_str)
    }

    /// A text, or the texts of a list.
    pub(crate) fn texts(self) -> Vec<&'y Piece> {
        match self.text() {
            Some(text) => vec![text],
            None => self.items().filter_map(Self::text).collect(),
        }
    }

    /// The texts of a list, which may have lists in it; or a text.
    pub(crate) fn flat_texts(self) -> Vec<&'y Piece> {
        let inside = self.items().flat_map(|item| {
            if item.text().is_some() {
                item.texts()
            } else {
                item.items().flat_map(Self::texts).collect()
            }
        });
        self.text().into_iter().chain(inside).collect()
    }
}

/// Entries beyond are not merged into a map.
const MERGED: usize = 200;

#[cfg(test)]
mod tests {
    use super::*;

    fn place_of(text: &str, path: &[&str], needle: &str) -> usize {
        let yaml = Yaml::parse(text).unwrap();
        let mut node = yaml.documents().next().unwrap();
        for key in path {
            node = node.get(key).unwrap();
        }
        let piece = node.text().unwrap();
        piece.origin(piece.as_str().find(needle).unwrap())
    }

    #[test]
    fn texts_of_every_style_know_where_they_stood() {
        let text = "a:\n  plain: x\n   needle # c\n  lit: |2-\n     y\n\n    needle z\n  fold: >\n    a b\n    \
                    needle\n    c\n  single: 'it''s needle'\n  double: \"\\tx\\\n    \\\"needle\\\"\"\n";
        let all: Vec<usize> = text.match_indices("needle").map(|(at, _)| at).collect();
        for (key, at) in ["plain", "lit", "fold", "single", "double"].iter().zip(all) {
            assert_eq!(place_of(text, &["a", key], "needle"), at, "{key}");
        }
    }

    #[test]
    fn anchors_are_followed_and_maps_merged() {
        let text = "b: &b {run: one, more: two}\nc:\n  <<: *b\n  run: three\nd: *b\ne: *nope\n";
        let yaml = Yaml::parse(text).unwrap();
        let root = yaml.documents().next().unwrap();
        let c = root.get("c").unwrap();
        assert_eq!((c.str("run"), c.str("more")), (Some("three"), Some("two")));
        assert_eq!(root.get("d").unwrap().str("run"), Some("one"));
        assert_eq!(root.get("d").unwrap().id(), root.get("b").unwrap().id());
    }

    #[test]
    fn what_is_wrong_is_said_with_its_place() {
        let error = Yaml::parse("a: [1\nb: }").unwrap_err();
        assert!(error.at > 0 && error.why.starts_with("not YAML: "), "{error:?}");
        assert!(Yaml::parse(&"[".repeat(5000)).is_err());
        assert!(Yaml::parse(&"- ".repeat(5000)).is_err());
        // An alias of what it is inside of.
        let yaml = Yaml::parse("&a {<<: *a, b: *a}").unwrap();
        assert!(yaml.documents().next().unwrap().get("c").is_none());
    }
}
