//! Real web servers, started for real: each row of `servers.yaml` must be detected as what it
//! is, and its management invocations as such.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use libtest_mimic::Trial;
use rustix::process::Signal;
use serde::Deserialize;
use serde_json::Value;

use crate::harness::{self, Group, PATIENCE, args_of, is_below, kill, outcome, shared};

/// How to start one server; `servers.yaml` says what each key means.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Server {
    pub(crate) name: String,
    pub(crate) start: Vec<String>,
    #[serde(default)]
    pub(crate) files: BTreeMap<String, String>,
    #[serde(default)]
    pub(crate) env: BTreeMap<String, String>,
    #[serde(default = "yes")]
    http: bool,
    #[serde(default)]
    pidfile: Option<String>,
    #[expect(dead_code, reason = "for people")]
    from: String,
    #[serde(default)]
    args_contain: Vec<String>,
    #[serde(default)]
    exe: Option<String>,
    #[serde(default)]
    manage: Vec<Vec<String>>,
    #[serde(default)]
    silent: Vec<Vec<String>>,
}

fn yes() -> bool {
    true
}

/// All rows of `servers.yaml`.
pub(crate) fn all() -> Vec<Server> {
    let path = harness::root().join("crates/picket/tests/servers.yaml");
    let text = fs::read_to_string(path).unwrap();
    serde_saphyr::from_str(&text).unwrap_or_else(|e| panic!("{e}"))
}

pub(crate) fn trials() -> Vec<Trial> {
    let mut trials = Vec::new();
    for (row, server) in all().into_iter().enumerate() {
        for (kind, commands) in [("manage", &server.manage), ("silent", &server.silent)] {
            for (i, command) in commands.iter().enumerate() {
                let (server, command) = (server.clone(), command.clone());
                let words = command.iter().skip(1).take(3).cloned().collect::<Vec<_>>().join(" ");
                let name = format!("root::{kind}::{}::{row}.{i} {words}", server.name);
                let test = move || outcome(|| manage(&server, &command, kind == "silent"));
                trials.push(Trial::test(name, test));
            }
        }
        let name = format!("root::serve::{}::{row}", server.name);
        trials.push(Trial::test(name, move || outcome(|| serve(&server))));
    }
    trials
}

/// A place for one start: a directory, a port, and the placeholders that stand for them.
struct Place {
    dir: tempfile::TempDir,
    port: u16,
}

impl Place {
    fn new(server: &Server) -> Self {
        let place = Self { dir: tempfile::tempdir().unwrap(), port: harness::free_port() };
        for (name, text) in &server.files {
            let path = place.dir.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, place.fill(text)).unwrap();
        }
        // Some servers change to a user of their own and must still get in.
        let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        fs::set_permissions(place.dir.path(), open).unwrap();
        place
    }

    fn fill(&self, text: &str) -> String {
        let base = harness::root().join("target/test-servers");
        text.replace("{dir}", self.dir.path().to_str().unwrap())
            .replace("{port}", &self.port.to_string())
            .replace("{venv}", base.join("venv").to_str().unwrap())
            .replace("{npm}", base.join("npm").to_str().unwrap())
    }

    fn command(&self, server: &Server, words: &[String]) -> Command {
        let words: Vec<String> = words.iter().map(|word| self.fill(word)).collect();
        let out = fs::File::create(self.dir.path().join("test-output")).unwrap();
        let mut command = Command::new(&words[0]);
        command
            .args(&words[1..])
            .current_dir(self.dir.path())
            .envs(server.env.iter().map(|(name, value)| (name, self.fill(value))))
            .stdin(Stdio::null())
            .stdout(out.try_clone().unwrap())
            .stderr(out);
        command
    }

    fn output(&self) -> String {
        fs::read_to_string(self.dir.path().join("test-output")).unwrap_or_default()
    }
}

fn serve(server: &Server) {
    let sensor = shared();
    let mark = sensor.mark();
    let place = Place::new(server);
    let mut group = Group::start(&mut place.command(server, &server.start));
    let root = group.child.id();
    let daemon = Daemon { pidfile: server.pidfile.as_deref().map(|p| place.fill(p)) };
    wait_until_listening(server, &place, &mut group, daemon.pidfile.is_some());

    // It listens, so its execution is behind us.
    sensor.barrier();
    let records = sensor.since(mark);
    let words: Vec<String> = server.args_contain.iter().map(|word| place.fill(word)).collect();
    let has_words = |r: &Value| words.iter().all(|word| args_of(r).contains(&word.as_str()));
    let mut own = records.iter().filter(|r| is_below(r, root));
    let found = own
        .clone()
        .find(|r| r["server"]["name"] == server.name.as_str() && serves(r) && has_words(r))
        .cloned()
        .unwrap_or_else(|| {
            let others: Vec<String> =
                own.by_ref().map(|r| format!("{} {:?}", r["server"], args_of(r))).collect();
            panic!("no {} with {words:?} below pid {root}, but: {others:#?}", server.name)
        });
    check_detection(server, &place, &found, root);

    let confirmed = sensor.wait_for(&format!("that {} listens", server.name), |r| {
        r["type"] == "update"
            && listens(r, place.port)
            && is_update_below(r, &sensor.since(mark), root)
    });
    assert_eq!(confirmed["server"]["confidence"], "confirmed");

    drop(group);
    drop(daemon);
    sensor.barrier();
    let wrong: Vec<String> = sensor
        .since(mark)
        .iter()
        .filter(|r| is_below(r, root) && serves(r) && r["server"]["name"] != server.name.as_str())
        .map(|r| format!("{} for {:?}", r["server"]["name"], args_of(r)))
        .collect();
    assert!(wrong.is_empty(), "also detected, wrongly: {wrong:?}");
}

/// Whether a record is an update of a detection in the tree below a process.
fn is_update_below(record: &Value, records: &[Value], root: u32) -> bool {
    record["type"] == "update"
        && records.iter().any(|r| r["id"] == record["id"] && is_below(r, root))
}

fn listens(update: &Value, port: u16) -> bool {
    update["listen"].as_array().unwrap().iter().any(|l| l["port"] == port)
}

fn serves(record: &Value) -> bool {
    record["server"]["purpose"] == "serve" || record["server"]["purpose"] == "unknown"
}

fn check_detection(server: &Server, place: &Place, found: &Value, root: u32) {
    assert_eq!(found["recipe"]["name"], "webserver_exec");
    assert_eq!(found["recipe"]["importance"], "high");
    assert_eq!(found["server"]["purpose"], "serve", "{found:#}");
    assert_eq!(found["environment"], "production");
    assert!(found["severity"] == "high" || found["severity"] == "critical", "{found:#}");
    if let Some(exe) = &server.exe {
        assert_eq!(found["process"]["exe"]["path"], place.fill(exe).as_str());
    }
    // Its file, or its interpreter's, says so as well: none of these is an impostor.
    let evidence = found["server"]["evidence"].as_array().unwrap();
    let against = |e: &&Value| e["kind"] == "content" && e["agrees"] == false;
    assert!(!evidence.iter().any(|e| against(&e)), "{evidence:#?}");
    // (All programs of a JDK are the same file but for what it was built to start.)
    let bare = found["process"]["target"].is_null() && found["process"]["interpreter"].is_null();
    if bare && server.name != "jwebserver" {
        assert_eq!(found["server"]["confidence"], "strong", "{evidence:#?}");
    }
    let ancestry = found["ancestry"].as_array().unwrap();
    assert!(
        ancestry.iter().any(|a| a["pid"] == std::process::id()),
        "this test is not among the ancestors: {ancestry:#?}"
    );
    assert!(found["process"]["pid"] == root || ancestry.iter().any(|a| a["pid"] == root));
    assert_ne!(found["launcher"]["detail"], "");
    assert!(found["latency_us"].is_u64());
    assert!(!found["guidance"]["actions"].as_array().unwrap().is_empty());
}

fn wait_until_listening(server: &Server, place: &Place, group: &mut Group, daemon: bool) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Ok(stream) = TcpStream::connect(("127.0.0.1", place.port)) {
            if server.http {
                answer_of(stream);
            }
            return;
        }
        if let Some(status) = group.child.try_wait().unwrap()
            && !(daemon && status.success())
        {
            panic!("{} ended ({status}): {}", server.name, place.output());
        }
        assert!(Instant::now() < deadline, "{} does not listen: {}", server.name, place.output());
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A server that answers HTTP is one, whatever it answers.
fn answer_of(mut stream: TcpStream) {
    let _ = stream.set_read_timeout(Some(Duration::from_secs(20)));
    let _ = stream.write_all(b"GET / HTTP/1.0\r\nHost: localhost\r\n\r\n");
    let mut start = [0; 5];
    let _ = stream.read(&mut start);
}

/// A server in the background: its own process id file says what to end.
struct Daemon {
    pidfile: Option<String>,
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let Some(path) = &self.pidfile else { return };
        let Ok(text) = fs::read_to_string(path) else { return };
        let Ok(pid) = text.trim().parse::<u32>() else { return };
        kill(pid, Signal::TERM);
        let deadline = Instant::now() + Duration::from_secs(5);
        while Path::new(&format!("/proc/{pid}")).exists() {
            if Instant::now() > deadline {
                kill(pid, Signal::KILL);
                return;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

/// Runs an invocation to its end. It must be seen as one that does not serve, or, where the
/// program is no server then, not at all.
fn manage(server: &Server, words: &[String], silent: bool) {
    let sensor = shared();
    let mark = sensor.mark();
    let place = Place::new(server);
    let mut group = Group::start(&mut place.command(server, words));
    let root = group.child.id();
    harness::wait(&mut group.child);
    sensor.barrier();
    let records = sensor.since(mark);
    let own: Vec<&Value> = records.iter().filter(|r| is_below(r, root)).collect();
    let serving: Vec<&&Value> = own.iter().filter(|r| serves(r)).collect();
    assert!(serving.is_empty(), "{words:?} is taken for a server start: {serving:#?}");
    if silent {
        assert!(own.is_empty(), "{words:?} was detected: {own:#?}");
        return;
    }
    let found = own
        .iter()
        .find(|r| r["server"]["name"] == server.name.as_str())
        .unwrap_or_else(|| panic!("{words:?} was not seen as {}", server.name));
    assert_eq!(found["server"]["purpose"], "manage", "{found:#}");
    assert_eq!(found["severity"], "info");
}
