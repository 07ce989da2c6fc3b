//! Servers that no list knows, told by what they do; and others that do something else.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use libtest_mimic::Trial;
use serde_json::Value;

use crate::harness::{Group, PATIENCE, Sensor, free_port, is_below, trial};

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial("root::behaviour::an_unknown_server_is_found_when_it_answers", unknown_server),
        trial("root::behaviour::other_protocols_stay_silent", other_protocols),
        trial("root::behaviour::real_daemons_stay_silent", real_daemons),
        trial("root::behaviour::a_packed_server_is_found_in_its_memory", packed_server),
        trial("root::behaviour::a_server_inside_a_library_is_found", library_server),
    ]
}

/// A server in C that no catalogue has: says what it is told to, to everyone who connects.
const SERVER: &str = r#"
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
int main(int n, char **a) {
    int one = 1, s = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(atoi(a[1]))};
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(s, (void *)&at, sizeof at) || listen(s, 64)) return 1;
    for (;;) {
        char in[512];
        int c = accept(s, 0, 0);
        if (a[3]) read(c, in, sizeof in);
        write(c, a[2], strlen(a[2]));
        close(c);
    }
}
"#;

pub(crate) struct Place {
    dir: tempfile::TempDir,
}

impl Place {
    pub(crate) fn new() -> Self {
        let place = env!("CARGO_TARGET_TMPDIR");
        let dir = tempfile::Builder::new().prefix("behaviour").tempdir_in(place).unwrap();
        Self { dir }
    }

    /// Compiles the server; returns its path.
    pub(crate) fn server(&self, options: &[&str]) -> String {
        let source = self.dir.path().join("server.c");
        fs::write(&source, SERVER).unwrap();
        let to = self.dir.path().join("tool").to_str().unwrap().to_owned();
        let status = Command::new("gcc")
            .args(["-w", "-o", &to, source.to_str().unwrap()])
            .args(options)
            .status()
            .unwrap();
        assert!(status.success());
        to
    }
}

fn sensor() -> Sensor {
    Sensor::start(&["run", "--format", "json", "--environment", "production"])
}

/// Asks as a browser would, once the server listens; returns what it said.
pub(crate) fn ask(port: u16) -> String {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)) {
            stream.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
            let _ =
                stream.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
            let mut answer = vec![0; 256];
            let got = stream.read(&mut answer).unwrap_or(0);
            return String::from_utf8_lossy(&answer[..got]).into_owned();
        }
        assert!(Instant::now() < deadline, "nobody listens on port {port}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn start(program: &str, args: &[&str]) -> Group {
    Group::start(Command::new(program).args(args).stdout(Stdio::null()).stderr(Stdio::null()))
}

/// A connection in the first moments of a listener may be over before anyone can look.
pub(crate) fn ask_until_found(sensor: &Sensor, port: u16, pid: u32) -> Value {
    let deadline = Instant::now() + PATIENCE;
    loop {
        ask(port);
        if let Some(found) = sensor.records().into_iter().find(|r| is_below(r, pid)) {
            return found;
        }
        assert!(Instant::now() < deadline, "waited in vain; picket said: {}", sensor.log());
        std::thread::sleep(Duration::from_millis(100));
    }
}

pub(crate) const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi";

fn unknown_server() {
    let place = Place::new();
    let program = place.server(&[]);
    let sensor = sensor();
    let port = free_port();
    let group = start(&program, &[&port.to_string(), OK, "asked"]);
    let pid = group.child.id();
    assert!(ask(port).starts_with("HTTP/1.1 200"));
    let found = ask_until_found(&sensor, port, pid);
    assert_eq!(found["server"]["name"], "unknown");
    assert_eq!(found["server"]["confidence"], "confirmed");
    assert_eq!(found["server"]["purpose"], "serve");
    let evidence = found["server"]["evidence"].as_array().unwrap();
    let detail = evidence.iter().find(|e| e["kind"] == "behaviour").unwrap()["detail"].clone();
    assert!(detail.as_str().unwrap().contains("answers HTTP/1.1"), "{detail}");
    assert_eq!(found["listen"][0]["port"], port);
    // What its execution was is still known, although the kernel kept it to itself.
    assert_eq!(found["process"]["exe"]["path"], program.as_str());
    assert_eq!(found["process"]["args"][2], OK);
    assert!(found["process"]["exe"]["sha256"].is_string());
    assert_eq!(found["ancestry"][0]["pid"], std::process::id());
    // Once is enough.
    ask(port);
    sensor.barrier();
    let mut told: Vec<String> = sensor
        .records()
        .iter()
        .filter(|r| is_below(r, pid))
        .map(|r| r["recipe"]["name"].as_str().unwrap().to_owned())
        .collect();
    told.sort();
    // By each recipe that it matches. Whether its place is an unusual one depends on where this
    // repository lies.
    told.retain(|recipe| recipe != "webserver_unusual_place");
    assert_eq!(told, ["webserver_exec", "webserver_unknown"]);
}

/// Every server is asked more than once, and none of them is told of; one that is, under the same
/// conditions, shows that anything would have been.
fn other_protocols() {
    let place = Place::new();
    let program = place.server(&[]);
    let sensor = sensor();
    let greetings = [
        "SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u3\r\n",
        "220 mail.example.com ESMTP Postfix\r\n",
        "+PONG\r\n",
        "* OK IMAP4rev1 ready\r\n",
        "Content-Length: 38\r\n\r\n{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":null}",
        "R\x01\x01\x08",
        "RFB 003.008\n",
        "HTTPS is what you want\r\n",
        "HTTP/x",
        "ICY 200 OK\r\n",
    ];
    let mut groups = Vec::new();
    for greeting in greetings {
        let port = free_port();
        groups.push((start(&program, &[&port.to_string(), greeting]), port, greeting));
    }
    // Time for every one of them to be looked at.
    sensor.barrier();
    std::thread::sleep(Duration::from_millis(500));
    for (_, port, greeting) in &groups {
        for _ in 0..3 {
            assert!(ask(*port).starts_with(&greeting[..1]), "{greeting:?}");
        }
    }
    let port = free_port();
    let real = start(&program, &[&port.to_string(), OK]);
    ask_until_found(&sensor, port, real.child.id());
    sensor.barrier();
    for (group, _, greeting) in &groups {
        let found: Vec<Value> =
            sensor.records().into_iter().filter(|r| is_below(r, group.child.id())).collect();
        assert!(found.is_empty(), "{greeting:?} is taken for a web server: {found:#?}");
    }
}

/// Daemons that listen, as Debian has them.
fn real_daemons() {
    let place = Place::new();
    let dir = place.dir.path().to_str().unwrap();
    let sensor = sensor();
    let port = || free_port().to_string();
    let (ssh, redis, dns) = (port(), port(), port());
    let key = format!("{dir}/key");
    let made =
        Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f", &key]).status();
    assert!(made.unwrap().success());
    fs::create_dir_all("/run/sshd").unwrap();
    let listen = format!("ListenAddress=127.0.0.1:{ssh}");
    let daemons = [
        start("/usr/sbin/sshd", &["-D", "-h", &key, "-f", "/dev/null", "-o", &listen]),
        start(
            "redis-server",
            &["--bind", "127.0.0.1", "--port", &redis, "--save", "", "--dir", dir],
        ),
        start(
            "dnsmasq",
            &[
                "--no-daemon",
                "--conf-file=/dev/null",
                "--listen-address=127.0.0.1",
                "--bind-interfaces",
                "--pid-file=",
                "--port",
                &dns,
            ],
        ),
    ];
    for port in [&ssh, &redis, &dns] {
        for _ in 0..5 {
            std::thread::sleep(Duration::from_millis(100));
            ask(port.parse().unwrap());
        }
    }
    sensor.barrier();
    std::thread::sleep(Duration::from_millis(500));
    sensor.barrier();
    for daemon in &daemons {
        let found: Vec<Value> =
            sensor.records().into_iter().filter(|r| is_below(r, daemon.child.id())).collect();
        assert!(found.is_empty(), "taken for a web server: {found:#?}");
    }
}

/// UPX hides every text of the file; in memory they are back.
fn packed_server() {
    let place = Place::new();
    let packed = place.dir.path().join("innocent");
    let upx = crate::harness::root().join("target/test-servers/deb/usr/bin/upx-ucl");
    let done = Command::new(upx)
        .args(["-q", "-1", "-o", packed.to_str().unwrap(), "/usr/sbin/lighttpd"])
        .stdout(Stdio::null())
        .status()
        .unwrap();
    assert!(done.success());
    let port = free_port();
    let conf = place.dir.path().join("c");
    let text = format!(
        "server.document-root = \"/var/empty\"\nserver.port = {port}\nserver.bind = \"127.0.0.1\"\n"
    );
    fs::write(&conf, text).unwrap();
    let sensor = sensor();
    let group = start(packed.to_str().unwrap(), &["-D", "-f", conf.to_str().unwrap()]);
    let pid = group.child.id();
    let found = sensor.wait_for("the packed server", |r| is_below(r, pid));
    assert_eq!(found["server"]["name"], "lighttpd", "{:#}", found["server"]);
    assert_eq!(found["server"]["masquerade"], true);
    assert_eq!(found["process"]["exe"]["content"]["packed"], "UPX");
    assert_eq!(found["severity"], "critical");
}

/// A loader that is told nothing by its arguments: the program comes from the environment.
fn library_server() {
    // civetweb's program is a few kilobytes around its library: here another program loads it.
    let place = Place::new();
    let source = place.dir.path().join("host.c");
    let code = "#include <dlfcn.h>\n#include <stdlib.h>\nint main(int n, char **a) {\
        void *l = dlopen(a[1], RTLD_NOW);\
        void *(*start)(void *, void *, const char **) = dlsym(l, \"mg_start\");\
        const char *options[] = {\"listening_ports\", a[2], \"document_root\", \"/var/empty\", 0};\
        char callbacks[4096] = {0};\
        if (!start || !start(callbacks, 0, options)) return 1;\
        for (;;) pause(); }";
    fs::write(&source, code).unwrap();
    let program = place.dir.path().join("editor");
    let done = Command::new("gcc").args(["-w", "-o"]).args([&program, &source]).status().unwrap();
    assert!(done.success());
    let library = ["libcivetweb.so.1", "libcivetweb.so.1.15.0"]
        .map(|name| format!("/usr/lib/{}-linux-gnu/{name}", std::env::consts::ARCH))
        .into_iter()
        .find(|path| fs::exists(path).unwrap())
        .unwrap_or_else(|| panic!("libcivetweb1 is installed by scripts/test-servers-setup.sh"));
    let port = free_port();
    let sensor = sensor();
    let at = format!("127.0.0.1:{port}");
    let group = start(program.to_str().unwrap(), &[&library, &at]);
    let pid = group.child.id();
    let found = sensor.wait_for("the server in the library", |r| is_below(r, pid));
    assert_eq!(found["server"]["name"], "civetweb", "{:#}", found["server"]);
    assert_eq!(found["server"]["masquerade"], true);
}
