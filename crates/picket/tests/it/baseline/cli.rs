//! `picket baseline` without root: records in, a file to be reviewed out; and bad input.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use libtest_mimic::Trial;
use serde_json::{Value, json};

use crate::harness::{picket, root, trial};

pub(super) fn trials() -> Vec<Trial> {
    vec![
        trial("baseline::records_become_a_file_and_replay_goes_by_it", round_trip),
        trial("baseline::what_differs_is_told", differences),
        trial("baseline::bad_input_is_refused_with_its_place", bad_input),
        trial("baseline::exceptions_that_are_typed_are_refused", typed),
        trial("baseline::schemas_accept_what_picket_writes", schemas),
    ]
}

/// Arguments, put together.
fn words<'w>(parts: &[&[&'w str]]) -> Vec<&'w str> {
    parts.concat()
}

struct Files {
    dir: tempfile::TempDir,
}

impl Files {
    fn new() -> Self {
        let files = Self { dir: tempfile::tempdir().unwrap() };
        files.write("config.yaml", &format!("baseline: {}\n", files.path("b.yaml").display()));
        files
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn write(&self, name: &str, text: &str) -> String {
        fs::write(self.path(name), text).unwrap();
        self.path(name).to_str().unwrap().to_owned()
    }

    fn run(&self, args: &[&str]) -> (Option<i32>, String, String) {
        let out =
            picket().args(args).arg("--config").arg(self.path("config.yaml")).output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        let (out, err, code) = (text(out.stdout), text(out.stderr), out.status.code());
        assert!(!err.contains("panicked"), "{args:?}: {err}");
        (code, out, err)
    }

    #[track_caller]
    fn fine(&self, args: &[&str]) -> String {
        let (code, out, err) = self.run(args);
        assert_eq!(code, Some(0), "{args:?}: {err}");
        out
    }

    #[track_caller]
    fn fails(&self, args: &[&str], words: &str) {
        let (code, _, err) = self.run(args);
        assert_eq!(code, Some(1), "{args:?}: {err}");
        assert!(err.contains(words), "expected {words:?} in {err}");
    }

    /// What replaying an event gives, as JSON lines.
    fn replayed(&self, event: &Value) -> String {
        let recording = self.write("recording.jsonl", &format!("{event}\n"));
        let severity = ["--severity", "info", "--environment", "production"];
        self.fine(&words(&[&["replay", "--format", "json", &recording], &severity]))
    }

    fn detection(&self, event: &Value) -> Value {
        let out = self.replayed(event);
        let records = out.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        records.into_iter().find(|r| r["recipe"]["name"] == "webserver_exec").unwrap()
    }
}

/// An execution of nginx as it was recorded, with the facts of its file.
fn nginx(sha256: &str) -> Value {
    let path = root().join("recipes/command-and-control/webserver_exec.match.jsonl");
    let samples = fs::read_to_string(path).unwrap();
    let line = samples.lines().find(|line| line.contains("\"expect\":\"nginx serve\"")).unwrap();
    let mut event: Value = serde_json::from_str(line).unwrap();
    event.as_object_mut().unwrap().remove("expect");
    let exe = &mut event["process"]["exe"];
    exe["path"] = json!("/usr/sbin/nginx");
    exe["sha256"] = json!(sha256);
    exe["content"] = json!({"kind": "elf", "problem": null, "packed": null, "go": null, "signs": [
        {"kind": "server", "name": "nginx", "found": ["nginx/"], "version": "1.22.1"}]});
    event
}

fn a() -> String {
    "a".repeat(64)
}

fn round_trip() {
    let files = Files::new();
    let event = nginx(&a());
    assert_eq!(files.detection(&event)["baseline"], Value::Null, "no file, and no memory");
    // The file is made of records; the configuration names it, but it is not there yet.
    let records = files.write("records.jsonl", &files.replayed(&event));
    let by = ["--by", "Jane", "--why", "test", "--from"];
    let out = files.fine(&words(&[&["baseline", "accept", "--all-new"], &by, &[&records]]));
    assert!(out.starts_with("accepted "), "{out}");
    let text = fs::read_to_string(files.path("b.yaml")).unwrap();
    assert!(text.contains("server: \"nginx\"") && text.contains(&a()), "{text}");
    let detection = files.detection(&event);
    assert_eq!(detection["baseline"]["status"], "expected", "{detection:#}");
    assert_eq!(detection["severity"], "info");
    let again = files.fine(&words(&[&["baseline", "accept", "--all-new"], &by, &[&records]]));
    assert_eq!(again, "nothing is new\n");
    assert_eq!(fs::read_to_string(files.path("b.yaml")).unwrap(), text);
    // Another file.
    let other = files.detection(&nginx(&"b".repeat(64)));
    assert_eq!(other["baseline"]["status"], "new");
    assert!(other["reasons"].to_string().contains("is not the one that was accepted"), "{other:#}");
    // One of which only names are known.
    let mut nameless = nginx(&a());
    nameless["process"]["exe"]["sha256"] = Value::Null;
    let records = files.write("records.jsonl", &files.replayed(&nameless));
    let id = files.detection(&nameless)["id"].as_str().unwrap().to_owned();
    let accept = words(&[&["baseline", "accept", &id], &by, &[&records]]);
    files.fails(&accept, "only its name is known, and a name is no identity");
    // From stdin, and until a day.
    let records = files.replayed(&event);
    let mut accept = picket();
    accept.args(["baseline", "accept", "--all-new", "--by", "x", "--why", "y", "--from", "-"]);
    accept.args(["--until", "2099-01-31", "--file"]).arg(files.path("c.yaml"));
    let mut child = accept.stdin(std::process::Stdio::piped()).spawn().unwrap();
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), records.as_bytes()).unwrap();
    assert!(child.wait().unwrap().success());
    assert!(fs::read_to_string(files.path("c.yaml")).unwrap().contains("until: \"2099-01-31\""));
}

fn differences() {
    let files = Files::new();
    let accept = |event: &Value, name: &str, why: &str| {
        let records = files.write("records.jsonl", &files.replayed(event));
        let file = files.path(name);
        let args = ["baseline", "accept", "--all-new", "--by", "Jane", "--why", why, "--from"];
        files.fine(&words(&[&args, &[&records, "--file", file.to_str().unwrap()]]));
        file.to_str().unwrap().to_owned()
    };
    let old = accept(&nginx(&a()), "old.yaml", "test");
    let new = accept(&nginx(&"b".repeat(64)), "new.yaml", "test");
    let text = ["--format", "text"];
    let same = files.fine(&words(&[&["baseline", "diff", &old, &old], &text]));
    assert_eq!(same, "no difference: 1 entries in both\n");
    assert_eq!(
        files.fine(&["baseline", "diff", &old, &old, "--exit-code", "--format", "json"]),
        ""
    );
    let out = files.fine(&words(&[&["baseline", "diff", &old, &new], &text]));
    assert!(out.starts_with("replaced nginx (webserver_exec) in the machine itself"), "{out}");
    assert!(out.contains("before: ") && out.contains("SHA-256 aaaaaaaaaaaa…"), "{out}");
    let out = files.fine(&["baseline", "diff", &old, &new, "--format", "json"]);
    let change: Value = serde_json::from_str(out.trim()).unwrap();
    assert_eq!(change["change"], "replaced");
    assert_eq!(change["before"]["is"]["file"]["sha256"], a());
    files.fails(&["baseline", "diff", &old, &new, "--exit-code"], "the baselines differ");
    let empty = files.write("empty.yaml", "accepted: []\n");
    let out = files.fine(&words(&[&["baseline", "diff", &old, &empty], &text]));
    assert!(out.starts_with("removed  nginx"), "{out}");
}

fn bad_input() {
    let files = Files::new();
    let check = |name: &str, text: &[u8], words: &[&str]| {
        fs::write(files.path(name), text).unwrap();
        let path = files.path(name);
        let (code, _, err) = files.run(&["baseline", "check", path.to_str().unwrap()]);
        assert_eq!(code, Some(1), "{err}");
        for word in words {
            assert!(err.contains(word), "expected {word:?} in {err:.2000}");
        }
    };
    let place = "b.yaml:1:";
    check("b.yaml", b"", &[place]);
    check("b.yaml", b"accepted: 7\n", &[place]);
    check("b.yaml", b"accepted:\n  - {server: x}\n", &["b.yaml:2:", "recipe"]);
    check("b.yaml", b"accepted: []\nacepted: []\n", &["b.yaml:2:", "acepted"]);
    check("b.yaml", b"\tx: [", &["b.yaml:"]);
    check("b.yaml", b"\xff\xfe\x00", &["cannot read"]);
    check("b.yaml", format!("accepted: [{}]", "{},".repeat(20_000)).as_bytes(), &["b.yaml:"]);
    check("b.yaml", format!("accepted: {}", "[".repeat(100_000)).as_bytes(), &["b.yaml:"]);
    let bomb = format!("a: &a [{}]\nb: [{}]\n", "x,".repeat(100), "*a,".repeat(100_000));
    check("b.yaml", bomb.as_bytes(), &["b.yaml:"]);
    check("b.yaml", &vec![b' '; 17 << 20], &["larger than 16777216 bytes"]);
    check("e.yaml", b"exceptions: {}\n", &["e.yaml:1:"]);
    check("e.yaml", b"exceptions:\n  - {name: x}\n", &["e.yaml:2:"]);
    fs::write(files.path("b.yaml"), "accepted: []\n").unwrap();
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o666);
    fs::set_permissions(files.path("b.yaml"), open).unwrap();
    let b = files.path("b.yaml");
    files.fails(&["baseline", "check", b.to_str().unwrap()], "anybody may write it");
    fs::remove_file(&b).unwrap();
    assert!(Command::new("mkfifo").arg(&b).status().unwrap().success());
    files.fails(&["baseline", "check", b.to_str().unwrap()], "it is not a regular file");
    fs::remove_file(&b).unwrap();
    files.fails(&["baseline", "check", files.dir.path().to_str().unwrap()], "cannot read");
    files.fails(&["baseline", "check", "/nowhere/b.yaml"], "/nowhere/b.yaml");

    let accept = |args: &[&str], why: &str| {
        let by = ["--by", "Jane", "--why", "test"];
        files.fails(&words(&[&["baseline", "accept"], args, &by]), why);
    };
    let none = files.write("none.jsonl", "");
    let bad = files.write("bad.jsonl", "{\"type\":\"detection\"}\n");
    accept(&["--all-new", "--from", &bad], "bad.jsonl:1: not a record");
    accept(&["--all-new", "--from", "/nowhere"], "/nowhere");
    accept(&["0123", "--from", &none], "nothing that was seen is called \"0123\"");
    accept(&["--all-new", "--from", &none, "--until", "soon"], "--until: \"soon\" is no day");
    accept(&["--all-new", "--from", &none, "--until", "2020-01-31"], "2020-01-31 is over");
    let state = files.path("state");
    let config = format!("state: {}\n", state.display());
    files.write("config.yaml", &config);
    accept(&["--all-new"], "nothing is known of what was seen");
    let event = nginx(&a());
    let records = files.write("records.jsonl", &files.replayed(&event));
    accept(
        &["--all-new", "--from", &records, "--file", "/proc/b.yaml"],
        "cannot write the baseline",
    );
    for (text, words) in [
        ("baseline_learning: soon\n", "expected a time like 30m, 12h or 1d, up to 90d"),
        ("baseline_learning: 91d\n", "up to 90d"),
        ("baseline_learning: 0d\n", "up to 90d"),
        ("baseline_learning: é\n", "up to 90d"),
        ("baseline_learned: maybe\n", "maybe"),
    ] {
        files.write("config.yaml", text);
        files.fails(&["config"], words);
    }
    files.write("config.yaml", "");
    for wrong in [
        &["baseline"][..],
        &["baseline", "accept"],
        &["baseline", "accept", "x"],
        &["baseline", "accept", "x", "--all-new", "--by", "a", "--why", "b"],
        &["baseline", "diff", "x"],
        &["baseline", "nonsense"],
    ] {
        assert_eq!(files.run(wrong).0, Some(2), "{wrong:?}");
    }
    let (code, _, err) = files.run(&["baseline", "accept", "x", "--by", " ", "--why", "b"]);
    assert_eq!(code, Some(1));
    assert!(err.contains("--by is empty"), "{err}");
}

fn day(days: &str) -> String {
    let out = Command::new("date").args(["-u", "-d", days, "+%F"]).output().unwrap();
    String::from_utf8(out.stdout).unwrap().trim().to_owned()
}

fn exceptions(until: &str, conditions: &str) -> String {
    format!(
        "exceptions:\n  - name: probe\n    recipe: webserver_*\n    reason: a health check\n    \
         by: Jane\n    until: {until}\n    where: {conditions}\n"
    )
}

fn typed() {
    let files = Files::new();
    let soon = day("+100 days");
    let check = |text: &str| {
        let path = files.write("e.yaml", text);
        files.run(&["baseline", "check", &path])
    };
    let (code, out, _) = check(&exceptions(&soon, "{unit: [nginx.service], cwd: [/srv]}"));
    assert_eq!(
        (code, out.as_str()),
        (Some(0), "0 accepted entries and 1 exceptions are in order\n")
    );
    for (conditions, words) in [
        ("{arguments: ['**health**']}", "`/tmp/backdoor health` would pass"),
        ("{comm: [nginx], cwd: [/srv]}", "prctl(PR_SET_NAME, \"nginx\") would pass"),
        ("{cwd: [/srv]}", "`cd /srv && /tmp/backdoor` would pass"),
        ("{environ: [x]}", "environ"),
    ] {
        let (code, _, err) = check(&exceptions(&soon, conditions));
        assert_eq!(code, Some(1), "{err}");
        assert!(err.contains("e.yaml:7:") && err.contains(words), "expected {words:?} in {err}");
    }
    let (code, _, err) = check(&exceptions(&day("+200 days"), "{unit: [nginx.service]}"));
    assert_eq!(code, Some(1));
    assert!(err.contains("e.yaml:6:12: until: ") && err.contains("180 days ahead"), "{err}");
    // In use: what is refused is disabled by name, and detections stay loud; a good one is quiet.
    let path = files.write("e.yaml", &exceptions(&soon, "{cwd: ['**']}"));
    files.write("config.yaml", &format!("exceptions: [{path}]\n"));
    let recording = files.write("recording.jsonl", &format!("{}\n", nginx(&a())));
    let (code, out, err) = files.run(&["replay", "--format", "json", &recording]);
    assert_eq!(code, Some(0), "{err}");
    assert!(err.contains("disabled: ") && err.contains("e.yaml:7:"), "{err}");
    assert!(out.contains("\"severity\":\"high\""), "{out}");
    files.write("e.yaml", &exceptions(&soon, &format!("{{sha256: [{}]}}", a())));
    let detection = files.detection(&nginx(&a()));
    assert_eq!(detection["severity"], "info");
    let reason = format!("exception probe of Jane, until {soon}: a health check");
    assert!(detection["reasons"].to_string().contains(&reason), "{detection:#}");
    // Ended by the event's own time, and it says so.
    files.write("e.yaml", &exceptions("2026-11-01", &format!("{{sha256: [{}]}}", a())));
    let (_, out, err) = files.run(&["replay", "--format", "json", &recording]);
    assert!(err.contains("exception probe has ended: renew it, or remove it"), "{err}");
    assert!(out.contains("would cover this and ended on 2026-11-01"), "{out}");
    let shown = files.fine(&["baseline", "show", "--format", "text"]);
    assert!(shown.contains("probe for webserver_*") && shown.contains("never used"), "{shown}");
}

/// An independent validator finds what picket writes valid, and broken files not.
fn schemas() {
    let python = root().join("target/test-servers/checks/bin/check-jsonschema");
    let valid = |schema: &str, file: &Path| {
        let schema = root().join(format!("docs/schema/{schema}.json"));
        let out = Command::new(&python).arg("--schemafile").arg(schema).arg(file).output();
        let out = out.unwrap_or_else(|e| panic!("{}: {e}", python.display()));
        (out.status.success(), String::from_utf8_lossy(&out.stdout).into_owned())
    };
    let files = Files::new();
    let records = files.write("records.jsonl", &files.replayed(&nginx(&a())));
    let args = ["baseline", "accept", "--all-new", "--by", "x", "--why", "y", "--from", &records];
    files.fine(&args);
    let b = files.path("b.yaml");
    let (good, why) = valid("baseline", &b);
    assert!(good, "{why}");
    fs::write(&b, fs::read_to_string(&b).unwrap().replace("up_to", "upto")).unwrap();
    assert!(!valid("baseline", &b).0, "a broken baseline is valid by the schema");
    files.write("e.yaml", &exceptions("2027-01-31", "{unit: [nginx.service], uid: [33]}"));
    let (good, why) = valid("exceptions", &files.path("e.yaml"));
    assert!(good, "{why}");
    files.write("e.yaml", &exceptions("2027-01-31", "{units: [nginx.service]}"));
    assert!(!valid("exceptions", &files.path("e.yaml")).0, "a broken exception is valid");
}
