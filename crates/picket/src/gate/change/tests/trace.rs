//! From chains of parents to lines, in every kind of file.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use event::{Ancestor, Process};

use super::super::files::Files;
use super::super::repository::Repository;
use super::super::trace::{Ground, Trace, trace};

/// A repository with files, and what was started in it.
struct Case<'c> {
    files: &'c [(&'c str, &'c str)],
    /// What picket was given to run.
    given: &'c str,
    /// The server's command line, and those of its parents, nearest first.
    chain: &'c [&'c str],
    changed: &'c [&'c str],
}

const EMPTY: Case<'_> = Case { files: &[], given: "", chain: &[], changed: &[] };

fn args(line: &str) -> Vec<String> {
    // A text of a shell is one argument.
    match line.split_once(" -c ") {
        Some((shell, text)) => vec![shell.to_owned(), "-c".to_owned(), text.to_owned()],
        None => line.split(' ').map(str::to_owned).collect(),
    }
}

impl Case<'_> {
    fn run(&self) -> Vec<Trace> {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap();
        fs::create_dir(root.join(".git")).unwrap();
        for (name, text) in self.files {
            let path = root.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let repository = Repository::of(&root).unwrap();
        let mut files = Files::new(&repository, Instant::now() + Duration::from_secs(60));
        let changed: Vec<_> = self.changed.iter().map(|name| root.join(name)).collect();
        let mut ground = Ground {
            files: &mut files,
            dir: &root,
            given: self.given,
            root: &root,
            workflow: None,
            changed: &changed,
        };
        let cwd = root.join("sub").to_string_lossy().into_owned();
        let process = Process { args: args(self.chain[0]), cwd: Some(cwd), ..Process::default() };
        let ancestor = |line: &&str| Ancestor { args: args(line), ..Ancestor::default() };
        let ancestry: Vec<Ancestor> = self.chain[1..].iter().map(ancestor).collect();
        let mut found = trace(&process, &ancestry, &mut ground);
        for trace in &mut found {
            trace.path = trace.path.canonicalize().unwrap().strip_prefix(&root).unwrap().to_owned();
        }
        found
    }

    /// The places, as `file:line`.
    fn places(&self) -> Vec<String> {
        let place = |t: &Trace| match t.spot {
            Some(spot) => format!("{}:{}", t.path.display(), spot.line),
            None => t.path.display().to_string(),
        };
        self.run().iter().map(place).collect()
    }
}

const SERVER: &str = "python3 -m http.server 8000";

#[test]
fn what_runners_and_engines_were_given_is_found() {
    for (name, text, line) in [
        (
            ".github/workflows/x.yml",
            "jobs:\n  a:\n    steps:\n      - run: |\n          cd web\n          python3 -m http.server 8000 &\n",
            6,
        ),
        (
            ".github/workflows/x.yml",
            "# python3 -m http.server 8000\nenv:\n  A: 'python3'\nrun: sudo python3 -m http.server ${{ env.PORT }} &\n",
            4,
        ),
        (
            ".gitlab-ci.yml",
            "test:\n  script:\n    - PORT=1 python3 -m http.server $PORT & sleep 1\n",
            3,
        ),
        (".circleci/config.yml", "- run: {name: x, command: python3 -m http.server 8000}\n", 1),
        ("azure-pipelines.yml", "steps:\n- script: python3 -m http.server 8000 > /dev/null &\n", 2),
        (".buildkite/pipeline.yml", "steps:\n  - command: \"python3 -m http.server 8000\"\n", 2),
        ("bitbucket-pipelines.yml", "script:\n - python3 -m http.server 8000\n", 2),
        (".drone.yml", "commands: [ a, python3 -m http.server 8000 ]\n", 1),
        (".woodpecker/x.yaml", "commands:\n  - python3 -m http.server 8000\n", 2),
        (".tekton/x.yaml", "script: |\n  #!/bin/sh\n  python3 -m http.server 8000\n", 3),
        ("Jenkinsfile", "stage('x') {\n  sh 'python3 -m http.server 8000 &'\n}\n", 2),
        ("Dockerfile", "FROM x\nRUN a && \\\n    python3 -m http.server 8000 & \\\n    b\n", 3),
        ("Dockerfile", "FROM x\nCMD [\"python3\", \"-m\", \"http.server\", \"8000\"]\n", 2),
        ("compose.yaml", "services:\n  a:\n    command: [python3, -m, http.server, \"8000\"]\n", 3),
        ("Procfile", "web: python3 -m http.server $PORT\n", 1),
    ] {
        let case = Case { files: &[(name, text)], chain: &[SERVER, "runner"], ..EMPTY };
        assert_eq!(case.places(), [format!("{name}:{line}")], "{text}");
    }
}

#[test]
fn each_parent_adds_what_it_was_given() {
    let files: &[(&str, &str)] = &[
        ("Makefile", "all:\n\tnpm run dev\n"),
        ("package.json", "{\"scripts\": {\n\"dev\": \"sh scripts/serve.sh --now\"\n}}\n"),
        ("scripts/serve.sh", "echo\nif true; then\n  nohup python3 -m http.server \"$1\"\nfi\n"),
        (".github/workflows/x.yml", "a:\n  - run: make\n"),
    ];
    let chain = [
        SERVER,
        "nohup python3 -m http.server 8000",
        "sh scripts/serve.sh --now",
        "sh -c sh scripts/serve.sh --now",
        "node /usr/bin/npm run dev",
        "make",
        "bash -e /runner/_temp/1.sh",
        "runner",
    ];
    let case = Case { files, chain: &chain, ..EMPTY };
    let expected = ["scripts/serve.sh:3", "package.json:2", "Makefile:2"];
    assert_eq!(case.places()[..3], expected);
    // The step's own script is not in the repository; what it ran is in the workflow.
    let alone = Case { files: &files[3..], chain: &chain[5..], ..EMPTY };
    assert_eq!(alone.places(), Vec::<String>::new(), "a bare name is in too many lines");
    let make = ["make -C web all", "bash -e /runner/_temp/1.sh"];
    let workflow: &[_] = &[(".github/workflows/x.yml", "a:\n  - run: make -C web all\n")];
    let case = Case { files: workflow, chain: &make, ..EMPTY };
    assert_eq!(case.places(), [".github/workflows/x.yml:2"]);
}

#[test]
fn what_replaced_itself_is_found_through_who_calls_it() {
    let files: &[(&str, &str)] = &[
        ("Makefile", "serve: dep\n\t@./a.sh\ndep:\n\ttrue\n"),
        ("a.sh", "#!/bin/sh\nexec ./sub/b.sh\n"),
        ("sub/b.sh", "#!/bin/sh\n# exec\nexec python3 -m http.server 8000\n"),
    ];
    let case = Case { files, chain: &[SERVER, "make serve"], ..EMPTY };
    assert_eq!(case.places(), ["sub/b.sh:3", "a.sh:2", "Makefile:2"]);
    let case = Case { files, chain: &[SERVER, "sh -c ./a.sh; true"], ..EMPTY };
    assert_eq!(case.places(), ["sub/b.sh:3", "a.sh:2"]);
    // Scripts that call each other for ever end somewhere.
    let circle: &[(&str, &str)] =
        &[("Makefile", "x:\n\t./a.sh\n"), ("a.sh", "./b.sh\n"), ("b.sh", "./a.sh; ./b.sh\n")];
    let case = Case { files: circle, chain: &[SERVER, "make x"], ..EMPTY };
    assert_eq!(case.places(), ["Makefile:1"]);
}

#[test]
fn what_nobody_tells_is_a_hint_or_nothing() {
    let files: &[(&str, &str)] = &[
        ("test_a.py", "x = 1\ncall(['python3', '-m', 'http.server'])\n"),
        ("old_test.py", "call(['python3', '-m', 'http.server'])\n"),
    ];
    let case = Case { files, chain: &[SERVER, "something"], changed: &["test_a.py"], ..EMPTY };
    let found = case.run();
    assert_eq!(found.len(), 1);
    assert!(found[0].hint && found[0].why.ends_with("its parents do not tell"), "{found:?}");
    assert_eq!(Case { changed: &[], ..case }.places(), Vec::<String>::new());
    let tests = Case { files, chain: &[SERVER, "pytest -q"], changed: &["test_a.py"], ..EMPTY };
    assert_eq!(tests.places(), ["test_a.py:2"]);
    // A program that was certainly run, whose line does not show.
    let files: &[(&str, &str)] = &[("a.py", "import x\n")];
    let case = Case { files, chain: &[SERVER, "python3 a.py"], ..EMPTY };
    assert_eq!(case.places(), ["a.py"]);
}

#[test]
fn nothing_outside_of_the_repository_is_looked_into() {
    let outside = tempfile::tempdir().unwrap();
    let script = outside.path().join("x.sh");
    fs::write(&script, format!("{SERVER}\n")).unwrap();
    let parent = format!("sh {}", script.display());
    assert_eq!(Case { chain: &[SERVER, &parent], ..EMPTY }.places(), Vec::<String>::new());
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join(".git")).unwrap();
    fs::write(dir.path().join(".git/x.sh"), SERVER).unwrap();
    std::os::unix::fs::symlink(&script, dir.path().join("link.sh")).unwrap();
    let made = std::process::Command::new("mkfifo").arg(dir.path().join("pipe.sh")).status();
    assert!(made.unwrap().success());
    let repository = Repository::of(dir.path()).unwrap();
    let mut files = Files::new(&repository, Instant::now() + Duration::from_secs(60));
    files.begin_at(&[dir.path(), Path::new("/")]);
    for name in
        ["link.sh", "pipe.sh", ".git/x.sh", "../x.sh", script.to_str().unwrap(), "/etc/passwd", ""]
    {
        assert_eq!(files.named(name), Vec::<std::path::PathBuf>::new(), "{name}");
    }
}
