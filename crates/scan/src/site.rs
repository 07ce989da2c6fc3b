//! What the formats hand on: commands, and where in their file they stand.

use std::rc::Rc;

use serde::Serialize;

use crate::follow::Follow;
use crate::shell::Vars;
use crate::text::Piece;

/// A part of a file: a job, a step, a service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Part {
    /// What it is.
    pub kind: &'static str,
    /// Its name.
    pub name: String,
}

/// A path of parts, outermost first.
pub(crate) type Place = Vec<Part>;

/// Longer names are cut.
const LONGEST_NAME: usize = 120;

/// A place inside of another one.
pub(crate) fn inside(place: &Place, kind: &'static str, name: &str) -> Place {
    let mut place = place.clone();
    let name = name.trim();
    if !name.is_empty() {
        let name = name.chars().take(LONGEST_NAME).collect();
        place.push(Part { kind, name });
    }
    place
}

/// A command that a file has run.
#[derive(Debug)]
pub(crate) struct Site {
    pub(crate) place: Place,
    what: What,
    vars: Rc<Vars>,
}

#[derive(Debug)]
enum What {
    Shell(Piece),
    Words(Vec<Piece>),
    Image { image: Piece, entrypoint: Option<Vec<Piece>>, command: Vec<Piece> },
}

impl Site {
    pub(crate) fn follow(&self, follow: &mut Follow<'_>) {
        match &self.what {
            What::Shell(text) => follow.shell(text, &self.vars),
            What::Words(words) => follow.words(words, &self.vars),
            What::Image { image, entrypoint, command } => {
                follow.image(image, entrypoint.as_deref(), command, &self.vars);
            }
        }
    }
}

/// The commands of a file.
#[derive(Debug, Default)]
pub(crate) struct Sites {
    pub(crate) list: Vec<Site>,
    /// What is known of variables from here on.
    pub(crate) vars: Rc<Vars>,
}

impl Sites {
    fn add(&mut self, place: &Place, what: What) {
        self.list.push(Site { place: place.clone(), what, vars: Rc::clone(&self.vars) });
    }

    /// A text that a shell runs.
    pub(crate) fn shell(&mut self, place: &Place, text: &Piece) {
        self.add(place, What::Shell(text.clone()));
    }

    /// A text that an interpreter runs: code of that, or of a shell.
    pub(crate) fn script(&mut self, place: &Place, interpreter: &str, text: &Piece) {
        let words: Vec<&str> = interpreter.split_ascii_whitespace().collect();
        let name = words.iter().rev().find(|w| !w.starts_with('-')).copied().unwrap_or("sh");
        let name = name.rsplit('/').next().unwrap_or(name);
        let bare = name.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.');
        match bare {
            "sh" | "bash" | "dash" | "ash" | "zsh" | "ksh" | "mksh" => self.shell(place, text),
            "python" | "pypy" => self.code(place, "python3", "-c", text),
            "node" | "nodejs" => self.code(place, "node", "-e", text),
            "ruby" => self.code(place, "ruby", "-e", text),
            "perl" => self.code(place, "perl", "-e", text),
            "php" => self.code(place, "php", "-r", text),
            // PowerShell, cmd: another language, of which nothing is known here.
            _ => {}
        }
    }

    fn code(&mut self, place: &Place, runtime: &str, option: &str, text: &Piece) {
        let origin = text.origin(0);
        let words = vec![Piece::at(runtime, origin), Piece::at(option, origin), text.clone()];
        self.words(place, words);
    }

    /// A command that is executed without a shell.
    pub(crate) fn words(&mut self, place: &Place, words: Vec<Piece>) {
        if !words.is_empty() {
            self.add(place, What::Words(words));
        }
    }

    /// A container.
    pub(crate) fn image(
        &mut self,
        place: &Place,
        image: &Piece,
        entrypoint: Option<Vec<Piece>>,
        command: Vec<Piece>,
    ) {
        self.add(place, What::Image { image: image.clone(), entrypoint, command });
    }
}
