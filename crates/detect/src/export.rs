//! Recipes, said as Sigma rules, as far as Sigma can say them: it has no servers, no ancestors beyond
//! the parent, no lists of arguments and no limits.
//!
//! Sigma compares without regard to case unless told otherwise, picket with it: hence `cased`.

use std::collections::BTreeMap;

use event::Severity;
use sha2::{Digest, Sha256};

use crate::import::{quoted, scalar};
use crate::parse::ParseError;
use crate::recipe::{EventKind, Recipe};
use crate::when::tree::{Number, Order, Place, Test, Text};

/// A condition, as Sigma has it.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Condition {
    /// A field with its modifiers, and values of which any must fit.
    Leaf(String, Vec<String>),
    All(Vec<Condition>),
    Any(Vec<Condition>),
    Not(Box<Condition>),
}

/// The rule, or everything in the recipe that Sigma cannot say.
pub fn sigma(recipe: &Recipe) -> Result<String, Vec<ParseError>> {
    let file = &recipe.file;
    let whole = |message: String| ParseError::at(&recipe.path, &file.name.referenced, message);
    let mut errors = Vec::new();
    if file.event != EventKind::Exec {
        errors.push(whole("event: Sigma's process_creation is about executions".to_owned()));
    }
    let m = &file.r#match;
    for (key, given) in [
        ("server", !m.server.is_empty()),
        ("purpose", !m.purpose.is_empty()),
        ("below", !m.below.is_empty()),
        ("launcher", !m.launcher.is_empty()),
        ("environment", !m.environment.is_empty()),
    ] {
        if given {
            errors.push(whole(format!("match.{key}: Sigma has no such fact of an execution")));
        }
    }
    let mut all: Vec<Condition> =
        [paths(&m.program, true), paths(&m.path, false)].into_iter().flatten().collect();
    if let (Some(when), Some(source)) = (&recipe.when, &file.when) {
        match condition(when.tree()) {
            Ok(condition) => all.push(condition),
            Err(what) => {
                let message = format!("when: Sigma cannot say {what}");
                errors.push(ParseError::at(&recipe.path, &source.referenced, message));
            }
        }
    }
    if errors.is_empty() { Ok(rule(recipe, joined(all, true))) } else { Err(errors) }
}

/// Globs of names or of paths.
fn paths(globs: &[String], names: bool) -> Option<Condition> {
    let begin = if names { "/" } else { "" };
    let leaves = globs.iter().map(|glob| match glob.strip_suffix("/**") {
        _ if !glob.contains('*') => {
            let modifier = if names { "endswith|" } else { "" };
            leaf(format!("Image|{modifier}cased"), &format!("{begin}{glob}"))
        }
        Some(dir) if !names && !dir.contains('*') => {
            leaf("Image|startswith|cased".to_owned(), &format!("{dir}/"))
        }
        _ => {
            let parts: Vec<String> =
                glob.split("**").map(|part| quoted(part).replace(r"\*", "[^/]*")).collect();
            let begin = if names { "/" } else { "^" };
            let pattern =
                format!("{begin}{}$", parts.join("(?s:.*)").replace("(?s:.*)/", "(?s:.*/)?"));
            Condition::Leaf("Image|re".to_owned(), vec![scalar(&pattern)])
        }
    });
    let leaves: Vec<Condition> = leaves.collect();
    (!leaves.is_empty()).then(|| joined(leaves, false))
}

fn leaf(key: String, text: &str) -> Condition {
    let mut value = String::with_capacity(text.len());
    for c in text.chars() {
        if matches!(c, '*' | '?' | '\\') {
            value.push('\\');
        }
        value.push(c);
    }
    Condition::Leaf(key, vec![scalar(&value)])
}

/// The field of a fact.
fn field(name: &str) -> Option<&'static str> {
    Some(match name {
        "process.exe.path" => "Image",
        "process.command_line" => "CommandLine",
        "process.user" => "User",
        "process.cwd" => "CurrentDirectory",
        "process.uid" => "LogonId",
        "process.pid" => "ProcessId",
        "process.ppid" => "ParentProcessId",
        "parent.exe" => "ParentImage",
        "parent.command_line" => "ParentCommandLine",
        _ => return None,
    })
}

fn condition(test: &Test) -> Result<Condition, String> {
    let each = |parts: &[Test]| parts.iter().map(condition).collect::<Result<Vec<_>, _>>();
    match test {
        Test::And(parts) => Ok(joined(each(parts)?, true)),
        Test::Or(parts) => Ok(joined(each(parts)?, false)),
        Test::Not(inner) => Ok(Condition::Not(Box::new(condition(inner)?))),
        Test::Same(a, b) => compared("", "==", a, b).or_else(|why| match a {
            Text::Literal(_) => compared("", "==", b, a),
            _ => Err(why),
        }),
        Test::Starts(a, b) => compared("|startswith", "startsWith", a, b),
        Test::Ends(a, b) => compared("|endswith", "endsWith", a, b),
        Test::Contains(a, b) => compared("|contains", "contains", a, b),
        Test::OneOf(a, values) => {
            let each = values.iter().map(|v| compared("", "in", a, &Text::Literal(v.clone())));
            Ok(joined(each.collect::<Result<Vec<_>, _>>()?, false))
        }
        Test::Compare(order, Number::Fact(Place::Event((name, ..))), Number::Literal(number)) => {
            let modifier = match order {
                Order::Equal => "",
                Order::Less => "|lt",
                Order::LessOrEqual => "|lte",
            };
            Ok(Condition::Leaf(format!("{}{modifier}", known(name)?), vec![number.to_string()]))
        }
        Test::Compare(order, Number::Literal(number), Number::Fact(Place::Event((name, ..)))) => {
            let modifier = match order {
                Order::Equal => "",
                Order::Less => "|gt",
                Order::LessOrEqual => "|gte",
            };
            Ok(Condition::Leaf(format!("{}{modifier}", known(name)?), vec![number.to_string()]))
        }
        Test::Number(Number::Fact(Place::Event((name, ..))), numbers) => {
            let numbers = numbers.iter().map(i64::to_string).collect();
            Ok(Condition::Leaf(known(name)?.to_owned(), numbers))
        }
        Test::Has(Place::Event(("parent.pid", ..))) => {
            Ok(Condition::Leaf("ParentCommandLine|exists".to_owned(), vec!["true".to_owned()]))
        }
        Test::Has(Place::Event((name, ..))) => {
            Ok(Condition::Leaf(format!("{}|exists", known(name)?), vec!["true".to_owned()]))
        }
        Test::Flag(Place::Event((name, ..))) => Err(format!("the fact {name}")),
        Test::Is(_) => Err("true and false".to_owned()),
        Test::If(_) => Err("?:".to_owned()),
        Test::Among(..) => Err("in of a list that is a fact".to_owned()),
        Test::Matches(..) => Err("matches: regular expressions are not the same there".to_owned()),
        Test::Any(..) => Err("exists".to_owned()),
        Test::Every(..) => Err("all".to_owned()),
        Test::Compare(..) | Test::Number(..) => Err("size".to_owned()),
        Test::Has(_) | Test::Flag(_) => Err("facts of an element of a list".to_owned()),
    }
}

fn known(name: &str) -> Result<&'static str, String> {
    field(name).ok_or_else(|| format!("the fact {name}"))
}

/// A fact compared with a text.
fn compared(modifier: &str, operator: &str, fact: &Text, text: &Text) -> Result<Condition, String> {
    let Text::Literal(text) = text else {
        return Err(format!("{operator} of two facts"));
    };
    if text.is_empty() {
        return Err(format!("{operator} of an empty text"));
    }
    let (fact, lower) = match fact {
        Text::Lower(inner) => (&**inner, true),
        fact => (fact, false),
    };
    let Text::Fact(Place::Event((name, ..))) = fact else {
        return Err(format!("{operator} of what is no fact of the event"));
    };
    if lower && text.bytes().any(|b| b.is_ascii_uppercase()) {
        return Err(format!("{text:?} in lower case, which it never is"));
    }
    let cased = if lower || !text.chars().any(char::is_alphabetic) { "" } else { "|cased" };
    // A name is the end of a path.
    let path = match *name {
        "process.name" => Some("Image"),
        "parent.name" => Some("ParentImage"),
        _ => None,
    };
    match (path, modifier) {
        (Some(path), "") => Ok(leaf(format!("{path}|endswith{cased}"), &format!("/{text}"))),
        (Some(path), "|endswith") => Ok(leaf(format!("{path}|endswith{cased}"), text)),
        _ => Ok(leaf(format!("{}{modifier}{cased}", known(name)?), text)),
    }
}

/// All of them or any; what is of one field is put together.
fn joined(parts: Vec<Condition>, all: bool) -> Condition {
    let mut out: Vec<Condition> = Vec::new();
    for part in parts {
        let more = match part {
            Condition::All(inner) if all => inner,
            Condition::Any(inner) if !all => inner,
            other => vec![other],
        };
        for part in more {
            let same = |one: &&mut Condition| match (&**one, &part) {
                (Condition::Leaf(a, _), Condition::Leaf(b, _)) => !all && a == b,
                _ => false,
            };
            match (out.iter_mut().find(same), part) {
                (Some(Condition::Leaf(_, values)), Condition::Leaf(_, new)) => values.extend(new),
                (_, part) => out.push(part),
            }
        }
    }
    match out.len() {
        1 => out.swap_remove(0),
        _ if all => Condition::All(out),
        _ => Condition::Any(out),
    }
}

/// Searches by name, as a rule has them.
#[derive(Default)]
struct Searches(Vec<BTreeMap<String, Vec<String>>>);

impl Searches {
    fn add(&mut self, search: BTreeMap<String, Vec<String>>) -> String {
        self.0.push(search);
        format!("selection_{}", self.0.len())
    }

    /// The text of a condition, its searches taken out of it.
    fn text(&mut self, condition: &Condition, in_brackets: bool) -> String {
        let (text, several) = match condition {
            Condition::Leaf(key, values) => {
                (self.add(BTreeMap::from([(key.clone(), values.clone())])), false)
            }
            Condition::Not(inner) => (format!("not {}", self.text(inner, true)), false),
            Condition::Any(parts) => {
                let parts: Vec<String> = parts.iter().map(|part| self.text(part, true)).collect();
                (parts.join(" or "), true)
            }
            Condition::All(parts) => {
                // Fields that must all fit make one search, as long as each occurs once.
                let mut search = BTreeMap::new();
                let mut others = Vec::new();
                for part in parts {
                    match part {
                        Condition::Leaf(key, values) if !search.contains_key(key) => {
                            search.insert(key.clone(), values.clone());
                        }
                        other => others.push(other),
                    }
                }
                let first = (!search.is_empty()).then(|| self.add(search));
                let others = others.into_iter().map(|part| self.text(part, true));
                let parts: Vec<String> =
                    first.into_iter().chain(others.collect::<Vec<_>>()).collect();
                let several = parts.len() > 1;
                (parts.join(" and "), several)
            }
        };
        if in_brackets && several { format!("({text})") } else { text }
    }
}

fn rule(recipe: &Recipe, condition: Condition) -> String {
    let file = &recipe.file;
    let mut searches = Searches::default();
    let condition = searches.text(&condition, false);
    let mut out = "# Made by `picket recipe export`.\n".to_owned();
    if !file.r#match.program.is_empty() || !file.r#match.path.is_empty() {
        out.push_str(
            "# Image is the file that runs; the recipe also knows the script that an interpreter \
             runs, and\n# the name that was asked for.\n",
        );
    }
    if !file.limits.is_empty() {
        out.push_str("# The recipe's limits are left out.\n");
    }
    let level = match file.importance {
        Severity::Info => "informational".to_owned(),
        other => other.to_string(),
    };
    out.push_str(&format!(
        "title: {}\nid: {}\nstatus: experimental\ndescription: {}\n",
        scalar(&file.description),
        id(recipe.name()),
        scalar(&format!("The recipe {} of picket, version {}", recipe.name(), file.version)),
    ));
    let techniques = &recipe.attack.techniques;
    if !techniques.is_empty() {
        out.push_str("tags:\n");
    }
    let mut tags: Vec<String> = Vec::new();
    for technique in techniques {
        let tactics = technique.tactics.iter().filter_map(|id| crate::attack::tactic(id));
        tags.extend(tactics.map(|name| name.to_ascii_lowercase().replace(' ', "-")));
        tags.push(technique.id.to_ascii_lowercase());
    }
    tags.dedup();
    for tag in tags {
        out.push_str(&format!("  - attack.{tag}\n"));
    }
    out.push_str("logsource:\n  product: linux\n  category: process_creation\ndetection:\n");
    for (number, search) in (1..).zip(&searches.0) {
        out.push_str(&format!("  selection_{number}:\n"));
        for (key, values) in search {
            match values.as_slice() {
                [value] => out.push_str(&format!("    {key}: {value}\n")),
                values => {
                    out.push_str(&format!("    {key}:\n"));
                    for value in values {
                        out.push_str(&format!("      - {value}\n"));
                    }
                }
            }
        }
    }
    out.push_str(&format!("  condition: {condition}\nlevel: {level}\n"));
    out
}

/// An id that stays the same for a recipe's name.
fn id(name: &str) -> uuid::Uuid {
    let digest = Sha256::digest(format!("picket recipe {name}"));
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest[..16]);
    uuid::Builder::from_custom_bytes(bytes).into_uuid()
}

#[cfg(test)]
mod tests {
    use super::*;

    const RECIPE: &str = "\
name: x
version: '2'
description: A tool
category: c
method: m
importance: info
attack: [T1059.004, T1105]
event: exec
match: {KEYS}
when: WHEN
limits: [{per: parent, most: 2, within: 1d}]
guidance:
  ci: &g {implication: i, actions: []}
  staging: *g
  production: *g
";

    fn exported(keys: &str, when: &str) -> Result<String, Vec<ParseError>> {
        let when = serde_json::to_string(when).unwrap_or_default();
        let text = RECIPE.replace("KEYS", keys).replace("WHEN", &when);
        sigma(&Recipe::parse("x.yaml", &text)?)
    }

    /// The detection of a rule.
    fn detection(keys: &str, when: &str) -> String {
        let rule = exported(keys, when);
        let rule = rule.as_deref().unwrap_or("refused");
        let detection = rule.split("detection:\n").nth(1).unwrap_or(rule);
        detection.split("level:").next().unwrap_or_default().to_owned()
    }

    #[test]
    fn a_recipe_becomes_a_rule() {
        let when = "process.command_line.contains(\"-e\") && (process.user != \"root\" || \
                    parent.name in [\"sh\", \"bash\"]) && process.uid >= 1000";
        let rule = exported("program: [nc, 'ncat*'], path: ['/usr/**']", when);
        let expected = "\
# Made by `picket recipe export`.
# Image is the file that runs; the recipe also knows the script that an interpreter runs, and
# the name that was asked for.
# The recipe's limits are left out.
title: A tool
id: 2ef2cbb5-3d09-8bb1-90f5-6bfa5d0fb1a2
status: experimental
description: \"The recipe x of picket, version 2\"
tags:
  - attack.execution
  - attack.t1059.004
  - attack.command-and-control
  - attack.t1105
logsource:
  product: linux
  category: process_creation
detection:
  selection_1:
    CommandLine|contains|cased: \"-e\"
    Image|startswith|cased: /usr/
    LogonId|gte: 1000
  selection_2:
    Image|endswith|cased: /nc
  selection_3:
    Image|re: \"/ncat[^/]*$\"
  selection_4:
    User|cased: root
  selection_5:
    ParentImage|endswith|cased:
      - /bash
      - /sh
  condition: selection_1 and (selection_2 or selection_3) and (not selection_4 or selection_5)
level: informational
";
        let known = |text: &str| -> Vec<String> {
            text.lines().filter(|line| !line.starts_with("id: ")).map(str::to_owned).collect()
        };
        assert_eq!(known(rule.as_deref().unwrap_or("refused")), known(expected));
    }

    #[test]
    fn case_is_said_where_it_counts() {
        let lower =
            detection("", "process.cwd.lowerAscii().startsWith(\"/a\") || process.cwd == \"/\"");
        assert!(lower.contains("CurrentDirectory|startswith: /a\n"), "{lower}");
        assert!(lower.contains("CurrentDirectory: /\n"), "{lower}");
        let stars = detection("", r#"process.command_line.endsWith("a*?\\")"#);
        assert!(stars.contains(r#"CommandLine|endswith|cased: "a\\*\\?\\\\""#), "{stars}");
    }

    #[test]
    fn what_sigma_cannot_say_is_named() {
        for (keys, when, word) in [
            ("server: ['*']", "process.tty", "match.server"),
            ("launcher: [shell]", "process.tty", "match.launcher"),
            ("", "process.tty", "process.tty"),
            ("", "process.args.exists(a, a == \"x\")", "exists"),
            ("", "process.command_line.matches(\"a\")", "matches"),
            ("", "process.name == parent.name", "two facts"),
            ("", "process.user == \"\"", "empty"),
            ("", "process.user.lowerAscii() == \"A\"", "lower case"),
            ("", "size(process.args) > 3", "size"),
            ("", "\"x\" in process.args", "in of a list"),
        ] {
            let errors = exported(keys, when).err().unwrap_or_default();
            let is = |e: &ParseError| e.message.contains(word);
            assert!(errors.iter().any(is), "{when}: expected {word:?} in {errors:?}");
        }
    }
}
