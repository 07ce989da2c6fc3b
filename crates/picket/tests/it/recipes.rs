//! Recipes of one's own: read again on SIGHUP, all or none; refused from files that others may
//! write; told of programs, of everything, and of servers that listen.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use libtest_mimic::Trial;
use rustix::process::Signal;
use serde_json::Value;

use crate::harness::{Group, PATIENCE, Sensor, args_of, copy_program, picket, trial};

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial("recipes::root::are_read_again_all_or_none", are_read_again_all_or_none),
        trial("recipes::root::for_any_program_every_execution_crosses", for_any_program),
        trial("recipes::root::of_others_are_refused", of_others_are_refused),
        trial("recipes::root::a_one_line_server_on_a_public_address", a_one_line_server),
        trial("recipes::mistakes_are_named", mistakes_are_named),
        trial("recipes::the_kernels_part_is_told", the_kernels_part_is_told),
        trial("recipes::facts_are_listed", facts_are_listed),
    ]
}

/// A directory with recipes and a configuration that names it.
struct Place {
    dir: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        let place = Self { dir: tempfile::tempdir().unwrap() };
        // A temporary directory lets nobody else in, and picket becomes somebody else.
        fs::set_permissions(place.path(), Permissions::from_mode(0o755)).unwrap();
        fs::create_dir(place.path().join("recipes")).unwrap();
        let config = format!("recipes: [{}/recipes]\ncanary_seconds: 0\n", place.path().display());
        fs::write(place.path().join("config.yaml"), config).unwrap();
        place
    }

    fn path(&self) -> &Path {
        self.dir.path()
    }

    fn put(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path().join("recipes").join(format!("{name}.yaml"));
        fs::write(&path, text).unwrap();
        path
    }

    fn sensor(&self) -> Sensor {
        let config = self.path().join("config.yaml");
        Sensor::start(&["run", "--format", "json", "--config", config.to_str().unwrap()])
    }

    /// A program of this name that does nothing.
    fn program(&self, name: &str) -> PathBuf {
        let path = self.path().join(name);
        copy_program("/bin/true", &path, "755");
        path
    }
}

fn recipe(name: &str, what: &str) -> String {
    format!(
        "name: {name}\nversion: \"1\"\ndescription: d\ncategory: c\nmethod: m\nimportance: high\n\
         attack: [T1104]\nevent: exec\n{what}\nguidance:\n  \
         ci: {{implication: i, actions: [a]}}\n  staging: {{implication: i, actions: [a]}}\n  \
         production: {{implication: \"{{program}} as {{user}}\", actions: [a]}}\n"
    )
}

/// Sends SIGHUP and waits for what picket says of it.
fn reload(sensor: &Sensor) -> String {
    let before = sensor.log().len();
    sensor.signal(Signal::HUP);
    let deadline = std::time::Instant::now() + PATIENCE;
    loop {
        let log = sensor.log().split_off(before);
        if let Some(line) = log.lines().find(|line| line.contains("reloaded")) {
            return line.to_owned();
        }
        assert!(std::time::Instant::now() < deadline, "nothing said of SIGHUP: {log}");
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
}

/// The names of the recipes that told of an execution with this argument.
fn told(sensor: &Sensor, program: &Path, mark: &str) -> Vec<String> {
    assert!(Command::new(program).arg(mark).status().unwrap().success());
    sensor.barrier();
    let ours = |r: &&Value| r["type"] == "detection" && args_of(r).contains(&mark);
    let name = |r: &Value| r["recipe"]["name"].as_str().unwrap().to_owned();
    sensor.records().iter().filter(ours).map(name).collect()
}

fn are_read_again_all_or_none() {
    let place = Place::new();
    // Longer than what the kernel compares, in another case, and with a version at its end.
    let program = place.program("Some-Quite-Long-Tool-2.1");
    let sensor = place.sensor();
    assert!(told(&sensor, &program, "mark-1").is_empty());
    place.put("own", &recipe("own", "match: {program: [Some-Quite-Long-Tool-2.1]}"));
    assert!(told(&sensor, &program, "mark-2").is_empty());
    let said = reload(&sensor);
    assert!(said.contains("are in force"), "{said}");
    assert_eq!(told(&sensor, &program, "mark-3"), ["own"]);

    let broken = place.put("broken", &recipe("broken", "when: process.nothing == 1"));
    let said = reload(&sensor);
    for word in ["not reloaded", "former ones", "broken.yaml:9:7", "unknown fact process.nothing"] {
        assert!(said.contains(word), "{word}: {said}");
    }
    assert_eq!(told(&sensor, &program, "mark-4"), ["own"]);

    fs::write(&broken, recipe("other", "match: {path: [\"/nowhere/*\"]}")).unwrap();
    fs::set_permissions(&broken, Permissions::from_mode(0o666)).unwrap();
    let said = reload(&sensor);
    assert!(said.contains("not reloaded") && said.contains("chmod go-w"), "{said}");

    fs::remove_file(&broken).unwrap();
    fs::remove_file(place.path().join("recipes/own.yaml")).unwrap();
    assert!(reload(&sensor).contains("are in force"));
    assert!(told(&sensor, &program, "mark-5").is_empty());
    let (code, records, _) = sensor.stop();
    assert_eq!(code, Some(0));
    // Refused recipes are not those in force: nothing is disabled.
    let disabled =
        |r: &Value| r["type"] == "coverage" && r["reasons"].to_string().contains("disabled");
    assert!(!records.iter().any(disabled));
}

fn for_any_program() {
    let place = Place::new();
    let program = place.program("nobodys-tool");
    let sensor = place.sensor();
    place.put("any", &recipe("any", "when: process.args.exists(a, a.startsWith(\"tell-me\"))"));
    assert!(told(&sensor, &program, "tell-me-not").is_empty());
    reload(&sensor);
    assert_eq!(told(&sensor, &program, "tell-me-1"), ["any"]);
    assert_eq!(told(&sensor, Path::new("/bin/true"), "tell-me-2"), ["any"]);
    fs::remove_file(place.path().join("recipes/any.yaml")).unwrap();
    reload(&sensor);
    assert!(told(&sensor, Path::new("/bin/true"), "tell-me-3").is_empty());
}

fn of_others_are_refused() {
    let place = Place::new();
    let own = place.put("own", &recipe("own", "match: {program: [x]}"));
    let config = place.path().join("config.yaml");
    let refused = || {
        let mut command = picket();
        let output = command.args(["run", "--config"]).arg(&config).output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    fs::set_permissions(&own, Permissions::from_mode(0o664)).unwrap();
    let said = refused();
    assert!(
        said.contains("own.yaml may be written by others") && said.contains("chmod go-w"),
        "{said}"
    );
    fs::set_permissions(&own, Permissions::from_mode(0o644)).unwrap();
    std::os::unix::fs::chown(&own, Some(65534), None).unwrap();
    let said = refused();
    assert!(said.contains("belongs to user 65534"), "{said}");
    std::os::unix::fs::chown(&own, Some(0), None).unwrap();
    fs::set_permissions(own.parent().unwrap(), Permissions::from_mode(0o777)).unwrap();
    let said = refused();
    assert!(said.contains("recipes may be written by others"), "{said}");
}

/// In a network of its own, which nobody else reaches.
fn a_one_line_server() {
    let place = Place::new();
    let sensor = place.sensor();
    let mut command = Command::new("unshare");
    command.args(["--net", "python3", "-m", "http.server", "8099", "--bind", "0.0.0.0"]);
    let server = Group::start(&mut command);
    let pid = server.child.id();
    let found = sensor.wait_for("a one-line server", |r| {
        r["recipe"]["name"] == "webserver_oneliner_public" && r["process"]["pid"] == pid
    });
    assert_eq!(found["listen"][0]["address"], "0.0.0.0");
    assert_eq!(found["server"]["name"], "python-http-server");
    let implication = found["guidance"]["implication"].as_str().unwrap();
    assert!(implication.contains("8099"), "{implication}");
    // On loopback it is none.
    let mut command = Command::new("unshare");
    let script = "ip link set lo up; exec python3 -m http.server 8098 --bind 127.0.0.1";
    command.args(["--net", "sh", "-c", script]);
    let server = Group::start(&mut command);
    let pid = server.child.id();
    sensor.wait_for("its update", |r| {
        r["type"] == "update" && r["reasons"][0].as_str().unwrap().contains(&format!("pid {pid} "))
    });
    sensor.barrier();
    let wrong = |r: &Value| {
        r["recipe"]["name"] == "webserver_oneliner_public" && r["process"]["pid"] == pid
    };
    assert!(!sensor.records().iter().any(wrong));
}

fn check(text: &str) -> (Option<i32>, String, String) {
    let place = Place::new();
    let path = place.put("mine", text);
    let output = picket().args(["recipe", "check"]).arg(&path).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

fn mistakes_are_named() {
    for (what, words) in [
        ("when: process.args[0] == \"x\"", &["mine.yaml:9:", "indices"][..]),
        ("when: process.exe.path.matches(\"[\")", &["mine.yaml:9:", "regular expression"]),
        ("match: {programs: [x]}", &["mine.yaml:9:9", "programs", "expected"]),
        ("match: {server: [ngnix]}", &["no web server of the catalogue is called \"ngnix\""]),
        ("match: {below: [ngnix]}", &["no web server of the catalogue is called \"ngnix\""]),
        ("match: {}", &["would match everything"]),
        (
            "when: process.args.exists(a, process.args.exists(b, a == b))",
            &["mine.yaml:9:7", "too expensive"],
        ),
    ] {
        let (code, _, said) = check(&recipe("mine", what));
        assert_eq!(code, Some(1), "{what}");
        assert!(words.iter().all(|word| said.contains(word)), "{what}: {said}");
    }
}

fn the_kernels_part_is_told() {
    for (what, words) in [
        ("match: {program: [curl, wget]}", "programs called curl, wget cross"),
        ("match: {below: [nginx], program: [sh]}", "what descends from web servers cross"),
        ("match: {server: [nginx]}", "what could be a web server"),
        ("when: process.uid == 0", "every execution crosses"),
    ] {
        let (code, said, complaints) = check(&recipe("mine", what));
        assert_eq!(code, Some(0), "{complaints}");
        assert!(said.contains(words), "{what}: {said}");
    }
}

fn facts_are_listed() {
    let output = picket().args(["recipe", "fields", "--format", "json"]).output().unwrap();
    let lines = String::from_utf8(output.stdout).unwrap();
    let fields: Vec<Value> = lines.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    for name in ["process.exe.path", "above.name", "server.masquerade", "listen", "ancestors"] {
        assert!(fields.iter().any(|f| f["name"] == name), "{name}");
    }
    assert!(fields.iter().all(|f| !f["help"].as_str().unwrap().is_empty()));
}
