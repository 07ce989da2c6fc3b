//! Falco's checks, said as conditions over an execution's facts.

use super::filter::{Check, Word};
use crate::import::cel::{self, Expr};
use crate::import::pattern::quoted;
use crate::import::regex::{self, Dialect};

/// Longer, the kernel's short name of a process never is.
const COMM: usize = 15;

/// Where picket has a field.
enum Fact {
    Text {
        fact: &'static str,
        known: Option<&'static str>,
    },
    Number(&'static str),
    /// What is one of several, of any ancestor.
    Ancestor(&'static str),
    Line(&'static Line),
}

/// Falco's command line: the kernel's short name, and the arguments but the first.
struct Line {
    name: &'static str,
    rest: &'static str,
    /// That there is a rest.
    more: &'static str,
    known: Option<&'static str>,
}

const OWN: Line = Line {
    name: "process.comm",
    rest: "process.parameters",
    more: "size(process.args) > 1",
    known: None,
};
const PARENTS: Line = Line {
    name: "parent.comm",
    rest: "parent.parameters",
    more: "size(parent.args) > 1",
    known: Some("has(parent.pid)"),
};

/// The condition of a check on an execution.
pub(super) fn condition(check: &Check, values: &[Word]) -> Result<Expr, String> {
    let texts: Vec<&str> = values.iter().map(|v| v.text.as_str()).collect();
    if let Some(decided) = decided(check, &texts) {
        return decided;
    }
    let fact = match (check.field.as_str(), check.argument.as_deref()) {
        ("proc.name", None) | ("proc.aname", Some("0")) => {
            Fact::Text { fact: "process.comm", known: None }
        }
        ("proc.pname", None) | ("proc.aname", Some("1")) => {
            Fact::Text { fact: "parent.comm", known: Some("has(parent.pid)") }
        }
        ("proc.aname", None) => Fact::Ancestor("comm"),
        ("proc.exepath", None) => Fact::Text { fact: "process.exe.path", known: None },
        ("proc.pexepath", None) => {
            Fact::Text { fact: "parent.exe", known: Some("has(parent.exe)") }
        }
        ("proc.aexepath", None) => Fact::Ancestor("exe"),
        ("proc.args", None) => Fact::Text { fact: "process.parameters", known: None },
        ("proc.cmdline", None) => Fact::Line(&OWN),
        ("proc.pcmdline", None) => Fact::Line(&PARENTS),
        ("user.name", None) => {
            Fact::Text { fact: "process.user", known: Some("has(process.user)") }
        }
        ("user.uid", None) => Fact::Number("process.uid"),
        ("proc.pid", None) => Fact::Number("process.pid"),
        ("proc.ppid", None) => Fact::Number("process.ppid"),
        ("proc.aname", Some(argument)) => {
            return Err(format!(
                "proc.aname[{argument}]: of the ancestors beyond the parent, picket tells whether \
                 any fits, not which: proc.aname"
            ));
        }
        (field, _) => return Err(format!("picket has no {field} of an execution")),
    };
    match fact {
        Fact::Text { fact, known } => {
            let one = |op: &str, texts: &[&str]| text(fact, op, texts);
            with_known(check, known, &texts, one)
        }
        Fact::Ancestor(part) => {
            let fact = format!("a.{part}");
            let inner = with_known(check, Some(&format!("has({fact})")), &texts, |op, texts| {
                text(&fact, op, texts)
            })?;
            let lines = inner.lines();
            let [line] = lines.as_slice() else {
                return Err(format!("{}: too long", check.field));
            };
            Ok(Expr::atom(format!("ancestors.exists(a, {line})")))
        }
        Fact::Number(fact) => number(check, fact, &texts),
        Fact::Line(line) => {
            with_known(check, line.known, &texts, |op, texts| line_check(line, op, texts))
        }
    }
}

/// What is the same for every execution, and fields with few values.
fn decided(check: &Check, texts: &[&str]) -> Option<Result<Expr, String>> {
    let operator = check.operator.as_str();
    let is = |is| Some(Ok(Expr::Is(is)));
    let flag = |fact: &str, holds: bool| {
        let fact = Expr::atom(fact);
        Some(Ok(if holds { fact } else { fact.negated() }))
    };
    let equal = matches!(operator, "=" | "==");
    match (check.field.as_str(), operator, texts) {
        ("evt.type", "=" | "==" | "in", types) if types.contains(&"execve") => is(true),
        ("evt.type", "=" | "==" | "in", types) if !types.contains(&"execveat") => is(false),
        ("evt.dir", "=" | "==", ["<"]) => is(true),
        ("evt.res", "=" | "==", ["SUCCESS"]) | ("evt.rawres", "=" | "==" | ">=", ["0"]) => is(true),
        // Events are counted from 1: this is how Falco writes never and always.
        ("evt.num", "=" | "==", ["0"]) => is(false),
        ("evt.num", ">=", ["0"]) => is(true),
        ("proc.tty", "=" | "==", ["0"]) => flag("process.tty", false),
        ("proc.tty", "!=" | ">", ["0"]) => flag("process.tty", true),
        ("proc.is_exe_from_memfd", "=" | "==" | "!=", ["true" | "false"]) => {
            flag("process.exe.memfd", equal == (texts[0] == "true"))
        }
        ("container.id", "=" | "==" | "!=", ["host"]) => flag("has(container.id)", !equal),
        (
            "evt.type"
            | "evt.dir"
            | "evt.res"
            | "evt.rawres"
            | "evt.num"
            | "proc.tty"
            | "proc.is_exe_from_memfd"
            | "container.id",
            ..,
        ) => Some(Err(format!(
            "{} {operator} {}: picket cannot tell this of an execution",
            check.field,
            texts.join(", ")
        ))),
        _ => None,
    }
}

/// A check whose field may be unknown: then nothing is true of it, nor is `!=`.
fn with_known(
    check: &Check,
    known: Option<&str>,
    texts: &[&str],
    one: impl Fn(&str, &[&str]) -> Result<Expr, String>,
) -> Result<Expr, String> {
    let there = || known.map_or(Expr::Is(true), Expr::atom);
    match check.operator.as_str() {
        "exists" => Ok(there()),
        "!=" => Ok(Expr::and([there(), one("=", texts)?.negated()])),
        "==" => Ok(one("=", texts)?),
        operator => {
            let fits = one(operator, texts)?;
            let empty = texts.contains(&"");
            Ok(if empty { Expr::and([there(), fits]) } else { fits })
        }
    }
}

fn text(fact: &str, operator: &str, texts: &[&str]) -> Result<Expr, String> {
    let each = |one: &dyn Fn(&str) -> Result<Expr, String>| -> Result<Expr, String> {
        Ok(Expr::or(texts.iter().map(|text| one(text)).collect::<Result<Vec<_>, _>>()?))
    };
    let method =
        |method: &str, text: &str| Ok(Expr::atom(format!("{fact}.{method}({})", cel::text(text))));
    let matches = |pattern: &str| Expr::atom(format!("{fact}.matches({})", cel::pattern(pattern)));
    match operator {
        "=" | "in" | "intersects" => Ok(match texts {
            [] => Expr::Is(false),
            [one] => Expr::atom(format!("{fact} == {}", cel::text(one))),
            many => Expr::atom(format!("{fact} in {}", cel::list(many))),
        }),
        "contains" => each(&|text| method("contains", text)),
        "icontains" => each(&|text| {
            let lower = cel::text(&text.to_ascii_lowercase());
            Ok(Expr::atom(format!("{fact}.lowerAscii().contains({lower})")))
        }),
        "startswith" => each(&|text| method("startsWith", text)),
        "endswith" => each(&|text| method("endsWith", text)),
        "glob" => each(&|text| glob(text).map(|pattern| matches(&pattern))),
        "iglob" => each(&|text| glob(text).map(|pattern| matches(&format!("(?i){pattern}")))),
        "regex" => each(&|text| {
            // All of the text must fit.
            regex::translate(&format!("^(?:{text})$"), Dialect::Re2)
                .map(|pattern| matches(&pattern))
                .map_err(|why| format!("picket cannot run this regular expression: {why}"))
        }),
        "pmatch" => each(&|path| {
            if path.contains(['*', '?', '[']) {
                return Err(format!("pmatch: {path:?} has wildcards"));
            }
            let path = path.trim_end_matches('/');
            let below = cel::text(&format!("{path}/"));
            let same = Expr::atom(format!("{fact} == {}", cel::text(path)));
            Ok(Expr::or([same, Expr::atom(format!("{fact}.startsWith({below})"))]))
        }),
        other => Err(format!("the operator {other:?} has no counterpart for texts")),
    }
}

/// The regular expression of a shell's pattern, in which `*` fits slashes, too.
fn glob(pattern: &str) -> Result<String, String> {
    if pattern.contains('(') {
        return Err(format!("glob: alternatives are not known: {pattern:?}"));
    }
    let mut out = "(?s)^".to_owned();
    let mut chars = pattern.chars();
    while let Some(c) = chars.next() {
        match c {
            '*' => out.push_str(".*"),
            '?' => out.push('.'),
            '[' => return Err(format!("glob: classes are not known: {pattern:?}")),
            '\\' => out.push_str(&quoted(&chars.next().map(String::from).unwrap_or_default())),
            c => out.push_str(&quoted(&c.to_string())),
        }
    }
    out.push('$');
    Ok(out)
}

fn number(check: &Check, fact: &str, texts: &[&str]) -> Result<Expr, String> {
    let numbers: Vec<i64> = texts
        .iter()
        .map(|text| text.parse().map_err(|_| format!("{}: {text:?} is no number", check.field)))
        .collect::<Result<_, _>>()?;
    let operator = match check.operator.as_str() {
        "exists" => return Ok(Expr::Is(true)),
        "in" | "intersects" => {
            return Ok(match numbers.as_slice() {
                [] => Expr::Is(false),
                _ => Expr::atom(format!("{fact} in [{}]", texts.join(", "))),
            });
        }
        "=" | "==" => "==",
        sign @ ("!=" | "<" | "<=" | ">" | ">=") => sign,
        other => return Err(format!("the operator {other:?} has no counterpart for numbers")),
    };
    let [number] = numbers.as_slice() else { return Err(format!("{fact}: expected one number")) };
    Ok(Expr::atom(format!("{fact} {operator} {number}")))
}

/// A check of a command line, which here is two facts with a blank between: a text that has blanks
/// may have any of them there.
fn line_check(line: &Line, operator: &str, texts: &[&str]) -> Result<Expr, String> {
    let fold = operator == "icontains";
    let Line { name, rest, more, .. } = line;
    let (name, rest) = match fold {
        true => (format!("{name}.lowerAscii()"), format!("{rest}.lowerAscii()")),
        false => ((*name).to_owned(), (*rest).to_owned()),
    };
    let more = || Expr::atom(*more);
    let method = |fact: &str, method: &str, text: &str| match text {
        "" => Expr::Is(true),
        text => Expr::atom(format!("{fact}.{method}({})", cel::text(text))),
    };
    let same = |fact: &str, text: &str| Expr::atom(format!("{fact} == {}", cel::text(text)));
    // Of the name, only what fits into one.
    let of_name = |text: &str, e: Expr| if text.len() > COMM { Expr::Is(false) } else { e };
    let one = |text: &str| -> Result<Expr, String> {
        let splits = text.match_indices(' ').map(|(at, _)| (&text[..at], &text[at + 1..]));
        // What fits without regard to the blank; whether the text begins where the name does, and
        // whether it may end before the arguments do.
        let (whole, begins, open) = match operator {
            "contains" | "icontains" => {
                let in_name = of_name(text, method(&name, "contains", text));
                (vec![in_name, method(&rest, "contains", text)], false, true)
            }
            "startswith" => (vec![of_name(text, method(&name, "startsWith", text))], true, true),
            "endswith" => {
                let in_name = of_name(text, method(&name, "endsWith", text));
                let alone = Expr::and([more().negated(), in_name]);
                (vec![method(&rest, "endsWith", text), alone], false, false)
            }
            "=" | "in" | "intersects" => {
                let alone = Expr::and([more().negated(), of_name(text, same(&name, text))]);
                (vec![alone], true, false)
            }
            other => {
                return Err(format!(
                    "the operator {other:?} has no counterpart for a command line, which begins \
                     with the process's name: use proc.name and proc.args"
                ));
            }
        };
        let splits = splits.map(|(before, behind)| {
            let begin = match begins {
                true => same(&name, before),
                false => method(&name, "endsWith", before),
            };
            let end = if open { method(&rest, "startsWith", behind) } else { same(&rest, behind) };
            let there = if behind.is_empty() { more() } else { Expr::Is(true) };
            of_name(before, Expr::and([begin, end, there]))
        });
        Ok(Expr::or(whole.into_iter().chain(splits)))
    };
    let texts: Vec<String> = match fold {
        true => texts.iter().map(|text| text.to_ascii_lowercase()).collect(),
        false => texts.iter().map(|text| (*text).to_owned()).collect(),
    };
    Ok(Expr::or(texts.iter().map(|text| one(text)).collect::<Result<Vec<_>, _>>()?))
}
