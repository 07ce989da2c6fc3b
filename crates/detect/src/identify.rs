//! Which web server is this? The ladder of evidence, rung by rung.
//!
//! name → path and package → arguments → content → build id; behaviour is the engine's. What a file
//! contains outranks what it is called.

use event::{Confidence, Content, Evidence, EvidenceKind, FileKind, Process, Purpose, SignKind};

use crate::catalogue::{Catalogue, Server};
use crate::content::Signature;
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
    /// The version, where the file tells it.
    pub version: Option<String>,
    /// Whether the file was read and is not what it is called: only its name speaks for the server.
    pub disputed: bool,
    /// The path of what runs: the file, or the script that an interpreter was given.
    pub path: String,
}

impl Catalogue {
    /// The web server that a process runs, if it is one.
    pub fn identify(&self, process: &Process) -> Option<Identity<'_>> {
        let program = self.in_process(process);
        let mut identity = self.identify_program(&program)?;
        let owned = look_at_package(process, &program, &mut identity);
        self.look_at_names(process, &program, &mut identity, owned);
        look_at_readability(&program, &mut identity);
        Some(identity)
    }

    /// The web server that a program is, by name, path and arguments.
    pub fn identify_program(&self, program: &Program) -> Option<Identity<'_>> {
        let mut best: Option<(u32, &Server, Vec<Evidence>, Agreement<'_>)> = None;
        for server in self.candidates(program) {
            let agreement = self.agreement(server, program);
            let Some((weight, evidence)) = signs(server, program, &agreement) else {
                continue;
            };
            if best.as_ref().is_none_or(|(most, ..)| weight > *most) {
                best = Some((weight, server, evidence, agreement));
            }
        }
        let (_, server, mut evidence, agreement) = best?;
        let purpose = purpose(server, program, &mut evidence);
        let (mut confidence, mut disputed, mut version) = (Confidence::Weak, false, None);
        match agreement {
            Agreement::Agrees { version: told, .. } => {
                confidence = Confidence::Strong;
                version = told.cloned();
            }
            Agreement::Disagrees { known } => {
                disputed = true;
                evidence.push(Evidence {
                    kind: EvidenceKind::Content,
                    agrees: false,
                    detail: format!(
                        "its file shows none of the {known} signs known of {}",
                        server.title
                    ),
                });
            }
            Agreement::Silent => {
                // The interpreter is what it seems, and was told what to run: nothing of that can
                // be forged.
                let told = |e: &Evidence| e.kind == EvidenceKind::Argv;
                let applet = program
                    .runtime
                    .as_ref()
                    .is_some_and(|r| self.unwrap.multicall.iter().any(|m| m.name == *r));
                let word = program.names.is_empty() && evidence.iter().any(told);
                if program.proved && (applet || word) {
                    confidence = Confidence::Strong;
                }
            }
        }
        Some(Identity {
            server,
            purpose,
            confidence,
            masquerade: false,
            evidence,
            version,
            disputed,
            path: program.path.clone(),
        })
    }

    /// The web server that is in what a process has mapped: a library, a program that a loader
    /// brought in, or what a packer left in its memory.
    pub fn identify_mapped(
        &self,
        process: &Process,
        mapped: &event::Mapped,
    ) -> Option<Identity<'_>> {
        let whole = self.in_process(process);
        let program = Program {
            path: mapped.path.clone(),
            names: vec![base_name(&mapped.path).to_owned()],
            args: whole.args,
            layers: whole.layers,
            content: Some(mapped.content.clone()),
            ..Program::default()
        };
        let mut identity = self.identify_program(&program)?;
        if identity.confidence < Confidence::Strong {
            return None;
        }
        let library = !process.exe.path.is_empty() && process.exe.path != mapped.path;
        let place = Evidence {
            kind: EvidenceKind::Content,
            agrees: true,
            detail: if library {
                format!("{} is mapped into its memory", mapped.path)
            } else {
                format!("in its memory: {}", mapped.path)
            },
        };
        identity.evidence.push(place);
        identity.path.clone_from(&process.exe.path);
        let owned = look_at_package(process, &Program::default(), &mut identity);
        self.look_at_names(process, &program, &mut identity, owned);
        Some(identity)
    }

    /// A server that nobody knows, proved by what it does.
    pub fn unknown(&self, process: &Process) -> Option<Identity<'_>> {
        Some(Identity {
            server: self.unknown.as_ref()?,
            purpose: Purpose::Serve,
            confidence: Confidence::Confirmed,
            masquerade: false,
            evidence: Vec::new(),
            version: None,
            disputed: false,
            path: process.exe.path.clone(),
        })
    }

    /// What the file's content says of a server.
    fn agreement<'p>(&self, server: &Server, program: &'p Program) -> Agreement<'p> {
        let Some(content) = &program.content else { return Agreement::Silent };
        let own = |s: &&event::Sign| s.kind == SignKind::Server && s.name == server.name();
        if let Some(sign) = content.signs.iter().find(own) {
            return Agreement::Agrees {
                found: &sign.found,
                version: sign.version.as_ref(),
                fork: server.content.as_ref().is_some_and(|c| c.of.is_some()),
                same_file: false,
            };
        }
        let Some(signature) = &server.content else { return Agreement::Silent };
        let (mut root, mut own, mut depth) = (server, signature.has_own(), 0);
        let same_file = !own;
        while !own {
            let base = root.content.as_ref().and_then(|c| c.of.as_deref());
            let Some(base) = base.and_then(|base| self.server(base)) else {
                return Agreement::Silent;
            };
            own = base.content.as_ref().is_some_and(Signature::has_own);
            root = base;
            depth += 1;
            if depth > 8 {
                return Agreement::Silent;
            }
        }
        let shown = |s: &&event::Sign| s.kind == SignKind::Server && s.name == root.name();
        if let Some(sign) = content.signs.iter().find(shown) {
            let fork = root.content.as_ref().is_some_and(|c| c.of.is_some());
            return Agreement::Agrees {
                found: &sign.found,
                version: sign.version.as_ref(),
                fork,
                same_file,
            };
        }
        let readable = content.problem.is_none() && content.packed.is_none();
        let native = matches!(content.kind, FileKind::Elf | FileKind::Library);
        if readable && native && server.runtime.is_none() {
            let signature = root.content.as_ref().unwrap_or(signature);
            let known = signature.literals.len() + signature.go.len() + signature.crates.len();
            return Agreement::Disagrees { known };
        }
        Agreement::Silent
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
                // Of a file that nobody has looked at: that it is a script is the lesser guess.
                found.sort_by_key(|server| server.runtime.is_some());
                if let Some(content) = &program.content
                    && content.signs.iter().any(|s| s.kind == SignKind::Server)
                {
                    found.extend(self.servers.iter().filter(|s| {
                        s.runtime.is_none() && s.content.is_some() && self.is_in(s, content)
                    }));
                }
                found
            }
            Some(runtime) => {
                let hosted = |s: &&Server| s.runtime.as_ref() == Some(runtime);
                self.servers.iter().filter(hosted).collect()
            }
        }
    }

    /// Whether a server, or the one whose file it shares, is in a file.
    fn is_in(&self, server: &Server, content: &Content) -> bool {
        let mut next = Some(server);
        for _ in 0..8 {
            let Some(server) = next else { return false };
            if content.shows(SignKind::Server, server.name()) {
                return true;
            }
            let signature = server.content.as_ref();
            let shared = signature.filter(|s| !s.has_own()).and_then(|s| s.of.as_deref());
            next = shared.and_then(|of| self.server(of));
        }
        false
    }

    /// Whether what the process is called fits what it is.
    ///
    /// `owned`: a package brought the file to where it is, so that its name is no disguise.
    fn look_at_names(
        &self,
        process: &Process,
        program: &Program,
        identity: &mut Identity<'_>,
        owned: bool,
    ) {
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
        let bare = program.runtime.is_none() && program.layers.is_empty();
        if bare && !identity.names_it(real) && !owned {
            lies.push(format!("the file is called {real}"));
        }
        let brought = base_name(&program.path);
        if program.runtime.is_none() && !bare && !brought.is_empty() && !identity.names_it(brought)
        {
            lies.push(format!(
                "the file that {} runs is called {brought}",
                program.layers.join(" → ")
            ));
        }
        // An interpreter that a loader brought in.
        if let Some(target) = &process.target
            && program.runtime.is_some()
            && program.layers.len() > 1
            && target.path != program.file()
            && !layer_names(base_name(&target.path))
        {
            lies.push(format!("the interpreter that is run is called {}", base_name(&target.path)));
        }
        // A script or archive whose content, and not its name, tells what it is.
        let file = base_name(program.file());
        let by_content =
            identity.evidence.iter().any(|e| e.kind == EvidenceKind::Content && e.agrees);
        let named = identity.evidence.iter().any(|e| {
            matches!(e.kind, EvidenceKind::Name | EvidenceKind::Path | EvidenceKind::Argv)
                && e.agrees
                && !e.detail.starts_with("arguments ")
        });
        if program.runtime.is_some() && !file.is_empty() && by_content && !named {
            lies.push(format!(
                "the file that {} runs is called {file}",
                program.layers.join(" → ")
            ));
        }
        if let Some(layer) = program.layers.first()
            && program.proved
            && !layer_names(real)
            && !identity.names_it(real)
            && !owned
        {
            lies.push(format!("the file is called {real}, and is {layer}"));
        }
        if process.interpreter.is_none() && !is_handle(&process.invoked_as) {
            let asked = base_name(&process.invoked_as);
            let same = owned && asked == real;
            if !same && (!known(asked) || program.runtime.is_none() && !identity.names_it(asked)) {
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

/// What content says of a server.
enum Agreement<'p> {
    /// The server's texts are there.
    Agrees { found: &'p [String], version: Option<&'p String>, fork: bool, same_file: bool },
    /// The file was read, and none of what is known of the server is in it.
    Disagrees { known: usize },
    /// Nothing is known, or nothing was read.
    Silent,
}

/// What the package database says of the file. Returns whether a package brought it, unchanged.
fn look_at_package(process: &Process, program: &Program, identity: &mut Identity<'_>) -> bool {
    let exe = &process.exe;
    let Some(package) = &exe.package else { return false };
    let mut add = |agrees, detail| {
        identity.evidence.push(Evidence { kind: EvidenceKind::Package, agrees, detail });
    };
    if exe.intact == Some(false) {
        add(false, format!("{} is not as package {package} brought it", exe.path));
        return false;
    }
    let checked = if exe.intact.is_some() { ", unchanged" } else { "" };
    add(true, format!("{} is of package {package}{checked}", exe.path));
    let bare = program.layers.is_empty();
    if bare && identity.version.is_none() {
        identity.version = upstream_version(package);
    }
    let itself = bare || identity.names_it(base_name(&exe.path));
    if exe.intact == Some(true) && itself && !identity.disputed {
        identity.confidence = identity.confidence.max(Confidence::Strong);
    }
    exe.intact == Some(true)
}

/// `1.22.1` out of `nginx 1:1.22.1-9+deb12u1`.
fn upstream_version(package: &str) -> Option<String> {
    let version = package.rsplit(' ').next()?;
    let version = version.split_once(':').map_or(version, |(_, rest)| rest);
    let version = version.rsplit_once('-').map_or(version, |(upstream, _)| upstream);
    version.starts_with(|c: char| c.is_ascii_digit()).then(|| version.to_owned())
}

/// What could not be read is said, since hiding it is a sign as well.
fn look_at_readability(program: &Program, identity: &mut Identity<'_>) {
    let Some(content) = &program.content else { return };
    let mut add = |detail| {
        identity.evidence.push(Evidence { kind: EvidenceKind::Content, agrees: false, detail });
    };
    if let Some(whom) = &content.packed {
        add(format!("packed by {whom}: what is in it does not show"));
    }
    if let Some(problem) = &content.problem {
        add(format!("cannot be read to the end: {problem}"));
    }
}

/// Texts found in a file, the first few of them.
fn quoted(found: &[String]) -> String {
    let words = |text: &String| {
        let own_words = ["built from ", "GNU build id ", "code with "];
        if own_words.iter().any(|w| text.starts_with(w)) {
            text.clone()
        } else {
            format!("{text:?}")
        }
    };
    let mut text = found.iter().take(3).map(words).collect::<Vec<_>>().join(" and ");
    if found.len() > 3 {
        text.push_str(&format!(" and {} more", found.len() - 3));
    }
    text
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
fn signs(
    server: &Server,
    program: &Program,
    agreement: &Agreement<'_>,
) -> Option<(u32, Vec<Evidence>)> {
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
    if let Agreement::Agrees { found: texts, fork, same_file, .. } = agreement
        // Of several servers with the same file, content cannot tell which one it is.
        && (!same_file || !found.is_empty() || !server.needs.is_empty())
    {
        // Words of a script say less than a name that fits.
        let words = texts.first().is_some_and(|t| t.starts_with("code with "));
        weight += match (words, fork) {
            (true, _) => 4,
            (false, true) => 30,
            (false, false) => 20,
        };
        let built = texts.first().is_some_and(|t| t.starts_with("GNU build id "));
        let kind = if built { EvidenceKind::BuildId } else { EvidenceKind::Content };
        found.push(Evidence {
            kind,
            agrees: true,
            detail: format!("its file holds {}", quoted(texts)),
        });
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
