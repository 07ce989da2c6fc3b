//! A recipe that is being made from a rule of another format, and the text of its file.

use event::Severity;
use serde_saphyr::Location;

use super::cel::{self, Expr};
use crate::attack;

/// Characters of one text taken over; the rest is cut off.
const LONGEST: usize = 1000;
/// Lines of comments taken over.
const MOST: usize = 40;
/// A line of text is not longer.
const WIDTH: usize = 96;

/// What becomes a recipe.
#[derive(Debug, Clone)]
pub(super) struct Draft {
    /// Where its rule stands.
    pub(super) at: Location,
    /// What the rule is called.
    title: String,
    /// The format that it is from.
    format: &'static str,
    pub(super) version: String,
    /// What the rule says of itself at more length.
    pub(super) more: Option<String>,
    pub(super) importance: Severity,
    pub(super) tags: Tags,
    /// Keys of `match` with their globs.
    pub(super) matches: Vec<(&'static str, Vec<String>)>,
    pub(super) when: Option<Expr>,
    /// For each what, and how many at most.
    pub(super) limits: Vec<(&'static str, i64)>,
    /// What else the rule says, by what it is.
    pub(super) about: Vec<(&'static str, String)>,
    /// What is not as it was.
    pub(super) notes: Vec<String>,
    /// What its author knows to be harmless.
    pub(super) harmless: Vec<String>,
    name: String,
}

/// Tactics and techniques of MITRE ATT&CK that a rule names.
#[derive(Debug, Clone, Default)]
pub(super) struct Tags {
    techniques: Vec<String>,
    tactic: Option<&'static str>,
    notes: Vec<String>,
}

impl Tags {
    /// Adds a technique or a tactic, as tags spell them: `t1505.003`, `command-and-control`.
    pub(super) fn add(&mut self, word: &str) {
        let id = word.to_ascii_uppercase();
        let technique = id.starts_with('T') && id[1..].starts_with(|c: char| c.is_ascii_digit());
        if !technique {
            self.tactic = self.tactic.or_else(|| attack::tactic_named(word));
            return;
        }
        let id = match attack::replaced_by(&id) {
            Some(new) => {
                self.notes.push(format!("ATT&CK {id} is {new} now."));
                new.to_owned()
            }
            None => id,
        };
        if attack::technique(&id).is_none() {
            let version = attack::VERSION;
            self.notes.push(format!("ATT&CK {id} is not in version {version}, and left out."));
        } else if !self.techniques.contains(&id) {
            self.techniques.push(id);
        }
    }

    /// The tactic in words.
    fn category(&self) -> String {
        let first = self.techniques.first().and_then(|id| attack::technique(id));
        let of_technique = first.and_then(|t| t.tactics.first().and_then(|id| attack::tactic(id)));
        self.tactic.or(of_technique).unwrap_or("Unclassified").to_owned()
    }

    /// The technique in words.
    fn method(&self) -> String {
        let first = self.techniques.first().and_then(|id| attack::technique(id));
        first.map_or_else(|| "Unclassified".to_owned(), |technique| technique.name)
    }
}

impl Draft {
    pub(super) fn new(title: &str, format: &'static str) -> Self {
        let title = spaced(title);
        Self {
            at: Location::UNKNOWN,
            name: slug(&title),
            title,
            format,
            version: String::new(),
            more: None,
            importance: Severity::Medium,
            tags: Tags::default(),
            matches: Vec::new(),
            when: None,
            limits: Vec::new(),
            about: Vec::new(),
            notes: Vec::new(),
            harmless: Vec::new(),
        }
    }

    /// With a name that is not made from the title.
    pub(super) fn named(mut self, name: &str) -> Self {
        self.name = slug(name);
        self
    }

    /// The recipe's name.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// The text of the recipe's file.
    pub(super) fn yaml(&self) -> String {
        let mut out = format!("# Made from a {} rule by `picket recipe import`.\n", self.format);
        self.comments(&mut out);
        let version = if self.version.is_empty() { "1" } else { &self.version };
        for (key, value) in [
            ("name", scalar(&self.name)),
            ("version", cel::text(&spaced(version))),
            ("description", scalar(&self.title)),
            ("category", scalar(&self.tags.category())),
            ("method", scalar(&self.tags.method())),
            ("importance", self.importance.to_string()),
            ("attack", format!("[{}]", self.tags.techniques.join(", "))),
        ] {
            out.push_str(&format!("{key}: {value}\n"));
        }
        out.push_str("\nevent: exec\n");
        if !self.matches.is_empty() {
            out.push_str("match:\n");
        }
        for (key, globs) in &self.matches {
            let globs: Vec<String> = globs.iter().map(|glob| scalar(glob)).collect();
            out.push_str(&wrapped(&format!("  {key}: ["), &globs));
        }
        if let Some(when) = &self.when {
            out.push_str("when: >-\n");
            for line in when.lines() {
                out.push_str(&format!("  {line}\n"));
            }
        }
        if !self.limits.is_empty() {
            out.push_str("limits:\n");
        }
        for (per, most) in &self.limits {
            out.push_str(&format!("  - {{per: {per}, most: {most}, within: 1d}}\n"));
        }
        out.push_str("\nguidance:\n");
        for (environment, (implication, actions)) in self.guidance() {
            out.push_str(&format!("  {environment}:\n    implication: >-\n"));
            out.push_str(&folded(&implication, 6));
            out.push_str("    actions:\n");
            for action in actions {
                out.push_str("      - >-\n");
                out.push_str(&folded(&action, 8));
            }
        }
        out
    }

    fn comments(&self, out: &mut String) {
        let about = self.about.iter().map(|(key, text)| format!("{key}: {}", spaced(text)));
        let about: Vec<String> = about.take(MOST).collect();
        let notes = self.notes.iter().chain(&self.tags.notes).map(|note| spaced(note));
        let notes: Vec<String> = notes.take(MOST).collect();
        for block in [about, notes] {
            if !block.is_empty() {
                out.push_str("#\n");
            }
            for line in block {
                out.push_str(&format!("# {line}\n"));
            }
        }
        out.push('\n');
    }

    /// What it implies and what to do, by environment.
    fn guidance(&self) -> [(&'static str, (String, Vec<String>)); 3] {
        let said = match &self.more {
            Some(more) => format!("{} ({})", self.title, spaced(more).trim_end_matches('.')),
            None => self.title.clone(),
        };
        let fits = format!("and fits the {} rule: {}.", self.format, bracketless(&said));
        let harmless: Vec<String> = self.harmless.iter().map(|h| bracketless(&spaced(h))).collect();
        let harmless = (!harmless.is_empty()).then(|| {
            let known: Vec<&str> = harmless.iter().map(|h| h.trim_end_matches('.')).collect();
            format!(
                "Its author knows harmless causes: {}. Make sure that it is one before you set it \
                 aside.",
                known.join("; ")
            )
        });
        let with = |actions: [&str; 2]| -> Vec<String> {
            let [first, last] = actions.map(str::to_owned);
            [Some(first), harmless.clone(), Some(last)].into_iter().flatten().collect()
        };
        let ci = format!(
            "{{exe}} ran in a pipeline[ ({{ci.provider}}, {{ci.repository}})][, job {{ci.job}}]\
             [, step {{ci.step}}], started by {{parent}}, {fits} Either the build is known to do \
             this, or a recent change[, up to commit {{ci.sha}},] or a dependency brought it."
        );
        let staging = format!(
            "{{exe}} ran on the staging system {{host}} as {{user}}, from {{launcher}}, {fits} \
             Either somebody tests, or somebody tries here what would be noticed in production."
        );
        let production = format!(
            "{{exe}} ran on the production system {{host}} as {{user}}[, in {{container}}], from \
             {{launcher}}, {fits} Unless work that you know of accounts for it, take it for an \
             intruder's."
        );
        [
            (
                "ci",
                (
                    ci,
                    with([
                        "Find what made the build run `{args}`[, up to commit {ci.sha} on {ci.ref}]\
                     [ by {ci.actor}], and hold the merge until it is explained.",
                        "If nobody can explain it, rotate the secrets that this job could read.",
                    ]),
                ),
            ),
            (
                "staging",
                (
                    staging,
                    with([
                        "Ask who deployed or tested then, and stop process {pid} if nobody claims it.",
                        "Look at what {parent} ran before and after, and at who can become {user}.",
                    ]),
                ),
            ),
            (
                "production",
                (
                    production,
                    with([
                        "Decide at once whether it is yours: process {pid}, `{args}`, started by \
                     {parent}.",
                        "If it is not, keep the evidence before you stop it, memory, {exe} and open \
                     connections, and find out how {parent} came in and what else {user} did.",
                    ]),
                ),
            ),
        ]
    }
}

/// One line of words, not too long, in which everything can be seen.
fn spaced(text: &str) -> String {
    let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut out: String = words.chars().filter(|c| !cel::hidden(*c)).take(LONGEST).collect();
    if out.len() < words.len() && out.chars().count() == LONGEST {
        out.push('…');
    }
    out
}

/// Brackets mean something in guidance.
fn bracketless(text: &str) -> String {
    text.replace(['{', '['], "(").replace(['}', ']'], ")")
}

/// A recipe's name for a title.
fn slug(title: &str) -> String {
    let mut out = String::new();
    for c in title.chars() {
        match c.to_ascii_lowercase() {
            c if c.is_ascii_alphanumeric() => out.push(c),
            _ if out.ends_with('_') || out.is_empty() => {}
            _ => out.push('_'),
        }
        if out.len() >= 80 {
            break;
        }
    }
    out.trim_end_matches('_').to_owned()
}

/// A text as YAML writes it, plain if it may be.
pub(crate) fn scalar(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || " _./()+-".contains(c);
    let word = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '/');
    let taken = ["true", "false", "null", "yes", "no", "on", "off", "y", "n"];
    let free = !taken.contains(&text.to_ascii_lowercase().as_str());
    if word && free && !text.ends_with(' ') && text.chars().all(plain) {
        text.to_owned()
    } else {
        cel::text(text)
    }
}

/// A list in brackets over as many lines as it takes.
fn wrapped(head: &str, items: &[String]) -> String {
    let mut out = String::new();
    let mut line = head.to_owned();
    for (i, item) in items.iter().enumerate() {
        let last = i + 1 == items.len();
        let piece = format!("{item}{}", if last { "]" } else { "," });
        if line.len() > head.len() && line.chars().count() + 1 + piece.chars().count() > WIDTH {
            out.push_str(line.trim_end());
            out.push('\n');
            line = " ".repeat(head.len());
        }
        line.push_str(&piece);
        if !last {
            line.push(' ');
        }
    }
    out + &line + "\n"
}

/// A text of words over as many lines as it takes, each at the same depth.
fn folded(text: &str, depth: usize) -> String {
    let mut out = String::new();
    let mut line = String::new();
    for word in text.split_whitespace() {
        if !line.is_empty() && line.chars().count() + 1 + word.chars().count() > WIDTH - depth {
            out.push_str(&format!("{}{line}\n", " ".repeat(depth)));
            line.clear();
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    out + &format!("{}{line}\n", " ".repeat(depth))
}
