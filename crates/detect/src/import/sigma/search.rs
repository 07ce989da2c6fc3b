//! Sigma's searches: fields, modifiers and values, said as conditions over an execution's facts.

use crate::import::cel::Expr;
use crate::import::node::{Node, Value};
use crate::import::pattern::Pattern;
use crate::import::regex::{self, Dialect};
use crate::parse::ParseError;

/// A field of Sigma's `process_creation`, and where picket has it.
struct Field {
    name: &'static str,
    fact: &'static str,
    /// What tells whether it is known, where it can be unknown.
    known: Option<&'static str>,
    number: bool,
}

const fn text(name: &'static str, fact: &'static str, known: Option<&'static str>) -> Field {
    Field { name, fact, known, number: false }
}

const fn number(name: &'static str, fact: &'static str) -> Field {
    Field { name, fact, known: None, number: true }
}

/// Those that an execution has here.
const FIELDS: &[Field] = &[
    text("Image", "process.exe.path", None),
    text("CommandLine", "process.command_line", None),
    text("ParentImage", "parent.exe", Some("has(parent.exe)")),
    text("ParentCommandLine", "parent.command_line", Some("has(parent.pid)")),
    text("User", "process.user", Some("has(process.user)")),
    text("CurrentDirectory", "process.cwd", Some("has(process.cwd)")),
    number("LogonId", "process.uid"),
    number("ProcessId", "process.pid"),
    number("ParentProcessId", "process.ppid"),
];

/// What the modifiers of a field ask for.
#[derive(Default)]
struct Modifiers {
    contains: bool,
    starts: bool,
    ends: bool,
    all: bool,
    not: bool,
    cased: bool,
    exists: bool,
    windash: bool,
    base64: bool,
    offsets: bool,
    field: bool,
    compare: Option<&'static str>,
    /// The flags of a regular expression, if it is one.
    expression: Option<String>,
}

type Read<T> = Result<T, ParseError>;

/// A search by its value: a mapping, all of which must hold, or a list of them, any of which.
pub(super) fn search(path: &str, node: &Node) -> Read<Expr> {
    match &node.value {
        Value::Map(entries) if !entries.is_empty() => {
            let all = entries.iter().map(|(key, value)| item(path, key, value));
            Ok(Expr::and(all.collect::<Read<Vec<_>>>()?))
        }
        Value::List(list)
            if list.iter().any(|n| matches!(n.value, Value::Map(_) | Value::List(_))) =>
        {
            let any = list.iter().map(|node| search(path, node));
            Ok(Expr::or(any.collect::<Read<Vec<_>>>()?))
        }
        Value::Map(_) | Value::Null => Err(node.wrong(path, "the search is empty")),
        _ => Err(node.wrong(path, KEYWORDS)),
    }
}

const KEYWORDS: &str = "words without a field are looked for in a whole line of a log, which an \
                        execution is not: name the field, such as CommandLine|contains";

/// One field with its values.
fn item(path: &str, key: &Node, value: &Node) -> Read<Expr> {
    let name = key.plain().unwrap_or_default();
    let mut words = name.split('|');
    let field = words.next().unwrap_or_default();
    if field.is_empty() {
        return Err(key.wrong(path, KEYWORDS));
    }
    let Some(field) = FIELDS.iter().find(|known| known.name == field) else {
        let known: Vec<&str> = FIELDS.iter().map(|f| f.name).collect();
        let message = format!(
            "picket does not know the field {field:?} of an execution: expected one of {}",
            known.join(", ")
        );
        return Err(key.wrong(path, message));
    };
    let modifiers = modifiers(words).map_err(|message| key.wrong(path, message))?;
    let values = value.each();
    // Nothing at all, and an empty list, are `null`.
    if values.is_empty() {
        return Ok(negate(modifiers.not, unknown(field)));
    }
    let each = values.iter().map(|value| one(path, field, &modifiers, value));
    let each = each.collect::<Read<Vec<_>>>()?;
    let joined = if modifiers.all { Expr::and(each) } else { any(field, each) };
    Ok(negate(modifiers.not, joined))
}

fn negate(not: bool, e: Expr) -> Expr {
    if not { e.negated() } else { e }
}

fn modifiers<'w>(words: impl Iterator<Item = &'w str>) -> Result<Modifiers, String> {
    let mut m = Modifiers::default();
    let mut flags = String::new();
    for word in words {
        match word {
            "contains" => m.contains = true,
            "startswith" => m.starts = true,
            "endswith" => m.ends = true,
            "all" => m.all = true,
            "neq" => m.not = true,
            "cased" => m.cased = true,
            "exists" => m.exists = true,
            "windash" => m.windash = true,
            "base64" => m.base64 = true,
            "base64offset" => m.offsets = true,
            "fieldref" => m.field = true,
            "lt" => m.compare = Some("<"),
            "lte" => m.compare = Some("<="),
            "gt" => m.compare = Some(">"),
            "gte" => m.compare = Some(">="),
            "re" => m.expression = Some(String::new()),
            "i" | "ignorecase" => flags.push('i'),
            "m" | "multiline" => flags.push('m'),
            "s" | "dotall" => flags.push('s'),
            "wide" | "utf16" | "utf16le" | "utf16be" => {
                return Err(format!(
                    "the modifier {word:?} looks for zero bytes, which no argument can hold"
                ));
            }
            "cidr" => {
                return Err(
                    "the modifier \"cidr\" is for addresses, and no field of an execution \
                            is one"
                        .to_owned(),
                );
            }
            "expand" => {
                return Err(
                    "the modifier \"expand\" needs values from elsewhere: put them in".to_owned()
                );
            }
            other => {
                return Err(format!(
                    "the modifier {other:?} is not known: expected contains, startswith, \
                     endswith, all, re, cased, exists, windash, base64, base64offset, fieldref, \
                     neq, lt, lte, gt or gte"
                ));
            }
        }
    }
    match (&m.expression, flags.is_empty()) {
        (Some(_), _) => m.expression = Some(flags),
        (None, true) => {}
        (None, false) => return Err(format!("the modifier {flags:?} needs \"re\"")),
    }
    let text = m.contains || m.starts || m.ends || m.windash || m.base64 || m.offsets || m.cased;
    let kinds = [text, m.exists, m.field, m.compare.is_some(), m.expression.is_some()];
    if kinds.iter().filter(|is| **is).count() > 1 {
        return Err("these modifiers do not go together".to_owned());
    }
    Ok(m)
}

/// That a field is not known.
fn unknown(field: &Field) -> Expr {
    field.known.map_or(Expr::Is(false), |known| Expr::atom(known).negated())
}

fn known(field: &Field) -> Expr {
    unknown(field).negated()
}

/// One value.
fn one(path: &str, field: &Field, m: &Modifiers, value: &Node) -> Read<Expr> {
    if m.exists {
        return match value.value {
            Value::Bool(is) => Ok(negate(!is, known(field))),
            _ => Err(value.wrong(path, "exists: expected true or false")),
        };
    }
    if value.value == Value::Null {
        return Ok(unknown(field));
    }
    if m.field {
        return reference(path, field, value);
    }
    if field.number {
        return numeric(path, field, m, value);
    }
    if m.compare.is_some() {
        let message = format!("{} is a text, and has no order", field.name);
        return Err(value.wrong(path, message));
    }
    let text = match &value.value {
        Value::Text(_) | Value::Int(_) => value.plain().unwrap_or_default(),
        _ => {
            let message = format!("expected a text, found {}: put it in quotes", value.kind());
            return Err(value.wrong(path, message));
        }
    };
    match &m.expression {
        Some(flags) => expression(path, field, flags, &text, value),
        None => pattern(field, m, &text).map_err(|message| value.wrong(path, message)),
    }
}

fn pattern(field: &Field, m: &Modifiers, text: &str) -> Result<Expr, String> {
    let pattern = Pattern::parse(text);
    let encoded = m.base64 || m.offsets;
    let patterns = match pattern.plain() {
        Some(plain) if m.base64 => vec![Pattern::literally(&base64(plain.as_bytes()))],
        Some(plain) if m.offsets => {
            offsets(plain.as_bytes()).iter().map(|one| Pattern::literally(one)).collect()
        }
        None if encoded => return Err("base64 of a text with wildcards cannot be told".to_owned()),
        _ => vec![pattern],
    };
    if encoded && patterns.iter().any(|pattern| pattern.plain() == Some("")) {
        return Err("too short: nothing of its base64 stays the same everywhere".to_owned());
    }
    let fits = |pattern: Pattern| {
        let pattern = if m.windash { pattern.dashed() } else { pattern };
        let pattern = pattern.open(m.contains || m.ends, m.contains || m.starts);
        let fits = pattern.fits(field.fact, m.cased);
        // What a missing text would fit, too, asks that it is there.
        let empty = pattern.is_anything() || pattern.plain() == Some("");
        if empty { Expr::and([known(field), fits]) } else { fits }
    };
    Ok(Expr::or(patterns.into_iter().map(fits)))
}

fn expression(path: &str, field: &Field, flags: &str, text: &str, value: &Node) -> Read<Expr> {
    let whole = if flags.is_empty() { text.to_owned() } else { format!("(?{flags}){text}") };
    let translated = regex::translate(&whole, Dialect::Perl).map_err(|why| {
        value.wrong(path, format!("picket cannot run this regular expression: {why}"))
    })?;
    let matches =
        Expr::atom(format!("{}.matches({})", field.fact, crate::import::cel::pattern(&translated)));
    let fits_nothing = ::regex::Regex::new(&translated).is_ok_and(|r| r.is_match(""));
    Ok(if fits_nothing { Expr::and([known(field), matches]) } else { matches })
}

fn reference(path: &str, field: &Field, value: &Node) -> Read<Expr> {
    let name = value.plain().unwrap_or_default();
    let Some(other) = FIELDS.iter().find(|known| known.name == name) else {
        return Err(value.wrong(path, format!("picket does not know the field {name:?}")));
    };
    let same = match (field.number, other.number) {
        (true, true) => format!("{} == {}", field.fact, other.fact),
        (false, false) => format!("{}.lowerAscii() == {}.lowerAscii()", field.fact, other.fact),
        _ => return Err(value.wrong(path, "a text and a number are never the same")),
    };
    Ok(Expr::and([known(field), known(other), Expr::atom(same)]))
}

fn numeric(path: &str, field: &Field, m: &Modifiers, value: &Node) -> Read<Expr> {
    let number = match &value.value {
        Value::Int(number) => Some(*number),
        Value::Text(text) => text.parse().ok(),
        _ => None,
    };
    let plain = !m.contains && !m.starts && !m.ends && !m.windash && !m.base64 && !m.offsets;
    match number {
        Some(number) if plain && m.expression.is_none() => {
            Ok(Expr::atom(format!("{} {} {number}", field.fact, m.compare.unwrap_or("=="))))
        }
        _ => {
            let message = format!("{} is a number here: expected one, as it is", field.name);
            Err(value.wrong(path, message))
        }
    }
}

/// Any of them; values that are compared as they are become one list.
fn any(field: &Field, each: Vec<Expr>) -> Expr {
    for fact in [field.fact.to_owned(), format!("{}.lowerAscii()", field.fact)] {
        let value = |e: &Expr| match e {
            Expr::Atom(text) => text.strip_prefix(&fact)?.strip_prefix(" == ").map(str::to_owned),
            _ => None,
        };
        let values: Option<Vec<String>> = each.iter().map(value).collect();
        if let Some(values) = values.filter(|values| values.len() > 1) {
            return Expr::atom(format!("{fact} in [{}]", values.join(", ")));
        }
    }
    Expr::or(each)
}

const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

fn base64(bytes: &[u8]) -> String {
    let mut out = String::new();
    for chunk in bytes.chunks(3) {
        let part = |i: usize| u32::from(chunk.get(i).copied().unwrap_or(0));
        let bits = part(0) << 16 | part(1) << 8 | part(2);
        for digit in 0..4 {
            let six = (bits >> (18 - 6 * digit)) & 63;
            out.push(if digit <= chunk.len() { char::from(DIGITS[six as usize]) } else { '=' });
        }
    }
    out
}

/// What stays the same of a text's base64, whatever stands before and behind it.
fn offsets(bytes: &[u8]) -> [String; 3] {
    [0_usize, 1, 2].map(|before| {
        let mut padded = vec![b' '; before];
        padded.extend_from_slice(bytes);
        let encoded = base64(&padded);
        let begin = [0, 2, 3][before];
        let cut = [0, 3, 2][padded.len() % 3];
        encoded.get(begin..encoded.len() - cut).unwrap_or_default().to_owned()
    })
}
