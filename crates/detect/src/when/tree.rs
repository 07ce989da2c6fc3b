//! An expression, checked: every fact is known, every kind fits, and nothing in it can fail.

use std::collections::BTreeSet;

use event::{Ancestor, Listener};
use regex::Regex;

use crate::fields::{Field, PartField};

/// Something that holds or does not.
pub(crate) enum Test {
    Is(bool),
    Flag(Place),
    Has(Place),
    Not(Box<Test>),
    And(Vec<Test>),
    Or(Vec<Test>),
    If(Box<[Test; 3]>),
    Compare(Order, Number, Number),
    Same(Text, Text),
    OneOf(Text, BTreeSet<String>),
    Number(Number, BTreeSet<i64>),
    Among(Text, List),
    Starts(Text, Text),
    Ends(Text, Text),
    Contains(Text, Text),
    Matches(Text, Box<Regex>),
    /// Of a list: whether any element fits (`exists`).
    Any(List, Box<Test>),
    /// Whether every element does (`all`).
    Every(List, Box<Test>),
}

/// How two numbers stand to each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    Equal,
    Less,
    LessOrEqual,
}

pub(crate) enum Number {
    Literal(i64),
    Fact(Place),
    Characters(Box<Text>),
    Length(List),
}

pub(crate) enum Text {
    Literal(String),
    Fact(Place),
    Lower(Box<Text>),
    If(Box<(Test, Text, Text)>),
}

pub(crate) enum List {
    Fact(Place),
    Literals(Vec<String>),
}

/// Where a fact is: of the event, or of an element that an `exists` or `all` further out is at;
/// those are counted from the outermost.
#[derive(Clone, Copy)]
pub(crate) enum Place {
    Event(&'static Field),
    Element(usize),
    Ancestor(usize, &'static PartField<Ancestor>),
    Listener(usize, &'static PartField<Listener>),
}
