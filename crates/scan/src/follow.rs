//! From a command to the web server that it starts, if it starts one: the same catalogue and the same
//! reading of command lines as for a process that runs.

use detect::catalogue::Catalogue;
use detect::identify::Identity;
use detect::unwrap::Program;
use event::{Confidence, Evidence, EvidenceKind, Purpose};

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
    /// Whether commands are looked for among those of npm's packages.
    npm: bool,
    /// How many bytes may still be read: a text can have itself read again and again.
    left: usize,
    pub(crate) starts: Vec<Start<'c>>,
    /// Where a text was not read to its end.
    pub(crate) unread: Option<usize>,
}

impl<'c> Follow<'c> {
    pub(crate) fn new(catalogue: &'c Catalogue, npm: bool, len: usize) -> Self {
        Self { catalogue, npm, left: 8 * len + (64 << 10), starts: Vec::new(), unread: None }
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
        self.named_after(&mut args);
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
            match ask::asks(&program.path, name, own, command.input.as_ref()) {
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
                    self.named(first.origin(0), args, &name, false);
                    return None;
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
                Ask::Else => return None,
                Ask::Nothing => {}
            }
        }
        self.judge(first.origin(0), &args, program, false);
        None
    }

    /// A container of an image, with what is to run in it instead of what the image says.
    pub(crate) fn image(
        &mut self,
        image: &Piece,
        entrypoint: Option<&[Piece]>,
        command: &[Piece],
        vars: &Vars,
    ) {
        let mut own = entrypoint.unwrap_or_default().to_vec();
        own.extend_from_slice(command);
        let option = own.first().is_some_and(|word| word.as_str().starts_with('-'));
        if !own.is_empty() && !option {
            let before = self.starts.len();
            self.words(&own, vars);
            let plain = own.iter().map(|w| w.as_str().to_owned()).collect::<Vec<_>>();
            let program = self.catalogue.command_line(&plain);
            let other =
                program.runtime.is_some() || !program.layers.is_empty() || plain[0].contains('/');
            let known = self.catalogue.identify_program(&program).is_some();
            // An entry point of one's own most often ends with `exec "$@"`.
            let script = entrypoint.and_then(<[Piece]>::last).is_some_and(|word| {
                let word = word.as_str();
                word.ends_with(".sh") || word.contains("entrypoint")
            });
            if script && self.starts.len() == before {
                self.words(command, vars);
            }
            if entrypoint.is_some() || self.starts.len() > before || known || other {
                return;
            }
        }
        let Some((name, other)) = image::named(image.as_str()) else { return };
        let words = vec![image.as_str().to_owned()];
        if own.is_empty() {
            self.named(image.origin(0), words, other.unwrap_or(name), true);
            return;
        }
        // Its entry point is most often the program that it is called after.
        for name in std::iter::once(name).chain(other) {
            let mut args = vec![name.to_owned()];
            args.extend(own.iter().map(|word| word.as_str().to_owned()));
            let program = self.catalogue.command_line(&args);
            if self.judge(image.origin(0), &words, program, true) {
                return;
            }
        }
    }

    /// An image or a service that is called like a server, and is there to serve.
    fn named(&mut self, at: usize, words: Vec<String>, name: &str, image: bool) {
        let program = self.catalogue.command_line(&[name.to_owned()]);
        let bare = name.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.');
        let of_that_name = || {
            let server = self.catalogue.server(name).or_else(|| self.catalogue.server(bare))?;
            let what = if image { "an image" } else { "a service" };
            Some(Identity {
                server,
                purpose: Purpose::Serve,
                confidence: Confidence::Weak,
                masquerade: false,
                evidence: vec![Evidence {
                    kind: EvidenceKind::Name,
                    agrees: true,
                    detail: format!("{what} called {name}"),
                }],
                version: None,
                disputed: false,
                path: String::new(),
            })
        };
        let identity = self.catalogue.identify_program(&program).or_else(of_that_name);
        if let Some(mut identity) = identity {
            identity.purpose = Purpose::Serve;
            self.starts.push(Start { at, words, image, identity, program });
        }
    }

    /// Keeps a start, if a program is a server and is to serve. Whether it is a server, is the answer.
    fn judge(&mut self, at: usize, words: &[String], program: Program, image: bool) -> bool {
        let Some((program, identity)) = self.identify(program) else { return false };
        if identity.purpose != Purpose::Manage {
            let words = words.to_vec();
            self.starts.push(Start { at, words, image, identity, program });
        }
        true
    }

    /// Which web server a program is. The commands of npm's packages are scripts of node that lie in a
    /// place of their own, and have names that mean nothing elsewhere (`serve`).
    fn identify(&self, program: Program) -> Option<(Program, Identity<'c>)> {
        let plain = self.catalogue.identify_program(&program);
        let runs_packages = |layer: &String| matches!(layer.as_str(), "npx" | "npm-exec");
        let guess = plain.as_ref().is_some_and(|i| i.server.runtime.as_deref() == Some("bun"));
        let npm = self.npm || guess || program.layers.iter().any(runs_packages);
        if npm && program.runtime.is_none() && !program.path.contains('/') {
            let path = format!("node_modules/.bin/{}", program.path);
            let mut args = vec!["node".to_owned(), path];
            args.extend_from_slice(&program.args);
            let script = self.catalogue.command_line(&args);
            if let Some(identity) = self.catalogue.identify_program(&script) {
                return Some((script, identity));
            }
        }
        plain.filter(|_| !guess).map(|identity| (program, identity))
    }

    /// A variable that nothing sets, in place of a program, is most often called after it: `$PYTHON`.
    fn named_after(&self, args: &mut [String]) {
        let Some(first) = args.first() else { return };
        let braces = first.strip_prefix("${").and_then(|word| word.strip_suffix('}'));
        let Some(name) = braces.or(first.strip_prefix('$')) else { return };
        let name = name.split([':', '-', '=', '@', '[']).next().unwrap_or_default();
        let name = name.to_ascii_lowercase();
        let ends = ["_bin", "_cmd", "_exe", "_binary", "_path", "_executable"];
        let name = ends.iter().find_map(|end| name.strip_suffix(end)).unwrap_or(&name);
        if name.is_empty() {
            return;
        }
        let mut named = args.to_vec();
        name.clone_into(&mut named[0]);
        let server = || self.catalogue.identify_program(&self.catalogue.command_line(&named));
        if self.catalogue.runtime_of(name).is_some() || server().is_some() {
            args.clone_from_slice(&named);
        }
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
