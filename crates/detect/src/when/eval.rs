//! Evaluates a checked expression on an event.
//!
//! It cannot fail, but for one thing: the steps it may take are counted, and when they are spent
//! it ends. What it may cost was estimated before (see `cost`), so that this does not happen.

use std::borrow::Cow;

use event::{Ancestor, Listener};

use super::tree::{List, Number, Order, Place, Test, Text};
use crate::fields::{Get, Part};
use crate::subject::Subject;

/// Bytes of text that count as a step.
pub(super) const BYTES: usize = 64;

/// An expression took more steps than it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Spent;

/// An element that an `exists` or `all` is at.
#[derive(Clone, Copy)]
enum Element<'s> {
    Text(&'s str),
    Ancestor(&'s Ancestor),
    Listener(&'s Listener),
}

pub(super) struct Eval<'s> {
    pub(super) subject: &'s Subject<'s>,
    elements: Vec<Element<'s>>,
    left: u64,
}

impl<'s> Eval<'s> {
    pub(super) fn new(subject: &'s Subject<'s>, steps: u64) -> Self {
        Self { subject, elements: Vec::new(), left: steps }
    }

    fn spend(&mut self, bytes: usize) -> Result<(), Spent> {
        let steps = 1 + (bytes / BYTES) as u64;
        self.left = self.left.checked_sub(steps).ok_or(Spent)?;
        Ok(())
    }

    pub(super) fn test(&mut self, test: &'s Test) -> Result<bool, Spent> {
        self.spend(0)?;
        Ok(match test {
            Test::Is(is) => *is,
            Test::Flag(place) => self.flag(*place).unwrap_or(false),
            Test::Has(place) => self.has(*place),
            Test::Not(inner) => !self.test(inner)?,
            Test::And(all) => {
                for one in all {
                    if !self.test(one)? {
                        return Ok(false);
                    }
                }
                true
            }
            Test::Or(any) => {
                for one in any {
                    if self.test(one)? {
                        return Ok(true);
                    }
                }
                false
            }
            Test::If(parts) => {
                let [condition, yes, no] = &**parts;
                if self.test(condition)? { self.test(yes)? } else { self.test(no)? }
            }
            Test::Compare(order, a, b) => {
                let (a, b) = (self.number(a)?, self.number(b)?);
                match order {
                    Order::Equal => a == b,
                    Order::Less => a < b,
                    Order::LessOrEqual => a <= b,
                }
            }
            Test::Same(a, b) => {
                let (a, b) = self.both(a, b)?;
                a == b
            }
            Test::OneOf(text, set) => set.contains(&*self.text(text)?),
            Test::Number(number, set) => set.contains(&self.number(number)?),
            Test::Among(text, list) => {
                let text = self.text(text)?;
                for element in self.list(list) {
                    self.spend(text.len())?;
                    if matches!(element, Element::Text(one) if one == text) {
                        return Ok(true);
                    }
                }
                false
            }
            Test::Starts(text, with) => {
                let (text, with) = self.both(text, with)?;
                text.starts_with(&*with)
            }
            Test::Ends(text, with) => {
                let (text, with) = self.both(text, with)?;
                text.ends_with(&*with)
            }
            Test::Contains(text, what) => {
                let (text, what) = self.both(text, what)?;
                memchr::memmem::find(text.as_bytes(), what.as_bytes()).is_some()
            }
            Test::Matches(text, regex) => {
                let text = self.text(text)?;
                self.spend(text.len() * REGEX)?;
                regex.is_match(&text)
            }
            Test::Any(list, inner) => self.elements(list, inner, true)?,
            Test::Every(list, inner) => !self.elements(list, inner, false)?,
        })
    }

    /// Whether a test gives this for an element of a list.
    fn elements(&mut self, list: &'s List, test: &'s Test, wanted: bool) -> Result<bool, Spent> {
        let mut found = false;
        for element in self.list(list) {
            self.elements.push(element);
            let is = self.test(test);
            self.elements.pop();
            found = is? == wanted;
            if found {
                break;
            }
        }
        Ok(found)
    }

    fn list(&self, list: &'s List) -> Box<dyn Iterator<Item = Element<'s>> + 's> {
        let texts = |texts: &'s [String]| texts.iter().map(|text| Element::Text(text));
        match list {
            List::Literals(all) => Box::new(texts(all)),
            List::Fact(Place::Event((_, Get::Ancestors, _))) => {
                Box::new(self.subject.exec.ancestry.iter().map(Element::Ancestor))
            }
            List::Fact(Place::Event((_, Get::Listeners, _))) => {
                Box::new(self.subject.listen.iter().map(Element::Listener))
            }
            List::Fact(place) => Box::new(texts(self.texts(*place))),
        }
    }

    fn texts(&self, place: Place) -> &'s [String] {
        match (place, self.element(place)) {
            (Place::Event((_, Get::Texts(get), _)), _) => get(self.subject),
            (Place::Ancestor(_, (_, Part::Texts(get), _)), Some(Element::Ancestor(a))) => get(a),
            (Place::Listener(_, (_, Part::Texts(get), _)), Some(Element::Listener(l))) => get(l),
            _ => &[],
        }
    }

    /// The element that a place is of.
    fn element(&self, place: Place) -> Option<Element<'s>> {
        match place {
            Place::Event(_) => None,
            Place::Element(n) | Place::Ancestor(n, _) | Place::Listener(n, _) => {
                self.elements.get(n).copied()
            }
        }
    }

    fn words(&self, place: Place) -> Option<Cow<'s, str>> {
        match (place, self.element(place)) {
            (Place::Event((_, Get::Text(get), _)), _) => get(self.subject),
            (Place::Element(_), Some(Element::Text(text))) => Some(Cow::Borrowed(text)),
            (Place::Ancestor(_, (_, Part::Text(get), _)), Some(Element::Ancestor(a))) => get(a),
            (Place::Listener(_, (_, Part::Text(get), _)), Some(Element::Listener(l))) => get(l),
            _ => None,
        }
    }

    fn int(&self, place: Place) -> Option<i64> {
        match (place, self.element(place)) {
            (Place::Event((_, Get::Int(get), _)), _) => get(self.subject),
            (Place::Ancestor(_, (_, Part::Int(get), _)), Some(Element::Ancestor(a))) => get(a),
            (Place::Listener(_, (_, Part::Int(get), _)), Some(Element::Listener(l))) => get(l),
            _ => None,
        }
    }

    fn flag(&self, place: Place) -> Option<bool> {
        match (place, self.element(place)) {
            (Place::Event((_, Get::Flag(get), _)), _) => get(self.subject),
            (Place::Ancestor(_, (_, Part::Flag(get), _)), Some(Element::Ancestor(a))) => get(a),
            (Place::Listener(_, (_, Part::Flag(get), _)), Some(Element::Listener(l))) => get(l),
            _ => None,
        }
    }

    fn has(&self, place: Place) -> bool {
        let list = || match place {
            Place::Event((_, Get::Ancestors, _)) => !self.subject.exec.ancestry.is_empty(),
            Place::Event((_, Get::Listeners, _)) => !self.subject.listen.is_empty(),
            _ => !self.texts(place).is_empty(),
        };
        self.words(place).is_some()
            || self.int(place).is_some()
            || self.flag(place).is_some()
            || list()
    }

    fn number(&mut self, number: &'s Number) -> Result<i64, Spent> {
        Ok(match number {
            Number::Literal(number) => *number,
            Number::Fact(place) => self.int(*place).unwrap_or(0),
            Number::Characters(text) => size(self.text(text)?.chars().count()),
            Number::Length(list) => size(self.list(list).count()),
        })
    }

    fn text(&mut self, text: &'s Text) -> Result<Cow<'s, str>, Spent> {
        let text = match text {
            Text::Literal(text) => Cow::Borrowed(text.as_str()),
            Text::Fact(place) => self.words(*place).unwrap_or_default(),
            Text::Lower(inner) => match self.text(inner)? {
                text if text.bytes().any(|b| b.is_ascii_uppercase()) => {
                    Cow::Owned(text.to_ascii_lowercase())
                }
                text => text,
            },
            Text::If(parts) => {
                let (condition, yes, no) = &**parts;
                if self.test(condition)? { self.text(yes)? } else { self.text(no)? }
            }
        };
        self.spend(text.len())?;
        Ok(text)
    }

    fn both(&mut self, a: &'s Text, b: &'s Text) -> Result<(Cow<'s, str>, Cow<'s, str>), Spent> {
        Ok((self.text(a)?, self.text(b)?))
    }
}

/// A regular expression looks at each byte; other searches take many at a time.
pub(super) const REGEX: usize = 8;

fn size(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
