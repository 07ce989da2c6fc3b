//! What an expression may cost at worst, known before it runs.

use super::eval::{BYTES, REGEX};
use super::tree::{List, Number, Place, Test, Text};
use crate::fields::Get;

/// Steps that an expression may need at worst; one that needs more is refused. A step is some
/// nanoseconds: all of them are some ten milliseconds, for an event that was made to be the worst.
pub(crate) const MOST: u64 = 4_000_000;

/// Bytes of all arguments that are taken, and so the number of them at most.
const ARGUMENTS: u64 = 128 << 10;
/// Ancestors of a chain, at most; more than a handful is rare.
const ANCESTORS: u64 = 64;
/// Words of what an ancestor or a name list holds.
const FEW: u64 = 64;
/// Bytes of a path, or of any other text that is no command line.
const PATH: u64 = 4352;

pub(super) fn test(test: &Test) -> u64 {
    let of = |parts: &[u64]| parts.iter().fold(1_u64, |sum, part| sum.saturating_add(*part));
    match test {
        Test::Is(_) | Test::Flag(_) | Test::Has(_) => 1,
        Test::Not(inner) => of(&[self::test(inner)]),
        Test::And(all) | Test::Or(all) => of(&all.iter().map(self::test).collect::<Vec<_>>()),
        Test::If(parts) => of(&parts.each_ref().map(self::test)),
        Test::Compare(_, a, b) => of(&[number(a), number(b)]),
        Test::Number(a, _) => of(&[number(a)]),
        Test::Same(a, b) | Test::Starts(a, b) | Test::Ends(a, b) | Test::Contains(a, b) => {
            of(&[text(a), text(b)])
        }
        Test::OneOf(a, _) => of(&[text(a)]),
        Test::Matches(a, _) => of(&[text(a), (bytes(a) * REGEX as u64) / BYTES as u64 + 1]),
        // All elements together are not longer than the arguments: each is compared once.
        Test::Among(a, list) => of(&[text(a), length(list).saturating_mul(1 + text(a))]),
        Test::Any(list, inner) | Test::Every(list, inner) => {
            of(&[length(list).saturating_mul(self::test(inner))])
        }
    }
}

fn number(number: &Number) -> u64 {
    match number {
        Number::Literal(_) | Number::Fact(_) => 1,
        Number::Characters(inner) => text(inner),
        Number::Length(list) => length(list),
    }
}

fn text(text: &Text) -> u64 {
    let own = 1 + bytes(text) / BYTES as u64;
    own + match text {
        Text::Literal(_) | Text::Fact(_) => 0,
        Text::Lower(inner) => self::text(inner),
        Text::If(parts) => test(&parts.0) + self::text(&parts.1) + self::text(&parts.2),
    }
}

/// How long a text can be. An element of a list is taken for short: all of them together are not
/// longer than the list.
fn bytes(text: &Text) -> u64 {
    match text {
        Text::Literal(text) => text.len() as u64,
        Text::Fact(Place::Event((name, ..)))
            if matches!(*name, "process.command_line" | "process.parameters") =>
        {
            ARGUMENTS
        }
        Text::Fact(Place::Event(_)) => PATH,
        Text::Fact(_) => 0,
        Text::Lower(inner) => bytes(inner),
        Text::If(parts) => bytes(&parts.1).max(bytes(&parts.2)),
    }
}

fn length(list: &List) -> u64 {
    match list {
        List::Literals(all) => all.len() as u64,
        List::Fact(Place::Event((name, ..))) if *name == "process.args" => ARGUMENTS / 2,
        List::Fact(Place::Event((_, Get::Ancestors, _))) => ANCESTORS,
        List::Fact(_) => FEW,
    }
}
