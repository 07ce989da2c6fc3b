//! `picket scan`: what it prints, what it passes over, and how it ends.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use libtest_mimic::Trial;
use serde_json::Value;

use crate::harness::{picket, root, trial};

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial("scan::records_say_where_and_what", records),
        trial("scan::people_are_told_in_words", words),
        trial("scan::the_exit_code_is_asked_for", exit_codes),
        trial("scan::what_cannot_be_read_is_said", unread),
        trial("scan::links_and_files_of_others_are_passed_over", passed_over),
        trial("scan::hostile_names_and_secrets_are_inert", hostile),
        trial("scan::others_read_its_sarif", sarif),
        trial("scan::own_recipes_are_asked", own_recipes),
        trial("scan::commands_are_judged_as_identify_does", same_as_identify),
    ]
}

struct Ran {
    code: Option<i32>,
    out: String,
    err: String,
}

impl Ran {
    fn findings(&self) -> Vec<Value> {
        self.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

/// Runs it in a directory.
fn scan(dir: &Path, args: &[&str]) -> Ran {
    let out = picket().arg("scan").args(args).current_dir(dir).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    let ran = Ran { code: out.status.code(), out: text(out.stdout), err: text(out.stderr) };
    assert!(!ran.err.contains("panicked"), "{}", ran.err);
    ran
}

fn write(dir: &Path, name: &str, text: &str) {
    let path = dir.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

const WORKFLOW: &str = "\
name: test
jobs:
  unit:
    steps:
      - name: Serve
        run: |
          make
          sudo nohup python3 -m http.server 8000 &
";

fn records() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), ".github/workflows/test.yml", WORKFLOW);
    let ran = scan(dir.path(), &[]);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    let [finding] = ran.findings().try_into().unwrap();
    for (pointer, expected) in [
        ("/type", "finding"),
        ("/file", ".github/workflows/test.yml"),
        ("/kind", "github-workflow"),
        ("/place/0/kind", "job"),
        ("/place/0/name", "unit"),
        ("/place/1/name", "Serve"),
        ("/command/0", "sudo"),
        ("/server/name", "python-http-server"),
        ("/server/purpose", "serve"),
        ("/recipe/name", "webserver_exec"),
        ("/recipe/category", "Command and Control"),
        ("/severity", "high"),
        ("/attack/techniques/0/id", "T1104"),
    ] {
        assert_eq!(finding.pointer(pointer).unwrap(), expected, "{pointer}");
    }
    assert_eq!((&finding["line"], &finding["column"]), (&8.into(), &11.into()));
    assert!(finding["guidance"]["implication"].as_str().unwrap().contains("pipeline"));
    assert!(ran.err.contains("1 files, 1 starts of web servers"), "{}", ran.err);
}

fn words() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), ".github/workflows/test.yml", WORKFLOW);
    let ran = scan(dir.path(), &["--format", "text"]);
    let first = ".github/workflows/test.yml:8:11: HIGH python-http-server started by \
                 `sudo nohup python3 -m http.server 8000`";
    assert_eq!(ran.out.lines().next(), Some(first));
    for part in ["where    job unit, step Serve", "implies  ", "do       1. "] {
        assert!(ran.out.contains(part), "{part}: {}", ran.out);
    }
}

fn exit_codes() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "Procfile", "web: nginx\n");
    for (args, code) in [
        (&["--fail-on", "high"][..], 80),
        (&["--fail-on", "critical"], 0),
        (&["--fail-on", "nonsense"], 2),
        (&["nowhere"], 1),
        (&["Procfile", "--fail-on", "info"], 80),
        (&["--sarif", "no/such/directory"], 1),
    ] {
        let ran = scan(dir.path(), args);
        assert_eq!(ran.code, Some(code), "{args:?}: {}", ran.err);
    }
    fs::remove_file(dir.path().join("Procfile")).unwrap();
    assert_eq!(scan(dir.path(), &["--fail-on", "info"]).code, Some(0));
}

fn unread() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), ".gitlab-ci.yml", "a: [1\nb: }\n");
    write(dir.path(), "package.json", "{\"scripts\": {\"a\": }}");
    write(dir.path(), "Makefile", &"# x\n".repeat(300_000));
    write(dir.path(), "web/Procfile", "web: nginx\n");
    let ran = scan(dir.path(), &[]);
    assert_eq!(ran.code, Some(0));
    assert_eq!(ran.findings().len(), 1, "the others are read: {}", ran.out);
    for line in [
        "picket: .gitlab-ci.yml:2:4: not YAML: ",
        "picket: package.json:1:18: not JSON: ",
        "picket: Makefile:1:1: it is larger than 1024 KiB",
        "3 could not be read to the end",
    ] {
        assert!(ran.err.contains(line), "{line}: {}", ran.err);
    }
}

fn passed_over() {
    let dir = tempfile::tempdir().unwrap();
    let outside = tempfile::tempdir().unwrap();
    write(outside.path(), "Procfile", "web: nginx\n");
    for name in [".git/hooks/x.sh", "node_modules/a/x.sh", "vendor/x.sh", "mine/x.sh", "a/x.sh"] {
        write(dir.path(), name, "nginx\n");
    }
    write(dir.path(), "README.md", "```sh\nnginx\n```\n");
    symlink(outside.path(), dir.path().join("link")).unwrap();
    symlink(outside.path().join("Procfile"), dir.path().join("Procfile")).unwrap();
    let ran = scan(dir.path(), &["--skip", "mine"]);
    let [finding] = ran.findings().try_into().unwrap();
    assert_eq!(finding["file"], "a/x.sh");
    assert!(ran.err.contains("4 directories of others not entered; 2 links not"), "{}", ran.err);
}

fn hostile() {
    let dir = tempfile::tempdir().unwrap();
    let name = "a\u{1b}[31m\n::error::\u{202e}.sh";
    let run =
        "nginx -g 'password=hunter2 \u{1b}[2J\u{202e}' --token=hunter2 \\\n http://u:hunter2@h\n";
    write(dir.path(), name, run);
    for format in ["text", "json"] {
        let ran = scan(dir.path(), &["--format", format, "--sarif", "out.sarif"]);
        let sarif = fs::read_to_string(dir.path().join("out.sarif")).unwrap();
        assert!(!ran.out.is_empty());
        for text in [&ran.out, &ran.err, &sarif] {
            assert!(!text.contains(['\u{1b}', '\u{202e}']), "{text:?}");
            assert!(!text.contains("=hunter2") && !text.contains(":hunter2@"), "{text}");
            assert!(text.lines().all(|line| !line.starts_with("::")), "{text}");
        }
    }
}

fn sarif() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("out.sarif");
    let repository = root().join("crates/scan/tests/repository");
    let ran = scan(&repository, &["--sarif", file.to_str().unwrap()]);
    let count = ran.findings().len();
    assert!(count > 80, "{count}");
    let before: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    let results = before["runs"][0]["results"].as_array().unwrap();
    assert_eq!(results.len(), count);
    let prints = |log: &Value| -> Vec<String> {
        let results = log["runs"][0]["results"].as_array().unwrap();
        results.iter().map(|result| result["partialFingerprints"].to_string()).collect()
    };
    let mut each = prints(&before);
    each.sort_unstable();
    each.dedup();
    assert_eq!(each.len(), count, "every finding has a fingerprint of its own");
    let region = &results[0]["locations"][0]["physicalLocation"]["region"];
    assert!(region["startLine"].is_u64() && region["startColumn"].is_u64(), "{region}");
    // A file that is not valid must not be, or nothing was asked.
    let broken = dir.path().join("broken.sarif");
    fs::write(&broken, before.to_string().replace("\"ruleId\"", "\"rule\"")).unwrap();
    let answer = |file: &Path| {
        let mut python = Command::new(root().join("target/test-servers/checks/bin/python3"));
        python.arg(root().join("scripts/check-reports.py")).arg("--schemas");
        python.arg(root().join("target/test-servers/schemas")).arg("sarif").arg(file);
        let out = python.output().unwrap();
        String::from_utf8(out.stdout).unwrap()
    };
    assert!(answer(&file).starts_with("ok "), "{}", answer(&file));
    assert!(!answer(&broken).starts_with("ok "));

    // The same findings some lines further down are the same findings.
    let moved = dir.path().join("moved");
    write(&moved, "run.sh", "nginx\nnginx\n");
    let one = dir.path().join("one.sarif");
    scan(&moved, &["--sarif", one.to_str().unwrap()]);
    write(&moved, "run.sh", "# more\n\nnginx\n  nginx\n");
    let two = dir.path().join("two.sarif");
    scan(&moved, &["--sarif", two.to_str().unwrap()]);
    let read = |path| serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    assert_eq!(prints(&read(&one)), prints(&read(&two)));
}

fn own_recipes() {
    let dir = tempfile::tempdir().unwrap();
    let recipe = include_str!("../../../../../recipes/command-and-control/webserver_exec.yaml");
    let own = recipe
        .replace("name: webserver_exec", "name: no_nginx")
        .replace("importance: high", "importance: critical")
        .replace("server: [\"*\"]", "server: [nginx]");
    assert!(own.contains("no_nginx") && own.contains("[nginx]"));
    fs::write(dir.path().join("own.yaml"), own).unwrap();
    let config = format!("recipes: [{}]\n", dir.path().join("own.yaml").display());
    fs::write(dir.path().join("picket.conf"), config).unwrap();
    write(dir.path(), "here/Procfile", "a: nginx\nb: caddy run\n");
    let ran = scan(dir.path(), &["here", "--config", "picket.conf"]);
    let found: Vec<(String, String)> = ran
        .findings()
        .iter()
        .map(|f| {
            let text = |value: &Value| value.as_str().unwrap().to_owned();
            (text(&f["recipe"]["name"]), text(&f["severity"]))
        })
        .collect();
    let pair = |a: &str, b: &str| (a.to_owned(), b.to_owned());
    assert_eq!(found, [pair("no_nginx", "critical"), pair("webserver_exec", "high")]);
}

/// A line of a script is taken for what `identify` takes it for.
fn same_as_identify() {
    let lines = [
        "nginx -g 'daemon off;'",
        "nginx -t",
        "sudo -u www gunicorn app:app",
        "php -S localhost:80",
        "php -r 'echo 1;'",
        "openssl s_server -WWW -port 1",
        "openssl s_client -connect x",
        "busybox httpd -f",
        "java -jar jetty-runner.jar x.war",
        "python3 -m http.server --help",
        "caddy fmt",
        "hugo server",
        "hugo",
        "redis-server",
    ];
    let dir = tempfile::tempdir().unwrap();
    let mut starts = 0;
    for line in lines {
        write(dir.path(), "run.sh", line);
        let found = scan(dir.path(), &[]).findings();
        let words: Vec<String> = Command::new("sh")
            .args(["-c", &format!("printf '%s\\n' {line}")])
            .output()
            .map(|out| String::from_utf8(out.stdout).unwrap().lines().map(str::to_owned).collect())
            .unwrap();
        let out =
            picket().args(["--format", "json", "identify", "--"]).args(words).output().unwrap();
        let identity: Value = serde_json::from_slice(&out.stdout).unwrap();
        let server = &identity["server"];
        let serves = server.is_object() && server["purpose"] != "manage";
        let expected: Vec<&Value> = serves.then_some(&server["name"]).into_iter().collect();
        let got: Vec<&Value> = found.iter().map(|f| &f["server"]["name"]).collect();
        assert_eq!(got, expected, "{line}");
        starts += got.len();
    }
    assert!(starts > 6, "{starts}");
}
