//! Which web server is this? The ladder of evidence, rung by rung.
//!
//! name → path → arguments. (Package, content, build id and behaviour are further rungs;
//! each adds evidence to the same list and may raise the confidence.)

use event::{Confidence, Evidence, EvidenceKind, Process, Purpose};

use crate::catalogue::{Catalogue, Server};
use crate::invocation::{Invocation, Rigour};
use crate::unwrap::Program;
use crate::words::{base_name, glob, same_program, strip_version};

/// What a program was taken for.
#[derive(Debug, Clone)]
pub struct Identity<'c> {
    /// The catalogue's entry.
    pub server: &'c Server,
    /// What this invocation is for.
    pub purpose: Purpose,
    /// How sure.
    pub confidence: Confidence,
    /// Whether a name says something else.
    pub masquerade: bool,
    /// What speaks for it and against it.
    pub evidence: Vec<Evidence>,
    /// The path of what runs: the file, or the script that an interpreter was given.
    pub path: String,
}

impl Catalogue {
    /// The web server that a process runs, if it is one.
    pub fn identify(&self, process: &Process) -> Option<Identity<'_>> {
        let program = self.in_process(process);
        let mut identity = self.identify_program(&program)?;
        self.look_at_names(process, &program, &mut identity);
        Some(identity)
    }

    /// The web server that a program is, by name, path and arguments.
    pub fn identify_program(&self, program: &Program) -> Option<Identity<'_>> {
        let mut best: Option<(u32, &Server, Vec<Evidence>)> = None;
        for server in self.candidates(program) {
            let Some((weight, evidence)) = signs(server, program) else {
                continue;
            };
            if best.as_ref().is_none_or(|(most, ..)| weight > *most) {
                best = Some((weight, server, evidence));
            }
        }
        let (_, server, mut evidence) = best?;
        let purpose = purpose(server, program, &mut evidence);
        Some(Identity {
            server,
            purpose,
            confidence: Confidence::Weak,
            masquerade: false,
            evidence,
            path: program.path.clone(),
        })
    }

    /// The servers worth a look: by name for native programs, by runtime for hosted ones.
    fn candidates<'c>(&'c self, program: &Program) -> Vec<&'c Server> {
        match &program.runtime {
            None => {
                let mut found = Vec::new();
                for name in &program.names {
                    found.extend(
                        self.by_program(name).filter(|s| program.unseen || s.is_native(name)),
                    );
                }
                found
            }
            Some(runtime) => {
                let hosted = |s: &&Server| s.runtime.as_ref() == Some(runtime);
                self.servers.iter().filter(hosted).collect()
            }
        }
    }

    /// Whether what the process is called fits what it is.
    fn look_at_names(&self, process: &Process, program: &Program, identity: &mut Identity<'_>) {
        let layer_names = |name: &str| {
            self.runtime_of(name).is_some()
                || self.unwrap.loaders.iter().chain(&self.unwrap.multicall).any(|w| w.is(name))
        };
        let known = |name: &str| {
            name.is_empty()
                || same_program(strip_version(base_name(&process.exe.path)), name)
                || identity
                    .server
                    .program_names()
                    .iter()
                    .any(|n| same_program(n, name) || same_program(strip_version(n), name))
                || program.names.iter().any(|n| n == name)
                || layer_names(name)
        };
        let mut lies = Vec::new();
        let real = base_name(&process.exe.path);
        if program.runtime.is_none() && program.layers.is_empty() && !identity.names_it(real) {
            lies.push(format!("the file is called {real}"));
        }
        if process.interpreter.is_none() && !is_handle(&process.invoked_as) {
            let asked = base_name(&process.invoked_as);
            if !known(asked) || program.runtime.is_none() && !identity.names_it(asked) {
                lies.push(format!("asked for as {}", process.invoked_as));
            }
        }
        if let Some(argv0) = process.args.first() {
            let name = base_name(argv0.trim_start_matches('-'));
            // A title such as "nginx: master process" is the program's own word for itself.
            let first = name.split([':', ' ']).next().unwrap_or(name);
            if !known(name) && !known(first) {
                lies.push(format!("calls itself {argv0}"));
            }
        }
        for lie in lies {
            identity.masquerade = true;
            identity.evidence.push(Evidence {
                kind: EvidenceKind::Name,
                agrees: false,
                detail: lie,
            });
        }
    }
}

/// Whether a path is only a way to a file that is already known, and says nothing of its name.
pub(crate) fn is_handle(path: &str) -> bool {
    path.contains("/fd/") || (path.starts_with("/proc/") && path.ends_with("/exe"))
}

impl Identity<'_> {
    fn names_it(&self, name: &str) -> bool {
        self.server
            .program_names()
            .iter()
            .any(|n| same_program(n, name) || strip_version(n) == strip_version(name))
    }
}

/// The signs of a server that a program shows, and their weight; `None` if it is not this one.
fn signs(server: &Server, program: &Program) -> Option<(u32, Vec<Evidence>)> {
    let mut found = Vec::new();
    let mut weight = 0;
    let mut sign = |points: u32, kind, detail: String| {
        weight += points;
        found.push(Evidence { kind, agrees: true, detail });
    };
    let names = own_names(server, program);
    let called = |name: &&String| names.iter().any(|n| same_program(n, name));
    if let Some(name) = program.names.iter().find(called) {
        let exact = names.contains(name);
        sign(if exact { 3 } else { 2 }, EvidenceKind::Name, format!("called {name}"));
    }
    if let Some(glob_) = server.paths.iter().find(|p| glob(p, &program.path)) {
        sign(4, EvidenceKind::Path, format!("installed at {} (known: {glob_})", program.path));
    }
    if let Some(module) = &program.module
        && server.modules.iter().any(|m| glob(m, module))
    {
        sign(5, EvidenceKind::Argv, format!("runs module {module}"));
    }
    if let Some(class) = &program.class
        && server.classes.iter().any(|c| glob(c, class))
    {
        sign(5, EvidenceKind::Argv, format!("runs class {class}"));
    }
    if let Some(archive) = &program.archive
        && server.archives.iter().any(|a| glob(a, base_name(archive)))
    {
        sign(5, EvidenceKind::Argv, format!("runs archive {archive}"));
    }
    if let Some(option) =
        program.options.iter().find(|o| server.options.iter().any(|s| option_is(s, o)))
    {
        sign(4, EvidenceKind::Argv, format!("runtime option {option}"));
    }
    if !server.code.is_empty() && (program.code.is_some() || !program.options.is_empty()) {
        let text =
            format!("{}\n{}", program.options.join(" "), program.code.as_deref().unwrap_or(""));
        if let Some(words) =
            server.code.iter().find(|ws| ws.iter().all(|w| text.contains(w.as_str())))
        {
            let quoted: Vec<String> = words.iter().map(|w| format!("{w:?}")).collect();
            sign(4, EvidenceKind::Argv, format!("inline code with {}", quoted.join(" and ")));
        }
    }
    if found.is_empty() {
        return None;
    }
    if !server.needs.is_empty() {
        let arguments = server.arguments.split(&program.args);
        let need =
            server.needs.iter().find(|n| n.holds(&arguments, &server.arguments, Rigour::Loose))?;
        weight += 3;
        found.push(Evidence {
            kind: EvidenceKind::Argv,
            agrees: true,
            detail: format!("arguments ask it to serve: {need}"),
        });
    }
    Some((weight, found))
}

/// The names under which a program of this kind can be the server.
fn own_names<'s>(server: &'s Server, program: &Program) -> &'s [String] {
    let launched = program.runtime.is_none() && server.runtime.is_some();
    if launched && !(program.unseen && server.launchers.is_empty()) {
        &server.launchers
    } else {
        &server.names
    }
}

/// `-S` also means `-S 127.0.0.1:80` and, where attached, `-S127.0.0.1:80`.
fn option_is(sign: &str, option: &str) -> bool {
    glob(sign, option)
        || (sign.len() == 2 && option.starts_with(sign) && !option.starts_with("--"))
        || option.split_once('=').is_some_and(|(name, _)| name == sign)
}

/// What the arguments ask for.
fn purpose(server: &Server, program: &Program, evidence: &mut Vec<Evidence>) -> Purpose {
    if program.code.is_some() {
        // What inline code makes of its arguments, nobody knows.
        return Purpose::Serve;
    }
    // Nothing but this: no native program serves then, whatever else the catalogue says of it.
    // (Scripts are another matter: some do not look at their arguments.)
    if server.runtime.is_none()
        && let [only] = program.args.as_slice()
        && matches!(only.as_str(), "--version" | "-version" | "--help" | "-help")
    {
        evidence.push(Evidence {
            kind: EvidenceKind::Argv,
            agrees: true,
            detail: format!("arguments do not ask it to serve: {only}"),
        });
        return Purpose::Manage;
    }
    let arguments = server.arguments.split(&program.args);
    let first = |list: &[Invocation], rigour| {
        let found = list.iter().find(|i| i.holds(&arguments, &server.arguments, rigour));
        found.map(ToString::to_string)
    };
    let commands = server.needs.iter().chain(&server.serves);
    let commands = commands.filter(|i| i.holds(&arguments, &server.arguments, Rigour::Loose));
    let behind = commands.map(Invocation::words).max().unwrap_or(0);
    if let Some(what) = first(&server.manages, Rigour::Strict { behind }) {
        evidence.push(Evidence {
            kind: EvidenceKind::Argv,
            agrees: true,
            detail: format!("arguments do not ask it to serve: {what}"),
        });
        return Purpose::Manage;
    }
    if server.serves.is_empty() {
        return Purpose::Serve;
    }
    match first(&server.serves, Rigour::Loose) {
        Some(what) => {
            evidence.push(Evidence {
                kind: EvidenceKind::Argv,
                agrees: true,
                detail: format!("arguments ask it to serve: {what}"),
            });
            Purpose::Serve
        }
        None => Purpose::Unknown,
    }
}
