//! Taking command lines apart: which program is it really that runs?
//!
//! Two kinds of layers stand before a program. A loader, a multi-call binary or an
//! interpreter runs its target *in the same execution*: `in_process` takes those off. A
//! wrapper (`nohup`, `sudo`, `sh -c`) executes its target, which the kernel then reports
//! as an execution of its own: only `command_line`, for text that nobody has run yet,
//! takes those off as well.

use event::{Content, Process, SignKind, Target};

use crate::catalogue::{Catalogue, Runtime, Wrapper};
use crate::identify::is_handle;
use crate::words::{base_name, glob};

/// A program with its layers taken off.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Program {
    /// The runtime that hosts it, else it is native.
    pub runtime: Option<String>,
    /// The path of the file or script that runs; empty for inline code or a module.
    pub path: String,
    /// What it may be called: the file's name first, then what was asked for.
    pub names: Vec<String>,
    /// The module that the runtime was asked to run.
    pub module: Option<String>,
    /// The main class.
    pub class: Option<String>,
    /// The archive.
    pub archive: Option<String>,
    /// Options of the runtime itself, as written.
    pub options: Vec<String>,
    /// Inline code.
    pub code: Option<String>,
    /// The program's own arguments.
    pub args: Vec<String>,
    /// Names of the layers that were taken off, outermost first.
    pub layers: Vec<String>,
    /// Whether it is known from a command line only: nobody has looked at the file yet, so that
    /// `gunicorn` may as well be a script.
    pub unseen: bool,
    /// What the file at `path` contains, where it was read.
    pub content: Option<Content>,
    /// Whether the content of a layer's own file says that it is what it was taken for, and not
    /// its name alone.
    pub proved: bool,
}

/// Layers deeper than this are not followed.
const DEEPEST: usize = 16;

impl Catalogue {
    /// The program that a process runs.
    pub fn in_process(&self, process: &Process) -> Program {
        let argv0 = process.args.first().map_or("", String::as_str);
        let mut names = vec![base_name(&process.exe.path).to_owned()];
        // `bprm->filename` of a script is the script; that comes back as an argument.
        if process.interpreter.is_none() && !is_handle(&process.invoked_as) {
            push_new(&mut names, base_name(&process.invoked_as));
        }
        let program = Program {
            path: process.exe.path.clone(),
            names,
            args: process.args.get(1..).unwrap_or_default().to_vec(),
            content: process.exe.content.clone(),
            ..Program::default()
        };
        let mut program = self.take_off(program, argv0, process.target.as_ref(), false);
        if program.layers.is_empty() {
            return program;
        }
        program.content = content_of(program.file(), process.target.as_ref());
        program
    }

    /// The file that a process was given to run by its loader or runtime, if there is one: the
    /// script, the archive, the program.
    pub fn target(&self, process: &Process) -> Option<String> {
        let program = self.in_process(process);
        let file = program.file();
        (!program.layers.is_empty() && !file.is_empty() && file != process.exe.path)
            .then(|| file.to_owned())
    }

    /// The program that a command line leads to, wrappers taken off as well.
    pub fn command_line(&self, args: &[String]) -> Program {
        let Some(first) = args.first() else {
            return Program::default();
        };
        let program = Program {
            path: first.clone(),
            names: vec![base_name(first).to_owned()],
            args: args[1..].to_vec(),
            unseen: true,
            ..Program::default()
        };
        self.take_off(program, first, None, true)
    }

    fn take_off(
        &self,
        mut program: Program,
        argv0: &str,
        target: Option<&Target>,
        wrappers: bool,
    ) -> Program {
        let mut argv0 = argv0.to_owned();
        for _ in 0..DEEPEST {
            // The file's content decides, then its own name, then what was asked for.
            let layer = match self.layer_by_content(&program) {
                ByContent::Is(layer) => {
                    program.proved = true;
                    layer
                }
                ByContent::IsNone => break,
                ByContent::Unknown => {
                    program.proved = false;
                    let named = |name: &String| self.layer(name, &program, wrappers);
                    let Some(layer) = program.names.iter().find_map(named) else { break };
                    layer
                }
            };
            match layer {
                Layer::Loader(loader) => {
                    let Some(command) = after_wrapper(loader, &program.args) else { break };
                    argv0.clone_from(&command[0]);
                    program = next(program, &loader.name, command);
                    program.content = content_of(&program.path, target);
                }
                Layer::Multicall(multicall) => return applet(multicall, program, &argv0),
                Layer::Wrapper(wrapper, command) => {
                    argv0.clone_from(&command[0]);
                    program = next(program, &wrapper.name, command);
                }
                Layer::Runtime(runtime) => return hosted(runtime, program),
            }
        }
        program
    }

    /// The layer that a program is by its content.
    fn layer_by_content(&self, program: &Program) -> ByContent<'_> {
        let Some(content) = &program.content else { return ByContent::Unknown };
        let native = |name: &str| self.server(name).is_some_and(|s| s.runtime.is_none());
        let mut found = ByContent::Unknown;
        for sign in &content.signs {
            let (name, unwrap) = (&sign.name, &self.unwrap);
            let layer = match sign.kind {
                // A server that embeds an interpreter is a server.
                SignKind::Server if native(name) => return ByContent::IsNone,
                SignKind::Server => None,
                SignKind::Loader => {
                    unwrap.loaders.iter().find(|w| w.name == *name).map(Layer::Loader)
                }
                SignKind::Multicall => {
                    unwrap.multicall.iter().find(|w| w.name == *name).map(Layer::Multicall)
                }
                // A launcher that is the runtime's own program, with the server built in.
                SignKind::Runtime if self.is_launcher(program, name) => return ByContent::IsNone,
                SignKind::Runtime => {
                    unwrap.runtimes.iter().find(|r| r.name == *name).map(Layer::Runtime)
                }
            };
            if let (ByContent::Unknown, Some(layer)) = (&found, layer) {
                found = ByContent::Is(layer);
            }
        }
        found
    }

    /// Whether a program is called like one that starts a server of this runtime.
    fn is_launcher(&self, program: &Program, runtime: &str) -> bool {
        program.names.first().is_some_and(|name| {
            self.by_program(name).any(|server| {
                server.runtime.as_deref() == Some(runtime) && server.launchers.contains(name)
            })
        })
    }

    /// The layer that a program of this name is, if it is one.
    fn layer(&self, name: &str, program: &Program, wrappers: bool) -> Option<Layer<'_>> {
        if let Some(loader) = self.unwrap.loaders.iter().find(|w| w.is(name)) {
            return Some(Layer::Loader(loader));
        }
        if let Some(multicall) = self.unwrap.multicall.iter().find(|w| w.is(name)) {
            return Some(Layer::Multicall(multicall));
        }
        if wrappers && let Some((wrapper, command)) = self.after_any(name, &program.args) {
            return Some(Layer::Wrapper(wrapper, command));
        }
        let runtime = self.runtime_of(name)?;
        let except = runtime.except.iter().any(|path| glob(path, &program.path));
        (!except).then_some(Layer::Runtime(runtime))
    }

    /// The first wrapper of this name that leads to a command; several share a name (`npm`).
    fn after_any(&self, name: &str, args: &[String]) -> Option<(&Wrapper, Vec<String>)> {
        let here = self.unwrap.wrappers.iter().filter(|w| w.is(name));
        here.filter_map(|w| after_wrapper(w, args).map(|command| (w, command))).next()
    }

    /// The text that the wrappers of a command line hand to a shell (`sudo sh -c TEXT`): which
    /// argument it is in, and where in that it begins. `None` if they lead to a program.
    pub fn shell_text(&self, args: &[String]) -> Option<(usize, usize)> {
        let mut from = 0;
        for _ in 0..DEEPEST {
            let name = base_name(args.get(from)?);
            let own = &args[from + 1..];
            let here = self.unwrap.wrappers.iter().filter(|w| w.is(name));
            match here.filter_map(|w| behind(w, own)).next()? {
                Behind::Text { argument, begins } => return Some((from + 1 + argument, begins)),
                Behind::Command(at) => from += 1 + at,
            }
        }
        None
    }
}

/// What content says of layers.
enum ByContent<'c> {
    Is(Layer<'c>),
    IsNone,
    Unknown,
}

impl Program {
    /// The file that runs in the end: the script, the archive, the program.
    pub fn file(&self) -> &str {
        self.archive.as_deref().unwrap_or(&self.path)
    }
}

/// What a file contains, if it is the one that was read.
fn content_of(path: &str, target: Option<&Target>) -> Option<Content> {
    target.filter(|t| !path.is_empty() && t.path == path).map(|t| t.content.clone())
}

/// What stands before a program.
enum Layer<'c> {
    Loader(&'c Wrapper),
    Multicall(&'c Wrapper),
    Wrapper(&'c Wrapper, Vec<String>),
    Runtime(&'c Runtime),
}

fn push_new(names: &mut Vec<String>, name: &str) {
    if !name.is_empty() && names.iter().all(|n| n != name) {
        names.push(name.to_owned());
    }
}

/// The program below one layer.
fn next(mut above: Program, layer: &str, mut command: Vec<String>) -> Program {
    above.layers.push(layer.to_owned());
    let first = command.remove(0);
    Program {
        names: vec![base_name(&first).to_owned()],
        path: first,
        args: command,
        layers: above.layers,
        unseen: above.unseen,
        proved: above.proved,
        ..Program::default()
    }
}

/// What stands behind a wrapper's own options.
enum Behind {
    /// A command, from this argument on.
    Command(usize),
    /// A text for a shell, in this argument from this byte on.
    Text { argument: usize, begins: usize },
}

/// The command that stands behind a wrapper's own options, if there is one.
fn after_wrapper(wrapper: &Wrapper, args: &[String]) -> Option<Vec<String>> {
    match behind(wrapper, args)? {
        Behind::Command(at) => Some(args[at..].to_vec()),
        Behind::Text { argument, begins } => {
            let positional = args.get(argument + 1..).unwrap_or_default();
            first_command(&args[argument][begins..], positional)
        }
    }
}

fn behind(wrapper: &Wrapper, args: &[String]) -> Option<Behind> {
    let mut skip = wrapper.skip;
    let mut verb = wrapper.verbs.is_empty();
    let mut i = 0;
    while let Some(arg) = args.get(i) {
        let (name, attached) = match arg.split_once('=') {
            Some((name, value)) if arg.starts_with("--") => (name, Some(value)),
            _ => (arg.as_str(), None),
        };
        if wrapper.stops.iter().any(|s| s == name) {
            return None;
        }
        if wrapper.command.iter().any(|c| c == name) {
            let own = args[i..].iter().take_while(|arg| *arg != "--");
            if own.into_iter().any(|arg| wrapper.stops.contains(arg)) {
                return None;
            }
            return match attached {
                Some(text) => Some(Behind::Text { argument: i, begins: arg.len() - text.len() }),
                None => args.get(i + 1).map(|_| Behind::Text { argument: i + 1, begins: 0 }),
            };
        }
        // `bash -lc TEXT`.
        let last = |option: &String| option.len() == 2 && arg.ends_with(&option[1..]);
        let cluster = arg.len() > 2 && arg.starts_with('-') && !arg.starts_with("--");
        if cluster && !wrapper.values.contains(arg) && wrapper.command.iter().any(last) {
            return args.get(i + 1).map(|_| Behind::Text { argument: i + 1, begins: 0 });
        }
        if arg == "--" {
            i += 1;
            if skip == 0 && verb {
                break;
            }
        } else if arg.starts_with('-') && arg.len() > 1 {
            let takes_next = attached.is_none() && wrapper.values.iter().any(|v| v == name);
            i += if takes_next { 2 } else { 1 };
        } else if !verb {
            if !wrapper.verbs.iter().any(|v| v == arg) {
                return None;
            }
            verb = true;
            i += 1;
        } else if wrapper.assignments && is_assignment(arg) {
            i += 1;
        } else if skip > 0 {
            skip -= 1;
            i += 1;
        } else {
            break;
        }
    }
    (i < args.len()).then_some(Behind::Command(i))
}

fn is_assignment(word: &str) -> bool {
    word.split_once('=').is_some_and(|(name, _)| {
        !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
    })
}

/// Commands of the shell itself, which lead nowhere.
const BUILTINS: &[&str] = &[
    ".", ":", "[", "alias", "cd", "echo", "export", "false", "local", "mkdir", "printf",
    "readonly", "set", "shift", "sleep", "source", "test", "trap", "true", "ulimit", "umask",
    "unset", "wait",
];

/// The first simple command of a shell text that leads to a program. A full grammar is not needed
/// to find it: words, quotes, and operators that end a command.
fn first_command(text: &str, positional: &[String]) -> Option<Vec<String>> {
    let mut commands: Vec<Vec<String>> = vec![Vec::new()];
    let mut word: Option<String> = None;
    let mut quote = None;
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match (quote, c) {
            (Some(q), _) if c == q => quote = None,
            (Some('"'), '\\') | (None, '\\') => {
                word.get_or_insert_default().extend(chars.next());
            }
            (Some(_), _) => word.get_or_insert_default().push(c),
            (None, '\'' | '"') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (None, ' ' | '\t') => commands.last_mut()?.extend(word.take()),
            (None, ';' | '&' | '|' | '\n' | '<' | '>' | '(' | ')') => {
                commands.last_mut()?.extend(word.take());
                commands.push(Vec::new());
            }
            (None, _) => word.get_or_insert_default().push(c),
        }
    }
    commands.last_mut()?.extend(word);
    commands.into_iter().find_map(|words| simple_command(words, positional))
}

fn simple_command(mut words: Vec<String>, positional: &[String]) -> Option<Vec<String>> {
    const PREFIXES: &[&str] =
        &["exec", "command", "builtin", "eval", "!", "then", "do", "else", "if", "while"];
    let start = words.iter().position(|w| !is_assignment(w) && !PREFIXES.contains(&w.as_str()))?;
    words.drain(..start);
    if words == ["$@"] || words == ["$*"] {
        words = positional.get(1..).unwrap_or_default().to_vec();
    }
    let leads = words.first().is_some_and(|first| !BUILTINS.contains(&first.as_str()));
    leads.then_some(words)
}

/// `busybox httpd -f` and a link `httpd` to busybox are the same applet.
fn applet(multicall: &Wrapper, mut program: Program, argv0: &str) -> Program {
    program.layers.push(multicall.name.clone());
    program.runtime = Some(multicall.name.clone());
    let mut called = base_name(argv0.trim_start_matches('-')).to_owned();
    // It takes any name that begins with its own for itself, and may be asked for itself again.
    let mut own = 0;
    while multicall.is(&called) || called.starts_with(&multicall.name) || called.is_empty() {
        let next = program.args.get(own);
        called = next.map_or("", |next| base_name(next)).to_owned();
        if next.is_none() {
            break;
        }
        own += 1;
    }
    program.args.drain(..own);
    program.names = vec![called];
    program
}

/// What a runtime was asked to run.
fn hosted(runtime: &Runtime, program: Program) -> Program {
    let mut program = asked(runtime, program);
    program.runtime = Some(runtime.name.clone());
    // `python3 -m cProfile -m http.server`: a module that runs another one in its own process.
    for _ in 0..DEEPEST {
        let name = program.module.as_deref().or(program.names.first().map(String::as_str));
        let Some(inner) =
            name.and_then(|name| runtime.inside.iter().find(|i| i.names.iter().any(|n| n == name)))
        else {
            break;
        };
        let below = Program {
            args: std::mem::take(&mut program.args),
            layers: std::mem::take(&mut program.layers),
            unseen: program.unseen,
            proved: program.proved,
            ..Program::default()
        };
        program = asked(inner, below);
        program.runtime = Some(runtime.name.clone());
    }
    program
}

/// What one runtime, or one launcher inside it, was asked to run.
fn asked(runtime: &Runtime, mut program: Program) -> Program {
    program.layers.push(runtime.name.clone());
    program.path = String::new();
    program.names = Vec::new();
    let args = std::mem::take(&mut program.args);
    if runtime.sections {
        let mut sections = args.into_iter().filter(|arg| arg != "--");
        program.options =
            sections.by_ref().take_while(|arg| !runtime.module.contains(arg)).collect();
        program.module = sections.next();
        program.args = sections.collect();
        return program;
    }
    let mut args = args.into_iter().peekable();
    while let Some(arg) = args.next() {
        if arg == "--" {
            target(runtime, &mut program, args.next());
            break;
        }
        if arg == "-" || !arg.starts_with(['-', '+']) || arg.len() == 1 {
            // `java @file` takes arguments out of a file, which nobody reads here.
            if runtime.verbs.contains(&arg) || (runtime.class && arg.starts_with('@')) {
                program.options.push(arg);
                continue;
            }
            target(runtime, &mut program, Some(arg));
            break;
        }
        match option(runtime, &arg, &mut args, &mut program) {
            Flow::Continue => {}
            Flow::Stop => break,
        }
    }
    program.args.extend(args);
    program
}

enum Flow {
    Continue,
    Stop,
}

/// Takes one option of a runtime, with its value.
fn option(
    runtime: &Runtime,
    arg: &str,
    args: &mut std::iter::Peekable<std::vec::IntoIter<String>>,
    program: &mut Program,
) -> Flow {
    let has = |list: &[String], name: &str| list.iter().any(|n| n == name);
    program.options.push(arg.to_owned());
    // Whole words first: `--eval X`, `-jar X`, `-cp X`.
    let (name, attached) = match arg.split_once('=') {
        Some((name, value)) => (name, Some(value.to_owned())),
        None => (arg, None),
    };
    let special = |list: &[String]| has(list, name);
    let long = runtime.words || arg.starts_with("--") || arg.starts_with('+');
    if long || name.len() > 2 && (special(&runtime.code) || special(&runtime.values)) {
        let mut value = || attached.clone().or_else(|| args.next());
        if special(&runtime.script) {
            script(program, value());
            return Flow::Continue;
        }
        if special(&runtime.code) {
            program.code = value();
            return if runtime.code_is_last { Flow::Stop } else { Flow::Continue };
        }
        if special(&runtime.module) {
            program.module = value();
            return Flow::Stop;
        }
        if special(&runtime.archive) {
            program.archive = value();
            program.names.extend(program.archive.as_deref().map(|a| base_name(a).to_owned()));
            return Flow::Stop;
        }
        if special(&runtime.values) && attached.is_none() {
            program.options.extend(args.next());
        }
        return Flow::Continue;
    }
    // Letters: `-Bc CODE`, `-W ignore`, `-MFoo`.
    for (at, letter) in arg.char_indices().skip(1) {
        let name = format!("-{letter}");
        let rest = &arg[at + letter.len_utf8()..];
        let mut value = || {
            if rest.is_empty() { args.next() } else { Some(rest.to_owned()) }
        };
        if has(&runtime.code, &name) {
            let more = value().unwrap_or_default();
            let code = program.code.get_or_insert_default();
            if !code.is_empty() {
                code.push('\n');
            }
            code.push_str(&more);
            return if runtime.code_is_last { Flow::Stop } else { Flow::Continue };
        }
        if has(&runtime.module, &name) {
            program.module = value();
            return Flow::Stop;
        }
        if has(&runtime.script, &name) {
            script(program, value());
            return Flow::Continue;
        }
        if has(&runtime.values, &name) {
            if rest.is_empty() {
                program.options.extend(args.next());
            } else {
                // As if written apart, whatever cluster it stood in.
                program.options.extend([name, rest.to_owned()]);
            }
            return Flow::Continue;
        }
        if has(&runtime.attached, &name) {
            return Flow::Continue;
        }
    }
    Flow::Continue
}

fn script(program: &mut Program, path: Option<String>) {
    if let Some(path) = path {
        program.names = vec![base_name(&path).to_owned()];
        program.path = path;
    }
}

/// The first word behind a runtime's options.
fn target(runtime: &Runtime, program: &mut Program, word: Option<String>) {
    let Some(word) = word else { return };
    if (program.code.is_some() || !program.path.is_empty()) && !runtime.class {
        // `perl -e CODE word`, `php -f FILE word`: the word is an argument of the code.
        program.args.push(word);
        return;
    }
    if runtime.word_is_module {
        program.module = Some(word);
    } else if runtime.class && !word.ends_with(".java") {
        program.class = Some(word);
    } else {
        program.names = vec![base_name(&word).to_owned()];
        program.path = word;
    }
}
