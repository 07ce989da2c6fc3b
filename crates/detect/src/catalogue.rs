//! The catalogue: what is known of each web server, read from `catalogue/*.yaml`.
//!
//! One file a family. A server is recognised by *signs*: any one of them is enough
//! (`names`, `paths`, `modules`, `classes`, `archives`, `code`, `options`), and where
//! `needs` is given, one of its invocations must hold as well. What the arguments then
//! say about serving is `serves` and `manages`.

use std::collections::{BTreeSet, HashMap};

use schemars::JsonSchema;
use serde::Deserialize;
use serde_saphyr::Spanned;

use crate::content::Signature;
use crate::invocation::{ArgumentStyle, Invocation};
use crate::parse::{self, ParseError};
use crate::words::{base_name, same_program, strip_version};

/// One file of the catalogue: a family of related servers.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Family {
    /// The family's name: the file's name without `.yaml`.
    pub family: String,
    /// A sentence on what belongs here.
    pub about: String,
    /// Its servers.
    pub servers: Vec<Server>,
}

/// What a server is to the network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Serves files or pages.
    Web,
    /// Stands before other servers.
    Proxy,
    /// Runs applications.
    AppServer,
    /// Another program's built-in web interface.
    Embedded,
    /// A general tool that can be made to serve.
    Tool,
}

/// One web server.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Server {
    /// The name that detections carry: lower case, digits and hyphens, unique in the catalogue.
    #[schemars(with = "String")]
    pub name: Spanned<String>,
    /// The name as people write it.
    pub title: String,
    /// What it is to the network.
    pub role: Role,
    /// The runtime that hosts it, a name of `catalogue/unwrap.yaml`; absent for a native program.
    /// With a runtime, `names` and `paths` are those of the script, and match only under that runtime.
    #[serde(default)]
    pub runtime: Option<String>,
    /// Base names of the executable or script. A trailing version is tolerated:
    /// `php-fpm` also means `php-fpm8.2`, `gunicorn` also `gunicorn3`.
    #[serde(default)]
    pub names: Vec<String>,
    /// Base names of native programs that start a hosted server without its runtime's own name.
    #[serde(default)]
    pub launchers: Vec<String>,
    /// What its processes call themselves while they run (`comm` or title); `*` allowed.
    #[serde(default)]
    pub process_names: Vec<String>,
    /// Globs of where the program or script is installed, `**` crossing directories.
    #[serde(default)]
    pub paths: Vec<String>,
    /// What its file contains, whatever it is called.
    #[serde(default)]
    pub content: Option<Signature>,
    /// Modules that the runtime is asked to run: `python3 -m http.server`. `*` allowed.
    #[serde(default)]
    pub modules: Vec<String>,
    /// Main classes (Java); `*` allowed.
    #[serde(default)]
    pub classes: Vec<String>,
    /// Base names of archives that are run (`java -jar X`, `dotnet X.dll`); `*` allowed.
    #[serde(default)]
    pub archives: Vec<String>,
    /// Inline code. Each entry is a list of words that must all appear in the runtime's own
    /// options followed by the code given with `-c`, `-e` or the like.
    #[serde(default)]
    pub code: Vec<Vec<String>>,
    /// Options of the runtime itself that tell the server: `-S`, `-Dcatalina.base=*`.
    #[serde(default)]
    pub options: Vec<String>,
    /// Invocations of which one must hold, or it is not this server at all: `s_server -WWW`.
    #[serde(default)]
    pub needs: Vec<Invocation>,
    /// Invocations that serve. Where given, anything that neither serves nor manages is `unknown`.
    #[serde(default)]
    pub serves: Vec<Invocation>,
    /// Invocations that do not serve: configuration tests, versions, signals to a running one.
    #[serde(default)]
    pub manages: Vec<Invocation>,
    /// How its command line is written.
    #[serde(default)]
    pub arguments: ArgumentStyle,
    /// Ports it listens on unless told otherwise.
    #[serde(default)]
    pub ports: Vec<u16>,
    /// Where it can be had: `debian:nginx`, `pypi:gunicorn`, `npm:serve`, `source:…`, `vendor:…`.
    #[serde(default)]
    pub available: Vec<String>,
    /// Command lines that `recipe test` runs through the identification.
    pub samples: Vec<Sample>,
}

/// A command line and what it must be taken for.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Sample {
    /// The arguments, the program first, as the kernel records them at the execution
    /// (for a script that is the interpreter first, then the script's path).
    pub run: Vec<String>,
    /// The file that really runs, where it is not the first argument.
    #[serde(default)]
    pub exe: Option<String>,
    /// What must come out.
    pub expect: Expect,
}

/// What a sample must be taken for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Expect {
    /// This server, serving.
    Serve,
    /// This server, doing something else.
    Manage,
    /// This server, and the arguments do not tell what for.
    Unknown,
    /// Not this server.
    Other,
}

/// How command lines are taken apart before anything is judged: `catalogue/unwrap.yaml`.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Unwrap {
    /// Programs that run another file in their own process: `ld.so ./server`.
    #[serde(default)]
    pub loaders: Vec<Wrapper>,
    /// Programs that are many programs, told apart by their own name or first argument.
    #[serde(default)]
    pub multicall: Vec<Wrapper>,
    /// Interpreters and virtual machines.
    #[serde(default)]
    pub runtimes: Vec<Runtime>,
    /// Programs that execute another program, which is then an execution of its own.
    #[serde(default)]
    pub wrappers: Vec<Wrapper>,
}

/// A program that stands before another one on the command line.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Wrapper {
    /// What it is called here.
    pub name: String,
    /// Its base names; a trailing version is tolerated, `*` allowed.
    pub names: Vec<String>,
    /// Options that take the next argument as their value.
    #[serde(default)]
    pub values: Vec<String>,
    /// How many words of its own come before the command (`timeout 5 cmd`: 1).
    #[serde(default)]
    pub skip: usize,
    /// Whether `NAME=value` words may come before the command (`env`).
    #[serde(default)]
    pub assignments: bool,
    /// Options whose value is a whole command line (`sh -c`).
    #[serde(default)]
    pub command: Vec<String>,
    /// Sub-commands that must come first (`npm exec`, `uv run`); any one of them.
    #[serde(default)]
    pub verbs: Vec<String>,
    /// Options with which nothing is run (`ld.so --list`).
    #[serde(default)]
    pub stops: Vec<String>,
    /// What its file contains, whatever it is called.
    #[serde(default)]
    pub content: Option<Signature>,
}

/// An interpreter or virtual machine.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Runtime {
    /// The name that servers refer to.
    pub name: String,
    /// Base names of its executable; a trailing version is tolerated, `*` allowed.
    pub names: Vec<String>,
    /// Globs of paths where a file of such a name is something else.
    #[serde(default)]
    pub except: Vec<String>,
    /// Options that take the next argument as their value.
    #[serde(default)]
    pub values: Vec<String>,
    /// Options whose value, if there is any, is the rest of the same argument (`perl -MFoo`).
    #[serde(default)]
    pub attached: Vec<String>,
    /// Options followed by code (`-c`, `-e`).
    #[serde(default)]
    pub code: Vec<String>,
    /// Whether code ends the runtime's own options (`python3 -c CODE -m is-an-argument`).
    #[serde(default)]
    pub code_is_last: bool,
    /// Options followed by a module to run, ending the runtime's own options (`-m`).
    #[serde(default)]
    pub module: Vec<String>,
    /// Options followed by a script to run (`php -f`).
    #[serde(default)]
    pub script: Vec<String>,
    /// Whether `--` only parts sections and nothing is a script (Erlang): everything counts as
    /// the runtime's own options.
    #[serde(default)]
    pub sections: bool,
    /// Options followed by an archive to run (`-jar`).
    #[serde(default)]
    pub archive: Vec<String>,
    /// Whether the first word is a class, not a script (Java).
    #[serde(default)]
    pub class: bool,
    /// Whether the options are single-dash words (`-jar`), not clusters of letters.
    #[serde(default)]
    pub words: bool,
    /// Sub-commands that stand before the script (`deno run`, `bun run`).
    #[serde(default)]
    pub verbs: Vec<String>,
    /// Whether the first word is a module (`python3 -m runpy http.server`).
    #[serde(default)]
    pub word_is_module: bool,
    /// Modules and scripts that run another one in their own process, read like a runtime.
    #[serde(default)]
    pub inside: Vec<Runtime>,
    /// What its file contains, whatever it is called.
    #[serde(default)]
    pub content: Option<Signature>,
}

/// The whole catalogue, ready to be asked.
#[derive(Debug, Clone, Default)]
pub struct Catalogue {
    /// Every server, in the order of the files.
    pub servers: Vec<Server>,
    /// How command lines are taken apart.
    pub unwrap: Unwrap,
    /// What a server is called that nobody knows.
    pub(crate) unknown: Option<Server>,
    /// Servers by the base names of their programs, versions cut off.
    by_program: HashMap<String, Vec<usize>>,
    /// The file each server came from, for messages.
    origin: Vec<String>,
}

/// The name of a server that nobody knows.
pub const UNKNOWN: &str = "unknown";
const UNKNOWN_SERVER: &str =
    "{name: unknown, title: an unknown web server, role: web, samples: []}";

/// The file that says how command lines are taken apart.
pub const UNWRAP_FILE: &str = "unwrap.yaml";

impl Catalogue {
    /// Reads a catalogue from its files, given as path and text. Every error is reported, not
    /// only the first. A file that cannot be read contributes nothing; an entry that makes no sense
    /// is left out, and the others of its file stay.
    pub fn parse<'a>(
        files: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> (Self, Vec<ParseError>) {
        let mut catalogue = Self::default();
        let mut errors = Vec::new();
        for (path, text) in files {
            if path.rsplit('/').next() == Some(UNWRAP_FILE) {
                match parse::yaml(path, text) {
                    Ok(unwrap) => catalogue.unwrap.merge(path, unwrap, &mut errors),
                    Err(error) => errors.push(error),
                }
                continue;
            }
            match parse::yaml::<Family>(path, text) {
                Ok(family) => catalogue.add(path, family, &mut errors),
                Err(error) => errors.push(error),
            }
        }
        catalogue.unknown = parse::yaml("", UNKNOWN_SERVER).ok();
        catalogue.check_runtimes(&mut errors);
        catalogue.check_content(&mut errors);
        (catalogue, errors)
    }

    fn add(&mut self, path: &str, family: Family, errors: &mut Vec<ParseError>) {
        for server in family.servers {
            if let Err(message) = self.check(&server) {
                errors.push(ParseError::at(path, &server.name.referenced, message));
                continue;
            }
            let index = self.servers.len();
            for name in server.program_names() {
                self.by_program.entry(strip_version(name).to_owned()).or_default().push(index);
            }
            self.servers.push(server);
            self.origin.push(path.to_owned());
        }
    }

    fn check(&self, server: &Server) -> Result<(), String> {
        let name = server.name();
        let slug = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if name.is_empty() || !name.chars().all(slug) {
            return Err(format!(
                "server name {name:?}: expected lower-case letters, digits and hyphens"
            ));
        }
        if name == UNKNOWN {
            return Err(format!("server name {name:?} is for servers that nobody knows"));
        }
        if let Some(i) = self.servers.iter().position(|other| other.name() == name) {
            let file = &self.origin[i];
            return Err(format!("server {name:?} is already described in {file}"));
        }
        let signs = [
            &server.names,
            &server.paths,
            &server.modules,
            &server.classes,
            &server.archives,
            &server.options,
        ];
        if signs.iter().all(|sign| sign.is_empty()) && server.code.is_empty() {
            return Err(format!(
                "server {name:?} has no sign: expected at least one of names, paths, modules, \
                 classes, archives, code, options"
            ));
        }
        if server.names.iter().any(|n| n.contains(['*', '/'])) {
            return Err(format!("server {name:?}: names are plain base names, without * or /"));
        }
        if server.runtime.is_none() {
            let hosted = [&server.modules, &server.classes, &server.archives, &server.options];
            if hosted.iter().any(|sign| !sign.is_empty()) || !server.code.is_empty() {
                return Err(format!(
                    "server {name:?}: modules, classes, archives, options and code need a runtime"
                ));
            }
            // The kernel's filter knows base names; a path that ends in a wildcard would be
            // something it cannot let through.
            let bad = |p: &&String| p.rsplit('/').next().is_none_or(|last| last.contains('*'));
            if let Some(path) = server.paths.iter().find(bad) {
                return Err(format!(
                    "server {name:?}: path {path:?} of a native program must end in a plain name"
                ));
            }
        }
        if let Some(content) = &server.content {
            content
                .check(server.runtime.is_some())
                .map_err(|message| format!("server {name:?}: {message}"))?;
        }
        if server.samples.is_empty() {
            return Err(format!("server {name:?} has no samples: expected at least one"));
        }
        Ok(())
    }

    fn check_runtimes(&self, errors: &mut Vec<ParseError>) {
        for (server, path) in self.servers.iter().zip(&self.origin) {
            let Some(runtime) = &server.runtime else {
                continue;
            };
            let known = self.unwrap.runtimes.iter().any(|r| r.name == *runtime)
                || self.unwrap.multicall.iter().any(|m| m.name == *runtime);
            if !known {
                let name = server.name();
                errors.push(ParseError::at(
                    path,
                    &server.name.referenced,
                    format!("server {name:?}: runtime {runtime:?} is not in {UNWRAP_FILE}"),
                ));
            }
        }
    }

    /// What a server is built on must be known, and must not lead back to itself.
    fn check_content(&mut self, errors: &mut Vec<ParseError>) {
        for (server, path) in self.servers.iter().zip(&self.origin) {
            let of = |server: &Server| server.content.as_ref().and_then(|c| c.of.clone());
            let (mut next, mut steps) = (of(server), 0);
            while let Some(base) = next {
                let Some(base_server) = self.server(&base) else {
                    errors.push(ParseError::at(
                        path,
                        &server.name.referenced,
                        format!(
                            "server {:?}: content is of {base:?}, which is not known",
                            server.name()
                        ),
                    ));
                    break;
                };
                next = of(base_server);
                steps += 1;
                if steps > 8 {
                    errors.push(ParseError::at(
                        path,
                        &server.name.referenced,
                        format!("server {:?}: content is of itself, in the end", server.name()),
                    ));
                    break;
                }
            }
        }
        // What makes no sense is left out, and the layer stays known by its name.
        let unwrap = &mut self.unwrap;
        let wrappers = unwrap.loaders.iter_mut().chain(&mut unwrap.multicall);
        let wrappers = wrappers.map(|w| (&w.name, &mut w.content));
        let runtimes = unwrap.runtimes.iter_mut().map(|r| (&r.name, &mut r.content));
        for (name, content) in wrappers.chain(runtimes) {
            if let Some(Err(message)) = content.as_ref().map(|c| c.check(false)) {
                *content = None;
                errors.push(ParseError::line(UNWRAP_FILE, 1, format!("{name:?}: {message}")));
            }
        }
    }

    /// The servers that a program of this base name could be.
    pub(crate) fn by_program<'c>(
        &'c self,
        name: &str,
    ) -> impl Iterator<Item = &'c Server> + use<'c> {
        let same = self.by_program.get(strip_version(name)).into_iter().flatten();
        same.map(|&i| &self.servers[i])
    }

    /// The server of this name.
    pub fn server(&self, name: &str) -> Option<&Server> {
        self.servers.iter().find(|server| server.name() == name)
    }

    /// The file that describes the server of this name.
    pub fn origin(&self, name: &str) -> Option<&str> {
        let index = self.servers.iter().position(|server| server.name() == name)?;
        self.origin.get(index).map(String::as_str)
    }

    /// The runtime whose executable has this base name.
    pub fn runtime_of(&self, name: &str) -> Option<&Runtime> {
        self.unwrap.runtimes.iter().find(|r| r.names.iter().any(|n| same_program(n, name)))
    }
}

impl Server {
    /// The name that detections carry.
    pub fn name(&self) -> &str {
        &self.name.value
    }

    /// Whether it is known by inline code alone.
    pub(crate) fn is_inline(&self) -> bool {
        let others =
            [&self.names, &self.paths, &self.modules, &self.classes, &self.archives, &self.options];
        others.into_iter().all(Vec::is_empty)
    }

    /// Whether a native program of this base name can be it.
    pub fn is_native(&self, name: &str) -> bool {
        self.runtime.is_none() || self.launchers.iter().any(|l| same_program(l, name))
    }

    /// The base names that its program can have: its names and the ends of its paths.
    pub fn program_names(&self) -> BTreeSet<&str> {
        let ends = self.paths.iter().map(|path| base_name(path)).filter(|n| !n.contains('*'));
        let names = self.names.iter().chain(&self.launchers);
        names.map(String::as_str).chain(ends).collect()
    }
}

impl Unwrap {
    /// Adds what another file says. A name can be described once.
    fn merge(&mut self, path: &str, other: Self, errors: &mut Vec<ParseError>) {
        let mut complain = |what: &str, name: &str| {
            errors.push(ParseError::line(path, 1, format!("{what} {name:?} is described twice")));
        };
        let lists = [
            ("loader", &mut self.loaders, other.loaders),
            ("multicall", &mut self.multicall, other.multicall),
            ("wrapper", &mut self.wrappers, other.wrappers),
        ];
        for (what, into, more) in lists {
            for one in more {
                if into.iter().any(|known| known.name == one.name) {
                    complain(what, &one.name);
                } else {
                    into.push(one);
                }
            }
        }
        for one in other.runtimes {
            if self.runtimes.iter().any(|known| known.name == one.name) {
                complain("runtime", &one.name);
            } else {
                self.runtimes.push(one);
            }
        }
    }
}

impl Wrapper {
    /// Whether a program of this base name is this wrapper.
    pub fn is(&self, name: &str) -> bool {
        self.names.iter().any(|n| same_program(n, name))
    }
}
