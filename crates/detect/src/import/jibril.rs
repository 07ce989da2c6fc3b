//! Recipes of Jibril, which it calls alchemies: of those whose mechanism is execution, recipes.

use event::Severity;

use super::cel::{self, Expr};
use super::draft::{Draft, Tags};
use super::node::{Node, Value};
use super::pattern::quoted;
use super::regex::{self, Dialect};
use crate::attack;
use crate::parse::ParseError;

const KEYS: &[&str] = &[
    "kind",
    "name",
    "enabled",
    "version",
    "description",
    "documentation",
    "breed",
    "mechanism",
    "tactic",
    "technique",
    "subtechnique",
    "importance",
    "times",
    "file_actions",
    "file_actions_how",
    "file_actions_excl",
    "base",
    "dir",
    "regex",
    "bases",
    "arbitrary",
    "reactions",
];

const ARBITRARY: &str = "What several conditions of `arbitrary` mean together is not documented. \
                         They are read as their examples are: all groups must hold; irrelevant \
                         items are exceptions; of pertinent items, AND asks for all, OR for any.";

type Read<T> = Result<T, ParseError>;

/// The recipe of an alchemy.
pub(super) fn draft(path: &str, alchemy: &Node) -> Result<Draft, Vec<ParseError>> {
    let Value::Map(entries) = &alchemy.value else {
        return Err(vec![alchemy.wrong(path, "expected a recipe of Jibril: a mapping")]);
    };
    let mut errors = Vec::new();
    for (key, _) in entries {
        let name = key.plain().unwrap_or_default();
        if !KEYS.contains(&name.as_str()) {
            let message = format!("the key {name:?} is not known, or not of executions");
            errors.push(key.wrong(path, message));
        }
    }
    errors.extend(mechanism(path, alchemy));
    let name = alchemy.plain_of("name").or_else(|| alchemy.plain_of("kind")).unwrap_or_default();
    let said = alchemy.plain_of("description").unwrap_or_default();
    let title = if said.is_empty() || said.len() > 120 { &name } else { &said };
    let mut draft = Draft::new(title, "Jibril").named(&name);
    draft.at = alchemy.at;
    draft.version = match alchemy.get("version").map(|node| &node.value) {
        Some(Value::Float(number)) if number.fract() == 0.0 => format!("{number:.1}"),
        Some(Value::Float(number)) => number.to_string(),
        _ => alchemy.plain_of("version").unwrap_or_default(),
    };
    if title == &name && !said.is_empty() {
        draft.more = Some(said);
    }
    let mut take = |result: Read<()>| errors.extend(result.err());
    take(importance(path, alchemy).map(|importance| draft.importance = importance));
    take(tags(path, alchemy).map(|tags| draft.tags = tags));
    take(files(path, alchemy, &mut draft));
    take(arbitrary(path, alchemy, &mut draft));
    take(times(path, alchemy, &mut draft));
    if draft.when == Some(Expr::Is(true)) {
        draft.when = None;
    }
    if errors.is_empty() && draft.matches.is_empty() && draft.when.is_none() {
        errors.push(alchemy.wrong(path, "it fits every execution"));
    }
    for key in ["kind", "documentation"] {
        draft.about.extend(alchemy.plain_of(key).map(|text| (key, text)));
    }
    if alchemy.get("enabled").is_some_and(|n| n.value == Value::Bool(false)) {
        draft.notes.push("In its file it is not enabled.".to_owned());
    }
    if errors.is_empty() { Ok(draft) } else { Err(errors) }
}

/// What is wrong with how it comes to know of something.
fn mechanism(path: &str, alchemy: &Node) -> Vec<ParseError> {
    let mut errors = Vec::new();
    for (key, known) in [
        ("breed", &["file_access", "execution"][..]),
        ("mechanism", &["execution", "file_access"][..]),
    ] {
        match alchemy.get(key) {
            Some(node) if node.text().is_some_and(|text| known.contains(&text)) => {}
            Some(node) => {
                let found = node.plain().unwrap_or_else(|| node.kind().to_owned());
                let message = format!("{key} {found:?}: picket's recipes are about executions");
                errors.push(node.wrong(path, message));
            }
            None => errors.push(alchemy.wrong(path, format!("expected a {key}"))),
        }
    }
    let actions = alchemy.get("file_actions");
    let names: Vec<_> =
        actions.map(Node::each).unwrap_or_default().iter().map(Node::plain).collect();
    let of_files = alchemy.get("breed").and_then(Node::text) != Some("execution");
    let right = match names.as_slice() {
        [] => !of_files,
        names => names.iter().all(|name| name.as_deref() == Some("execve")),
    };
    if !right {
        let place = actions.unwrap_or(alchemy);
        errors.push(
            place.wrong(path, "file_actions: picket sees files that are executed: expected execve"),
        );
    }
    for (key, message) in [
        ("file_actions_excl", "an execution has no other file action to exclude"),
        ("reactions", "recipes of picket do not act: leave it out to import what it detects"),
    ] {
        if let Some(node) = alchemy.get(key).filter(|node| !node.each().is_empty()) {
            errors.push(node.wrong(path, format!("{key}: {message}")));
        }
    }
    errors
}

fn importance(path: &str, alchemy: &Node) -> Read<Severity> {
    let node = alchemy.get("importance").unwrap_or(alchemy);
    Ok(match node.text().map(str::to_ascii_lowercase).as_deref() {
        Some("none") => Severity::Info,
        Some("low") => Severity::Low,
        Some("medium") => Severity::Medium,
        Some("high") => Severity::High,
        Some("critical") => Severity::Critical,
        _ => {
            let message = "importance: expected none, low, medium, high or critical";
            return Err(node.wrong(path, message));
        }
    })
}

/// Technique and tactic, which it calls by their names.
fn tags(path: &str, alchemy: &Node) -> Read<Tags> {
    let mut tags = Tags::default();
    if let Some(tactic) = alchemy.plain_of("tactic") {
        tags.add(&tactic);
    }
    let named = |key: &str| alchemy.get(key).filter(|n| !matches!(n.text(), None | Some("none")));
    let look_up = |node: &Node, above: Option<&str>| {
        let name = node.plain().unwrap_or_default();
        attack::technique_named(&name, above).ok_or_else(|| {
            let below = above.map(|id| format!(" below {id}")).unwrap_or_default();
            let version = attack::VERSION;
            let message = format!("{name:?} is no technique{below} in version {version} of ATT&CK");
            node.wrong(path, message)
        })
    };
    let technique = named("technique").map(|node| look_up(node, None)).transpose()?;
    let below = match (named("subtechnique"), &technique) {
        (Some(node), Some(above)) => Some(look_up(node, Some(above))?),
        (Some(node), None) => return Err(node.wrong(path, "subtechnique: of which technique?")),
        (None, _) => None,
    };
    if let Some(id) = below.or(technique) {
        tags.add(&id);
    }
    Ok(tags)
}

/// A file that is looked for.
enum File {
    Base(String),
    Dir(String, String),
    Regex(String),
}

fn files(path: &str, alchemy: &Node, draft: &mut Draft) -> Read<()> {
    let mut files = Vec::new();
    let entries = alchemy.get("bases").map(Node::each).unwrap_or_default();
    for entry in std::iter::once(alchemy).chain(entries) {
        files.extend(file(path, entry)?);
    }
    let star = |text: &str| text.contains('*');
    let plain = files.iter().all(|file| match file {
        File::Base(base) => !star(base),
        File::Dir(dir, base) => !star(dir) && !star(base),
        File::Regex(_) => false,
    });
    if files.is_empty() {
        return Ok(());
    }
    if files.iter().all(|file| matches!(file, File::Base(_))) && plain {
        let bases = files.into_iter().filter_map(|file| match file {
            File::Base(base) => Some(base),
            File::Dir(..) | File::Regex(_) => None,
        });
        draft.matches.push(("program", bases.collect()));
        return Ok(());
    }
    if plain {
        let globs = files.into_iter().map(|file| match file {
            File::Base(base) => format!("**/{base}"),
            File::Dir(dir, base) if base.is_empty() => format!("{dir}/*"),
            File::Dir(dir, base) => format!("{dir}/{base}"),
            File::Regex(pattern) => pattern,
        });
        draft.matches.push(("path", globs.collect()));
        return Ok(());
    }
    let patterns = files.into_iter().map(|file| match file {
        File::Base(base) => format!("/{}$", quoted(&base)),
        File::Dir(dir, base) if base.is_empty() => format!("^{}/[^/]*$", quoted(&dir)),
        File::Dir(dir, base) => format!("^{}/{}$", quoted(&dir), quoted(&base)),
        File::Regex(pattern) => pattern,
    });
    draft.when = Some(Expr::or(patterns.flat_map(|pattern| {
        if matches!(pattern.trim_start_matches('^').trim_end_matches('$'), ".*") {
            return vec![Expr::Is(true)];
        }
        let pattern = cel::pattern(&pattern);
        ["process.exe.path", "process.target"]
            .map(|fact| Expr::atom(format!("{fact}.matches({pattern})")))
            .to_vec()
    })));
    Ok(())
}

/// What `base`, `dir` and `regex` beside each other name, if they are there.
fn file(path: &str, entry: &Node) -> Read<Option<File>> {
    let text = |key: &str| -> Read<Option<(&Node, String)>> {
        let Some(node) = entry.get(key) else { return Ok(None) };
        match node.plain() {
            Some(text) if !text.is_empty() => Ok(Some((node, text))),
            Some(_) => Ok(None),
            None if node.value == Value::Null => Ok(None),
            None => Err(node.wrong(path, format!("{key}: expected a text, found {}", node.kind()))),
        }
    };
    if let (Value::Map(entries), None) = (&entry.value, entry.get("mechanism")) {
        let known = ["base", "dir", "regex"];
        for (key, _) in entries {
            if !key.text().is_some_and(|key| known.contains(&key)) {
                return Err(key.wrong(path, "expected base, dir or regex"));
            }
        }
    }
    Ok(match (text("base")?, text("dir")?, text("regex")?) {
        (None, None, None) => None,
        (Some((_, base)), None, None) => Some(File::Base(base)),
        (base, Some((_, dir)), None) => {
            let base = base.map(|(_, base)| base).unwrap_or_default();
            Some(File::Dir(dir.trim_end_matches('/').to_owned(), base))
        }
        (None, None, Some((node, pattern))) => Some(File::Regex(expression(path, node, &pattern)?)),
        (_, _, Some((node, _))) => {
            return Err(node.wrong(path, "what regex means beside base or dir is not documented"));
        }
    })
}

fn expression(path: &str, node: &Node, pattern: &str) -> Read<String> {
    regex::translate(pattern, Dialect::Re2).map_err(|why| {
        node.wrong(path, format!("picket cannot run this regular expression: {why}"))
    })
}

fn arbitrary(path: &str, alchemy: &Node, draft: &mut Draft) -> Read<()> {
    let groups = alchemy.get("arbitrary").map(Node::each).unwrap_or_default();
    if groups.is_empty() {
        return Ok(());
    }
    let groups = groups.iter().map(|node| group(path, node)).collect::<Read<Vec<_>>>()?;
    let files = draft.when.take().unwrap_or(Expr::Is(true));
    draft.when = Some(Expr::and(std::iter::once(files).chain(groups)));
    draft.notes.push(ARBITRARY.to_owned());
    Ok(())
}

fn group(path: &str, group: &Node) -> Read<Expr> {
    let word = |node: &Node, key: &str| {
        node.plain_of(key).map(|word| word.to_ascii_lowercase()).unwrap_or_default()
    };
    let items = group.get("items").map(Node::each).unwrap_or_default();
    let (how, which) = (word(group, "how"), word(group, "which"));
    let of_items: Vec<String> = items.iter().map(|item| word(item, "which")).collect();
    let all_are = |which: &str| !of_items.is_empty() && of_items.iter().all(|of| of == which);
    let each = items.iter().map(|node| item(path, node)).collect::<Read<Vec<_>>>()?;
    match (how.as_str(), which.as_str()) {
        ("and", "pertinent") if all_are("irrelevant") => {
            Ok(Expr::and(each.into_iter().map(Expr::negated)))
        }
        ("or", "irrelevant") if all_are("pertinent") => Ok(Expr::or(each)),
        ("and", "irrelevant") if all_are("pertinent") => Ok(Expr::and(each)),
        _ => {
            let message = format!(
                "arbitrary: what how {how:?} and which {which:?} mean with items of {of_items:?} \
                 is not documented: expected AND or OR of pertinent items in an irrelevant group, \
                 or AND of irrelevant items in a pertinent one"
            );
            Err(group.wrong(path, message))
        }
    }
}

/// Facts that an item may look at; of ancestors, any one.
fn facts(what: &str) -> Option<(&'static [&'static str], bool)> {
    Some(match what {
        "exe" => (&["process.exe.path"], false),
        "comm" => (&["process.comm"], false),
        "cmd" => (&["process.name"], false),
        "args" => (&["process.command_line"], false),
        "parent_exe" => (&["parent.exe"], false),
        "parent_comm" => (&["parent.comm"], false),
        "parent_cmd" => (&["parent.name"], false),
        "parent_args" => (&["parent.command_line"], false),
        "task_or_parent_exe" => (&["process.exe.path", "parent.exe"], false),
        "task_or_parent_comm" => (&["process.comm", "parent.comm"], false),
        "task_or_parent_cmd" => (&["process.name", "parent.name"], false),
        "task_or_parent_args" => (&["process.command_line", "parent.command_line"], false),
        "ancient_exe" => (&["a.exe"], true),
        "ancient_cmd" => (&["a.name"], true),
        "ancient_args" => (&["a.command_line"], true),
        _ => return None,
    })
}

fn number_fact(what: &str) -> Option<&'static str> {
    Some(match what {
        "uid" => "process.uid",
        "pid" => "process.pid",
        "parent_pid" => "parent.pid",
        _ => return None,
    })
}

fn item(path: &str, item: &Node) -> Read<Expr> {
    let Value::Map(entries) = &item.value else {
        return Err(item.wrong(path, "items: expected what, which and pattern or number"));
    };
    for (key, _) in entries {
        let name = key.plain().unwrap_or_default();
        if !["what", "which", "pattern", "number", "numbers", "when"].contains(&name.as_str()) {
            return Err(key.wrong(path, format!("items: {name:?} has no counterpart in picket")));
        }
    }
    let what = item.plain_of("what").unwrap_or_default();
    if let Some(fact) = number_fact(&what) {
        return number(path, item, fact);
    }
    let Some((facts, of_ancestors)) = facts(&what) else {
        let place = item.get("what").unwrap_or(item);
        return Err(place.wrong(path, format!("arbitrary: picket has no {what:?} of an execution")));
    };
    let Some(node) = item.get("pattern") else {
        return Err(item.wrong(path, format!("items: {what} needs a pattern")));
    };
    let pattern = node.plain().unwrap_or_default();
    if what.ends_with("args") && pattern.starts_with('^') {
        let message = "whether the program's own name is the first of its arguments is not \
                       documented, so that `^` cannot be said";
        return Err(node.wrong(path, message));
    }
    let pattern = cel::pattern(&expression(path, node, &pattern)?);
    Ok(Expr::or(facts.iter().map(|fact| match of_ancestors {
        true => Expr::atom(format!("ancestors.exists(a, {fact}.matches({pattern}))")),
        false => Expr::atom(format!("{fact}.matches({pattern})")),
    })))
}

fn number(path: &str, item: &Node, fact: &str) -> Read<Expr> {
    let node = item.get("numbers").or_else(|| item.get("number")).unwrap_or(item);
    let numbers: Vec<i64> = node
        .each()
        .iter()
        .map(|number| match number.value {
            Value::Int(number) => Ok(number),
            _ => Err(number.wrong(path, format!("{fact}: expected a number"))),
        })
        .collect::<Read<_>>()?;
    let order = match item.plain_of("when").as_deref() {
        None | Some("equal") => "==",
        Some("smaller") => "<",
        Some("bigger") => ">",
        Some(other) => {
            let message = format!("when {other:?}: expected smaller, bigger or equal");
            return Err(item.wrong(path, message));
        }
    };
    Ok(Expr::or(numbers.iter().map(|number| Expr::atom(format!("{fact} {order} {number}")))))
}

/// How many are told at most. Limits that picket cannot count are left out: more is told then.
fn times(path: &str, alchemy: &Node, draft: &mut Draft) -> Read<()> {
    for entry in alchemy.get("times").map(Node::each).unwrap_or_default() {
        let kind = entry.plain_of("kind").unwrap_or_default();
        let most = match entry.get("max").map(|node| &node.value) {
            Some(Value::Int(most @ 1..=1_000_000)) => *most,
            _ => return Err(entry.wrong(path, "times: expected kind and max, a number from 1 up")),
        };
        match kind.as_str() {
            "times_per_exe" => draft.limits.push(("executable", most)),
            "times_per_parent_proc" => draft.limits.push(("parent", most)),
            "times_in_total" => draft.limits.push(("recipe", most)),
            "times_per_parent_exe"
            | "times_per_cmd"
            | "times_per_proc"
            | "times_per_full_ancestry"
            | "times_per_hostname"
            | "times_per_host" => draft.notes.push(format!(
                "At most {most} by {kind} cannot be counted here, and is left out: more is told."
            )),
            other => return Err(entry.wrong(path, format!("times: {other:?} is not known"))),
        }
    }
    if !draft.limits.is_empty() {
        draft.notes.push(
            "Its limits have no time after which they begin anew; here they do after a day."
                .to_owned(),
        );
    }
    Ok(())
}
