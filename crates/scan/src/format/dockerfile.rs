//! Dockerfiles: what runs while an image is built, and what its containers run.

use std::rc::Rc;

use crate::json;
use crate::shell::Vars;
use crate::site::{Place, Sites, inside};
use crate::text::Piece;

use super::{shebang, split};

/// More variables are not kept.
const MOST_VARS: usize = 100;

pub(super) fn file(text: &str, sites: &mut Sites) {
    let mut reader = Reader { stages: Vec::new(), sites };
    let mut lines = Lines::new(text);
    while let Some(instruction) = lines.next_instruction() {
        reader.instruction(&instruction);
    }
    let count = reader.stages.len();
    for at in 0..count {
        reader.containers(at, at + 1 == count);
    }
}

/// An instruction, lines that go on put together.
struct Instruction {
    name: String,
    body: Piece,
    /// What its here-documents hold, each with its last line.
    documents: Option<Piece>,
}

struct Lines {
    lines: Vec<Piece>,
    next: usize,
    escape: char,
}

impl Lines {
    fn new(text: &str) -> Self {
        let lines: Vec<Piece> = Piece::at(text, 0).lines().collect();
        let escape = lines.iter().map(|line| line.as_str().trim().to_ascii_lowercase());
        let mut directives = escape.take_while(|line| line.starts_with('#'));
        let backtick = directives.any(|line| line.replace(' ', "") == "#escape=`");
        Self { lines, next: 0, escape: if backtick { '`' } else { '\\' } }
    }

    fn next_instruction(&mut self) -> Option<Instruction> {
        let mut whole = Piece::default();
        while let Some(line) = self.lines.get(self.next) {
            self.next += 1;
            let plain = line.as_str().trim();
            if plain.is_empty() || plain.starts_with('#') {
                continue;
            }
            let trimmed = line.slice(0..line.as_str().trim_end().len());
            let Some(part) = trimmed.as_str().strip_suffix(self.escape) else {
                whole.append(&trimmed);
                break;
            };
            whole.append(&trimmed.slice(0..part.len()));
        }
        let whole = whole.trim();
        let text = whole.as_str();
        if text.is_empty() {
            return None;
        }
        let end = text.find(|c: char| c.is_ascii_whitespace()).unwrap_or(text.len());
        let name = text[..end].to_ascii_uppercase();
        let mut body = whole.slice(end..text.len()).trim();
        if name == "ONBUILD" {
            let inner =
                body.as_str().split_ascii_whitespace().next().unwrap_or_default().to_owned();
            body = body.slice(inner.len()..body.as_str().len()).trim();
            return Some(Instruction { name: inner.to_ascii_uppercase(), body, documents: None });
        }
        let documents =
            matches!(name.as_str(), "RUN" | "COPY" | "ADD").then(|| self.documents(&body));
        Some(Instruction { name, body, documents: documents.flatten() })
    }

    /// The lines up to each of the delimiters that an instruction names (`<<END`).
    fn documents(&mut self, body: &Piece) -> Option<Piece> {
        let mut found = None;
        let words = body.as_str().split_ascii_whitespace();
        for word in words.filter_map(|word| {
            word.trim_start_matches(|c: char| c.is_ascii_digit()).strip_prefix("<<")
        }) {
            let dash = word.starts_with('-');
            let delimiter = word.trim_start_matches('-').trim_matches(['"', '\'']);
            let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
            if delimiter.is_empty() || !delimiter.chars().all(plain) {
                continue;
            }
            let document: &mut Piece = found.get_or_insert_default();
            while let Some(line) = self.lines.get(self.next) {
                self.next += 1;
                document.append(line);
                document.push("\n", line.origin(line.as_str().len()));
                let text = line.as_str();
                let text = if dash { text.trim_start_matches('\t') } else { text };
                if text == delimiter {
                    break;
                }
            }
        }
        found
    }
}

/// What containers of an image run.
#[derive(Clone)]
enum Command {
    Shell(Piece),
    Words(Vec<Piece>),
}

struct Stage {
    name: String,
    image: Piece,
    entrypoint: Option<Command>,
    command: Option<Command>,
}

struct Reader<'s> {
    stages: Vec<Stage>,
    sites: &'s mut Sites,
}

impl Reader<'_> {
    fn place(&self, instruction: &str) -> Place {
        let stage = self.stages.last().map_or("", |stage| stage.name.as_str());
        inside(&inside(&Vec::new(), "stage", stage), "instruction", instruction)
    }

    fn instruction(&mut self, instruction: &Instruction) {
        let body = &instruction.body;
        match instruction.name.as_str() {
            "FROM" => self.from(body),
            "ARG" | "ENV" => self.variables(body),
            "RUN" => self.run(body, instruction.documents.as_ref()),
            "CMD" => {
                if let Some(stage) = self.stages.last_mut() {
                    stage.command = Some(command(body));
                }
            }
            "ENTRYPOINT" => {
                if let Some(stage) = self.stages.last_mut() {
                    stage.entrypoint = Some(command(body));
                }
            }
            "HEALTHCHECK" => {
                let place = self.place("HEALTHCHECK");
                let body = without_options(body);
                if body.as_str().starts_with("CMD") {
                    match command(&body.slice(3..body.as_str().len()).trim()) {
                        Command::Shell(text) => self.sites.shell(&place, &text),
                        Command::Words(words) => self.sites.words(&place, words),
                    }
                }
            }
            _ => {}
        }
    }

    fn from(&mut self, body: &Piece) {
        let words = without_options(body).split_blanks();
        let Some(image) = words.first() else { return };
        let named = words.get(1).is_some_and(|word| word.as_str().eq_ignore_ascii_case("as"));
        let name = words.get(2).filter(|_| named).map_or("", Piece::as_str).to_owned();
        let image = Piece::at(&expand(image.as_str(), &self.sites.vars), image.origin(0));
        self.stages.push(Stage { name, image, entrypoint: None, command: None });
    }

    fn variables(&mut self, body: &Piece) {
        let words = split::words(body);
        let vars = Rc::make_mut(&mut self.sites.vars);
        for word in &words {
            match word.as_str().split_once('=') {
                Some((name, value)) if vars.len() < MOST_VARS && value.len() < 1024 => {
                    let value = expand(value, vars);
                    vars.insert(name.to_owned(), value);
                }
                Some(_) => {}
                // `ENV NAME the rest of the line`.
                None => break,
            }
        }
    }

    fn run(&mut self, body: &Piece, documents: Option<&Piece>) {
        let place = self.place("RUN");
        let body = without_options(body);
        if let Some(words) = json::list(&body) {
            self.sites.words(&place, words);
            return;
        }
        let Some(documents) = documents else {
            self.sites.shell(&place, &body);
            return;
        };
        if body.as_str().starts_with("<<") && body.split_blanks().len() == 1 {
            self.sites.script(&place, shebang(documents.as_str()), documents);
            return;
        }
        let mut whole = body.clone();
        whole.push("\n", body.origin(body.as_str().len()));
        whole.append(documents);
        self.sites.shell(&place, &whole);
    }

    /// The stage whose image an image is.
    fn base(&self, at: usize) -> Option<usize> {
        let image = self.stages[at].image.as_str();
        self.stages[..at]
            .iter()
            .rposition(|s| !s.name.is_empty() && s.name.eq_ignore_ascii_case(image))
    }

    /// What containers of a stage run, if the stage says so, or if it is the last one.
    fn containers(&mut self, at: usize, last: bool) {
        let stage = &self.stages[at];
        let own = stage.entrypoint.is_some() || stage.command.is_some();
        if !own && !last {
            return;
        }
        let (mut entrypoint, mut command) = (stage.entrypoint.clone(), stage.command.clone());
        // A new entry point forgets the command of the image below.
        let forgets = entrypoint.is_some();
        let mut root = at;
        while let Some(below) = self.base(root) {
            root = below;
            let below = &self.stages[root];
            if !forgets && command.is_none() {
                command.clone_from(&below.command);
            }
            if entrypoint.is_none() {
                entrypoint.clone_from(&below.entrypoint);
            }
        }
        let image = self.stages[root].image.clone();
        let place = inside(&Vec::new(), "stage", &self.stages[at].name);
        let named = |instruction: &str| inside(&place, "instruction", instruction);
        let words = |command: Command| match command {
            Command::Words(words) => words,
            Command::Shell(text) => {
                let origin = text.origin(0);
                vec![Piece::at("/bin/sh", origin), Piece::at("-c", origin), text]
            }
        };
        match (entrypoint, command) {
            (Some(Command::Shell(text)), _) => self.sites.shell(&named("ENTRYPOINT"), &text),
            (Some(Command::Words(entrypoint)), command) => {
                let command = command.map(words).unwrap_or_default();
                self.sites.image(&named("ENTRYPOINT"), &image, Some(entrypoint), command);
            }
            (None, Some(Command::Shell(text))) => self.sites.shell(&named("CMD"), &text),
            (None, Some(Command::Words(words))) => {
                self.sites.image(&named("CMD"), &image, None, words);
            }
            (None, None) => self.sites.image(&named("FROM"), &image, None, Vec::new()),
        }
    }
}

fn command(body: &Piece) -> Command {
    json::list(body).map_or_else(|| Command::Shell(body.clone()), Command::Words)
}

/// What stands behind the options of an instruction.
fn without_options(body: &Piece) -> Piece {
    let mut rest = body.trim();
    while rest.as_str().starts_with("--") {
        let end = rest.as_str().find(|c: char| c.is_ascii_whitespace());
        let end = end.unwrap_or(rest.as_str().len());
        rest = rest.slice(end..rest.as_str().len()).trim();
    }
    rest
}

/// Fills in `$NAME`, `${NAME}` and `${NAME:-default}`.
fn expand(text: &str, vars: &Vars) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        out.push_str(&rest[..at]);
        let behind = &rest[at + 1..];
        let braces = behind.strip_prefix('{').and_then(|inner| inner.split_once('}'));
        let (inner, after) = braces.unwrap_or_else(|| {
            let end = behind.find(|c: char| !c.is_ascii_alphanumeric() && c != '_');
            behind.split_at(end.unwrap_or(behind.len()))
        });
        let (name, default) = inner.split_once(":-").unwrap_or((inner, ""));
        out.push_str(vars.get(name).map_or(default, String::as_str));
        rest = after;
        if out.len() > 4096 {
            return text.to_owned();
        }
    }
    out.push_str(rest);
    out
}
