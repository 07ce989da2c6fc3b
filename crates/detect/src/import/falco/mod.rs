//! Falco rules: of those for executions, recipes. Lists and macros are put in where they are named.
//!
//! A condition is about executions if it can hold for no other event. Falco's `proc.name` is the
//! kernel's short name of a process, at most 15 bytes, which anyone can change; so it is here.

mod check;
mod filter;

use std::collections::HashMap;

use event::Severity;

use super::cel::Expr;
use super::draft::{Draft, Tags};
use super::node::{Node, Value};
use crate::parse::ParseError;
use filter::{Check, Filter, Word};

/// What one file's path goes with.
type Drafted<'f> = (&'f str, Result<Draft, Vec<ParseError>>);

const RULE_KEYS: &[&str] = &[
    "rule",
    "desc",
    "condition",
    "output",
    "priority",
    "source",
    "enabled",
    "tags",
    "warn_evttypes",
    "skip-if-unknown-filter",
    "append",
    "override",
];

/// Macros in each other, at most.
const DEEPEST: usize = 32;
/// Parts of a condition with its macros put in, at most.
const MOST: usize = 5000;

/// A condition's text, and where it stands.
#[derive(Clone)]
struct Source<'f> {
    path: &'f str,
    node: &'f Node,
    text: String,
}

struct Rule<'f> {
    title: String,
    path: &'f str,
    node: &'f Node,
    condition: Option<Source<'f>>,
}

/// All definitions, later ones in place of earlier ones.
#[derive(Default)]
struct Definitions<'f> {
    lists: HashMap<String, Vec<Word>>,
    macros: HashMap<String, Source<'f>>,
    rules: Vec<Rule<'f>>,
}

/// The recipes of all rules in some files.
pub(super) fn drafts<'f>(files: &'f [(&'f str, Node)]) -> Vec<Drafted<'f>> {
    let mut all = Definitions::default();
    let mut drafted: Vec<Drafted<'f>> = Vec::new();
    for (path, document) in files {
        let path: &'f str = path;
        for item in document.each() {
            if let Err(error) = all.take(path, item) {
                drafted.push((path, Err(vec![error])));
            }
        }
    }
    drafted.extend(all.rules.iter().map(|rule| (rule.path, all.draft(rule))));
    drafted
}

/// How a later definition stands to an earlier one.
fn appends(path: &str, item: &Node, key: &str) -> Result<bool, ParseError> {
    let replaced = item.get("override").and_then(|o| o.get(key));
    match replaced.map(Node::text) {
        Some(Some("append")) => return Ok(true),
        Some(Some("replace")) => return Ok(false),
        Some(_) => return Err(item.wrong(path, "override: expected append or replace")),
        None => {}
    }
    Ok(item.get("append").is_some_and(|node| node.value == Value::Bool(true)))
}

impl<'f> Definitions<'f> {
    /// Takes one item of a file.
    fn take(&mut self, path: &'f str, item: &'f Node) -> Result<(), ParseError> {
        if let Some(name) = item.plain_of("list") {
            let items = item.get("items").map(Node::each).unwrap_or_default();
            let items = items.iter().filter_map(Node::plain).map(|text| filter::item(&text));
            let known = self.lists.entry(name).or_default();
            if !appends(path, item, "items")? {
                known.clear();
            }
            known.extend(items);
        } else if let Some(name) = item.plain_of("macro") {
            let Some(node) = item.get("condition") else {
                return Err(item.wrong(path, format!("macro {name:?}: expected a condition")));
            };
            let text = node.plain().unwrap_or_default();
            let append = appends(path, item, "condition")?;
            match self.macros.get_mut(&name).filter(|_| append) {
                Some(known) => known.text = format!("{} {text}", known.text),
                None => {
                    self.macros.insert(name, Source { path, node, text });
                }
            }
        } else if let Some(title) = item.plain_of("rule") {
            self.rule(path, item, title)?;
        } else if item.get("required_engine_version").is_none()
            && item.get("required_plugin_versions").is_none()
        {
            return Err(item.wrong(path, "expected a rule, a macro or a list"));
        }
        Ok(())
    }

    fn rule(&mut self, path: &'f str, item: &'f Node, title: String) -> Result<(), ParseError> {
        let condition = item.get("condition").map(|node| {
            let text = node.plain().unwrap_or_default();
            Source { path, node, text }
        });
        let known = self.rules.iter().position(|rule| rule.title == title);
        let changes = item.get("override").is_some() || item.get("append").is_some();
        let Some(at) = known.filter(|_| changes) else {
            let rule = Rule { title, path, node: item, condition };
            match known {
                Some(at) => self.rules[at] = rule,
                None => self.rules.push(rule),
            }
            return Ok(());
        };
        if let Value::Map(entries) = &item.value {
            let known = ["rule", "condition", "append", "override"];
            for (key, _) in entries {
                let name = key.plain().unwrap_or_default();
                if !known.contains(&name.as_str()) {
                    let message = format!("rule {title:?}: changing {name:?} later is not known");
                    return Err(key.wrong(path, message));
                }
            }
        }
        let append = appends(path, item, "condition")?;
        let rule = &mut self.rules[at];
        match (&mut rule.condition, condition) {
            (Some(known), Some(new)) if append => {
                known.text = format!("{} {}", known.text, new.text)
            }
            (known, Some(new)) => *known = Some(new),
            (_, None) => {}
        }
        Ok(())
    }

    fn draft(&self, rule: &Rule<'f>) -> Result<Draft, Vec<ParseError>> {
        let (path, node) = (rule.path, rule.node);
        let mut errors = Vec::new();
        if let Value::Map(entries) = &node.value {
            for (key, value) in entries {
                let name = key.plain().unwrap_or_default();
                match name.as_str() {
                    "exceptions" => {
                        let with = |e: &Node| e.get("values").is_some_and(|v| !v.each().is_empty());
                        if value.each().iter().any(with) {
                            let message = "exceptions with values: put them into the condition";
                            errors.push(key.wrong(path, message));
                        }
                    }
                    name if !RULE_KEYS.contains(&name) => {
                        errors.push(key.wrong(path, format!("the key {name:?} is not known")));
                    }
                    _ => {}
                }
            }
        }
        if let Some(source) = node.get("source").filter(|s| s.text() != Some("syscall")) {
            errors.push(source.wrong(path, "source: picket sees executions: expected syscall"));
        }
        let mut draft = Draft::new(&rule.title, "Falco");
        draft.at = node.at;
        draft.more = node.plain_of("desc");
        match priority(path, node) {
            Ok(priority) => draft.importance = priority,
            Err(error) => errors.push(error),
        }
        match self.when(rule) {
            Ok(when) => draft.when = Some(when),
            Err(error) => errors.push(error),
        }
        if !errors.is_empty() {
            return Err(errors);
        }
        let mut tags = Tags::default();
        for tag in node.get("tags").map(Node::each).unwrap_or_default() {
            let tag = tag.plain().unwrap_or_default();
            tags.add(tag.strip_prefix("mitre_").unwrap_or(&tag));
        }
        draft.tags = tags;
        if node.get("enabled").is_some_and(|n| n.value == Value::Bool(false)) {
            draft.notes.push("In its file it is not enabled.".to_owned());
        }
        draft.notes.push(
            "Its output's text is left out. Executions that failed are not seen here.".to_owned(),
        );
        Ok(draft)
    }

    fn when(&self, rule: &Rule<'f>) -> Result<Expr, ParseError> {
        let Some(source) = &rule.condition else {
            return Err(rule
                .node
                .wrong(rule.path, format!("rule {:?} has no condition", rule.title)));
        };
        let wrong = |message: String| source.node.wrong(source.path, message);
        let mut inside = Inside { all: self, macros: Vec::new(), parts: 0 };
        let meant = filter::parse(&source.text)
            .and_then(|filter| inside.meant(&filter))
            .map_err(|message| wrong(format!("condition: {message}")))?;
        if meant.elsewhere.can_hold {
            return Err(wrong(
                "condition: it can hold for what is no execution: expected spawned_process, or \
                 evt.type in (execve, execveat)"
                    .to_owned(),
            ));
        }
        match meant.here {
            Expr::Is(is) => {
                let word = if is { "every execution" } else { "no execution" };
                Err(wrong(format!("condition: it fits {word}")))
            }
            when => Ok(when),
        }
    }
}

fn priority(path: &str, rule: &Node) -> Result<Severity, ParseError> {
    let node = rule.get("priority").unwrap_or(rule);
    Ok(match node.text().map(str::to_ascii_uppercase).as_deref() {
        Some("EMERGENCY" | "ALERT" | "CRITICAL") => Severity::Critical,
        Some("ERROR") => Severity::High,
        Some("WARNING") => Severity::Medium,
        Some("NOTICE") => Severity::Low,
        Some("INFORMATIONAL" | "INFO" | "DEBUG") => Severity::Info,
        _ => {
            let message = "priority: expected EMERGENCY, ALERT, CRITICAL, ERROR, WARNING, NOTICE, \
                           INFORMATIONAL or DEBUG";
            return Err(node.wrong(path, message));
        }
    })
}

/// What a condition means.
struct Meant {
    /// For executions.
    here: Expr,
    /// For all other events.
    elsewhere: Elsewhere,
}

/// Of events that are no executions, what can be told: whether a condition can hold, and can fail.
#[derive(Clone, Copy)]
struct Elsewhere {
    can_hold: bool,
    can_fail: bool,
}

/// A condition that is being read, and the macros that it is in.
struct Inside<'d, 'f> {
    all: &'d Definitions<'f>,
    macros: Vec<String>,
    parts: usize,
}

impl Inside<'_, '_> {
    fn meant(&mut self, filter: &Filter) -> Result<Meant, String> {
        self.parts += 1;
        if self.parts > MOST {
            return Err(format!("with its macros it has more than {MOST} parts"));
        }
        match filter {
            Filter::Check(check) => self.check(check),
            Filter::Macro(name) => self.named(name),
            Filter::Not(inner) => {
                let Meant { here, elsewhere: Elsewhere { can_hold, can_fail } } =
                    self.meant(inner)?;
                let elsewhere = Elsewhere { can_hold: can_fail, can_fail: can_hold };
                Ok(Meant { here: here.negated(), elsewhere })
            }
            Filter::And(parts) | Filter::Or(parts) => {
                let all = matches!(filter, Filter::And(_));
                let meant: Vec<Meant> =
                    parts.iter().map(|part| self.meant(part)).collect::<Result<_, _>>()?;
                let every = |of: fn(&Elsewhere) -> bool| meant.iter().all(|m| of(&m.elsewhere));
                let any = |of: fn(&Elsewhere) -> bool| meant.iter().any(|m| of(&m.elsewhere));
                let elsewhere = match all {
                    true => {
                        Elsewhere { can_hold: every(|e| e.can_hold), can_fail: any(|e| e.can_fail) }
                    }
                    false => {
                        Elsewhere { can_hold: any(|e| e.can_hold), can_fail: every(|e| e.can_fail) }
                    }
                };
                let here = meant.into_iter().map(|m| m.here);
                let here = if all { Expr::and(here) } else { Expr::or(here) };
                Ok(Meant { here, elsewhere })
            }
        }
    }

    fn named(&mut self, name: &str) -> Result<Meant, String> {
        let Some(source) = self.all.macros.get(name) else {
            return Err(format!("no macro is called {name:?}: import its file, too"));
        };
        if self.macros.len() >= DEEPEST || self.macros.iter().any(|within| within == name) {
            return Err(format!("the macro {name:?} is within itself, or too deep"));
        }
        self.macros.push(name.to_owned());
        let meant = filter::parse(&source.text).and_then(|filter| self.meant(&filter));
        self.macros.pop();
        meant.map_err(|message| {
            let line = source.node.at.line();
            format!("in the macro {name:?} ({}:{line}): {message}", source.path)
        })
    }

    fn check(&mut self, check: &Check) -> Result<Meant, String> {
        let mut values = Vec::new();
        for value in &check.values {
            match check.operator.as_str() {
                "in" | "intersects" | "pmatch" => self.value(value, &mut values, 0)?,
                _ => values.push(value.clone()),
            }
        }
        let here = check::condition(check, &values)?;
        let of_execution = |v: &Word| matches!(v.text.as_str(), "execve" | "execveat");
        let elsewhere = match (check.field.as_str(), &here) {
            ("evt.type", _) if values.iter().all(of_execution) => {
                Elsewhere { can_hold: false, can_fail: true }
            }
            ("evt.num", Expr::Is(is)) => Elsewhere { can_hold: *is, can_fail: !*is },
            _ => Elsewhere { can_hold: true, can_fail: true },
        };
        Ok(Meant { here, elsewhere })
    }

    /// A value, or all of a list.
    fn value(&mut self, value: &Word, into: &mut Vec<Word>, depth: usize) -> Result<(), String> {
        self.parts += 1;
        let list = self.all.lists.get(&value.text).filter(|_| !value.quoted);
        match list {
            _ if self.parts > MOST || depth > DEEPEST => {
                Err(format!("the list {:?} is too large, or within itself", value.text))
            }
            Some(items) => items.iter().try_for_each(|item| self.value(item, into, depth + 1)),
            None => {
                into.push(value.clone());
                Ok(())
            }
        }
    }
}
