//! From a command to the web server that it starts, if it starts one: the same catalogue and the same
//! reading of command lines as for a process that runs.

use detect::catalogue::Catalogue;
use detect::identify::Identity;
use detect::unwrap::Program;
use event::Purpose;

use crate::ask::{self, Ask};
use crate::image;
use crate::shell::{self, Command, Vars};
use crate::text::Piece;

/// Texts inside of texts (`sh -c "sh -c …"`) are followed no deeper.
const DEEPEST: usize = 6;

/// A start of a web server.
#[derive(Debug)]
pub(crate) struct Start<'c> {
    /// Where in the file the command or the image begins.
    pub(crate) at: usize,
    pub(crate) words: Vec<String>,
    pub(crate) image: bool,
    pub(crate) identity: Identity<'c>,
    pub(crate) program: Program,
}

/// Follows commands, and keeps the starts that they lead to.
pub(crate) struct Follow<'c> {
    catalogue: &'c Catalogue,
    /// How many bytes may still be read: a text can have itself read again and again.
    left: usize,
    pub(crate) starts: Vec<Start<'c>>,
    /// Where a text was not read to its end.
    pub(crate) unread: Option<usize>,
}

impl<'c> Follow<'c> {
    pub(crate) fn new(catalogue: &'c Catalogue, len: usize) -> Self {
        Self { catalogue, left: 8 * len + (64 << 10), starts: Vec::new(), unread: None }
    }

    fn spend(&mut self, bytes: usize, at: usize) -> bool {
        let enough = self.left >= bytes;
        self.left = self.left.saturating_sub(bytes);
        if !enough {
            self.unread.get_or_insert(at);
        }
        enough
    }

    /// A text for a shell.
    pub(crate) fn shell(&mut self, text: &Piece, vars: &Vars) {
        self.shell_text(text, &mut vars.clone(), DEEPEST);
    }

    fn shell_text(&mut self, text: &Piece, vars: &mut Vars, deepest: usize) {
        if deepest == 0 || !self.spend(text.as_str().len(), text.origin(0)) {
            return;
        }
        let read = shell::commands(text, vars, |command| {
            // What a shell hands on, it has filled in.
            if let Some(more) = self.command(&command, true, deepest) {
                self.shell_text(&more, &mut Vars::new(), deepest - 1);
            }
        });
        if read.is_none() {
            self.unread.get_or_insert(text.origin(0));
        }
    }

    /// A command that is executed without a shell.
    pub(crate) fn words(&mut self, words: &[Piece], vars: &Vars) {
        let command = Command { words: words.to_vec(), input: None };
        if let Some(text) = self.command(&command, false, DEEPEST) {
            self.shell_text(&text, &mut vars.clone(), DEEPEST - 1);
        }
    }

    /// Judges a command. A text that it gives to a shell comes back.
    fn command(&mut self, command: &Command, in_shell: bool, deepest: usize) -> Option<Piece> {
        let len = command.words.iter().map(|word| word.as_str().len() + 1).sum();
        let first = command.words.first()?;
        if !self.spend(len, first.origin(0)) {
            return None;
        }
        let words = if in_shell {
            match builtin(&command.words) {
                Builtin::Nothing => return None,
                Builtin::Text(text) => return Some(text),
                Builtin::Command(words) => words,
            }
        } else {
            command.words.as_slice()
        };
        let mut args: Vec<String> = words.iter().map(|w| w.as_str().to_owned()).collect();
        named_after(self.catalogue, args.first_mut()?);
        if let Some((at, begins)) = self.catalogue.shell_text(&args) {
            let word = &words[at];
            return Some(word.slice(begins..word.as_str().len()));
        }
        let mut program = self.catalogue.command_line(&args);
        if let Some(runtime) = program.runtime.clone() {
            if let Some(input) = command.input.as_ref().filter(|_| reads_input(&program)) {
                if runtime == "shell" {
                    return Some(input.clone());
                }
                program.code = Some(input.as_str().to_owned());
                program.path.clear();
                program.names.clear();
            }
        } else {
            let own = &words[words.len().saturating_sub(program.args.len())..];
            let name = program.names.first().map_or("", String::as_str);
            match ask::asks(name, own, command.input.as_ref()) {
                Ask::Text(text) => return Some(text),
                Ask::Texts(texts) => {
                    for text in texts {
                        self.shell_text(&text, &mut Vars::new(), deepest - 1);
                    }
                    return None;
                }
                Ask::Command(inner) => {
                    let inner = Command { words: inner, input: command.input.clone() };
                    let below = deepest.checked_sub(1).filter(|d| *d > 0)?;
                    return self.command(&inner, false, below);
                }
                Ask::Service(name) => {
                    program = self.catalogue.command_line(&[name]);
                }
                Ask::Image { image, entrypoint, command } => {
                    let starts = self.starts.len();
                    self.image(&image, entrypoint.as_deref(), &command, &Vars::new());
                    for start in &mut self.starts[starts..] {
                        start.at = first.origin(0);
                        start.words.clone_from(&args);
                    }
                    return None;
                }
                Ask::Nothing => {}
            }
        }
        self.judge(first.origin(0), args, program, false);
        None
    }

    /// A container of an image, with what is to run in it instead of what the image says.
    pub(crate) fn image(&mut self, image: &Piece, entrypoint: Option<&[Piece]>, command: &[Piece], vars: &Vars) {
        let mut own = entrypoint.unwrap_or_default().to_vec();
        own.extend_from_slice(command);
        let option = own.first().is_some_and(|word| word.as_str().starts_with('-'));
        if !own.is_empty() && !option {
            let before = self.starts.len();
            self.words(&own, vars);
            let plain = own.iter().map(|w| w.as_str().to_owned()).collect::<Vec<_>>();
            let program = self.catalogue.command_line(&plain);
            let other = program.runtime.is_some() || !program.layers.is_empty() || plain[0].contains('/');
            let known = self.catalogue.identify_program(&program).is_some();
            if entrypoint.is_some() || self.starts.len() > before || known || other {
                return;
            }
        }
        let Some(server) = image::program(image.as_str()) else { return };
        let mut args = vec![server];
        args.extend(command.iter().map(|word| word.as_str().to_owned()));
        let program = self.catalogue.command_line(&args);
        self.judge(image.origin(0), vec![image.as_str().to_owned()], program, true);
    }

    fn judge(&mut self, at: usize, words: Vec<String>, program: Program, image: bool) {
        let Some(mut identity) = self.catalogue.identify_program(&program) else { return };
        if identity.purpose == Purpose::Manage && !(image && program.args.is_empty()) {
            return;
        }
        // What an image runs when nothing is said is what it is for.
        if image && program.args.is_empty() {
            identity.purpose = Purpose::Serve;
        }
        self.starts.push(Start { at, words, image, identity, program });
    }
}

/// What the shell itself makes of a command.
enum Builtin<'w> {
    Nothing,
    Text(Piece),
    Command(&'w [Piece]),
}

fn builtin(mut words: &[Piece]) -> Builtin<'_> {
    while let Some(first) = words.first() {
        let next = words.get(1).map_or("", Piece::as_str);
        match first.as_str() {
            "exec" if next == "-a" => words = words.get(3..).unwrap_or_default(),
            "exec" if next.starts_with('-') => words = &words[2..],
            "command" if next == "-p" => words = &words[2..],
            "command" if next.starts_with('-') => return Builtin::Nothing,
            "exec" | "command" | "builtin" | "noglob" | "-" => words = &words[1..],
            "eval" => return Builtin::Text(joined(&words[1..])),
            "trap" => {
                return words.get(1).map_or(Builtin::Nothing, |text| Builtin::Text(text.clone()));
            }
            "." | "source" | "echo" | "printf" | "type" | "hash" | "alias" | "export" => {
                return Builtin::Nothing;
            }
            _ => return Builtin::Command(words),
        }
    }
    Builtin::Nothing
}

/// Words as one text.
pub(crate) fn joined(words: &[Piece]) -> Piece {
    let mut text = Piece::default();
    for (at, word) in words.iter().enumerate() {
        if at > 0 {
            text.push(" ", word.origin(0).saturating_sub(1));
        }
        text.append(word);
    }
    text
}

/// Whether a runtime was given nothing to run, so that it reads its input.
fn reads_input(program: &Program) -> bool {
    let nothing = program.code.is_none()
        && program.module.is_none()
        && program.class.is_none()
        && program.archive.is_none();
    let input = matches!(program.path.as_str(), "" | "-" | "/dev/stdin");
    nothing && (input || program.options.iter().any(|option| option == "-s"))
}

/// A variable that nothing sets, in place of a program, is most often called after it: `$PYTHON`.
fn named_after(catalogue: &Catalogue, word: &mut String) {
    let Some(name) = word.strip_prefix("${").and_then(|w| w.strip_suffix('}')).or(word.strip_prefix('$')) else {
        return;
    };
    let name = name.split([':', '-', '=', '@', '[']).next().unwrap_or_default().to_ascii_lowercase();
    let name = ["_bin", "_cmd", "_exe", "_binary", "_path", "_executable"]
        .iter()
        .find_map(|end| name.strip_suffix(end))
        .unwrap_or(&name);
    if !name.is_empty() && catalogue.runtime_of(name).is_some() {
        name.clone_into(word);
    }
}
