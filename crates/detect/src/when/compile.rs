//! From what the parser gives to a checked expression.

use std::collections::BTreeSet;

use cel::common::ast::{
    CallExpr, ComprehensionExpr, Expr, IdedExpr, ListExpr, LiteralValue, SelectExpr, SourceInfo,
    operators as op,
};
use cel::parser::ParseErrors;
use regex::RegexBuilder;

use super::tree::{List, Number, Order, Place, Test, Text};
use crate::fields::{ANCESTOR, FIELDS, Get, LISTENER, Part};

/// Where, in bytes of the expression, and what is wrong.
type Wrong = (usize, String);
type Checked<T> = Result<T, Wrong>;

/// Memory that a regular expression may take, compiled.
const REGEX_SIZE: usize = 256 << 10;
/// How deep `exists` and `all` may be in each other.
const DEEPEST: usize = 3;

/// What the parser did not understand.
pub(super) fn syntax(source: &str, errors: &ParseErrors) -> Wrong {
    let Some(first) = errors.errors.first() else { return (0, "cannot be read".to_owned()) };
    let (line, column) = first.pos;
    let before: usize = source
        .split_inclusive('\n')
        .take(usize::try_from(line - 1).unwrap_or(0))
        .map(str::len)
        .sum();
    let message = first.msg.lines().next().unwrap_or_default();
    let message: String = message.chars().take(200).collect();
    (before + usize::try_from(column - 1).unwrap_or(0), message)
}

/// What a name stands for inside `exists` or `all`.
#[derive(Clone, Copy)]
enum Kind {
    Text,
    Ancestor,
    Listener,
}

/// A value of any kind.
enum Value {
    Test(Test),
    Number(Number),
    Text(Text),
    List(List, Kind),
    Numbers(BTreeSet<i64>),
}

impl Value {
    fn kind(&self) -> &'static str {
        match self {
            Self::Test(_) => "yes or no",
            Self::Number(_) => "a number",
            Self::Text(_) => "a text",
            Self::List(..) => "a list",
            Self::Numbers(_) => "a list of numbers",
        }
    }
}

pub(super) struct Compiler<'c> {
    source: &'c str,
    places: &'c SourceInfo,
    variables: Vec<(String, Kind)>,
}

impl<'c> Compiler<'c> {
    pub(super) fn new(source: &'c str, places: &'c SourceInfo) -> Self {
        Self { source, places, variables: Vec::new() }
    }

    /// The whole expression.
    pub(super) fn all(&mut self, e: &IdedExpr) -> Checked<Test> {
        self.test(e)
    }

    /// Where a part begins. The parser notes operators and dots, which come later.
    fn at(&self, e: &IdedExpr) -> usize {
        let mut begin = usize::MAX;
        let mut part = Some(e);
        while let Some(e) = part {
            if let Some((start, _)) = self.places.offset_for(e.id) {
                begin = begin.min(start as usize);
            }
            part = match &e.expr {
                Expr::Select(select) => Some(&select.operand),
                Expr::Call(call) => call.target.as_deref().or(call.args.first()),
                _ => None,
            };
        }
        // What macros made has no place.
        if begin <= self.source.len() { begin } else { 0 }
    }

    fn wrong<T>(&self, e: &IdedExpr, message: impl Into<String>) -> Checked<T> {
        Err((self.at(e), message.into()))
    }

    fn test(&mut self, e: &IdedExpr) -> Checked<Test> {
        match self.value(e)? {
            Value::Test(test) => Ok(test),
            other => self.wrong(e, format!("expected yes or no, found {}", other.kind())),
        }
    }

    fn text(&mut self, e: &IdedExpr) -> Checked<Text> {
        match self.value(e)? {
            Value::Text(text) => Ok(text),
            other => self.wrong(e, format!("expected a text, found {}", other.kind())),
        }
    }

    fn value(&mut self, e: &IdedExpr) -> Checked<Value> {
        match &e.expr {
            Expr::Literal(literal) => self.literal(e, literal),
            Expr::Ident(_) => self.fact(e),
            Expr::Select(select) if select.test => self.has(e, select).map(Value::Test),
            Expr::Select(_) => self.fact(e),
            Expr::List(list) => self.literals(e, list),
            Expr::Call(call) => self.call(e, call),
            Expr::Comprehension(loops) => self.loops(e, loops).map(Value::Test),
            Expr::Map(_) | Expr::Struct(_) | Expr::Unspecified => {
                self.wrong(e, "expected a fact, a text, a number, a list or a condition")
            }
        }
    }

    fn literal(&self, e: &IdedExpr, literal: &LiteralValue) -> Checked<Value> {
        Ok(match literal {
            LiteralValue::Boolean(is) => Value::Test(Test::Is(*is.inner())),
            LiteralValue::Int(number) => Value::Number(Number::Literal(*number.inner())),
            LiteralValue::String(text) => Value::Text(Text::Literal(text.inner().to_owned())),
            LiteralValue::UInt(_)
            | LiteralValue::Bytes(_)
            | LiteralValue::Double(_)
            | LiteralValue::Null => {
                let hint = "expected a text, a whole number, true or false; whether a fact is \
                            known, has(…) tells";
                return self.wrong(e, hint);
            }
        })
    }

    /// A list of texts or of numbers, as it is written.
    fn literals(&mut self, e: &IdedExpr, list: &ListExpr) -> Checked<Value> {
        let (mut texts, mut numbers) = (Vec::new(), BTreeSet::new());
        for element in &list.elements {
            match &element.expr {
                Expr::Literal(LiteralValue::String(text)) => texts.push(text.inner().to_owned()),
                Expr::Literal(LiteralValue::Int(number)) => {
                    numbers.insert(*number.inner());
                }
                _ => return self.wrong(element, "expected a text or a number, as they are"),
            }
        }
        match (texts.is_empty(), numbers.is_empty()) {
            (_, true) => Ok(Value::List(List::Literals(texts), Kind::Text)),
            (true, false) => Ok(Value::Numbers(numbers)),
            (false, false) => self.wrong(e, "texts and numbers in one list"),
        }
    }

    /// The name that a chain of selections spells: `process.exe.path`.
    fn spelled(e: &IdedExpr) -> Option<String> {
        match &e.expr {
            Expr::Ident(name) => Some(name.clone()),
            Expr::Select(SelectExpr { operand, field, .. }) => {
                Some(format!("{}.{field}", Self::spelled(operand)?))
            }
            _ => None,
        }
    }

    fn fact(&mut self, e: &IdedExpr) -> Checked<Value> {
        let Some(name) = Self::spelled(e) else {
            return self.wrong(e, "expected the name of a fact before the dot");
        };
        let (first, rest) = name.split_once('.').unwrap_or((&name, ""));
        let bound = self.variables.iter().rposition(|(variable, _)| variable == first);
        match bound {
            Some(depth) => self.element(e, depth, rest, &name),
            None => self.event_fact(e, &name),
        }
    }

    fn event_fact(&self, e: &IdedExpr, name: &str) -> Checked<Value> {
        let Some(field) = FIELDS.iter().find(|(known, ..)| *known == name) else {
            return self.wrong(e, unknown(name));
        };
        let place = Place::Event(field);
        Ok(match field.1 {
            Get::Text(_) => Value::Text(Text::Fact(place)),
            Get::Int(_) => Value::Number(Number::Fact(place)),
            Get::Flag(_) => Value::Test(Test::Flag(place)),
            Get::Texts(_) => Value::List(List::Fact(place), Kind::Text),
            Get::Ancestors => Value::List(List::Fact(place), Kind::Ancestor),
            Get::Listeners => Value::List(List::Fact(place), Kind::Listener),
        })
    }

    fn element(&self, e: &IdedExpr, depth: usize, part: &str, name: &str) -> Checked<Value> {
        fn value<T>(part: &Part<T>, place: Place) -> Value {
            match part {
                Part::Text(_) => Value::Text(Text::Fact(place)),
                Part::Int(_) => Value::Number(Number::Fact(place)),
                Part::Flag(_) => Value::Test(Test::Flag(place)),
                Part::Texts(_) => Value::List(List::Fact(place), Kind::Text),
            }
        }
        let found = match self.variables[depth].1 {
            Kind::Text if part.is_empty() => Some(Value::Text(Text::Fact(Place::Element(depth)))),
            Kind::Text => None,
            Kind::Ancestor => ANCESTOR
                .iter()
                .find(|(known, ..)| *known == part)
                .map(|field| value(&field.1, Place::Ancestor(depth, field))),
            Kind::Listener => LISTENER
                .iter()
                .find(|(known, ..)| *known == part)
                .map(|field| value(&field.1, Place::Listener(depth, field))),
        };
        match found {
            Some(value) => Ok(value),
            None => self.wrong(e, unknown(name)),
        }
    }

    fn has(&mut self, e: &IdedExpr, select: &SelectExpr) -> Checked<Test> {
        let whole =
            IdedExpr { id: e.id, expr: Expr::Select(SelectExpr { test: false, ..select.clone() }) };
        let place = match self.fact(&whole)? {
            Value::Text(Text::Fact(place))
            | Value::Number(Number::Fact(place))
            | Value::Test(Test::Flag(place))
            | Value::List(List::Fact(place), _) => place,
            _ => return self.wrong(e, "has(…) expects a fact"),
        };
        Ok(Test::Has(place))
    }

    /// `exists` and `all`, by what the parser makes of them.
    fn loops(&mut self, e: &IdedExpr, loops: &ComprehensionExpr) -> Checked<Test> {
        const KNOWN: &str = "of what runs through lists, only exists(x, …) and all(x, …) are known";
        let starts = match &loops.accu_init.expr {
            Expr::Literal(LiteralValue::Boolean(starts)) => *starts.inner(),
            _ => return self.wrong(&loops.iter_range, KNOWN),
        };
        let (step, args) = match &loops.loop_step.expr {
            Expr::Call(CallExpr { func_name, args, target: None }) => (func_name.as_str(), args),
            _ => return self.wrong(&loops.iter_range, KNOWN),
        };
        let exists = match (starts, step) {
            (false, op::LOGICAL_OR) => true,
            (true, op::LOGICAL_AND) => false,
            _ => return self.wrong(&loops.iter_range, KNOWN),
        };
        let ([_, condition], None) = (args.as_slice(), &loops.iter_var2) else {
            return self.wrong(&loops.iter_range, KNOWN);
        };
        let (list, kind) = match self.value(&loops.iter_range)? {
            Value::List(list, kind) => (list, kind),
            other => {
                let message = format!("expected a list, found {}", other.kind());
                return self.wrong(&loops.iter_range, message);
            }
        };
        if self.variables.len() >= DEEPEST {
            return self.wrong(e, format!("lists in lists, more than {DEEPEST} deep"));
        }
        self.variables.push((loops.iter_var.clone(), kind));
        let test = self.test(condition);
        self.variables.pop();
        let test = Box::new(test?);
        Ok(if exists { Test::Any(list, test) } else { Test::Every(list, test) })
    }

    fn call(&mut self, e: &IdedExpr, call: &CallExpr) -> Checked<Value> {
        let args: Vec<&IdedExpr> = call.target.as_deref().into_iter().chain(&call.args).collect();
        let method = call.target.is_some();
        match (call.func_name.as_str(), args.as_slice(), method) {
            (op::LOGICAL_NOT, [a], _) => Ok(Value::Test(Test::Not(Box::new(self.test(a)?)))),
            (op::LOGICAL_AND, [a, b], _) => {
                let mut all = Vec::new();
                for part in [a, b] {
                    match self.test(part)? {
                        Test::And(more) => all.extend(more),
                        one => all.push(one),
                    }
                }
                Ok(Value::Test(Test::And(all)))
            }
            (op::LOGICAL_OR, [a, b], _) => {
                let mut any = Vec::new();
                for part in [a, b] {
                    match self.test(part)? {
                        Test::Or(more) => any.extend(more),
                        one => any.push(one),
                    }
                }
                Ok(Value::Test(Test::Or(any)))
            }
            (op::NEGATE, [a], _) => match self.value(a)? {
                Value::Number(Number::Literal(n)) => {
                    Ok(Value::Number(Number::Literal(n.wrapping_neg())))
                }
                _ => self.wrong(e, "arithmetic is not known here"),
            },
            (op::CONDITIONAL, [condition, yes, no], _) => self.either(condition, yes, no),
            (op::EQUALS, [a, b], _) => self.same(e, a, b).map(Value::Test),
            (op::NOT_EQUALS, [a, b], _) => {
                Ok(Value::Test(Test::Not(Box::new(self.same(e, a, b)?))))
            }
            (op::LESS, [a, b], _) => self.compare(e, Order::Less, a, b),
            (op::LESS_EQUALS, [a, b], _) => self.compare(e, Order::LessOrEqual, a, b),
            (op::GREATER, [a, b], _) => self.compare(e, Order::Less, b, a),
            (op::GREATER_EQUALS, [a, b], _) => self.compare(e, Order::LessOrEqual, b, a),
            (op::IN, [what, list], _) => self.within(what, list).map(Value::Test),
            ("size", [of], _) => self.size(of),
            ("startsWith", [a, b], true) => {
                Ok(Value::Test(Test::Starts(self.text(a)?, self.text(b)?)))
            }
            ("endsWith", [a, b], true) => Ok(Value::Test(Test::Ends(self.text(a)?, self.text(b)?))),
            ("contains", [a, b], true) => {
                Ok(Value::Test(Test::Contains(self.text(a)?, self.text(b)?)))
            }
            ("matches", [a, b], true) => self.matches(a, b).map(Value::Test),
            ("lowerAscii", [a], true) => Ok(Value::Text(Text::Lower(Box::new(self.text(a)?)))),
            (name, ..) => self.wrong(e, no_function(name)),
        }
    }

    fn either(&mut self, condition: &IdedExpr, yes: &IdedExpr, no: &IdedExpr) -> Checked<Value> {
        let condition = self.test(condition)?;
        match (self.value(yes)?, self.value(no)?) {
            (Value::Test(a), Value::Test(b)) => {
                Ok(Value::Test(Test::If(Box::new([condition, a, b]))))
            }
            (Value::Text(a), Value::Text(b)) => {
                Ok(Value::Text(Text::If(Box::new((condition, a, b)))))
            }
            (a, b) => {
                let (a, b) = (a.kind(), b.kind());
                self.wrong(no, format!("expected two texts or two conditions, found {a} and {b}"))
            }
        }
    }

    fn same(&mut self, e: &IdedExpr, a: &IdedExpr, b: &IdedExpr) -> Checked<Test> {
        match (self.value(a)?, self.value(b)?) {
            (Value::Text(a), Value::Text(b)) => Ok(Test::Same(a, b)),
            (Value::Number(a), Value::Number(b)) => Ok(Test::Compare(Order::Equal, a, b)),
            (Value::Test(a), Value::Test(b)) => Ok(match (a, b) {
                (Test::Is(true), test) | (test, Test::Is(true)) => test,
                (Test::Is(false), test) | (test, Test::Is(false)) => Test::Not(Box::new(test)),
                _ => return self.wrong(e, "of two conditions, one must be true or false"),
            }),
            (a, b) => self.wrong(e, format!("cannot compare {} with {}", a.kind(), b.kind())),
        }
    }

    fn compare(
        &mut self,
        e: &IdedExpr,
        order: Order,
        a: &IdedExpr,
        b: &IdedExpr,
    ) -> Checked<Value> {
        match (self.value(a)?, self.value(b)?) {
            (Value::Number(a), Value::Number(b)) => Ok(Value::Test(Test::Compare(order, a, b))),
            (a, b) => {
                let (a, b) = (a.kind(), b.kind());
                self.wrong(e, format!("expected two numbers, found {a} and {b}"))
            }
        }
    }

    fn within(&mut self, what: &IdedExpr, list: &IdedExpr) -> Checked<Test> {
        match (self.value(what)?, self.value(list)?) {
            (Value::Text(text), Value::List(List::Literals(all), _)) => {
                Ok(Test::OneOf(text, all.into_iter().collect()))
            }
            (Value::Text(text), Value::List(list, Kind::Text)) => Ok(Test::Among(text, list)),
            (Value::Number(number), Value::Numbers(all)) => Ok(Test::Number(number, all)),
            (a, b) => {
                let message = format!(
                    "expected a text in a list of texts, found {} in {}",
                    a.kind(),
                    b.kind()
                );
                self.wrong(list, message)
            }
        }
    }

    fn size(&mut self, of: &IdedExpr) -> Checked<Value> {
        match self.value(of)? {
            Value::Text(text) => Ok(Value::Number(Number::Characters(Box::new(text)))),
            Value::List(list, _) => Ok(Value::Number(Number::Length(list))),
            other => self.wrong(of, format!("expected a text or a list, found {}", other.kind())),
        }
    }

    fn matches(&mut self, text: &IdedExpr, pattern: &IdedExpr) -> Checked<Test> {
        let text = self.text(text)?;
        let Expr::Literal(LiteralValue::String(literal)) = &pattern.expr else {
            return self.wrong(pattern, "expected a regular expression as it is, in quotes");
        };
        match RegexBuilder::new(literal.inner()).size_limit(REGEX_SIZE).build() {
            Ok(regex) => Ok(Test::Matches(text, Box::new(regex))),
            Err(error) => {
                let message = error.to_string();
                let last = message.lines().last().unwrap_or_default().trim_start_matches("error: ");
                self.wrong(pattern, format!("not a regular expression: {last}"))
            }
        }
    }
}

/// That a fact is not known, and which could have been meant.
fn unknown(name: &str) -> String {
    let near = FIELDS
        .iter()
        .map(|(known, ..)| *known)
        .filter(|known| known.rsplit('.').next() == name.rsplit('.').next())
        .chain(
            FIELDS
                .iter()
                .map(|(known, ..)| *known)
                .filter(|known| known.split('.').next() == name.split('.').next()),
        )
        .take(6)
        .collect::<Vec<_>>();
    let list = "`picket recipe fields` lists all";
    match near.as_slice() {
        [] => format!("unknown fact {name}: {list}"),
        near => format!("unknown fact {name}: expected one like {}; {list}", near.join(", ")),
    }
}

fn no_function(name: &str) -> String {
    let name = match name {
        op::ADD | op::SUBSTRACT | op::MULTIPLY | op::DIVIDE | op::MODULO => {
            return "arithmetic is not known here".to_owned();
        }
        op::INDEX | op::OPT_INDEX => {
            return "indices are not known here: use exists(x, …) or in".to_owned();
        }
        name => name,
    };
    format!(
        "unknown function {name}: expected one of size, startsWith, endsWith, contains, matches, \
         lowerAscii, has, exists, all"
    )
}
