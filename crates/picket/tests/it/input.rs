//! Bad input: a clear message with its place, a proper exit code, never a panic.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use libtest_mimic::Trial;
use serde_json::Value;

use crate::harness::{self, args_of, picket, shared, trial};

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial("input::broken_recipes_are_refused_with_their_place", broken_recipes),
        trial("input::broken_catalogues_are_refused_with_their_place", broken_catalogues),
        trial("input::a_recipe_without_samples_fails_its_test", untested),
        trial("input::a_broken_rule_disables_itself_only", broken_rule_in_use),
        trial("input::own_recipes_and_catalogue_are_in_order", own_rules),
        trial("input::a_server_is_yaml_and_a_sample", new_server),
        trial("input::truncated_and_bad_recordings", recordings),
        trial("input::broken_configuration", configuration),
        trial("input::wrong_usage_is_2", wrong_usage),
        trial("input::missing_files_are_named", missing_files),
        trial("root::input::hostile_arguments", hostile_arguments),
        trial("root::input::secrets_are_masked", secrets),
        trial("root::input::tricks_that_hide_nothing", tricks),
        trial("root::input::a_flood_of_listeners_is_bounded", many_listeners),
        trial("root::input::replay_agrees_with_run", replay_agrees),
    ]
}

/// Runs picket and returns its exit code and what it wrote to stderr.
fn run(args: &[&str]) -> (Option<i32>, String, String) {
    let out: Output = picket().args(args).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    let (stdout, stderr) = (text(out.stdout), text(out.stderr));
    assert!(!stderr.contains("panicked"), "{args:?}: {stderr}");
    (out.status.code(), stdout, stderr)
}

const RECIPE: &str = include_str!("../../../../recipes/command-and-control/webserver_exec.yaml");

fn write(dir: &Path, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
    let path = dir.join(name);
    fs::write(&path, text).unwrap();
    path
}

/// Each case: what is changed in a good file, and what the message must say.
fn refused(dir: &Path, name: &str, text: &[u8], place: &str, words: &[&str]) {
    let path = write(dir, name, text);
    let (code, _, err) = run(&["recipe", "check", path.to_str().unwrap()]);
    assert_eq!(code, Some(1), "{err}");
    assert!(err.contains(&format!("{}{place}", path.display())), "expected {place} in: {err}");
    for word in words {
        assert!(err.contains(word), "expected {word:?} in: {err}");
    }
}

fn broken_recipes() {
    let dir = tempfile::tempdir().unwrap();
    let line_of =
        |text: &str, word: &str| 1 + text[..text.find(word).unwrap()].matches('\n').count();
    let change = |from: &str, to: &str| {
        assert!(RECIPE.contains(from), "{from}");
        RECIPE.replacen(from, to, 1)
    };
    let case = |from: &str, to: &str, mark: &str, words: &[&str]| {
        let text = change(from, to);
        let place = format!(":{}:", line_of(&text, mark));
        refused(dir.path(), "r.yaml", text.as_bytes(), &place, words);
    };
    case("importance: high", "importance: huge", "importance: huge", &["huge", "high"]);
    case("event: exec", "evnt: exec", "evnt", &["evnt", "event"]);
    case(
        "attack: [T1104]",
        "attack: [T9999]",
        "attack: [T9999]",
        &["T9999", "expected a technique"],
    );
    case("attack: [T1104]", "attack: [T1562.001]", "attack: [T1562", &["T1685"]);
    case(
        "{title} was started during",
        "{titel} was started during",
        "{titel}",
        &["titel", "title"],
    );
    case(
        "name: webserver_exec",
        "name: Webserver Exec",
        "name: Webserver",
        &["expected lower-case"],
    );
    case("event: exec", "event: exec\nevent: exec", "event: exec\nmatch", &["event"]);
    case("server: [\"*\"]", "server: [ngnix]", "[ngnix]", &["ngnix", "no web server"]);
    refused(dir.path(), "r.yaml", b"\tname: x\n: : [", ":", &[]);
    refused(dir.path(), "r.yaml", b"", ":1:1", &[]);
    refused(dir.path(), "r.yaml", b"just text", ":1:1", &[]);
    let bomb = format!("a: &a [{}]\nb: [{}]\n", "x,".repeat(100), "*a,".repeat(100_000));
    refused(dir.path(), "r.yaml", bomb.as_bytes(), ":", &[]);
    // Not text at all.
    let path = write(dir.path(), "r.yaml", [0xff, 0xfe, 0x00]);
    let (code, _, err) = run(&["recipe", "check", path.to_str().unwrap()]);
    assert_eq!(code, Some(1));
    assert!(err.contains("expected text in UTF-8"), "{err}");
    // Two of one name.
    fs::remove_file(&path).unwrap();
    write(dir.path(), "a.yaml", RECIPE);
    write(dir.path(), "b.yaml", RECIPE);
    let (code, _, err) = run(&["recipe", "check", dir.path().to_str().unwrap()]);
    assert_eq!(code, Some(1));
    assert!(
        err.contains("b.yaml") && err.contains("already defined in") && err.contains("a.yaml"),
        "{err}"
    );
}

const FAMILY: &str = "\
family: mine
about: A server of our own.
servers:
  - name: my-server
    title: My Server
    role: web
    names: [my-server]
    manages: [--version]
    arguments: {values: [-c]}
    ports: [8080]
    samples:
      - {run: [/opt/my-server, -c, x], expect: serve}
      - {run: [/opt/my-server, --version], expect: manage}
";

fn broken_catalogues() {
    let dir = tempfile::tempdir().unwrap();
    let case = |from: &str, to: &str, place: &str, words: &[&str]| {
        assert!(FAMILY.contains(from), "{from}");
        let text = FAMILY.replacen(from, to, 1);
        refused(dir.path(), "mine.yaml", text.as_bytes(), place, words);
    };
    case("role: web", "role: wbe", ":6:", &["wbe", "web"]);
    case("    names:", "    nmaes:", ":7:", &["nmaes", "names"]);
    case("ports: [8080]", "ports: [80800]", ":10:", &["80800"]);
    case("name: my-server", "name: My_Server", ":4:", &["expected lower-case"]);
    case("    names: [my-server]\n", "", ":4:", &["has no sign", "names"]);
    case("names: [my-server]", "names: [\"my*\"]", ":4:", &["plain base names"]);
    case("names: [my-server]", "modules: [x]", ":4:", &["need a runtime"]);
    case("role: web", "role: web\n    runtime: cobol", ":4:", &["cobol", "unwrap.yaml"]);
    case("manages: [--version]", "manages: [\"-a|-b=c\"]", ":8:", &["alternatives"]);
    case("name: my-server", "title: again\n    name: my-server", ":6:", &["title"]);
    let (head, samples) = FAMILY.split_once("    samples:").unwrap();
    let none = format!("{head}    samples: []\n");
    refused(dir.path(), "mine.yaml", none.as_bytes(), ":4:", &["no samples"]);
    let twice = format!("{FAMILY}{}    samples:{samples}", &head[head.find("  - name").unwrap()..]);
    refused(dir.path(), "mine.yaml", twice.as_bytes(), ":14:", &["already described"]);
}

fn untested() {
    let dir = tempfile::tempdir().unwrap();
    let path = write(dir.path(), "r.yaml", RECIPE);
    let (code, _, err) = run(&["recipe", "test", path.to_str().unwrap()]);
    assert_eq!(code, Some(1));
    assert!(err.contains("is untested") && err.contains("r.match.jsonl"), "{err}");
    // A sample that says the opposite fails as well, with its line.
    let own = harness::root().join("recipes/command-and-control/webserver_exec.match.jsonl");
    let text = fs::read_to_string(own).unwrap();
    write(dir.path(), "r.match.jsonl", &text);
    write(dir.path(), "r.no-match.jsonl", &text);
    let (code, _, err) = run(&["recipe", "test", path.to_str().unwrap()]);
    assert_eq!(code, Some(1));
    assert!(err.contains("r.no-match.jsonl:1:") && err.contains("must not match"), "{err}");
    // And so does one that is taken for another server than it says.
    let wrong = text.replacen("\"expect\":\"", "\"expect\":\"not-", 1);
    assert_ne!(wrong, text);
    write(dir.path(), "r.match.jsonl", &wrong);
    let (_, _, err) = run(&["recipe", "test", path.to_str().unwrap()]);
    assert!(err.contains("r.match.jsonl:1:") && err.contains("expected not-"), "{err}");
}

/// One broken file among good ones: it is named, and everything else works.
fn broken_rule_in_use() {
    let dir = tempfile::tempdir().unwrap();
    let broken = write(dir.path(), "broken.yaml", RECIPE.replace("name: webserver_exec", "nme: x"));
    let mine = write(dir.path(), "mine.yaml", FAMILY);
    let config = write(
        dir.path(),
        "config.yml",
        format!("recipes: [{}]\ncatalogue: [{}]\n", broken.display(), mine.display()),
    );
    let args = ["identify", "--format", "json", "--config", config.to_str().unwrap()];
    let (code, out, err) = run(&[&args[..], &["--", "nginx", "-g", "daemon off;"]].concat());
    assert_eq!(code, Some(0), "{err}");
    assert!(err.contains("disabled: ") && err.contains("broken.yaml"), "{err}");
    assert_eq!(serde_json::from_str::<Value>(&out).unwrap()["server"]["name"], "nginx");
}

fn own_rules() {
    let (code, out, err) = run(&["recipe", "check"]);
    assert_eq!(code, Some(0), "{err}");
    assert!(out.contains("are in order"), "{out}");
    let (code, out, err) = run(&["recipe", "test"]);
    assert_eq!(code, Some(0), "{err}");
    assert!(out.contains("as expected"), "{out}");
}

fn new_server() {
    let dir = tempfile::tempdir().unwrap();
    let mine = write(dir.path(), "mine.yaml", FAMILY);
    let (code, _, err) = run(&["recipe", "test", mine.to_str().unwrap()]);
    assert_eq!(code, Some(0), "{err}");
    let config = write(dir.path(), "config.yml", format!("catalogue: [{}]\n", mine.display()));
    let args = ["identify", "--format", "json", "--config", config.to_str().unwrap()];
    let command = ["--", "nohup", "/opt/my-server", "-c", "x"];
    let (code, out, _) = run(&[&args[..], &command[..]].concat());
    assert_eq!(code, Some(0));
    let answer: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(answer["server"]["name"], "my-server");
    assert_eq!(answer["server"]["purpose"], "serve");
    assert_eq!(answer["layers"], serde_json::json!(["nohup"]));
}

fn recordings() {
    let own = harness::root().join("recipes/command-and-control/webserver_exec.match.jsonl");
    let good: Vec<String> =
        fs::read_to_string(own).unwrap().lines().take(3).map(str::to_owned).collect();
    let dir = tempfile::tempdir().unwrap();
    let detections =
        |out: &str| out.lines().filter(|line| line.contains("\"type\":\"detection\"")).count();
    let replay = |text: &str| {
        let path = write(dir.path(), "recording.jsonl", text);
        run(&["replay", "--format", "json", "--severity", "info", path.to_str().unwrap()])
    };
    let (code, out, err) = replay(&(good.join("\n") + "\n"));
    assert_eq!((code, detections(&out), err.as_str()), (Some(0), 3, ""));
    // A bad line in the middle: its number is said, the rest is processed.
    let bad = format!("{}\n{{\"type\":\"event\",\n{}\nnonsense\n{}\n", good[0], good[1], good[2]);
    let (code, out, err) = replay(&bad);
    assert_eq!((code, detections(&out)), (Some(1), 3));
    assert!(err.contains("recording.jsonl:2: ") && err.contains("recording.jsonl:4: "), "{err}");
    // Cut off.
    let whole = good.join("\n");
    let (code, out, err) = replay(&whole[..whole.len() - 40]);
    assert_eq!((code, detections(&out)), (Some(1), 2));
    assert!(err.contains("recording.jsonl:3: the recording is cut off here"), "{err}");
    // Not text, a line without end, nothing at all.
    let long = format!("{}\n{}\n{}\n", good[0], "x".repeat(5 << 20), good[1]);
    let (code, out, err) = replay(&long);
    assert_eq!((code, detections(&out)), (Some(1), 2));
    assert!(err.contains("recording.jsonl:2: line longer than"), "{err}");
    let path = write(dir.path(), "recording.jsonl", [0xff, 0x00, b'\n']);
    assert_eq!(run(&["replay", path.to_str().unwrap()]).0, Some(1));
    assert_eq!(replay("").0, Some(0));
}

fn configuration() {
    let dir = tempfile::tempdir().unwrap();
    for (text, place, word) in [
        ("enviroment: ci\n", ":1:", "environment"),
        ("environment: moon\n", ":1:", "staging"),
        ("\nring_bytes: 5000\n", "", "power of two"),
        ("ring_bytes: many\n", ":1:", "many"),
        ("canary_seconds: 86401\n", "", "expected 0 to 86400"),
        ("canary_seconds: -1\n", ":1:", "-1"),
        ("processes: 0\n", "", "at least 1"),
    ] {
        let path = write(dir.path(), "config.yaml", text);
        let (code, _, err) = run(&["config", "--config", path.to_str().unwrap()]);
        assert_eq!(code, Some(1), "{text}");
        assert!(
            err.contains(&format!("config.yaml{place}")) && err.contains(word),
            "{text}: {err}"
        );
    }
    let path = write(dir.path(), "config.yaml", "environment: staging\n");
    let args = ["config", "--format", "json", "--config", path.to_str().unwrap()];
    let effective = |more: &[&str]| -> Value {
        serde_json::from_str(&run(&[&args[..], more].concat()).1).unwrap()
    };
    assert_eq!(effective(&[])["environment"], "staging");
    assert_eq!(effective(&["--environment", "ci"])["environment"], "ci");
    // What it prints, it reads.
    let (_, out, _) = run(&["config"]);
    let path = write(dir.path(), "again.yaml", &out);
    assert_eq!(run(&["config", "--config", path.to_str().unwrap()]).1, out);
}

fn wrong_usage() {
    for args in [
        &["frobnicate"][..],
        &["run", "--nope"],
        &["identify"],
        &["run", "--environment", "moon"],
        &["recipe"],
        &["replay"],
        &["identify", "--pid", "x"],
    ] {
        let (code, out, err) = run(args);
        assert_eq!((code, out.as_str()), (Some(2), ""), "{args:?}");
        assert!(err.contains("--help"), "{args:?}: {err}");
    }
}

fn missing_files() {
    for args in [
        &["replay", "/nowhere/x"][..],
        &["identify", "/nowhere/x"],
        &["recipe", "check", "/nowhere/x"],
        &["config", "--config", "/nowhere/x"],
        &["recipe", "show", "/nowhere/x"],
        &["identify", "/nowhere", "/nowhere/x"],
        &["replay", "/"],
    ] {
        let (code, _, err) = run(args);
        assert_eq!(code, Some(1), "{args:?}");
        assert!(err.contains("/nowhere/x") || err.contains("directory"), "{args:?}: {err}");
    }
    let (code, _, err) = run(&["identify", "--pid", "4194304"]);
    assert_eq!(code, Some(1));
    assert!(err.contains("4194304"), "{err}");
}

/// Invalid UTF-8, escape sequences, line breaks, two megabytes: one line of valid JSON.
fn hostile_arguments() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    let sensor = shared();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("nginx");
    std::os::unix::fs::symlink("/bin/true", &file).unwrap();
    let mark = dir.path().display().to_string();
    let hostile: &[&[u8]] =
        &[b"\xff\xfe", b"\x1b[2J\x1b]0;owned\x07", b"a\nb\r\n", "\u{202e}gpj".as_bytes(), b""];
    let mut command = Command::new(&file);
    command.arg(&mark).args(hostile.iter().map(|bytes| OsStr::from_bytes(bytes)));
    // Arguments of two megabytes in all; one alone may have 128 KiB.
    command.args(std::iter::repeat_n("x".repeat(100_000), 19));
    assert!(command.status().unwrap().success());
    let found = sensor.wait_for("the hostile one", |r| args_of(r).contains(&mark.as_str()));
    let args = args_of(&found);
    assert_eq!(
        &args[2..7],
        ["\\xff\\xfe", "\u{1b}[2J\u{1b}]0;owned\u{7}", "a\nb\r\n", "\u{202e}gpj", ""]
    );
    assert_eq!(found["process"]["args_truncated"], true);
    let kept: usize = args.iter().map(|a| a.len() + 1).sum();
    assert!((8000..8300).contains(&kept), "{kept} bytes of arguments were kept");
    // On a terminal none of it is acted upon.
    let recording = write(dir.path(), "r.jsonl", event_of(&found));
    let path = recording.to_str().unwrap();
    let (code, out, err) = run(&["replay", "--format", "text", path]);
    assert_eq!(code, Some(0), "{err}");
    assert!(out.contains("\\x1b[2J") && out.contains("\\u{202e}gpj"), "{out}");
    assert!(!out.contains(|c: char| c.is_control() && c != '\n'), "{out:?}");
    assert!(!out.contains('\u{202e}'));
    // Nor in JSON lines, which people look at on terminals.
    let (_, out, _) = run(&["replay", "--format", "json", path]);
    assert!(out.contains("\\u202e") && !out.contains('\u{202e}'));
    assert!(!out.contains(|c: char| c.is_control() && c != '\n'));
    // Nor where picket quotes a file that somebody else wrote.
    let bad = write(
        dir.path(),
        "bad.yaml",
        RECIPE.replace("event: exec", "\"e\u{1b}[2J\u{202e}\": exec"),
    );
    let (_, _, err) = run(&["recipe", "check", bad.to_str().unwrap()]);
    assert!(
        !err.contains(|c: char| c.is_control() && c != '\n') && !err.contains('\u{202e}'),
        "{err:?}"
    );
}

/// A detection holds all that its event had.
fn event_of(detection: &Value) -> String {
    let event = serde_json::json!({
        "type": "event", "kind": "exec", "host": "h", "time": detection["time"], "seq": 1, "cpu": 0,
        "boot_ns": 1, "seeded": false, "process": detection["process"],
        "ancestry": detection["ancestry"],
    });
    format!("{event}\n")
}

fn secrets() {
    let sensor = shared();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("nginx");
    std::os::unix::fs::symlink("/bin/true", &file).unwrap();
    let mark = dir.path().display().to_string();
    let secret = "hunter2-very-secret";
    let status = Command::new(&file)
        .arg(&mark)
        .arg(format!("--password={secret}"))
        .args(["--token", secret])
        .arg(format!("https://me:{secret}@host/x"))
        .status()
        .unwrap();
    assert!(status.success());
    let found = sensor.wait_for("the secret one", |r| args_of(r).contains(&mark.as_str()));
    assert!(!found.to_string().contains(secret), "{found:#}");
    let args = args_of(&found);
    assert_eq!(&args[2..], ["--password=***", "--token", "***", "https://me:***@host/x"]);
}

/// Ways to start a server that are none of its own: each must be seen as what it is.
fn tricks() {
    let sensor = shared();
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    let python = fs::canonicalize("/usr/bin/python3").unwrap();
    for name in ["busybox", "ld.so", "toybox"] {
        std::os::unix::fs::symlink(&python, dir.path().join(name)).unwrap();
    }
    let padding = "-Wignore ".repeat(1100);
    let python = "/usr/bin/python3";
    let cases = [
        (
            format!("{} -m http.server --bind 127.0.0.1 {{port}}", at("busybox")),
            "python-http-server",
        ),
        (format!("{} -m http.server --bind 127.0.0.1 {{port}}", at("ld.so")), "python-http-server"),
        (
            format!("{} -m http.server --bind 127.0.0.1 {{port}}", at("toybox")),
            "python-http-server",
        ),
        (format!("{python} -m runpy http.server --bind 127.0.0.1 {{port}}"), "python-http-server"),
        (
            format!("{python} -m cProfile -m http.server --bind 127.0.0.1 {{port}}"),
            "python-http-server",
        ),
        (
            format!("{python} {padding}-m http.server --bind 127.0.0.1 {{port}}"),
            "python-http-server",
        ),
        ("busybox busybox httpd -f -p 127.0.0.1:{port}".to_owned(), "busybox-httpd"),
        ("ruby -wrun -e httpd . -b 127.0.0.1 -p {port}".to_owned(), "webrick"),
    ];
    for (line, expected) in cases {
        let mark = sensor.mark();
        let port = harness::free_port();
        let line = line.replace("{port}", &port.to_string());
        let words: Vec<&str> = line.split_whitespace().collect();
        let mut command = Command::new(words[0]);
        command.args(&words[1..]).current_dir(dir.path());
        command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null());
        let group = harness::Group::start(&mut command);
        let root = group.child.id();
        let deadline = std::time::Instant::now() + harness::PATIENCE;
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(std::time::Instant::now() < deadline, "{line:.80} does not listen");
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        sensor.barrier();
        let found: Vec<String> = sensor
            .since(mark)
            .iter()
            .filter(|r| harness::is_below(r, root))
            .map(|r| r["server"]["name"].as_str().unwrap().to_owned())
            .collect();
        assert_eq!(found, [expected], "{line:.80}");
    }
}

/// A detected process that listens thousands of times gets a few updates, not thousands.
fn many_listeners() {
    let sensor = shared();
    let mark = sensor.mark();
    let code = "import http.server, socket\nHTTPServer = http.server.HTTPServer # serve_forever\n\
                for i in range(900):\n s = socket.socket(); s.bind(('127.0.0.1', 0)); s.listen(); s.close()";
    let mut child = Command::new("/usr/bin/python3").args(["-c", code]).spawn().unwrap();
    let pid = child.id();
    assert!(harness::wait(&mut child).success());
    sensor.barrier();
    sensor.barrier();
    let records = sensor.since(mark);
    let detection = records.iter().find(|r| harness::is_below(r, pid)).unwrap();
    let updates: Vec<&Value> =
        records.iter().filter(|r| r["type"] == "update" && r["id"] == detection["id"]).collect();
    assert_eq!(updates.len(), 16);
    let last = updates.last().unwrap();
    assert_eq!(last["listen"].as_array().unwrap().len(), 16);
    assert!(last["reasons"].to_string().contains("no further address"), "{last}");
}

/// The same events give the same detections, whether they are seen or read.
fn replay_agrees() {
    let dir = tempfile::tempdir().unwrap();
    let recording = dir.path().join("recording.jsonl");
    let mut recorder = picket()
        .args(["record", "--output", recording.to_str().unwrap()])
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let sensor = harness::Sensor::start(&["run", "--format", "json", "--severity", "info"]);
    // The recorder is ready when it has recorded something.
    while fs::metadata(&recording).map_or(0, |m| m.len()) == 0 {
        sensor.barrier();
    }
    let file = dir.path().join("nginx");
    // It lives until both have looked at it: who is late could tell less of it.
    let source = dir.path().join("waits.c");
    fs::write(&source, "#include <unistd.h>\nint main(void) { for (;;) pause(); }\n").unwrap();
    assert!(Command::new("gcc").arg("-o").args([&file, &source]).status().unwrap().success());
    let mut children: Vec<_> = [&["-g", "daemon off;"][..], &["-t"], &["-s", "reload"]]
        .into_iter()
        .map(|args| Command::new(&file).args(args).spawn().unwrap())
        .collect();
    sensor.barrier();
    let recorded = || {
        let text = fs::read_to_string(&recording).unwrap();
        // The compiler that made the file names it in its arguments.
        let own = format!(r#""invoked_as":"{}""#, file.display());
        text.lines().filter(|line| line.contains(&own)).count()
    };
    let deadline = std::time::Instant::now() + harness::PATIENCE;
    while recorded() < children.len() {
        assert!(std::time::Instant::now() < deadline, "not all was recorded");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    for child in &mut children {
        child.kill().unwrap();
        child.wait().unwrap();
    }
    harness::kill(recorder.id(), rustix::process::Signal::INT);
    assert!(harness::wait(&mut recorder).success());
    let (_, seen, _) = sensor.stop();
    let (code, out, err) =
        run(&["replay", "--format", "json", "--severity", "info", recording.to_str().unwrap()]);
    assert_eq!(code, Some(0), "{err}");
    let read: Vec<Value> = out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let own = |records: &[Value]| -> Vec<Value> {
        let own = records.iter().filter(|r| {
            r["recipe"]["name"] == "webserver_exec"
                && r["process"]["invoked_as"] == file.to_str().unwrap()
        });
        own.cloned()
            .map(|mut r| {
                // What differs between two looks at one machine: two clocks' offset, two counts.
                // (Numbers of detections and incidents are made from the time.)
                for key in
                    ["id", "incident", "time", "latency_us", "ancestry", "guidance", "launcher"]
                {
                    r[key] = Value::Null;
                }
                r["process"]["start"] = Value::Null;
                r
            })
            .collect()
    };
    assert_eq!(own(&seen).len(), 3);
    assert_eq!(own(&seen), own(&read));
}
