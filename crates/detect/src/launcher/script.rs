//! Scripts that package managers and pipelines run, by what the kernel remembers of the processes
//! that ran them.

use event::Ancestor;

use super::known::{PACKAGE_MANAGERS, SHELLS, command, is, script};
use crate::words::{base_name, strip_version};

/// A script or a tool among the ancestors.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Script {
    /// What it is, in words.
    pub(super) what: String,
    /// What it is called, or what it says.
    pub(super) script: Option<String>,
}

/// The script of a package manager, or a tool that runs such scripts, that an ancestor is.
pub(super) fn package(ancestry: &[Ancestor], at: usize) -> Option<Script> {
    let ancestor = &ancestry[at];
    if let Some((script, why)) = maintainer(ancestor) {
        let by = ancestry[at + 1..].iter().filter(|a| is(a, PACKAGE_MANAGERS));
        let by: Vec<String> = by.take(2).map(|a| format!("{} ({})", a.comm, a.pid)).collect();
        let by = if by.is_empty() { String::new() } else { format!(", run by {}", by.join(", ")) };
        return Some(Script { what: format!("package script {why}{by}"), script: Some(script) });
    }
    if let Some(package) = build_script(ancestor) {
        let script = format!("build script of {package}");
        return Some(Script { what: format!("cargo, {script}"), script: Some(script) });
    }
    let tool = tool(ancestor)?;
    // What the tool runs is the nearest shell below it, for those that use one.
    let below = at.checked_sub(1).and_then(|below| ancestry.get(below));
    let script = below.filter(|a| is(a, SHELLS)).and_then(command).map(str::to_owned);
    let which = script.as_ref().map_or_else(String::new, |script| format!(", script `{script}`"));
    Some(Script { what: format!("{tool} ({}){which}", ancestor.pid), script })
}

/// A package's own script: its name, and the same with its reason.
fn maintainer(ancestor: &Ancestor) -> Option<(String, String)> {
    const KINDS: [&str; 5] = [".preinst", ".postinst", ".prerm", ".postrm", ".config"];
    let args = &ancestor.args;
    for (i, arg) in args.iter().enumerate().take(4) {
        let reason = args.get(i + 1).filter(|reason| !reason.is_empty());
        let with = |name: &str| match reason {
            Some(reason) => format!("{name} ({reason})"),
            None => name.to_owned(),
        };
        let name = base_name(arg);
        let debian = arg.contains("/var/lib/dpkg/info/") && KINDS.iter().any(|k| name.ends_with(k));
        // A package that is new here has no place for its first script yet.
        let unpacked = arg.contains("/var/lib/dpkg/tmp.ci/");
        // apk runs `lib/apk/exec/PACKAGE-VERSION.post-install`.
        let alpine = arg.contains("lib/apk/exec/");
        if debian || unpacked || alpine {
            return Some((name.to_owned(), with(name)));
        }
        if arg.starts_with("/var/tmp/rpm-tmp.") {
            return Some((format!("rpm scriptlet {name}"), format!("of rpm, {name}")));
        }
    }
    let arch = command(ancestor)?;
    let (_, call) = arch.split_once("/.INSTALL; ")?;
    Some((call.to_owned(), format!("of pacman, {call}")))
}

/// The package whose build script cargo runs: `target/debug/build/PACKAGE-HASH/build-script-build`.
fn build_script(ancestor: &Ancestor) -> Option<String> {
    let path = ancestor.exe.as_deref().or_else(|| ancestor.args.first().map(String::as_str))?;
    let (dir, name) = path.rsplit_once('/')?;
    name.starts_with("build-script-").then_some(())?;
    let (package, hash) = base_name(dir).rsplit_once('-')?;
    (hash.len() == 16).then(|| package.to_owned())
}

/// A tool that runs the scripts of packages, with its first words: `npm install`.
fn tool(ancestor: &Ancestor) -> Option<String> {
    let args = &ancestor.args;
    let exe = ancestor.exe.as_deref().or_else(|| args.first().map(String::as_str))?;
    let program = strip_version(base_name(exe));
    let (name, words) = match program {
        "node" | "nodejs" | "bun" => (script(ancestor)?, after(args, script(ancestor)?)),
        "python" | "pypy" => match args.iter().position(|arg| arg == "-m") {
            Some(at) => (args.get(at + 1)?.as_str(), args.get(at + 2..)?),
            None => (script(ancestor)?, after(args, script(ancestor)?)),
        },
        "ruby" | "php" | "sh" | "bash" | "dash" => {
            (script(ancestor)?, after(args, script(ancestor)?))
        }
        _ => (exe, args.get(1..)?),
    };
    let name = base_name(name);
    let name =
        [".js", ".cjs", ".mjs", ".phar"].iter().find_map(|s| name.strip_suffix(s)).unwrap_or(name);
    let name = name.strip_suffix("-cli").unwrap_or(name);
    let known = match (program, name) {
        (_, "npm" | "npx" | "yarn" | "yarnpkg" | "pnpm" | "pnpx") => name,
        (_, "gem" | "composer" | "poetry" | "pipenv") => name,
        (_, "setup.py") => name,
        (_, pip) if strip_version(pip) == "pip" => "pip",
        _ => return None,
    };
    let words = words.iter().filter(|w| !w.is_empty() && !w.starts_with('-')).take(2);
    let all: Vec<&str> = std::iter::once(known).chain(words.map(String::as_str)).collect();
    Some(all.join(" "))
}

fn after<'a>(args: &'a [String], word: &str) -> &'a [String] {
    let at = args.iter().position(|arg| arg == word).map_or(args.len(), |at| at + 1);
    &args[at..]
}

/// The step of a pipeline whose script an ancestor runs.
pub(super) fn step(ancestor: &Ancestor) -> Option<Script> {
    for arg in ancestor.args.iter().skip(1).take(6) {
        let name = base_name(arg);
        let of = |provider: &str| Script {
            what: format!("step of a {provider} pipeline, {name}"),
            script: Some(name.to_owned()),
        };
        // `/home/runner/work/_temp/UUID.sh`, in a job's container `/__w/_temp/UUID.sh`.
        let uuid = name.rsplit_once('.').is_some_and(|(stem, _)| {
            stem.len() == 36 && stem.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-')
        });
        if uuid && arg.contains("/_temp/") {
            return Some(of("GitHub"));
        }
        let number = name.strip_prefix("jenkins").and_then(|rest| rest.strip_suffix(".sh"));
        let plain = number.is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()));
        if plain || (arg.contains("@tmp/durable-") && name.starts_with("script.sh")) {
            return Some(of("Jenkins"));
        }
    }
    None
}

/// Whether an ancestor is the agent of Jenkins, which is a program for Java.
pub(super) fn is_jenkins(ancestor: &Ancestor) -> bool {
    let archives = ["agent.jar", "remoting.jar", "slave.jar"];
    let mut args = ancestor.args.iter();
    let given = args.any(|arg| arg == "-jar").then(|| args.next()).flatten();
    given.is_some_and(|path| archives.contains(&base_name(path)))
        || ancestor.args.iter().any(|arg| arg == "hudson.remoting.jnlp.Main")
}
