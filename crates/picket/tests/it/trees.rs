//! What is executed below web servers, and to whom they connect: all of that is told, and nothing
//! of what others do. Seen in a recording, which has no more than what crossed from the kernel.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use libtest_mimic::Trial;
use serde_json::Value;

use crate::behaviour::OK;
use crate::harness::{Group, PATIENCE, Sensor, args_of, free_port, picket, trial, wait};

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial("root::trees::a_server_whose_first_act_is_another_program", first_act),
        trial("root::trees::children_of_what_is_no_server_are_left_out", no_server),
        trial("root::trees::programs_and_connections_of_a_server", server),
        trial("root::trees::programs_of_a_server_that_ran_before", server_before),
        trial("root::trees::programs_of_a_server_that_nobody_knew", unknown),
        trial("root::trees::what_the_first_request_starts", first_request),
    ]
}

/// Executes what it is given, in a child, before it does anything else.
const FIRST_ACT: &str = r#"
#include <sys/wait.h>
#include <unistd.h>
int main(int n, char **a) {
    if (!fork()) execv(a[1], a + 1);
    wait(0);
}
"#;

/// Answers HTTP to everybody, and executes what it is given for those who ask for it.
const UNKNOWN: &str = r#"
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
int main(int n, char **a) {
    int one = 1, s = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(atoi(a[1]))};
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(s, (void *)&at, sizeof at) || listen(s, 64)) return 1;
    for (;;) {
        char in[512] = "";
        int c = accept(s, 0, 0);
        read(c, in, sizeof in - 1);
        if (strstr(in, "/run")) {
            if (!fork()) execv(a[3], a + 3);
            wait(0);
        }
        write(c, a[2], strlen(a[2]));
        close(c);
    }
}
"#;

struct Place {
    dir: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        let place = env!("CARGO_TARGET_TMPDIR");
        let dir = tempfile::Builder::new().prefix("trees").tempdir_in(place).unwrap();
        // A CGI program runs as somebody else.
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
        Self { dir }
    }

    fn compile(&self, name: &str, source: &str) -> PathBuf {
        let (from, to) = (self.dir.path().join("source.c"), self.dir.path().join(name));
        fs::write(&from, source).unwrap();
        let status = Command::new("gcc").args(["-w", "-o"]).arg(&to).arg(&from).status().unwrap();
        assert!(status.success());
        to
    }

    /// A web server that runs what is in its directory, and a program there by this name.
    fn cgi(&self, name: &str, text: &str) {
        let dir = self.dir.path().join("cgi-bin");
        fs::create_dir_all(&dir).unwrap();
        let to = dir.join(name);
        fs::write(&to, text).unwrap();
        fs::set_permissions(&to, fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn serve(&self, port: u16) -> Group {
        let mut command = Command::new("/usr/bin/python3");
        command.args(["-m", "http.server", "--cgi", "--bind", "127.0.0.1", &port.to_string()]);
        command.current_dir(self.dir.path()).stdout(Stdio::null()).stderr(Stdio::null());
        let group = Group::start(&mut command);
        await_listener(port);
        group
    }
}

/// A recording of what crosses, in which `/bin/true` is known to be no server.
fn recording() -> Sensor {
    let mut command = picket();
    command.arg("record");
    let (sensor, line) = Sensor::start_command(command);
    assert_eq!(line, "picket: watching, coverage full");
    assert!(Command::new("/bin/true").status().unwrap().success());
    sensor.barrier();
    sensor
}

fn await_listener(port: u16) {
    let deadline = Instant::now() + PATIENCE;
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(Instant::now() < deadline, "nobody listens on port {port}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn get(port: u16, path: &str) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    // In one piece: a server that reads once has it all.
    let question = format!("GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n");
    stream.write_all(question.as_bytes()).unwrap();
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

/// The words that `/bin/true` was given in what is recorded, of those that begin so.
fn words(sensor: &Sensor, begin: &str) -> Vec<String> {
    let records = sensor.records();
    let words = records.iter().filter(|r| r["kind"] == "exec").filter_map(|r| {
        let args = args_of(r);
        args.get(1).filter(|word| word.starts_with(begin)).map(|word| (*word).to_owned())
    });
    words.collect()
}

fn first_act() {
    const TIMES: usize = 1000;
    let place = Place::new();
    let server = place.compile("nginx", FIRST_ACT);
    let sensor = recording();
    for number in 0..TIMES {
        let mut command = Command::new(&server);
        let status = command.args(["/bin/true", &format!("first-{number}")]).status().unwrap();
        assert!(status.success());
    }
    sensor.barrier();
    let words = words(&sensor, "first-");
    let expected: BTreeSet<String> = (0..TIMES).map(|number| format!("first-{number}")).collect();
    assert_eq!(words.iter().cloned().collect::<BTreeSet<_>>(), expected);
    assert_eq!(words.len(), TIMES);
}

/// A python program that executes `/bin/true` so many times when it is told to.
fn python() -> (Child, impl FnMut(&mut Child, &str, usize)) {
    let program = "import subprocess, sys\n\
                   for line in sys.stdin:\n\
                   \x20   word, times = line.split()\n\
                   \x20   for n in range(int(times)): subprocess.run(['/bin/true', f'{word}-{n}'])\n\
                   \x20   print('done', flush=True)\n";
    let mut command = Command::new("/usr/bin/python3");
    command.args(["-c", program]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    let run = move |child: &mut Child, word: &str, times: usize| {
        writeln!(child.stdin.as_mut().unwrap(), "{word} {times}").unwrap();
        let mut line = String::new();
        output.read_line(&mut line).unwrap();
        assert_eq!(line, "done\n");
    };
    (child, run)
}

fn no_server() {
    let (mut before, mut run_before) = python();
    run_before(&mut before, "warm", 1);
    let sensor = recording();
    let (mut child, mut run) = python();
    run(&mut child, "unjudged", 1);
    // Both are surely judged by then.
    sensor.barrier();
    run(&mut child, "judged", 200);
    sensor.barrier();
    assert_eq!(words(&sensor, "judged-"), Vec::<String>::new());
    // That one is judged when all that listened before has been looked at.
    let deadline = Instant::now() + PATIENCE;
    for round in 0.. {
        run_before(&mut before, &format!("before-{round}"), 200);
        sensor.barrier();
        let told = words(&sensor, &format!("before-{round}-"));
        if told.is_empty() {
            break;
        }
        assert!(Instant::now() < deadline, "{} of 200 are still told", told.len());
    }
    for mut child in [child, before] {
        drop(child.stdin.take());
        assert!(wait(&mut child).success());
    }
}

/// What is recorded of connections to a port.
fn connects(sensor: &Sensor, port: u16) -> Vec<Value> {
    let mut records = sensor.records();
    records.retain(|r| r["kind"] == "connect" && r["peer"]["port"] == port);
    records
}

fn server() {
    let place = Place::new();
    let far = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let far_port = far.local_addr().unwrap().port();
    place.cgi("run.sh", "#!/bin/sh\nsh -c '/bin/true deep; :'\n/bin/true flat\necho\necho ran\n");
    let call = format!(
        "import socket\n\
         s = socket.create_connection(('127.0.0.1', {far_port}))\n\
         s.sendall(b'x' * 100); s.shutdown(1)\n\
         print(); print(len(s.recv(64)))\n"
    );
    place.cgi("call.py", &format!("#!/usr/bin/python3\n{call}"));
    let answering = std::thread::spawn(move || {
        for _ in 0..2 {
            let (mut stream, _) = far.accept().unwrap();
            let mut said = Vec::new();
            stream.read_to_end(&mut said).unwrap();
            stream.write_all(b"12345").unwrap();
        }
    });
    let sensor = recording();
    let port = free_port();
    let group = place.serve(port);
    for _ in 0..20 {
        assert!(get(port, "/cgi-bin/run.sh").contains("ran"));
    }
    // Somebody else does the same.
    let other = Command::new("/usr/bin/python3").args(["-c", &call]).output().unwrap();
    assert!(other.status.success());
    assert!(get(port, "/cgi-bin/call.py").contains('5'));
    answering.join().unwrap();
    sensor.barrier();
    for word in ["deep", "flat"] {
        assert_eq!(words(&sensor, word).len(), 20, "{word}");
    }
    let pid = group.child.id();
    sensor.wait_for("the end of the connection", |r| {
        r["kind"] == "connect" && r["peer"]["port"] == far_port && r["ended"] == true
    });
    let told = connects(&sensor, far_port);
    let [began, ended] = &told[..] else { panic!("{told:#?}") };
    assert_eq!((&began["ended"], &began["peer"]["address"]), (&false.into(), &"127.0.0.1".into()));
    assert_eq!((&ended["bytes_sent"], &ended["bytes_received"]), (&100.into(), &5.into()));
    let above = ended["parents"].as_array().unwrap();
    assert!(above.iter().any(|parent| parent["pid"] == pid), "{above:?}");
    // Nobody was told of who connected to the server.
    assert_eq!(connects(&sensor, port), Vec::<Value>::new());
}

fn server_before() {
    let place = Place::new();
    place.cgi("run.sh", "#!/bin/sh\n/bin/true $QUERY_STRING\necho\necho ran\n");
    let port = free_port();
    let _group = place.serve(port);
    let sensor = recording();
    for number in 0..20 {
        assert!(get(port, &format!("/cgi-bin/run.sh?seeded-{number}")).contains("ran"));
    }
    sensor.barrier();
    assert_eq!(words(&sensor, "seeded-").len(), 20);
}

fn unknown() {
    let place = Place::new();
    let program = place.compile("tool", UNKNOWN);
    let sensor = recording();
    let port = free_port();
    let mut command = Command::new(&program);
    command.args([&port.to_string(), OK, "/bin/true", "found"]);
    let group = Group::start(&mut command);
    await_listener(port);
    let found = |r: &Value| {
        let pid = &r["exec"]["process"]["pid"];
        r["kind"] == "behaviour" && *pid == group.child.id() && r["answered"].is_string()
    };
    let deadline = Instant::now() + PATIENCE;
    while !sensor.records().iter().any(found) {
        assert!(Instant::now() < deadline, "waited in vain; picket said: {}", sensor.log());
        get(port, "/");
        std::thread::sleep(Duration::from_millis(100));
    }
    for _ in 0..20 {
        assert!(get(port, "/run").starts_with("HTTP/1.1 200"));
    }
    sensor.barrier();
    assert_eq!(words(&sensor, "found").len(), 20);
}

/// Runs a shell for every request, before it answers.
const SHELL_FIRST: &str = "
const { execSync } = require('child_process');
require('http').createServer((request, answer) => {
    execSync('id -u; true ' + request.url);
    answer.end('done');
}).listen(Number(process.argv[2]), '127.0.0.1');
";

/// Waits until somebody listens, and asks nothing of him.
fn await_quietly(port: u16) {
    let deadline = Instant::now() + PATIENCE;
    let line = format!(":{port:04X} 00000000:0000 0A");
    while !fs::read_to_string("/proc/net/tcp").unwrap().contains(&line) {
        assert!(Instant::now() < deadline, "nobody listens on port {port}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Nobody knows them before they answer, and what they run comes before the answer.
fn first_request() {
    let place = Place::new();
    let app = place.dir.path().join("app.js");
    fs::write(&app, SHELL_FIRST).unwrap();
    let tool = place.compile("tool", UNKNOWN);
    let sensor = Sensor::start(&["run", "--format", "json", "--environment", "production"]);
    let (one, two) = (free_port(), free_port());
    let mut node = Command::new("/usr/bin/env");
    node.arg("node").arg(&app).arg(one.to_string());
    let mut own = Command::new(&tool);
    own.args([&two.to_string(), OK, "/bin/sh", "-c", "id -u; true /run-own"]);
    for (mut command, port, word) in [(node, one, "/run-node"), (own, two, "/run-own")] {
        let group = Group::start(command.stdout(Stdio::null()));
        await_quietly(port);
        // What it listens on has been looked at.
        sensor.barrier();
        let mark = sensor.mark();
        assert!(get(port, word).starts_with("HTTP/1.1 200"));
        let pid = group.child.id();
        let shell = sensor.wait_for("the shell of the first request", |r| {
            r["recipe"]["name"] == "webserver_shell_spawn"
                && args_of(r).iter().any(|arg| arg.contains(word))
        });
        assert_eq!(shell["server"]["name"], "unknown", "{shell:#}");
        assert!(shell["ancestry"].as_array().unwrap().iter().any(|a| a["pid"] == pid));
        let told = sensor.since(mark);
        let shells = told.iter().filter(|r| {
            r["recipe"]["name"] == "webserver_shell_spawn" && r["ancestry"][0]["pid"] == pid
        });
        assert_eq!(shells.count(), 1, "{told:#?}");
        // It is part of the server's story.
        let found = told.iter().find(|r| r["process"]["pid"] == pid).unwrap();
        assert_eq!(found["server"]["name"], "unknown");
        assert!(found["incident"].is_string());
        assert_eq!(found["incident"], shell["incident"]);
    }
}
