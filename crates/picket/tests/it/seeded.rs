//! Servers that ran before picket did: told of once, with where they listen; others are not.

use std::fs;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use libtest_mimic::Trial;
use serde_json::Value;

use crate::behaviour;
use crate::harness::{Group, PATIENCE, Sensor, free_port, is_below, trial};

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial("root::seeded::a_script_that_serves", python),
        trial("root::seeded::a_renamed_server_with_workers_and_two_addresses", renamed),
        trial("root::seeded::a_server_with_processes_that_share_its_listener", apache),
        trial("root::seeded::other_daemons_stay_silent", silent),
        trial("root::seeded::as_serious_as_configured", configured),
        trial("root::seeded::hidden_when_asked_for_more_serious_ones", hidden),
        trial("root::seeded::an_unknown_server_is_found_when_it_answers", unknown),
        trial("root::seeded::a_server_that_starts_meanwhile_is_told_once", meanwhile),
    ]
}

fn place() -> tempfile::TempDir {
    let place = env!("CARGO_TARGET_TMPDIR");
    let dir = tempfile::Builder::new().prefix("seeded").tempdir_in(place).unwrap();
    // Workers of another user look in.
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    fs::set_permissions(dir.path(), mode).unwrap();
    dir
}

fn sensor(more: &[&str]) -> Sensor {
    let args = ["run", "--format", "json", "--environment", "production"];
    Sensor::start(&[&args[..], more].concat())
}

/// Starts a server and waits until it listens.
fn start(command: &mut Command, ports: &[u16]) -> Group {
    let group = Group::start(command.stdout(Stdio::null()).stderr(Stdio::null()));
    let deadline = Instant::now() + PATIENCE;
    for port in ports {
        while TcpStream::connect(("127.0.0.1", *port)).is_err() {
            assert!(Instant::now() < deadline, "{command:?} does not listen");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
    group
}

fn http_server(port: u16) -> Group {
    let mut python = Command::new("/usr/bin/python3");
    start(python.args(["-m", "http.server", "--bind", "127.0.0.1", &port.to_string()]), &[port])
}

/// The one detection below a process; there must be no other by the time all is dealt with.
fn only(sensor: &Sensor, pid: u32) -> Value {
    // Of the recipe for all servers; others may tell of it as well.
    let own = |r: &Value| r["recipe"]["name"] == "webserver_exec" && is_below(r, pid);
    let found = sensor.wait_for("the server", own);
    sensor.barrier();
    let all: Vec<Value> = sensor.records().into_iter().filter(own).collect();
    assert_eq!(all.len(), 1, "{all:#?}");
    found
}

#[track_caller]
fn assert_seeded(found: &Value, name: &str, ports: &[u16]) {
    assert_eq!(found["server"]["name"], name, "{found:#}");
    assert_eq!(found["seeded"], true);
    assert_eq!(found["severity"], "info", "{:#}", found["reasons"]);
    assert_eq!(found["server"]["confidence"], "confirmed");
    assert_eq!(found["server"]["purpose"], "serve");
    assert_eq!(found["latency_us"], Value::Null);
    let reasons = found["reasons"].as_array().unwrap();
    assert!(reasons.iter().any(|r| r == "it ran before picket did"), "{reasons:?}");
    let mut at = found["listen"].as_array().unwrap().clone();
    at.sort_by_key(|l| l["port"].as_u64());
    let expected: Vec<Value> = ports
        .iter()
        .map(|p| serde_json::json!({"address": "127.0.0.1", "port": p, "protocol": "tcp"}))
        .collect();
    assert_eq!(at, expected);
    assert_eq!(found["ancestry"][0]["pid"], std::process::id());
    assert_eq!(found["ancestry_truncated"], false);
}

fn python() {
    let port = free_port();
    let server = http_server(port);
    let sensor = sensor(&[]);
    let found = only(&sensor, server.child.id());
    assert_seeded(&found, "python-http-server", &[port]);
    assert_eq!(found["process"]["pid"], server.child.id());
    // It happened now that it was found.
    assert!(found["time"].as_str() > found["process"]["start"].as_str());
    assert!(found["time"].as_str() >= sensor.records()[0]["window"]["from"].as_str());
}

/// Starts nginx under a name of our own, with two workers and two addresses.
fn disguised(dir: &Path, ports: [u16; 2]) -> (Group, PathBuf) {
    let program = dir.join("collector");
    fs::copy("/usr/sbin/nginx", &program).unwrap();
    let conf = format!(
        "daemon off; worker_processes 2; pid {0}/pid; error_log {0}/log;\n\
         events {{}}\nhttp {{ access_log off; client_body_temp_path {0}/a; proxy_temp_path {0}/b;\n\
         fastcgi_temp_path {0}/c; uwsgi_temp_path {0}/d; scgi_temp_path {0}/e;\n\
         server {{ listen 127.0.0.1:{1}; listen 127.0.0.1:{2}; }} }}\n",
        dir.display(),
        ports[0],
        ports[1]
    );
    fs::write(dir.join("conf"), conf).unwrap();
    let mut command = Command::new(&program);
    let group = start(command.arg("-c").arg(dir.join("conf")).arg("-p").arg(dir), &ports);
    (group, program)
}

fn renamed() {
    let dir = place();
    let mut ports = [free_port(), free_port()];
    ports.sort_unstable();
    let (server, program) = disguised(dir.path(), ports);
    let sensor = sensor(&[]);
    let found = only(&sensor, server.child.id());
    assert_seeded(&found, "nginx", &ports);
    assert_eq!(found["process"]["pid"], server.child.id(), "the master, not a worker");
    assert_eq!(found["process"]["exe"]["path"], program.to_str().unwrap());
    assert_eq!(found["server"]["masquerade"], true);
}

fn apache() {
    let dir = place();
    let port = free_port();
    let modules = "/usr/lib/apache2/modules";
    let conf = format!(
        "ServerRoot /usr/lib/apache2\n\
         LoadModule mpm_prefork_module {modules}/mod_mpm_prefork.so\n\
         LoadModule authz_core_module {modules}/mod_authz_core.so\n\
         StartServers 3\nDefaultRuntimeDir {0}\nPidFile {0}/pid\nErrorLog {0}/log\n\
         User www-data\nGroup www-data\nServerName localhost\nListen 127.0.0.1:{port}\n",
        dir.path().display()
    );
    fs::write(dir.path().join("conf"), conf).unwrap();
    let mut command = Command::new("/usr/sbin/apache2");
    let server = start(command.arg("-f").arg(dir.path().join("conf")).arg("-DFOREGROUND"), &[port]);
    let sensor = sensor(&[]);
    let found = only(&sensor, server.child.id());
    assert_seeded(&found, "apache2", &[port]);
    assert_eq!(found["process"]["pid"], server.child.id(), "the parent, not a worker");
}

/// Nothing is told of these; of a server beside them, it is.
fn silent() {
    let dir = place();
    let (port, beside) = (free_port(), free_port());
    let mut redis = Command::new("redis-server");
    redis.args(["--bind", "127.0.0.1", "--port", &port.to_string(), "--save", ""]);
    let redis = start(redis.arg("--dir").arg(dir.path()), &[port]);
    let server = http_server(beside);
    let sensor = sensor(&[]);
    only(&sensor, server.child.id());
    behaviour::ask(port);
    sensor.barrier();
    let below = |r: &Value| is_below(r, redis.child.id());
    assert_eq!(sensor.records().into_iter().find(below), None);
}

fn config(dir: &Path, text: &str) -> String {
    let path = dir.join("config.yaml");
    fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

fn configured() {
    let dir = place();
    let config = config(dir.path(), "seeded_severity: high\n");
    let server = http_server(free_port());
    let sensor = sensor(&["--config", &config]);
    let found = only(&sensor, server.child.id());
    assert_eq!((&found["severity"], &found["seeded"]), (&"high".into(), &true.into()));
}

/// `--severity` on the command line is heeded; a threshold in the configuration is not meant.
fn hidden() {
    let dir = place();
    let config = config(dir.path(), "severity: high\n");
    let port = free_port();
    let server = http_server(port);
    let pid = server.child.id();
    let asked = sensor(&["--severity", "low"]);
    let shown = sensor(&["--config", &config]);
    // Not even the barrier is that serious.
    let found = shown.wait_for("the server", |r| is_below(r, pid));
    assert_seeded(&found, "python-http-server", &[port]);
    // By now the other one, which began earlier, has surely seen it as well.
    asked.barrier();
    assert_eq!(asked.records().into_iter().find(|r| is_below(r, pid)), None);
}

fn unknown() {
    let place = behaviour::Place::new();
    let program = place.server(&[]);
    let port = free_port();
    let mut command = Command::new(&program);
    let server = start(command.args([&port.to_string(), behaviour::OK, "asked"]), &[]);
    let pid = server.child.id();
    behaviour::ask(port);
    let sensor = sensor(&[]);
    sensor.barrier();
    assert_eq!(sensor.records().into_iter().find(|r| is_below(r, pid)), None, "it only listens");
    behaviour::ask_until_found(&sensor, port, pid);
    let found = only(&sensor, pid);
    assert_seeded(&found, "unknown", &[port]);
}

/// Servers that start while picket does come out once each, whichever way.
fn meanwhile() {
    let ports: Vec<u16> = (0..12).map(|_| free_port()).collect();
    let started = {
        let ports = ports.clone();
        std::thread::spawn(move || {
            let python = |port: &u16| {
                std::thread::sleep(Duration::from_millis(25));
                Group::start(
                    Command::new("/usr/bin/python3")
                        .args(["-m", "http.server", "--bind", "127.0.0.1", &port.to_string()])
                        .stdout(Stdio::null())
                        .stderr(Stdio::null()),
                )
            };
            ports.iter().map(python).collect::<Vec<Group>>()
        })
    };
    let sensor = sensor(&[]);
    let groups = started.join().unwrap();
    for port in &ports {
        behaviour::ask(*port);
    }
    for (group, port) in groups.iter().zip(&ports) {
        let found = only(&sensor, group.child.id());
        assert_eq!(found["server"]["name"], "python-http-server");
        // Where it listens is told, then or with an update.
        let id = found["id"].clone();
        sensor.wait_for("the address", |r| {
            let here = |l: &Value| l["port"] == *port;
            r["id"] == id && r["listen"].as_array().unwrap().iter().any(here)
        });
    }
}
