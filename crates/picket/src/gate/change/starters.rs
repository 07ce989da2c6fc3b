//! Who of a chain of parents was given something to start: a script, a target of make, a script of a
//! package, a test.

/// What a process was given, from which a line can be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Starter {
    /// A shell ran a file.
    Script(String),
    /// Something else than a shell ran a file of its language, or a part of it: `x.py::test`.
    Program {
        file: String,
        part: Option<String>,
    },
    /// Tests, wherever they are.
    Tests,
    Make {
        dirs: Vec<String>,
        file: Option<String>,
        targets: Vec<String>,
    },
    /// A script of a `package.json`, by its names.
    Package {
        dir: Option<String>,
        names: Vec<String>,
    },
    /// A shell ran a text of its command line: where that stands, whoever is above knows.
    Text(String),
    /// Somebody who only starts something else.
    Passes,
    Other,
}

const SHELLS: &[&str] = &["sh", "bash", "dash", "ash", "zsh", "ksh", "mksh", "fish"];
const PASSES: &[&str] = &[
    "sudo",
    "doas",
    "env",
    "nohup",
    "setsid",
    "timeout",
    "time",
    "nice",
    "ionice",
    "chrt",
    "taskset",
    "stdbuf",
    "unshare",
    "xargs",
    "setpriv",
    "runuser",
    "su",
    "start-stop-daemon",
    "tini",
    "dumb-init",
    "busybox",
    "catatonit",
    "unbuffer",
    "script",
    "strace",
    "ld.so",
];
const PACKAGES: &[&str] = &[
    "npm",
    "npm-cli.js",
    "npx",
    "npx-cli.js",
    "yarn",
    "yarn.js",
    "yarn.cjs",
    "pnpm",
    "pnpm.cjs",
    "bun",
];
/// The files that these run are named by their endings.
const ENDINGS: &[&str] =
    &[".py", ".js", ".mjs", ".cjs", ".ts", ".rb", ".pl", ".php", ".lua", ".tcl", ".R", ".groovy"];

/// What a process was given, by its arguments.
pub(super) fn of(args: &[String]) -> Starter {
    let Some((program, rest)) = args.split_first() else { return Starter::Other };
    let name = base(program).trim_start_matches('-');
    if SHELLS.contains(&name) {
        return shell(rest);
    }
    match name {
        "make" | "gmake" | "bmake" => return make(rest),
        "pytest" | "py.test" => return pytest(rest),
        _ => {}
    }
    if PACKAGES.contains(&name) {
        return package(rest);
    }
    if PASSES.contains(&name) {
        return Starter::Passes;
    }
    // An interpreter with a file: by the file, whatever the interpreter is called.
    if let Some(first) = rest.iter().position(|arg| !arg.starts_with('-')) {
        let file = &rest[first];
        let module = first > 0 && rest[first - 1] == "-m";
        let after = &rest[first + 1..];
        match base(file) {
            "pytest" | "py.test" => return pytest(after),
            "unittest" | "nose2" if module => return Starter::Tests,
            _ if module => return Starter::Other,
            tool if PACKAGES.contains(&tool) => return package(after),
            // Runners of tests that are scripts of an interpreter.
            "jest" | "mocha" | "vitest" | "ava" | "tap" | "jest.js" | "mocha.js" | "_mocha"
            | "rspec" | "phpunit" => return tests(after),
            _ => {}
        }
        let code = rest.iter().take(first).any(|arg| matches!(arg.as_str(), "-c" | "-e" | "-r"));
        if !code && ENDINGS.iter().any(|ending| file.ends_with(ending)) {
            return Starter::Program { file: file.clone(), part: None };
        }
    }
    Starter::Other
}

/// A shell: with a text, a file, or neither.
fn shell(rest: &[String]) -> Starter {
    let mut rest = rest.iter();
    while let Some(arg) = rest.next() {
        match arg.as_str() {
            "-o" | "+o" | "-O" | "+O" | "--rcfile" | "--init-file" => {
                rest.next();
            }
            long if long.starts_with("--") => {}
            short if short.starts_with('-') && short.contains('c') => {
                let text = rest.find(|arg| !arg.starts_with(['-', '+']));
                return text.map_or(Starter::Passes, |text| Starter::Text(text.clone()));
            }
            short if short.starts_with(['-', '+']) => {
                if short.ends_with('o') {
                    rest.next();
                }
            }
            file => return Starter::Script(file.to_owned()),
        }
    }
    Starter::Passes
}

fn make(rest: &[String]) -> Starter {
    let (mut dirs, mut file, mut targets) = (Vec::new(), None, Vec::new());
    let mut rest = rest.iter();
    while let Some(arg) = rest.next() {
        let value = |long: &str, short: &str| -> Option<Option<String>> {
            if arg == long || arg == short {
                return Some(None);
            }
            let given = arg.strip_prefix(long).and_then(|value| value.strip_prefix('='));
            let given = given.or_else(|| {
                arg.strip_prefix(short).filter(|v| !v.is_empty() && !arg.starts_with("--"))
            });
            given.map(|value| Some(value.to_owned()))
        };
        if let Some(dir) = value("--directory", "-C") {
            dirs.extend(dir.or_else(|| rest.next().cloned()));
        } else if let Some(named) = value("--file", "-f").or_else(|| value("--makefile", "-f")) {
            file = named.or_else(|| rest.next().cloned());
        } else if matches!(arg.as_str(), "-I" | "-W" | "-o" | "-l") {
            rest.next();
        } else if !arg.starts_with('-') && !arg.contains('=') && arg.parse::<u32>().is_err() {
            targets.push(arg.clone());
        }
    }
    Starter::Make { dirs, file, targets }
}

fn package(rest: &[String]) -> Starter {
    let mut dir = None;
    let mut words = Vec::new();
    let mut rest = rest.iter();
    while let Some(arg) = rest.next() {
        match arg.as_str() {
            "--" => break,
            "--prefix" | "--cwd" | "-C" | "--dir" => dir = rest.next().cloned(),
            _ => match arg.strip_prefix("--prefix=").or_else(|| arg.strip_prefix("--cwd=")) {
                Some(value) => dir = Some(value.to_owned()),
                None if arg.starts_with('-') => {}
                None => words.push(arg.as_str()),
            },
        }
    }
    let own = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    let around = |name: &str| vec![name.to_owned(), format!("pre{name}"), format!("post{name}")];
    let names = match words.as_slice() {
        ["run" | "run-script" | "rum", name, ..] => around(name),
        ["t" | "tst", ..] => around("test"),
        [] | ["install" | "i" | "ci" | "add" | "update" | "rebuild", ..] => own(&[
            "preinstall",
            "install",
            "postinstall",
            "preprepare",
            "prepare",
            "postprepare",
            "dependencies",
        ]),
        ["publish" | "pack", ..] => {
            own(&["prepublishOnly", "prepack", "prepare", "postpack", "publish"])
        }
        ["exec" | "x" | "dlx", ..] => return Starter::Passes,
        [name, ..] => around(name),
    };
    Starter::Package { dir, names }
}

fn pytest(rest: &[String]) -> Starter {
    tests(rest)
}

/// The first test that is named, if one is.
fn tests(rest: &[String]) -> Starter {
    let named = |arg: &&String| {
        let file = arg.split("::").next().unwrap_or_default();
        !arg.starts_with('-') && ENDINGS.iter().any(|ending| file.ends_with(ending))
    };
    match rest.iter().find(named) {
        None => Starter::Tests,
        Some(arg) => {
            let mut parts = arg.split("::");
            let file = parts.next().unwrap_or_default().to_owned();
            let part = parts.last().map(|part| part.split('[').next().unwrap_or_default());
            Starter::Program { file, part: part.map(str::to_owned) }
        }
    }
}

fn base(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

#[cfg(test)]
mod tests_of_starters {
    use super::*;

    fn is(line: &str) -> Starter {
        of(&line.split(' ').map(str::to_owned).collect::<Vec<_>>())
    }

    fn package(names: &[&str], dir: Option<&str>) -> Starter {
        let names = names.iter().map(|name| (*name).to_owned()).collect();
        Starter::Package { dir: dir.map(str::to_owned), names }
    }

    #[test]
    fn parents_say_what_they_were_given() {
        assert_eq!(is("/bin/sh ./x.sh a"), Starter::Script("./x.sh".to_owned()));
        let step = Starter::Script("/t/x.sh".to_owned());
        assert_eq!(is("bash --noprofile --norc -eo pipefail /t/x.sh"), step);
        assert_eq!(is("-bash"), Starter::Passes);
        assert_eq!(is("sh -ec x y"), Starter::Text("x".to_owned()));
        assert_eq!(is("sh -c"), Starter::Passes);
        assert_eq!(is("sudo -E nginx"), Starter::Passes);
        let make = |dirs: &[&str], file: Option<&str>, targets: &[&str]| {
            let own = |list: &[&str]| list.iter().map(|x| (*x).to_owned()).collect();
            Starter::Make { dirs: own(dirs), file: file.map(str::to_owned), targets: own(targets) }
        };
        assert_eq!(is("make -j 4 -C sub A=b serve"), make(&["sub"], None, &["serve"]));
        assert_eq!(is("make -Csub --file=M -k"), make(&["sub"], Some("M"), &[]));
        let run = package(&["dev", "predev", "postdev"], None);
        assert_eq!(is("node /usr/bin/npm run dev -- x"), run);
        assert_eq!(is("yarn --cwd web dev"), package(&["dev", "predev", "postdev"], Some("web")));
        assert!(matches!(is("npm ci"), Starter::Package { names, .. } if names.len() == 7));
        let file = |file: &str, part: Option<&str>| Starter::Program {
            file: file.to_owned(),
            part: part.map(str::to_owned),
        };
        assert_eq!(is("python3 -u a.py"), file("a.py", None));
        assert_eq!(is("python3 -m pytest -q t/a.py::C::test_x[1]"), file("t/a.py", Some("test_x")));
        assert_eq!(is("python3 /usr/bin/pytest -q"), Starter::Tests);
        assert_eq!(is("node /x/node_modules/.bin/jest a.test.js"), file("a.test.js", None));
        assert_eq!(is("python3 -m http.server"), Starter::Other);
        assert_eq!(is("python3 -c a.py"), Starter::Other);
        assert_eq!(of(&[]), Starter::Other);
    }
}
